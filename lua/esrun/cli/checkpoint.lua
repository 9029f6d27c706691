-- esrun.cli.checkpoint: signs the head of the ledger and hands the signature to the anchors.

local anchors = require "esrun.cli.anchors"
local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local evidence = require "esrun.cli.evidence"
local result_file = require "esrun.cli.result_file"
local signer = require "esrun.cli.signer"
local user = require "esrun.cli.user"

local checkpoint = {
  description = "Sign the head of the ledger: a C2SP checkpoint, kept in the store, remembered by the signer and handed to the "
    .. "configured anchors. What would contradict an earlier checkpoint is refused: exit status 6.",
}

function checkpoint.define(parser)
  parser:option "--key":argname "FILE":count "*":description
    "A signing key (default: ESRUN_SIGNING_KEY, the configured ones, or the one that `keygen` made). Several sign together."
  parser:flag "--replace-lost-key":description "The key that signed before is lost: the new one signs without it."
  parser:flag "--accept-rollback":description "An older backup was restored: sign although more was signed before."
  parser:option "-o --out":argname "FILE":description "Write the checkpoint to a file, which appears when it is complete."
end

function checkpoint.run(call, args)
  local es = call:open { must_exist = true }
  if args.out then result_file.check(args.out, es) end
  local store_id = errors.check(es:info()).store.store_id
  local config = user.config()
  local kept, silent, unasked = anchors.read(config, store_id)
  evidence.warn(silent)
  evidence.warn(unasked)
  local note = errors.check(es:checkpoint {
    keys = signer.keys(config, store_id, args.key), evidence = function() return { anchors = kept } end,
    accept_rollback = args.accept_rollback, replace_lost_key = args.replace_lost_key,
  })
  local taken, failure = anchors.write(config, store_id, note, args.accept_rollback)
  if not taken then errors.fail(1, failure, "the checkpoint is signed and kept in the store; run esrun checkpoint again") end
  local size, root = note:match("^[^\n]*\n(%d+)\n([^\n]*)\n")
  if args.out and result_file.must(args.out, note) == "stdout" then return 0 end
  if call.out.mode ~= "table" then
    call.out:json { size = math.tointeger(tonumber(size)), root = root, store_id = store_id, note = note }
  elseif args.out then
    call.out:line("%s signed: %s", counted(math.tointeger(tonumber(size)), "event"), args.out)
  else
    call.out:write(note)
  end
  return 0
end

return checkpoint
