-- esrun.coroutine: coroutines start with a copy of their creator's context and change nothing outside themselves, as with
-- Python's contextvars. Replaces create, wrap, resume and close in the coroutine library, and nothing else. Code that took
-- these functions into locals before `require "esrun"` goes on without it.

local core = require "esrun.core"

local native_create, native_resume, native_close = coroutine.create, coroutine.resume, coroutine.close
local native_status = coroutine.status

-- What is in force for each coroutine while it does not run; what was outside while it does.
local stacks_of = setmetatable({}, { __mode = "k" })

local function back(stacks, ...)
  core.exchange(stacks)
  return ...
end

function coroutine.create(f)
  local co = native_create(f)
  stacks_of[co] = core.capture()
  return co
end

function coroutine.resume(co, ...)
  local stacks = stacks_of[co]
  if not stacks and type(co) == "thread" then -- made before this module, or by C: its creator is whoever starts it
    stacks = core.capture()
    stacks_of[co] = stacks
  end
  if not stacks or native_status(co) ~= "suspended" then return native_resume(co, ...) end
  core.exchange(stacks)
  return back(stacks, native_resume(co, ...))
end

-- The to-be-closed variables of a coroutine are closed in its own context.
function coroutine.close(co)
  local stacks = stacks_of[co]
  local status = stacks and native_status(co)
  if status ~= "suspended" and status ~= "dead" then return native_close(co) end
  core.exchange(stacks)
  return back(stacks, native_close(co))
end

local function unwrap(co, ok, ...)
  if ok then return ... end
  coroutine.close(co)
  error((...), 0)
end

function coroutine.wrap(f)
  local co = coroutine.create(f)
  return function(...) return unwrap(co, coroutine.resume(co, ...)) end
end
