-- bytecode: compiles one of the runtime's own Lua files ahead of time, for cmake/embed_files.cmake: with line numbers, which
-- errors tell, and without the names of locals and upvalues, whose making takes a third of loading a file; of somebody else's
-- file with neither. Knows the form of Lua 5.4's dumps (ldump.c); nothing of who loads them (runtime/lua/embedded.c).
-- Usage: lua5.4 bytecode.lua NAME FILE OUT [strip]
local name, path, out, strip = ...

-- A cursor over a dump: each function goes behind what it names.
local dump, at

local function number() -- seven bits a byte, the last one marked
  local value = 0
  repeat
    local byte = dump:byte(at)
    value, at = value << 7 | byte & 0x7f, at + 1
  until byte & 0x80 ~= 0
  return value
end

local function bytes(count) at = at + count end

local function text() bytes(math.max(number() - 1, 0)) end

local function list(each)
  for _ = 1, number() do each() end
end

local CONSTANTS = {
  [0x00] = function() end, [0x01] = function() end, [0x11] = function() end, -- nil, false, true
  [0x03] = function() bytes(8) end, [0x13] = function() bytes(8) end,         -- integer, float
  [0x04] = text, [0x14] = text,
}

local parts = {}

local function nested() -- a function; what may go is left out of the parts
  text()                                   -- its source
  number() number() bytes(3)               -- its lines, parameters, stack
  bytes(4 * number())                      -- its code
  list(function() bytes(1) CONSTANTS[dump:byte(at - 1)]() end)
  list(function() bytes(3) end)            -- what its upvalues are
  list(nested)
  bytes(number())                          -- a line for each instruction
  list(function() number() number() end)
  parts[#parts + 1] = dump:sub(parts.from, at - 1)
  list(function() text() number() number() end)
  list(text)
  parts[#parts + 1] = "\x80\x80"           -- no names of locals, none of upvalues
  parts.from = at
end

local function without_names(function_dump)
  dump, at, parts.from = function_dump, 1, 1
  bytes(4 + 1 + 1 + 6 + 3 + 8 + 8 + 1) -- header and number of upvalues
  nested()
  assert(at == #dump + 1, "this is no dump of Lua 5.4")
  return table.concat(parts)
end

local from = assert(io.open(path, "rb"))
local code = string.dump(assert(load(from:read("a"), "=" .. name, "t")), strip == "strip")
from:close()
if strip ~= "strip" then code = without_names(code) end
assert(load(code, "=" .. name, "b"))
local to = assert(io.open(out, "wb"))
assert(to:write(code))
assert(to:close())
