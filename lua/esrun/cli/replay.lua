-- esrun.cli.replay: folds streams again; --check compares two replays in fresh states.

local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local target = require "esrun.cli.target"

local replay = { description = "Fold every stream from its first event." }

function replay.define(parser)
  parser:option "--aggregate":argname "TYPE[/ID]":description "Only this aggregate, or only those of its type."
  parser:flag "--check":description
    "Fold twice, in fresh states, with other insertion histories and batch sizes. A difference is named: exit status 6."
end

function replay.run(call, args)
  local filter = target.filter { aggregate = args.aggregate }
  local es = call:open { read_only = true }
  if filter.aggregate_type then target.check_type(es, filter.aggregate_type) end
  local scope <close> = es.context.enter { operator_scope = true }
  local progress, wipe = call:progress("replay")
  local report, message, code, details = es:replay {
    aggregate_type = filter.aggregate_type, aggregate_id = filter.aggregate_id, check = args.check or nil,
    progress = progress,
  }
  wipe()
  errors.check(report, message, code, details)
  if call.out.mode == "table" then
    call.out:line("%s of %s replayed%s", counted(report.event_count, "event"), counted(report.stream_count, "stream"),
      args.check and " twice, with the same result" or "")
  else
    report.check = args.check or false
    call.out:json(report)
  end
  return 0, scope
end

return replay
