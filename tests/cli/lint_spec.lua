-- esrun lint: what it finds, where, and that it finds nothing where nothing is wrong.
local support = dofile "tests/cli/support.lua"
local esrun = require "esrun"

local HEAD = 'local es = require "es"\nlocal rule = require "es.rule"\n'

-- The findings as "file:line rule", and the whole answer.
local function lint(folder, ...)
  local result = support.run(folder, { "lint", "--output", "json", ... })
  local answer = assert(esrun.json.decode(result.out))
  local list = {}
  for index, finding in ipairs(answer.findings) do
    list[index] = ("%s:%d %s"):format(finding.file, finding.line, finding.rule)
  end
  return list, answer, result
end

-- A project of one aggregate with this text.
local function of(text, files)
  files = files or {}
  files["aggregates/account.lua"], files["projections/balances.lua"] = HEAD .. text .. "return A\n", false
  return support.project(files)
end

describe("esrun lint", function()
  after_each(function() support.clean() end)

  it("finds nothing in the example projects", function()
    for _, name in ipairs { "blank", "document", "orders" } do
      local list, answer, result = lint(support.root .. "/examples/" .. name)
      assert.same({}, list)
      assert.is_true(answer.ok)
      assert.equal(0, result.status)
    end
  end)

  -- covers C3
  it("wants events named for what happened, not for what to do", function()
    local folder = of [[
local A = es.aggregate "A"
A.events = {
  AgentCompletedTask = {},
  RunAgent = {},
  SetTitle = {},
  TitleSet = {},
  MoneyWithdrawn = {},
  Payment = {}, -- lint: event-name
  -- lint: event-name
  Refund = {},
  SpeedFeed = {},
}
A.commands = { all = { allow = rule.anyone, decide = function(_, _, ctx) return es.event(ctx.command) end } }
]]
    local list, answer, result = lint(folder)
    assert.same({ "aggregates/account.lua:6 event-name", "aggregates/account.lua:7 event-name",
      "aggregates/account.lua:13 event-name" }, list)
    assert.equal("event RunAgent does not say what happened: no verb in the past tense", answer.findings[1].message)
    assert.equal(1, result.status)
  end)

  it("knows verbs from words that look like verbs", function()
    local past_tense = require "esrun.lint.past_tense"
    for _, name in ipairs { "OrderShipped", "order_paid", "HTTPRequestSent", "UserLoggedIn", "PasswordReset", "CardCut",
      "PaymentTimedOut", "ShipSank", "GuestWentHome", "DocumentMovedToFolder", "GameWon", "AccountRe2Opened" } do
      assert.is_true(past_tense(name), name)
    end
    for _, name in ipairs { "CreateOrder", "PutItem", "ReadMessage", "NeedFeed", "Order", "RedBed", "Shed", "Login" } do
      assert.is_false(past_tense(name), name)
    end
  end)

  -- covers A15
  it("wants the words of the business in data and metadata, not technical details", function()
    local folder = of [[
local A = es.aggregate "A"
A.events = {
  ReportMade = {
    title = "string",
    sql = "string",
    lines = require "es.schema".list(require "es.schema".table { pool_size = "integer" }),
  },
}
A.commands = {
  make = { allow = rule.anyone, decide = function()
    local stack_trace = "of no concern"
    return es.event("ReportMade", { title = stack_trace, sql = "", lines = {} }):with_metadata {
      channel = "desk", stack_trace = "…",
    }
  end },
}
]]
    assert.same({ "aggregates/account.lua:7 technical-detail", "aggregates/account.lua:8 technical-detail",
      "aggregates/account.lua:15 technical-detail" }, (lint(folder)))
  end)

  it("finds events that are decided and not declared, and those that nobody decides", function()
    local folder = of [[
local A = es.aggregate "A"
A.events = {
  ThingMade = {}, ThingBroken = {},
}
A.commands = {
  make = { allow = rule.anyone, decide = function()
    if A.name == "B" then return es.event "ThingMode" end
    return es.event("ThingMade", {})
  end },
}
]]
    local list, answer, result = lint(folder)
    assert.same({ "aggregates/account.lua:5 unused-event", "aggregates/account.lua:9 undeclared-event" }, list)
    assert.equal("did you mean ThingMade?", answer.findings[2].mend)
    assert.equal("warning", answer.findings[1].severity)
    assert.equal(1, result.status)
  end)

  it("lets warnings pass, unless told to be strict", function()
    local folder = of [[
local A = es.aggregate "A"
A.events = { ThingMade = {} }
]]
    local list, answer, result = lint(folder)
    assert.same({ "aggregates/account.lua:4 unused-event" }, list)
    assert.is_true(answer.ok)
    assert.equal(0, result.status)
    assert.equal(1, select(3, lint(folder, "--strict")).status)
  end)

  it("finds commands without `allow`, with the line of each", function()
    local list = lint(of [[
local A = es.aggregate "A"
A.events = { ThingMade = {} }
A.commands = {
  make = { allow = rule.anyone, decide = function() return es.event "ThingMade" end },
  unmake = {
    decide = function() end,
  },
}
]])
    assert.same({ "aggregates/account.lua:7 no-allow" }, list)
  end)

  it("finds handlers of events that no aggregate declares", function()
    local list, answer = lint(of([[
local A = es.aggregate "A"
A.events = { ThingMade = {} }
A.commands = { make = { allow = rule.anyone, decide = function() return es.event "ThingMade" end } }
]], { ["projections/things.lua"] = [[
local es = require "es"
local Things = es.projection "things"
Things.tables = { things = { id = "string", key = { "id" } } }
Things.on = {
  ThingMade = function(t, e) t.things:put { id = e.aggregate_id } end,
  ThingMoved = function() end,
  ["$CommandDenied"] = function() end,
}
Things.queries = { all = { sql = "SELECT nothing FROM things" } }
return Things
]] }))
    assert.same({ "projections/things.lua:1 sql", "projections/things.lua:6 unknown-event" }, list)
    assert.matches("nothing", answer.findings[1].message)
    assert.matches("ThingMade", answer.findings[2].mend)
  end)

  it("finds what makes a replay differ, also in library modules, and no field or local of that name", function()
    local list, answer = lint(of([[
local A = es.aggregate "A"
local text = [=[ os.time() ]=] -- os.time()
A.events = { ThingMade = { os = "string", print = "string" } }
local function fine(os, t) return os.version, t.io.x, t:print(), "os.time()", { io = 1 } end
A.commands = {
  make = { allow = rule.anyone, decide = function(_, cmd)
    local dice = math.random(6)
    return es.event("ThingMade", { os = cmd.os, print = text .. os.time() .. dice, fine = fine })
  end },
}
]], { ["lib/words.lua"] = "local words = {}\nfunction words.now() return io.read() end\nprint 'x'\nreturn words\n" }))
    assert.same({ "aggregates/account.lua:9 nondeterminism", "aggregates/account.lua:10 nondeterminism",
      "lib/words.lua:2 nondeterminism", "lib/words.lua:3 nondeterminism" }, list)
    assert.equal("'os.time' does not exist in domain code", answer.findings[2].message)
    assert.equal("take the time from ctx.now", answer.findings[2].mend)
  end)

  it("finds modules that cannot be required", function()
    local list = lint(of([[
local A = es.aggregate "A"
A.events = { ThingMade = {} }
A.commands = { make = { allow = rule.anyone, decide = function()
  require("shared.words")
  require "socket"
  require "es.testing"
  return es.event "ThingMade"
end } }
]], { ["lib/shared/words.lua"] = "return {}" }))
    assert.same({ "aggregates/account.lua:7 unknown-module", "aggregates/account.lua:8 unknown-module" }, list)
  end)

  it("says once that a required module is not there", function()
    local _, answer = lint(of 'require("shared.nope")\nlocal A = es.aggregate "A"\n')
    assert.equal("module 'shared.nope' not found: no library folder (lib/) has shared/nope.lua", answer.findings[2].message)
    assert.equal("module 'shared.nope' cannot be required from domain code", answer.findings[1].message)
  end)

  it("names the place where a module does not load, and still looks at the others", function()
    local folder = of("local A = es.aggregate 'A'\nA.events = { ThingMade = {} }\n", {
      ["aggregates/broken.lua"] = "local x = 1\nlocal y = = 2\n", ["lib/clock.lua"] = "return { now = os.time }\n",
    })
    local list, answer = lint(folder)
    assert.same({ "aggregates/broken.lua:2 load", "lib/clock.lua:1 nondeterminism" }, list)
    assert.matches("unexpected symbol", answer.findings[1].message)
    folder = of "local A = es.aggregate 'A'\nA.apply = { Nothing = function() end }\n"
    list, answer = lint(folder)
    assert.same({ "aggregates/account.lua:1 load" }, list)
    assert.matches("apply.Nothing handles an event that is not declared", answer.findings[1].message, 1, true)
  end)

  it("speaks to people, one line a finding", function()
    local folder = of "local A = es.aggregate 'A'\nA.events = { RunThing = {} }\n"
    local result = support.run(folder, { "lint" })
    assert.matches("aggregates/account.lua:4: error: event RunThing does not say what happened", result.out, 1, true)
    assert.matches("[event-name]\n  to mend: name it as a fact", result.out, 1, true)
    assert.matches("1 modules, 1 errors, 1 warnings\n$", result.out)
    result = support.run(folder, { "lint", "--output", "jsonl" })
    assert.equal(2, select(2, result.out:gsub("\n", "")))
    assert.equal(5, support.run("/", { "lint" }).status)
  end)
end)

describe("the tokens of a Lua source", function()
  local tokens = require "esrun.lint.tokens"

  it("keep lines through strings, comments and long brackets", function()
    local source = tokens.of '-- a\nx = "1\\"2" --[[ b\nc ]] y = [==[\n]]\n]==] z\n.. 0x1F\n\'\\\\\' w'
    local list = {}
    for index, token in ipairs(source) do list[index] = ("%d:%s:%s"):format(token.line, token.kind, token.text) end
    assert.same({ "2:name:x", "2:symbol:=", '2:string:1\\"2', "3:name:y", "3:symbol:=", "3:string:\n]]\n", "5:name:z",
      "6:symbol:..", "6:number:0x1F", "7:string:\\\\", "7:name:w" }, list)
    assert.equal(" a", source.comments[1])
  end)
end)
