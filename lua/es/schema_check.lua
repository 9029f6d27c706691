-- es.schema_check: does a value fit a type that es.schema made? Knows types and values, nothing else. Problems name the
-- path and the types, never the value: what a stranger sent must not end up in an audit record.
--
-- A check returns nothing when the value fits, or a problem { path, expected, got, text } whose path grows on the way
-- out. A second result replaces the value in its parent.

local support = require "es.support"
local nearest = require "es.nearest"

local null, unwrap = support.null, support.unwrap
local concat, sort = table.concat, table.sort

local ARRAY = getmetatable(support.new_array()) -- what marks an array; its metatable hides itself

local checks = {}

local function check(of, value) return checks[of.kind](of, value) end

-- How a type is called in messages, where that is not its kind.
local EXPECTED = { uuid = "uuid (lower case, with hyphens)", timestamp = "timestamp (RFC 3339)", enum = "string" }

local function expected(of) return EXPECTED[of.kind] or of.kind end

-- "list" or "table"; an empty table without mark can be either.
local function is_list(raw) return getmetatable(raw) == ARRAY or rawget(raw, 1) ~= nil end

local function got(value)
  local raw = unwrap(value)
  if raw == null then
    return "null"
  elseif type(raw) == "number" then
    if raw ~= raw then
      return "NaN"
    elseif raw == math.huge or raw == -math.huge then
      return "infinity"
    end
    return math.type(raw) == "integer" and "integer" or "number"
  elseif type(raw) == "table" then
    return is_list(raw) and "list" or "table"
  end
  return type(raw)
end

local function mismatch(of, value, got_instead)
  local is, wanted = got_instead or got(value), expected(of)
  return { path = "", expected = wanted, got = is, text = ("expected %s, got %s"):format(wanted, is) }
end

local function limit_problem(of, value, text)
  return { path = "", expected = expected(of), got = got(value), text = text }
end

local function check_count(of, value, count, unit)
  local text, limit
  if of.min and count < of.min then
    text, limit = "needs at least %d %s, has %d", of.min
  elseif of.max and count > of.max then
    text, limit = "takes at most %d %s, has %d", of.max
  else
    return nil
  end
  return limit_problem(of, value, text:format(limit, limit == 1 and unit or unit .. "s", count))
end

local function check_range(of, value)
  if of.min and value < of.min then
    return limit_problem(of, value, ("must be at least %s"):format(of.min))
  elseif of.max and value > of.max then
    return limit_problem(of, value, ("must be at most %s"):format(of.max))
  end
end

checks.any = function(_, _) end

checks.boolean = function(of, value)
  if type(value) ~= "boolean" then
    return mismatch(of, value)
  end
end

checks.integer = function(of, value)
  if math.type(value) ~= "integer" then
    return mismatch(of, value)
  end
  return check_range(of, value)
end

checks.number = function(of, value)
  if type(value) ~= "number" or value ~= value or value == math.huge or value == -math.huge then
    return mismatch(of, value)
  end
  return check_range(of, value)
end

checks.string = function(of, value)
  if type(value) ~= "string" then
    return mismatch(of, value)
  elseif not support.utf8_valid(value) then
    return mismatch(of, value, "text that is not UTF-8")
  end
  local problem = (of.min or of.max) and check_count(of, value, utf8.len(value), "character")
  if problem then
    return problem
  end
  -- as a method: string's metatable holds the find whose work is bounded
  if of.pattern and not value:find(of.pattern) then
    return limit_problem(of, value, ("must match the pattern %s"):format(of.pattern))
  end
end

checks.enum = function(of, value)
  if type(value) ~= "string" then
    return mismatch(of, value)
  end
  for _, allowed in ipairs(of.values) do
    if value == allowed then
      return
    end
  end
  return limit_problem(of, value, ('must be one of "%s"'):format(concat(of.values, '", "')))
end

checks.uuid = function(of, value)
  if type(value) ~= "string" then
    return mismatch(of, value)
  elseif not support.is_uuid(value) then
    return mismatch(of, value, "another string")
  end
end

checks.timestamp = function(of, value)
  if type(value) ~= "string" then
    return mismatch(of, value)
  elseif not support.is_time(value) then
    return mismatch(of, value, "another string")
  end
end

-- A name in a path: the way Lua would write it, shortened, since a stranger may have chosen it.
local function step(name)
  if name:find("^[%a_][%w_]*$") and #name <= 64 then
    return "." .. name
  end
  return ('["%s"]'):format(name:sub(1, 64):gsub('["\\\0-\31\127-\255]', "?") .. (#name > 64 and "…" or ""))
end

local function inside(problem, prefix)
  problem.path = prefix .. problem.path
  return problem
end

-- Checks raw[key] and puts a replacement in its place; a read-only view's table is left alone.
local function check_child(of, raw, key, writable)
  local problem, replacement = check(of, rawget(raw, key))
  if replacement ~= nil and writable then
    raw[key] = replacement
  end
  return problem
end

checks.list = function(of, value)
  local raw = unwrap(value)
  local count, replacement = 0, nil
  if type(raw) ~= "table" or raw == null then
    return mismatch(of, value)
  end
  for _ in pairs(raw) do
    count = count + 1
  end
  if count == 0 and getmetatable(raw) ~= ARRAY then
    replacement = support.new_array() -- {} where a list is declared means [], not an empty object
  elseif not is_list(raw) then
    return mismatch(of, value)
  end
  for index = 1, count do
    if rawget(raw, index) == nil then
      return mismatch(of, value, "a list with holes or names")
    end
  end
  local problem = check_count(of, value, count, "element")
  if problem or not of.element then
    return problem, replacement
  end
  for index = 1, count do
    problem = check_child(of.element, raw, index, raw == value)
    if problem then
      return inside(problem, ("[%d]"):format(index))
    end
  end
  return nil, replacement
end

-- The names of a table, sorted, so that the first problem is always the same one; or nil and the problem.
local function sorted_names(of, value, raw)
  local names = {}
  for name in pairs(raw) do
    if type(name) ~= "string" then
      return nil, mismatch(of, value, ("a table with a %s as name"):format(type(name)))
    end
    names[#names + 1] = name
  end
  sort(names)
  return names
end

local function is_object(raw) return type(raw) == "table" and raw ~= null and not is_list(raw) end

checks.map = function(of, value)
  local raw = unwrap(value)
  if not is_object(raw) then
    return mismatch(of, value)
  end
  local names, problem = sorted_names(of, value, raw)
  problem = problem or check_count(of, value, #names, "name")
  if problem then
    return problem
  end
  for _, name in ipairs(names) do
    problem = check_child(of.element, raw, name, raw == value)
    if problem then
      return inside(problem, step(name))
    end
  end
end

local function unknown_field(of, name)
  local near, text = nearest(name, of.names), "is not a declared field"
  if near then
    text = ("%s, did you mean %q?"):format(text, near)
  elseif #of.names > 0 then
    text = ("%s; fields are %s"):format(text, concat(of.names, ", "))
  else
    text = text .. "; there are none"
  end
  return { path = step(name), expected = "nothing", got = "an unknown field", text = text }
end

local function first_unknown(of, value, raw)
  local names, problem = sorted_names(of, value, raw)
  for _, name in ipairs(names or {}) do
    if not of.fields[name] then
      return unknown_field(of, name)
    end
  end
  return problem
end

checks.table = function(of, value)
  local raw = unwrap(value)
  if not is_object(raw) then
    return mismatch(of, value)
  elseif not of.fields then
    return
  end
  local problem = first_unknown(of, value, raw)
  if problem then
    return problem
  end
  for _, name in ipairs(of.names) do
    local field, child = of.fields[name], rawget(raw, name)
    if child == null and field.optional and field.kind ~= "any" then
      child = nil
      if raw == value then
        raw[name] = nil
      end
    end
    if child ~= nil then
      problem = check_child(field, raw, name, raw == value)
    elseif not field.optional then
      local wanted = expected(field)
      problem = { path = "", expected = wanted, got = "nothing", text = ("is missing, expected %s"):format(wanted) }
    end
    if problem then
      return inside(problem, step(name))
    end
  end
end

return check
