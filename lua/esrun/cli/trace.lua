-- esrun.cli.trace: what led to what: the events of one correlation as a tree of causes.

local core = require "esrun.core"
local errors = require "esrun.cli.errors"
local event_text = require "esrun.cli.event_text"

local trace = { description = "Show the events of one correlation as a tree: each below the event that caused it." }

function trace.define(parser)
  parser:argument "id":argname "ID":description "A correlation id, or the id of any event in it."
  parser:flag "--flat":description "In order of position, without the tree."
end

local function collect(es, filter)
  local events = {}
  for event in es:events(filter) do events[#events + 1] = event end
  return events
end

-- The events of the correlation that the id names, or that the event with this id belongs to.
local function find(es, id, form)
  local events = collect(es, { correlation_id = id, form = form })
  if #events > 0 then return events end
  local _, named = next(collect(es, { event_id = id, limit = 1 }))
  if not named then
    errors.fail(5, ("no event and no correlation has the id %s"):format(id),
      "esrun log --output jsonl shows the ids of events")
  end
  return collect(es, { correlation_id = named.correlation_id, form = form })
end

local function draw(out, events)
  local children, known = {}, {}
  for _, event in ipairs(events) do known[event.event_id] = true end
  local roots = {}
  for _, event in ipairs(events) do
    local cause = event.causation_id
    if cause and known[cause] then
      children[cause] = children[cause] or {}
      table.insert(children[cause], event)
    else
      roots[#roots + 1] = event
    end
  end
  -- A chain may be longer than Lua's stack is deep, so the way down is a list.
  local waiting = {}
  for position = #roots, 1, -1 do waiting[#waiting + 1] = { event = roots[position], lead = "", below = "" } end
  while #waiting > 0 do
    local node = table.remove(waiting)
    out:line("%s%s", node.lead, event_text.sentence(node.event))
    local below = children[node.event.event_id] or {}
    for position = #below, 1, -1 do
      local is_last = position == #below
      waiting[#waiting + 1] = {
        event = below[position],
        lead = node.below .. (is_last and "└─ " or "├─ "),
        below = node.below .. (is_last and "   " or "│  "),
      }
    end
  end
end

function trace.run(call, args)
  local id = core.parse_id(args.id)
  if not id then
    errors.usage(("'%s' is not an id"):format(args.id),
      "name a correlation or an event by its UUID; esrun log --output jsonl shows them")
  end
  local out = call.out
  local es = call:open { read_only = true }
  local scope <close> = es.context.enter { operator_scope = true }
  local events = find(es, id, out.mode ~= "table" and "log" or nil)
  if out.mode ~= "table" then
    local add = out:json_list()
    for _, event in ipairs(events) do add(event) end
    add(nil)
  elseif args.flat then
    for _, event in ipairs(events) do out:line("%s", event_text.sentence(event)) end
  else
    draw(out, events)
  end
  return 0, scope
end

return trace
