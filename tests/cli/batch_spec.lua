-- batch_spec: commands from JSON lines: each its own reply in order, groups whole or not at all, stopping or going on as told.
local support = require "tests.cli.support"

local run, shell, write = support.run, support.shell, support.write

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  return lines
end

local function batch(folder, lines, ...)
  return run(folder, { "batch", "-", ... }, table.concat(lines, "\n") .. "\n")
end

local function outcomes(result)
  local out = {}
  for position, line in ipairs(lines_of(result.out)) do
    local number, outcome = line:match '"line":(%d+).*"outcome":"(%l+)"'
    out[position] = number .. " " .. outcome
  end
  return table.concat(out, ", ")
end

local OPEN = '{"target":"Account/1","command":"open"}'
local MOVE = '{"target":"Account/1","command":"move","params":{"cents":5}}'
local OVERDRAW = '{"target":"Account/1","command":"move","params":{"cents":-99}}'

teardown(support.clean)

describe("batch", function()
  local folder

  before_each(function() folder = support.project() end)

  local function stored() return #lines_of(run(folder, { "log", "--type", "MoneyMoved", "--output", "jsonl" }).out) end

  it("answers each command with its reply, in order", function()
    local result = batch(folder, { OPEN, MOVE, MOVE }, "--as", "user:jane", "--group", "2")
    assert.equal("3 commands: 3 succeeded, 0 rejected, 0 denied, 0 failed\n", result.err)
    assert.equal(0, result.status)
    assert.equal("1 success, 2 success, 3 success", outcomes(result))
    assert.truthy(lines_of(result.out)[3]:find('"reply":{"aggregate_type":"Account","aggregate_id":"1","version":3,', 1, true))
  end)

  it("stops behind the first that does not succeed, keeping those before it", function()
    local result = batch(folder, { OPEN, OVERDRAW, MOVE }, "--as", "user:jane", "--group", "10")
    assert.equal(4, result.status)
    assert.equal("1 success, 2 rejected", outcomes(result))
    assert.truthy(lines_of(result.out)[2]:find('"code":"overdrawn"', 1, true))
    assert.truthy(result.err:find("esrun: batch: line 2: There is not enough money", 1, true))
    assert.truthy(result.err:find("; stopped", 1, true))
    assert.equal(0, stored())
    assert.truthy(run(folder, { "show", "Account/1" }).out:find("at version 1", 1, true))
  end)

  it("goes on when told, and exits with the first one's status", function()
    local result = batch(folder, { OPEN, MOVE:gsub("{", '{"actor_id":"user:eve",', 1), OVERDRAW, MOVE }, "--as", "user:jane",
      "--group", "3", "--on-error", "continue")
    assert.equal(9, result.status)
    assert.equal("1 success, 2 denied, 3 rejected, 4 success", outcomes(result))
    assert.equal(1, stored())
  end)

  it("names the line that is not JSON, and what else is wrong with a line", function()
    local rows = {
      { "nonsense", "line 2: column 1" }, { '["x"]', "line 2: a command is a JSON object" },
      { '{"target":"Account/1"}', "line 2: target and command are needed" },
      { '{"target":"Account","command":"open"}', "line 2: target: 'Account' is not TYPE/ID" },
      { '{"target":"Account/1","command":"open","acter":"x"}', "line 2: unknown member 'acter'" },
      { '{"target":"Account/1","command":"open","params":7}', "line 2: params: object expected, got integer" },
      { '{"target":"Account/1","command":"open","params":[]}', "line 2: params: object expected, got list" },
      { '{"target":"Account/1","command":"open","expect":1.5}', "line 2: expect: integer expected, got number" },
      { '{"target":"Account/1","command":"open","expect":-1}', "line 2: expect: -1 is not a whole number of at least 0" },
      { '{"target":"Account/1","command":"open","expect":null}', "line 2: expect: integer expected, got null" },
      { '{"target":"Account/1","command":"open","roles":[7]}', "line 2: roles[1]: text expected, got integer" },
      { '{"target":"Account/1","command":"open","roles":{}}', "line 2: roles: list expected, got object" },
      { '{"target":"Account/1","command":"open","permissions":["a",null]}', "line 2: permissions[2]: text expected, got null" },
      { '{"target":"Account/1","command":"open","actor_id":null}', "line 2: actor_id: text expected, got null" },
      { '{"target":"Nothing/1","command":"open"}', "line 2: no module declares an aggregate Nothing" },
    }
    for _, row in ipairs(rows) do
      local result = batch(folder, { "", row[1] }, "--as", "user:jane")
      assert.equal(2, result.status, row[1])
      assert.truthy(result.err:find(row[2], 1, true), row[1] .. ": " .. result.err)
      assert.equal("2 failed", outcomes(result))
    end
    assert.equal("", run(folder, { "log", "--output", "jsonl" }).out)
  end)

  it("takes a line's own actor, key and expected version", function()
    local keyed = '{"target":"Account/1","command":"open","actor_id":"user:bob","key":"k1","expect":0}'
    assert.equal(0, batch(folder, { keyed }).status)
    local again = batch(folder, { keyed })
    assert.equal(0, again.status)
    assert.truthy(again.out:find('"replayed":true', 1, true))
    local late = batch(folder,
      { '{"target":"Account/1","command":"move","params":{"cents":1},"actor_id":"user:bob","expect":9}' })
    assert.equal(3, late.status)
    assert.truthy(late.out:find('"outcome":"failed"', 1, true))
  end)

  it("does not lend the options' roles to a line's own actor", function()
    batch(folder, { OPEN }, "--as", "user:jane")
    local result = batch(folder, { '{"target":"Account/1","command":"move","params":{"cents":1},"actor_id":"user:eve"}' },
      "--as", "user:jane", "--role", "teller")
    assert.equal("1 denied", outcomes(result))
  end)

  it("leaves no half group when it is killed", function()
    local lines = { OPEN }
    for position = 2, 3000 do lines[position] = MOVE end
    write(folder .. "/commands.jsonl", table.concat(lines, "\n") .. "\n")
    -- The reader sees the first group's replies, then kills the writer in the middle of a later one.
    shell(folder, ("%s batch commands.jsonl --as user:jane --group 100 >out & pid=$!; while ! [ -s out ]; do :; done; "
      .. "kill -9 $pid; wait $pid"):format(support.quote(support.bin)))
    local count = #lines_of(run(folder, { "log", "--output", "jsonl" }).out)
    assert.is_true(count >= 100)
    assert.equal(0, count % 100)
    assert.is_true(#lines_of(support.read(folder .. "/out")) <= count)
    assert.equal(0, run(folder, { "verify" }).status)
  end)

  it("writes one document when asked for JSON", function()
    local result = batch(folder, { OPEN, MOVE }, "--as", "user:jane", "--output", "json")
    assert.equal(2, #assert(require "esrun".json.decode(result.out)))
  end)
end)
