-- es.schema: for editors: the words that the shape of parameters and event data is declared in.
---@meta es.schema

---@class es.schema.Type

---@class es.schema
local schema = {}

---@param options? { min: integer?, max: integer?, pattern: string? } characters, and a Lua pattern
---@return es.schema.Type
function schema.string(options) end

---@param options? { min: integer?, max: integer? }
---@return es.schema.Type
function schema.integer(options) end

---@param options? { min: number?, max: number? }
---@return es.schema.Type
function schema.number(options) end

---@param values string[]
---@return es.schema.Type
function schema.enum(values) end

---@param element string|es.schema.Type
---@param options? { min: integer?, max: integer? }
---@return es.schema.Type
function schema.list(element, options) end

--- A table with any names.
---@param value string|es.schema.Type
---@param options? { min: integer?, max: integer? }
---@return es.schema.Type
function schema.map(value, options) end

--- A table with exactly these fields.
---@param fields es.Fields
---@return es.schema.Type
function schema.table(fields) end

--- The same type, but the field may be absent.
---@param declared string|es.schema.Type
---@return es.schema.Type
function schema.optional(declared) end

--- The fields as one type for `check`.
---@param fields es.Fields
---@param where? string names the declaration in what is raised for a wrong one; without it the answer is nil, reason, name
---@return es.schema.Type?
---@return string? reason
---@return string? name
function schema.compile(fields, where) end

---@param compiled es.schema.Type
---@param value table
---@param root? string begins the path in messages
---@return true? fits
---@return { path: string, expected: string, got: string, message: string }? problem
function schema.check(compiled, value, root) end

--- The fields as plain data.
---@param compiled es.schema.Type
---@return table
function schema.describe(compiled) end

return schema
