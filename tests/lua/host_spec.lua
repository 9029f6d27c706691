-- The host module: opening, executing and transactions from trusted Lua.
local bank = dofile "tests/lua/bank.lua"
local esrun = require "esrun"
local support = bank.support

local JANE = { actor_id = "user:jane" }

describe("esrun", function()
  local es
  local open_account, move = bank.open_account, bank.move

  before_each(function() es = bank.open() end)
  after_each(bank.close)

  describe("opening", function()
    it("answers nil, message, code and details when there is no such project", function()
      local nothing, message, code, details = esrun.open { project = support.new_folder() .. "/missing" }
      assert.is_nil(nothing)
      assert.matches("missing", message)
      assert.equal("no_project", code)
      assert.equal("not_found", details.status)
      assert.equal(5, details.exit_status)
    end)

    it("says in which file and line a module is wrong", function()
      local folder = support.project { ["aggregates/broken.lua"] = "local x = = 1\n" }
      local nothing, message, _, details = esrun.open { project = folder, store = ":memory:" }
      assert.is_nil(nothing)
      assert.matches("aggregates/broken.lua:1:", message, 1, true)
      assert.equal("lua", details.status)
    end)

    it("blames the caller for an option that does not exist", function()
      assert.error_matches(function() esrun.open { read_olny = true } end, "unknown option 'read_olny'")
      assert.error_matches(function() esrun.open { store = 1 } end, "store: string expected")
      assert.error_matches(function() esrun.open { clock = 1 } end, "clock: function expected")
      assert.error_matches(function() esrun.open { store = "a\0b" } end, "NUL")
    end)

    it("finds the nearest project upward", function()
      local folder = support.project()
      support.write(folder .. "/a/b/c.txt", "")
      assert.equal(folder, esrun.find_project(folder .. "/a/b"))
      local nothing, _, code = esrun.find_project "/"
      assert.is_nil(nothing)
      assert.equal("no_project", code)
    end)

    it("closes with the variable, and twice without harm", function()
      local kept
      do
        local other <close> = assert(esrun.open { store = ":memory:" })
        kept = other
      end
      kept:close()
      assert.error_matches(function() kept:info() end, "this runtime is closed")
      assert.error_matches(function() kept:execute("Account/1", "open") end, "this runtime is closed")
    end)

    it("leaves nothing open when runtimes and readings are only collected", function()
      local folder = support.project()
      for _ = 1, 30 do
        local other = assert(esrun.open { project = folder })
        assert(other:execute("Account/" .. esrun.new_id(), "open", {}, JANE))
        other:events()
      end
      collectgarbage()
      collectgarbage()
      local again <close> = assert(esrun.open { project = folder })
      assert.equal(30, again:info().head_position)
    end)

    it("takes the time from the clock it is given", function()
      local now = "2024-01-15T10:30:00.000000Z"
      local stopped <close> = assert(esrun.open {
        project = support.project(), store = ":memory:", clock = function() return now end,
      })
      local reply = assert(stopped:execute("Account/1", "open", {}, JANE))
      assert.equal(now, reply.events[1].occurred_at)
      now = esrun.time.parse "2024-01-15T10:31:00Z"
      reply = assert(stopped:execute("Account/2", "open", {}, JANE))
      assert.equal("2024-01-15T10:31:00.000000Z", reply.events[1].occurred_at)
    end)

    it("goes on with the system's clock when the given one fails", function()
      local year = os.date "!%Y"
      for _, clock in ipairs { function() error "broken" end, function() return "noon" end, function() end } do
        local other <close> = assert(esrun.open { project = support.project(), store = ":memory:", clock = clock })
        assert.equal(year, assert(other:execute("Account/1", "open", {}, JANE)).events[1].occurred_at:sub(1, 4))
      end
    end)

    it("does not let a callback use or close the runtime that is calling it", function()
      local problems, other = {}, nil
      other = assert(esrun.open { project = support.project(), store = ":memory:", clock = function()
        if other and #problems == 0 then
          problems[1] = select(2, pcall(other.close, other))
          problems[2] = select(2, pcall(other.info, other))
        end
        return 0
      end })
      assert(other:execute("Account/1", "open", {}, JANE))
      assert.matches("cannot be closed from its own callbacks", problems[1])
      assert.matches("cannot be used from its own callbacks", problems[2])
      other:close()
    end)

    it("does not let a callback end a frame or an import of the call that it belongs to", function()
      local problems, ending = {}, {}
      local other <close> = assert(esrun.open { project = support.project(), store = ":memory:", clock = function()
        local done = table.remove(ending)
        if done then problems[#problems + 1] = select(2, pcall(done)) end
        return 0
      end })
      local scope = other.context.enter { actor_id = "user:" .. ("j"):rep(100) }
      ending[1] = function() scope:leave() end
      assert.equal("user:" .. ("j"):rep(100), assert(other:execute("Account/1", "open")).events[1].actor_id)
      ending[1] = function() local _ <close> = scope end
      assert(other:execute("Account/2", "open"))
      scope:leave()
      local import = assert(other:import { form = "jsonl", name = "desk", group = 1, mapping = "return function() end" })
      ending[1] = function() import:close() end
      assert(import:feed "{}\n")
      assert(import:finish())
      assert.same({}, ending)
      assert.equal(3, #problems)
      for _, problem in ipairs(problems) do assert.matches("cannot be used from its own callbacks", problem) end
    end)

    -- covers E62
    it("hands records of the log, with who and in which request, to the log function", function()
      local records = {}
      local other <close> = assert(esrun.open {
        project = support.project(), store = ":memory:",
        log = function(level, record) records[#records + 1] = { level, assert(esrun.json.decode(record)) } end,
      })
      other:execute("Account/1", "open", {}, { actor_id = esrun.none, request_id = "req-9" })
      assert.is_true(#records > 0)
      assert.equal("req-9", records[#records][2].request_id)
    end)
  end)

  describe("executing", function()
    -- covers E20, E33, E34
    it("answers a reply with version, positions and events", function()
      local reply = assert(es:execute("Account/1", "open", {}, JANE))
      assert.equal("Account", reply.aggregate_type)
      assert.equal("1", reply.aggregate_id)
      assert.equal(1, reply.version)
      assert.same({ 1 }, { table.unpack(reply.positions) })
      assert.is_false(reply.replayed)
      local event = reply.events[1]
      assert.equal("AccountOpened", event.event_type)
      assert.equal("user:jane", event.actor_id)
      assert.equal(reply.correlation_id, event.correlation_id)
      assert.is_nil(event.causation_id)
      assert.is_nil(event.tenant_id)
      assert.equal("GENESIS", event.previous_hash)
    end)

    it("takes the target as a pair, so that an id may be anything", function()
      assert.equal("a/b c", assert(es:execute({ "Account", "a/b c" }, "open", {}, JANE)).aggregate_id)
      assert.equal("a/b", assert(es:execute("Account/a/b", "open", {}, JANE)).aggregate_id)
    end)

    it("answers the reply as JSON text when asked", function()
      local text = assert(es:execute("Account/1", "open", {}, { actor_id = "user:jane", form = "json" }))
      assert.equal(1, assert(esrun.json.decode(text)).version)
    end)

    it("has nothing that deletes or changes an event", function() -- covers C1
      open_account "1"
      local gone, message, code, details = es:delete("Account/1")
      assert.is_nil(gone)
      assert.equal("Ledger is immutable", message)
      assert.equal("immutable", code)
      assert.equal("usage", details.status)
      assert.equal(1, es:info().store.events)
      local header = support.read(support.root .. "/runtime/include/esrun.h")
      for _, verb in ipairs { "delete", "update", "remove", "truncate", "rewrite" } do
        assert.is_nil(header:find("es_[%l_]*" .. verb .. "[%l_]*%("), verb)
      end
    end)

    -- covers D3, E35
    it("answers a rejection as nil, message, code and details", function()
      open_account "1"
      local reply, message, code, details = es:execute("Account/1", "open", {}, JANE)
      assert.is_nil(reply)
      assert.equal("The account is open already", message)
      assert.equal("already_open", code)
      assert.equal("rejected", details.status)
      assert.equal(4, details.exit_status)
    end)

    -- covers E22, E27
    it("denies a command of nobody", function()
      local reply, message, code, details = es:execute("Account/1", "open")
      assert.is_nil(reply)
      assert.equal("Authentication required", message)
      assert.equal("unauthenticated", code)
      assert.equal("denied", details.status)
    end)

    it("answers a conflict with both versions", function()
      open_account "1"
      local reply, _, _, details = move("1", 5, { expected_version = 7 })
      assert.is_nil(reply)
      assert.equal("conflict", details.status)
      assert.equal(7, details.expected_version)
      assert.equal(1, details.actual_version)
    end)

    it("answers an unknown aggregate and command with a hint", function()
      local _, _, code, details = es:execute("Acount/1", "open", {}, JANE)
      assert.equal("unknown_aggregate", code)
      assert.matches("Account", details.hint)
      _, _, code, details = es:execute("Account/1", "opne", {}, JANE)
      assert.equal("unknown_command", code)
      assert.matches("open", details.hint)
    end)

    it("answers parameters that JSON cannot hold with their path, and stores nothing", function()
      open_account "1"
      local cycle = {}
      cycle.again = cycle
      local deep = {}
      for _ = 1, 140 do deep = { deep } end
      for path, params in pairs {
        ["params.more"] = { cents = 1, more = print }, ["params.rate"] = { cents = 1, rate = 0 / 0 },
        ["params.note"] = { cents = 1, note = "\xff" }, ["params.more.again"] = { cents = 1, more = cycle },
        ["params.tags"] = { cents = 1, tags = { 1, nil, 3 } }, ["params.more[1]"] = { cents = 1, more = deep },
      } do
        local reply, message, _, details = es:execute("Account/1", "move", params, JANE)
        assert.is_nil(reply)
        assert.equal(path, message:sub(1, #path))
        assert.equal("usage", details.status)
      end
      assert.equal(1, es:info().head_position)
    end)

    it("keeps integers, floats, empty lists and null as they are", function()
      open_account "1"
      local event = assert(es:execute("Account/1", "move", {
        cents = math.maxinteger, rate = 2.0, tags = esrun.array {}, more = { a = esrun.null, b = {} }, exact = false,
      }, JANE)).events[1]
      assert.equal(math.maxinteger, event.data.cents)
      assert.equal("float", math.type(event.data.rate))
      assert.equal("[]", esrun.json.encode(event.data.tags))
      assert.equal('{"a":null,"b":{}}', esrun.json.encode(event.data.more))
      assert.is_false(event.data.exact)
    end)

    it("answers the first reply again for the same key, and an error for another request with it", function()
      open_account "1"
      local first = assert(move("1", 5, { idempotency_key = "k" }))
      local again = assert(move("1", 5, { idempotency_key = "k" }))
      assert.is_true(again.replayed)
      assert.equal(first.events[1].event_id, again.events[1].event_id)
      local reply, _, _, details = move("1", 6, { idempotency_key = "k" })
      assert.is_nil(reply)
      assert.equal("usage", details.status)
      assert.equal(2, es:info().head_position)
    end)

    it("stores nothing in a dry run", function()
      assert.equal(1, assert(es:execute("Account/1", "open", {}, { actor_id = "user:jane", dry_run = true })).version)
      assert.equal(0, es:info().head_position)
    end)

    -- covers E23
    it("dispatches by a name of its own", function()
      open_account "1"
      local reply = assert(es:dispatch("MoveMoney", "1", { cents = 3 }, JANE))
      assert.equal(2, reply.version)
      local nothing, message, code, details = es:dispatch("MoveMony", "1", {}, JANE)
      assert.is_nil(nothing)
      assert.equal("unknown_command", code)
      assert.matches("MoveMony", message)
      assert.matches("MoveMoney", details.hint)
    end)

    it("blames the caller for a wrong call", function()
      assert.error_matches(function() es:execute("Account", "open") end, "target expected")
      assert.error_matches(function() es:execute("Account/1", "open", {}, { actor = "user:x" }) end, "unknown field 'actor'")
      assert.error_matches(function() es:execute("Account/1", "open", {}, { expected_version = "x" }) end, "integer expected")
      assert.error_matches(function() es:execute("Account/1", nil) end, "string expected")
    end)

    it("blames the line of the caller, not one of its own", function()
      local closed = assert(esrun.open { store = ":memory:" })
      closed:close()
      local scope = { actor_id = 7 }
      local rows = {
        { function() esrun.open(7) end, "esrun.open: table expected, got number" },
        { function() esrun.open { project = 7 } end, "project: string expected, got number" },
        { function() esrun.open { store = ":memory:", checkpoint = 7 } end, "checkpoint: table expected, got number" },
        { function() esrun.layout() end, "esrun.layout: place: table expected, got nil" },
        { function() esrun.settings() end, "esrun.settings: place: table expected, got nil" },
        { function() esrun.restore "x" end, "esrun.restore: place: table expected, got nil" },
        { function() esrun.find_project {} end, "find_project: string expected, got table" },
        { function() es:backup() end, "backup: string expected, got nil" },
        { function() es:execute("Account/1", "open", {}, 7) end, "es:execute: table expected, got number" },
        { function() es:execute("Account/1", "open", {}, scope) end, "actor_id: string expected, got number" },
        { function() es:append() end, "append: table expected, got nil" },
        { function() es:load("Account/1", { at_version = "x" }) end, "at_version: integer expected, got string" },
        { function() esrun.open { limit_signal = (1 << 32) + 10 } end, "limit_signal: the number is out of range" },
        { function() esrun.open { conflict_retries = 1 << 40 } end, "conflict_retries: the number is out of range" },
        { function() es:verify { jobs = 1 << 32 } end, "jobs: the number is out of range" },
        { function() es:events { limit = "x" } end, "limit: integer expected, got string" },
        { function() es:events(7) end, "es:events: table expected, got number" },
        { function() es.context.run(scope, print) end, "actor_id: string expected, got number" },
        { function() closed:info() end, "this runtime is closed" },
        { function() closed:backup "x" end, "this runtime is closed" },
        { function() closed.context.depth() end, "this runtime is closed" },
        { function() closed:execute("Account/1", "open") end, "this runtime is closed" },
      }
      for _, row in ipairs(rows) do
        local _, message = pcall(row[1])
        assert.matches("tests/lua/host_spec%.lua:%d+: ", message)
        assert.equal(row[2], (message:gsub("^.-:%d+: ", ""):gsub("^esrun.open: checkpoint", "checkpoint")))
      end
    end)

    it("refuses an expected version that is none, instead of dropping the condition", function()
      for _, version in ipairs { -1, -2, math.mininteger } do
        local options = { actor_id = "user:x", expected_version = version }
        assert.error_matches(function() es:execute("Account/1", "open", {}, options) end,
          "expected_version: integer of at least 0 expected, got " .. version, 1, true)
      end
      assert.equal(0, es:info().head_position)
    end)

    it("answers a malformed actor as a value, since it may come from outside", function()
      local reply, _, code = es:execute("Account/1", "open", {}, { actor_id = "jane" })
      assert.is_nil(reply)
      assert.equal("malformed_actor", code)
    end)
  end)

  describe("a transaction", function()
    it("keeps what its function did", function()
      local answer = es:transaction(function(id)
        assert(es:execute("Account/" .. id, "open", {}, JANE))
        assert(es:execute("Account/2", "open", {}, JANE))
        return "done"
      end, "1")
      assert.equal("done", answer)
      assert.equal(2, es:info().head_position)
    end)

    it("takes everything back when its function raises, and raises on", function()
      local raised = {}
      local ok, err = pcall(es.transaction, es, function()
        assert(es:execute("Account/1", "open", {}, JANE))
        error(raised)
      end)
      assert.is_false(ok)
      assert.equal(raised, err)
      assert.equal(0, es:info().head_position)
    end)

    it("takes everything back when its function answers nil and why", function()
      local reply, message, code = es:transaction(function()
        assert(es:execute("Account/1", "open", {}, JANE))
        return es:execute("Account/1", "open", {}, JANE)
      end)
      assert.is_nil(reply)
      assert.equal("The account is open already", message)
      assert.equal("already_open", code)
      assert.equal(0, es:info().head_position)
    end)

    it("asks for a function, at the line of the caller", function()
      local begun = pcall(es.transaction, es, setmetatable({}, { __call = function() return true end }))
      assert.is_true(begun)
      for what, call in pairs {
        ["es:transaction: f: function expected, got nil"] = function() es:transaction() end,
        ["es.context.run: f: function expected, got table"] = function() es.context.run(JANE, {}) end,
      } do
        local _, why = pcall(call)
        assert.matches("host_spec.lua:%d+: ", why)
        assert.matches(what, why, 1, true)
      end
      assert.is_not_nil(es:execute("Account/1", "open", {}, JANE)) -- no transaction was left open
    end)
  end)
end)
