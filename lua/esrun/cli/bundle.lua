-- esrun.cli.bundle: a folder for an auditor: events, the checkpoint that covers them, a proof of each, the verifier key, how
-- to check it all with stock tools, and a detached signature. It appears under its name when it is complete.

local core = require "esrun.core"
local errors = require "esrun.cli.errors"
local files = require "esrun.files"
local ledger = require "esrun.ledger"
local result_file = require "esrun.cli.result_file"
local system = require "esrun.system"
local user = require "esrun.cli.user"

local bundle = {}

local README = [[
What is here
  events.jsonl        events, one a line, as they were hashed
  checkpoint          the signed head of the whole ledger: %d events
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

local function verifier_key(given, store_id)
  if given then
    if given:find("^[^+]+%+%x+%+") then return given end
    return (errors.check(user.read(given)):gsub("%s+$", ""))
  end
  local key = ledger.key_public { path = user.key_path(store_id), passphrase = os.getenv "ESRUN_KEY_PASSPHRASE" }
  return key or errors.usage("whose key signs this ledger?", "give the verifier key with --vkey")
end

-- Events and their proofs; answers the checkpoint that covers them, its size and how many events are here.
local function write_events(es, filter, folder)
  local file = must(io.open(folder .. "/events.jsonl", "wb"))
  local checkpoint, size
  local count = 0
  for line in es:events(filter) do
    local event = core.decode(line)
    if size and event.position > size then break end
    local proof, message, code, details = es:prove { event_id = event.event_id }
    if not proof and checkpoint and code == "not_signed" then break end
    errors.check(proof, message, code, details)
    checkpoint = checkpoint or proof:match("\n\n(.*)$")
    size = size or math.tointeger(tonumber(checkpoint:match("^[^\n]*\n(%d+)\n")))
    must(file:write(line, "\n"))
    put(("%s/proofs/%d.tlog-proof"):format(folder, event.position), proof)
    count = count + 1
  end
  must(system.sync(file))
  must(file:close())
  return checkpoint or errors.fail(5, "there is nothing to bundle: no event that was chosen is signed",
    "make a checkpoint first: esrun checkpoint"), size, count
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
  local vkey = verifier_key(options.vkey, errors.check(es:info()).store.store_id)
  local checkpoint, size, count = write_events(es, filter, folder)
  put(folder .. "/checkpoint", checkpoint)
  put(folder .. "/vkey", vkey .. "\n")
  local signed = options.rsa_key ~= nil
  put(folder .. "/README", README:format(size, signed and SIGNATURE or "", signed and " and signer.pem" or "",
    signed and SIGNATURE_CHECK or ""))
  must(os.execute(("cd %s && find . -type f ! -name SHA256SUMS | LC_ALL=C sort | xargs -d '\\n' sha256sum >SHA256SUMS"):format(
    user.quote(folder))), "sha256sum failed")
  if signed then sign(folder, options.rsa_key) end
  return count
end

--- Makes the folder. Until it is whole it has a name that no other run has, and only what was made here is ever removed.
---@param options { path: string, vkey: string?, rsa_key: string? }
---@return { folder: string, event_count: integer } made
function bundle.write(es, filter, options)
  local path = options.path:gsub("(.)/+$", "%1")
  if files.kind(path) or files.is_link(path) then
    errors.usage(path .. " exists already", "choose a folder that is not there yet")
  end
  local part = result_file.part(path)
  local state, why = files.make_folder(part)
  if state ~= "made" then errors.fail(1, ("cannot make the folder %s: %s"):format(part, why or "it is there already")) end
  local ok, raised = pcall(fill, es, filter, part, options)
  if ok then
    local done
    done, why = os.rename(part, path)
    if done then return { folder = path, event_count = raised } end
    raised = why
  end
  os.execute("rm -rf " .. user.quote(part))
  if not ok then error(raised, 0) end
  errors.fail(1, "cannot make the bundle: " .. raised)
end

return bundle
