-- es, es.rule and es.schema as modules meet them inside a domain state: through read-only views, with the real codec.
-- What each word means is tested in tests/lua; here is what only shows when all parts are joined.
local esrun = require "esrun"

local ITEM = [[
local es, rule, schema = require "es", require "es.rule", require "es.schema"
local types = require "shared.types"
local Item = es.aggregate "Item"
Item.events = {
  ItemAdded = { tags = "list", price = types.cents, note = "string?", extra = "any?" },
  ItemCopied = { tags = "list", inner = schema.table { tags = "list" } },
}
function Item.initial() return { tags = {}, inner = { tags = {} } } end
Item.apply = {
  ItemAdded = function(item, e)
    item.tags, item.note, item.extra, item.owner = e.data.tags, e.data.note, e.data.extra, e.actor_id
  end,
}
Item.commands = {
  add = {
    params = { tags = "list", price = types.cents, note = "string?", extra = "any?" },
    allow = types.staff,
    decide = function(_, cmd)
      return es.event("ItemAdded", { tags = cmd.tags, price = cmd.price, note = cmd.note, extra = cmd.extra })
    end,
  },
  copy = {
    allow = rule.anyone,
    decide = function(item) return es.event("ItemCopied", { tags = item.tags, inner = item.inner }) end,
  },
  decide_wrongly = {
    allow = rule.anyone,
    decide = function()
      local event = es.event("ItemAdded", { tags = { "secret" }, price = "secret" })
      return event
    end,
  },
  decide_wrongly_at_once = {
    allow = rule.anyone,
    decide = function() return es.event("ItemAdded", { tags = { "secret" }, price = "secret" }) end,
  },
  unruled = { decide = function() return {} end },
  assign = {
    allow = rule.anyone,
    decide = function(item) item.owner = "user:mallory" end,
  },
  raise = {
    allow = function(item) return item.owner.name == "x" end,
    decide = function() end,
  },
  odd = {
    allow = function() return "yes" end,
    decide = function() end,
  },
}
return Item
]]

local TYPES = [[
local rule, schema = require "es.rule", require "es.schema"
return { cents = schema.integer { min = 0 }, staff = rule.any(rule.role "staff", rule.actor_kind "system") }
]]

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

describe("the domain library in a domain state", function()
  local folder, es

  local function open(item)
    os.execute(("mkdir -p '%s/aggregates' '%s/lib/shared'"):format(folder, folder))
    write(folder .. "/esrun.lua", "return {}\n")
    write(folder .. "/aggregates/item.lua", item)
    write(folder .. "/lib/shared/types.lua", TYPES)
    return esrun.open { project = folder, store = ":memory:" }
  end

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    es = nil
  end)
  after_each(function()
    if es then es:close() end
    os.execute(("rm -rf '%s'"):format(folder))
  end)

  local function try(frame, command, params)
    return es.context.run(frame, es.execute, es, "Item/1", command, params)
  end

  local STAFF = { actor_id = "user:jane", roles = { "staff" } }

  it("takes types and rules from a library module, which it sees read-only", function()
    es = assert(open(ITEM))
    assert.equal(1, assert(try(STAFF, "add", { tags = { "a" }, price = 1 })).version)
    local _, message, code = try({ actor_id = "user:ken" }, "add", { tags = {}, price = 1 })
    assert.equal("forbidden", code)
    assert.equal("Access denied", message)
    _, message = try(STAFF, "add", { tags = {}, price = -1 })
    assert.truthy(message:find("params.price: must be at least 0", 1, true), message)
  end)

  it("stores an empty table as a list where a list is declared, also through a view of the state", function()
    es = assert(open(ITEM))
    local reply = assert(try(STAFF, "copy"))
    assert.equal("[]", esrun.json.encode(reply.events[1].data.tags))
  end)

  it("removes an optional null and keeps one where anything may stand", function()
    es = assert(open(ITEM))
    local params = { tags = {}, price = 1, note = esrun.null, extra = esrun.null }
    local data = assert(try(STAFF, "add", params)).events[1].data
    assert.equal('{"extra":null,"price":1,"tags":[]}', esrun.json.encode(data))
  end)

  it("refuses an event that does not fit, naming the line and the path and not the value", function()
    es = assert(open(ITEM))
    local _, message, code = try(STAFF, "decide_wrongly")
    assert.equal("bad_event", code)
    local line = select(2, ITEM:match("^(.-)local event"):gsub("\n", "")) + 1
    assert.truthy(message:find(("aggregates/item.lua:%d: .*data%%.price: expected integer, got string"):format(line)), message)
    assert.falsy(message:find("secret", 1, true))
    _, message = try(STAFF, "decide_wrongly_at_once") -- a tail call leaves no line
    assert.truthy(message:find("aggregates/item.lua: .*data%.price: expected integer, got string"), message)
    assert.is_nil(es:load("Item/1"))
  end)

  it("denies a command without a rule, and when the rule fails or answers oddly", function()
    es = assert(open(ITEM))
    for _, command in ipairs { "unruled", "raise", "odd" } do
      local reply, _, _, details = try(STAFF, command)
      assert.is_nil(reply, command)
      assert.equal("denied", details.status, command)
    end
  end)

  it("shows the state read-only to decide", function()
    es = assert(open(ITEM))
    local _, message, _, details = try(STAFF, "assign")
    assert.equal("lua", details.status)
    assert.truthy(message:find("read-only", 1, true), message)
  end)

  it("names a wrong declaration at its line, or by its path", function()
    for _, case in ipairs {
      { 'ItemAdded = { tags = "lisst"', 'unknown type "lisst", did you mean "list"?' },
      { 'ItemAdded = { tags = schema.list "strng"', "aggregates/item.lua:5: schema.list: unknown type \"strng\"" },
      { 'ItemAdded = { actor = rule.role()', "aggregates/item.lua:5: rule.role: expected at least one name" },
    } do
      local wrong = ITEM:gsub("ItemAdded = { tags = \"list\"", (case[1]:gsub("%%", "%%%%")), 1)
      local opened, message = open(wrong)
      assert.is_nil(opened)
      assert.truthy(message:find(case[2], 1, true), message)
    end
  end)

  -- covers E23
  it("refuses two commands of one dispatch name", function()
    local twice = ITEM:gsub("copy = {", 'copy = { dispatch = "Copy",'):gsub("odd = {", 'odd = { dispatch = "Copy",')
    local opened, message = open(twice)
    assert.is_nil(opened)
    assert.truthy(message:find("commands.odd: dispatch name Copy is already that of .*commands.copy"), message)
  end)

  -- covers E18
  it("refuses actor_id as a declared parameter and as a given one", function()
    local opened, message = open((ITEM:gsub("params = { tags", "params = { actor_id = \"string\", tags", 1)))
    assert.is_nil(opened)
    assert.truthy(message:find("actor_id", 1, true) and message:find("context", 1, true), message)
    es = assert(open(ITEM))
    local _, _, code, details = try(STAFF, "add", { tags = {}, price = 1, actor_id = "user:mallory" })
    assert.equal("actor_in_params", code)
    assert.equal("usage", details.status)
  end)
end)
