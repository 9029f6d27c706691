-- esrun exec: commands from the shell, and what bad input gets.
local support = dofile "tests/cli/support.lua"
local cjson = require "cjson"

local JANE = { "--as", "user:jane" }

local function words(...)
  local out = {}
  for _, part in ipairs { ... } do
    for _, word in ipairs(type(part) == "table" and part or { part }) do out[#out + 1] = word end
  end
  return out
end

describe("esrun exec", function()
  local folder

  local function exec(...) return support.run(folder, words("exec", ...)) end

  -- The command fails with this status; stdout stays empty, and stderr says why in our words alone.
  local function refused(result, status)
    assert.equal(status, result.status, result.err)
    assert.equal("", result.out)
    assert.matches("^esrun: exec: ", result.err)
    assert.is_nil(result.err:find("traceback", 1, true))
    return result.err
  end

  local function event_count()
    return select(2, support.run(folder, { "log", "--output", "jsonl" }).out:gsub("\n", ""))
  end

  before_each(function()
    folder = support.project()
    assert.equal(0, exec("Account/1", "open", JANE).status)
  end)
  after_each(support.clean)

  it("prints where the aggregate is now, and each event", function()
    local result = exec("Account/1", "move", "cents=500", JANE)
    assert.equal("", result.err)
    assert.equal(0, result.status)
    assert.matches("^Account/1 is at version 2\n  2  MoneyMoved by user:jane at %d%d%d%d%-%d%d%-%d%dT[%d:.]+Z\n$", result.out)
  end)

  it("prints the reply as one object", function()
    local result = exec("Account/1", "move", "cents=500", JANE, "--output", "json")
    local reply = cjson.decode(result.out)
    assert.equal("Account", reply.aggregate_type)
    assert.equal("1", reply.aggregate_id)
    assert.equal(2, reply.version)
    assert.same({ 2 }, reply.positions)
    assert.is_false(reply.replayed)
    assert.equal("MoneyMoved", reply.events[1].event_type)
    assert.equal(reply.correlation_id, reply.events[1].correlation_id)
    local _, lines = result.out:gsub("\n", "")
    assert.equal(1, lines)
  end)

  it("stores values as deep as is allowed, and every command can read them", function()
    local deep = ("["):rep(127) .. ("]"):rep(127) -- with the object around it 128 levels
    local more = "more:=" .. deep
    for _, arguments in ipairs {
      { "exec", "Account/1", "move", "cents=1", more, "--as", "user:jane" }, { "show", "Account/1" }, { "log" },
      { "log", "--output", "json" }, { "project", "run" }, { "project", "query", "audit_log", "rows" },
    } do
      local result = support.run(folder, arguments)
      assert.equal(0, result.status, arguments[1] .. ": " .. result.err)
      assert.not_equal("", result.out)
    end
    assert.matches("128 levels", refused(exec("Account/1", "move", "cents=1", "more:=[" .. deep .. "]", JANE), 2))
    assert.equal(2, event_count())
  end)

  -- covers E18
  it("records that the local user said who acts", function()
    local reply = cjson.decode(exec("Account/1", "move", "cents=1", JANE, "--output", "json").out)
    local metadata = reply.events[1].metadata
    assert.equal("user:jane", reply.events[1].actor_id)
    assert.equal("local", metadata.auth_method)
    assert.equal(support.shell(folder, "id -u").out, metadata.os_user .. "\n")
    assert.is_string(metadata.request_id)
  end)

  describe("reads parameters", function()
    local function moved(...)
      local result = exec("Account/1", "move", words(...), JANE, "--output", "json")
      assert.equal("", result.err)
      return result.out:match('"data":(%b{})')
    end

    it("as the module declares them", function()
      assert.equal('{"cents":7,"note":"12"}', moved("cents=7", "note=12"))
      assert.equal('{"cents":1,"exact":true,"rate":2}', moved("cents=1", "exact=true", "rate=2"))
      assert.equal('{"cents":1,"exact":false,"rate":0.5}', moved("cents=1", "exact=false", "rate=0.5"))
      assert.equal('{"cents":1,"tags":["a",1,2.0]}', moved("cents=1", 'tags=["a",1,2.0]'))
      assert.equal('{"cents":1,"more":{"a":[]}}', moved("cents=1", 'more={"a":[]}'))
      assert.equal('{"cents":1,"more":"plain text"}', moved("cents=1", "more=plain text"))
      assert.equal('{"cents":1,"note":"a=b:c=d"}', moved("cents=1", "note=a=b:c=d"))
      assert.equal('{"cents":1,"note":""}', moved("cents=1", "note="))
    end)

    it("as JSON with :=", function()
      assert.equal('{"cents":9007199254740993,"note":"x"}', moved("cents:=9007199254740993", 'note:="x"'))
    end)

    it("from standard input and from a file, with words winning", function()
      local result = support.run(folder, words("exec", "Account/1", "move", "-", "note=word", JANE, "--output", "json"),
        '{"cents": 3, "note": "input"}')
      assert.equal('{"cents":3,"note":"word"}', result.out:match('"data":(%b{})'))
      support.write(folder .. "/params.json", '{"cents": 4}')
      assert.equal('{"cents":4}', moved("@params.json"))
    end)
  end)

  it("answers the first reply for the same key, and says so", function()
    local first = cjson.decode(exec("Account/1", "move", "cents=5", JANE, "--key", "k", "--output", "json").out)
    local again = exec("Account/1", "move", "cents=5", JANE, "--key", "k", "--output", "json")
    assert.equal(0, again.status)
    assert.is_true(cjson.decode(again.out).replayed)
    assert.equal(first.events[1].event_id, cjson.decode(again.out).events[1].event_id)
    assert.matches("earlier request with this key", exec("Account/1", "move", "cents=5", JANE, "--key", "k").out)
    assert.equal(2, event_count())
  end)

  it("decides and stores nothing with --dry-run", function()
    local result = exec("Account/1", "move", "cents=5", JANE, "--dry-run")
    assert.matches("^Account/1 would be at version 2\n  MoneyMoved by user:jane", result.out)
    assert.equal(0, result.status)
    cjson.decode(exec("Account/1", "move", "cents=5", JANE, "--dry-run", "--output", "json").out)
    assert.equal(1, event_count())
  end)

  it("takes roles and permissions, which are the actor's alone", function()
    assert.equal(9, exec("Account/1", "move", "cents=5", "--as", "user:bob").status)
    assert.equal(0, exec("Account/1", "move", "cents=5", "--as", "user:bob", "--role", "guest", "--role", "teller").status)
    refused(exec("Account/1", "move", "cents=5", "--role", "teller"), 2)
  end)

  it("belongs to the correlation it is given", function()
    local id = "01890a5d-ac96-774b-bcce-b302099a8057"
    local reply = cjson.decode(exec("Account/1", "move", "cents=5", JANE, "--correlation", id:upper(), "--output", "json").out)
    assert.equal(id, reply.correlation_id)
  end)

  it("keeps tenants apart", function()
    assert.equal(0, exec("Account/1", "open", JANE, "--tenant", "acme").status)
    assert.equal(0, support.run(folder, { "show", "Account/1", "--tenant", "acme" }).status)
    assert.equal(5, support.run(folder, { "show", "Account/1", "--tenant", "other" }).status)
  end)

  describe("refuses", function()
    it("an unknown aggregate, naming the known and the nearest", function()
      local err = refused(exec("Acount/1", "open", JANE), 2)
      assert.matches("Acount", err)
      assert.matches("hint: did you mean Account%? known: Account", err)
    end)

    it("an unknown command, naming the known and the nearest", function()
      local err = refused(exec("Account/1", "opne", JANE), 2)
      assert.matches("hint: did you mean open%? known: move, open", err)
    end)

    it("a target that is none", function()
      refused(exec("Account", "open", JANE), 2)
      refused(exec("/1", "open", JANE), 2)
      refused(exec("Account/", "open", JANE), 2)
    end)

    it("malformed JSON, with line, column and path", function()
      local text = '{\n  "cents": 1,\n  "more": [1,]\n}'
      local err = refused(support.run(folder, words("exec", "Account/1", "move", "-", JANE), text), 2)
      assert.matches("standard input: line 3, column 14", err)
      assert.matches("$.more", err, 1, true)
      refused(exec("Account/1", "move", "cents:={", JANE), 2)
      refused(exec("Account/1", "move", "tags=[1", "cents=1", JANE), 2)
      assert.equal(1, event_count())
    end)

    it("parameters that are no object", function()
      for _, input in ipairs { "[]", "1", "null", "" } do
        refused(support.run(folder, words("exec", "Account/1", "move", "-", JANE), input), 2)
      end
      assert.matches("missing.json", refused(exec("Account/1", "move", "@missing.json", JANE), 2))
      refused(exec("Account/1", "move", "@.", JANE), 2)
    end)

    it("wrong, missing and extra parameters, with path and expected type", function()
      assert.matches("params.cents: expected integer, got string", refused(exec("Account/1", "move", "cents=many", JANE), 2))
      assert.matches("params.cents: expected integer", refused(exec("Account/1", "move", "cents=1.5", JANE), 2))
      assert.matches("params.cents: is missing, expected integer", refused(exec("Account/1", "move", JANE), 2))
      assert.matches("params.cent", refused(exec("Account/1", "move", "cents=1", "cent=1", JANE), 2))
      assert.matches("params.exact: expected boolean", refused(exec("Account/1", "move", "cents=1", "exact=yes", JANE), 2))
      assert.matches("twice", refused(exec("Account/1", "move", "cents=1", "cents=2", JANE), 2))
      assert.matches("not name=value", refused(exec("Account/1", "move", "cents", JANE), 2))
      assert.equal(1, event_count())
    end)

    -- covers E18
    it("an actor_id among the parameters", function()
      local err = refused(exec("Account/1", "move", "cents=1", "actor_id=user:root", JANE), 2)
      assert.matches("params.actor_id", err)
      refused(exec("Account/1", "move", 'cents=1', 'actor_id:="user:root"', JANE), 2)
      assert.equal(1, event_count())
    end)

    it("values that cannot be kept exactly", function()
      for _, word in ipairs {
        "cents=9223372036854775808", "cents:=9223372036854775808", "rate=1e400", "rate:=1e400", "rate=NaN", "rate:=NaN",
        'more:={"a":1,"a":2}', "note=\xff", 'more:="\xff"', "more:=" .. ("["):rep(129) .. ("]"):rep(129),
      } do
        local cents = word:find "^cents" and {} or "cents=1"
        local result = exec("Account/1", "move", cents, word, JANE)
        assert.equal(2, result.status, word .. ": " .. result.err)
        assert.equal("", result.out)
      end
      assert.equal(1, event_count())
    end)

    it("an aggregate that does not exist (5)", function()
      assert.equal("esrun: exec: Account not found\n", refused(exec("Account/9", "move", "cents=1", JANE), 5))
    end)

    it("what no rule allows (9)", function()
      refused(exec("Account/1", "move", "cents=1", "--as", "user:bob"), 9)
      assert.matches("Authentication required", refused(exec("Account/2", "open"), 9))
    end)

    it("what the domain rejects (4)", function()
      assert.equal("esrun: exec: There is not enough money\n", refused(exec("Account/1", "move", "cents=-1", JANE), 4))
    end)

    it("a version that is not expected (3), with both versions", function()
      local err = refused(exec("Account/1", "move", "cents=1", JANE, "--expect", "4"), 3)
      assert.matches("version 1", err)
      assert.matches("expected 4", err)
      assert.equal(0, exec("Account/1", "move", "cents=1", JANE, "--expect", "1").status)
      refused(exec("Account/1", "move", "cents=1", JANE, "--expect", "one"), 2)
    end)

    it("a key that belongs to another request", function()
      assert.equal(0, exec("Account/1", "move", "cents=1", JANE, "--key", "k").status)
      assert.matches("key", refused(exec("Account/1", "move", "cents=2", JANE, "--key", "k"), 2))
      assert.equal(2, event_count())
    end)

    it("takes the same key of another actor or for another target as another request", function()
      assert.equal(0, exec("Account/1", "move", "cents=1", JANE, "--key", "k").status)
      assert.equal(0, exec("Account/1", "move", "cents=1", "--as", "user:t", "--role", "teller", "--key", "k").status)
      assert.equal(0, exec("Account/2", "open", JANE, "--key", "k").status)
      assert.equal(4, event_count())
    end)

    it("malformed actors and ids", function()
      for _, actor in ipairs { "jane", "user:", "robot:1", "user:a b", "user:jane@example.org", "" } do
        refused(exec("Account/1", "move", "cents=1", "--as", actor), 2)
      end
      refused(exec("Account/1", "move", "cents=1", JANE, "--correlation", "x"), 2)
      refused(exec("Account/1", "move", "cents=1", JANE, "--tenant", "a\nb"), 2)
    end)

    it("a module with an error, naming file and line (8)", function()
      support.write(folder .. "/aggregates/broken.lua", "local es = require 'es'\nlocal x = = 1\n")
      assert.matches("aggregates/broken.lua:2:", refused(exec("Account/1", "move", "cents=1", JANE), 8), 1, true)
      support.write(folder .. "/aggregates/broken.lua", "local es = require 'es'\n\nreturn nothing.at.all\n")
      assert.matches("aggregates/broken.lua:3:", refused(exec("Account/1", "move", "cents=1", JANE), 8), 1, true)
    end)

    it("a decision that fails, naming file, line, aggregate and command (8), and stores nothing", function()
      support.write(folder .. "/aggregates/bad.lua", [[
        local es, rule = require "es", require "es.rule"
        local Bad = es.aggregate "Bad"
        Bad.commands = {
          fail = { allow = rule.anyone, decide = function()
            local nothing
            return nothing.field
          end },
          loop = { allow = rule.anyone, decide = function() while true do end end },
        }
        return Bad
      ]])
      local err = refused(exec("Bad/1", "fail"), 8)
      assert.matches("aggregates/bad.lua:6:", err, 1, true)
      assert.matches("Bad", err)
      assert.matches("fail", err)
      support.write(folder .. "/esrun.lua", 'return { store = "store.db", limits = { time_ms = 100 } }\n')
      assert.matches("time", refused(exec("Bad/1", "loop"), 8))
    end)

    it("a decision whose error has several lines, in one", function()
      support.write(folder .. "/aggregates/bad.lua", [[
        local es, rule = require "es", require "es.rule"
        local Bad = es.aggregate "Bad"
        Bad.commands = { fail = { allow = rule.anyone, decide = function() error("one\n  two\n\27[31mthree") end } }
        return Bad
      ]])
      local err = refused(exec("Bad/1", "fail"), 8)
      assert.matches("one two %?%[31mthree", err)
      assert.is_nil(err:find "\n[^\n]*two")
    end)

    it("two modules that declare one event type", function()
      support.write(folder .. "/aggregates/other.lua", [[
        local es = require "es"
        local Other = es.aggregate "Other"
        Other.events = { MoneyMoved = {} }
        return Other
      ]])
      local result = exec("Account/1", "move", "cents=1", JANE)
      assert.is_true(result.status == 2 or result.status == 8, result.err)
      assert.matches("MoneyMoved", result.err)
      assert.matches("account.lua", result.err, 1, true)
      assert.matches("other.lua", result.err, 1, true)
    end)
  end)
end)
