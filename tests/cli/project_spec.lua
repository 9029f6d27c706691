-- esrun project: projections from the shell; and how a project and its store are found.
local support = dofile "tests/cli/support.lua"
local cjson = require "cjson"

describe("esrun project", function()
  local folder

  local function run(...) return support.run(folder, { "project", ... }) end

  local function json(...) return cjson.decode(support.run(folder, { "project", "--output", "json", ... }).out) end

  before_each(function()
    folder = support.project()
    for number = 1, 3 do
      local id = "Account/" .. number
      assert.equal(0, support.run(folder, { "exec", id, "open", "--as", "user:jane" }).status)
      assert.equal(0, support.run(folder, { "exec", id, "move", "cents=" .. number * 10, "--as", "user:jane" }).status)
    end
  end)
  after_each(support.clean)

  it("lists what there is", function()
    local names = {}
    for position, row in ipairs(json "list") do names[position] = row.name end
    assert.same({ "audit_log", "balances", "user_activity" }, names)
    assert.matches("balances +richest +projections/balances.lua", run("list").out)
  end)

  it("runs them all, or one, and tells how far they are", function()
    assert.equal("balances is at position 6\n", run("run", "balances").out)
    assert.equal("audit_log is at position 6\nbalances is at position 6\nuser_activity is at position 6\n", run("run").out)
    for _, row in ipairs(json "status") do
      assert.equal("running", row.state)
      assert.equal(6, row.position)
      assert.equal(0, row.behind)
    end
    assert.matches("^name +state +position +head +behind", run("status").out)
  end)

  it("answers queries: columns in the query's order, parameters as declared", function()
    assert.equal(0, run("run").status)
    assert.equal("account  cents\n3           30\n2           20\n", run("query", "balances", "richest", "limit=2").out)
    local rows = json("query", "balances", "richest")
    assert.equal(3, #rows)
    assert.same({ account = "3", cents = 30 }, rows[1])
    assert.equal('{"account":"3","cents":30}\n', run("query", "balances", "richest", "limit=1", "--output", "jsonl").out)
    assert.equal("[]\n", run("query", "balances", "richest", "limit=0", "--output", "json").out)
    assert.equal("", run("query", "balances", "richest", "limit=0").out)
  end)

  it("asks for one tenant", function()
    local jane = { "--as", "user:jane", "--tenant", "acme" }
    assert.equal(0, support.run(folder, { "exec", "Account/9", "open", table.unpack(jane) }).status)
    assert.equal(0, support.run(folder, { "exec", "Account/9", "move", "cents=1", table.unpack(jane) }).status)
    assert.equal(0, run("run").status)
    assert.equal(3, #json("query", "balances", "richest"))
    assert.equal(1, #json("query", "balances", "richest", "--tenant", "acme"))
  end)

  it("rebuilds", function()
    assert.equal(0, run("run").status)
    assert.equal("balances is rebuilt, at position 6\n", run("rebuild", "balances").out)
    assert.equal(3, #json("query", "balances", "richest"))
  end)

  it("stops at a handler that fails, naming the event, and runs the others", function()
    support.write(folder .. "/projections/picky.lua", [[
      local es = require "es"
      local Picky = es.projection "picky"
      Picky.tables = { picky = { id = "string", key = { "id" } } }
      Picky.on = { MoneyMoved = function(t, e) if e.data.cents == 20 then error("not twenty") end end }
      return Picky
    ]])
    local result = run("run")
    assert.equal(8, result.status)
    assert.equal("", result.out)
    assert.matches("not twenty", result.err)
    assert.matches("picky", result.err)
    local states = {}
    for _, row in ipairs(json "status") do states[row.name] = row end
    assert.equal("stopped", states.picky.state)
    assert.equal(6, states.balances.position)
    assert.matches("picky stopped", support.run(folder, { "doctor" }).out)
  end)

  it("refuses what it does not know, naming the known and the nearest", function()
    local result = run("query", "balence", "richest")
    assert.equal(5, result.status)
    assert.matches("hint: did you mean balances%?", result.err)
    result = run("query", "balances", "richets")
    assert.equal(5, result.status)
    assert.matches("hint: did you mean richest%?", result.err)
    assert.equal(5, run("run", "nothing").status)
    assert.equal(0, run("run").status)
    assert.equal(5, run("rebuild", "nothing").status)
    for _, words in ipairs {
      {}, { "walk" }, { "rebuild" }, { "query", "balances" }, { "list", "x" }, { "status", "x" }, { "run", "a", "b" },
      { "query", "balances", "richest", "limit=many" }, { "query", "balances", "richest", "lmit=1" },
    } do
      local refused = run(table.unpack(words))
      assert.equal(2, refused.status, table.concat(words, " ") .. refused.err)
      assert.equal("", refused.out)
    end
  end)
end)

describe("esrun finds", function()
  after_each(support.clean)

  it("the nearest project upward, or the one it is told, before or after the command", function()
    local folder = support.project()
    support.write(folder .. "/deep/er/x", "")
    assert.equal(0, support.run(folder .. "/deep/er", { "exec", "Account/1", "open", "--as", "user:jane" }).status)
    assert.is_true(support.exists(folder .. "/store.db"))
    for _, words in ipairs {
      { "--project", folder, "log" }, { "log", "--project", folder }, { "--project=" .. folder, "log" },
      { "--output", "table", "--project", folder, "log" },
    } do
      local result = support.run("/", words)
      assert.equal(0, result.status, result.err)
      assert.matches("AccountOpened", result.out)
    end
  end)

  it("the store it is told", function()
    local folder = support.project()
    assert.equal(0, support.run(folder, { "--store", "other.db", "exec", "Account/1", "open", "--as", "user:jane" }).status)
    assert.is_true(support.exists(folder .. "/other.db"))
    assert.is_false(support.exists(folder .. "/store.db"))
    assert.matches("AccountOpened", support.run(folder, { "log", "--store", "other.db" }).out)
  end)

  it("no project where there is none (5)", function()
    local result = support.run("/", { "log" })
    assert.equal(5, result.status)
    assert.equal("", result.out)
    assert.matches("^esrun: log: no esrun.lua .*\nhint: .*%-%-project", result.err)
  end)

  it("no store to read where none was made, and makes none", function()
    local folder = support.project()
    for _, name in ipairs { "log", "verify", "export", "replay" } do
      local result = support.run(folder, { name })
      assert.is_true(result.status ~= 0)
      assert.equal("", result.out)
      assert.matches("store.db", result.err)
    end
    assert.equal(7, support.run(folder, { "project", "run" }).status)
    assert.is_false(support.exists(folder .. "/store.db"))
  end)

  it("out when a file is no store, or settings are no data (7, 2)", function()
    local folder = support.project()
    support.write(folder .. "/store.db", ("not a database "):rep(200))
    local result = support.run(folder, { "log" })
    assert.equal(7, result.status)
    assert.matches("^esrun: log: .*store.db", result.err)
    assert.equal(7, support.run(folder, { "exec", "Account/1", "open", "--as", "user:jane" }).status)
    assert.equal(("not a database "):rep(200), support.read(folder .. "/store.db"))
    local wrong = { "return 1", "return { store = function() end }", "os.exit(0)", "return { stoer = 'x' }", "x = = 1" }
    for _, text in ipairs(wrong) do
      support.write(folder .. "/esrun.lua", text)
      local refused = support.run(folder, { "log" })
      assert.equal(2, refused.status, text .. ": " .. refused.err)
      assert.matches("esrun.lua", refused.err)
    end
  end)
end)
