-- esrun log, show, trace, replay: looking at what is stored.
local support = dofile "tests/cli/support.lua"
local cjson = require "cjson"
local esrun = require "esrun"

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do lines[#lines + 1] = line end
  return lines
end

describe("with a store of some events, esrun", function()
  local folder, events

  local function run(...) return support.run(folder, { ... }) end

  local function log(...)
    local result = run("log", "--output", "jsonl", ...)
    assert.equal("", result.err)
    assert.equal(0, result.status)
    local out = {}
    for position, line in ipairs(lines_of(result.out)) do out[position] = cjson.decode(line) end
    return out
  end

  local function positions(...)
    local out = {}
    for index, event in ipairs(log(...)) do out[index] = event.position end
    return out
  end

  -- 1, 2: jane opens and moves; 3: moved by a teller; 4: a note by nobody; 5: acme's; 6: another account of
  -- jane's; 7: a note by anonymous.
  lazy_setup(function()
    folder = support.project { ["aggregates/note.lua"] = [[
      local es, rule = require "es", require "es.rule"
      local Note = es.aggregate "Note"
      Note.events = { NoteTaken = {} }
      Note.commands = {
        take = { allow = rule.anyone, decide = function() return es.event("NoteTaken", {}) end },
      }
      return Note
    ]] }
    local function exec(...) assert.equal(0, run("exec", ...).status) end
    exec("Account/1", "open", "--as", "user:jane")
    exec("Account/1", "move", "cents=100", "--as", "user:jane")
    exec("Account/1", "move", "cents=-30", "--as", "user:tom", "--role", "teller")
    exec("Note/1", "take")
    exec("Account/1", "open", "--as", "user:jane", "--tenant", "acme")
    exec("Account/2", "open", "--as", "user:jane")
    exec("Note/1", "take", "--as", "anonymous")
    events = log()
  end)
  lazy_teardown(support.clean)

  describe("log", function()
    it("prints a line an event: position, time, type, stream and version, actor", function()
      local lines = lines_of(run("log").out)
      assert.equal(7, #lines)
      assert.matches("^ +2  [%d%-T:.]+Z  MoneyMoved +Account/1@2  user:jane$", lines[2])
      assert.matches("none$", lines[4])
      assert.matches("acme:Account/1@1", lines[5])
    end)

    -- covers E15
    it("tells nobody from anonymous", function()
      assert.same({ 4 }, positions("--actor", "none"))
      assert.same({ 7 }, positions("--actor", "anonymous"))
      assert.same({ 1, 2, 5, 6 }, positions("--actor", "user:jane"))
    end)

    it("filters by type, aggregate, tenant, correlation, position and count", function() -- covers C17 (index for queries)
      assert.same({ 2, 3 }, positions("--type", "MoneyMoved"))
      assert.same({ 1, 2, 3, 5, 6 }, positions("--aggregate", "Account"))
      assert.same({ 6 }, positions("--aggregate", "Account/2"))
      assert.same({ 5 }, positions("--tenant", "acme"))
      assert.same({ 1, 2, 3, 4, 6, 7 }, positions("--tenant", "none"))
      assert.same({ 3 }, positions("--correlation", events[3].correlation_id:upper()))
      assert.same({}, positions("--causation", events[3].event_id))
      assert.same({ 1, 2, 3, 4, 5, 6, 7 }, positions("--causation", "none"))
      assert.same({ 5, 6, 7 }, positions("--after", "4"))
      assert.same({ 1, 2 }, positions("--limit", "2"))
      assert.same({}, positions("--limit", "0"))
      assert.same({ 7, 6 }, positions("--reverse", "--limit", "2"))
      assert.same({ 3, 2, 1 }, positions("--reverse", "--after", "4"))
      assert.same({ 2 }, positions("--actor", "user:jane", "--type", "MoneyMoved", "--aggregate", "Account/1"))
    end)

    it("filters by time, from inclusive, to exclusive", function()
      assert.same({ 3, 4, 5, 6, 7 }, positions("--from", events[3].recorded_at))
      assert.same({ 1, 2 }, positions("--to", events[3].recorded_at))
      assert.same({}, positions("--to", "2001-01-01"))
    end)

    it("prints one array, also when nothing is there", function()
      assert.equal(7, #cjson.decode(run("log", "--output", "json").out))
      assert.equal("[]\n", run("log", "--actor", "user:nobody", "--output", "json").out)
      assert.equal("", run("log", "--actor", "user:nobody", "--output", "jsonl").out)
      assert.equal("", run("log", "--actor", "user:nobody").out)
    end)

    it("shows data and metadata nested, with what is absent as null", function()
      assert.equal(100, events[2].data.cents)
      assert.equal("local", events[2].metadata.auth_method)
      assert.equal(cjson.null, events[4].actor_id)
      assert.equal(cjson.null, events[1].causation_id)
      assert.equal("GENESIS", events[1].previous_hash)
      assert.equal(events[1].hash, events[2].previous_hash)
    end)

    it("refuses what makes no sense (2)", function()
      for _, words in ipairs {
        { "--from", "yesterday" }, { "--limit", "-1" }, { "--limit", "x" }, { "--after", "1.5" }, { "--correlation", "x" },
        { "--causation", "x" }, { "--aggregate", "/1" }, { "--actor" }, { "--frm", "x" }, { "extra" },
        { "--follow", "--reverse" }, { "--follow", "--output", "json" },
      } do
        local result = run("log", table.unpack(words))
        assert.equal(2, result.status, table.concat(words, " "))
        assert.equal("", result.out)
        assert.matches("^esrun: log: [^\n]+\n", result.err)
      end
      assert.matches("did you mean '%-%-from'", run("log", "--frm", "x").err)
    end)
  end)

  describe("log --follow", function()
    it("prints what is there, then what comes, and ends with an interrupt as if done", function()
      local own = support.project()
      local quoted = support.quote(support.bin)
      assert.equal(0, support.run(own, { "exec", "Account/1", "open", "--as", "user:jane" }).status)
      local result = support.shell(own, ([[
        mkfifo lines
        %s log --follow --output jsonl >lines &
        follower=$!
        exec 3<lines
        read -r first <&3
        %s exec Account/1 move cents=1 --as user:jane >/dev/null
        read -r second <&3
        %s exec Account/2 open --as user:jane >/dev/null
        read -r third <&3
        kill -INT $follower
        wait $follower
        echo "$?"
        echo "$first"; echo "$second"; echo "$third"
        cat <&3
      ]]):format(quoted, quoted, quoted))
      local lines = lines_of(result.out)
      assert.equal("0", lines[1])
      assert.same({ 1, 2, 3 }, {
        cjson.decode(lines[2]).position, cjson.decode(lines[3]).position, cjson.decode(lines[4]).position,
      })
      assert.equal(4, #lines)
    end)

    it("ends when its reader does", function()
      local result = support.shell(folder, ("%s log --follow | head -n 1; echo done"):format(support.quote(support.bin)))
      assert.matches("done\n$", result.out)
      assert.equal("", result.err)
    end)
  end)

  describe("show", function()
    it("prints the state, now and at a version or time", function()
      assert.matches('^Account/1 at version 3, last changed at [%d%-T:.]+Z\n{\n  "cents": 70,\n  "owner": "user:jane"\n}\n$',
        run("show", "Account/1").out)
      assert.matches('"cents": 100', run("show", "Account/1", "--at", "2").out)
      assert.matches('"cents": 100', run("show", "Account/1", "--at", events[2].recorded_at).out)
      assert.matches('"cents": 70', run("show", "Account/1", "--at", "2100-01-01").out)
    end)

    it("prints one object", function()
      local shown = cjson.decode(run("show", "Account/1", "--at", "2", "--output", "json").out)
      assert.equal("Account", shown.aggregate_type)
      assert.equal("1", shown.aggregate_id)
      assert.equal(2, shown.version)
      assert.equal(100, shown.state.cents)
      assert.matches("^%x+$", shown.state_hash)
    end)

    -- covers E57
    it("does not find what is not there, not yet there, or another tenant's (5)", function()
      for _, words in ipairs {
        { "Account/9" }, { "Account/1", "--at", "2001-01-01" }, { "Account/2", "--tenant", "acme" },
      } do
        local result = run("show", table.unpack(words))
        assert.equal(5, result.status)
        assert.equal("", result.out)
        assert.equal("esrun: show: Account not found\n", result.err)
      end
    end)

    -- covers E55
    it("looks as operator, or as the one named, whom the view rule may refuse (9)", function()
      assert.equal(0, run("show", "Account/1").status)
      assert.equal(0, run("show", "Account/1", "--as", "user:jane").status)
      local result = run("show", "Account/1", "--as", "user:bob")
      assert.equal(9, result.status)
      assert.equal("esrun: show: That is not your account\n", result.err)
    end)

    it("refuses what makes no sense (2)", function()
      local senseless = { {}, { "Account" }, { "Account/1", "--at", "soon" }, { "Account/1", "--at", "0" }, { "Acount/1" } }
      for _, words in ipairs(senseless) do
        local result = run("show", table.unpack(words))
        assert.equal(2, result.status, table.concat(words, " "))
        assert.equal("", result.out)
      end
    end)
  end)

  describe("replay", function()
    it("folds every stream, and compares when asked", function()
      assert.equal("7 events of 4 streams replayed\n", run("replay").out)
      assert.equal("7 events of 4 streams replayed twice, with the same result\n", run("replay", "--check").out)
      assert.equal("2 events of 1 stream replayed\n", run("replay", "--aggregate", "Note").out)
      local report = cjson.decode(run("replay", "--check", "--output", "json").out)
      assert.same({ stream_count = 4, event_count = 7, check = true }, report)
    end)

    it("names the stream whose fold fails (8)", function()
      local own = support.project()
      assert.equal(0, support.run(own, { "exec", "Account/1", "open", "--as", "user:jane" }).status)
      support.write(own .. "/aggregates/account.lua", (support.ACCOUNT:gsub("account.owner = e.actor_id", "error('no')")))
      local result = support.run(own, { "replay" })
      assert.equal(8, result.status)
      assert.equal("", result.out)
      assert.matches("Account/1", result.err, 1, true)
      assert.matches("aggregates/account.lua:%d+:", result.err)
    end)
  end)
end)

describe("esrun trace", function()
  local folder, ids

  local function run(...) return support.run(folder, { ... }) end

  local function exec(cause, ...)
    local words = { "exec", ... }
    if cause then
      table.move({ "--causation", cause.event_id, "--correlation", cause.correlation_id }, 1, 4, #words + 1, words)
    end
    words[#words + 1] = "--output"
    words[#words + 1] = "json"
    local result = support.run(folder, words)
    assert.equal("", result.err)
    return cjson.decode(result.out).events[1]
  end

  lazy_setup(function()
    folder = support.project()
    local first = exec(nil, "Account/1", "open", "--as", "user:jane")
    local second = exec(first, "Account/1", "move", "cents=1", "--as", "user:jane")
    local third = exec(second, "Account/2", "open", "--as", "system:saver")
    exec(first, "Account/3", "open", "--as", "webhook:bank")
    exec(nil, "Account/4", "open", "--as", "user:other")
    ids = { correlation = first.correlation_id, third = third.event_id }
  end)
  lazy_teardown(support.clean)

  -- covers E51, E52, E53
  it("draws each event below its cause", function()
    local result = run("trace", ids.correlation)
    assert.equal("", result.err)
    local shape = result.out:gsub(" at [%d%-T:.]+Z", "")
    assert.equal([[
AccountOpened by user:jane
├─ MoneyMoved by user:jane
│  └─ AccountOpened by system:saver
└─ AccountOpened by webhook:bank
]], shape)
    assert.matches(" at %d%d%d%d%-%d%d%-%d%dT[%d:.]+Z\n", result.out)
  end)

  it("finds the correlation of any event in it", function()
    assert.equal(run("trace", ids.correlation).out, run("trace", ids.third).out)
  end)

  it("lists them in order of position", function()
    local shape = run("trace", ids.correlation, "--flat").out:gsub(" at [%d%-T:.]+Z", "")
    assert.equal("AccountOpened by user:jane\nMoneyMoved by user:jane\nAccountOpened by system:saver\n"
      .. "AccountOpened by webhook:bank\n", shape)
    local events = cjson.decode(run("trace", ids.correlation, "--output", "json").out)
    assert.equal(4, #events)
    assert.equal(events[1].event_id, events[2].causation_id)
    assert.equal(4, #lines_of(run("trace", ids.correlation, "--output", "jsonl").out))
  end)

  it("keeps the lines of a long chain short, with the depth as a number", function()
    local chain = support.project()
    local es <close> = assert(esrun.open { project = chain })
    local events, id = {}, "01890a5d-ac96-774b-bcce-b3020000%04x"
    for position = 1, 300 do
      events[position] = {
        aggregate_type = "Account", aggregate_id = "1", event_type = "MoneyMoved", data = { cents = 1 },
        event_id = id:format(position), correlation_id = id:format(0), causation_id = position > 1 and id:format(position - 1)
          or nil,
      }
    end
    local scope <close> = es.context.enter { operator_scope = true }
    assert(es:append(events))
    local lines = lines_of(support.run(chain, { "trace", id:format(0) }).out)
    assert.equal(300, #lines)
    assert.matches("^" .. ("   "):rep(31) .. "└─ MoneyMoved by none", lines[33])
    assert.matches("^" .. ("   "):rep(32) .. "33: MoneyMoved by none", lines[34])
    assert.matches("^" .. ("   "):rep(32) .. "299: MoneyMoved by none", lines[300])
    assert.is_true(#lines[300] < 160)
    scope:leave()
  end)

  it("does not find what is not there (5), and refuses what is no id (2)", function()
    local result = run("trace", "01890a5d-ac96-774b-bcce-b302099a8057")
    assert.equal(5, result.status)
    assert.equal("", result.out)
    assert.equal(2, run("trace", "Account/1").status)
    assert.equal(2, run("trace").status)
  end)

  -- The tree must hold its events; what is listed need not. The smaller store is larger than the caches already.
  it("lists ten times as many events in the same memory", function()
    local large = support.project()
    local id, batch = "01890a5d-ac96-774b-bcce-b302099a8057", {}
    for position = 1, 1000 do
      batch[position] = { aggregate_type = "Account", aggregate_id = tostring(position), event_type = "MoneyMoved",
        data = { cents = 1, note = ("x"):rep(4000) }, correlation_id = id }
    end
    local function peaks(batches)
      local es <close> = assert(esrun.open { project = large })
      for _ = 1, batches do assert(es:append(batch)) end
      local peak = {}
      for _, form in ipairs { "--flat", "--output=json", "--output=jsonl" } do
        local result = support.shell(large, ([[python3 -c 'import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' env %s %s trace %s %s]]):format(
          'ASAN_OPTIONS="$ASAN_OPTIONS:quarantine_size_mb=1"', support.quote(support.bin), id, form))
        assert.equal("", result.err)
        peak[form] = math.tointeger(tonumber(result.out)) -- KiB
      end
      return peak
    end
    local few, many = peaks(3), peaks(27)
    for form, peak in pairs(few) do
      assert.is_true(many[form] < peak + 4096, ("%s: %d KiB for 12 MB, %d KiB for 120 MB"):format(form, peak, many[form]))
    end
  end)
end)
