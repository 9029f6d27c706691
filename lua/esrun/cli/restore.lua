-- esrun.cli.restore: makes a backup the project's store, if there is none.

local errors = require "esrun.cli.errors"
local place = require "esrun.cli.place"

local restore = {
  description = "Make a verified copy of a backup the project's store. A store that is there is never overwritten.",
}

function restore.define(parser)
  parser:argument "file":argname "FILE":description "The backup."
end

function restore.run(call, args)
  local restored = errors.check(require "esrun".restore(args.file, place.of(args)))
  if call.out.mode ~= "table" then return call.out:json(restored) end
  call.out:line("%d events restored, head %s, verified", restored.event_count,
    restored.event_count > 0 and restored.head_hash or "none")
  call.out:line("projections that were ahead of it now ask for: esrun project rebuild NAME")
end

return restore
