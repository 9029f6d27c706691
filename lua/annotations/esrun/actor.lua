-- esrun.actor: for editors; made from the comments of lua/esrun/actor.lua by cmake/annotate.lua.
---@meta esrun.actor

---@class esrun.actor
local actor = {}

--- A person: `actor.user "jane"` is "user:jane". An opaque id, never an email address.
---@type fun(name: string): string
actor.user = nil

--- A service account.
---@type fun(name: string): string
actor.service = nil

--- An API key.
---@type fun(name: string): string
actor.api = nil

--- A background process.
---@type fun(name: string): string
actor.system = nil

--- A scheduled job.
---@type fun(name: string): string
actor.cron = nil

--- An external system calling in.
---@type fun(name: string): string
actor.webhook = nil

--- A data import.
---@type fun(name: string): string
actor.import = nil

--- Somebody who is known not to be known; differs from no actor at all.
function actor.anonymous() end

--- Takes an actor id apart.
---@param id string
---@return string? kind "user", …, or "anonymous"
---@return string? name nil for "anonymous"; the message when the id is malformed, of an unknown kind, or has an '@'
---@return string? code
---@return esrun.Details? details
function actor.parse(id) end

return actor
