-- esrun.frame: the table that describes a context frame in Lua, turned into what the core takes.

local core = require "esrun.core"

local frame = {}

---@class esrun.Frame
---@field actor_id? string who acts; a frame that names an actor starts without roles, permissions and authentication facts
---@field tenant_id? string
---@field roles? string[]
---@field permissions? string[]
---@field request_id? string made for the outermost frame when absent
---@field correlation_id? string a UUID
---@field causation_id? string a UUID: the event that led here
---@field operator_scope? boolean may read across tenants and past `view` rules; never inherited
---@field metadata? table<string, string|number|boolean> goes into every event; esrun.null removes an inherited name
---@field ip_address? string the following are well-known names of the metadata
---@field user_agent? string
---@field trace_id? string
---@field span_id? string
---@field trace_flags? string
---@field auth_method? string
---@field token_id? string
---@field session_id? string
---@field mfa_verified? boolean
---@field os_user? string

local MEMBERS = {
  actor_id = true, tenant_id = true, roles = true, permissions = true, request_id = true, correlation_id = true,
  causation_id = true, operator_scope = true, metadata = true,
}
local METADATA = {
  ip_address = true, user_agent = true, trace_id = true, span_id = true, trace_flags = true, auth_method = true,
  token_id = true, session_id = true, mfa_verified = true, os_user = true,
}

-- The metadata with the well-known names that were given beside it.
local function with_well_known(metadata, given)
  local merged
  for name in pairs(METADATA) do
    local value = given[name]
    if value ~= nil then
      if not merged then
        merged = {}
        for key, inner in pairs(type(metadata) == "table" and metadata or {}) do merged[key] = inner end
      end
      if value == core.none then value = core.null end
      merged[name] = value
    end
  end
  return merged or metadata
end

--- Takes the frame's fields out of a table; the other fields must be in `others`.
---@param given table
---@param others table<string, boolean> other names that are fine
---@param what string names the call in an error
---@param level? integer whom the error blames; 3: the caller's caller
---@return table? members for the core; nil when the table has no field of a frame
function frame.take(given, others, what, level)
  local members
  if type(given) ~= "table" then error(("%s: table expected, got %s"):format(what, type(given)), level or 3) end
  for name, value in pairs(given) do
    if MEMBERS[name] or METADATA[name] then
      members = members or {}
      members[name] = value
    elseif not others[name] then
      error(("%s: unknown field '%s'"):format(what, tostring(name)), level or 3)
    end
  end
  if members and members.metadata == core.none then
    for name in pairs(METADATA) do
      if members[name] ~= nil then error(("%s: metadata is none, so %s cannot be given"):format(what, name), level or 3) end
    end
  end
  if members then members.metadata = with_well_known(members.metadata, members) end
  return members
end

return frame
