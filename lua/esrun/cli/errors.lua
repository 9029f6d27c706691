-- esrun.cli.errors: how a command fails: by raising a failure, which the top turns into `esrun: what: why`, a hint and an
-- exit status. Nobody sees a traceback.

local errors = {}

---@class esrun.cli.Failure
---@field message string
---@field hint? string
---@field exit_status integer

local Failure = { __name = "failure", __tostring = function(self) return self.message end }

--- Raises a failure.
function errors.fail(exit_status, message, hint)
  error(setmetatable({ message = message, hint = hint, exit_status = exit_status }, Failure), 0)
end

--- A usage error, exit status 2.
function errors.usage(message, hint)
  errors.fail(2, message, hint)
end

--- Refuses options that would be ignored. `args` are the parsed ones.
---@param names string[] as they are written, with dashes
---@param rule string what they go with, or not with
function errors.refuse(args, names, rule)
  for _, name in ipairs(names) do
    local value = args[(name:gsub("^%-+", ""):gsub("%-", "_"))]
    if value and not (type(value) == "table" and #value == 0) then errors.usage(("%s goes %s"):format(name, rule)) end
  end
end

--- Passes on the values of a call that succeeded; raises a failure for nil, message, code, details.
function errors.check(value, message, code, details)
  if value ~= nil and value ~= false then return value, message, code, details end
  errors.fail(details and details.exit_status or 1, message or "failed", details and details.hint)
end

-- A message of domain code may have several lines; an error is one.
local function one_line(text)
  return text and (text:gsub("%s*\n%s*", " "))
end

--- What was raised, as a failure: ours, an esrun error, or something that should not happen.
function errors.as_failure(raised)
  if type(raised) == "table" and raised.message and raised.exit_status then
    return { message = one_line(raised.message), hint = one_line(raised.hint), exit_status = raised.exit_status }
  end
  return {
    message = "internal error: " .. one_line(tostring(raised)), exit_status = 1, hint = "this is a defect of esrun itself",
  }
end

return errors
