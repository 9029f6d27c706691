-- bench/run.lua: compares bare C over SQLite with esrun, case by case: both in turn, several rounds, medians. Prints a
-- Markdown table and writes everything as JSON. Usage: lua5.4 bench/run.lua BUILD [ledger] [--quick] [--events N] [--rounds N]
-- [--only TEXT,TEXT] [--json FILE] [--markdown FILE] [--folder DIR]. Knows the programs of BUILD; measures nothing itself.

local build = arg[1]
local options = { rounds = nil, only = nil, json = nil, markdown = nil, folder = nil, quick = false }

local function fail(format, ...)
  io.stderr:write("bench: ", format:format(...), "\n")
  os.exit(1)
end

do
  local at = 2
  while arg[at] do
    local name = arg[at]:match("^%-%-(%a+)$")
    if arg[at] == "ledger" then
      options.ledger = true
    elseif name == "quick" then
      options.quick = true
    elseif name and ("events rounds only json markdown folder"):find(name, 1, true) and arg[at + 1] then
      at = at + 1
      options[name] = arg[at]
    else
      fail("unknown option %s", arg[at])
    end
    at = at + 1
  end
  if not build then fail("usage: lua5.4 bench/run.lua BUILD [ledger] [--quick]") end
end

local SIZES = options.quick and { store = 20000, write = 10000, single = 300, long = 10000, starts = 11, rounds = 3 }
  or { store = 1000000, write = 100000, single = 2000, long = 10000, starts = 51, rounds = 5 }
if options.events then
  local events = math.tointeger(tonumber(options.events)) or fail("--events takes a number")
  SIZES.store, SIZES.write = events, math.max(events // 10, 4000)
end
local rounds = math.tointeger(tonumber(options.rounds)) or SIZES.rounds
local folder = options.folder or build .. "/bench-data"
local here = arg[0]:match("^(.*)/[^/]*$") or "."

-- ---- What is measured ----------------------------------------------------------------------------------------------

local ALL_INDEXES = "all 8 of the store"
local STREAMS = "a stream per 20 events; each name once"
local ONE_INDEX = "1 (stream and version)"

-- Each row: its name; the case of each side; how many events are written, or none for a row that reads the shared store;
-- the public function that is measured; the rows that esrun writes beyond the event; what the baseline does.
local ROWS = {
  {
    name = "append, batches of 1,000", case = "append_1000", events = SIZES.write, unit = "events/s",
    entry = "es_append, KEEP | UNCHECKED, 1,000 a call", beyond = STREAMS,
    baseline = "insert in a loop, hashed and chained", indexes = ALL_INDEXES, same_head = true,
  },
  {
    name = "the same beside one index", case = "append_1000", bare = "append_1000_one_index", events = SIZES.write,
    unit = "events/s", entry = "es_append, KEEP | UNCHECKED, 1,000 a call", beyond = STREAMS,
    baseline = "insert in a loop, hashed and chained", indexes = ONE_INDEX, same_head = true,
  },
  {
    name = "append, checked by the module", case = "append_checked", bare = "append_1000", events = SIZES.write,
    unit = "events/s", entry = "es_append, KEEP, 1,000 a call", beyond = STREAMS,
    baseline = "insert in a loop, hashed and chained", indexes = ALL_INDEXES, same_head = true,
  },
  {
    name = "append, one a commit", case = "append_1", events = SIZES.single, unit = "events/s",
    entry = "es_append, KEEP | UNCHECKED, 1 a call", beyond = STREAMS,
    baseline = "begin, insert, commit; one sync each", indexes = ALL_INDEXES, same_head = true,
  },
  {
    name = "command, one a commit", case = "command_1", events = SIZES.single, unit = "commands/s",
    entry = "es_context_enter, es_execute, es_context_leave", beyond = STREAMS,
    baseline = "begin, read the version, insert, commit", indexes = ALL_INDEXES,
  },
  {
    name = "command with a key, one a commit", case = "command_1_key", events = SIZES.single, unit = "commands/s",
    entry = "es_execute with idempotency_key", beyond = "1 reply an event, and its index entry",
    baseline = "the same with a reply row", indexes = ALL_INDEXES .. ", replies by key",
  },
  {
    name = "commands, batches of 100", case = "command_100", events = SIZES.write // 4, unit = "commands/s",
    entry = "es_transaction_begin, 100 es_execute, es_transaction_commit",
    beyond = STREAMS, baseline = "begin, 100 times read the version and insert, commit",
    indexes = ALL_INDEXES,
  },
  {
    name = "import of an export", case = "import", bare = "append_4000", events = SIZES.write, unit = "events/s",
    entry = "es_import_feed, groups of 4,000", beyond = STREAMS,
    baseline = "4,000 inserts a transaction, hashed and chained; parses nothing", indexes = ALL_INDEXES, same_head = true,
    prepare = "export",
  },
  {
    name = "import of JSON lines through a mapping", case = "import_rows", bare = "append_imported", events = SIZES.write,
    unit = "events/s", entry = "es_import_feed, groups of 4,000, 10 members a row", beyond = STREAMS,
    baseline = "4,000 inserts a transaction, hashed and chained; parses nothing", indexes = ALL_INDEXES, prepare = "write_rows",
  },
  {
    name = "import of CSV through a mapping", case = "import_csv", bare = "append_imported", events = SIZES.write,
    unit = "events/s", entry = "es_import_feed, groups of 4,000, 10 columns", beyond = STREAMS,
    baseline = "4,000 inserts a transaction, hashed and chained; parses nothing", indexes = ALL_INDEXES, prepare = "write_rows",
  },
  {
    name = "export", case = "export", bare = "scan_all", unit = "events/s", entry = "es_read, es_event_json",
    beyond = "-", baseline = "select every column; writes nothing", indexes = "by position", limit = SIZES.write,
  },
  {
    name = "load a stream of 10,000 events", case = "load", unit = "events/s", entry = "es_load, at_version",
    beyond = "-", baseline = "select every column, sum the amounts", indexes = "stream and version",
  },
  {
    name = "load it with a snapshot at its end", case = "load_snapshot", bare = "load", unit = "events/s",
    entry = "es_load, at_version", beyond = "-", baseline = "select every column, sum the amounts",
    indexes = "stream and version",
  },
  {
    name = "replay everything", case = "replay", unit = "events/s", entry = "es_replay", beyond = "-",
    baseline = "select every column stream by stream, sum the amounts", indexes = "stream and version",
  },
  {
    name = "projection, two upserts an event", case = "project", unit = "events/s", entry = "es_project_rebuild",
    beyond = "2 rows changed an event, a cursor per 1,000", baseline = "select, 2 upserts; 1,000 events a transaction",
    indexes = "primary keys",
  },
  {
    name = "verify", case = "verify", bare = "verify_all", unit = "events/s", entry = "es_verify", beyond = "-",
    baseline = "select, hash, compare; then PRAGMA integrity_check", indexes = "by position", same_head = true,
  },
  {
    name = "verify beside hashing alone", case = "verify", bare = "verify", unit = "events/s", entry = "es_verify",
    beyond = "-", baseline = "select, hash, compare", indexes = "by position", same_head = true,
  },
}

local FILTERS = {
  { "all", "no filter", "by position", true }, { "reverse", "newest first", "by position", true },
  { "tenant", "a tenant", "tenant", true }, { "no_tenant", "no tenant", "none: a scan", true },
  { "aggregate_type", "an aggregate type", "aggregate type", true },
  { "event_type", "an event type", "event type", true }, { "actor", "an actor", "actor", true },
  { "time", "a hundredth of the time", "by position, bounds told to it", true },
  { "stream", "a stream", "stream and version", false },
  { "aggregate_id", "an id in every tenant", "streams: a scan", false },
  { "correlation", "a correlation", "correlation", false }, { "causation", "a cause", "causation", false },
  { "event_id", "an event id", "id", false },
}

for _, filter in ipairs(FILTERS) do
  local name, title, index, scan = table.unpack(filter)
  ROWS[#ROWS + 1] = {
    name = "first page: " .. title, case = "page_" .. name, unit = "us/page", entry = "es_read, limit 100", beyond = "-",
    baseline = "one select, every column taken", indexes = index,
  }
  if scan then
    ROWS[#ROWS + 1] = {
      name = "all of: " .. title, case = "scan_" .. name, unit = "events/s", entry = "es_read, es_cursor_next",
      beyond = "-", baseline = "one select, every column taken", indexes = index,
    }
  end
end

-- What the ledger costs. `against`: the side that the row is compared with, when it is esrun itself without the ledger's part.
local LEDGER = {
  {
    name = "verify", case = "verify", bare = "verify_tree", unit = "events/s", entry = "es_verify", beyond = "-",
    baseline = "select, hash, compare; the tree's nodes", indexes = "by position", same_head = true, prepare = "sign",
  },
  {
    name = "verify beside the same and integrity_check", case = "verify", bare = "verify_tree_all", unit = "events/s",
    entry = "es_verify", beyond = "-", baseline = "the same; then PRAGMA integrity_check", indexes = "by position",
    same_head = true,
  },
  {
    name = "verify in two threads beside one", case = "verify_2", bare = "verify", against = "esrun", unit = "events/s",
    entry = "es_verify, jobs 2", beyond = "-", baseline = "es_verify", indexes = "-", same_head = true,
  },
  {
    name = "append and the tree", case = "append_tree", bare = "append_1000", against = "esrun", events = SIZES.write,
    unit = "events/s", entry = "es_append, 1,000 a call; the tree caught up at the end", beyond = STREAMS .. "; tiles",
    baseline = "es_append, 1,000 a call", indexes = ALL_INDEXES, same_head = true,
  },
  {
    name = "append and a signed checkpoint", case = "append_signed", bare = "append_1000", against = "esrun",
    events = SIZES.write, unit = "events/s", entry = "es_append, 1,000 a call; es_checkpoint at the end",
    beyond = STREAMS .. "; tiles, a checkpoint", baseline = "es_append, 1,000 a call", indexes = ALL_INDEXES,
    same_head = true,
  },
  {
    name = "proof of an event", case = "prove_event", unit = "us/proof", entry = "es_prove, event_id", beyond = "-",
    baseline = "select event, note and 3 tiles; hash them", indexes = "id, tile",
  },
  {
    name = "proof of an older tree", case = "prove_tree", unit = "us/proof", entry = "es_prove, from", beyond = "-",
    baseline = "select note and 3 tiles; hash them", indexes = "tile",
  },
}
if options.ledger then ROWS = LEDGER end

-- ---- Running programs ----------------------------------------------------------------------------------------------

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function shell(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  return pipe:close() and text or nil
end

local function read_file(path)
  local file = io.open(path)
  local text = file and file:read("a") or ""
  if file then file:close() end
  return text
end

local function run(...)
  local words = { quote(build .. "/bench/esrun_bench") }
  for _, word in ipairs({ ... }) do words[#words + 1] = quote(tostring(word)) end
  local text = shell(table.concat(words, " "))
  if not text then fail("failed: %s", table.concat({ ... }, " ")) end
  local result = {}
  for name, value in text:gmatch("([%w_]+)=(%S+)") do
    result[name] = name == "head" and value or tonumber(value)
  end
  return result
end

local function remove(path) shell("rm -rf " .. quote(path) .. "*") end

local shared = folder .. "/shared.db"

local function run_case(row, side)
  local case = side == "baseline" and (row.bare or row.case) or row.case
  local long = row.events and 0 or SIZES.long
  local store = row.events and folder .. "/" .. side .. ".db" or shared
  if row.events then remove(store) end
  local program = side == "baseline" and row.against or side
  local result = run(program, case, store, here .. "/project", row.events or row.limit or SIZES.store, long)
  if row.events then remove(store) end
  return result
end

-- ---- Statistics ----------------------------------------------------------------------------------------------------

local function median(values)
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  local middle = (#sorted + 1) // 2
  return #sorted % 2 == 1 and sorted[middle] or (sorted[middle] + sorted[middle + 1]) / 2
end

-- Half the range in per cent of the median.
local function spread(values)
  return (math.max(table.unpack(values)) - math.min(table.unpack(values))) / 2 / median(values) * 100
end

local function figure_of(row, result)
  if row.unit:find("^us/") then return result.seconds / result.operations * 1e6 end
  return result.operations / result.seconds
end

-- How good esrun is beside the baseline, by the wall or by processor time: 1 is as fast, below 1 slower.
local function share(sample, clock)
  return sample.baseline[clock] / sample.baseline.operations / (sample.esrun[clock] / sample.esrun.operations)
end

local function collect(row, samples)
  local out = { name = row.name, unit = row.unit, entry = row.entry, beyond = row.beyond, baseline_does = row.baseline,
    baseline_indexes = row.indexes, events = row.events or row.limit or SIZES.store, baseline = {}, esrun = {} }
  local shares, processor_shares = {}, {}
  for round, sample in ipairs(samples) do
    shares[round], processor_shares[round] = share(sample, "seconds"), share(sample, "processor")
    for _, side in ipairs { "baseline", "esrun" } do
      local to = out[side]
      to.rounds = to.rounds or {}
      to.rounds[round] = figure_of(row, sample[side])
      to.peak_kib = math.max(to.peak_kib or 0, sample[side].peak_kib or 0)
      to.early_kib = math.max(to.early_kib or 0, sample[side].early_kib or 0)
    end
  end
  for _, side in ipairs { "baseline", "esrun" } do
    out[side].median = median(out[side].rounds)
    out[side].spread_percent = spread(out[side].rounds)
  end
  out.share, out.processor_share = median(shares), median(processor_shares)
  return out
end

-- ---- Measuring -----------------------------------------------------------------------------------------------------

local function progress(format, ...) io.stderr:write(format:format(...), "\n") end

local function measure_row(row)
  local samples = {}
  if row.prepare then
    run("esrun", row.prepare, shared, here .. "/project", row.events or SIZES.store, SIZES.long)
  end
  for round = 1, rounds do
    local sample, order = {}, round % 2 == 1 and { "baseline", "esrun" } or { "esrun", "baseline" }
    for _, side in ipairs(order) do sample[side] = run_case(row, side) end
    if row.same_head and sample.baseline.head ~= sample.esrun.head then
      fail("%s: the two sides hashed different bytes", row.name)
    end
    samples[round] = sample
  end
  local out = collect(row, samples)
  progress("%-36s %12.0f %12.0f %-10s %5.2f %5.2f", row.name, out.baseline.median, out.esrun.median, row.unit,
    out.share, out.processor_share)
  return out
end

-- Starts in turn: `esrun show` of an aggregate of 20 events, sqlite3 with nothing to do, Lua with nothing to do.
local function measure_starts()
  local small, stream = folder .. "/start.db", "acct-000000000010" -- an Account without tenant
  local programs = {
    { name = "sqlite3 FILE 'select 1'", "sqlite3", small, "select 1" },
    { name = "lua5.4 -e ''", "lua5.4", "-e", "" },
    {
      name = "esrun show", build .. "/esrun", "--project", here .. "/project", "--store", small, "show",
      "Account/" .. stream,
    },
  }
  remove(small)
  run("esrun", "append_1000", small, here .. "/project", 2000, 0)
  local times, processor = { {}, {}, {} }, { {}, {}, {} }
  for round = 1, rounds do
    for number, program in ipairs(programs) do
      local result = run("spawn", SIZES.starts, table.unpack(program))
      times[number][round], processor[number][round] = result.seconds * 1e3, result.processor * 1e3
    end
  end
  local out = {}
  for number, program in ipairs(programs) do
    out[number] = {
      name = program.name, median_ms = median(times[number]), spread_percent = spread(times[number]),
      processor_ms = median(processor[number]), times_sqlite3 = median(times[number]) / median(times[1]),
      processor_times_sqlite3 = median(processor[number]) / median(processor[1]),
    }
    progress("start of %-27s %25.2f ms %11.1f %5.1f", program.name, out[number].median_ms, out[number].times_sqlite3,
      out[number].processor_times_sqlite3)
  end
  remove(small)
  return out
end

local function load_now() return tonumber(read_file("/proc/loadavg"):match("^%S+")) or 0 end

local function machine()
  local sync = run("sync", folder .. "/sync")
  return {
    processor = read_file("/proc/cpuinfo"):match("model name%s*:%s*([^\n]*)"), cores = tonumber(shell("nproc")),
    memory_mib = tonumber(read_file("/proc/meminfo"):match("MemTotal:%s*(%d+)")) // 1024,
    system = (shell(". /etc/os-release && echo \"$PRETTY_NAME\"") or "?"):match("[^\n]*"),
    kernel = read_file("/proc/sys/kernel/osrelease"):match("[^\n]*"),
    file_system = (shell("df --output=fstype " .. quote(folder) .. " | tail -n 1") or "?"):match("[^\n]*"),
    sqlite = (shell("sqlite3 --version") or "?"):match("^%S+"), lua = (shell("lua5.4 -v") or "?"):match("Lua (%S+)"),
    syncs_overwriting = sync.overwriting, syncs_extending = sync.extending, load_before = load_now(),
  }
end

-- ---- Reporting -----------------------------------------------------------------------------------------------------

local function with_commas(number)
  local text = ("%.0f"):format(number)
  repeat
    local replaced
    text, replaced = text:gsub("^(%d+)(%d%d%d)", "%1,%2")
  until replaced == 0
  return text
end

local function mebibytes(side)
  if side.early_kib == 0 then return ("%.0f"):format(side.peak_kib / 1024) end
  return ("%.0f, %.0f"):format(side.early_kib / 1024, side.peak_kib / 1024)
end

local function markdown(report)
  local out, m = {}, report.machine
  local function line(format, ...) out[#out + 1] = format:format(...) end
  line("%s, %d cores, %d MiB, %s, Linux %s, %s; SQLite %s, Lua %s.", m.processor, m.cores, m.memory_mib, m.system,
    m.kernel, m.file_system, m.sqlite, m.lua)
  line("Syncs a second: %s overwriting a block, %s extending a file. Load before and after: %.2f, %.2f.",
    with_commas(m.syncs_overwriting), with_commas(m.syncs_extending), m.load_before, m.load_after)
  line("%d rounds of both sides in turn; medians; ± half the range. Store read from: %s events.", report.rounds,
    with_commas(report.store_events))
  line("")
  line("| case | %s | esrun | | share | of processor time | MiB: a tenth, end |", options.ledger and "beside" or "bare C")
  line("|---|---:|---:|---|---:|---:|---:|")
  for _, row in ipairs(report.rows) do
    line("| %s | %s ± %.0f %% | %s ± %.0f %% | %s | %.2f | %.2f | %s |", row.name, with_commas(row.baseline.median),
      row.baseline.spread_percent, with_commas(row.esrun.median), row.esrun.spread_percent,
      (row.unit:gsub("^us", "µs")), row.share, row.processor_share, mebibytes(row.esrun))
  end
  line("")
  if #report.starts > 0 then
    line("| start of | ms | times sqlite3 | ms of processor | times sqlite3 |")
    line("|---|---:|---:|---:|---:|")
    for _, row in ipairs(report.starts) do
      line("| `%s` | %.2f ± %.0f %% | %.1f | %.2f | %.1f |", row.name, row.median_ms, row.spread_percent, row.times_sqlite3,
        row.processor_ms, row.processor_times_sqlite3)
    end
    line("")
  end
  line("| case | entry point | rows written beyond the event | the baseline | its indexes |")
  line("|---|---|---|---|---|")
  for _, row in ipairs(report.rows) do
    line("| %s | %s | %s | %s | %s |", row.name, row.entry:gsub("|", "\\|"), row.beyond, row.baseline_does,
      row.baseline_indexes)
  end
  return table.concat(out, "\n") .. "\n"
end

local function escape(character) return ("\\u%04x"):format(character:byte()) end

local function encode(value)
  if type(value) == "string" then return '"' .. value:gsub('[%c"\\]', escape) .. '"' end
  if type(value) == "number" then return ("%.10g"):format(value) end
  local out = {}
  for _, item in ipairs(value) do out[#out + 1] = encode(item) end
  if #out > 0 then return "[" .. table.concat(out, ",\n") .. "]" end
  local names = {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names)
  for position, name in ipairs(names) do out[position] = encode(name) .. ":" .. encode(value[name]) end
  return "{" .. table.concat(out, ",") .. "}"
end

local function write_file(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
end

-- ---- All of it -----------------------------------------------------------------------------------------------------

local function wanted(name)
  if not options.only then return true end
  for part in options.only:gmatch("[^,]+") do
    if name:find(part, 1, true) then return true end
  end
  return false
end

shell("mkdir -p " .. quote(folder))
remove(shared)
local report = {
  machine = machine(), rounds = rounds, store_events = SIZES.store + SIZES.long, rows = {}, starts = {},
}
progress("Writing a store of %d events", SIZES.store + SIZES.long)
local filled = run("esrun", "fill", shared, here .. "/project", SIZES.store, SIZES.long)
report.fill = {
  events_per_second = filled.operations / filled.seconds, early_kib = filled.early_kib, peak_kib = filled.peak_kib,
}
progress("%-36s %12s %12s %-10s %5s %5s", "case", "bare C", "esrun", "", "share", "cpu")
for _, row in ipairs(ROWS) do
  if wanted(row.name) then report.rows[#report.rows + 1] = measure_row(row) end
end
if wanted("start") and not options.ledger then report.starts = measure_starts() end
report.machine.load_after = load_now()
remove(shared)
remove(folder .. "/events.jsonl")
remove(folder .. "/rows.")

if options.json then write_file(options.json, encode(report) .. "\n") end
if options.markdown then write_file(options.markdown, markdown(report)) end
if not options.markdown then io.stdout:write(markdown(report)) end
