--- es.import_map: asks an import's mapping what a row means, and checks its answer. Trusted code inside a domain state; the
-- engine (C) calls it. Knows no store and no files.
local support = require "es.support"
local kernel = require "es.kernel"

local import_map = {}

local MEMBERS = {
  aggregate_type = "string", aggregate_id = "string", event_type = "string", data = "table", occurred_at = "string",
  id = "string", actor_id = "string",
}
local REQUIRED = { "aggregate_type", "aggregate_id", "event_type", "data" }

local function refuse(format, ...)
  support.raise { status = "lua", code = "bad_mapping", message = "the mapping's answer: " .. format:format(...),
    hint = "map(row, ctx) returns { aggregate_type, aggregate_id, event_type, data, occurred_at?, id?, actor_id? }, "
      .. "a list of them, or nil" }
end

--- Checks an event.
-- @return a plain table of its members, its schema version, and the plan that fits its data
function import_map.check(answer)
  local event = {}
  if type(answer) ~= "table" then
    refuse("a table is expected, not a %s", type(answer))
  end
  for name in pairs(answer) do
    if math.type(name) == "integer" and type(answer[name]) == "table" then -- no event, but what came behind nothing
      refuse("a list whose first entry is nil")
    elseif not MEMBERS[name] then
      refuse("unknown member '%s'", tostring(name))
    end
  end
  for name in pairs(MEMBERS) do
    local value = answer[name]
    event[name] = value
    if value ~= nil and type(value) ~= MEMBERS[name] then
      refuse("%s must be a %s, not a %s", name, MEMBERS[name], type(value))
    end
  end
  for _, name in ipairs(REQUIRED) do
    if event[name] == nil then
      refuse("%s is missing", name)
    end
  end
  for name in pairs(event.data) do
    if type(name) == "string" and name:sub(1, 1) == "$" then
      refuse("data.%s: names that begin with $ belong to the runtime", name)
    end
  end
  if event.occurred_at and not support.is_time(event.occurred_at) then
    refuse("occurred_at is not a time such as 2024-01-15T10:30:00Z: '%s'", event.occurred_at)
  end
  local version = kernel.given(event.aggregate_type, event.event_type, 0, event.data)
  return event, version, kernel.event_plan(event.aggregate_type, event.event_type)
end

--- What the mapping module returned must be the function.
function import_map.take(map)
  map = support.unwrap(map)
  if type(map) ~= "function" then
    support.raise { status = "lua", code = "bad_mapping",
      message = "the module must return function map(row, ctx), not a " .. type(map) }
  end
  return map
end

--- The events that an answer stands for: a list, empty for a row that is none.
function import_map.list(answer)
  if answer == nil then
    return {}
  end
  if type(answer) == "table" and answer[1] ~= nil then
    local events = {}
    for position, event in ipairs(answer) do
      events[position] = event
    end
    for name in pairs(answer) do
      if events[name] == nil and math.type(name) == "integer" then
        refuse("a list with a hole before its entry %d", name)
      elseif events[name] == nil then
        refuse("unknown member '%s' beside a list", tostring(name))
      end
    end
    return events
  end
  return { answer }
end

return import_map
