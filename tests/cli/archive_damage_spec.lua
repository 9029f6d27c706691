-- archive_damage_spec: segments that are away, damaged or another's; rows that were changed by hand; runs that were cut short.
local support = require "tests.cli.support"
local archive = require "tests.cli.archive_support"

local run, shell = support.run, support.shell
local filled, export, files, sql, verify = archive.filled, archive.export, archive.files, archive.sql, archive.verify
local ESRUN = support.quote(support.bin)

local function archived(...)
  local folder = ...
  local result = run(folder, { "archive", select(2, ...) })
  assert.equal(0, result.status, result.err)
end

-- A store of so many events whose first ten are in a segment, and that file.
local function with_segment(count)
  local folder = filled(count or 12)
  archived(folder, "--before", "11")
  return folder, folder .. "/store.db-archive/" .. files(folder)[1]
end

local function change_byte(path, at)
  local bytes = support.read(path)
  at = at < 0 and #bytes + at or at
  support.write(path, bytes:sub(1, at) .. string.char(bytes:byte(at + 1) ~ 1) .. bytes:sub(at + 2))
end

teardown(support.clean)

describe("a segment that is away", function()
  it("leaves everything but its events' data: the ledger holds, and it is said what was not looked at", function() -- covers C15
    local folder, segment = with_segment()
    local before = export(folder)
    shell(folder, "mkdir cold; mv store.db-archive/* cold")
    local result = verify(folder)
    assert.equal(0, result.status)
    assert.same({ true, 10, 10 }, { result.report.ok, result.report.archived_count, result.report.unseen_count })
    local text = run(folder, { "verify" }).out
    assert.truthy(text:find("the segments of 10 archived events are not at hand: the hashes hold", 1, true))
    assert.truthy(text:find("intact as far as looked: all but the data of 10 events", 1, true))
    for _, line in ipairs { "export", "show Account/1", "log", "replay", "archive --restore all" } do
      local words = {}
      for word in line:gmatch "%S+" do words[#words + 1] = word end
      result = run(folder, words)
      assert.equal(7, result.status, line)
      assert.truthy(result.err:find("segment " .. segment:match "[^/]+$", 1, true), result.err)
      assert.truthy(result.err:find("put the file back", 1, true), result.err)
    end
    assert.equal(0, run(folder, { "log", "--after", "10" }).status)
    assert.equal(0, run(folder, { "exec", "Account/new", "open", "--as", "user:jane" }).status)
    assert.truthy(run(folder, { "archive", "--list" }).out:find("NOT AT HAND: " .. segment:match "[^/]+$", 1, true))
    assert.truthy(run(folder, { "doctor" }).out:find("1 of 1 are not at hand, so that their events cannot be read: "
      .. segment:match "[^/]+$", 1, true))
    shell(folder, "mv cold/* store.db-archive")
    assert.equal(before, export(folder, 13))
    assert.truthy(run(folder, { "doctor" }).out:find("1, all at hand", 1, true))
  end)

  it("is not vouched for: what is anchored or signed of the data that was not looked at are its hashes", function()
    local folder = with_segment()
    run(folder, { "keygen", "--name", "example.com/ledger", "--out", "key" })
    assert.equal(0, run(folder, { "checkpoint", "--key", "key" }).status)
    local ONLY = "; of data that was not looked at, only the hashes"
    assert.is_nil(run(folder, { "verify" }).out:find(ONLY, 1, true))
    shell(folder, "mv store.db-archive away")
    for _, jobs in ipairs { "1", "2" } do
      local text = run(folder, { "verify", "--jobs", jobs }).out
      assert.truthy(text:find("anchored positions 1 to 13: remembered outside this file" .. ONLY, 1, true), text)
      assert.truthy(text:find("were not looked at, from position 1 to 10", 1, true), text)
      local report = verify(folder, "--jobs", jobs).report
      assert.same({ 13, 10, 1, 10 }, { report.anchored_to, report.unseen_count, report.unseen_from, report.unseen_to })
    end
  end)

  it("still lets the marker be checked: one that was changed is a finding", function()
    local folder = with_segment()
    shell(folder, "mv store.db-archive away")
    sql(folder, [[DROP TRIGGER events_no_update;
      UPDATE events SET metadata = replace(metadata, substr(metadata, 1, 1), '/') WHERE position = 4]])
    local result = verify(folder)
    assert.equal(6, result.status)
    local found = {}
    for _, finding in ipairs(result.report.findings) do found[finding.kind] = finding.position or 0 end
    assert.equal(4, found.hash)
  end)

  it("keeps nobody from signing, nor from proving that one of its events is in the ledger", function()
    local folder = with_segment()
    local line = export(folder, 3):match "([^\n]*)\n$"
    local key = run(folder, { "keygen", "--name", "example.com/ledger", "--out", "key" }).out:gsub("\n$", "")
    shell(folder, "mv store.db-archive away")
    assert.equal(0, run(folder, { "checkpoint", "--key", "key" }).status)
    assert.equal(0, run(folder, { "prove", line:match '"event_id":"([^"]*)"', "--out", "proof" }).status)
    local checked = run(folder, { "verify-proof", "proof", "--key", key, "--event", line })
    assert.equal(0, checked.status, checked.err)
  end)
end)

describe("a segment that is damaged", function()
  local function finds(folder, what)
    for _, jobs in ipairs { "1", "2" } do
      local result = verify(folder, "--jobs", jobs)
      assert.equal(6, result.status)
      local first = result.report.findings[1]
      assert.same({ "segment", "damaged", 1 }, { first.kind, first.fault, first.position })
      local all = {}
      for _, finding in ipairs(result.report.findings) do all[#all + 1] = finding.message end
      assert.truthy(table.concat(all, "\n"):find(what, 1, true), table.concat(all, "\n"))
    end
    local read = run(folder, { "export" })
    assert.equal(6, read.status)
    assert.truthy(read.err:find("segment", 1, true))
  end

  it("is found when it is cut short, longer, or empty", function()
    local folder, segment = with_segment()
    local bytes = support.read(segment)
    for text, what in pairs { [bytes:sub(1, -2)] = "cut short", [bytes .. "x"] = "longer than it was", [""] = "cut short" } do
      support.write(segment, text)
      finds(folder, what)
    end
    support.write(segment, bytes)
    assert.is_true(verify(folder).report.ok)
  end)

  it("is found whichever bit of it is flipped", function()
    local folder, segment = with_segment()
    local bytes = support.read(segment)
    for at = 0, #bytes - 1, 37 do
      support.write(segment, bytes)
      change_byte(segment, at)
      assert.equal(6, verify(folder).status, "byte " .. at)
    end
    support.write(segment, bytes)
    change_byte(segment, -1)
    finds(folder, "SHA-256")
  end)

  it("is found when it is another store's, of the same length and name", function()
    local folder, segment = with_segment()
    local _, other = with_segment()
    support.write(segment, support.read(other))
    local result = verify(folder)
    assert.equal(6, result.status)
    local read = run(folder, { "export" })
    assert.equal(6, read.status)
    assert.equal("", read.out)
  end)

  it("is found when its row was made to agree with it", function() -- the lines are compared with the hashes of the events
    local folder, segment = with_segment()
    shell(folder, ("zstdcat %s | sed 's/a note/A note/' >lines; zstd -q lines -o other"):format(segment))
    shell(folder, "cp other " .. segment)
    local size = tonumber(shell(folder, "stat -c %s other").out)
    local sha256, frames = shell(folder, "sha256sum other").out:match "^%x+", ("%08x%08x"):format(10, size)
    local row = sql(folder, ("SELECT '1' || char(10) || '10' || char(10) || %d || char(10) || text_bytes || char(10)"
      .. " || created_at || char(10) || file || char(10) || folder FROM segments"):format(size)).out
    local function byte(hex) return string.char(tonumber(hex, 16)) end
    support.write(folder .. "/row", row .. (sha256 .. frames):gsub("%x%x", byte))
    sql(folder, ("DROP TRIGGER segments_no_update; UPDATE segments SET sha256 = x'%s', file_bytes = %d, frames = x'%s', "
      .. "checksum = x'%s'"):format(sha256, size, frames, shell(folder, "sha256sum row").out:match "^%x+"))
    local told = verify(folder).out
    assert.truthy(told:find("has another event at position 1", 1, true), told)
    assert.is_nil(told:find("checksum", 1, true))
    assert.equal(6, verify(folder).status)
    assert.equal(6, run(folder, { "export" }).status)
  end)
end)

describe("rows of archived events", function()
  it("cannot be changed by hand but from texts to a marker and back, where a segment has them", function()
    local folder = with_segment()
    for _, statement in ipairs {
      "UPDATE events SET data = '{}' WHERE position = 12", "UPDATE events SET data = '' WHERE position = 12",
      "UPDATE events SET data = '', metadata = printf('%088d', 0) WHERE position = 12",
      "UPDATE events SET data = '', metadata = '{}' WHERE position = 3", "UPDATE events SET metadata = '{}' WHERE position = 3",
      "UPDATE events SET data = '{}', metadata = '{}', version = 9 WHERE position = 3",
      "UPDATE events SET data = '{}', metadata = '{}', hash = zeroblob(32) WHERE position = 3",
      "UPDATE events SET data = '{}' WHERE position = 3", "DELETE FROM events WHERE position = 3",
      "UPDATE segments SET last = 12", "DELETE FROM segments",
      "INSERT INTO segments SELECT 20, 30, file, folder, sha256, 1, 1, 1, frames, checksum FROM segments",
      "INSERT OR REPLACE INTO segments SELECT * FROM segments",
    } do
      assert.truthy(sql(folder, statement).err:find("append-only", 1, true), statement)
    end
    assert.is_true(verify(folder).report.ok)
  end)

  it("that got other texts by hand are found", function()
    local folder = with_segment()
    assert.equal("", sql(folder, [[UPDATE events SET data = '{"cents":1}',
      metadata = printf('{"x":"%088d"}', 0) WHERE position = 3]]).err)
    local result = verify(folder)
    assert.equal(6, result.status)
    assert.same({ "hash", 3, "edited" }, { result.report.findings[1].kind, result.report.findings[1].position,
      result.report.findings[1].fault })
    local again = run(folder, { "archive", "--keep", "0" })
    assert.equal(6, again.status)
    assert.truthy(again.err:find("event 3", 1, true), again.err)
  end)

  it("whose segment's row was changed are found", function()
    local folder = with_segment()
    sql(folder, "DROP TRIGGER segments_no_update; UPDATE segments SET created_at = created_at + 1")
    local result = verify(folder)
    assert.equal(6, result.status)
    assert.truthy(result.out:find("does not agree with its checksum", 1, true))
  end)

  it("are not made of an event whose content was changed before", function()
    local folder = filled(12)
    sql(folder, [[DROP TRIGGER events_no_update; UPDATE events SET data = '{"cents":1}' WHERE position = 7]])
    local result = run(folder, { "archive", "--keep", "0" })
    assert.equal(6, result.status)
    assert.truthy(result.err:find("not archived: the event at position 7 does not continue the chain", 1, true), result.err)
    assert.same({}, files(folder))
    assert.equal("0\n", sql(folder, "SELECT count(*) FROM events WHERE data = ''").out)
  end)
end)

describe("archiving that is cut short", function()
  it("by a full disk leaves no file and no marker", function()
    local folder = filled(3000)
    local before = export(folder)
    local result = shell(folder, ("trap '' XFSZ; ulimit -f 200; %s archive --keep 0"):format(ESRUN))
    assert.equal(7, result.status)
    assert.truthy(result.err:find("the segment cannot be written", 1, true), result.err)
    assert.same({}, files(folder))
    assert.equal(before, export(folder))
    archived(folder, "--keep", "0")
    assert.equal(before, export(folder, 3000))
  end)

  it("between two of its steps goes on with what it left", function()
    local folder = filled(20)
    local before = export(folder)
    shell(folder, "cp store.db copy.db; mkdir store.db-archive; head -c 5000 /dev/urandom >store.db-archive/archive.part")
    archived(folder, "--store", "copy.db", "--keep", "5")
    shell(folder, "cp copy.db-archive/* store.db-archive") -- its name is there, its row is not
    archived(folder, "--keep", "5")
    assert.equal(1, #files(folder))
    assert.equal(before, export(folder, 20))
    assert.is_true(verify(folder).report.ok)
  end)

  it("never puts a segment in the place of another file", function()
    local folder = filled(20)
    shell(folder, "cp store.db copy.db")
    archived(folder, "--store", "copy.db", "--keep", "5")
    shell(folder, "mkdir store.db-archive; echo precious >store.db-archive/$(ls copy.db-archive)")
    local result = run(folder, { "archive", "--keep", "5" })
    assert.equal(7, result.status)
    assert.truthy(result.err:find("segments never replace one", 1, true))
    assert.equal("precious\n", shell(folder, "cat store.db-archive/*").out)
    assert.equal(1, #files(folder))
    assert.equal("0\n", sql(folder, "SELECT count(*) FROM segments").out)
    assert.is_true(verify(folder).report.ok)
  end)

  it("may have left its unfinished file under a second name: nothing is written through that", function()
    local folder = filled(20)
    for _, link in ipairs { "ln", "ln -s" } do
      shell(folder, "echo precious >precious; mkdir -p store.db-archive")
      shell(folder, link .. " $PWD/precious store.db-archive/archive.part")
      archived(folder, "--keep", link == "ln" and "10" or "5")
      assert.equal("precious\n", support.read(folder .. "/precious"))
    end
    assert.equal(2, #files(folder))
    assert.is_true(verify(folder).report.ok)
  end)

  it("by a kill at any moment leaves every event readable, and can be done again", function()
    local folder = filled(4000)
    local before = export(folder)
    for hundredths = 1, 12 do
      shell(folder, ("timeout -s KILL 0.%02d %s archive --keep 0 --segment-events 300"):format(2 * hundredths, ESRUN))
      assert.is_true(verify(folder).report.ok)
      assert.equal(before, export(folder, 4000))
    end
    archived(folder, "--keep", "0", "--segment-events", "300")
    assert.equal(before, export(folder, 4000))
    assert.is_false(support.exists(folder .. "/store.db-archive/archive.part"))
  end)
end)

describe("archiving beside others", function()
  it("lets them append, and lets one archiver write to a folder at a time", function()
    local folder = filled(4000)
    local before = export(folder)
    local result = shell(folder, ([[
      for i in 1 2 3; do %s archive --keep 0 --segment-events 500 >out.$i 2>err.$i; echo $? >status.$i; done &
      %s archive --keep 100 --segment-events 700 >out.4 2>err.4; echo $? >status.4
      for i in 1 2 3 4 5 6 7 8; do %s exec Account/w$i open --as user:jane || exit 1; done; wait]]):format(ESRUN, ESRUN, ESRUN))
    assert.equal(0, result.status, result.err)
    for number = 1, 4 do
      local status = support.read(folder .. "/status." .. number)
      local why = support.read(folder .. "/err." .. number)
      local refused = why:find("somebody else is archiving", 1, true) or why:find("archived meanwhile", 1, true)
      assert.truthy(status == "0\n" or refused, why)
    end
    assert.is_true(verify(folder).report.ok)
    assert.equal(before, export(folder, 4000))
  end)

  it("lets them append also while it reads what shall leave again", function()
    local esrun = require "esrun"
    local folder = filled(1100)
    archived(folder, "--keep", "0")
    archived(folder, "--restore", "all")
    local es <close>, appended = assert(esrun.open { project = folder }), 0
    local report = assert(es.archive.move { before = 1101, progress = function()
      archive.append(folder, 1)
      appended = appended + 1
      return true
    end })
    assert.same({ 1100, 1 }, { report.event_count, appended })
    assert.is_true(verify(folder).report.ok)
  end)

  it("is refused of a store that may only be read, which itself reads on", function()
    local folder = with_segment()
    local esrun = require "esrun"
    local es <close> = assert(esrun.open { project = folder, read_only = true })
    local function move() return es.archive.move { keep = 0, folder = folder .. "/new" } end
    for _, call in ipairs { move, es.archive.restore, es.archive.compact } do
      assert.equal("read_only", (select(3, call())))
    end
    assert.is_false(support.exists(folder .. "/new"))
    local count = 0
    for event in es:events { limit = 10 } do count = count + (event.data.note and 1 or 0) end
    assert.equal(10, count)
  end)
end)

describe("a backup", function()
  it("takes the segments along, and so does restoring it", function()
    local folder = with_segment()
    local before = export(folder)
    assert.equal(0, run(folder, { "backup", "copy.db" }).status)
    shell(folder, "mkdir gone; mv store.db* gone; mv copy.db* gone; mkdir elsewhere; mv gone/copy.db* elsewhere")
    local restored = run(folder, { "restore", "elsewhere/copy.db" })
    assert.equal("", restored.err)
    assert.equal(before, export(folder))
    assert.same({ 10, 0 }, { verify(folder).report.archived_count, verify(folder).report.unseen_count })
  end)

  it("says what it cannot take along, and leaves nothing when it fails", function()
    local folder, segment = with_segment()
    change_byte(segment, 30)
    assert.equal(6, run(folder, { "backup", "copy.db" }).status)
    assert.equal("", shell(folder, "ls -d copy.db*").out)
    os.remove(segment)
    local result = run(folder, { "backup", "copy.db" })
    assert.equal(0, result.status)
    assert.truthy(result.err:find("the segments of 10 archived events are not at hand", 1, true))
    result = run(folder, { "--store", "back.db", "restore", "copy.db" })
    assert.equal(0, result.status)
    assert.truthy(result.err:find("the segments of 10 archived events are not beside the backup", 1, true))
  end)

  it("that another one of the same name forestalls takes nothing from it", function()
    local folder = with_segment()
    for number = 1, 6 do
      local backup = ("%s backup copy%d.db"):format(ESRUN, number)
      shell(folder, ("%s & %s & wait"):format(backup, backup))
      local copy = verify(folder, "--store", ("copy%d.db"):format(number))
      assert.same({ true, 0 }, { copy.report.ok, copy.report.unseen_count })
      assert.equal(1, #files(folder, ("copy%d.db-archive"):format(number)))
    end
  end)
end)

describe("a store of the layout before archives", function()
  local OLD = [[DROP TABLE segments; DROP TABLE snapshots; DROP TRIGGER events_no_update;]]
    .. [[ CREATE TRIGGER events_no_update BEFORE UPDATE ON events]]
    .. [[ BEGIN SELECT raise(ABORT, 'events are append-only: no UPDATE'); END; PRAGMA user_version = 1]]

  it("is read, verified and restored as it is, and brought up to date by migrate", function()
    local folder = filled(12)
    local before = export(folder)
    assert.equal("", sql(folder, OLD).err)
    local result = verify(folder)
    assert.equal(0, result.status, result.err)
    assert.equal(before, export(folder))
    assert.equal("no segments: nothing was archived\n", run(folder, { "archive", "--list" }).out)
    assert.equal(1, run(folder, { "migrate", "--status" }).status)
    shell(folder, "cp store.db old.db")
    assert.equal(0, run(folder, { "--store", "back.db", "restore", "old.db" }).status)
    assert.equal(0, run(folder, { "migrate" }).status)
    archived(folder, "--keep", "2")
    assert.equal(before, export(folder, 12))
    assert.is_true(verify(folder).report.ok)
  end)
end)
