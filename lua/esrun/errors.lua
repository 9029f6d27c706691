-- esrun.errors: the error value of the few calls that raise (iterators, es.context.run): a table that reads as its message; and
-- misuse of a function, which raises at its caller.

local errors = {}

---@class esrun.Details
---@field status string "conflict", "rejected", "denied" … (see esrun.statuses)
---@field exit_status integer
---@field hint? string how to mend it
---@field expected_version? integer
---@field actual_version? integer
---@field position? integer the event at hand

---@class esrun.Error: esrun.Details
---@field message string
---@field code string

local Error = { __name = "esrun error", __tostring = function(self) return self.message end }

--- Raises what a call answered with nil, message, code, details.
---@param message string
---@param code string
---@param details esrun.Details?
function errors.raise(message, code, details)
  local raised = { message = message, code = code }
  for name, value in pairs(details or {}) do raised[name] = value end
  error(setmetatable(raised, Error), 0)
end

--- Raises at the caller's caller for what cannot be called.
---@param what string names the argument
function errors.check_function(what, f)
  local of = getmetatable(f)
  if type(f) ~= "function" and not (type(of) == "table" and of.__call) then
    error(("%s: function expected, got %s"):format(what, type(f)), 3)
  end
end

--- Takes "TYPE/ID" or { type, id } apart; raises at the caller's caller for what is neither.
---@param what string names the function
---@return string aggregate_type
---@return string aggregate_id
function errors.check_target(target, what)
  local aggregate_type, aggregate_id
  if type(target) == "string" then
    aggregate_type, aggregate_id = target:match("^([^/]+)/(.+)$")
  elseif type(target) == "table" then
    aggregate_type, aggregate_id = target[1], target[2]
  end
  if type(aggregate_type) ~= "string" or type(aggregate_id) ~= "string" then
    error(("%s: target expected as \"TYPE/ID\" or { type, id }"):format(what), 3)
  end
  return aggregate_type, aggregate_id
end

--- Raises at the caller's caller for options that are none, or that nobody knows.
---@param known table<string, true>
---@param what string names the function
function errors.check_options(options, known, what)
  if type(options) ~= "table" then error(("%s: table expected, got %s"):format(what, type(options)), 3) end
  for name in pairs(options) do
    if not known[name] then error(("%s: unknown option '%s'"):format(what, tostring(name)), 3) end
  end
end

--- True for a value that errors.raise raised.
function errors.is(value)
  return getmetatable(value) == Error
end

return errors
