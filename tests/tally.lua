-- tally: reads one test program's log and prints "PASSED FAILED SKIPPED". Usage: lua5.4 tally.lua KIND STATUS LOG
-- KIND is how the program reports: cmocka, busted, or check (its exit status alone). Whatever cannot be counted counts as
-- a failure, so that a program that crashes, hangs or says nothing is never dropped in silence.
local kind, status, path = arg[1], math.tointeger(tonumber(arg[2])), arg[3]

local file = assert(io.open(path, "rb"))
local log = file:read("a")
file:close()

local function sum(pattern)
  local total, seen = 0, false
  for number in log:gmatch(pattern) do
    total, seen = total + math.tointeger(tonumber(number)), true
  end
  return total, seen
end

local readers = {}

-- Every group of a program announces how many tests it runs and says later what became of them.
function readers.cmocka()
  local announced, started = sum("%[==========%][^\n]-Running (%d+) test%(s%)")
  local passed = sum("%[  PASSED  %] (%d+) test%(s%)")
  local failed = sum("%[  FAILED  %][^\n]-(%d+) test%(s%), listed below")
  local skipped = sum("%[  SKIPPED %][^\n]-(%d+) test%(s%), listed below")
  return passed, failed, skipped, started and announced == passed + failed + skipped
end

-- The last line counts: a spec may print such a line of its own.
function readers.busted()
  local passed, failed, errors, skipped
  for a, b, c, d in log:gmatch("(%d+) successe?s? / (%d+) failures? / (%d+) errors? / (%d+) pending") do
    passed, failed, errors, skipped = tonumber(a), tonumber(b), tonumber(c), tonumber(d)
  end
  if not passed then return 0, 0, 0, false end
  return passed, failed + errors, skipped, true
end

function readers.check()
  return status == 0 and 1 or 0, status == 0 and 0 or 1, 0, true
end

local passed, failed, skipped, complete = readers[kind]()
if not complete then failed = failed + 1 end
if status ~= 0 and failed == 0 then failed = 1 end
if passed + failed + skipped == 0 then failed = 1 end
print(passed, failed, skipped)
