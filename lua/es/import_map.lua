--- es.import_map: asks an import's mapping what a row means, and checks its answer. Trusted code inside a domain state; the
-- engine (C) calls it. Knows no store and no files.
local support = require "es.support"
local kernel = require "es.kernel"

local import_map = {}

local MEMBERS = {
  aggregate_type = "string", aggregate_id = "string", event_type = "string", data = "table", occurred_at = "string",
  id = "string", actor_id = "string",
}
local NAMES = { "actor_id", "aggregate_id", "aggregate_type", "data", "event_type", "id", "occurred_at" }
local REQUIRED = { "aggregate_type", "aggregate_id", "event_type", "data" }

local function refuse(format, ...)
  support.raise { status = "lua", code = "bad_mapping", message = "the mapping's answer: " .. format:format(...),
    hint = "map(row, ctx) returns { aggregate_type, aggregate_id, event_type, data, occurred_at?, id?, actor_id? }, "
      .. "a list of them, or nil" }
end

local function check(event)
  if type(event) ~= "table" then
    refuse("a table is expected, not a %s", type(event))
  end
  if not support.only_names(event, MEMBERS) then
    for name in pairs(event) do
      if not MEMBERS[name] then
        refuse("unknown member '%s'", tostring(name))
      end
    end
  end
  for _, name in ipairs(NAMES) do -- `pairs` would sort them for each row
    local value = event[name]
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
  event.schema_version = kernel.given(event.aggregate_type, event.event_type, 0, event.data)
  return event
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

--- The events of one row, checked: a list, empty for a row that is none.
function import_map.run(map, row, ctx)
  local answer = map(row, ctx)
  if answer == nil then
    return {}
  end
  if type(answer) == "table" and answer[1] ~= nil then
    for position, event in ipairs(answer) do answer[position] = check(event) end
    return answer
  end
  return { check(answer) }
end

return import_map
