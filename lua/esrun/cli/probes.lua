-- esrun.cli.probes: known defects: those of Lua 5.4.4 are tried out where that needs no crash, SQLite's are told by its
-- version. And when a disk is too full. Knows no runtime.

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

local SQLITE_DEFECTS = {
  { before = { 3, 37, 2 }, what = "a rolled back savepoint can damage a database whose journals are in memory" },
  { before = { 3, 51, 3 }, what = "two checkpoints at once can, very rarely, damage a database in WAL mode" },
}

local function older(version, than)
  for i = 1, 3 do
    if version[i] ~= than[i] then return version[i] < than[i] end
  end
  return false
end

--- What SQLite of this version ("3.40.1") is known to get wrong, unless whoever built it has corrected it.
---@param version string
---@return string[]
function probes.sqlite_defects(version)
  local numbers, found = {}, {}
  for number in version:gmatch("%d+") do numbers[#numbers + 1] = math.tointeger(tonumber(number)) end
  for i = 1, 3 do numbers[i] = numbers[i] or 0 end
  for _, defect in ipairs(SQLITE_DEFECTS) do
    if older(numbers, defect.before) then found[#found + 1] = defect.what end
  end
  return found
end

local LEAST_SHARE, WAL_TIMES = 0.05, 4 -- of the disk; of the WAL, which grows while somebody reads

--- Why this much free space is too little for a store whose WAL has this size, or nil. All in bytes.
---@param free integer
---@param total integer
---@param wal integer
---@return string?
function probes.short_of_space(free, total, wal)
  if free < WAL_TIMES * wal then return "that is less than four times the store's WAL" end
  if free < LEAST_SHARE * total then return "that is less than 5 % of it" end
  return nil
end

return probes
