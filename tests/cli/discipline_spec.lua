-- What holds for every command: stdout is the result and nothing else, JSON is always valid, statuses are the documented
-- ones, a reader may go away, a result that cannot be written is an error, nobody sees a traceback.
local support = dofile "tests/cli/support.lua"
local cjson = require "cjson"

local esrun = support.quote(support.bin)

-- A call of every command: `rows` where JSON is a list, `empty` where the result may be empty.
local CALLS = {
  { "exec", "Account/1", "move", "cents=1", "--as", "user:jane" },
  { "exec", "Account/1", "move", "cents=1", "--as", "user:jane", "--dry-run" },
  { "show", "Account/1" },
  { "log", rows = true },
  { "log", "--actor", "user:nobody", rows = true, empty = true },
  { "trace", "CORRELATION", rows = true },
  { "trace", "CORRELATION", "--flat", rows = true },
  { "replay" },
  { "replay", "--check" },
  { "project", "list", rows = true },
  { "project", "run", rows = true },
  { "project", "status", rows = true },
  { "project", "rebuild", "balances", rows = true },
  { "project", "query", "balances", "richest", rows = true },
  { "project", "query", "balances", "richest", "limit=0", rows = true, empty = true },
  { "verify" },
  { "export", rows = true },
  { "export", "--actor", "user:nobody", rows = true, empty = true },
  { "doctor" },
  { "config", rows = true },
  { "help", rows = true },
  { "help", "log" },
}

describe("every command", function()
  local folder, correlation

  local function run(words, ...)
    local all = { ... }
    for position, word in ipairs(words) do
      table.insert(all, position, word == "CORRELATION" and correlation or word)
    end
    return support.run(folder, all), table.concat(all, " ")
  end

  lazy_setup(function()
    folder = support.project()
    assert.equal(0, support.run(folder, { "exec", "Account/1", "open", "--as", "user:jane" }).status)
    local reply = support.run(folder, { "exec", "Account/1", "move", "cents=10", "--as", "user:jane", "--output", "json" })
    correlation = cjson.decode(reply.out).correlation_id
  end)
  lazy_teardown(support.clean)

  it("says nothing on stderr when all is well, and something on stdout", function()
    for _, words in ipairs(CALLS) do
      local result, what = run(words)
      assert.equal("", result.err, what)
      assert.equal(0, result.status, what)
      assert.equal(not words.empty, result.out ~= "", what)
      assert.is_nil(result.out:find("\27", 1, true), what)
    end
  end)

  it("prints one valid document with --output json, a list where there are rows", function()
    for _, words in ipairs(CALLS) do
      local result, what = run(words, "--output", "json")
      assert.equal(0, result.status, what .. result.err)
      assert.equal("\n", result.out:sub(-1), what)
      assert.equal(words.rows and "[" or "{", result.out:sub(1, 1), what)
      local ok, document = pcall(cjson.decode, result.out)
      assert.is_true(ok, what)
      if words.empty then assert.equal("[]\n", result.out, what) end
      if words.rows and not words.empty then assert.is_true(#document > 0, what) end
    end
  end)

  it("prints one object a line with --output jsonl", function()
    for _, words in ipairs(CALLS) do
      local result, what = run(words, "--output", "jsonl")
      assert.equal(0, result.status, what .. result.err)
      for line in result.out:gmatch "[^\n]*\n?" do
        if line ~= "" then
          assert.equal("{", line:sub(1, 1), what)
          assert.equal("\n", line:sub(-1), what)
          cjson.decode(line)
        end
      end
      if words.empty then assert.equal("", result.out, what) end
    end
  end)

  it("does not mind a reader that goes away", function()
    for _, words in ipairs(CALLS) do
      for _, mode in ipairs { "table", "json", "jsonl" } do
        local parts = {}
        for position, word in ipairs(words) do
          parts[position] = support.quote(word == "CORRELATION" and correlation or word)
        end
        local command = ("bash -c %s"):format(support.quote(("set -o pipefail; %s %s --output %s | head -c 1 >/dev/null")
          :format(esrun, table.concat(parts, " "), mode)))
        local result = support.shell(folder, command)
        assert.equal("", result.err, command)
        assert.equal(0, result.status, command)
      end
    end
  end)

  it("ends quietly when much is left to print", function()
    local busy = support.project()
    local script = { ("e=%s"):format(esrun), "$e exec Account/1 open --as user:jane >/dev/null" }
    script[#script + 1] = ("note=$(head -c 60000 /dev/zero | tr '\\0' x)")
    for _ = 1, 6 do script[#script + 1] = '$e exec Account/1 move cents=1 note="$note" --as user:jane >/dev/null' end
    script[#script + 1] = "$e log --output jsonl | head -n 1 | wc -l"
    script[#script + 1] = "$e export | head -n 1 | wc -l"
    local result = support.shell(busy, table.concat(script, "\n"))
    assert.equal("", result.err)
    assert.equal("1\n1\n", result.out)
  end)

  it("fails (1) when the result cannot be written", function()
    for _, words in ipairs(CALLS) do
      if not words.empty then
        local parts = {}
        for position, word in ipairs(words) do
          parts[position] = support.quote(word == "CORRELATION" and correlation or word)
        end
        local command = table.concat(parts, " ")
        local result = support.shell(folder, ("%s %s >/dev/full"):format(esrun, command))
        assert.equal(1, result.status, command)
        assert.matches("^esrun: .*No space left on device\n$", result.err)
        assert.equal(1, support.shell(folder, ("%s %s >&-"):format(esrun, command)).status, command)
      end
    end
    for _, word in ipairs { "--version", "--help", "log --help" } do
      local result = support.shell(folder, ("%s %s >/dev/full"):format(esrun, word))
      assert.equal(1, result.status, word)
      assert.matches("^esrun: .*No space left on device\n$", result.err)
    end
  end)

  it("keeps stdout empty when it fails, in every format", function()
    for _, words in ipairs {
      { "exec", "Account/1", "move", "cents=-999", "--as", "user:jane", status = 4 },
      { "exec", "Account/1", "move", "cents=1", "--as", "user:bob", status = 9 },
      { "exec", "Account/1", "move", "cents=1", "--as", "user:jane", "--expect", "77", status = 3 },
      { "show", "Account/9", status = 5 },
      { "log", "--limit", "x", status = 2 },
      { "trace", "01890a5d-ac96-774b-bcce-b302099a8057", status = 5 },
      { "replay", "--aggregate", "/", status = 2 },
      { "project", "query", "nothing", "here", status = 5 },
      { "verify", "--store", "missing.db", status = 7 },
      { "export", "--from", "x", status = 2 },
      { "config", "--project", "/nowhere/at/all", status = 5 },
      { "help", "hlep", status = 2 },
    } do
      for _, mode in ipairs { "auto", "table", "json", "jsonl" } do
        local result, what = run(words, "--output", mode)
        assert.equal(words.status, result.status, what .. ": " .. result.err)
        assert.equal("", result.out, what)
        assert.matches("^esrun: " .. words[1] .. ": [^\n]+\n", result.err, what)
        assert.is_nil(result.err:find("traceback", 1, true), what)
        assert.is_nil(result.err:find("%.lua:%d+: in "), what)
        for line in result.err:gmatch "[^\n]+" do
          assert.is_true(line:find "^esrun: " ~= nil or line:find "^hint: " ~= nil, what .. ": " .. line)
        end
      end
    end
  end)

  it("takes options before and after it, and refuses unknown ones (2)", function()
    assert.equal(0, support.run(folder, { "--output", "json", "log", "--store", "store.db" }).status)
    for _, words in ipairs {
      { "--outptu", "json", "log" }, { "--output" }, { "--output", "yaml", "log" }, { "log", "--nope" }, { "log", "-x" }, {},
    } do
      local result = support.run(folder, words)
      assert.equal(2, result.status, table.concat(words, " "))
      assert.equal("", result.out)
      assert.matches("^esrun: [^\n]+\nhint: [^\n]+\n$", result.err)
    end
  end)

  it("is named when a name is mistyped, with the nearest", function()
    local result = support.run(folder, { "shwo", "Account/1" })
    assert.equal(2, result.status)
    assert.matches("^esrun: unknown command 'shwo'\nhint: did you mean show%? known: .*exec, batch, show, log", result.err)
    assert.is_nil(support.run(folder, { "qqqqqqqq" }).err:find("did you mean", 1, true))
  end)

  it("never sends control characters from the data to the terminal", function()
    assert.equal(0, support.run(folder, {
      "exec", "Account/1", "move", "cents=1", 'note:="\\u001b[31mred\\u0007\\u009b"', "--as", "user:jane" }).status)
    for _, words in ipairs { { "log" }, { "show", "Account/1" }, { "project", "query", "audit_log", "rows" } } do
      run({ "project", "run" })
      local result = run(words)
      assert.is_nil(result.out:find("[\1-\9\11-\31\127]"))
      assert.is_nil(result.out:find("\xC2\x9B", 1, true))
    end
    local result = support.run(folder, { "exec", "Account/1", "\27[31m", "--as", "user:jane" })
    assert.is_nil(result.err:find("\27", 1, true))
  end)

  it("uses colour on a terminal only, and never against NO_COLOR", function()
    local function on_terminal(environment)
      return support.shell(folder, ("%s python3 -c 'import pty, sys; pty.spawn(sys.argv[1:])' %s verify")
        :format(environment, esrun)).out
    end
    assert.is_truthy(on_terminal("env -u NO_COLOR TERM=xterm"):find("\27[32mintact", 1, true))
    assert.is_nil(on_terminal("env NO_COLOR=1 TERM=xterm"):find("\27[", 1, true))
    assert.is_nil(on_terminal("env -u NO_COLOR TERM=dumb"):find("\27[", 1, true))
    assert.is_nil(support.shell(folder, "env -u NO_COLOR TERM=xterm " .. esrun .. " verify").out:find("\27[", 1, true))
  end)
end)
