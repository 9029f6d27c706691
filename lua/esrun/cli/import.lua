-- esrun.cli.import: events from an export, or from rows of CSV and JSON through a mapping module.

local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local place = require "esrun.cli.place"
local system = require "esrun.system"
local target = require "esrun.cli.target"

local BLOCK = 16 * 1024 * 1024 -- some groups: while one is stored the next is read

local import = {
  description = "Store the events of an export: into an empty store exactly as they were, with --append beside other events. "
    .. "With --map, rows of CSV or JSON lines become events through a module in Lua. Importing again goes on where the "
    .. "first import ended.",
}

function import.define(parser)
  parser:argument "FILE":target "file":description "The input; - for standard input."
  parser:flag "--append":description "Beside other events: new positions, the old ones kept in metadata."
  parser:option "--map":argname "MODULE.lua":description
    "Rows of CSV or JSON lines become events through this mapping: `return function(row, ctx) … end`."
  parser:option "--name":argname "NAME":description "Of the source: with --map its events are by the actor import:NAME."
  parser:option "--format":choices { "export", "jsonl", "csv" }
    :description "What the input is (default: export; with --map by the file's ending)."
  parser:option "--tenant":argname "TENANT":description "The tenant that mapped events belong to."
  parser:option "--group":argname "N":description "Events a transaction, 1 to 10000 (default: 4000)."
end

local function form_of(args)
  if args.map and args.format == "export" or not args.map and (args.format or "export") ~= "export" then
    errors.usage("--map goes with --format csv or jsonl", "an export of esrun needs no mapping")
  end
  if not args.map then return "export" end
  local form = args.format or args.file:match("%.([^./]+)$")
  if form == "csv" or form == "jsonl" then return form end
  errors.usage(("cannot tell what '%s' is"):format(args.file), "say --format csv or --format jsonl")
end

local function options_of(args)
  local options = { form = form_of(args), append = args.append, name = args.name }
  options.group = args.group and target.count(args.group, "--group", 1)
  if not args.map then
    errors.refuse(args, { "--tenant" }, "with --map: an export's events have their tenants")
    if not args.append then errors.refuse(args, { "--name" }, "with --append or --map") end
    return options
  end
  errors.refuse(args, { "--append" }, "with an export, not with --map: mapped events are always new ones")
  if not args.name then errors.usage("--map needs a name for the source", "add --name NAME: the events' actor is import:NAME") end
  local file <close> = place.input(args.map)
  options.mapping, options.mapping_path = place.read(file, args.map, "a"), args.map
  return options
end

-- Feeds the whole input; the result of the first call that fails, or of the last one.
local function feed_all(running, file, size, progress)
  local seen = 0
  while true do
    local block, why = file:read(BLOCK)
    if why then return nil, "cannot be read: " .. why end
    if not block then break end
    local done, message, code, details = running:feed(block)
    if not done then return nil, message, code, details end
    seen = seen + #block
    if progress then progress(seen // 1024, math.max(size or seen, seen) // 1024) end
  end
  return running:finish()
end

local function tell(call, report, seconds)
  if call.out.mode ~= "table" then return call.out:json(report) end
  local rate = seconds > 0 and math.floor(report.imported_count / seconds) or report.imported_count
  call.out:line("%s imported, %s there already%s, %s (%d events/s)", counted(report.imported_count, "event"),
    counted(report.skipped_count, "was", "were"),
    report.ignored_count > 0 and ", " .. counted(report.ignored_count, "row is no event", "rows are no events") or "",
    counted(report.line_count, "line"), rate)
end

function import.run(call, args)
  local options = options_of(args)
  local file, size = place.input(args.file)
  local es = call:open()
  local scope <close> = es.context.enter { tenant_id = args.tenant }
  local running = errors.check(es:import(options))
  local progress, wipe = call:progress("import, KiB")
  local started = system.seconds()
  local done, message, _, details = feed_all(running, file, size, progress)
  wipe()
  local report = running:report()
  if not done then
    local stored = counted(report.imported_count, "event before it is stored; importing again goes on behind it",
      "events before it are stored; importing again goes on behind them")
    local hint = details and details.hint
    errors.fail(details and details.exit_status or 1, ("%s: %s"):format(args.file, message),
      hint and hint .. "; " .. stored or stored)
  end
  tell(call, report, system.seconds() - started)
  return 0, scope
end

return import
