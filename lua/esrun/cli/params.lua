-- esrun.cli.params: a command's parameters from the words of a command line: name=value read as the module declares it,
-- name:=JSON, - for JSON on stdin, @file for JSON in a file.

local core = require "esrun.core"
local errors = require "esrun.cli.errors"

local params = {}

local TEXT = { string = true, uuid = true, timestamp = true, enum = true }
local JSON_ONLY = { list = true, table = true, map = true }

local function decode(text, where)
  local value, message, code, details = core.decode(text)
  if value ~= nil then return value end
  errors.fail(details.exit_status, ("%s: %s"):format(where, message), code == "malformed_json" and
    "JSON has double quotes around names and strings; a shell wants single quotes around all of it" or details.hint)
end

-- A value by its declared kind. What does not fit is passed on as text: the runtime then says which type it expected.
local function read_value(name, text, declared)
  local kind = declared and declared.type
  if kind == nil or TEXT[kind] then return text end
  if JSON_ONLY[kind] then return decode(text, name) end
  if kind == "boolean" then
    if text == "true" then return true elseif text == "false" then return false end
    return text
  end
  local value, message, code, details = core.decode(text)
  if code == "json_number_range" then errors.fail(details.exit_status, ("params.%s: %s"):format(name, message)) end
  if value == nil or kind ~= "any" and type(value) ~= "number" then return text end
  return value
end

local function read_all(word)
  if word == "-" then return assert(io.read("a")), "standard input" end
  local path = word:sub(2)
  local file, why = io.open(path, "rb")
  local text = file and file:read("a")
  if file then file:close() end
  if not text then errors.usage(("cannot read the parameters: %s"):format(why or path .. ": not a file")) end
  return text, path
end

local function add_object(out, word)
  local text, where = read_all(word)
  local object = decode(text, where)
  if type(object) ~= "table" or getmetatable(object) == getmetatable(core.array {}) then
    errors.usage(where .. ": the parameters must be a JSON object", 'such as {"title": "Notes"}')
  end
  for name, value in pairs(object) do out[name] = value end
end

--- The parameters that these words give.
---@param words string[]
---@param declared table<string, table> the command's parameters as `es:describe()` tells them
function params.read(words, declared)
  local out, given = {}, {}
  for _, word in ipairs(words) do
    local name, raw, text = word:match("^([^=:]+)(:?)=(.*)$")
    if word == "-" or word:sub(1, 1) == "@" then
      add_object(out, word)
    elseif not name then
      errors.usage(("parameter '%s' is not name=value"):format(word), "write name=value, name:=JSON, - or @file")
    elseif given[name] then
      errors.usage(("parameter %s is given twice"):format(name))
    else
      given[name] = true
      if raw == ":" then
        out[name] = decode(text, name)
      else
        out[name] = read_value(name, text, declared[name])
      end
    end
  end
  return out
end

return params
