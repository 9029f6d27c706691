-- esrun.actor: actor ids by kind. Makes text only; whether a project allows an id is checked where a frame is entered.

local core = require "esrun.core"

---@class esrun.actor
local actor = {}

local function constructor(kind)
  return function(name)
    if type(name) ~= "string" or name == "" then
      error(("esrun.actor.%s: name expected, got %s"):format(kind, name == "" and "an empty string" or type(name)), 2)
    end
    return kind .. ":" .. name
  end
end

--- A person: `actor.user "jane"` is "user:jane". An opaque id, never an email address.
---@type fun(name: string): string
actor.user = constructor "user"
--- A service account.
---@type fun(name: string): string
actor.service = constructor "service"
--- An API key.
---@type fun(name: string): string
actor.api = constructor "api"
--- A background process.
---@type fun(name: string): string
actor.system = constructor "system"
--- A scheduled job.
---@type fun(name: string): string
actor.cron = constructor "cron"
--- An external system calling in.
---@type fun(name: string): string
actor.webhook = constructor "webhook"
--- A data import.
---@type fun(name: string): string
actor.import = constructor "import"

--- Somebody who is known not to be known; differs from no actor at all.
function actor.anonymous() return "anonymous" end

--- Takes an actor id apart.
---@param id string
---@return string? kind "user", …, or "anonymous"
---@return string? name nil for "anonymous"; the message when the id is malformed, of an unknown kind, or has an '@'
---@return string? code
---@return esrun.Details? details
function actor.parse(id)
  return core.parse_actor(id)
end

return actor
