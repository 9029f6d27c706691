-- archive_spec: old events' data and metadata in segments: what moves, what stays readable, and the way back.
local support = require "tests.cli.support"
local archive = require "tests.cli.archive_support"

local run, shell = support.run, support.shell
local filled, export, files, sql, verify = archive.filled, archive.export, archive.files, archive.sql, archive.verify

local function archived(folder, ...)
  local result = run(folder, { "archive", ... })
  assert.equal("", result.err)
  assert.equal(0, result.status)
  return result.out
end

-- How many rows have no data.
local function marked(folder)
  return tonumber(sql(folder, "SELECT count(*) FROM events WHERE data = ''").out)
end

teardown(support.clean)

describe("archive", function()
  it("moves data and metadata out of the store, and everything reads as before", function() -- covers C18, E61
    local folder = filled(30)
    local before, state = export(folder), run(folder, { "show", "Account/1", "--as", "user:jane", "--role", "teller" }).out
    local early = run(folder, { "show", "Account/1", "--at", "3", "--output", "json" }).out
    local log = run(folder, { "log", "--aggregate", "Account/1", "--output", "jsonl" }).out
    run(folder, { "project", "run" })
    local balances = run(folder, { "project", "query", "balances", "richest", "limit:=9" }).out
    assert.matches("^20 events, positions 1 to 20, %d+ bytes of data and metadata moved; 1 new segment, %d+ bytes\n$",
      archived(folder, "--before", "21"))
    assert.equal(20, marked(folder))
    assert.equal("0\n", sql(folder, "SELECT count(*) FROM events WHERE position <= 20 AND metadata LIKE '%{%'").out)
    assert.equal(before, export(folder, 30))
    assert.equal(state, run(folder, { "show", "Account/1", "--as", "user:jane", "--role", "teller" }).out)
    assert.equal(early, run(folder, { "show", "Account/1", "--at", "3", "--output", "json" }).out)
    assert.equal(log, run(folder, { "log", "--aggregate", "Account/1", "--output", "jsonl" }).out)
    assert.equal(0, run(folder, { "replay", "--check" }).status)
    assert.equal(0, run(folder, { "project", "rebuild", "balances" }).status)
    assert.equal(balances, run(folder, { "project", "query", "balances", "richest", "limit:=9" }).out)
    for _, jobs in ipairs { "1", "2" } do
      local report = verify(folder, "--jobs", jobs).report
      assert.same({ true, 20, 0 }, { report.ok, report.archived_count, report.unseen_count })
    end
  end)

  it("writes what export writes: zstdcat is enough to read it, and import to build the store anew", function()
    local folder = filled(2500)
    local whole = export(folder)
    archived(folder, "--keep", "0", "--segment-events", "2000")
    assert.equal(2, #files(folder))
    assert.equal(whole, shell(folder, "zstdcat store.db-archive/*").out)
    local imported = shell(folder, ("zstdcat store.db-archive/* | %s --store new.db import -"):format(support.quote(support.bin)))
    assert.equal(0, imported.status, imported.err)
    assert.equal(whole, run(folder, { "--store", "new.db", "export" }).out)
    assert.equal(0, run(folder, { "--store", "new.db", "verify" }).status)
  end)

  it("is recorded in $audit with its positions, its file and that file's SHA-256", function()
    local folder = filled(10)
    archived(folder, "--before", "6", "--as", "cron:nightly")
    local event = run(folder, { "log", "--type", "$Archived", "--output", "jsonl" }).out
    local name = files(folder)[1]
    local sha256 = shell(folder, "sha256sum store.db-archive/*").out:match "^%x+"
    assert.truthy(event:find(('"data":{"count":5,"file":"%s","from":1,"sha256":"%s","to":5}'):format(name, sha256), 1, true))
    assert.truthy(event:find('"actor_id":"cron:nightly"', 1, true))
    archived(folder, "--restore", "2..3")
    event = run(folder, { "log", "--type", "$Unarchived", "--output", "jsonl" }).out
    assert.truthy(event:find('"actor_id":"system:archive".*"data":{"count":2,"from":2,"to":3}'))
  end)

  it("takes the oldest by age, position, time, number or size, and says beforehand what would move", function() -- covers C14
    local folder = filled(100)
    local function would(...) return archived(folder, "--dry-run", ...):match "^(%d+) events, positions 1 to %1, " end
    assert.equal("40", would("--before", "41"))
    assert.equal("100", would("--before", "2999-01-01"))
    assert.equal("90", would("--keep", "10"))
    local bytes = tonumber(sql(folder, "SELECT sum(length(data) + length(metadata)) FROM events WHERE position > 93").out)
    assert.equal("93", would("--max-size", tostring(bytes)))
    assert.equal("94", would("--max-size", tostring(bytes - 1)))
    assert.equal("no events: nothing to do\n", archived(folder, "--dry-run", "--older-than", "1h"))
    assert.equal("no events: nothing to do\n", archived(folder, "--max-size", "1G"))
    assert.equal("no events: nothing to do\n", archived(folder, "--before", "2000-01-01T00:00:00Z"))
    assert.is_false(support.exists(folder .. "/store.db-archive"))
    assert.equal(0, marked(folder))
    archived(folder, "--before", "2999-01-01", "--segment-events", "30")
    assert.equal(100, marked(folder))
    assert.equal(4, #files(folder))
  end)

  it("takes what was recorded longer ago than an age", function() -- covers C14
    local folder = filled(0)
    local DAY = 24 * 3600
    archive.append(folder, 10, 40 * DAY)
    archive.append(folder, 5, 10 * DAY)
    archive.append(folder, 3, 30 * 3600)
    archive.append(folder, 2)
    local counts = { ["41d"] = 0, ["39d"] = 10, ["6w"] = 0, ["5w"] = 10, ["9d"] = 15, ["31h"] = 15, ["29h"] = 18 }
    for age, count in pairs(counts) do
      local text = archived(folder, "--dry-run", "--older-than", age)
      assert.equal(count, tonumber(text:match "^(%d+) events") or 0, age)
    end
    assert.matches("^10 events, positions 1 to 10, ", archived(folder, "--older-than", "30d"))
    assert.equal(10, marked(folder))
    assert.equal("no events: nothing to do\n", archived(folder, "--older-than", "30d"))
    assert.is_true(verify(folder).report.ok)
  end)

  it("refuses to be told nothing, or two things at once", function()
    local folder = filled(3)
    for words, message in pairs {
      ["--keep 1 --before 2"] = "--before and --keep say what to archive in two ways", [""] = "nothing says what to archive",
      ["--to here"] = "nothing says what to archive", ["--list --keep 1"] = "--list stands alone",
      ["--restore 3..1"] = "--restore: '3..1' is not FROM..TO", ["--older-than 3"] = "--older-than: '3' is not an age",
      ["--max-size 3X"] = "--max-size: '3X' is not a size", ["--keep x"] = "--keep: 'x' is not a whole number",
      ["--keep 1 --dry-run --compact"] = "--dry-run changes nothing",
    } do
      local list = { "archive" }
      for word in words:gmatch "%S+" do list[#list + 1] = word end
      local result = run(folder, list)
      assert.equal(2, result.status, words)
      assert.truthy(result.err:find(message, 1, true), result.err)
    end
  end)

  it("leaves events whose texts are no longer than a marker where they are", function()
    local folder = support.project()
    run(folder, { "exec", "Account/1", "open", "--as", "user:jane" })
    sql(folder, "VACUUM")
    local es <close> = assert(require "esrun".open { project = folder })
    assert(es:append { { aggregate_type = "Account", aggregate_id = "7", event_type = "MoneyMoved", data = { cents = 1 } } })
    assert.equal(1, assert(es.archive.move { keep = 0 }).event_count) -- the opening has metadata of the runtime's
    assert.equal('{"cents":1}\n', sql(folder, "SELECT data FROM events WHERE position = 2").out)
    assert.equal(0, assert(es.archive.move { keep = 1 }).event_count)
    assert.is_true(assert(es:verify()).ok)
  end)

  it("goes on where it ended, and puts texts back and away again without a new segment", function()
    local folder = filled(50)
    local before = export(folder)
    archived(folder, "--before", "11")
    archived(folder, "--before", "31", "--segment-events", "8")
    assert.equal(4, #files(folder))
    assert.matches("^15 events, positions 6 to 20, .* are back in the store\n$", archived(folder, "--restore", "6..20"))
    assert.equal(15, marked(folder))
    assert.equal(before, export(folder, 50))
    assert.is_true(verify(folder).report.ok)
    assert.matches("^15 events, positions 6 to 20, .*; 0 new segments, 0 bytes\n$", archived(folder, "--before", "21"))
    archived(folder, "--restore", "all")
    assert.equal(0, marked(folder))
    assert.equal(before, export(folder, 50))
    archived(folder, "--before", "41")
    assert.equal(40, marked(folder))
    assert.equal(5, #files(folder))
    assert.is_true(verify(folder).report.ok)
  end)

  it("writes into another folder, whose files may be moved beside the store", function()
    local folder = filled(20)
    local before = export(folder)
    archived(folder, "--keep", "5", "--to", "cold")
    assert.is_false(support.exists(folder .. "/store.db-archive"))
    assert.matches("^1 to 15  %d+ bytes  .*/cold/000000000001%-000000000015%-%x+.jsonl.zst\n$", archived(folder, "--list"))
    assert.equal(before, export(folder, 20))
    shell(folder, "mv cold store.db-archive")
    assert.equal(before, export(folder, 20))
    assert.is_true(verify(folder).report.ok)
  end)

  it("shrinks the file when told to compact", function()
    local folder = filled(3000)
    local function size() return tonumber(shell(folder, "stat -c %s store.db").out) end
    archived(folder, "--keep", "0")
    local before = size()
    assert.equal("compacted\n", archived(folder, "--compact"))
    assert.is_true(size() < before - 40000)
    assert.is_true(verify(folder).report.ok)
    assert.equal("0\n", shell(folder, "cat store.db* | grep -c 'a note that makes'").out)
  end)

  it("is refused of a store in memory and within a transaction, and is open to scripts", function() -- covers C18
    local esrun = require "esrun"
    local memory <close> = assert(esrun.open { store = ":memory:" })
    local function move_all() return memory.archive.move { keep = 0 } end
    for _, call in ipairs { move_all, memory.archive.restore, memory.archive.compact } do
      local done, _, code = call()
      assert.is_nil(done)
      assert.equal("in_memory", code)
    end
    assert.same({}, assert(memory.archive.segments()))
    assert.has_error(function() memory.archive.move { older = 1 } end, "es.archive.move: unknown option 'older'")
    local folder = filled(10)
    local es <close> = assert(esrun.open { project = folder })
    for _, call in ipairs { es.archive.restore, es.archive.compact, function() return es.archive.move { keep = 1 } end } do
      assert.equal("in_transaction", (select(3, es:transaction(call))))
    end
    assert.equal(0, marked(folder))
    assert.equal(9, assert(es.archive.move { keep = 1 }).event_count)
    assert.equal(9, assert(es.archive.segments())[1].to)
  end)
end)
