-- helper: what every busted run needs first: the right Lua, the host module on the path, and assert.exactly.
-- Run by `./dev test`, which sets ESRUN_LUA_CPATH (where esrun.so is) and ESRUN_BIN (the command). Knows no domain.
assert(_VERSION == "Lua 5.4", "the specs run in Lua 5.4, this is " .. _VERSION .. ": use lua5.4 /usr/bin/busted")

-- esrun.lua, beside esrun.so, is found before a project's settings of that name.
local module = os.getenv("ESRUN_LUA_CPATH")
if module then
  package.cpath = module .. ";" .. package.cpath
  package.path = module:gsub("%.so", ".lua") .. ";" .. package.path
end

io.stdout:setvbuf("line") -- so that what was printed is not lost when the sanitizer ends the process over a leak

local luassert = require "luassert"
local say = require "say"

-- assert.same({1}, {1.0}) passes; these do not: integers differ from floats, and metatables count.
local function exactly(a, b)
  if type(a) ~= type(b) or math.type(a) ~= math.type(b) then return false end
  if type(a) ~= "table" then return rawequal(a, b) or a ~= a and b ~= b end
  if getmetatable(a) ~= getmetatable(b) then return false end
  for key, value in next, a do
    if not exactly(value, rawget(b, key)) then return false end
  end
  for key in next, b do
    if rawget(a, key) == nil then return false end
  end
  return true
end

say:set("assertion.exactly.positive", "Expected exactly this (number types and metatables count).\nPassed in:\n%s\nExpected:\n%s")
say:set("assertion.exactly.negative", "Expected anything but exactly this:\n%s\n%s")
luassert:register("assertion", "exactly", function(_, arguments) return exactly(arguments[1], arguments[2]) end,
  "assertion.exactly.positive", "assertion.exactly.negative")
