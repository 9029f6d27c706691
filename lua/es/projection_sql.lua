--- projection_sql: the SQL of a projection's tables. Knows SQLite's words; validates nothing (projection.lua did).
---
--- A declared table T is kept as "es_rows_T" with the tenant as its first key column. What modules call T is a temporary
--- view of the current tenant's rows, with triggers that carry writes through; es_tenant() is the engine's function. The
--- engine refuses SQL of modules that contains "es_rows_", so the views are the only way in.

local projection_sql = {}

local STORED_AS = {
  string = "TEXT", integer = "INTEGER", number = "REAL", boolean = "INTEGER", uuid = "TEXT", timestamp = "TEXT",
  list = "TEXT", table = "TEXT", any = "TEXT",
}
--- JSON texts may be long, and SQLite keeps long rows badly in tables without rowid.
local LONG = { list = true, table = true, any = true }
local NUMERIC = { integer = true, number = true }

local function quote(name) return '"' .. name .. '"' end
local function stored(name) return quote("es_rows_" .. name) end

--- The texts made by `format(column, position)` for columns first..last, joined; nil results are left out.
local function each(columns, first, last, separator, format)
  local out = {}
  for position = first, last do out[#out + 1] = format(columns[position], position) end
  return table.concat(out, separator)
end

local function named(column) return quote(column.name) end
local function placeholder(_, position) return "?" .. position end
local function equals(column, position) return ("%s = ?%d"):format(quote(column.name), position) end

local function create_text(name, columns, key_count, indexes)
  local without_rowid = true
  local definitions = each(columns, 1, #columns, ", ", function(column)
    if LONG[column.type] then without_rowid = false end
    return ("%s %s%s%s"):format(quote(column.name), STORED_AS[column.type], column.optional and "" or " NOT NULL",
      column.type == "boolean" and (" CHECK (%s IN (0, 1))"):format(quote(column.name)) or "")
  end)
  local out = {
    ("CREATE TABLE %s (_tenant TEXT NOT NULL, %s, PRIMARY KEY (_tenant, %s)) STRICT%s;"):format(stored(name), definitions,
      each(columns, 1, key_count, ", ", named), without_rowid and ", WITHOUT ROWID" or ""),
  }
  for position, index in ipairs(indexes) do
    out[#out + 1] = ("CREATE INDEX %s ON %s (_tenant, \"%s\");"):format(quote(("es_index_%s_%d"):format(name, position)),
      stored(name), table.concat(index, '", "'))
  end
  return table.concat(out, "\n")
end

local function put_text(name, columns, key_count)
  local last = #columns
  local update = each(columns, key_count + 1, last, ", ", function(column)
    return ("%s = excluded.%s"):format(quote(column.name), quote(column.name))
  end)
  return ("INSERT INTO main.%s (_tenant, %s) VALUES (es_tenant(), %s) ON CONFLICT DO %s"):format(stored(name),
    each(columns, 1, last, ", ", named), each(columns, 1, last, ", ", placeholder),
    update == "" and "NOTHING" or "UPDATE SET " .. update)
end

--- Adds to the numbers of a row. A row that is not there begins with zeros, unless it has a column for which there is no
--- such beginning: then only a row that was put can be added to, and the second result names that column.
local function add_text(name, columns, key_count)
  local numbers, needed = {}, nil
  for position = key_count + 1, #columns do
    local column = columns[position]
    if NUMERIC[column.type] then
      numbers[#numbers + 1] = position
    elseif not column.optional then
      needed = needed or column.name
    end
  end
  if #numbers == 0 then return nil end
  local sums, names, values = {}, {}, {}
  for i, position in ipairs(numbers) do
    local column = columns[position]
    names[i] = quote(column.name)
    sums[i] = ("%s = es_add(%s, ?%d)"):format(names[i], names[i], position)
    values[i] = column.optional and "?" .. position or ("coalesce(?%d, 0)"):format(position)
  end
  local set = table.concat(sums, ", ")
  if needed then
    return ("UPDATE main.%s SET %s WHERE _tenant = es_tenant() AND %s"):format(stored(name), set,
      each(columns, 1, key_count, " AND ", equals)), needed
  end
  return ("INSERT INTO main.%s (_tenant, %s, %s) VALUES (es_tenant(), %s, %s) ON CONFLICT DO UPDATE SET %s"):format(
    stored(name), each(columns, 1, key_count, ", ", named), table.concat(names, ", "),
    each(columns, 1, key_count, ", ", placeholder), table.concat(values, ", "), set)
end

--- Everything the engine needs of one table. `columns` has the key's columns first.
function projection_sql.table_plan(name, columns, key_count, indexes)
  local add, needed = add_text(name, columns, key_count)
  local where = each(columns, 1, key_count, " AND ", equals)
  return {
    name = name,
    columns = columns,
    key_count = key_count,
    create = create_text(name, columns, key_count, indexes),
    get = ("SELECT %s FROM main.%s WHERE _tenant = es_tenant() AND %s"):format(each(columns, 1, #columns, ", ", named),
      stored(name), where),
    put = put_text(name, columns, key_count),
    add = add,
    add_needs = needed,
    delete = ("DELETE FROM main.%s WHERE _tenant = es_tenant() AND %s"):format(stored(name), where),
  }
end

--- The tables and indexes of a new file.
function projection_sql.schema(tables)
  return each(tables, 1, #tables, "\n", function(one) return one.create end)
end

local function trigger(one, event, body)
  return ('CREATE TEMP TRIGGER "es_%s_%s" INSTEAD OF %s ON %s BEGIN %s; END;'):format(event:lower(), one.name, event,
    quote(one.name), body)
end

local function old_row(one)
  return "_tenant = es_tenant() AND " .. each(one.columns, 1, one.key_count, " AND ", function(column)
    return ("%s = OLD.%s"):format(quote(column.name), quote(column.name))
  end)
end

--- Statements write any text; what queries hand out as JSON must be JSON. (put writes JSON only.)
local function json_check(one)
  return each(one.columns, 1, #one.columns, "", function(column)
    if not LONG[column.type] then return nil end
    local new = "NEW." .. quote(column.name)
    return ("SELECT RAISE(ABORT, '%s.%s wants JSON text') WHERE %s IS NOT NULL AND NOT json_valid(%s); "):format(one.name,
      column.name, new, new)
  end)
end

--- What each connection adds for itself: the views, and the triggers when statements may write.
function projection_sql.session(tables, writable)
  local out = {}
  for _, one in ipairs(tables) do
    local columns = one.columns
    local names = each(columns, 1, #columns, ", ", named)
    out[#out + 1] = ("CREATE TEMP VIEW %s AS SELECT %s FROM main.%s WHERE _tenant = es_tenant();"):format(quote(one.name),
      names, stored(one.name))
    if writable then
      out[#out + 1] = trigger(one, "INSERT", json_check(one) .. ("INSERT INTO %s (_tenant, %s) VALUES (es_tenant(), %s)"):format(
        stored(one.name), names, each(columns, 1, #columns, ", ", function(column) return "NEW." .. quote(column.name) end)))
      out[#out + 1] = trigger(one, "UPDATE", json_check(one) .. ("UPDATE %s SET %s WHERE %s"):format(stored(one.name),
        each(columns, 1, #columns, ", ", function(column)
          return ("%s = NEW.%s"):format(quote(column.name), quote(column.name))
        end), old_row(one)))
      out[#out + 1] = trigger(one, "DELETE", ("DELETE FROM %s WHERE %s"):format(stored(one.name), old_row(one)))
    end
  end
  return table.concat(out, "\n")
end

--- What an absent optional parameter stands for: NULL, but LIMIT and OFFSET take no NULL, so there it is "no limit" (-1)
--- or "from the start" (0).
function projection_sql.absent_value(text, name)
  local lower, mark = text:lower(), "%s+[:@$]" .. name:lower() .. "%f[^%w_]"
  if lower:find("%f[%w_]limit" .. mark) then return -1 end
  if lower:find("%f[%w_]offset" .. mark) then return 0 end
  return nil
end

return projection_sql
