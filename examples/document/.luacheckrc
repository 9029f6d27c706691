-- luacheck: Lua 5.4 for scripts, busted's words for specifications, and for domain code only the names that a domain state
-- has, so that os.time() there is flagged before it fails.
std = "lua54"
max_line_length = 130

local function fields(...)
  local out = {}
  for _, name in ipairs({ ... }) do out[name] = {} end
  return { fields = out }
end

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

files["aggregates"] = { std = "domain" }
files["projections"] = { std = "domain" }
files["lib"] = { std = "domain" }
files["spec"] = { std = "lua54+busted" }
