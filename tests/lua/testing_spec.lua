-- The given / when / then kit: that it passes when it should, and fails with a message that helps when it should.
local support = dofile "tests/cli/support.lua"
local t = require "es.testing"
local inspect = require "esrun.inspect"

local JANE, KEN, TELLER = { actor_id = "user:jane" }, { actor_id = "user:ken" }, { actor_id = "user:t", roles = { "teller" } }
local OPENED = { "Account/1", "AccountOpened", { owner = "user:jane" }, actor_id = "user:jane" }

-- Uses the clock, as nobody should.
local CLOCKED = [[
local es = require "es"
local rule = require "es.rule"
local Clocked = es.aggregate "Clocked"
Clocked.events = { TimeTaken = { at = "integer" }, NoteTaken = { now = "timestamp", id = "uuid" } }
Clocked.apply = { TimeTaken = function(s, e) s.at = e.data.at end, NoteTaken = function(s, e) s.now = e.data.now end }
Clocked.commands = {
  take = { allow = rule.anyone, decide = function() return es.event("TimeTaken", { at = os.time() }) end },
  note = { allow = rule.anyone, decide = function(_, _, ctx)
    return es.event("NoteTaken", { now = ctx.now, id = ctx.new_id() }):with_metadata { channel = "desk" }
  end },
}
return Clocked
]]

-- What DELETE on a web server would do: the audit row names the resource by its id, as text.
local RECORDS = [[
local es = require "es"
local rule = require "es.rule"
local schema = require "es.schema"
local Records = es.aggregate "Records"
Records.events = { RecordDeleted = { resource_id = "string", bytes = "integer?" } }
Records.apply = {}
Records.commands = {
  delete = { params = { resource_id = schema.string { min = 1 } }, allow = rule.authenticated,
    decide = function(_, cmd) return es.event("RecordDeleted", { resource_id = cmd.resource_id }) end },
}
return Records
]]

local DELETIONS = [[
local es = require "es"
local Deletions = es.projection "deletions"
Deletions.tables = {
  deletions = { position = "integer", user = "string", action = "string", resource_id = "string", note = "string?",
    key = { "position" } },
}
Deletions.on = {
  RecordDeleted = function(t, e)
    t.deletions:put { position = e.position, user = e.actor_id, action = "DATA_DELETED", resource_id = e.data.resource_id }
  end,
}
Deletions.queries = {
  of_user = { sql = "SELECT action, resource_id, note FROM deletions WHERE user = :user", params = { user = "string" } },
}
return Deletions
]]

-- A module built with a sanitizer needs the sanitizer before it.
local LUA = ("LD_PRELOAD='%s' LUA_PATH='%s' LUA_CPATH='%s' lua5.4"):format(os.getenv "LD_PRELOAD" or "", package.path,
  package.cpath)
local function run_busted(folder) return support.shell(folder, LUA .. " /usr/bin/busted --output=plainTerminal spec") end

describe("es.testing", function()
  local folder

  before_each(function()
    folder = support.project {
      ["aggregates/clocked.lua"] = CLOCKED, ["aggregates/records.lua"] = RECORDS, ["projections/deletions.lua"] = DELETIONS,
    }
  end)
  after_each(function() support.clean() end)

  local function given(events, options)
    options = options or {}
    options.project = folder
    return t.given(events, options)
  end

  -- The message that a failing expectation gives.
  local function failure(f)
    local fine, message = pcall(f)
    assert.is_false(fine)
    return type(message) == "table" and tostring(message.message) or tostring(message)
  end

  it("tells a story of events, commands and states", function()
    given({ OPENED })
      :when("Account/1", "move", { cents = 500 }, JANE)
      :then_events { { "MoneyMoved", { cents = 500 }, actor_id = "user:jane" } }
      :then_state { owner = "user:jane", cents = 500 }
      :when("Account/1", "move", { cents = -200 }, TELLER)
      :then_events { "MoneyMoved" }
      :given { { "Account/1", "MoneyMoved", { cents = 7 } } }
      :then_state("Account/1", { owner = "user:jane", cents = 307 })
  end)

  it("knows a rejection, a denial and a failure from each other", function()
    given { OPENED }
      :when("Account/1", "open", {}, JANE):then_rejected("already_open", "The account is open already")
      :when("Account/1", "move", { cents = -1 }, JANE):then_rejected "overdrawn"
      :when("Account/1", "move", { cents = 1 }, KEN):then_denied "forbidden"
      :when("Account/1", "move", { cents = 1 }):then_denied "unauthenticated"
      :when("Account/2", "move", { cents = 1 }, JANE):then_rejected "not_found"
      :when("Account/1", "move", { cents = "x" }, JANE):then_fails("usage", "params.cents")
      :then_state("Account/1", { owner = "user:jane", cents = 0 })
  end)

  it("runs modules where they run live, so that os.time() fails", function()
    given():when("Clocked/1", "take"):then_fails("lua", "'os' does not exist in domain code: take the time from ctx.now")
  end)

  it("lets time stand still where the test says", function()
    given({}, { at = "2024-02-29T12:00:00Z" })
      :when("Clocked/1", "note")
      :then_events { { "NoteTaken", { now = "2024-02-29T12:00:00.000000Z", id = t.any }, metadata = { channel = "desk" } } }
      :at("2025-01-01T00:00:00Z"):when("Clocked/1", "note")
      :then_state { now = "2025-01-01T00:00:00.000000Z" }
  end)

  it("records given events as they are given", function()
    local scenario = given { { "Account/1", "AccountOpened", { owner = "user:x" }, actor_id = "user:x",
      at = "2020-01-01T00:00:00Z", metadata = { channel = "desk" } } }
    local events = {}
    for event in scenario.es:events() do events[#events + 1] = event end
    assert.equal(1, #events)
    local event = events[1]
    assert.equal("2020-01-01T00:00:00.000000Z", event.occurred_at)
    assert.equal("2020-01-01T00:00:00.000000Z", event.recorded_at)
    assert.equal("user:x", event.actor_id)
    assert.equal("desk", event.metadata.channel)
  end)

  -- covers D17
  it("finds exactly one DATA_DELETED row for the user, its resource_id text", function()
    given()
      :when("Records/customers", "delete", { resource_id = "42" }, JANE)
      :then_rows("deletions", "of_user", { user = "user:jane" }, { { action = "DATA_DELETED", resource_id = "42" } })
      :then_rows("deletions", "of_user", { user = "user:ken" }, {})
      :when("Records/customers", "delete", { resource_id = 42 }, JANE):then_fails("usage", "params.resource_id")
  end)

  -- covers A22
  it("tests what is logged of somebody's work without a mock", function()
    local scenario = given { { "Records/files", "RecordDeleted", { resource_id = "a.txt", bytes = 12 }, actor_id = "user:ken" } }
      :when("Records/files", "delete", { resource_id = "report.pdf" }, JANE)
      :then_events { "RecordDeleted" }
    local activity = assert(scenario.es:activity "user:jane")
    assert.equal(1, #activity)
    assert.equal("RecordDeleted", activity[1].event_type)
    assert.equal("files", activity[1].aggregate_id)
    assert.equal("user:jane triggered RecordDeleted on Records", scenario.es.audit.by_actor("user:jane")[1].description)
  end)

  describe("when an expectation fails", function()
    it("shows each difference by its path, and both sides", function()
      local message = failure(function()
        given { OPENED }:when("Account/1", "move", { cents = 5, tags = { "a" } }, JANE)
          :then_events { { "MoneyMoved", { cents = 6, tags = { "b" } } } }
      end)
      assert.matches("Account/1 move did not store the expected events:", message, 1, true)
      assert.matches("  [1][2].cents: expected 6, got 5", message, 1, true)
      assert.matches('  [1][2].tags[1]: expected "b", got "a"', message, 1, true)
      assert.matches('expected: { { "MoneyMoved", { cents = 6, tags = { "b" } } } }', message, 1, true)
      assert.matches('actual:   { { "MoneyMoved", { cents = 5, tags = { "a" } } } }', message, 1, true)
    end)

    it("names the specification's line, as a failure and not as an error of the test", function()
      support.write(folder .. "/spec/wrong_spec.lua", [[
local t = require "es.testing"
it("is wrong", function()
  t.given { { "Account/1", "AccountOpened", {} } }
    :then_state { cents = 1 }
end)
]])
      local result = run_busted(folder)
      assert.equal(1, result.status)
      assert.matches("0 successes / 1 failure / 0 errors", result.out, 1, true)
      assert.matches("spec/wrong_spec.lua:%d: the state of Account/1 is not as expected:", result.out)
      assert.matches("cents: expected 1, got 0", result.out, 1, true)
    end)

    it("tells why a command that should be accepted was not, and the reverse", function()
      local message = failure(function() given { OPENED }:when("Account/1", "open", {}, JANE):then_events {} end)
      assert.matches("Account/1 open was not accepted: The account is open already (status rejected, code already_open)",
        message, 1, true)
      message = failure(function() given():when("Account/1", "open", {}, JANE):then_rejected "already_open" end)
      assert.matches("expected it to be rejected (already_open), but Account/1 open was accepted, with AccountOpened",
        message, 1, true)
      message = failure(function() given { OPENED }:when("Account/1", "move", { cents = 1 }, KEN):then_rejected() end)
      assert.matches("expected it to be rejected, but Account/1 move was not accepted", message, 1, true)
      message = failure(function() given { OPENED }:when("Account/1", "move", { cents = 1 }, KEN):then_denied "no_rule" end)
      assert.matches('code: expected "no_rule", got "forbidden"', message, 1, true)
      message = failure(function() given():when("Account/1", "open", {}, JANE):then_fails "lua" end)
      assert.matches("expected it to fail (lua)", message, 1, true)
    end)

    it("does not pass over a refusal that nobody expected", function()
      local message = failure(function()
        given():when("Account/1", "open"):when("Account/1", "open", {}, JANE)
      end)
      assert.matches("Account/1 open was not accepted: Authentication required (unauthenticated)", message, 1, true)
      message = failure(function() given():when("Account/1", "open"):then_state {} end)
      assert.matches("was not accepted", message, 1, true)
    end)

    it("does not pass over it as the last step of a test, and names the command's line", function()
      support.write(folder .. "/spec/last_spec.lua", [[
local t = require "es.testing"
it("says nothing of a refusal", function()
  t.given {}
    :when("Account/1", "open")
end)
it("fails otherwise", function()
  t.given {}:when("Account/1", "open")
  error "its own"
end)
it("says it", function() t.given {}:when("Account/1", "open"):then_denied() end)
]])
      local result = run_busted(folder)
      assert.matches("1 success / 1 failure / 1 error", result.out, 1, true)
      assert.matches("spec/last_spec.lua:3: Account/1 open was not accepted: Authentication required (unauthenticated)",
        result.out, 1, true)
      assert.matches("its own", result.out, 1, true)
      assert.equal(2, select(2, result.out:gsub("[^\n]+_spec.lua @", "")), result.out)
    end)

    it("does not pass over it without busted, when the next scenario begins", function()
      support.write(folder .. "/plain.lua", [[
local t = require "es.testing"
t.given {}:when("Account/1", "open")
t.given {}
]])
      local result = support.shell(folder, LUA .. " plain.lua")
      assert.equal(1, result.status)
      assert.matches("plain.lua:2: Account/1 open was not accepted", result.err, 1, true)
    end)

    it("blames the specification's line for a wrong frame or option", function()
      local here = debug.getinfo(1, "l").currentline
      local message = failure(function() given({}, { frob = 1 }) end)
      assert.matches("unknown option 'frob'", message, 1, true)
      message = failure(function() t.given({}, { project = folder, frob = 1 }) end)
      assert.matches(("testing_spec.lua:%d: t.given: unknown option 'frob'"):format(here + 3), message, 1, true)
      message = failure(function() given():when("Account/1", "open", {}, { actor = "x" }) end)
      assert.matches(("testing_spec.lua:%d: "):format(here + 5), message, 1, true)
      assert.is_nil(message:find "esrun/testing.lua")
      message = failure(function() given():then_rows("balances", "richest", {}, {}, { actor = "x" }) end)
      assert.matches(("testing_spec.lua:%d: "):format(here + 8), message, 1, true)
    end)

    it("tells numbers of different types apart, and null from nothing", function()
      assert.matches("cents: expected 0.0, got 0",
        failure(function() given { OPENED }:then_state { cents = 0.0, owner = t.any } end), 1, true)
      assert.matches("owner: expected any value, got nothing",
        failure(function() given { { "Account/1", "AccountOpened", {} } }:then_state { cents = 0, owner = t.any } end), 1, true)
    end)

    it("shows the rows of a projection", function()
      local message = failure(function()
        given { OPENED, { "Account/1", "MoneyMoved", { cents = 3 } } }:then_rows("balances", "richest", { limit = 1 }, {})
      end)
      assert.matches("balances richest did not answer as expected:", message, 1, true)
      assert.matches('[1]: expected nothing, got { account = "1", cents = 3 }', message, 1, true)
      assert.matches("there is no projection nothing", failure(function() given():then_rows("nothing", "x", {}, {}) end), 1, true)
    end)
  end)

  it("refuses given events that the module does not declare or that do not fit", function()
    assert.matches("given event 1: (AccountOpend of Account/1): Account does not declare an event AccountOpend",
      failure(function() given { { "Account/1", "AccountOpend", {} } } end), 1, true)
    assert.matches("data.cents",
      failure(function() given { OPENED, { "Account/1", "MoneyMoved", { cents = "1" } } } end), 1, true)
    assert.matches("given event 1: expected", failure(function() given { { "Account/1" } } end), 1, true)
    assert.matches("unknown field 'actor'", failure(function() given { { "Account/1", "AccountOpened", actor = "x" } } end), 1,
      true)
    assert.matches('target expected as "TYPE/ID"', failure(function() given { { "Account", "AccountOpened" } } end), 1, true)
  end)

  it("looks at the state of a tenant's aggregate", function()
    given { { "Account/1", "AccountOpened", { owner = "user:jane" }, tenant_id = "acme" } }
      :then_state("Account/1", { cents = 0 }, { tenant_id = "acme" })
      :then_state({ cents = 0 }, { tenant_id = "acme" })
  end)

  it("refuses a time that is none, at the line of the specification", function()
    for _, at in ipairs { "2024-13-45", "tomorrow", 1.5, {} } do
      for _, call in ipairs {
        function() t.given({}, { project = folder, at = at }) end,
        function() given():at(at) end,
      } do
        local _, why = pcall(call)
        assert.matches("^tests/lua/testing_spec.lua:%d+: at: expected microseconds or a time", why)
      end
    end
    t.given({}, { project = folder, at = 5 }):at "2024-01-31T12:00:00Z"
  end)

  it("compares states with keys of any type, and tells them in one order: numbers, then the others by their text", function()
    local keys = { 9, 10, -1.5, 100, true, false, "apple", "zebra", "No", "gone" }
    local told = { "[-1.5]", "[9]", "[10]", "[100]", "No", "apple", "false", "gone", "true", "zebra" }
    for first = 1, #keys do -- whichever way they get into the table
      local expected = { owner = "user:jane", cents = 0 }
      for step = 0, #keys - 1 do expected[keys[(first + step - 1) % #keys + 1]] = "x" end
      local _, why = pcall(function() given { OPENED }:then_state(expected) end)
      local lines = {}
      for line in tostring(why):gmatch "\n  (%S+): expected \"x\", got nothing" do lines[#lines + 1] = line end
      assert.same(told, lines)
    end
  end)

  it("is not there for domain code", function()
    support.write(folder .. "/aggregates/kit.lua", 'require "es.testing"')
    assert.matches("module 'es.testing' does not exist in domain code", failure(function() given() end), 1, true)
  end)
end)

describe("esrun.inspect", function()
  it("writes values as Lua would, in one order, over lines where one would be long", function()
    local esrun = require "esrun"
    assert.equal("null", inspect(esrun.null))
    assert.equal('{ 1, 2.0, "a\\n\\27[31m", [10] = false, ["end"] = {}, x = true }',
      inspect { 1, 2.0, "a\n\27[31m", x = true, ["end"] = {}, [10] = false })
    local loop = {}
    loop.self = loop
    assert.equal("{ self = { … itself … } }", inspect(loop))
    assert.equal(("{\n  %q,\n  %q,\n}"):format(("a"):rep(60), ("b"):rep(60)), inspect { ("a"):rep(60), ("b"):rep(60) })
  end)
end)
