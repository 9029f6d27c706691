-- What es.schema accepts, and how it says what it does not.
local helpers = dofile(debug.getinfo(1, "S").source:match("^@(.*)schema_spec%.lua$") .. "support.lua")
local schema = require "es.schema"
local null, array, view = helpers.null, helpers.array, helpers.view

local UUID = "0190f5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b"

-- The message for a value of one field, or true when it fits.
local function outcome(declared, value)
  local compiled = schema.compile({ field = declared }, "Test")
  local fits, problem = schema.check(compiled, { field = value }, "params")
  return fits or problem.message
end

local function declaration_error(fields)
  local fine, message = pcall(schema.compile, fields, "Document.events.DocumentCreated")
  assert.is_false(fine)
  return message
end

describe("plain type names", function()
  local ACCEPTED = {
    { "string", "" }, { "string", "Zoë" },
    { "integer", 0 }, { "integer", math.mininteger },
    { "number", 1 }, { "number", 1.5 },
    { "boolean", false },
    { "uuid", UUID },
    { "timestamp", "2026-01-31T12:00:00Z" },
    { "list", array {} }, { "list", { 1, "a" } }, { "list", {} },
    { "table", {} }, { "table", { a = 1 } },
    { "any", 1 }, { "any", "x" }, { "any", null }, { "any", { 1 } },
    { "string?", nil }, { "string?", null }, { "any?", nil },
  }
  for index, case in ipairs(ACCEPTED) do
    it(("accept value %d for %s"):format(index, case[1]), function()
      assert.is_true(outcome(case[1], case[2]))
    end)
  end

  local REFUSED = {
    { "string", 1, "params.field: expected string, got integer" },
    { "string", null, "params.field: expected string, got null" },
    { "string", "\xff", "params.field: expected string, got text that is not UTF-8" },
    { "integer", 3.0, "params.field: expected integer, got number" },
    { "integer", "3", "params.field: expected integer, got string" },
    { "number", 0 / 0, "params.field: expected number, got NaN" },
    { "number", math.huge, "params.field: expected number, got infinity" },
    { "number", true, "params.field: expected number, got boolean" },
    { "boolean", 1, "params.field: expected boolean, got integer" },
    { "uuid", UUID:upper(), "params.field: expected uuid (lower case, with hyphens), got another string" },
    { "uuid", 1, "params.field: expected uuid (lower case, with hyphens), got integer" },
    { "timestamp", "yesterday", "params.field: expected timestamp (RFC 3339), got another string" },
    { "list", { a = 1 }, "params.field: expected list, got table" },
    { "list", { 1, nil, 3 }, "params.field: expected list, got a list with holes or names" },
    { "list", { 1, a = 2 }, "params.field: expected list, got a list with holes or names" },
    { "list", "x", "params.field: expected list, got string" },
    { "table", array {}, "params.field: expected table, got list" },
    { "table", { 1 }, "params.field: expected table, got list" },
    { "table", null, "params.field: expected table, got null" },
    { "string", nil, "params.field: is missing, expected string" },
    { "any", nil, "params.field: is missing, expected any" },
    { "string?", 1, "params.field: expected string, got integer" },
    { "string", print, "params.field: expected string, got function" },
  }
  for _, case in ipairs(REFUSED) do
    it(("say: %s"):format(case[3]), function()
      assert.equal(case[3], outcome(case[1], case[2]))
    end)
  end
end)

describe("constructors", function()
  local lines = schema.list(schema.table { sku = schema.string { min = 1, max = 20 }, price = "integer" }, { min = 1, max = 2 })
  local CASES = {
    { schema.enum { "draft", "created" }, "draft", true },
    { schema.enum { "draft", "created" }, "sold", 'params.field: must be one of "draft", "created"' },
    { schema.enum { "draft" }, 1, "params.field: expected string, got integer" },
    { schema.integer { min = 0, max = 5 }, 5, true },
    { schema.integer { min = 0 }, -1, "params.field: must be at least 0" },
    { schema.integer { max = 5 }, 6, "params.field: must be at most 5" },
    { schema.number { min = 0.5 }, 0.25, "params.field: must be at least 0.5" },
    { schema.string { max = 3 }, "Zoë", true },
    { schema.string { max = 3 }, "four", "params.field: takes at most 3 characters, has 4" },
    { schema.string { min = 1 }, "", "params.field: needs at least 1 character, has 0" },
    { schema.string { pattern = "^%u+$" }, "ABC", true },
    { schema.string { pattern = "^%u+$" }, "abc", "params.field: must match the pattern ^%u+$" },
    { schema.list("integer"), { 1, 2 }, true },
    { schema.list("integer"), { 1, "x" }, "params.field[2]: expected integer, got string" },
    { lines, { { sku = "a", price = 1 } }, true },
    { lines, {}, "params.field: needs at least 1 element, has 0" },
    { lines, { { sku = "a", price = 1 }, { sku = "b", price = "x" } }, "params.field[2].price: expected integer, got string" },
    { lines, { { sku = "", price = 1 } }, "params.field[1].sku: needs at least 1 character, has 0" },
    { schema.map "integer", { a = 1, b = 2 }, true },
    { schema.map "integer", { a = 1, ["b c"] = "x" }, 'params.field["b c"]: expected integer, got string' },
    { schema.map("integer", { max = 1 }), { a = 1, b = 2 }, "params.field: takes at most 1 name, has 2" },
    { schema.map "integer", { [2] = 1 }, "params.field: expected map, got a table with a number as name" },
    { schema.optional(schema.integer { min = 1 }), nil, true },
    { schema.optional(schema.integer { min = 1 }), 0, "params.field: must be at least 1" },
    { schema.table { inner = "string?" }, {}, true },
    { schema.table { inner = "string" }, {}, "params.field.inner: is missing, expected string" },
  }
  for index, case in ipairs(CASES) do
    it(("case %d: %s"):format(index, tostring(case[3])), function()
      assert.equal(case[3], outcome(case[1], case[2]))
    end)
  end

  it("refuse wrong options at the line that wrote them", function()
    for _, case in ipairs {
      { function() schema.string { maximum = 3 } end, 'schema.string: unknown option "maximum"; options are min, max, pattern' },
      { function() schema.integer { min = 3, max = 1 } end, "schema.integer: min is above max" },
      { function() schema.integer { min = 1.5 } end, "schema.integer: min is an integer" },
      { function() schema.string { pattern = "[" } end, "schema.string: " },
      { function() schema.enum {} end, "schema.enum: expected a list of strings" },
      { function() schema.list "strng" end, 'schema.list: unknown type "strng", did you mean "string"?' },
      { function() schema.list "string?" end, "schema.list: its values cannot be optional" },
      { function() schema.table { a = { b = "string" } } end, "schema.table: a: a plain table is no type" },
    } do
      local fine, message = pcall(case[1])
      assert.is_false(fine)
      assert.truthy(message:find(case[2], 1, true), message)
      assert.truthy(message:find("schema_spec.lua:", 1, true), message)
    end
  end)
end)

describe("a declaration", function()
  it("names the field, the types there are and the nearest one", function()
    assert.equal('Document.events.DocumentCreated.title: unknown type "strng", did you mean "string"?; types are string, '
      .. "integer, number, boolean, uuid, timestamp, list, table, any, each with a trailing ? when optional, or made by "
      .. "es.schema", declaration_error { title = "strng" })
  end)

  it("explains what a constructor left uncalled or a nested table is", function()
    assert.truthy(declaration_error({ n = schema.integer }):find("meant to be called?", 1, true))
    assert.truthy(declaration_error({ n = { a = "string" } }):find("schema.table{ … }", 1, true))
    assert.truthy(declaration_error({ n = 3 }):find("got number", 1, true))
  end)

  it("refuses the runtime's names and names that are no text", function()
    assert.truthy(declaration_error({ ["$x"] = "string" }):find("belong to the runtime", 1, true))
    assert.truthy(declaration_error({ "string" }):find("field names are strings", 1, true))
    assert.truthy(declaration_error("string"):find("declared as a table", 1, true))
  end)

  it("may come from another module, which shows its tables read-only", function()
    local shared = { cents = schema.integer { min = 1 } }
    local compiled = schema.compile({ price = view(shared.cents) }, "Test")
    assert.is_true(schema.check(compiled, { price = 1 }, "params"))
  end)

  it("is described as plain data", function()
    local compiled = schema.compile({
      title = schema.string { max = 20 }, note = "string?", state = schema.enum { "a" },
      lines = schema.list(schema.table { price = "integer" }),
    }, "Test")
    assert.same({
      title = { type = "string", max = 20 },
      note = { type = "string", optional = true },
      state = { type = "enum", values = { "a" } },
      lines = { type = "list", element = { type = "table", fields = { price = { type = "integer" } } } },
    }, schema.describe(compiled))
  end)
end)

describe("a check", function()
  local compiled = schema.compile({ title = "string", note = "string?", tags = "list?", extra = "any?" }, "T")

  it("gives path, expected and got apart from the message", function()
    local fits, problem = schema.check(compiled, { title = 7 }, "params")
    assert.is_nil(fits)
    assert.same({ path = "params.title", expected = "string", got = "integer",
      message = "params.title: expected string, got integer" }, problem)
  end)

  it("names unknown fields first, with the one that was meant", function()
    local _, problem = schema.check(compiled, { titel = "x" }, "params")
    assert.equal('params.titel: is not a declared field, did you mean "title"?', problem.message)
    _, problem = schema.check(compiled, { title = "x", quantity = 1 }, "params")
    assert.equal("params.quantity: is not a declared field; fields are extra, note, tags, title", problem.message)
  end)

  it("never repeats a value, and shortens a stranger's names", function()
    local secret = ("hunter2 "):rep(50)
    for _, params in ipairs { { title = { secret } }, { title = "x", tags = secret }, { title = "x", note = { a = secret } } } do
      local _, problem = schema.check(compiled, params, "params")
      assert.falsy(problem.message:find("hunter2", 1, true), problem.message)
    end
    local _, problem = schema.check(compiled, { title = "x", [("n"):rep(5000)] = 1 }, "params")
    assert.truthy(#problem.message < 300, problem.message)
    _, problem = schema.check(compiled, { title = "x", ['a"\n\xff'] = 1 }, "params")
    assert.equal('params["a???"]: is not a declared field; fields are extra, note, tags, title', problem.message)
  end)

  it("removes an optional null but keeps one where anything may stand", function()
    local params = { title = "x", note = null, extra = null }
    assert.is_true(schema.check(compiled, params, "params"))
    assert.is_nil(params.note)
    assert.equal(null, params.extra)
  end)

  it("turns an empty table into an empty list where a list is declared", function()
    local params = { title = "x", tags = {} }
    assert.is_true(schema.check(compiled, params, "params"))
    assert.is_true(helpers.is_array(params.tags))
  end)

  it("reads through read-only views and changes nothing behind them", function()
    local state = { tags = {}, deep = { note = null, title = "x" } }
    local nested = schema.compile({ tags = "list", deep = schema.table { title = "string", note = "string?" } }, "T")
    local data = { tags = view(state.tags), deep = view(state.deep) }
    assert.is_true(schema.check(nested, data, "data"))
    assert.equal(null, state.deep.note)
    assert.is_nil(getmetatable(state.tags))
    assert.is_true(helpers.is_array(data.tags))
  end)

  it("finds the same problem first every time", function()
    for _ = 1, 20 do
      local _, problem = schema.check(compiled, { a = 1, b = 2, c = 3, [tostring({})] = 1 }, "params")
      assert.equal("params.a", problem.path)
    end
  end)
end)
