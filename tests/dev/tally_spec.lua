-- tally_spec: a test program that crashes, hangs or says nothing counts as a failure, never as nothing.
local root = os.getenv("ESRUN_ROOT") or "."

local function tally(kind, status, log)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(log)
  file:close()
  local pipe = assert(io.popen(("lua5.4 '%s/tests/tally.lua' %s %d %s"):format(root, kind, status, path)))
  local out = pipe:read("l")
  pipe:close()
  os.remove(path)
  return (out:gsub("%s+", " "))
end

local GROUP = "[==========] tests: Running 3 test(s).\n"

describe("counting a cmocka program", function()
  it("adds up the groups", function()
    local log = GROUP .. "[  PASSED  ] 3 test(s).\n[==========] other: Running 2 test(s).\n[  PASSED  ] 1 test(s).\n"
      .. "[  FAILED  ] other: 1 test(s), listed below:\n"
    assert.equal("4 1 0", tally("cmocka", 1, log))
  end)

  it("counts skipped tests apart", function()
    assert.equal("2 0 1", tally("cmocka", 0, GROUP .. "[  PASSED  ] 2 test(s).\n[  SKIPPED ] tests: 1 test(s), listed below:\n"))
  end)

  it("counts a crash in the middle as a failure", function()
    assert.equal("0 1 0", tally("cmocka", 139, GROUP .. "[ RUN      ] a_test\n"))
  end)

  it("counts a crash after the last group as a failure", function()
    assert.equal("3 1 0", tally("cmocka", 134, GROUP .. "[  PASSED  ] 3 test(s).\n"))
  end)

  it("counts silence as a failure", function() assert.equal("0 1 0", tally("cmocka", 0, "")) end)
end)

describe("counting a busted run", function()
  it("adds failures and errors", function()
    assert.equal("5 3 1", tally("busted", 3, "5 successes / 1 failure / 2 errors / 1 pending : 0.1 seconds\n"))
  end)

  it("reads the last summary when a spec prints one itself", function()
    assert.equal("1 0 0", tally("busted", 0, "9 successes / 9 failures / 9 errors / 9 pending : 1\n"
      .. "1 success / 0 failures / 0 errors / 0 pending : 0.1 seconds\n"))
  end)

  it("counts a run without summary as a failure", function() assert.equal("0 1 0", tally("busted", 0, "hello\n")) end)

  it("counts a leak found after the summary as a failure", function()
    assert.equal("4 1 0", tally("busted", 1, "4 successes / 0 failures / 0 errors / 0 pending : 0.1 seconds\n"))
  end)

  it("counts a run in which nothing ran as a failure", function()
    assert.equal("0 1 0", tally("busted", 0, "0 successes / 0 failures / 0 errors / 0 pending : 0.1 seconds\n"))
  end)
end)

it("counts a check by its exit status", function()
  assert.equal("1 0 0", tally("check", 0, ""))
  assert.equal("0 1 0", tally("check", 2, "1 passed"))
end)
