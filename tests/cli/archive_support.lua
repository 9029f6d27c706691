-- archive_support: stores with events that are worth archiving, for the specs of archive.
local support = require "tests.cli.support"
local esrun = require "esrun"

local archive_support = {}

local NOTE = "a note that makes this event longer than the marker that takes its place, number %d"

--- Appends events to three accounts: every second one belongs to the first. They are recorded so many seconds ago.
function archive_support.append(folder, count, ago)
  local function clock() return (os.time() - ago) * 1000000 end
  local es <close> = assert(esrun.open { project = folder, clock = ago and clock })
  local events = {}
  for number = 1, count do
    events[#events + 1] = {
      aggregate_type = "Account", aggregate_id = number % 2 == 0 and "1" or tostring(2 + number % 3), event_type = "MoneyMoved",
      actor_id = "user:jane", data = { cents = number, note = NOTE:format(number) },
    }
    if #events == 1000 or number == count then
      assert(es:append(events))
      events = {}
    end
  end
end

--- A project with so many events.
function archive_support.filled(count)
  local folder = support.project()
  archive_support.append(folder, count)
  return folder
end

--- The lines of an export, and the first so many of them.
function archive_support.export(folder, count)
  local text = support.run(folder, { "export" }).out
  if not count then return text end
  local lines = {}
  for line in text:gmatch "[^\n]*\n" do
    if #lines < count then lines[#lines + 1] = line end
  end
  return table.concat(lines)
end

--- The segments' files, in order.
function archive_support.files(folder, archive)
  local files = {}
  for name in support.shell(folder, "ls " .. (archive or "store.db-archive")).out:gmatch "[^\n]+" do files[#files + 1] = name end
  return files
end

function archive_support.sql(folder, text) return support.shell(folder, "sqlite3 store.db " .. support.quote(text)) end

function archive_support.verify(folder, ...)
  local result = support.run(folder, { "verify", "--output", "json", ... })
  result.report = result.out ~= "" and assert(require "esrun.core".decode(result.out)) or nil
  return result
end

return archive_support
