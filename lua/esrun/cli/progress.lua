-- esrun.cli.progress: rate, share and time left on stderr: only on a terminal, and only once the work takes long.

local system = require "esrun.system"

local QUIET_SECONDS, EVERY_SECONDS = 1, 0.2

--- A progress function, and a function that wipes the line; without a terminal nil and a function that does nothing.
---@param what string
---@return (fun(done: integer, total: integer))?, fun()
return function(what)
  if not system.is_terminal(2) then return nil, function() end end
  local started = system.seconds()
  local shown
  local function progress(done, total)
    local now = system.seconds()
    local elapsed = now - started
    if elapsed < QUIET_SECONDS or shown and now - shown < EVERY_SECONDS then return end
    shown = now
    local rate = done / elapsed
    local left = rate > 0 and (total - done) / rate or 0
    io.stderr:write(("\r\27[K%s: %d of %d (%d %%), %d/s, %d s left"):format(
      what, done, total, total > 0 and done * 100 // total or 100, rate // 1 | 0, left // 1 | 0))
  end
  return progress, function()
    if shown then io.stderr:write("\r\27[K") end
  end
end
