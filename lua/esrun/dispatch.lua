-- esrun.dispatch: which aggregate's command a module dispatches under a name. A runtime is asked once, and again after its
-- modules were reloaded.

local core = require "esrun.core"

local dispatch = {}
local known = setmetatable({}, { __mode = "k" }) -- by runtime: its commands by dispatch name, and the names in order

local function read(es)
  local description, message, code, details = es:describe()
  if not description then return nil, message, code, details end
  local found = { commands = {}, names = {} }
  for aggregate_type, aggregate in pairs(description.aggregates) do
    for command, about in pairs(aggregate.commands) do
      if type(about.dispatch) == "string" then
        found.commands[about.dispatch] = { aggregate_type, command }
        found.names[#found.names + 1] = about.dispatch
      end
    end
  end
  table.sort(found.names)
  known[es] = found
  return found
end

--- The aggregate type and the command of a dispatch name.
---@param es esrun.Runtime
---@param name string
---@return string? aggregate_type
---@return string command or the message
---@return string? code
---@return esrun.Details? details
function dispatch.find(es, name)
  local found, message, code, details = known[es], nil, nil, nil
  if not found then found, message, code, details = read(es) end
  if not found then return nil, message, code, details end
  local target = found.commands[name]
  if target then return target[1], target[2] end
  return nil, ("no command is dispatched as \"%s\""):format(name), "unknown_command", {
    status = "usage", exit_status = core.statuses.usage,
    hint = #found.names > 0 and "known: " .. table.concat(found.names, ", ")
      or "give a command `dispatch = \"ShipOrder\"`",
  }
end

--- The modules may have changed.
---@param es esrun.Runtime
function dispatch.forget(es) known[es] = nil end

return dispatch
