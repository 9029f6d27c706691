-- esrun.cli.archive: moves the data and metadata of old events into segments beside the store, and back; lists them.

local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local target = require "esrun.cli.target"

local archive = {
  description = "Move the data and metadata of the oldest events out of the store into compressed, verified files (segments). "
    .. "Everything else of the events stays, so that the ledger holds without them; reading an event fetches the rest from its "
    .. "segment. Nothing is ever deleted. It is recorded in $audit as $Archived and $Unarchived.",
  synopsis = {
    "--older-than AGE | --before POSITION|TIME | --keep N | --max-size BYTES [--to DIR] [--segment-events N] [--dry-run] "
      .. "[--compact] [--as ACTOR]",
    "--restore FROM..TO|all [--as ACTOR]", "--list | --compact",
  },
}

local CHOICES = { "older_than", "before", "keep", "max_size" }
local ALONE = { "restore", "list" }
local UNITS = { h = 3600, d = 24 * 3600, w = 7 * 24 * 3600 }
local SIZES = { [""] = 1, K = 1024, M = 1024 ^ 2 // 1 | 0, G = 1024 ^ 3 // 1 | 0 }

function archive.define(parser)
  parser:option "--older-than":argname "AGE":description "Events recorded longer ago than this: 36h, 30d or 8w."
  parser:option "--before":argname "POSITION|TIME":description "Events at lower positions, or recorded before this time."
  parser:option "--keep":argname "N":description "All but the newest N events."
  parser:option "--max-size":argname "BYTES":description
    "All but the newest events whose data and metadata are so many bytes together; 100M, 2G (of 1,024)."
  parser:option "--to":argname "DIR":description "The folder for the segments (default: STORE-archive, beside the store)."
  parser:option "--segment-events":argname "N":description "At most so many events a segment (default: 100,000)."
  parser:flag "--dry-run":description "Only say what would move."
  parser:option "--restore":argname "FROM..TO|all":description
    "Put data and metadata of these positions back into the store. Their segments stay."
  parser:flag "--list":description "List the segments, and whether each file is at hand."
  parser:flag "--compact":description "Shrink the store's file, while nobody else uses it; alone, or after archiving."
  parser:option "--as":argname "ACTOR":description "Who archives (default: system:archive)."
end

-- What is asked for -------------------------------------------------------------------------------------------------

local function given(args, names)
  local found = {}
  for _, name in ipairs(names) do
    if args[name] then found[#found + 1] = "--" .. name:gsub("_", "-") end
  end
  return found
end

local function check(args)
  local chosen, alone = given(args, CHOICES), given(args, ALONE)
  local more = given(args, { "to", "segment_events", "dry_run" })
  if #alone > 1 or (#alone == 1 and #chosen + #more + (args.compact and 1 or 0) > 0) then
    errors.usage(("%s stands alone"):format(alone[1]), "see esrun help archive")
  elseif #chosen > 1 then
    errors.usage(("%s and %s say what to archive in two ways"):format(chosen[1], chosen[2]), "give one of them")
  elseif #chosen == 0 and #alone == 0 and (#more > 0 or not args.compact) then
    errors.usage("nothing says what to archive",
      "give --older-than, --before, --keep or --max-size; or --restore, --list, --compact")
  elseif args.dry_run and args.compact then
    errors.usage("--dry-run changes nothing, so there is nothing to --compact", "leave one of them out")
  end
end

local function age(text)
  local number, unit = text:match "^(%d+)([hdw])$"
  number = math.tointeger(tonumber(number))
  if not number or number > 10 ^ 6 then
    errors.usage(("--older-than: '%s' is not an age"):format(text), "write 36h, 30d or 8w")
  end
  return number * UNITS[unit] * 1000000
end

local function size(text)
  local number, unit = text:match "^(%d+)([KMG]?)$"
  number = math.tointeger(tonumber(number))
  if not number or number > math.maxinteger // SIZES[unit] then
    errors.usage(("--max-size: '%s' is not a size"):format(text), "write a number of bytes, or 500K, 100M, 2G")
  end
  return number * SIZES[unit]
end

local function options_of(args)
  local options = {
    folder = args.to, dry_run = args.dry_run,
    segment_events = args.segment_events and target.count(args.segment_events, "--segment-events", 1),
    keep = args.keep and target.count(args.keep, "--keep", 0),
    keep_bytes = args.max_size and size(args.max_size),
  }
  if args.older_than then options.before_time = os.time() * 1000000 - age(args.older_than) end
  if args.before and args.before:find "^%d+$" then
    options.before = target.count(args.before, "--before", 1)
  elseif args.before then
    options.before_time = target.time(args.before, "--before")
  end
  return options
end

local function range_of(text)
  if text == "all" then return {} end
  local from, to = text:match "^(%d+)%.%.(%d+)$"
  from, to = math.tointeger(tonumber(from)), math.tointeger(tonumber(to))
  if not from or not to or from < 1 or to < from then
    errors.usage(("--restore: '%s' is not FROM..TO"):format(text), "write positions, as 1..1000, or all")
  end
  return { from = from, to = to }
end

-- Telling -----------------------------------------------------------------------------------------------------------

local function tell(call, report, format, ...)
  if call.out.mode ~= "table" then return call.out:json(report) end
  if report.event_count == 0 then return call.out:line("no events: nothing to do") end
  call.out:line("%s, positions %d to %d, " .. format, counted(report.event_count, "event"), report.from, report.to, ...)
end

local function list(call, es)
  local segments = errors.check(es.archive.segments())
  if call.out.mode == "json" then return call.out:json(segments) end
  for _, segment in ipairs(segments) do
    if call.out.mode == "jsonl" then
      call.out:json(segment)
    else
      call.out:line("%d to %d  %s  %s", segment.from, segment.to, counted(segment.file_bytes, "byte"),
        segment.path or "NOT AT HAND: " .. segment.file)
    end
  end
  if #segments == 0 and call.out.mode == "table" then call.out:line("no segments: nothing was archived") end
end

local function move(call, es, args)
  local options = options_of(args)
  local progress, wipe = call:progress("archive")
  options.progress = progress
  local report, message, code, details = es.archive.move(options)
  wipe()
  errors.check(report, message, code, details)
  if args.compact then errors.check(es.archive.compact()) end
  if args.dry_run then
    return tell(call, report, "%d bytes of data and metadata would move", report.text_bytes)
  end
  tell(call, report, "%d bytes of data and metadata moved; %s, %d bytes", report.text_bytes,
    counted(report.segment_count, "new segment"), report.file_bytes)
end

local function restore(call, es, args)
  local options = range_of(args.restore)
  local progress, wipe = call:progress("archive --restore")
  options.progress = progress
  local report, message, code, details = es.archive.restore(options)
  wipe()
  errors.check(report, message, code, details)
  tell(call, report, "%d bytes of data and metadata are back in the store", report.text_bytes)
end

function archive.run(call, args)
  check(args)
  if args.list then return list(call, call:open { read_only = true }) end
  local es = call:open { must_exist = true }
  local frame = target.frame { as = args.as or "system:archive", role = {}, permission = {} }
  es.context.run(frame, function()
    if args.restore then return restore(call, es, args) end
    if #given(args, CHOICES) > 0 then return move(call, es, args) end
    errors.check(es.archive.compact())
    if call.out.mode == "table" then call.out:line("compacted") else call.out:json { compacted = true } end
  end)
end

return archive
