-- esrun.cli.log: events as they were stored, filtered, streaming, and on request as they come.

local event_text = require "esrun.cli.event_text"
local target = require "esrun.cli.target"

local FOLLOW_MILLISECONDS = 200

local log = { description = "List events of all tenants in order of their position, as they are read, however many there are." }

function log.define(parser)
  target.define_filter(parser)
  parser:flag "--follow":description "Go on with events as they are stored; ends with an interrupt."
end

-- The function that prints one event.
local function printer(call)
  if call.out.mode == "table" then
    return function(event) if event then call.out:line("%s", event_text.log_line(event)) end end
  end
  return call.out:json_list()
end

local function print_all(es, filter, print_one)
  local last
  for event in es:events(filter) do
    print_one(event)
    last = type(event) == "table" and event.position or math.tointeger(event:match('"position":(%d+)'))
  end
  return last
end

local function head_position(es)
  for event in es:events { reverse = true, limit = 1 } do return event.position end
  return 0
end

-- Reads again whenever the head has moved. Stops at an interrupt, or when nobody listens any more.
local function follow(call, es, filter, print_one, seen)
  local system = require "esrun.system"
  system.watch_interrupt()
  repeat
    local head = head_position(es)
    if head > seen then
      filter.after = seen
      seen = math.max(head, print_all(es, filter, print_one) or 0)
      call.out:flush()
    end
  until system.wait(FOLLOW_MILLISECONDS) ~= "time"
end

function log.run(call, args)
  local errors = require "esrun.cli.errors"
  local filter = target.filter(args)
  filter.form = call.out.mode ~= "table" and "log" or nil
  if args.follow and (filter.reverse or filter.limit or filter.to) then
    errors.usage("--follow goes with neither --reverse, --limit nor --to")
  end
  if args.follow and call.out.mode == "json" then
    errors.usage("--follow has no end, so it cannot be one JSON document", "use --output jsonl")
  end
  local es = call:open { read_only = true }
  local scope <close> = es.context.enter { operator_scope = true }
  local print_one = printer(call)
  local head = args.follow and head_position(es)
  if filter.limit ~= 0 then
    local last = print_all(es, filter, print_one)
    if args.follow then
      call.out:flush()
      follow(call, es, filter, print_one, math.max(head, last or 0, filter.after or 0))
    end
  end
  print_one(nil)
  return 0, scope
end

return log
