-- esrun.cli.bundle: a folder for an auditor: events, the checkpoint that covers them, a proof of each, the verifier key, how
-- to check it all with stock tools, and a detached signature. It appears under its name when it is complete.

local core = require "esrun.core"
local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local files = require "esrun.files"
local ledger = require "esrun.ledger"
local result_file = require "esrun.cli.result_file"
local signer = require "esrun.cli.signer"
local system = require "esrun.system"
local user = require "esrun.cli.user"

local bundle = {}

local README = [[
What is here
  events.jsonl        events, one a line, as they were hashed
  checkpoint          the signed head of the whole ledger: %s
  proofs/             for each event here, a proof that it is one of those (c2sp.org/tlog-proof)
  vkey                the verifier key of the checkpoint's signer
  SHA256SUMS          of all these files
%s
How to check
  0. Compare vkey%s with what you got in another way. What comes with the data proves nothing about itself.
  1. sha256sum --check SHA256SUMS
%s  2. The signature of the checkpoint, and each proof, with any tool for C2SP's signed notes and tlog-proof; or with esrun,
     which needs no store for it:
       esrun verify-proof proofs/POSITION.tlog-proof --key "$(cat vkey)" --event "$(sed -n LINEp events.jsonl)"
  3. Whether an event's line is what was hashed, step 2 with --event tells. docs/reference/ledger-format.md of esrun has the
     bytes of the record, for those who want to compute the hash themselves.

What it does not show
  That these are all the events that you asked for: somebody chose them. Positions that are missing between 1 and %d are in
  the ledger too, and a proof of each can be asked for.
]]

local SIGNATURE = [[
  SHA256SUMS.sig      a detached RSA-PSS signature of SHA256SUMS (SHA-256, MGF1 with SHA-256, the longest salt)
  signer.pem          the public key of that signature
]]

local SIGNATURE_CHECK = [[
     openssl dgst -sha256 -verify signer.pem -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:auto \
       -signature SHA256SUMS.sig SHA256SUMS
]]

local function must(done, why)
  if not done then errors.fail(1, "cannot write the bundle: " .. tostring(why)) end
  return done
end

-- A file of the bundle, on disk.
local function put(path, text)
  local file <close> = must(io.open(path, "wb"))
  must(file:write(text))
  must(system.sync(file))
end

-- The verifier keys that may be the signer's: the given one, else those of the keys that sign here and those that are trusted.
local function candidates(given, store_id)
  if given and given:find("^[^+]+%+%x+%+") then return { given } end
  if given then return { (user.check_text(errors.check(user.read(given)), "--vkey: " .. given, 2):gsub("%s+$", "")) } end
  local config, list = user.config(), {}
  for _, key in ipairs(signer.keys(config, store_id)) do list[#list + 1] = (ledger.key_public(key)) end
  for _, key in ipairs(config.trust or {}) do list[#list + 1] = key end
  return list
end

-- The first of the keys that signed the checkpoint of this proof.
local function signer_of(proof, keys, given)
  local message, code, details
  for _, key in ipairs(keys) do
    local result
    result, message, code, details = ledger.verify_proof { proof = proof, keys = { key } }
    if result then return key end
    if code ~= "unknown_signer" then errors.check(nil, message, code, details) end
  end
  errors.usage(given and "--vkey: another key signed the checkpoint" or "whose key signs this ledger?",
    given and "give the verifier key of the one who signed it" or "give the verifier key with --vkey")
end

-- Events and their proofs, and how many of those chosen are not signed. Answers what it is all about.
local function write_events(es, filter, folder)
  local file = must(io.open(folder .. "/events.jsonl", "wb"))
  local made = { count = 0, unsigned = 0 }
  for line in es:events(filter) do
    local event = core.decode(line)
    local proof, message, code, details
    if not made.size or event.position <= made.size then
      proof, message, code, details = es:prove { event_id = event.event_id, to = made.size }
      if not proof and code ~= "not_signed" then errors.check(proof, message, code, details) end
    end
    if proof then
      made.proof = made.proof or proof
      made.checkpoint = made.checkpoint or proof:match("\n\n(.*)$")
      proof = proof:match("^.-\n\n") .. made.checkpoint -- somebody else may have signed as many events meanwhile
      made.size = made.size or math.tointeger(tonumber(made.checkpoint:match("^[^\n]*\n(%d+)\n")))
      must(file:write(line, "\n"))
      put(("%s/proofs/%d.tlog-proof"):format(folder, event.position), proof)
      made.count = made.count + 1
    else
      made.unsigned = made.unsigned + 1
    end
  end
  must(system.sync(file))
  must(file:close())
  if made.proof then return made end
  errors.fail(5, "there is nothing to bundle: no event that was chosen is signed", "make a checkpoint first: esrun checkpoint")
end

local function sign(folder, key_path)
  local sums = errors.check(user.read(folder .. "/SHA256SUMS"))
  local signature, public_key, code, details = ledger.sign_detached(
    { path = key_path, passphrase = os.getenv "ESRUN_KEY_PASSPHRASE" }, sums)
  errors.check(signature, public_key, code, details)
  put(folder .. "/SHA256SUMS.sig", signature)
  put(folder .. "/signer.pem", public_key)
end

local function fill(es, filter, folder, options)
  must(files.make_folder(folder .. "/proofs"))
  local keys = candidates(options.vkey, errors.check(es:info()).store.store_id)
  local made = write_events(es, filter, folder)
  put(folder .. "/checkpoint", made.checkpoint)
  put(folder .. "/vkey", signer_of(made.proof, keys, options.vkey) .. "\n")
  local signed = options.rsa_key ~= nil
  put(folder .. "/README", README:format(counted(made.size, "event"),
    signed and SIGNATURE or "", signed and " and signer.pem" or "",
    signed and SIGNATURE_CHECK or "", made.size))
  must(os.execute(("cd %s && find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs -d '\\n' sha256sum >SHA256SUMS"):format(
    user.quote(folder))), "sha256sum failed")
  if signed then sign(folder, options.rsa_key) end
  return made
end

--- Makes the folder. Until it is whole it has a name that no other run has, and only what was made here is ever removed.
---@param options { path: string, vkey: string?, rsa_key: string? }
---@return { folder: string, event_count: integer, unsigned_count: integer } made
function bundle.write(es, filter, options)
  local path = options.path:gsub("(.)/+$", "%1")
  if files.kind(path) or files.is_link(path) then
    errors.usage(path .. " exists already", "choose a folder that is not there yet")
  end
  result_file.want_folder(path, "cannot make the bundle")
  local part = result_file.part(path)
  local state, why = files.make_folder(part)
  if state ~= "made" then errors.fail(1, ("cannot make the folder %s: %s"):format(part, why or "it is there already")) end
  local ok, raised = pcall(fill, es, filter, part, options)
  if ok then
    local done
    done, why = os.rename(part, path)
    if done then return { folder = path, event_count = raised.count, unsigned_count = raised.unsigned } end
    raised = why
  end
  os.execute("rm -rf " .. user.quote(part))
  if not ok then error(raised, 0) end
  errors.fail(1, "cannot make the bundle: " .. raised)
end

return bundle
