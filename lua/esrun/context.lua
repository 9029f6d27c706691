-- esrun.context: `es.context` of one runtime: who acts, for which tenant, in which request. Only code that has the runtime
-- can enter a frame; domain code never does.

local errors = require "esrun.errors"
local frame = require "esrun.frame"

local NO_OTHERS = {}

---@class esrun.Scope
---@field leave fun(self: esrun.Scope) leaves the frame; raises when it is not the innermost one

---@class esrun.Context
---@overload fun(): esrun.CurrentContext
local Context = {}

local context = {}

local function enter(handle, given, guarded, what)
  if type(given) ~= "table" then error(("%s: frame expected, got %s"):format(what, type(given)), 3) end
  local scope, message, code, details = handle:enter(frame.take(given, NO_OTHERS, what, 4) or {}, guarded)
  if not scope then errors.raise(message, code, details) end
  return scope
end

-- One per runtime; closes over the handle so that `es.context.run(…)` needs no self.
function context.new(handle)
  local of = {}

  --- Calls f(...) inside a frame and returns what it returns. Whatever happens in f, what was in force before is in
  --- force again afterwards; frames that f left behind are an error. May yield.
  ---@param given esrun.Frame
  ---@param f function
  function of.run(given, f, ...)
    errors.check_function("es.context.run: f", f)
    local _ <close> = enter(handle, given, true, "es.context.run")
    return f(...)
  end

  --- Enters a frame until the scope is closed: `local scope <close> = es.context.enter { actor_id = "user:jane" }`.
  --- Raises for a malformed frame, so that no code runs as somebody else by accident.
  ---@param given esrun.Frame
  ---@return esrun.Scope
  function of.enter(given)
    local scope = enter(handle, given, false, "es.context.enter") -- no tail call: an error blames the caller
    return scope
  end

  --- A copy of what is in force; absent members are nil. `es.context()` is the same.
  ---@return esrun.CurrentContext
  function of.current()
    local current, message, code, details = handle:context()
    if not current then errors.raise(message, code, details) end
    return current
  end

  --- The number of frames now: 0 when all were left.
  ---@return integer
  function of.depth() return handle:context_depth() end

  return setmetatable(of, Context)
end

function Context.__call(self) return self.current() end

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

return context
