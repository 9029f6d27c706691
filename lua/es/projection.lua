--- projection: declares projections and checks a declaration when its module is loaded. Knows the words of a
--- declaration; the SQL made of them is projection_sql.lua's, running it is the engine's.

local place = require "es.place"
local support = require "es.support"

local projection = {}

local NAME_MAX, TABLES_MAX, COLUMNS_MAX, PARAMS_MAX = 64, 32, 100, 50

local FIELDS = { name = true, tables = true, on = true, queries = true, statements = true, runtime_events = true }
local TYPES = {
  string = true, integer = true, number = true, boolean = true, uuid = true, timestamp = true,
  list = true, table = true, any = true,
}
--- Types whose values have one order and one text, so that a key or an index over them means something.
local KEY_TYPES = { string = true, integer = true, boolean = true, uuid = true, timestamp = true }
local INDEX_TYPES = { string = true, integer = true, number = true, boolean = true, uuid = true, timestamp = true }

local Projection = { __name = "es.projection" }

local function sorted_keys(of)
  local keys = {}
  for key in pairs(of) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

local function known(of) return table.concat(sorted_keys(of), ", ") end

--- The name is part of a file's name, so that it must be plain.
local function is_name(name)
  return type(name) == "string" and #name <= NAME_MAX and name:find("^%l[%l%d_]*$") ~= nil
end

--- Declares a projection: `local Totals = es.projection "customer_totals"`. Fill in its `tables`, `on`, `queries` and,
--- where needed, `statements` and `runtime_events`, and return it from the module.
---@param name string letters, digits and `_`; it names the projection's file and its commands
---@return table
function projection.declare(name)
  if not is_name(name) then
    error(('es.projection wants a name of lower-case letters, digits and "_" (at most %d), got %s'):format(
      NAME_MAX, type(name) == "string" and ("%q"):format(name) or type(name)), 2)
  end
  return place.note(setmetatable({ name = name }, Projection))
end

--- True for a table made by es.projection.
function projection.is_projection(value)
  return type(value) == "table" and getmetatable(value) == Projection
end

-- The checks below end through `fail`, which is made for one declaration so that every message starts alike. What `fail`
-- ends is the check of one entry, which `attempt` began: the entries behind it are checked all the same.

local ENDED = {}

--- What `check` returns, or nil when `fail` ended it.
local function attempt(check, ...)
  local done, result = pcall(check, ...)
  if done then return result end
  if result ~= ENDED then error(result, 0) end
end

local function check_name(fail, what, name)
  if type(name) ~= "string" or not name:find("^%a[%w_]*$") or #name > NAME_MAX then
    fail("%s must be letters, digits and '_' beginning with a letter, at most %d: %s", what, NAME_MAX, tostring(name))
  end
  local lower = name:lower()
  if lower:find("^sqlite_") or lower:find("^es_") then
    fail("%s may not begin with 'sqlite_' or 'es_': %s", what, name)
  end
end

--- The table; what a required module handed out comes as a read-only view of one.
local function as_table(fail, what, value)
  value = support.unwrap(value == nil and false or value)
  if type(value) ~= "table" then fail("%s must be a table, got %s", what, type(value)) end
  return value
end

local function parse_type(fail, what, text)
  local base, mark
  if type(text) == "string" then base, mark = text:match("^(%l+)(%??)$") end
  if not base or not TYPES[base] then
    fail("%s has no known type: %s (types: %s; a trailing '?' makes it optional)", what,
      type(text) == "string" and ("%q"):format(text) or type(text), known(TYPES))
  end
  return base, mark == "?"
end

local function check_columns_of(fail, what, list, columns, types)
  list = as_table(fail, what, list)
  local seen = {}
  for position, name in ipairs(list) do
    local column = columns[name]
    if column == nil then
      fail("%s names a column that is not declared: %s (columns: %s)", what, tostring(name), known(columns))
    end
    if not types[column.type] then
      fail("%s cannot hold %s, which is a %s (possible: %s)", what, name, column.type, known(types))
    end
    if seen[name] then fail("%s names %s twice", what, name) end
    seen[name] = position
  end
  if #list == 0 or #sorted_keys(list) ~= #list then fail("%s must be a list of column names", what) end
  return seen
end

--- `folded` has the columns' names in lower case.
local function check_column(fail, what, column, text, folded)
  local where = what .. "." .. tostring(column)
  check_name(fail, "a column's name in " .. what, column)
  if folded[column:lower()] then fail("%s and %s differ only in case", where, folded[column:lower()]) end
  folded[column:lower()] = column
  local base, optional = parse_type(fail, where, text)
  return { name = column, type = base, optional = optional }
end

local function check_one_table(fail, name, spec)
  local what, whole = "table " .. tostring(name), true
  check_name(fail, "a table's name", name)
  spec = as_table(fail, what, spec)
  local columns, folded = {}, {}
  for _, column in ipairs(sorted_keys(spec)) do
    if column ~= "key" and column ~= "index" then
      columns[column] = attempt(check_column, fail, what, column, spec[column], folded)
      whole = whole and columns[column] ~= nil
    end
  end
  if not whole then return nil end -- what the key says of the columns is told when these are right
  if spec.key == nil then fail("%s needs key = { \"column\", … }: the columns that make a row unique", what) end
  local key = as_table(fail, what .. ".key", spec.key)
  local in_key = check_columns_of(fail, what .. ".key", key, columns, KEY_TYPES)
  for column in pairs(in_key) do
    if columns[column].optional then fail("%s.key: %s cannot be optional", what, column) end
  end
  local indexes = as_table(fail, what .. ".index", spec.index or {})
  local plain_indexes = {}
  for position, index in ipairs(indexes) do
    local where = ("%s.index[%d]"):format(what, position)
    check_columns_of(fail, where, index, columns, INDEX_TYPES)
    plain_indexes[position] = as_table(fail, where, index)
  end
  if #sorted_keys(indexes) ~= #indexes then fail("%s.index must be a list of lists of column names", what) end

  local ordered = {}
  for position, column in ipairs(key) do ordered[position] = columns[column] end
  for _, column in ipairs(sorted_keys(columns)) do
    if not in_key[column] then ordered[#ordered + 1] = columns[column] end
  end
  if #ordered > COLUMNS_MAX then fail("%s has more than %d columns", what, COLUMNS_MAX) end
  return { name = name, columns = ordered, key_count = #key, indexes = plain_indexes }
end

local function check_tables(fail, tables)
  local checked, folded = {}, {}
  tables = as_table(fail, "tables", tables == nil and {} or tables)
  for _, name in ipairs(sorted_keys(tables)) do
    local lower = tostring(name):lower()
    if folded[lower] then fail("tables %s and %s differ only in case", tostring(name), folded[lower]) end
    folded[lower] = name
    checked[#checked + 1] = attempt(check_one_table, fail, name, tables[name])
  end
  if #checked > TABLES_MAX then fail("more than %d tables", TABLES_MAX) end
  return checked
end

local function check_param(fail, what, name, text)
  check_name(fail, "a parameter's name in " .. what, name)
  local base, optional = parse_type(fail, what .. ".params." .. name, text)
  return { name = name, type = base, optional = optional }
end

local function check_params(fail, what, params)
  local list = {}
  params = as_table(fail, what .. ".params", params)
  for _, name in ipairs(sorted_keys(params)) do
    list[#list + 1] = attempt(check_param, fail, what, name, params[name])
  end
  if #list > PARAMS_MAX then fail("%s has more than %d parameters", what, PARAMS_MAX) end
  return list
end

local function check_one_sql(fail, kind, name, spec)
  local what = ("%s.%s"):format(kind, tostring(name))
  check_name(fail, "a name in " .. kind, name)
  spec = as_table(fail, what, spec)
  for _, field in ipairs(sorted_keys(spec)) do
    if field ~= "sql" and field ~= "params" then
      fail("%s has an unknown field %s (fields: params, sql)", what, tostring(field))
    end
  end
  if type(spec.sql) ~= "string" then fail("%s needs sql = \"…\"", what) end
  return { name = name, sql = spec.sql, params = check_params(fail, what, spec.params or {}) }
end

--- Queries and statements have the same shape: { name = { sql = …, params = … } }.
local function check_sql(fail, kind, of)
  local checked = {}
  of = as_table(fail, kind, of == nil and {} or of)
  for _, name in ipairs(sorted_keys(of)) do
    checked[#checked + 1] = attempt(check_one_sql, fail, kind, name, of[name])
  end
  return checked
end

local function check_handler(fail, event_type, handler)
  if type(event_type) ~= "string" then fail("on has a key that is no event type: %s", tostring(event_type)) end
  if type(handler) ~= "function" then fail("on.%s must be a function(t, e), got %s", event_type, type(handler)) end
  return handler
end

--- By event type, `any` among them.
local function check_handlers(fail, on)
  local handlers = {}
  on = as_table(fail, "on", on == nil and {} or on)
  for _, event_type in ipairs(sorted_keys(on)) do
    handlers[event_type] = attempt(check_handler, fail, event_type, on[event_type])
  end
  if next(on) == nil then fail("on has no handler: add on = { EventType = function(t, e) … end }") end
  return handlers
end

-- What a message of the checks above is about: "table rows.id has no …" is about tables, rows, id.
local function entry_of(message)
  local names = { message:match "^unknown field (%S+)" }
  if not names[1] then
    for name in message:gsub("^table ", "tables."):match("^[%w_.]*"):gmatch "[%w_]+" do names[#names + 1] = name end
    if not FIELDS[names[1]] then return {} end
  end
  return names
end

local function check_field(fail, field)
  if not FIELDS[field] then fail("unknown field %s (fields: %s)", tostring(field), known(FIELDS)) end
end

local function check_fields(fail, declaration)
  for _, field in ipairs(sorted_keys(declaration)) do attempt(check_field, fail, field) end
  if not is_name(declaration.name) then fail("the name that es.projection was given must not be changed") end
  if declaration.runtime_events ~= nil and type(declaration.runtime_events) ~= "boolean" then
    fail("runtime_events must be true or false")
  end
end

local function check_names_differ(fail, tables, statements)
  for _, statement in ipairs(statements) do
    for _, one in ipairs(tables) do
      if one.name == statement.name then fail("%s is the name of a table and of a statement", one.name) end
    end
  end
end

--- Checks a declaration and returns what it says: names, columns, SQL texts and handlers.
---@param declaration table
---@param chunk_name string? of its module, for messages that have no line
---@return table
function projection.check(declaration, chunk_name)
  local where = place.of(declaration, chunk_name, "projection " .. tostring(declaration.name))
  local function fail(format, ...)
    local text = format:format(...)
    where:add(entry_of(text), "%s", text)
    error(ENDED, 0)
  end
  attempt(check_fields, fail, declaration)
  local on = attempt(check_handlers, fail, declaration.on) or {}
  local tables = attempt(check_tables, fail, declaration.tables) or {}
  local statements = attempt(check_sql, fail, "statements", declaration.statements) or {}
  attempt(check_names_differ, fail, tables, statements)
  local queries = attempt(check_sql, fail, "queries", declaration.queries) or {}
  where:conclude()
  local any = on.any
  on.any = nil
  return {
    name = declaration.name,
    runtime_events = declaration.runtime_events or false,
    on = on,
    any = any,
    tables = tables,
    statements = statements,
    queries = queries,
    place = function(kind, name) return where:at(kind, name, "sql") end,
  }
end

--- The plan that the engine reads: what a declaration says, with the SQL of its tables.
---@param declaration table
---@return table
function projection.plan(declaration)
  local plan = projection.check(declaration)
  local sql = require "es.projection_sql" -- only now: few programs need it
  for position, one in ipairs(plan.tables) do
    plan.tables[position] = sql.table_plan(one.name, one.columns, one.key_count, one.indexes)
  end
  for _, list in ipairs { plan.statements, plan.queries } do
    for _, one in ipairs(list) do
      for _, param in ipairs(one.params) do param.absent = sql.absent_value(one.sql, param.name) end
    end
  end
  plan.schema, plan.session = sql.schema(plan.tables), sql.session(plan.tables, #plan.statements > 0)
  return plan
end

--- What `esrun help` and es_describe tell of a declaration that was checked.
---@param declaration table
---@return table
function projection.describe(declaration)
  local plan = projection.check(declaration)
  local out = { name = plan.name, tables = {}, queries = {}, events = sorted_keys(plan.on), any = plan.any ~= nil }
  for _, one in ipairs(plan.tables) do
    local columns = {}
    for _, column in ipairs(one.columns) do
      columns[column.name] = column.type .. (column.optional and "?" or "")
    end
    out.tables[one.name] = columns
  end
  for _, query in ipairs(plan.queries) do
    local params = {}
    for _, param in ipairs(query.params) do params[param.name] = param.type .. (param.optional and "?" or "") end
    out.queries[query.name] = params
  end
  support.new_array(out.events)
  return out
end

return projection
