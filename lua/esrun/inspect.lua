-- esrun.inspect: values as people read them, in the words of Lua, for the REPL and for failed expectations. Knows esrun's null
-- and nothing else of it.

local core = require "esrun.core"

local WIDTH, DEPTH_MAX = 100, 16

local KEYWORDS = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true until while")
  :gmatch "%a+" do
  KEYWORDS[word] = true
end

local function is_name(key) return type(key) == "string" and key:find "^[%a_][%w_]*$" and not KEYWORDS[key] end

-- Bytes that could steer a terminal never reach it.
local function quote(text)
  local quoted = ("%q"):format(text):gsub("\\\n", "\\n"):gsub("\r", "\\r"):gsub("\t", "\\t")
  return (quoted:gsub("[\0-\31\127]", function(char) return ("\\%d"):format(char:byte()) end)
    :gsub("\xC2[\x80-\x9F]", function(pair) return ("\\%d\\%d"):format(pair:byte(1, 2)) end))
end

-- Numbers, then text, then the rest, each in order.
local function sorted_keys(from)
  local keys = {}
  for key in next, from do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    local first, second = type(a), type(b)
    if first ~= second then return first == "number" or first == "string" and second ~= "number" end
    if first == "number" or first == "string" then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys
end

local function key_text(key)
  if is_name(key) then return key .. " = " end
  return ("[%s] = "):format(type(key) == "string" and quote(key) or tostring(key))
end

local write

local function items_of(value, indent, seen)
  local items, length = {}, rawlen(value)
  for index = 1, length do items[index] = write(rawget(value, index), indent .. "  ", seen) end
  for _, key in ipairs(sorted_keys(value)) do
    if math.type(key) ~= "integer" or key < 1 or key > length then
      items[#items + 1] = key_text(key) .. write(rawget(value, key), indent .. "  ", seen)
    end
  end
  return items
end

local function write_table(value, indent, seen)
  if seen[value] then return "{ … itself … }" end
  if #indent > 2 * DEPTH_MAX then return "{ … }" end
  seen[value] = true
  local items = items_of(value, indent, seen)
  seen[value] = nil
  if #items == 0 then return "{}" end
  local line = "{ " .. table.concat(items, ", ") .. " }"
  if #indent + #line <= WIDTH and not line:find("\n", 1, true) then return line end
  return ("{\n%s  %s,\n%s}"):format(indent, table.concat(items, ",\n" .. indent .. "  "), indent)
end

function write(value, indent, seen)
  if value == core.null then return "null" end
  if type(value) == "string" then return quote(value) end
  if type(value) == "table" then
    local meta = getmetatable(value)
    if type(meta) == "table" and rawget(meta, "__tostring") then return tostring(value) end
    return write_table(value, indent, seen)
  end
  return tostring(value)
end

--- The value as text, over lines where one would be long.
---@param value any
---@return string
return function(value) return write(value, "", {}) end
