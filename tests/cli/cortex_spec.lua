-- cortex_spec: the documents' own chained JSON lines: known answers, Python's text, what a check of that format cannot see.
local support = require "tests.cli.support"
local esrun = require "esrun"
local cortex = require "esrun.cortex"

local run, write = support.run, support.write

local function link(text, previous_hash)
  local entry = assert(esrun.json.decode(text))
  local _, hash = cortex.link(entry, previous_hash or "GENESIS")
  return hash
end

-- The three entries of the documents, chained one behind the other.
local ENTRIES = {
  { '{"run_id":"r1","agent_name":"analyst","timestamp":"2026-02-08T04:00:00Z"}',
    "3b9a595ccfa697bb6e62754a2a67c5bdb0dc155e534bee98acd67d2b08ff4b37" },
  { '{"run_id":"r2","agent_name":"coder","timestamp":"2026-02-08T04:00:01Z"}',
    "b966d9535eeb1d6f62b911b51bbdff19569bcf58b8de6f407890df3e9a0ba232" },
  { '{"run_id":"r3","agent_name":"Zoë","timestamp":"2026-02-08T04:00:02Z","latency_ms":1.5,"n":10,"ok":true,"none":null,'
    .. '"nested":{"b":1,"a":[1,2.0,"x"]}}', "aa1f43398e2d3bd79ba1faa91d72715442708a12648774815a692e27e508828b" },
}

local function project()
  local folder = support.project()
  run(folder, { "exec", "Account/1", "open", "--as", "user:jane" })
  run(folder, { "exec", "Account/1", "move", "cents=500", "note=Zoë", "rate=2.0", "--as", "user:jane" })
  run(folder, { "exec", "Account/1", "move", "cents=-900", "--as", "user:jane" })
  write(folder .. "/ledger.jsonl", run(folder, { "export", "--format", "cortex" }).out)
  return folder
end

teardown(support.clean)

describe("the chain of the Cortex ledger", function()
  it("has the documents' known answers", function() -- covers C9
    local previous_hash = "GENESIS"
    for position, row in ipairs(ENTRIES) do
      local hash = link(row[1], previous_hash)
      assert.equal(row[2], hash, "entry " .. position)
      previous_hash = hash
    end
  end)

  it("writes what json.dumps writes", function()
    local rows = {
      ["1.5"] = "1.5", ["2.0"] = "2.0", ["1e15"] = "1000000000000000.0", ["1e16"] = "1e+16", ["0.0001"] = "0.0001",
      ["0.00001"] = "1e-05", ["-0.0"] = "-0.0", ["123456789.125"] = "123456789.125", ["5e-324"] = "5e-324",
      ["1.7976931348623157e308"] = "1.7976931348623157e+308", ["0.1"] = "0.1", ["9007199254740993"] = "9007199254740993",
      ['"Zo\195\171 \240\157\132\158 \\u007f \\n\\"/"'] = '"Zo\\u00eb \\ud834\\udd1e \\u007f \\n\\"/"',
      ['{"b":[],"a":{},"\195\164":null}'] = '{"a": {}, "b": [], "\\u00e4": null}', ["[true,false]"] = "[true, false]",
    }
    for text, expected in pairs(rows) do assert.equal(expected, cortex.dumps(assert(esrun.json.decode(text)))) end
  end)

  it("agrees with Python on floats of every size", function()
    local folder = support.new_folder()
    local numbers = {}
    math.randomseed(7)
    for position = 1, 3000 do
      local bits = string.pack("<i8", math.random(0) & 0x7FEFFFFFFFFFFFFF)
      numbers[position] = ("%.17g"):format((string.unpack("<d", bits)))
      if position % 3 == 0 then numbers[position] = ("%.17g"):format(math.random(1, 10 ^ 9 | 0) / 10 ^ math.random(0, 12)) end
      if not numbers[position]:find "[.e]" then numbers[position] = numbers[position] .. ".0" end
    end
    write(folder .. "/numbers.json", "[" .. table.concat(numbers, ",") .. "]")
    local python = support.shell(folder, "python3 -c 'import json; print(json.dumps(json.load(open(\"numbers.json\"))))'")
    assert.equal("", python.err)
    assert.equal(python.out, cortex.dumps(assert(esrun.json.decode(support.read(folder .. "/numbers.json")))) .. "\n")
  end)
end)

describe("export --format cortex", function()
  it("writes a chain that Python verifies", function() -- covers C2, C4, C6
    local folder = project()
    local python = support.shell(folder, [[python3 - <<'END'
import hashlib, json
previous = "GENESIS"
for line in open("ledger.jsonl", encoding="utf-8"):
    entry = json.loads(line)
    assert line == json.dumps(entry, sort_keys=True) + "\n", line
    found = entry.pop("hash")
    assert entry["previous_hash"] == previous
    previous = hashlib.sha256((json.dumps(entry, sort_keys=True) + previous).encode()).hexdigest()
    assert previous == found
    print(entry["agent_name"], entry["method_name"], entry["context_refs"][0])
END]])
    assert.equal("", python.err)
    assert.equal("user:jane AccountOpened Account/1\nuser:jane MoneyMoved Account/1\n", python.out:match "^[^\n]+\n[^\n]+\n")
    assert.truthy(python.out:find("$CommandRejected", 1, true))
  end)

  it("verifies, and says what that cannot see", function() -- covers C10
    local folder = project()
    local result = run(folder, { "verify", "--format", "cortex", "ledger.jsonl" })
    assert.equal(0, result.status)
    assert.truthy(result.out:find("^3 entries, head %x+: every link and hash is right\nThis format cannot show:\n"))
    local two = support.read(folder .. "/ledger.jsonl"):match "^[^\n]+\n[^\n]+\n"
    write(folder .. "/short.jsonl", two)
    assert.equal(0, run(folder, { "verify", "--format", "cortex", "short.jsonl" }).status) -- a truncated tail
    write(folder .. "/empty.jsonl", "")
    assert.truthy(run(folder, { "verify", "--format", "cortex", "empty.jsonl" }).out:find("lines cut off at the end", 1, true))
  end)

  it("stops at the first break and names it", function() -- covers C10
    local folder = project()
    local text = support.read(folder .. "/ledger.jsonl")
    write(folder .. "/changed.jsonl", (text:gsub('"cents": 500', '"cents": 501')))
    local result = run(folder, { "verify", "--format", "cortex", "changed.jsonl" })
    assert.equal(6, result.status)
    assert.truthy(result.out:find("^line 2: the hash is not that of its content\n1 entry before it is linked"))
    write(folder .. "/gone.jsonl", (text:gsub("^[^\n]+\n", "")))
    assert.truthy(run(folder, { "verify", "--format", "cortex", "gone.jsonl" }).out:find("^line 1: previous_hash"))
    write(folder .. "/half.jsonl", text:sub(1, 100))
    local half = run(folder, { "verify", "--format", "cortex", "half.jsonl", "--output", "json" })
    assert.equal(6, half.status)
    assert.truthy(half.out:find('"first_break":{"line":1,', 1, true))
  end)

  it("needs a file, and takes one only in that format", function()
    local folder = project()
    assert.equal(2, run(folder, { "verify", "--format", "cortex" }).status)
    assert.equal(2, run(folder, { "verify", "ledger.jsonl" }).status)
  end)
end)

describe("the audit log under Cortex' columns", function()
  it("has them all", function() -- covers C7
    local folder = project()
    local row = run(folder, { "project", "query", "audit_log", "cortex", "limit=1", "--output", "jsonl" })
    if row.status ~= 0 then
      run(folder, { "project", "run", "audit_log" })
      row = run(folder, { "project", "query", "audit_log", "cortex", "limit=1", "--output", "jsonl" })
    end
    local entry = assert(esrun.json.decode((row.out:gsub("\n", ""))))
    assert.equal("user:jane", entry.agent_name)
    assert.equal("AccountOpened", entry.action)
    assert.same({ owner = "user:jane" }, entry.payload)
    assert.equal(esrun.null, entry.signature)
    for _, name in ipairs { "id", "correlation_id", "timestamp", "created_at" } do assert.truthy(entry[name], name) end
  end)
end)
