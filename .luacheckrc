-- luacheck: Lua 5.4 everywhere, and for domain code only the names its sandbox has, so that os.time() there is flagged.
std = "lua54"
max_line_length = 130
self = false
ignore = { "512" } -- a loop left in its first round: how the first of an iterator is taken
exclude_files = { "build" }

local function fields(...)
  local out = {}
  for _, name in ipairs({ ... }) do out[name] = {} end
  return { fields = out }
end

-- The environment of domain states (docs/reference/lua-api.md); no clock, no randomness, no input or output.
stds.domain = {
  read_globals = {
    "_VERSION", "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "rawlen",
    "require", "select", "setmetatable", "tonumber", "tostring", "type", "xpcall",
    math = fields("abs", "acos", "asin", "atan", "ceil", "cos", "deg", "exp", "floor", "fmod", "huge", "log", "max",
      "maxinteger", "min", "mininteger", "modf", "pi", "rad", "sin", "sqrt", "tan", "tointeger", "type", "ult"),
    string = fields("byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "rep", "reverse", "sub",
      "upper"),
    table = fields("concat", "insert", "move", "pack", "remove", "sort", "unpack"),
    utf8 = fields("char", "charpattern", "codepoint", "codes", "len", "offset"),
  },
}

for _, folder in ipairs({ "aggregates", "projections", "examples/*/aggregates", "examples/*/projections" }) do
  files[folder .. "/**/*.lua"] = { std = "domain" }
end

files["lua/annotations"] = { unused_args = false, ignore = { "241" } } -- functions without bodies, classes without use
files["lua/esrun/cli/run.lua"] = { globals = { "arg" } } -- which a script finds its arguments in
files["lua/esrun/coroutine.lua"] = { globals = { "coroutine" } } -- whose job is to wrap it
files["tests"] = { std = "lua54+busted" }
files["examples/*/spec"] = { std = "lua54+busted" }
