-- esrun.cli.restore: makes a backup the project's store, if there is none.

local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local evidence = require "esrun.cli.evidence"
local output = require "esrun.cli.output"
local place = require "esrun.cli.place"

local restore = {
  description = "Make a verified copy of a backup the project's store. A store that is there is never overwritten. A backup "
    .. "that is older than what was signed is refused: exit status 6.",
}

function restore.define(parser)
  parser:argument "FILE":target "file":description "The backup."
  parser:flag "--accept-rollback":description "Restore it although it is older than what was signed; what it lacks is warned of."
  parser:flag "--accept-foreign":description "Restore it although another store was signed for at this place."
  evidence.define(parser)
end

function restore.run(call, args)
  local silent
  local restored = errors.check(require "esrun".restore(args.file, place.of(args), {
    accept_rollback = args.accept_rollback, accept_foreign = args.accept_foreign,
    evidence = function(store_id)
      local known = evidence.of(args, store_id)
      silent, known.silent = known.silent, nil
      return known
    end,
  }))
  evidence.warn(silent or {})
  for _, warning in ipairs(restored.warnings) do
    io.stderr:write("esrun: warning: ", output.harmless(warning), "\n")
  end
  if restored.foreign then
    io.stderr:write("hint: verify and checkpoint go on refusing this store until that folder is moved away\n")
  end
  if restored.unseen_count > 0 then
    io.stderr:write(("esrun: warning: the segments of %s are not beside the backup\n"):format(
      counted(restored.unseen_count, "archived event")))
  end
  if #restored.warnings > (restored.foreign and 1 or 0) then
    io.stderr:write("hint: verify and checkpoint go on refusing this store until esrun checkpoint --accept-rollback\n")
  end
  if call.out.mode ~= "table" then
    restored.warnings = require "esrun".array(restored.warnings)
    return call.out:json(restored)
  end
  call.out:line("%s restored, head %s, verified", counted(restored.event_count, "event"),
    restored.event_count > 0 and restored.head_hash or "none")
  call.out:line("projections that were ahead of it now ask for: esrun project rebuild NAME")
end

return restore
