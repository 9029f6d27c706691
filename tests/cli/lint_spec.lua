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
    list[index] = ("%s:%s %s"):format(finding.file, finding.line or "", finding.rule)
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
    assert.equal("warning", answer.findings[1].severity) -- a list of words cannot know every verb
    assert.equal(0, result.status)
    assert.equal(1, select(3, lint(folder, "--strict")).status)
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
    assert.same({ "projections/things.lua:6 unknown-event", "projections/things.lua:9 sql" }, list)
    assert.matches("^projection things: queries.all: .*nothing", answer.findings[2].message)
    assert.matches("ThingMade", answer.findings[1].mend)
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

  it("names the place where each module does not load, and checks the others as ever", function()
    local list, answer = lint(of("local A = es.aggregate 'A'\nA.events = { ThingMade = {} }\n", {
      ["aggregates/broken.lua"] = "local x = 1\nlocal y = = 2\n",
      ["aggregates/early.lua"] = HEAD .. "local E = es.aggregate 'E'\nE.events = { EarlyCame = {} }\nE.commands = { c = 1 }\n"
        .. "return E\n",
      ["aggregates/first.lua"] = "return require 'clock'", ["aggregates/second.lua"] = "require 'clock'",
      ["lib/clock.lua"] = "return { now = os.time }\n", ["lib/unused.lua"] = "return {\n",
      ["projections/things.lua"] = "local es = require 'es'\nlocal P = es.projection 'things'\n"
        .. "P.on = { EarlyCame = function() end, LateCame = function() end }\nreturn P\n",
    }))
    assert.same({ "aggregates/account.lua:4 unused-event", "aggregates/broken.lua:2 load", "aggregates/early.lua:5 load",
      "lib/clock.lua:1 load", "lib/clock.lua:1 nondeterminism", "lib/unused.lua:2 load",
      "projections/things.lua:3 unknown-event" }, list)
    assert.matches("unexpected symbol", answer.findings[2].message)
    assert.equal("aggregate E: commands.c must be a table with params, allow and decide", answer.findings[3].message)
    assert.matches("LateCame", answer.findings[7].message) -- what a module that fails declares is not unknown
  end)

  it("points at the entry that is declared wrong", function()
    for text, want in pairs {
      ["local A = es.aggregate 'A'\nA.events = {}\nA.apply = {\n  Nothing = function() end,\n}\n"] = "6 apply.Nothing",
      ["local A = es.aggregate 'A'\nA.events = {}\nfunction A.apply() end\n"] = "5 apply must be a table",
      ["\nlocal A = es.aggregate 'A'\nfor _, n in ipairs { 'a' } do A[n] = 1 end\n"] = "4 unknown field 'a'",
      ["local A = es.aggregate 'A'\nA.comands = {}\n"] = "4 unknown field 'comands'",
      ["local A = es.aggregate 'A'\nA.commands = {\n  c = {\n    decide = function() end, params = {\n      a = 'strng',\n"
        .. "    },\n  },\n}\n"] = "7 commands.c.params.a: unknown type",
      ["local A = es.aggregate 'A'\nA.commands = {}\nA.commands.c = {\n  alow = 1, decide = es.reject,\n}\n"]
        = "6 commands.c: unknown field 'alow'",
      ["local A = es.aggregate 'A'\nA.events = {\n  ['Made'] = {\n    by = 'strng',\n  },\n}\n"] = "6 events.Made.by",
      ["local A = {}\n\n"] = "5 the module must return what es.aggregate or es.projection made",
      ["local A = es.projection 'p'\nA.on = {}\nA.on.any = function() end\nA.tables = {\n  rows = {\n"
        .. "    id = 'strng', key = { 'id' } } }\n"] = "8 projection p: table rows.id has no",
      ["local A = es.projection 'p'\nA.on = { any = es.reject }\nA.taples = {}\n"] = "5 projection p: unknown field taples",
      ["local A = es.projection 'p'\nA.on = {}\n"] = "4 projection p: on has no handler",
      ["local A = es.projection 'p'\nA.on = { any = function() end }\nA.queries = {\n  one = { sql = 'SELECT 1 AS one' },\n"
        .. "  two = {\n    sql = 'SELECT 2 FROM rows',\n  },\n}\n"] = "8 projection p: queries.two: no such table: rows",
    } do
      local _, answer = lint(of(text))
      local finding = answer.findings[1]
      local told = ("%d %s"):format(finding.line, finding.message:gsub("^aggregate A: ", ""))
      assert.equal(want, told:sub(1, #want))
      assert.equal("aggregates/account.lua", finding.file)
    end
  end)

  it("tells all that is wrong with a declaration, each with its line", function()
    local list = lint(of([[
local A = es.aggregate "A"
A.events = {
  ThingMade = {
    by = "strng", of = "string",
    at = "tiem",
  },
  ["1"] = {},
  ThingGone = 5,
}
A.apply = {
  ThingMade = 1,
  ThingMoved = function() end,
}
A.upcast = { ThingMade = { [2] = function() end },
  ThingLost = {} }
A.snapshot = { every = 0,
  often = true }
A.colour = "red"
A.commands = {
  make = {
    params = { id = "uid",
      actor_id = "string" },
    decide = 1,
    exists = 2,
  },
  unmake = 1,
}
]], { ["projections/things.lua"] = [[
local es = require "es"
local P = es.projection "things"
P.colour = "red"
P.tables = {
  one = { id = "strng",
    at = "tiem", key = { "id" } },
  two = { id = "string" },
}
P.statements = { a = { sql = 1 } }
P.queries = {
  b = {},
  c = { sql = "SELECT 1", params = { x = "integr",
    y = "strng" } },
}
P.on = { ThingMade = 1,
  ThingGone = function() end }
return P
]] }))
    local want = {}
    for _, line in ipairs { 6, 7, 9, 10, 13, 14, 16, 17, 18, 19, 20, 23, 24, 25, 26, 28 } do
      want[#want + 1] = ("aggregates/account.lua:%d load"):format(line)
    end
    for _, line in ipairs { 3, 5, 6, 7, 9, 11, 12, 13, 15 } do
      want[#want + 1] = ("projections/things.lua:%d load"):format(line)
    end
    assert.same(want, list)
  end)

  it("tells a hundred mistakes of one declaration, counts the rest, and needs no more than a moment for it", function()
    local events = {}
    for number = 1, 500 do events[number] = ("  Thing%03dMade = { by = 'strng' },\n"):format(number) end
    local list, answer = lint(of("local A = es.aggregate 'A'\nA.events = {\n" .. table.concat(events) .. "}\n"))
    assert.equal(101, #list)
    assert.equal("aggregate A: 400 more are wrong: mend those told of first", answer.findings[1].message)
    assert.equal("aggregates/account.lua:3 load", list[1])
    assert.equal("aggregates/account.lua:5 load", list[2])
  end)

  it("tells all SQL that does not hold, and nothing of what follows from another mistake", function()
    local folder = of([[
local A = es.aggregate "A"
A.events = 1
A.apply = { ThingMade = function() end }
]], { ["projections/things.lua"] = [[
local es = require "es"
local P = es.projection "things"
P.tables = { things = { id = "string", key = { "id" } } }
P.statements = {
  a = { sql = "DELETE FROM nowhere" },
  b = { sql = "DELETE FROM things" },
}
P.queries = {
  c = { sql = "SELECT nothing FROM things" },
  d = { sql = "SELECT id FROM things WHERE id = :id" },
  -- lint: sql
  e = { sql = "SELECT" },
  f = { sql = "SELECT 1 AS x; SELECT 2" },
}
P.on = { any = function() end }
return P
]] })
    local list, answer = lint(folder)
    assert.same({ "aggregates/account.lua:4 load", "projections/things.lua:5 sql", "projections/things.lua:9 sql",
      "projections/things.lua:10 sql", "projections/things.lua:13 sql" }, list)
    assert.equal("projection things: queries.d: the SQL uses :id, which params does not declare", answer.findings[4].message)
  end)

  it("names modules of long names, and folders that are no projects", function()
    local long = ("aggregates/%s/long.lua"):format(("folder"):rep(12))
    for text, want in pairs {
      ["x = 1"] = long .. ":1 load", [HEAD .. "local A = es.aggregate 'A'\nA.x = 1\nreturn A"] = long .. ":4 load",
    } do
      assert.same({ want }, (lint(support.project { [long] = text, ["aggregates/account.lua"] = false,
        ["projections/balances.lua"] = false })))
    end
    for _, where in ipairs { "/nowhere", "/" } do
      local result = support.run("/", { "lint", "--project", where })
      assert.equal(5, result.status)
      assert.equal("", result.out)
    end
  end)

  it("ends where folders lead in circles, and names those that are too deep to be looked at", function()
    local folder = support.project { ["lib/words.lua"] = "return {}", ["lib/1/2/3/4/5/6/7/8/9/10/deep.lua"] = "return {" }
    local list, answer = lint(folder)
    assert.same({ "lib: load" }, list)
    assert.equal(folder .. "/lib/1/2/3/4/5/6/7/8/9: there are more than 8 folders below another", answer.findings[1].message)
    assert.equal(3, answer.modules)
    support.shell(folder, "rm -r lib/1; ln -s . lib/a; ln -s . lib/b")
    assert.equal(2 ^ 9, #(lint(folder)))
  end)

  it("says which file cannot be read, why, and what to do, and invents no line", function()
    local folder = of("local A = es.aggregate 'A'\n", { ["aggregates/folder.lua"] = "" })
    support.shell(folder, "rm aggregates/folder.lua; ln -s /dev/null aggregates/folder.lua")
    local _, answer, result = lint(folder)
    assert.equal(1, result.status)
    assert.is_nil(answer.findings[1].line)
    assert.equal("aggregates/folder.lua", answer.findings[1].file)
    assert.equal(("cannot read %s/aggregates/folder.lua: not a regular file"):format(folder), answer.findings[1].message)
    support.shell(folder, "rm esrun.lua; mkdir esrun.lua")
    result = support.run(folder, { "lint" })
    assert.equal(1, result.status)
    local told = ("esrun.lua: error: cannot read %s/esrun.lua: not a regular file [load]\n"):format(folder)
    assert.matches(told, result.out, 1, true)
    support.shell(folder, "rmdir esrun.lua")
    support.write(folder .. "/esrun.lua", "return { library = { 'gone' }, aggregates = 1 }")
    result = support.run(folder, { "lint" })
    assert.matches("^esrun.lua: error: aggregates must be a list of strings %[load%]\n", result.out)
    support.write(folder .. "/esrun.lua", "return { library = { 'gone' } }")
    assert.same({ "aggregates/folder.lua: load", "esrun.lua: load" }, (lint(folder)))
  end)

  it("speaks to people, one line a finding", function()
    local folder = of "local A = es.aggregate 'A'\nA.events = { RunThing = {} }\n"
    local result = support.run(folder, { "lint" })
    assert.matches("aggregates/account.lua:4: warning: event RunThing does not say what happened", result.out, 1, true)
    assert.matches("[event-name]\n  to mend: name it as a fact", result.out, 1, true)
    assert.matches("\n1 module, 0 errors, 2 warnings\n$", result.out)
    result = support.run(folder, { "lint", "--output", "jsonl" })
    assert.equal(2, select(2, result.out:gsub("\n", "")))
    assert.equal(5, support.run("/", { "lint" }).status)
  end)
end)

describe("the tokens of a Lua source", function()
  local tokens = require "es.tokens"

  it("keep lines through strings, comments and long brackets", function()
    local source = tokens.of '-- a\nx = "1\\"2" --[[ b\nc ]] y = [==[\n]]\n]==] z\n.. 0x1F\n\'\\\\\' w'
    local list = {}
    for index, token in ipairs(source) do list[index] = ("%d:%s:%s"):format(token.line, token.kind, token.text) end
    assert.same({ "2:name:x", "2:symbol:=", '2:string:1\\"2', "3:name:y", "3:symbol:=", "3:string:\n]]\n", "5:name:z",
      "6:symbol:..", "6:number:0x1F", "7:string:\\\\", "7:name:w" }, list)
    assert.equal(" a", source.comments[1])
  end)
end)
