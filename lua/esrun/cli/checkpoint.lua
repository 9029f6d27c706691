-- esrun.cli.checkpoint: signs the head of the ledger and hands the signature to the anchors.

local anchors = require "esrun.cli.anchors"
local errors = require "esrun.cli.errors"
local user = require "esrun.cli.user"

local checkpoint = {
  description = "Sign the head of the ledger: a C2SP checkpoint, kept in the store, remembered by the signer and handed to the "
    .. "configured anchors. Refused when it would contradict what was signed before. Exit status 6 then.",
}

function checkpoint.define(parser)
  parser:option "--key":argname "FILE":count "*":description
    "A signing key (default: ESRUN_SIGNING_KEY, the configured ones, or the one that keygen made). Several sign together."
  parser:option "-o --out":argname "FILE":description "Write the checkpoint to a file."
end

--- The keys to sign with, as es:checkpoint takes them.
local function keys(args, config, store_id)
  local passphrase = os.getenv("ESRUN_KEY_PASSPHRASE")
  local list = {}
  local function add(path) list[#list + 1] = { path = path, passphrase = passphrase } end
  for _, path in ipairs(args.key) do add(path) end
  if #list > 0 then return list end
  local text = os.getenv("ESRUN_SIGNING_KEY")
  if text and text ~= "" then return { { text = text, passphrase = passphrase } } end
  for _, path in ipairs(config.keys or {}) do add(path) end
  if #list == 0 then add(user.key_path(store_id)) end
  return list
end

function checkpoint.run(call, args)
  local es = call:open { must_exist = true }
  local store_id = errors.check(es:info()).store.store_id
  local config = user.config()
  local note = errors.check(es:checkpoint { keys = keys(args, config, store_id) })
  anchors.write(config, store_id, note)
  local size, root = note:match("^[^\n]*\n(%d+)\n([^\n]*)\n")
  if args.out then
    local done, why = user.write(args.out, note)
    if not done then errors.fail(1, "cannot write " .. why) end
  end
  if call.out.mode ~= "table" then
    call.out:json { size = math.tointeger(tonumber(size)), root = root, store_id = store_id, note = note }
  elseif args.out then
    call.out:line("%d events signed: %s", math.tointeger(tonumber(size)), args.out)
  else
    call.out:write(note)
  end
  return 0
end

return checkpoint
