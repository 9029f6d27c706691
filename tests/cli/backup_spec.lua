-- backup_spec: backups under load, restoring, and what layout a store's file has.
local support = require "tests.cli.support"

local run, shell = support.run, support.shell

local function filled()
  local folder = support.project()
  run(folder, { "exec", "Account/1", "open", "--as", "user:jane" })
  for cents = 1, 3 do run(folder, { "exec", "Account/1", "move", "cents=" .. cents, "--as", "user:jane" }) end
  return folder
end

local function listing(folder) return shell(folder, "ls").out end

local function head(folder, store)
  return run(folder, { "verify", "--store", store, "--output", "json" }).out:match '"head_hash":"(%x+)"'
end

local function damage(folder, file)
  shell(folder, ([[sqlite3 %s "DROP TRIGGER events_no_update; UPDATE events SET data = '{}' WHERE position = 2"]]):format(file))
end

teardown(support.clean)

describe("backup", function()
  it("copies the store, verified, and leaves nothing else", function()
    local folder = filled()
    local before, files = head(folder, "store.db"), listing(folder)
    local result = run(folder, { "backup", "copy.db" })
    assert.equal("", result.err)
    assert.truthy(result.out:find("^copy.db: 4 events, head %x+, verified"))
    assert.equal(before, head(folder, "copy.db"))
    os.remove(folder .. "/copy.db")
    shell(folder, "rm -f store.db-wal store.db-shm")
    assert.equal((files:gsub("store.db%-%l%l%l\n", "")), (listing(folder):gsub("store.db%-%l%l%l\n", "")))
  end)

  it("is recorded with its size, place and actor", function() -- covers D11
    local folder = filled()
    run(folder, { "backup", "one.db" })
    run(folder, { "backup", "two.db", "--as", "cron:nightly" })
    local log = run(folder, { "log", "--type", "$BackupCreated", "--output", "jsonl" }).out
    assert.truthy(log:find('"actor_id":"system:backup".-"data":{"backup_location":"one.db","backup_size":%d+,'
      .. '"backup_type":"full","event_count":4}'))
    assert.truthy(log:find('"actor_id":"cron:nightly"', 1, true))
    assert.equal(0, run(folder, { "verify" }).status)
  end)

  it("is readable by nobody who may not read the store", function()
    local folder = filled()
    shell(folder, "chmod 600 store.db")
    run(folder, { "backup", "copy.db" })
    assert.equal("600\n", shell(folder, "stat -c %a copy.db").out)
    assert.equal(0, run(folder, { "--store", "back.db", "restore", "copy.db" }).status)
    assert.equal("600\n", shell(folder, "stat -c %a back.db").out)
    assert.equal(0, run(folder, { "--store", "back.db", "doctor" }).status)
  end)

  it("can be read, verified and restored where nothing can be written", function()
    local folder = filled()
    shell(folder, "mkdir kept; chmod 755 .; chmod -R a+rX .")
    run(folder, { "backup", "kept/copy.db" })
    local files = listing(folder .. "/kept")
    shell(folder, "chmod 555 kept; chmod 444 kept/copy.db; mkdir mine; chmod 777 mine")
    local as_nobody = shell(folder, "id -u").out == "0\n" and "setpriv --reuid=65534 --clear-groups " or ""
    shell(folder, "cp " .. support.quote(support.bin) .. " esrun; chmod 755 esrun") -- the build may lie where nobody gets in
    local esrun = as_nobody .. "env HOME=" .. folder .. "/mine " .. folder .. "/esrun"
    local verified = shell(folder, esrun .. " --store kept/copy.db verify")
    assert.equal(0, verified.status, verified.err)
    local restored = shell(folder, esrun .. " --store mine/back.db restore kept/copy.db")
    assert.equal(0, restored.status, restored.err)
    assert.equal(files, listing(folder .. "/kept"))
    shell(folder, "chmod 755 kept")
  end)

  it("is restored without touching what belongs to a store that comes into use meanwhile", function()
    local folder = filled()
    support.write(folder .. "/meanwhile.lua", [[
      local esrun = require "esrun"
      local es
      local function move() assert(es:execute("Account/1", "move", { cents = 7 }, { actor_id = "user:jane" })) end
      esrun.restore("store.db", { store = "back.db" }, {
        evidence = function()
          es = assert(esrun.open { project = "." })
          move()
          return {}
        end,
      })
      assert(io.open "store.db-wal", "the log that a writer is using was removed"):close()
      local other = assert(esrun.open { project = "." })
      move()
      other:close()
      es:close()]])
    local result = shell(folder, support.quote(support.bin) .. " run meanwhile.lua")
    assert.equal(0, result.status, result.err)
    assert.matches("6 events", run(folder, { "verify" }).out)
  end)

  it("never replaces a file", function()
    local folder = filled()
    support.write(folder .. "/mine.txt", "precious")
    local result = run(folder, { "backup", "mine.txt" })
    assert.equal(2, result.status)
    assert.truthy(result.err:find("mine.txt: there is a file of this name", 1, true))
    assert.equal("precious", support.read(folder .. "/mine.txt"))
    result = run(folder, { "backup", "" })
    assert.equal(2, result.status)
    assert.matches("the name of the new file is empty", result.err, 1, true)
  end)

  it("gets whole commits while others write", function()
    local folder = filled()
    local lines = {}
    for position = 1, 4000 do lines[position] = '{"target":"Account/1","command":"move","params":{"cents":1}}' end
    support.write(folder .. "/commands.jsonl", table.concat(lines, "\n") .. "\n")
    local result = shell(folder, ([[
      %s batch commands.jsonl --as user:jane --group 50 >out 2>/dev/null & pid=$!
      while ! [ -s out ]; do :; done
      for i in 1 2 3; do %s backup copy$i.db || exit 1; done
      kill $pid 2>/dev/null; wait $pid 2>/dev/null; true]]):format(support.quote(support.bin), support.quote(support.bin)))
    assert.equal("", result.err)
    assert.equal(0, result.status)
    for copy = 1, 3 do
      local report = run(folder, { "verify", "--store", ("copy%d.db"):format(copy), "--output", "json" }).out
      assert.truthy(report:find('"ok":true', 1, true))
      local count = math.tointeger(tonumber(report:match '"event_count":(%d+)'))
      assert.equal(4 + copy - 1, count % 50) -- each backup was recorded before the next
    end
  end)

  it("of a damaged store is not kept, and says which file to keep", function()
    local folder = filled()
    damage(folder, "store.db")
    local result = run(folder, { "backup", "copy.db" })
    assert.equal(6, result.status)
    assert.matches(("hint: the copy was not kept: verify %s/store.db; if it is damaged, keep it as evidence"):format(folder),
      result.err, 1, true)
    assert.falsy(listing(folder):find("copy.db", 1, true))
  end)

  it("leaves nothing behind when it cannot be written", function()
    local folder = filled()
    local result = shell(folder, "trap '' XFSZ; ulimit -f 16; " .. support.quote(support.bin) .. " backup copy.db")
    assert.not_equal(0, result.status)
    assert.falsy(listing(folder):find("copy.db", 1, true))
    local nowhere = run(folder, { "backup", "/nowhere/copy.db" })
    assert.equal(7, nowhere.status)
    assert.matches("/nowhere/copy.db: no file can be made beside it", nowhere.err, 1, true)
  end)

  it("removes the journal that SQLite leaves of a large copy that failed", function()
    local folder = filled()
    local line = ('{"target":"Account/1","command":"move","params":{"cents":1,"note":"%s"}}\n'):format(("x"):rep(60000))
    assert.equal(0, run(folder, { "batch", "-", "--group", "100", "--as", "user:jane" }, line:rep(100)).status)
    shell(folder, "trap '' XFSZ; ulimit -f 6000; " .. support.quote(support.bin) .. " backup copy.db")
    assert.falsy(listing(folder):find("copy.db", 1, true))
  end)

  it("leaves an unfinished file that another run made alone", function()
    local folder = filled()
    support.write(folder .. "/copy.db.part", "another's")
    assert.equal(0, run(folder, { "backup", "copy.db" }).status)
    assert.equal("another's", support.read(folder .. "/copy.db.part"))
  end)

  -- Several at once to one name: one makes it, the others are told so.
  local function race(folder, command, copies)
    local lines = {}
    for copy = 1, copies do
      lines[copy] = ("{ %s %s 2>err%d; echo $? >status%d; } &"):format(support.quote(support.bin), command, copy, copy)
    end
    shell(folder, table.concat(lines, "\n") .. "\nwait")
    local made = 0
    for copy = 1, copies do
      local status, err = support.read(folder .. "/status" .. copy), support.read(folder .. "/err" .. copy)
      if status == "0\n" then
        made = made + 1
      else
        assert.equal("2\n", status)
        assert.matches("there is a ", err, 1, true)
      end
    end
    assert.equal(1, made)
    assert.falsy(listing(folder):find(".part", 1, true))
  end

  it("made several times at once to one name is made once, and so is a restore", function()
    local folder = filled()
    for round = 1, 3 do
      race(folder, "backup copy" .. round .. ".db", 6)
      assert.equal(0, run(folder, { "verify", "--store", "copy" .. round .. ".db" }).status)
    end
    local before = head(folder, "copy3.db")
    for _ = 1, 3 do
      shell(folder, "rm -f store.db*")
      race(folder, "restore copy3.db", 6)
      assert.equal(before, head(folder, "store.db"))
    end
  end)
end)

describe("restore", function()
  it("makes the backup the store, and projections ahead of it ask to be rebuilt", function()
    local folder = filled()
    run(folder, { "backup", "copy.db" })
    run(folder, { "exec", "Account/1", "move", "cents=9", "--as", "user:jane" })
    run(folder, { "project", "run" })
    local before = head(folder, "copy.db")
    shell(folder, "rm store.db store.db-wal store.db-shm")
    local result = run(folder, { "restore", "copy.db" })
    assert.equal("", result.err)
    assert.truthy(result.out:find("^4 events restored"))
    assert.equal(before, head(folder, "store.db"))
    assert.truthy(run(folder, { "project", "status" }).out:find("rebuild", 1, true))
    assert.equal(0, run(folder, { "exec", "Account/1", "move", "cents=1", "--as", "user:jane" }).status)
  end)

  it("refuses to overwrite a store", function()
    local folder = filled()
    run(folder, { "backup", "copy.db" })
    local before = head(folder, "store.db")
    local result = run(folder, { "restore", "copy.db" })
    assert.equal(2, result.status)
    assert.truthy(result.err:find("store.db: there is a store already", 1, true))
    assert.equal(before, head(folder, "store.db"))
  end)

  it("refuses the log that a removed store left behind", function()
    local folder = filled()
    run(folder, { "backup", "copy.db" })
    shell(folder, "rm -f store.db store.db-shm; echo old >store.db-wal")
    assert.equal(2, run(folder, { "restore", "copy.db" }).status)
    assert.is_false(support.exists(folder .. "/store.db"))
  end)

  it("refuses a damaged backup", function()
    local folder = filled()
    run(folder, { "backup", "copy.db" })
    damage(folder, "copy.db")
    shell(folder, "rm -f store.db*")
    local result = run(folder, { "restore", "copy.db" })
    assert.equal(6, result.status)
    assert.matches("hint: keep copy.db as evidence", result.err, 1, true)
    assert.is_false(support.exists(folder .. "/store.db"))
    assert.is_false(support.exists(folder .. "/store.db.part"))
  end)

  it("refuses what is no backup", function()
    local folder = support.project()
    assert.equal(7, run(folder, { "restore", "nothing.db" }).status)
    assert.equal(7, run(folder, { "restore", "esrun.lua" }).status)
  end)
end)

describe("migrate", function()
  it("says which layout the file has, and that none is pending", function() -- covers D23
    local folder = support.project()
    assert.truthy(run(folder, { "migrate", "--status" }).out:find("no store yet", 1, true))
    assert.is_false(support.exists(folder .. "/store.db"))
    run(folder, { "exec", "Account/1", "open", "--as", "user:jane" })
    assert.truthy(run(folder, { "migrate", "--status" }).out:find("^layout %d+, up to date"))
    assert.truthy(run(folder, { "migrate", "--output", "json" }).out:find('"migrated":false', 1, true))
  end)

  it("refuses a file from the future and a foreign one", function() -- covers D23
    local folder = filled()
    shell(folder, "sqlite3 store.db 'PRAGMA user_version = 99'; sqlite3 foreign.db 'CREATE TABLE t (x)'")
    local future = run(folder, { "migrate", "--status" })
    assert.equal(7, future.status)
    assert.truthy(future.err:find("the store has layout 99", 1, true))
    assert.equal(7, run(folder, { "--store", "foreign.db", "migrate", "--status" }).status)
  end)
end)
