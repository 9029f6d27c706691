-- esrun.cli.probes: tries out the known defects of Lua 5.4.4 that can be tried without a crash.

local probes = {}

-- More than 256 constants push an operand out of the instruction.
local function bad_constant_folding()
  local lines = { "local t = {" }
  for number = 1, 300 do lines[#lines + 1] = ("%d.5,"):format(number) end
  lines[#lines + 1] = "} return 1 ~ (2 or 3)"
  local chunk = load(table.concat(lines, "\n"), "=probe", "t", {})
  return chunk and chunk() ~= 3
end

local function bad_environment_index()
  return not pcall(load("return _ENV[1 < 2]", "=probe", "t", {}))
end

-- Leaving a generic for by `break` must close the iteration's fourth value.
local function break_skips_close()
  local closed = false
  local function iterate()
    local value <close> = setmetatable({}, { __close = function() closed = true end })
    for _ in next, { 1 }, nil, value do
      if value then break end
    end
    return closed
  end
  return not iterate()
end

--- What this Lua gets wrong, in words; empty when nothing.
---@return string[]
function probes.lua_defects()
  local found = {}
  if bad_constant_folding() then found[#found + 1] = "1 ~ (2 or 3) is wrong in a chunk of over 256 constants" end
  if bad_environment_index() then found[#found + 1] = "_ENV[1 < 2] raises" end
  if break_skips_close() then found[#found + 1] = "break can leave a generic for without closing its value" end
  return found
end

return probes
