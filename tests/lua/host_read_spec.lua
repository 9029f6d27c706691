-- The host module: reading, projections, checks and values from trusted Lua.
local bank = dofile "tests/lua/bank.lua"
local esrun = require "esrun"
local support = bank.support

local JANE = { actor_id = "user:jane" }

describe("esrun", function()
  local es
  local as, open_account, move = bank.as, bank.open_account, bank.move

  before_each(function() es = bank.open() end)
  after_each(bank.close)

  describe("reading", function()
    before_each(function()
      open_account "1"
      move("1", 100)
      move("1", -30)
    end)

    it("loads a state, now and earlier", function()
      as("user:jane", function()
        local now = assert(es:load("Account/1"))
        assert.equal(3, now.version)
        assert.equal(70, now.state.cents)
        assert.is_nil(now.tenant_id)
        assert.equal(100, assert(es:load("Account/1", { at_version = 2 })).state.cents)
        local event = es:events { to_version = 2, after = 1 }
        assert.is_function(event)
      end)
    end)

    it("answers an aggregate that does not exist, and one that may not be seen", function()
      local state, _, _, details = es:load("Account/9")
      assert.is_nil(state)
      assert.equal("not_found", details.status)
      local seen, message, _, why = as("user:bob", function() return es:load("Account/1") end)
      assert.is_nil(seen)
      assert.equal("That is not your account", message)
      assert.equal("denied", why.status)
    end)

    it("iterates over events with filters, both ways", function()
      local positions = {}
      for event in es:events { event_type = "MoneyMoved", reverse = true } do positions[#positions + 1] = event.position end
      assert.same({ 3, 2 }, positions)
      local count = 0
      for event in es:events { after = 1, limit = 1 } do
        count = count + 1
        assert.equal(2, event.position)
        assert.equal(100, event.data.cents)
      end
      assert.equal(1, count)
      for _ in es:events { actor_id = esrun.none } do error "there is none" end
    end)

    it("finds events by their actor, who need not be repeated in the metadata", function() -- covers E32
      as("user:bob", function() assert(es:execute("Account/2", "open")) end)
      local found = {}
      for event in es:events { actor_id = "user:bob" } do
        found[#found + 1] = event.aggregate_id
        assert.is_nil(event.metadata.actor_id)
      end
      assert.same({ "2" }, found)
    end)

    it("gives lines of JSON when asked", function()
      for line in es:events { limit = 1, form = "log" } do
        assert.equal("AccountOpened", assert(esrun.json.decode(line)).event_type)
      end
      for line in es:events { limit = 1, form = "export" } do
        assert.equal("string", type(assert(esrun.json.decode(line)).data))
      end
    end)

    it("may be left early, and closed under way", function()
      for _ in es:events() do break end
      local next_event, cursor = es:events()
      assert.equal(1, next_event(cursor).position)
      es:close()
      assert.error_matches(function() next_event(cursor) end, "closed")
    end)

    it("raises an error with code and status for a filter that makes no sense", function()
      local ok, err = pcall(function() for _ in es:events { correlation_id = "x" } do break end end)
      assert.is_false(ok)
      assert.equal("usage", err.status)
      assert.error_matches(function() es:events { actor = "user:jane" } end, "unknown option 'actor'")
      assert.error_matches(function() es:events { from = "noon" } end, "not an RFC 3339 time")
    end)

    it("keeps reading while events are appended", function()
      local seen = 0
      for event in es:events() do
        seen = seen + 1
        if event.position == 1 then move("1", 1) end
      end
      assert.is_true(seen >= 3)
    end)
  end)

  describe("projections", function()
    before_each(function()
      for number = 1, 3 do
        open_account(tostring(number))
        move(tostring(number), number * 10)
      end
    end)

    it("are run, asked and rebuilt", function()
      assert(es:project("balances"))
      assert.same({ { account = "3", cents = 30 }, { account = "2", cents = 20 } },
        assert(es:query("balances", "richest", { limit = 2 })))
      local names = {}
      for row in es:rows("balances", "richest") do names[#names + 1] = row.account end
      assert.same({ "3", "2", "1" }, names)
      assert(es:rebuild("balances"))
      assert.equal(3, #assert(es:query("balances", "richest")))
    end)

    it("tell how far they are", function()
      assert(es:project())
      move("1", 1)
      for _, status in ipairs(assert(es:projection_status())) do
        assert.equal(6, status.position)
        assert.equal(1, status.behind)
      end
    end)

    it("answer what is unknown as a value", function()
      local rows, _, _, details = es:query("balance", "richest")
      assert.is_nil(rows)
      assert.equal("not_found", details.status)
      rows, _, _, details = es:query("balances", "poorest")
      assert.is_nil(rows)
      assert.is_truthy(details)
      assert.is_nil((es:project("nothing")))
      local ok, err = pcall(es.rows, es, "balances", "poorest")
      assert.is_false(ok)
      assert.equal("table", type(err))
    end)

    it("stop when the progress function says so, and keep the old rows", function()
      local folder = support.project()
      local other <close> = assert(esrun.open { project = folder })
      for number = 1, 3 do assert(other:execute("Account/" .. number, "open", {}, JANE)) end
      assert(other:execute("Account/1", "move", { cents = 5 }, JANE))
      local done, message, code = other:project("balances", { progress = function() return false end })
      assert.is_nil(done)
      assert.equal("stopped", code)
      assert.matches("stopped after %d+ events", message)
      assert(other:project("balances"))
      done, message, code = other:rebuild("balances", { progress = function(at, total)
        assert(math.type(at) == "integer" and at <= total)
        return false
      end })
      assert.is_nil(done)
      assert.equal("rebuild_stopped", code)
      assert.matches("stopped", message)
      assert.same({ { account = "1", cents = 5 } }, assert(other:query("balances", "richest")))
    end)

    it("pass on what the progress function raises, and work on", function()
      local other <close> = assert(esrun.open { project = support.project() })
      assert(other:execute("Account/1", "open", {}, JANE))
      assert(other:project("balances"))
      local raised = {}
      local ok, err = pcall(other.rebuild, other, "balances", { progress = function() error(raised) end })
      assert.is_false(ok)
      assert.equal(raised, err)
      assert(other:project("balances"))
    end)

    -- covers E44, E43
    it("answer the audit log's questions, newest first and up to date", function()
      local entries = assert(es.audit.by_actor("user:jane", 2))
      assert.equal(2, #entries)
      assert.equal("user:jane triggered MoneyMoved on Account", entries[1].description)
      assert.is_true(entries[1].timestamp >= entries[2].timestamp)
      assert.equal(2, #assert(es.audit.by_aggregate("Account", "1")))
      assert.equal(6, #assert(es.audit.recent()))
      assert.equal(1, #assert(es.audit.recent(1)))
      assert.same({}, assert(es.audit.by_actor("user:nobody")))
    end)

    -- covers E47, E48
    it("answer who did what, and who was active", function()
      assert.equal(6, #assert(es:activity("user:jane")))
      assert.equal(2, #assert(es:activity("user:jane", 2)))
      assert.same({}, assert(es:activity("user:nobody")))
      assert.same({}, assert(es:activity()))
      local active = assert(es.audit.active_users("2020-01-01T00:00:00.000000Z"))
      assert.equal(1, #active)
      assert.equal("user:jane", active[1].actor_id)
      assert.same({}, assert(es.audit.active_users(active[1].last_active)))
    end)
  end)

  describe("checking", function()
    it("verifies an intact store", function()
      open_account "1"
      local report = assert(es:verify())
      assert.is_true(report.ok)
      assert.equal(1, report.event_count)
      assert.equal(0, report.finding_count)
      for event in es:events() do assert.equal(event.hash, report.head_hash) end
    end)

    it("names what is damaged", function()
      local folder = support.project()
      local other = assert(esrun.open { project = folder })
      assert(other:execute("Account/1", "open", {}, JANE))
      other:close()
      local damage = support.shell(folder, [[sqlite3 store.db "DROP TRIGGER IF EXISTS events_no_update;
        SELECT 'DROP TRIGGER ' || name || ';' FROM sqlite_master WHERE type = 'trigger'" | sqlite3 store.db &&
        sqlite3 store.db "UPDATE events SET data = '{\"owner\":\"user:bob\"}'"]])
      assert.equal("", damage.err)
      local again <close> = assert(esrun.open { project = folder })
      local findings = {}
      local report, message, _, details = again:verify { on_finding = function(found) findings[#findings + 1] = found end }
      assert.is_false(report.ok)
      assert.equal("integrity", details.status)
      assert.equal("string", type(message))
      assert.equal(report.finding_count, #findings)
      local kinds = {}
      for _, finding in ipairs(findings) do kinds[finding.kind] = finding end
      assert.equal(1, kinds.hash.position)
      local raised = {}
      local ok, err = pcall(again.verify, again, { on_finding = function() error(raised) end })
      assert.is_false(ok)
      assert.equal(raised, err)
    end)

    it("replays, and compares two replays", function()
      open_account "1"
      move("1", 10)
      local report = assert(es:replay { check = true })
      assert.equal(1, report.stream_count)
      assert.equal(2, report.event_count)
    end)

    it("catches an aggregate that is not the same twice", function()
      local folder = support.project { ["aggregates/dice.lua"] = [[
        local es = require "es"
        local rule = require "es.rule"
        local Dice = es.aggregate "Dice"
        Dice.events = { DiceRolled = {} }
        function Dice.initial() return {} end
        Dice.apply = { DiceRolled = function(dice) dice.eyes = es.test_random() end }
        Dice.commands = { roll = { allow = rule.anyone, decide = function() return es.event("DiceRolled", {}) end } }
        return Dice
      ]] }
      local other <close> = assert(esrun.open { project = folder, store = ":memory:", allow_nondeterminism = true })
      assert(other:execute("Dice/1", "roll"))
      local report, message, _, details = other:replay { check = true }
      assert.is_nil(report)
      assert.equal("integrity", details.status)
      assert.matches("Dice/1", message, 1, true)
      assert.matches("eyes", message)
    end)

    it("names the stream whose state is no plain data", function()
      local folder = support.project { ["aggregates/odd.lua"] = [[
        local es, rule = require "es", require "es.rule"
        local Odd = es.aggregate "Odd"
        Odd.events = { OddDone = {} }
        Odd.apply = { OddDone = function(odd) odd.callback = function() end end }
        Odd.commands = { act = { allow = rule.anyone, decide = function() return es.event "OddDone" end } }
        return Odd
      ]] }
      local other <close> = assert(esrun.open { project = folder, store = ":memory:" })
      assert(other:execute("Odd/7", "act"))
      local report, message = other:replay { check = true }
      assert.is_nil(report)
      assert.matches("Odd/7: state.callback", message, 1, true)
    end)
  end)

  describe("facts", function()
    it("describe modules, settings and store", function()
      assert.is_true(assert(es:describe()).aggregates.Account.commands.open.allow)
      assert.equal("project", assert(es:config())[1].setting)
      assert.equal("memory", assert(es:info()).store.kind)
    end)
  end)

  describe("values", function()
    it("makes ids that are ordered by time", function()
      local last = ""
      for _ = 1, 3 do
        local id = esrun.new_id()
        assert.matches("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-7%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$", id)
        assert.is_true(id:sub(1, 13) >= last:sub(1, 13) and id ~= last)
        last = id
      end
    end)

    it("reads and writes JSON without loss, and says where it is wrong", function()
      local text = '{"a":[],"b":{},"c":1,"d":1.0,"e":9007199254740993,"f":null}'
      assert.equal(text, esrun.json.encode(assert(esrun.json.decode(text))))
      local value, message, code, details = esrun.json.decode('{\n "a": 01}')
      assert.is_nil(value)
      assert.matches("line 2", message)
      assert.equal("malformed_json", code)
      assert.equal(2, details.exit_status)
    end)

    it("reads and writes times", function()
      local time = esrun.time.parse "2024-01-15T11:30:00.5+01:00"
      assert.equal("2024-01-15T10:30:00.500000Z", esrun.time.text(time))
      assert.is_nil(esrun.time.parse "15.1.2024")
    end)

    it("names the statuses", function()
      assert.equal(9, esrun.statuses.denied)
      assert.equal(0, esrun.statuses.ok)
    end)
  end)

  it("is the same module for plain Lua in any folder, a project's too", function()
    local folder = support.project()
    support.write(folder .. "/script.lua", 'print(require("esrun")._VERSION)')
    local here = package.searchpath("esrun", package.path)
    local result = support.shell(folder, ("LD_PRELOAD=%s LUA_PATH=%s lua5.4 script.lua"):format(
      support.quote(os.getenv "LD_PRELOAD" or ""), support.quote(here:gsub("[^/]*$", "?.lua") .. ";;")))
    if not os.getenv "LD_PRELOAD" then assert.equal("", result.err) end
    assert.equal(esrun._VERSION .. "\n", result.out)
  end)
end)
