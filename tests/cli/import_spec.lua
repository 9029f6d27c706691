-- import_spec: exports, JSON lines and CSV go in; a package's real history too; bad input leaves nothing of its group.
local support = require "tests.cli.support"

local run, shell, write = support.run, support.shell, support.write

local PACKAGE = [[
local es = require "es"

local Package = es.aggregate "Package"

Package.events = {
  VersionReleased = { version = "string", distribution = "string", urgency = "string?", changes = "integer" },
}

function Package.initial() return { releases = 0 } end

Package.apply = {
  VersionReleased = function(package, e) package.releases, package.latest = package.releases + 1, e.data.version end,
}

return Package
]]

local MAP = [[
return function(row, ctx)
  if row.kind == "comment" then return nil end
  return {
    aggregate_type = "Account", aggregate_id = row.account, event_type = "MoneyMoved",
    data = { cents = math.tointeger(tonumber(row.cents)) }, id = row.id, occurred_at = row.at,
    actor_id = row.who ~= "" and row.who or nil,
  }
end
]]

local function project(files) return support.project(files) end

-- A project with three events: two of an account and one refusal.
local function filled()
  local folder = project()
  run(folder, { "exec", "Account/1", "open", "--as", "user:jane" })
  run(folder, { "exec", "Account/1", "move", "cents=500", "note=Zoë\n\"x\"", "--as", "user:jane" })
  run(folder, { "exec", "Account/1", "move", "cents=-900", "--as", "user:jane" })
  return folder
end

local function head(folder, store)
  local words = { "verify", "--output", "json" }
  if store then table.insert(words, "--store") table.insert(words, store) end
  return run(folder, words).out:match '"head_hash":"(%x+)"'
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

teardown(support.clean)

describe("import of an export", function()
  it("makes an empty store the same store, down to the head hash", function() -- covers C2, C6
    local folder = filled()
    write(folder .. "/all.jsonl", run(folder, { "export" }).out)
    local result = run(folder, { "--store", "copy.db", "import", "all.jsonl" })
    assert.equal("", result.err)
    assert.truthy(result.out:find("^3 events imported, 0 were there already"))
    assert.equal(head(folder), head(folder, "copy.db"))
    assert.equal(run(folder, { "export" }).out, run(folder, { "--store", "copy.db", "export" }).out)
  end)

  it("holds every field of an event, so that a line is the whole event", function() -- covers E12
    local line = lines_of(run(filled(), { "export" }).out)[2]
    local event = assert(require "esrun".json.decode(line))
    local names = {}
    for name in pairs(event) do names[#names + 1] = name end
    table.sort(names)
    assert.same({ "actor_id", "aggregate_id", "aggregate_type", "causation_id", "correlation_id", "data", "event_id",
      "event_type", "hash", "metadata", "occurred_at", "position", "previous_hash", "recorded_at", "schema_version",
      "tenant_id", "version" }, names)
    assert.equal('{"cents":500,"note":"Zoë\\n\\"x\\""}', event.data)
  end)

  it("reads standard input and skips what is there", function() -- covers E1
    local folder = filled()
    local text = run(folder, { "export" }).out
    local two = table.concat(lines_of(text), "\n", 1, 2) .. "\n"
    run(folder, { "--store", "copy.db", "import", "-" }, two)
    local result = run(folder, { "--store", "copy.db", "import", "-", "--output", "json" }, text)
    assert.equal('{"ignored_count":0,"imported_count":1,"line_count":3,"skipped_count":2}\n', result.out)
    assert.equal(head(folder), head(folder, "copy.db"))
  end)

  it("names line, position and reason, keeps nothing of that group, and goes on once mended", function()
    local folder = filled()
    local lines = lines_of(run(folder, { "export" }).out)
    local bad = lines[3]:gsub('"hash":"%x%x%x%x', '"hash":"0000')
    write(folder .. "/bad.jsonl", lines[1] .. "\n" .. lines[2] .. "\n" .. bad .. "\n")
    local result = run(folder, { "--store", "copy.db", "import", "bad.jsonl", "--group", "2" })
    assert.equal(6, result.status)
    assert.truthy(result.err:find("bad.jsonl: line 3, position 3: the hash is wrong", 1, true))
    assert.truthy(result.err:find("2 events before it are stored", 1, true))
    write(folder .. "/good.jsonl", table.concat(lines, "\n") .. "\n")
    assert.equal(0, run(folder, { "--store", "copy.db", "import", "good.jsonl" }).status)
    assert.equal(head(folder), head(folder, "copy.db"))
  end)

  it("refuses a store with other events, unless told to append", function()
    local folder = filled()
    write(folder .. "/all.jsonl", run(folder, { "export" }).out)
    run(folder, { "--store", "other.db", "exec", "Account/2", "open", "--as", "user:bob" })
    local refused = run(folder, { "--store", "other.db", "import", "all.jsonl" })
    assert.equal(3, refused.status)
    assert.truthy(refused.err:find("line 1, position 1: this store has another event", 1, true))
    local words = { "--store", "other.db", "import", "all.jsonl", "--append", "--name", "old" }
    assert.truthy(run(folder, words).out:find("^3 events imported"))
    assert.truthy(run(folder, words).out:find("^0 events imported, 3 were there already"))
    local log = lines_of(run(folder, { "--store", "other.db", "log", "--output", "jsonl" }).out)
    assert.truthy(log[3]:find('"import":{"hash":"%x+","position":2,"recorded_at":"[^"]+","source":"old"}'))
    assert.equal(0, run(folder, { "--store", "other.db", "verify" }).status)
  end)

  it("keeps appended metadata canonical beside every other key", function()
    local folder = filled()
    local store = assert(require "esrun".open { project = folder })
    assert(store:append { { aggregate_type = "Account", aggregate_id = "2", event_type = "AccountOpened", data = {},
      metadata = { ["$a"] = 1, a = 2, ["!x"] = 1 } } })
    store:close()
    write(folder .. "/all.jsonl", run(folder, { "export" }).out)
    assert.equal(0, run(folder, { "--store", "other.db", "import", "all.jsonl", "--append" }).status)
    local text = run(folder, { "--store", "other.db", "export" }).out
    assert.matches('"metadata":"{"!x":1,"%$":{"import":{[^{}]+}},"%$a":1,"a":2}"', (text:gsub("\\", "")))
    assert.equal("", run(folder, { "--store", "third.db", "import", "-" }, text).err)
  end)

  it("refuses a file that is not there, and a folder", function()
    local folder = filled()
    assert.equal(1, run(folder, { "import", "nothing.jsonl" }).status)
    assert.equal(1, run(folder, { "import", "aggregates" }).status)
  end)
end)

describe("import through a mapping", function()
  local function import(folder, file, text, ...)
    write(folder .. "/map.lua", MAP)
    write(folder .. "/" .. file, text)
    return run(folder, { "import", file, "--map", "map.lua", "--name", "bank", ... })
  end

  local CSV = "id,account,cents,at,who\r\nm1,7,100,2024-01-15T10:30:00Z,\r\nm2,7,-30,2024-01-16T10:30:00Z,user:jane\r\n"

  it("makes CSV rows events by import:NAME", function()
    local folder = project()
    assert.truthy(import(folder, "bank.csv", CSV).out:find("^2 events imported"))
    local log = run(folder, { "log" }).out
    assert.truthy(log:find("MoneyMoved +Account/7@1 +import:bank\n"))
    assert.truthy(log:find("MoneyMoved +Account/7@2 +user:jane\n"))
    assert.truthy(run(folder, { "show", "Account/7" }).out:find('"cents": 70', 1, true))
    assert.truthy(run(folder, { "log", "--output", "jsonl" }).out:find('"occurred_at":"2024-01-15T10:30:00.000000Z"', 1, true))
  end)

  it("skips rows that are there already, by their ids", function() -- covers E1
    local folder = project()
    import(folder, "bank.csv", CSV)
    local result = import(folder, "bank.csv", CSV .. "m3,8,5,2024-01-17T10:30:00Z,\n")
    assert.truthy(result.out:find("^1 event imported, 2 were there already"))
  end)

  it("refuses a row that was imported with other content", function()
    local folder = project()
    import(folder, "bank.csv", CSV)
    local result = import(folder, "bank.csv", (CSV:gsub("%-30", "-31")))
    assert.equal(3, result.status)
    assert.truthy(result.err:find("bank.csv: line 3: event id [%x-]+ is stored already, with other content"))
  end)

  it("makes JSON lines events and passes over what the mapping calls none", function()
    local result = import(project(), "bank.jsonl", '{"account":"7","cents":1}\n{"kind":"comment"}\n{"account":"8","cents":2}\n')
    assert.truthy(result.out:find("^2 events imported, 0 were there already, 1 row is no event, 3 lines"))
  end)

  it("stores a row that comes twice once, and refuses one that comes with other content", function() -- covers E1
    local twice = import(project(), "bank.csv", CSV .. CSV:match "\n([^\n]+\n)")
    assert.truthy(twice.out:find("^2 events imported, 1 was there already"))
    local folder = project()
    local other = import(folder, "bank.csv", CSV .. "m2,7,-31,2024-01-16T10:30:00Z,user:jane\n")
    assert.equal(3, other.status)
    assert.truthy(other.err:find("bank.csv: line 4: event id [%x-]+ comes twice in the input"))
    assert.equal("", run(folder, { "log" }).out)
  end)

  it("takes a list of events for a row, and its number for a key", function()
    local folder = project()
    write(folder .. "/list.lua", [[
      local function moved(cents)
        return { aggregate_type = "Account", aggregate_id = "7", event_type = "MoneyMoved", data = { cents = cents } }
      end
      return function(row, ctx) return { moved(row.cents), moved(ctx.row * 1000 + ctx.line) } end]])
    local words = { "import", "-", "--format", "jsonl", "--map", "list.lua", "--name", "bank" }
    local text = '{"cents":1}\n\n{"cents":2}\n'
    assert.truthy(run(folder, words, text).out:find("^4 events imported"))
    assert.truthy(run(folder, words, text).out:find("^0 events imported, 4 were there already"))
    local log = run(folder, { "log", "--output", "jsonl" }).out
    local correlations = {}
    for id in log:gmatch '"correlation_id":"([^"]+)"' do correlations[#correlations + 1] = id end
    assert.equal(correlations[1], correlations[2])
    assert.not_equal(correlations[2], correlations[3])
    assert.truthy(log:find('"data":{"cents":2003}', 1, true))
  end)

  it("keeps the ids of a row's later events apart from those of other rows", function()
    local folder = project()
    write(folder .. "/list.lua", [[
      return function(row)
        local events = {}
        for i = 1, row.count do
          events[i] = { aggregate_type = "Account", aggregate_id = "7", event_type = "MoneyMoved", data = { cents = i },
            id = row.id }
        end
        return events
      end]])
    local words = { "import", "-", "--format", "jsonl", "--map", "list.lua", "--name", "bank" }
    local result = run(folder, words, '{"id":"1001","count":2}\n{"id":"1001#2","count":1}\n')
    assert.equal("", result.err)
    assert.matches("^3 events imported", result.out)
  end)

  it("imports again in about the time of the first import, however many events a group has", function()
    local folder = project()
    local store = assert(require "esrun".open { project = folder })
    local rows = {}
    for i = 1, 1000 do rows[i] = '{"account":"' .. i .. '"}\n' end
    local function import_rows()
      local begun = os.clock()
      local handle = assert(store:import { form = "jsonl", name = "bank", mapping = [[
        return function(row)
          local events = {}
          for i = 1, 30 do
            events[i] = { aggregate_type = "Account", aggregate_id = row.account, event_type = "MoneyMoved",
              data = { cents = i } }
          end
          return events
        end]] })
      assert(handle:feed(table.concat(rows)))
      assert(handle:finish())
      local report = handle:report()
      handle:close()
      return report, os.clock() - begun
    end
    local first, once = import_rows()
    local second, again = import_rows()
    store:close()
    assert.equal(30000, first.imported_count)
    assert.equal(30000, second.skipped_count)
    assert.is_true(again < 5 * once, ("%.2f s, after %.2f s"):format(again, once))
  end)

  it("checks what the mapping answers against the modules, and keeps nothing of that group", function()
    local folder = project()
    local result = import(folder, "bank.jsonl", '{"account":"7","cents":1}\n{"account":"7","cents":"x"}\n')
    assert.not_equal(0, result.status)
    assert.truthy(result.err:find("bank.jsonl: line 2: ", 1, true))
    assert.truthy(result.err:find("cents", 1, true))
    assert.equal("", run(folder, { "log" }).out)
  end)

  it("says what is wrong with a mapping's answer", function()
    local folder = project()
    local good = 'aggregate_type = "Account", aggregate_id = "7", event_type = "MoneyMoved", data = { cents = 1 }'
    for answer, problem in pairs {
      ["7"] = "a table is expected, not a number",
      ["{ " .. good .. ", actor = \"user:jane\" }"] = "unknown member 'actor'",
      ["{ " .. good .. ", [2] = 1 }"] = "unknown member '2'",
      ["{ " .. good .. ", id = 1 }"] = "id must be a string, not a number",
      ["{ " .. good .. ", actor_id = {} }"] = "actor_id must be a string, not a table",
      ["{ aggregate_type = \"Account\", aggregate_id = \"7\", event_type = \"MoneyMoved\" }"] = "data is missing",
      ["{ " .. good .. ", occurred_at = \"yesterday\" }"] = "occurred_at is not a time",
      ["{ nil, { " .. good .. " } }"] = "a list whose first entry is nil",
      ["{ { " .. good .. " }, nil, { " .. good .. " } }"] = "a list with a hole before its entry 3",
      ["{ { " .. good .. " }, more = 1 }"] = "unknown member 'more' beside a list",
    } do
      for line = 1, 2 do -- by line 2 the event's type has been met
        write(folder .. "/wrong.lua", ("return function(_, ctx) if ctx.row < %d then return { %s } end return %s end"):format(
          line, good, answer))
        local result = run(folder, { "import", "-", "--format", "jsonl", "--map", "wrong.lua", "--name", "bank" }, "{}\n{}\n")
        assert.equal(8, result.status)
        assert.matches(("line %d: the mapping's answer: %s"):format(line, problem), result.err, 1, true)
      end
    end
    assert.equal("", run(folder, { "log" }).out)
  end)

  it("takes an event type that it has met for that aggregate's only", function()
    local folder = project()
    write(folder .. "/other.lua", [[return function(row)
      return { aggregate_type = row.type, aggregate_id = "7", event_type = "MoneyMoved", data = { cents = 1 } } end]])
    local result = run(folder, { "import", "-", "--format", "jsonl", "--map", "other.lua", "--name", "bank" },
      '{"type":"Account"}\n{"type":"Acount"}\n')
    assert.equal(2, result.status)
    assert.matches("line 2: no module declares an aggregate Acount", result.err, 1, true)
    assert.equal("", run(folder, { "log" }).out)
  end)

  it("stores the answer that it has checked, though the mapping would give another the next time", function()
    local folder = project()
    write(folder .. "/moody.lua", [[return function()
      local asked = 0
      local function index(_, name)
        if name ~= "data" then return nil end
        asked = asked + 1
        return { cents = asked == 1 and 1 or "x" }
      end
      local plain = { aggregate_type = "Account", aggregate_id = "7", event_type = "MoneyMoved" }
      return setmetatable(plain, { __index = index })
    end]])
    local result = run(folder, { "import", "-", "--format", "jsonl", "--map", "moody.lua", "--name", "bank" }, "{}\n{}\n")
    assert.matches("2 events imported", result.out, 1, true)
    assert.matches('"data":{"cents":1}', run(folder, { "log", "--output", "jsonl" }).out, 1, true)
  end)

  it("ends a group at 8 MiB of input too", function()
    local folder = project()
    write(folder .. "/long.lua", [[return function(row)
      return { aggregate_type = "Account", aggregate_id = "7", event_type = "MoneyMoved", data = { cents = #row.text } } end]])
    local long = '{"text":"' .. ("x"):rep(1024 * 1024) .. '"}\n'
    write(folder .. "/long.jsonl", long:rep(10) .. "{}\n")
    local result = run(folder, { "import", "long.jsonl", "--map", "long.lua", "--name", "bank" })
    assert.equal(8, result.status)
    assert.matches("8 events before it are stored", result.err, 1, true)
  end)

  it("runs the mapping as domain code, without a clock", function()
    local folder = project()
    write(folder .. "/clock.lua", "return function(row) return { aggregate_type = os.time() } end")
    local result = run(folder, { "import", "-", "--format", "jsonl", "--map", "clock.lua", "--name", "bank" }, "{}\n")
    assert.equal(8, result.status)
    assert.truthy(result.err:find("line 1: clock.lua:1: ", 1, true))
  end)

  it("names the line of what is no CSV", function()
    local result = import(project(), "bank.csv", "id,account\n1,2\n3,\"4\n")
    assert.equal(2, result.status)
    assert.truthy(result.err:find("bank.csv: line 3: a quoted field has no closing quote", 1, true))
    local empty = import(project(), "bank.csv", "")
    assert.equal(2, empty.status)
    assert.truthy(empty.err:find("bank.csv: line 1: there is no heading", 1, true))
    assert.equal("", empty.out)
  end)

  it("needs a name, and refuses one with '@'", function()
    local folder = project()
    write(folder .. "/map.lua", MAP)
    assert.equal(2, run(folder, { "import", "-", "--format", "csv", "--map", "map.lua" }).status)
    assert.equal(2, run(folder, { "import", "-", "--format", "csv", "--map", "map.lua", "--name", "a@b" }).status)
    assert.equal(2, run(folder, { "import", "-", "--format", "csv" }).status)
  end)

  it("belongs to the tenant that is told", function()
    local folder = project()
    import(folder, "bank.csv", CSV, "--tenant", "acme")
    assert.equal(2, #lines_of(run(folder, { "log", "--tenant", "acme" }).out))
  end)
end)

-- The changelog of an installed package: a real history, with real maintainers, whose ids hold no address.
describe("the history of a Debian package", function()
  local CHANGELOG = [[
local names = {}

local function slug(maintainer)
  return (maintainer:match "^(.-)%s*<" or maintainer):lower():gsub("[^%w]+", "-")
end

return function(row)
  return {
    aggregate_type = "Package", aggregate_id = row.package, event_type = "VersionReleased",
    data = { version = row.version, distribution = row.distribution, urgency = row.urgency, changes = row.changes },
    actor_id = "user:" .. slug(row.maintainer), id = row.package .. "/" .. row.version,
  }
end
]]

  local function find_changelog()
    local pipe = assert(io.popen("ls -S /usr/share/doc/*/changelog.Debian.gz /usr/share/doc/*/changelog.gz 2>/dev/null"))
    local paths = pipe:read "a"
    pipe:close()
    for path in paths:gmatch "[^\n]+" do
      local first = assert(io.popen("zcat " .. support.quote(path)))
      local line = first:read "l" or ""
      first:close()
      if line:find "^%S+ %([^)]+%) [^;]+; urgency=" then return path end
    end
  end

  -- Newest first in the file; a history begins with the oldest.
  local function read_changelog(path)
    local entries, entry = {}, nil
    local pipe = assert(io.popen("zcat " .. support.quote(path)))
    for line in pipe:lines() do
      local package, version, distribution, urgency = line:match "^(%S+) %(([^)]+)%) ([^;]+); urgency=(%w+)"
      if package then
        entry = { package = package, version = version, distribution = distribution, urgency = urgency, changes = 0 }
      elseif entry and line:find "^  +%*" then
        entry.changes = entry.changes + 1
      elseif entry and line:find "^ %-%- " then
        entry.maintainer = line:match "^ %-%- (.-)  " or line:match "^ %-%- (.*)"
        table.insert(entries, 1, entry)
        entry = nil
      end
    end
    pipe:close()
    return entries
  end

  local function count(path, pattern)
    local pipe = assert(io.popen(("zcat %s | grep -cE %s"):format(support.quote(path), support.quote(pattern))))
    local number = math.tointeger(tonumber(pipe:read "l"))
    pipe:close()
    return number
  end

  it("has as many events and maintainers as an independent count finds", function()
    local path = assert(find_changelog(), "no changelog of a Debian package is installed")
    local folder = project { ["aggregates/package.lua"] = PACKAGE }
    local encode = require "esrun".json.encode
    local rows = {}
    for position, entry in ipairs(read_changelog(path)) do rows[position] = assert(encode(entry)) end
    write(folder .. "/changelog.jsonl", table.concat(rows, "\n") .. "\n")
    write(folder .. "/changelog.lua", CHANGELOG)
    local words = { "import", "changelog.jsonl", "--map", "changelog.lua", "--name", "debian", "--output", "json" }
    local result = run(folder, words)
    assert.equal("", result.err)
    local releases = count(path, "^ -- ")
    assert.is_true(releases > 10)
    local log = run(folder, { "log", "--output", "jsonl" }).out
    assert.equal(releases, #lines_of(log))
    assert.falsy(log:find('"actor_id":"[^"]*@'))
    local seen, actors = {}, 0
    for actor in log:gmatch '"actor_id":"user:([^"]+)"' do
      if not seen[actor] then seen[actor], actors = true, actors + 1 end
    end
    local pipe = assert(io.popen("zcat " .. support.quote(path) .. [=[ | sed -n 's/^ -- *\([^<]*[^< ]\) *<.*/\1/p' | ]=] ..
      [=[tr '[:upper:]' '[:lower:]' | LC_ALL=C sed 's/[^a-z0-9][^a-z0-9]*/-/g' | sort -u | wc -l]=]))
    assert.equal(math.tointeger(tonumber(pipe:read "l")), actors)
    pipe:close()
    assert.truthy(run(folder, words).out:find('"imported_count":0,', 1, true))
    assert.equal(0, run(folder, { "verify" }).status)
  end)
end)

describe("an export that cannot be written", function()
  it("leaves no file that looks whole", function()
    local folder = filled()
    local size = ("x"):rep(3000)
    for _ = 1, 20 do run(folder, { "exec", "Account/1", "move", "cents=1", "note=" .. size, "--as", "user:jane" }) end
    -- A limit on the size of files stands for the disk that is full.
    local result = shell(folder, "trap '' XFSZ; ulimit -f 16; " .. support.quote(support.bin) .. " export --out all.jsonl")
    assert.not_equal(0, result.status)
    assert.truthy(result.err:find("esrun: export: ", 1, true))
    assert.is_false(support.exists(folder .. "/all.jsonl"))
    assert.is_false(support.exists(folder .. "/all.jsonl.part"))
  end)
end)
