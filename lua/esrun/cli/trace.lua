-- esrun.cli.trace: what led to what: the events of one correlation as a tree of causes.

local core = require "esrun.core"
local errors = require "esrun.cli.errors"
local event_text = require "esrun.cli.event_text"

local trace = { description = "Show the events of one correlation as a tree, each below the event that caused it." }

function trace.define(parser)
  parser:argument "ID":target "id":description "A correlation id, or the id of any event in it."
  parser:flag "--flat":description "List them in order of position, without the tree."
end

local DEPTH_DRAWN = 32 -- deeper events stand below each other with their depth as a number: each line stays short

local function first(es, filter)
  for event in es:events(filter) do return event end
end

-- The correlation that the id names, or that the event with this id belongs to.
local function find(es, id)
  if first(es, { correlation_id = id, limit = 1 }) then return id end
  local named = first(es, { event_id = id, limit = 1 })
  if not named then
    errors.fail(5, ("no event and no correlation has the id %s"):format(id),
      "esrun log --output jsonl shows the ids of events")
  end
  return named.correlation_id
end

local function draw(out, es, filter)
  local children, known, all = {}, {}, {}
  for event in es:events(filter) do
    known[event.event_id] = true
    local cause = event.causation_id
    if cause then
      children[cause] = children[cause] or {}
      table.insert(children[cause], event)
    end
    all[#all + 1] = event
  end
  -- A chain may be longer than Lua's stack is deep, so the way down is a list.
  local waiting = {}
  for position = #all, 1, -1 do
    local cause = all[position].causation_id
    if not (cause and known[cause]) then waiting[#waiting + 1] = { event = all[position], depth = 0, lead = "", below = "" } end
  end
  while #waiting > 0 do
    local node = table.remove(waiting)
    out:line("%s%s", node.lead, event_text.sentence(node.event))
    local below, depth = children[node.event.event_id] or {}, node.depth + 1
    for position = #below, 1, -1 do
      local is_last, next_node = position == #below, { event = below[position], depth = depth }
      if depth <= DEPTH_DRAWN then
        next_node.lead = node.below .. (is_last and "└─ " or "├─ ")
        next_node.below = node.below .. (is_last and "   " or "│  ")
      else
        next_node.lead, next_node.below = ("%s%d: "):format(node.below, depth), node.below
      end
      waiting[#waiting + 1] = next_node
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
  local filter = { correlation_id = find(es, id), form = out.mode ~= "table" and "log" or nil }
  if out.mode ~= "table" then
    local add = out:json_list()
    for event in es:events(filter) do add(event) end
    add(nil)
  elseif args.flat then
    for event in es:events(filter) do out:line("%s", event_text.sentence(event)) end
  else
    draw(out, es, filter)
  end
  return 0, scope
end

return trace
