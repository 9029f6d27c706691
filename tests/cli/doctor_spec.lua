-- esrun doctor: what it finds wrong with an installation, a project and its store, and how it says to mend it.
local support = dofile "tests/cli/support.lua"
local cjson = require "cjson"

local FAULTY = [[
local es = require "es"
local rule = require "es.rule"
local Faulty = es.aggregate "Faulty"
Faulty.events = { FaultFound = {} }
Faulty.commands = { fail = { allow = rule.anyone, decide = function(state) return state.nothing.here end } }
return Faulty
]]

local PICKY = [[
local es = require "es"
local Picky = es.projection "picky"
Picky.on = { MoneyMoved = function() error("not this one") end }
return Picky
]]

describe("esrun doctor", function()
  after_each(support.clean)

  local function run(folder, ...) return support.run(folder, { ... }) end

  local function filled(files)
    local folder = support.project(files)
    for _, words in ipairs {
      { "exec", "Account/1", "open", "--as", "user:jane" }, { "exec", "Account/1", "move", "cents=5", "--as", "user:jane" },
    } do
      assert.equal(0, support.run(folder, words).status)
    end
    return folder
  end

  -- The findings by their check's name: of several with one name the last.
  local function states(folder, ...)
    local result = run(folder, "doctor", "--output", "json", ...)
    local found = {}
    for _, finding in ipairs(cjson.decode(result.out).findings) do found[finding.check] = finding end
    return found, result
  end

  it("finds nothing wrong with a healthy project", function()
    local folder = filled()
    assert.equal(0, run(folder, "project", "run").status)
    local found, result = states(folder)
    assert.equal(0, result.status)
    assert.equal("note", found.checkpoints.state) -- nobody made a key; with one: ledger_spec.lua
    found.checkpoints = nil
    local by_machine = { lua = true, sqlite = true, space = true }
    for check, finding in pairs(found) do
      if not by_machine[check] then assert.equal("ok", finding.state, check .. ": " .. finding.message) end
    end
    for _, check in ipairs {
      "lua", "sqlite", "versions", "project", "modules", "layout", "settings", "store", "pragmas", "permissions", "queue",
      "space", "leftovers", "failures", "projections", "snapshots", "actors",
    } do
      assert.truthy(found[check], check)
    end
    assert.matches("esrun %d.*Lua 5%.4.*SQLite 3.*OpenSSL", found.versions.message)
    assert.equal(0, run(folder, "doctor").status)
    for line in run(folder, "doctor", "--output", "jsonl").out:gmatch "[^\n]+" do cjson.decode(line) end
  end)

  describe("asks what one asks when events do not appear:", function() -- covers D21
    it("is the migration applied? (7)", function() -- covers D23
      local folder = filled()
      assert.matches("no migration is pending", states(folder).layout.message)
      support.shell(folder, "sqlite3 store.db 'PRAGMA user_version = 99'")
      local found, result = states(folder)
      assert.equal("failure", found.layout.state)
      assert.matches("layout 99", found.layout.message)
      assert.truthy(found.layout.mend)
      assert.equal(7, result.status)
    end)

    it("which store is configured, and by what?", function()
      local folder = filled()
      assert.equal(("the store is %s/store.db, by esrun.lua"):format(folder), states(folder).settings.message)
      assert.equal(0, run(folder, "--store", "other.db", "exec", "Account/1", "open", "--as", "user:x").status)
      assert.matches("other%.db, by .*option", states(folder, "--store", "other.db").settings.message)
    end)

    it("can the store be reached? (7)", function()
      local folder = support.project()
      assert.equal(7, select(2, states(folder, "--store", "mistyped.db")).status)
      support.write(folder .. "/esrun.lua", 'return { store = "nowhere/store.db" }\n')
      local found, result = states(folder)
      assert.equal("failure", found.store.state)
      assert.matches("mkdir %-p .*/nowhere", found.store.mend)
      assert.equal(7, result.status)
      support.write(folder .. "/esrun.lua", 'return { store = "store.db" }\n')
      support.write(folder .. "/store.db", ("not a database"):rep(100))
      found, result = states(folder)
      assert.equal("failure", found.store.state)
      assert.equal(7, result.status)
    end)

    it("was a failure taken for a refusal?", function()
      local folder = filled { ["aggregates/faulty.lua"] = FAULTY }
      assert.equal("ok", states(folder).failures.state)
      assert.equal(8, run(folder, "exec", "Faulty/1", "fail", "--as", "user:jane").status)
      local finding = states(folder).failures
      assert.equal("warning", finding.state)
      assert.matches("1 command%(s%) failed .* fail of Faulty/1", finding.message)
      assert.matches("esrun log %-%-type '%$CommandFailed'", finding.mend)
      assert.matches("CommandFailed", run(folder, "log", "--type", "$CommandFailed").out)
    end)
  end)

  it("tells which projections are behind, and which stopped", function()
    local folder = filled { ["projections/picky.lua"] = PICKY }
    local found = states(folder)
    assert.equal("warning", found.projections.state)
    assert.matches("events behind", found.projections.message)
    assert.matches("^esrun project run ", found.projections.mend)
    run(folder, "project", "run")
    assert.matches("picky stopped: .*not this one", states(folder).projections.message)
    assert.matches("esrun project rebuild picky", states(folder).projections.mend)
  end)

  it("tells which module does not load (8), and looks at the store all the same", function()
    local folder = filled()
    support.write(folder .. "/aggregates/broken.lua", "return = 1\n")
    local found, result = states(folder)
    assert.equal(8, result.status)
    assert.equal("failure", found.modules.state)
    assert.matches("aggregates/broken.lua:1:", found.modules.message, 1, true)
    assert.equal("ok", found.store.state)
    assert.matches("store%.db, 2 events", found.store.message)
    assert.equal("ok", found.queue.state)
    assert.matches("aggregates/broken.lua:1:", run(folder, "doctor").out, 1, true)
  end)

  it("finds nothing wrong with a new project that has no store yet", function()
    local folder = support.project()
    local found, result = states(folder)
    assert.equal(0, result.status)
    assert.equal("note", found.store.state)
    assert.matches("store.db: none yet; the first command that writes makes it", found.store.message, 1, true)
    assert.equal("ok", found.versions.state)
  end)

  it("tells what it found of a damaged store before it met the damage, and how to mend it", function()
    local folder = filled()
    support.shell(folder, "sqlite3 store.db 'PRAGMA wal_checkpoint(TRUNCATE)'; rm -f store.db-*")
    local whole, stopped = support.read(folder .. "/store.db"), 0
    for at = 4096, #whole - 4096, 4096 do
      support.write(folder .. "/store.db", whole:sub(1, at + 8) .. ("X"):rep(21) .. whole:sub(at + 30))
      local found, result = states(folder)
      assert.equal("ok", found.modules.state)
      assert.equal("", result.err)
      if found.store.state == "failure" then
        stopped = stopped + 1
        assert.equal(7, result.status)
        assert.matches("damaged", found.store.message)
        assert.matches("restore a backup", found.store.mend)
      end
      assert.equal(result.status, run(folder, "doctor").status)
    end
    assert.is_true(stopped > 2)
  end)

  it("says how to mend a project whose files cannot be read, and looks at the store all the same", function()
    local folder = filled()
    support.shell(folder, "mv aggregates/account.lua kept; ln -s nowhere aggregates/account.lua")
    local found = states(folder)
    assert.equal("failure", found.project.state)
    assert.matches("aggregates/account.lua", found.project.message, 1, true)
    assert.truthy(found.project.mend)
    assert.equal("ok", found.store.state)
    support.shell(folder, "mv kept aggregates/account.lua; rm esrun.lua; mkdir esrun.lua")
    found = states(folder)
    assert.truthy(found.project.mend)
    assert.equal("note", found.store.state)
    assert.matches("%-%-store FILE", found.store.mend)
    assert.equal("ok", states(folder, "--store", "store.db").store.state)
  end)

  -- Root may write everything: then it is done as the user 65534, who gets the folder and a copy of the command.
  local function as_ordinary_user(folder, command)
    support.shell(folder, ("cp %s ./esrun; [ $(id -u) -ne 0 ] || chown -R 65534 ."):format(support.quote(support.bin)))
    return support.shell(folder, ([[
      export HOME=$PWD; as=; [ $(id -u) -ne 0 ] || as="setpriv --reuid=65534 --regid=65534 --clear-groups"
      $as sh -c %s]]):format(support.quote(command)))
  end

  it("names the file that may not be written: the store's or one beside it, and so does a command that fails of it", function()
    local folder = filled()
    for _, ending in ipairs { "", "-shm", "-queue" } do -- SQLite replaces a -wal that is empty
      as_ordinary_user(folder, "chmod 644 store.db*; ./esrun log >out; touch store.db-wal store.db-shm; chmod 444 store.db"
        .. ending)
      local finding
      for _, one in ipairs(cjson.decode(as_ordinary_user(folder, "./esrun doctor --output json").out).findings) do
        if one.check == "permissions" then finding = one end
      end
      assert.equal("warning", finding.state)
      assert.equal(("you may not write %s/store.db%s"):format(folder, ending), finding.message)
      assert.matches(("chmod u+w %s/store.db%s"):format(folder, ending), finding.mend, 1, true)
      local refused = as_ordinary_user(folder, "./esrun exec Account/7 open --as user:jane")
      assert.equal(7, refused.status)
      assert.matches("store.db" .. ending, refused.err, 1, true)
    end
  end)

  it("names the empty -wal that nobody may read, or that is a folder, and so does a command that fails of it", function()
    local folder = filled()
    local wal = folder .. "/store.db-wal"
    for make, mend in pairs {
      ["touch store.db-wal; chmod 000 store.db-wal"] = ("you may not read %s: run as its owner, or: chmod u+r %s"):format(
        wal, wal),
      ["mkdir store.db-wal"] = wal .. " is no file: move it away",
    } do
      as_ordinary_user(folder, "rm -rf store.db-wal store.db-shm; " .. make)
      local finding
      for _, one in ipairs(cjson.decode(as_ordinary_user(folder, "./esrun doctor --output json").out).findings) do
        if one.check == "store" then finding = one end
      end
      assert.equal("failure", finding.state)
      assert.equal(mend, finding.mend)
      assert.matches(mend, as_ordinary_user(folder, "./esrun log").err, 1, true)
    end
  end)

  it("tells what is wrong with the settings (2)", function()
    local folder = filled()
    support.write(folder .. "/esrun.lua", "return { stoer = 'x' }\n")
    local found, result = states(folder)
    assert.equal(2, result.status)
    assert.matches("stoer", found.project.message)
  end)

  -- covers E16
  it("lists actor ids off the conventions", function()
    local folder = filled { ["esrun.lua"] = 'return { store = "store.db", actors = { prefixes = { "robot" } } }\n' }
    assert.equal(0, run(folder, "exec", "Account/3", "open", "--as", "robot:r2").status)
    assert.equal("ok", states(folder).actors.state)
    support.write(folder .. "/esrun.lua", 'return { store = "store.db" }\n')
    local finding = states(folder).actors
    assert.equal("warning", finding.state)
    assert.matches("robot:r2", finding.message)
    assert.matches("prefixes", finding.mend)
  end)

  it("tells a store that other users may write", function()
    local folder = filled()
    support.shell(folder, "chmod 666 store.db")
    assert.equal("warning", states(folder).permissions.state)
    assert.matches("chmod o%-w", states(folder).permissions.mend)
  end)

  it("tells a writers' queue that no writer can open", function()
    local folder = filled()
    support.shell(folder, "rm store.db-queue; mkdir store.db-queue")
    local finding = states(folder).queue
    assert.equal("warning", finding.state)
    assert.matches("store.db-queue", finding.message, 1, true)
    assert.matches("remove it", finding.mend)
    assert.not_equal(0, run(folder, "exec", "Account/2", "open", "--as", "user:jane").status)
    support.shell(folder, "rmdir store.db-queue")
    assert.equal("ok", states(folder).queue.state)
  end)

  it("tells files that an export or a backup did not finish", function()
    local folder = filled()
    support.write(folder .. "/all.jsonl.part", "{")
    local finding = states(folder).leftovers
    assert.equal("warning", finding.state)
    assert.matches(folder .. "/all.jsonl.part", finding.message, 1, true)
    assert.equal(1, select(2, finding.message:gsub("%.part", "")))
    for _, ending in ipairs { "-journal", "-wal", "-shm" } do
      support.write(folder .. "/b.db.part" .. ending, "")
      assert.matches("/b.db.part" .. ending, states(folder, "--project", ".").leftovers.message, 1, true)
    end
    assert.equal(4, select(2, states(folder, "--project", ".").leftovers.message:gsub("%.part", "")))
  end)

  it("tells a disk that has too little room for the WAL", function()
    local folder = filled()
    assert.matches(" of .* are free, the WAL has ", states(folder).space.message)
    -- Mostly a hole: a WAL larger than a quarter of any disk that this runs on.
    support.shell(folder, "truncate -s 4T store.db-wal")
    local finding = states(folder).space
    assert.equal("warning", finding.state)
    assert.matches("less than four times the store's WAL", finding.message)
    assert.matches("make room", finding.mend)
  end)
end)

describe("the probes", function()
  local probes = dofile(support.root .. "/lua/esrun/cli/probes.lua")
  local GB = 1000000000

  it("want 5 % of the disk, and four times the WAL", function()
    assert.is_nil(probes.short_of_space(6 * GB, 100 * GB, GB))
    assert.matches("5 %%", probes.short_of_space(4 * GB, 100 * GB, GB))
    assert.matches("four times", probes.short_of_space(6 * GB, 100 * GB, 2 * GB))
    assert.is_nil(probes.short_of_space(5 * GB, 100 * GB, 0))
  end)

  it("know from which version on SQLite is mended", function()
    assert.equal(2, #probes.sqlite_defects "3.37.1")
    assert.equal(1, #probes.sqlite_defects "3.37.2")
    assert.equal(1, #probes.sqlite_defects "3.51.2")
    assert.equal(0, #probes.sqlite_defects "3.51.3")
    assert.equal(0, #probes.sqlite_defects "4.0")
  end)

  it("name the defects that this Lua has, in words", function()
    for _, defect in ipairs(probes.lua_defects()) do assert.is_string(defect) end
  end)
end)
