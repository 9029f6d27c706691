-- esrun.context: for editors; made from the comments of lua/esrun/context.lua by cmake/annotate.lua.
---@meta esrun.context

---@class esrun.Scope
---@field leave fun(self: esrun.Scope) leaves the frame; raises when it is not the innermost one

---@class esrun.Context
---@overload fun(): esrun.CurrentContext
local Context = {}

--- Calls f(...) inside a frame and returns what it returns. Whatever happens in f, what was in force before is in
--- force again afterwards; frames that f left behind are an error. May yield.
---@param given esrun.Frame
---@param f function
function Context.run(given, f, ...) end

--- Enters a frame until the scope is closed: `local scope <close> = es.context.enter { actor_id = "user:jane" }`.
--- Raises for a malformed frame, so that no code runs as somebody else by accident.
---@param given esrun.Frame
---@return esrun.Scope
function Context.enter(given) end

--- A copy of what is in force; absent members are nil. `es.context()` is the same.
---@return esrun.CurrentContext
function Context.current() end

--- The number of frames now: 0 when all were left.
---@return integer
function Context.depth() end

---@class esrun.CurrentContext
---@field actor_id? string
---@field tenant_id? string
---@field request_id? string
---@field correlation_id? string
---@field causation_id? string
---@field roles string[]
---@field permissions string[]
---@field metadata table
---@field operator_scope boolean
---@field depth integer

return Context
