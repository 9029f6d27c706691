-- Appending events without a command, and reloading modules, from trusted Lua.
local support = dofile "tests/cli/support.lua"
local esrun = require "esrun"

describe("a runtime in trusted Lua", function()
  local folder, es

  before_each(function()
    folder = support.project()
    es = assert(esrun.open { project = folder, store = ":memory:", clock = function() return "2024-01-01T00:00:00Z" end })
  end)
  after_each(function()
    es:close()
    support.clean()
  end)

  local function opened(more)
    local event = { aggregate_type = "Account", aggregate_id = "1", event_type = "AccountOpened", data = { owner = "user:a" } }
    for name, value in pairs(more or {}) do event[name] = value end
    return event
  end

  local function stored()
    local out = {}
    local scope <close> = es.context.enter { operator_scope = true }
    for event in es:events() do out[#out + 1] = event end
    scope:leave()
    return out
  end

  it("appends what happened, and fills in what is not said", function()
    local id, cause = esrun.new_id(), esrun.new_id()
    local first, last = es.context.run({ actor_id = "import:desk", tenant_id = "acme" }, function()
      return assert(es:append { opened(), opened { event_type = "MoneyMoved", data = { cents = 5 }, actor_id = "user:b",
        event_id = id, causation_id = cause, occurred_at = "2020-02-29T01:02:03Z", metadata = { channel = "desk" },
        version = 2 } })
    end)
    assert.same({ 1, 2 }, { first, last })
    local one, two = table.unpack(stored())
    assert.same({ "import:desk", "acme", "2024-01-01T00:00:00.000000Z", 1 },
      { one.actor_id, one.tenant_id, one.occurred_at, one.version })
    assert.same({ "user:b", id, cause, "2020-02-29T01:02:03.000000Z", "desk", 2 },
      { two.actor_id, two.event_id, two.causation_id, two.occurred_at, two.metadata.channel, two.version })
    assert.equal("2024-01-01T00:00:00.000000Z", two.recorded_at)
    assert.equal(one.correlation_id, two.correlation_id)
  end)

  it("keeps an import as it was, and asks no module when told so", function()
    assert(es:append({ opened { event_type = "Unheard", recorded_at = "2001-01-01T00:00:00Z", occurred_at = 5 } },
      { keep = true, unchecked = true }))
    assert.equal("2001-01-01T00:00:00.000000Z", stored()[1].recorded_at)
    assert.equal("1970-01-01T00:00:00.000005Z", stored()[1].occurred_at)
    assert.is_nil(stored()[1].actor_id)
  end)

  it("answers nil and why, and stores nothing of a list with one that does not fit", function()
    for _, case in ipairs {
      { "undeclared_event", opened { event_type = "Unheard" } },
      { "bad_event", opened { data = { owner = 1 } } },
      { "bad_event", opened { data = esrun.array {} } },
      { "version_conflict", opened { version = 7 } },
      { "other_tenant", opened { tenant_id = "acme" } },
      { "not_json", opened { data = { owner = 0 / 0 } } },
      { "not_json", opened { metadata = { f = print } } },
    } do
      local nothing, message, code, details = es:append { opened(), case[2] }
      assert.is_nil(nothing)
      assert.equal(case[1], code, message)
      assert.is_table(details)
    end
    assert.same({}, stored())
  end)

  it("keeps the texts that an event's __index makes", function()
    local made = setmetatable({}, { __mode = "v" })
    local members = { aggregate_type = "Account", event_type = "AccountOpened", data = { owner = "user:a" } }
    local event = setmetatable({}, { __index = function(_, name)
      collectgarbage()
      for filler = 1, 200 do made[filler] = ("x"):rep(100 + filler) end
      return name == "aggregate_id" and ("id-" .. #made):rep(20) or members[name]
    end })
    assert(es:append { event })
    assert.matches("^id%-.*id%-%d+$", stored()[1].aggregate_id)
  end)

  it("blames the caller for values of the wrong type", function()
    local _, why = pcall(function() es:append {} end)
    assert.matches("append_spec.lua:%d+: 1 to 10,000 events expected", why)
    assert.error_matches(function() es:append { opened { version = -5 } } end, "event 1: version: at least 1 expected, got %-5")
    assert.error_matches(function() es:append { 1 } end, "event 1: table expected")
    assert.error_matches(function() es:append { opened { actor_id = 1 } } end, "event 1: actor_id: string expected, got number")
    assert.error_matches(function() es:append { opened { event_id = "x" } } end, "event 1: event_id: no UUID")
    assert.error_matches(function() es:append { opened { occurred_at = "soon" } } end, "event 1: occurred_at: no RFC 3339 time")
    assert.error_matches(function() es:append { opened { version = "1" } } end, "event 1: version: integer expected")
    assert.error_matches(function() es:append({ opened() }, { kept = true }) end, "unknown option 'kept'")
  end)

  it("reloads modules that are right, and says whether anything changed", function()
    assert(es:append { opened() })
    assert.same({ true, false }, { es:reload() })
    support.write(folder .. "/aggregates/account.lua", (support.ACCOUNT:gsub("cents = 0", "cents = 7")))
    assert.same({ true, true }, { es:reload() })
    local scope <close> = es.context.enter { operator_scope = true }
    assert.equal(7, es:load("Account/1").state.cents)
    support.write(folder .. "/aggregates/account.lua", "local x = = 1")
    local nothing, message, _, details = es:reload()
    assert.is_nil(nothing)
    assert.matches("aggregates/account.lua:1:", message, 1, true)
    assert.equal("lua", details.status)
    assert.equal(7, es:load("Account/1").state.cents)
    scope:leave()
    local _, why = es:transaction(function() return es:reload() end)
    assert.matches("inside a command or a transaction", why)
  end)

  it("does not reload under an import that is open", function()
    local import = assert(es:import { form = "jsonl", name = "desk", group = 1, mapping = "return function() end" })
    assert(import:feed "{}\n")
    support.write(folder .. "/aggregates/account.lua", (support.ACCOUNT:gsub("cents = 0", "cents = 7")))
    local nothing, message, code = es:reload()
    assert.is_nil(nothing)
    assert.equal("import_open", code)
    assert.matches("while an import is under way", message)
    assert(import:feed "{}\n")
    assert(import:finish())
    assert.same({ true, true }, { es:reload() })
    es:import({ form = "jsonl", name = "desk", mapping = "return function() end" }):close()
    assert.is_nil((es:import { form = "jsonl", name = "desk", mapping = "nonsense" }))
    assert.same({ true, false }, { es:reload() })
  end)

  it("dispatches by the names that the reloaded modules give", function() -- covers E23
    local jane = { actor_id = "user:jane", roles = { "teller" } }
    assert(es:append { opened() })
    assert(es:dispatch("MoveMoney", "1", { cents = 1 }, jane))
    support.write(folder .. "/aggregates/account.lua", (support.ACCOUNT:gsub('"MoveMoney"', '"ShiftMoney"')))
    assert(es:reload())
    local nothing, _, code, details = es:dispatch("MoveMoney", "1", { cents = 1 }, jane)
    assert.is_nil(nothing)
    assert.same({ "unknown_command", "known: ShiftMoney" }, { code, details.hint })
    assert(es:dispatch("ShiftMoney", "1", { cents = 1 }, jane))
  end)
end)
