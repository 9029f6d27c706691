-- snapshot_spec: the command that takes, lists and drops snapshots, and es:snapshot of scripts.
local support = require "tests.cli.support"
local cjson = require "cjson"
local esrun = require "esrun"

local run, shell = support.run, support.shell

teardown(support.clean)

describe("snapshot", function()
  local folder

  before_each(function()
    folder = support.project()
    for id = 1, 2 do assert.equal(0, run(folder, { "exec", "Account/" .. id, "open", "--as", "user:jane" }).status) end
    assert.equal(0, run(folder, { "exec", "Account/1", "move", "cents=5", "--as", "user:jane" }).status)
  end)

  local function json(...) return cjson.decode(run(folder, { "snapshot", "--output", "json", ... }).out) end

  it("takes those that are named", function() -- covers C18
    local taken = json("Account/1", "Account/2")
    assert.same({ "1", "2" }, { taken[1].aggregate_id, taken[2].aggregate_id })
    assert.same({ 2, 1 }, { taken[1].version, taken[2].version })
    local log = run(folder, { "log", "--aggregate", "Account/1", "--reverse", "--limit", "1", "--output", "json" })
    local last = cjson.decode(log.out)[1]
    assert.equal(last.event_id, taken[1].event_id)
    assert.matches("^Account/1 at version 2: snapshot %x+%-[%x-]+, %d+ bytes\n$", run(folder, { "snapshot", "Account/1" }).out)
  end)

  it("takes all that have new events, of every tenant", function()
    assert.equal(0, run(folder, { "exec", "Account/1", "open", "--as", "user:joe", "--tenant", "acme" }).status)
    assert.equal("1 snapshot taken of 3 aggregates\n", run(folder, { "snapshot", "--all", "--min-events", "2" }).out)
    assert.equal("1 snapshot taken of 1 aggregate\n", run(folder, { "snapshot", "--all", "--tenant", "acme" }).out)
    assert.same({ stream_count = 3, taken_count = 1, failed_count = 0, failures = {} }, json("--all", "--type", "Account"))
    local refused = run(folder, { "snapshot", "--all", "--type", "Acount" })
    assert.equal(2, refused.status)
    assert.matches("known: Account", refused.err, 1, true)
  end)

  it("lists them, with why one is not used", function()
    assert.same({}, json "--list")
    json("Account/1", "Account/2")
    local listed = json("--list", "Account/1")
    assert.equal(1, #listed)
    assert.equal(cjson.null, listed[1].unfit)
    shell(folder, "sqlite3 store.db \"UPDATE snapshots SET state = '{}' WHERE version = 2\"")
    local all = json "--list"
    assert.same({ "does not agree with its checksum", cjson.null }, { all[1].unfit, all[2].unfit })
    assert.matches("Account/1 .*does not agree with its checksum", run(folder, { "snapshot", "--list" }).out)
  end)

  it("drops those named, or all, and verify is content again", function()
    json("Account/1", "Account/2")
    shell(folder, "sqlite3 store.db \"UPDATE snapshots SET position = 9 WHERE version = 2\"")
    local damaged = run(folder, { "verify" })
    assert.equal(6, damaged.status)
    assert.matches("the snapshot of Account/1 at version 2 does not agree with its checksum", damaged.out, 1, true)
    assert.matches("esrun snapshot --drop", damaged.out, 1, true)
    assert.equal("1 snapshot dropped\n", run(folder, { "snapshot", "--drop", "Account/1" }).out)
    assert.equal(0, run(folder, { "verify" }).status)
    assert.same({ dropped = 1 }, json("--drop", "--all"))
    assert.same({}, json "--list")
  end)

  it("is looked at by the doctor, who says how to be rid of damaged ones", function()
    json("Account/1", "Account/2")
    local function said() return run(folder, { "doctor" }).out end
    assert.matches("snapshots +2, 0 of them left by other modules", said())
    shell(folder, "sqlite3 store.db \"UPDATE snapshots SET created_at = 9 WHERE version = 2\"")
    assert.matches("warning +snapshots +that of Account/1 at version 2 does not agree with its checksum; it is not used", said())
    assert.matches("to mend: esrun snapshot %-%-drop Account/1\n", said())
    run(folder, { "snapshot", "--drop", "Account/1" })
    local path = folder .. "/aggregates/account.lua"
    support.write(path, support.read(path) .. "-- changed\n")
    assert.matches("snapshots +1, 1 of them left by other modules", said())
  end)

  it("is taken by several processes at once", function()
    local path = folder .. "/aggregates/account.lua"
    support.write(path, (support.read(path):gsub("\nreturn (%w+)%s*$", "\n%1.snapshot = { every = 3 }\nreturn %1\n")))
    local lines = ('{"target":"Account/1","command":"move","params":{"cents":1}}\n'):rep(60)
    support.write(folder .. "/moves.jsonl", lines)
    local bin = support.quote(support.bin)
    shell(folder, ("for i in 1 2 3; do %s batch moves.jsonl --as user:jane >out$i 2>&1 & done; wait"):format(bin))
    assert.matches("at version 182", run(folder, { "show", "Account/1" }).out)
    local versions = {}
    for position, row in ipairs(json("--list", "Account/1")) do
      assert.equal(cjson.null, row.unfit)
      versions[position] = row.version
    end
    assert.equal(3, #versions)
    assert.is_true(versions[1] >= 165)
    assert.equal(0, run(folder, { "replay", "--check" }).status)
    assert.equal(0, run(folder, { "verify" }).status)
  end)

  it("tells of a state that cannot be kept, and takes the others", function()
    support.write(folder .. "/aggregates/bad.lua", [[
local es = require "es"
local Bad = es.aggregate "Bad"
Bad.events = { BadMade = {} }
Bad.apply = { BadMade = function(state) state.ratio = 0 / 0 end }
Bad.commands = { make = { allow = function() return true end, decide = function() return es.event "BadMade" end } }
return Bad
]])
    assert.equal(0, run(folder, { "exec", "Bad/1", "make", "--as", "user:jane" }).status)
    local all = run(folder, { "snapshot", "--all" })
    assert.equal(8, all.status)
    assert.matches("no snapshot: Bad/1: state.ratio: NaN cannot be stored", all.out, 1, true)
    assert.matches("2 snapshots taken of 3 aggregates", all.out, 1, true)
    local one = run(folder, { "snapshot", "Bad/1" })
    assert.equal(8, one.status)
    assert.matches("Bad/1: state.ratio: NaN", one.err, 1, true)
  end)

  it("refuses what it would have to guess", function()
    for arguments, message in pairs {
      [{}] = "which aggregates?", [{ "Account" }] = "is not TYPE/ID", [{ "--all", "Account/1" }] = "--all goes without TYPE/ID",
      [{ "--list", "--drop" }] = "do not go together", [{ "--list", "--all" }] = "--list goes without --all",
      [{ "Account/1", "--type", "Account" }] = "--type goes with --all", [{ "--all", "--min-events", "0" }] = "--min-events",
      [{ "--drop", "--all", "--tenant", "acme" }] = "--tenant goes with TYPE/ID",
      [{ "--drop", "--all", "--min-events", "1" }] = "--min-events goes with --all",
    } do
      local refused = run(folder, { "snapshot", table.unpack(arguments) })
      assert.equal(2, refused.status, message)
      assert.matches(message, refused.err, 1, true)
    end
    assert.equal(5, run(folder, { "snapshot", "Account/9" }).status)
    assert.equal(5, run(folder, { "snapshot", "Account/1", "--tenant", "acme" }).status)
  end)

  it("is not needed by show, which says the same with and without one", function() -- covers C12
    local before = run(folder, { "show", "Account/1", "--output", "json" }).out
    json "Account/1"
    assert.equal(before, run(folder, { "show", "Account/1", "--output", "json" }).out)
    local at_1 = run(folder, { "show", "Account/1", "--at", "1" })
    assert.matches("at version 1", at_1.out)
  end)

  it("is taken by itself where the aggregate says so", function() -- covers C13
    local path = folder .. "/aggregates/account.lua"
    support.write(path, (support.read(path):gsub("\nreturn (%w+)%s*$", "\n%1.snapshot = { every = 2 }\nreturn %1\n")))
    assert.equal(0, run(folder, { "exec", "Account/1", "move", "cents=5", "--as", "user:jane" }).status)
    assert.same({}, json "--list")
    assert.equal(0, run(folder, { "exec", "Account/1", "move", "cents=5", "--as", "user:jane" }).status)
    local listed = json "--list"
    assert.same({ 1, 4 }, { #listed, listed[1].version })
    support.write(path, (support.read(path):gsub("every = 2", "evry = 2")))
    assert.matches("did you mean every?", run(folder, { "lint" }).out, 1, true)
  end)
end)

describe("es:snapshot", function()
  it("answers what was taken, and es:snapshots lists it", function()
    local folder = support.project()
    local es <close> = assert(esrun.open { project = folder, store = ":memory:" })
    local scope <close> = es.context.enter { actor_id = "user:jane" }
    assert(es:execute("Account/1", "open"))
    local taken = assert(es:snapshot "Account/1")
    assert.equal(1, taken.version)
    assert.equal(1, taken.position)
    local list = assert(es:snapshots { "Account", "1" })
    assert.equal(taken.snapshot_id, list[1].snapshot_id)
    assert.equal(taken.event_id, list[1].event_id)
    assert.is_nil(list[1].unfit)
    assert.same({ stream_count = 1, taken_count = 0, failed_count = 0 }, assert(es:snapshot_all()))
    local nothing, message, code = es:drop_snapshots()
    assert.same({ nil, "the snapshots of all tenants are dropped in operator scope alone", "operator_scope" },
      { nothing, message, code })
    assert.equal(1, es:drop_snapshots "Account/1")
    local _, _, missing = es:snapshot "Account/2"
    assert.equal("not_found", missing)
    assert.has_error(function() es:snapshot "Account" end, "es:snapshot: target expected as \"TYPE/ID\" or { type, id }")
    assert.has_error(function() es:snapshot_all { typ = "Account" } end, "es:snapshot_all: unknown option 'typ'")
    return scope
  end)

  it("logs what a policy could not take, and the command succeeds", function()
    local folder = support.project { ["aggregates/bad.lua"] = [[
local es = require "es"
local Bad = es.aggregate "Bad"
Bad.snapshot = { every = 1 }
Bad.events = { BadMade = {} }
Bad.apply = { BadMade = function(state) state.list = {}; state.same = state.list end }
Bad.commands = { make = { allow = function() return true end, decide = function() return es.event "BadMade" end } }
return Bad
]] }
    local logged = {}
    local es <close> = assert(esrun.open { project = folder, store = ":memory:",
      log = function(_, text) logged[#logged + 1] = cjson.decode(text) end })
    assert(es:execute("Bad/1", "make"))
    assert.equal("snapshot_failed", logged[1].code)
    assert.matches("Bad/1: state%.%a+: this table stands in the state a second time", logged[1].message)
    assert(es:transaction(function() return es:execute("Bad/1", "make") and es:execute("Bad/1", "make") end))
    assert.equal(2, #logged) -- once for a transaction
  end)
end)
