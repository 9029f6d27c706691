-- es.schema: the words that the shape of parameters and event data is declared in. Knows nothing of commands, events or
-- the store. What a declaration becomes is checked against values by es.schema_check.

local support = require "es.support"

local unwrap = support.unwrap -- a project's library module is seen through read-only views
local concat, sort = table.concat, table.sort

-- What fits is found quickly in domain states (runtime/lua/schema_fit.c). What does not, and other states, ask es.schema_check.
local fit_plan, fits = support.fit_plan, support.fits or function() return false end

-- Loaded with the first value that does not fit at once: few programs need it.
local check

local function look_closer(compiled, value)
  check = check or require "es.schema_check"
  return check(compiled, value)
end

---@class es.schema
local schema = {}

-- What a declaration becomes. `kind` is "enum", "map" or a plain name; the other fields belong to the kind.
---@class es.schema.Type
---@field kind string
---@field optional? boolean
---@field min? number
---@field max? number
---@field pattern? string
---@field values? string[] of an enum
---@field element? es.schema.Type of a list or map
---@field fields? table<string, es.schema.Type> of a table with declared fields
---@field names? string[] its field names, sorted
---@field plan? userdata of what `compile` returned, for `fits`
local Type = { __name = "es.schema type" }

local PLAIN_NAMES = { "string", "integer", "number", "boolean", "uuid", "timestamp", "list", "table", "any" }
local PLAIN_KINDS, IS_OPTIONAL = {}, {} -- by what a declaration says: "string", "string?"
for _, name in ipairs(PLAIN_NAMES) do
  PLAIN_KINDS[name], PLAIN_KINDS[name .. "?"] = name, name
  IS_OPTIONAL[name .. "?"] = true
end

-- Declaring ----------------------------------------------------------------------------------------------------

local function new_type(kind, fields)
  fields.kind = kind
  return setmetatable(fields, Type)
end

local function unknown_type(name)
  local near = require "es.nearest"(name:gsub("%?$", ""), PLAIN_NAMES)
  return ("unknown type %q%s; types are %s, each with a trailing ? when optional, or made by es.schema"):format(
    name, near and (", did you mean %q?"):format(near) or "", concat(PLAIN_NAMES, ", "))
end

-- A type from a plain name or a constructor's result; nil and the reason when it is neither.
local function to_type(declared)
  declared = unwrap(declared)
  if PLAIN_KINDS[declared] then
    return setmetatable({ kind = PLAIN_KINDS[declared], optional = IS_OPTIONAL[declared] }, Type)
  elseif getmetatable(declared) == Type then
    return declared
  elseif type(declared) == "string" then
    return nil, unknown_type(declared)
  elseif type(declared) == "table" then
    return nil, "a plain table is no type; nested fields are written schema.table{ … }, alternatives schema.enum{ … }"
  elseif type(declared) == "function" then
    return nil, "a function is no type; was a constructor of es.schema meant to be called?"
  end
  return nil, ("expected a type name or a type made by es.schema, got %s"):format(type(declared))
end

-- A table type with these fields; nil, the reason and the field's name when one is declared wrong.
local function to_record(declared)
  local record = new_type("table", { fields = {}, names = {} })
  declared = unwrap(declared)
  if type(declared) ~= "table" or getmetatable(declared) == Type then
    return nil, "fields are declared as a table { name = type }"
  end
  for name in pairs(declared) do
    if type(name) ~= "string" or name == "" then
      return nil, ("field names are strings, got %s"):format(name == "" and "an empty one" or type(name))
    end
    record.names[#record.names + 1] = name
  end
  sort(record.names)
  for _, name in ipairs(record.names) do
    local field, reason, inner = to_type(declared[name])
    if name:sub(1, 1) == "$" then
      reason = "names that begin with $ belong to the runtime"
    end
    if reason then
      return nil, reason, inner and name .. "." .. inner or name
    end
    record.fields[name] = field
  end
  return record
end

-- Options of a constructor: raises at the line of the domain module that called it (`level` 3).
local function read_options(constructor, options, allowed)
  local known = {}
  if options == nil then
    return {}
  elseif type(options) ~= "table" then
    error(("schema.%s: options are a table, got %s"):format(constructor, type(options)), 3)
  end
  for _, name in ipairs(allowed) do
    known[name] = options[name]
  end
  for name, value in pairs(options) do
    if known[name] == nil then
      error(("schema.%s: unknown option %q; options are %s"):format(
        constructor, tostring(name), concat(allowed, ", ")), 3)
    elseif name == "pattern" and type(value) ~= "string" then
      error(("schema.%s: pattern is a Lua pattern, got %s"):format(constructor, type(value)), 3)
    elseif name ~= "pattern" and constructor ~= "number" and math.type(value) ~= "integer" then
      error(("schema.%s: %s is an integer"):format(constructor, name), 3)
    elseif name ~= "pattern" and type(value) ~= "number" then
      error(("schema.%s: %s is a number"):format(constructor, name), 3)
    end
  end
  if known.min and known.max and known.min > known.max then
    error(("schema.%s: min is above max"):format(constructor), 3)
  end
  return known
end

local RANGE = { "min", "max" }
local TEXT = { "min", "max", "pattern" }

--- Text of min to max characters that matches a Lua pattern, each of them if given.
function schema.string(options)
  local known = read_options("string", options, TEXT)
  if known.pattern then
    local fine, reason = pcall(function() return (""):find(known.pattern) end)
    if not fine then
      error(("schema.string: %s"):format(tostring(reason)), 2)
    end
  end
  return new_type("string", known)
end

--- A Lua integer from min to max. Money belongs here, in minor units (cents).
function schema.integer(options) return new_type("integer", read_options("integer", options, RANGE)) end

--- An integer or float from min to max.
function schema.number(options) return new_type("number", read_options("number", options, RANGE)) end

--- One of the given strings.
function schema.enum(values)
  local copy = {}
  if type(values) ~= "table" or #values == 0 then
    error("schema.enum: expected a list of strings", 2)
  end
  for index, value in ipairs(values) do
    if type(value) ~= "string" then
      error(("schema.enum: value %d is no string"):format(index), 2)
    end
    copy[index] = value
  end
  return new_type("enum", { values = copy })
end

local function with_element(constructor, element, options)
  local of, reason = to_type(element)
  if not of then
    error(("schema.%s: %s"):format(constructor, reason), 3)
  elseif of.optional then
    error(("schema.%s: its values cannot be optional"):format(constructor), 3)
  end
  options.element = of
  return options
end

--- A list of min to max elements of one type.
function schema.list(element, options)
  return new_type("list", with_element("list", element, read_options("list", options, RANGE)))
end

--- A table with any names of min to max values of one type.
function schema.map(value, options)
  return new_type("map", with_element("map", value, read_options("map", options, RANGE)))
end

--- A table with exactly these fields.
function schema.table(fields)
  local record, reason, name = to_record(fields)
  if not record then
    error(("schema.table: %s%s"):format(name and name .. ": " or "", reason), 2)
  end
  return record
end

--- The same type, but the field may be absent. null counts as absent.
function schema.optional(declared)
  local of, reason = to_type(declared)
  if not of then
    error("schema.optional: " .. reason, 2)
  end
  local copy = {}
  for key, value in pairs(of) do
    copy[key] = value
  end
  copy.optional = true
  return setmetatable(copy, Type)
end

--- The fields of a command or event as one type that `check` takes. `where` names the declaration in what is raised for a
--- wrong one ("Document.commands.edit.params"); without it the answer is nil, the reason and the field's name, if one is wrong.
---@return es.schema.Type?
---@return string? reason
---@return string? name "lines.price" for a nested one
function schema.compile(fields, where)
  local record, reason, name = to_record(fields)
  if not record then
    if not where then return nil, reason, name end
    error(("%s%s: %s"):format(where, name and "." .. name or "", reason), 0)
  end
  record.plan = fit_plan and fit_plan(record)
  return record
end

--- Checks a table against what `compile` returned. Two things are put right in place: an optional field that is null
--- is removed, and an empty table where a list is declared becomes an empty list. `root` begins the path in messages
--- ("params", "data").
---@return true|nil fits
---@return {path: string, expected: string, got: string, message: string}? problem
function schema.check(compiled, value, root)
  local problem = not fits(compiled.plan, value) and look_closer(compiled, value)
  if not problem then
    return true
  end
  problem.path = (root or "value") .. problem.path
  problem.message = ("%s: %s"):format(problem.path, problem.text)
  problem.text = nil
  return nil, problem
end

-- Describing ---------------------------------------------------------------------------------------------------

local function describe(of)
  local out = { type = of.kind, optional = of.optional, min = of.min, max = of.max, pattern = of.pattern }
  if of.values then
    out.values = support.new_array(table.move(of.values, 1, #of.values, 1, {}))
  end
  if of.element then
    out.element = describe(of.element)
  end
  if of.fields then
    out.fields = schema.describe(of)
  end
  return out
end

--- The fields as plain data for documentation and the command line: { name = { type = "string", optional = true } }.
function schema.describe(compiled)
  local out = {}
  for name, field in pairs(compiled.fields) do
    out[name] = describe(field)
  end
  return out
end

return schema
