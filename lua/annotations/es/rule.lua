-- es.rule: for editors: the words that authorization is written in.
---@meta es.rule

---@alias es.Rule fun(state: table, cmd: table, ctx: es.Context): boolean, string?, string?

---@class es.rule
local rule = {}

--- Everybody, also without an actor.
---@type es.Rule
function rule.anyone() end

--- Nobody: what a command without `allow` has.
---@type es.Rule
function rule.nobody() end

--- Any actor but none and "anonymous".
---@type es.Rule
function rule.authenticated(_, _, ctx) end

--- An actor with at least one of the roles.
---@param ... string
---@return es.Rule
function rule.role(...) end

--- An actor who holds the permission, directly or as a role of that name.
---@param name string
---@return es.Rule
function rule.permission(name) end

--- The actor whose id the state holds in `field`.
---@param field string
---@param message? string
---@return es.Rule
function rule.owner(field, message) end

--- Actors of these kinds: the word before the colon.
---@param ... string
---@return es.Rule
function rule.actor_kind(...) end

--- At least one of the rules.
---@param ... es.Rule
---@return es.Rule
function rule.any(...) end

--- Every one of the rules; the first that refuses answers.
---@param ... es.Rule
---@return es.Rule
function rule.all(...) end

--- None of the rules.
---@param ... es.Rule
---@return es.Rule
function rule.none_of(...) end

--- The same rule with a refusal in other words.
---@param inner es.Rule
---@param text string
---@return es.Rule
function rule.message(inner, text) end

--- A rule in words.
---@param fn? es.Rule
---@return string
function rule.describe(fn) end

return rule
