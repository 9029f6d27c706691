-- input_spec: an input that cannot be read, or a result that cannot be delivered, is never taken for the end of it.
local support = require "tests.cli.support"

local ESRUN = support.quote(support.bin)
local OPEN = '{"target":"Account/%d","command":"open"}\n'

local function commands(count)
  local lines = {}
  for number = 1, count do lines[number] = OPEN:format(number) end
  return table.concat(lines)
end

teardown(support.clean)

describe("an input that cannot be read", function()
  local folder

  setup(function()
    folder = support.project { ["map.lua"] = "return function() end" }
    support.shell(folder, "mkdir there")
    support.write(folder .. "/rows.csv", "a\n1\n")
  end)

  it("is no empty input", function()
    for words, name in pairs {
      ["import there"] = "there", ["import - <there"] = "-", ["batch there --as user:jane"] = "there",
      ["batch - --as user:jane <there"] = "standard input", ["import /proc/self/mem"] = "/proc/self/mem",
      ["import rows.csv --name x --map there"] = "there", ["verify --format cortex there"] = "there",
      ["verify --format cortex - <there"] = "standard input",
    } do
      local result = support.shell(folder, ESRUN .. " " .. words)
      assert.equal(1, result.status, words)
      local reason = name == "/proc/self/mem" and "Input/output error" or "Is a directory"
      assert.matches("^esrun: %l+: [^\n]*" .. reason .. "\n", result.err:gsub("^%d+ commands:[^\n]*\n", ""))
      assert.matches(name, result.err, 1, true)
      assert.is_nil(result.err:find("internal", 1, true))
      assert.equal("", result.out)
    end
  end)
end)

describe("a batch whose reader goes away", function()
  it("is executed to its end, and says what nobody read", function()
    local folder = support.project()
    local result = support.shell(folder,
      "{ " .. ESRUN .. " batch - --as user:jane; echo $? >status; } | head -1 >first", commands(200))
    assert.equal("1\n", support.read(folder .. "/status"))
    assert.matches("\n?200 commands: 200 succeeded, 0 rejected, 0 denied, 0 failed\n", result.err)
    assert.matches("esrun: batch: results from line %d+ on could not be delivered: the reader went away\n$", result.err)
    assert.equal("200\n", support.shell(folder, ESRUN .. " log --output jsonl | wc -l").out)
  end)

  it("says so beside what failed, with that one's exit status", function()
    local folder = support.project()
    local result = support.shell(folder, "{ " .. ESRUN .. " batch - --on-error continue; echo $? >status; } | true", commands(50))
    assert.equal("9\n", support.read(folder .. "/status"))
    assert.matches("line 1: .*; results from line %d+ on could not be delivered", result.err)
  end)
end)

describe("init", function()
  it("refuses an empty name", function()
    -- As nobody, who could write nothing into / if the name were taken for it.
    local result = support.shell("/", "$(test $(id -u) = 0 && echo setpriv --reuid=65534 --clear-groups) " .. ESRUN .. " init ''")
    assert.equal(2, result.status)
    assert.matches("the folder's name is empty", result.err, 1, true)
  end)

  it("leaves nothing of a project that it cannot write", function()
    local folder = support.new_folder()
    -- A limit on the size of files stands for the disk that is full.
    local init = "init new/project --template orders"
    local result = support.shell(folder, "trap '' XFSZ; ulimit -f 1; " .. ESRUN .. " " .. init)
    assert.equal(1, result.status)
    assert.matches("File too large", result.err)
    assert.equal("", support.shell(folder, "ls -A").out)
    assert.equal(0, support.shell(folder, ESRUN .. " " .. init).status)
  end)
end)
