--- es: what domain modules are written with. Declarations and values only; nothing here acts.
-- Runs as trusted code inside a domain state; knows nothing of stores or context.
local place = require "es.place"
local support = require "es.support"

local es = {}

--- JSON's null, distinct from an absent field.
es.null = support.null

--- A list, so that an empty one stays `[]`.
-- @param items table|nil: the elements, 1..n; the same table is returned
function es.array(items)
  return support.new_array(items or {})
end

local Aggregate = { __name = "es.aggregate" }

--- Declares an aggregate. Fill in `events`, `initial`, `apply`, `commands` and return it from the module.
-- @param name string: the aggregate type, e.g. "Document"
function es.aggregate(name)
  if type(name) ~= "string" or not name:find "^[%a][%w_.-]*$" then
    error("es.aggregate: the type must be a name such as \"Document\"", 2)
  end
  return place.note(setmetatable({ name = name }, Aggregate))
end

--- True for a table made by es.aggregate.
function es.is_aggregate(value)
  return type(value) == "table" and getmetatable(value) == Aggregate
end

es.projection = require "es.projection".declare

-- The methods are a table of their own: through an event nobody reaches the metatable, and so no `__gc` to set there.
local methods = {}
local Event = { __name = "es.new_event", __index = methods }

local function copy(from)
  local out = {}
  for key, value in pairs(from) do
    out[key] = value
  end
  return out
end

-- The module's line that made an event, for errors; none after a tail call (`return es.event(…)`), which leaves no frame.
local function line_of_caller()
  local at = support.caller(3)
  return at and not at:find("^lua/es/") and at or nil
end

--- A new event for a decision to return. Immutable: with_* return a new one.
-- @param event_type string: declared in the aggregate's `events`
-- @param data table|nil: its fields
function es.event(event_type, data)
  if type(event_type) ~= "string" then
    error("es.event: the event type must be a string", 2)
  end
  if data ~= nil and type(data) ~= "table" then
    error("es.event(\"" .. event_type .. "\"): data must be a table", 2)
  end
  return setmetatable({ event_type = event_type, data = data or {}, at = line_of_caller() }, Event)
end

--- The same event with these metadata names added or replaced.
function methods:with_metadata(fields)
  if type(fields) ~= "table" then
    error("with_metadata: expected a table of names and values", 2)
  end
  local out = setmetatable(copy(self), Event)
  out.metadata = copy(self.metadata or {})
  for key, value in pairs(fields) do
    out.metadata[key] = value
  end
  return out
end

--- The same event, caused by `cause`: an event that the runtime handed out. It takes over its correlation.
function methods:with_causation(cause)
  local handed_out = support.is_event(cause)
    or (type(cause) == "table" and support.is_uuid(cause.event_id) and support.is_uuid(cause.correlation_id))
  if not handed_out then
    error("with_causation: expected an event that the runtime handed out", 2)
  end
  local out = setmetatable(copy(self), Event)
  out.causation_id, out.correlation_id = cause.event_id, cause.correlation_id
  return out
end

methods.caused_by = methods.with_causation

--- True for an event made by es.event.
function es.is_event(value)
  return type(value) == "table" and getmetatable(value) == Event
end

local Rejection = { __name = "es.rejection" }

--- Refuses a command as a value.
-- @param code string: a stable word for programs, e.g. "already_exists"
-- @param message string|nil: for people
function es.reject(code, message)
  if type(code) ~= "string" or not code:find "^[%a][%w_]*$" or #code > 63 then
    error("es.reject: the code must be a word such as \"already_exists\", of at most 63 letters", 2)
  end
  if message ~= nil and type(message) ~= "string" then
    error("es.reject: the message must be a string", 2)
  end
  return setmetatable({ code = code, message = message or code }, Rejection)
end

--- True for a value made by es.reject.
function es.is_rejection(value)
  return type(value) == "table" and getmetatable(value) == Rejection
end

if support.test_random then
  es.test_random = support.test_random
end

return es
