-- esrun.cli.snapshot: takes, lists and drops snapshots, from which loading long streams begins.

local core = require "esrun.core"
local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local target = require "esrun.cli.target"

local snapshot = {
  description = "Keep the state of aggregates, so that loading them folds only the events behind it. Any snapshot may be "
    .. "dropped: the events are all there is to know.",
  synopsis = {
    "TYPE/ID… [--tenant TENANT]", "--all [--type TYPE] [--min-events N] [--tenant TENANT]",
    "--list [TYPE/ID…] [--tenant TENANT]", "--drop TYPE/ID… [--tenant TENANT]", "--drop --all",
  },
}

function snapshot.define(parser)
  parser:argument "TYPE/ID":target "targets":args "*":description "The aggregates, such as Document/4711."
  parser:flag "--all":description
    "Every aggregate, of every tenant or the one named, that has new events since its newest snapshot."
  parser:option "--type":argname "TYPE":description "With `--all`: only those of this type."
  parser:option "--min-events":argname "N":description "With `--all`: only those with so many new events (default: 1)."
  parser:flag "--list":description "Take none: list those there are, and why one is not used."
  parser:flag "--drop":description "Take none: take them away."
  parser:option "--tenant":argname "TENANT":description "The tenant whose aggregates are named."
end

local LISTED = { "aggregate", "tenant_id", "version", "bytes", "created_at", "unfit" }

local function each_target(args, visit)
  for _, name in ipairs(args.targets) do visit({ target.parse(name) }, name) end
end

local function print_rows(out, rows)
  for _, row in ipairs(out.mode == "table" and {} or rows) do -- one shape for programs
    row.tenant_id, row.unfit = row.tenant_id or core.null, row.unfit or core.null
  end
  if out.mode == "json" then
    out:json(core.array(rows))
  elseif out.mode == "jsonl" then
    for _, row in ipairs(rows) do out:json(row) end
  else
    for _, row in ipairs(rows) do row.aggregate = row.aggregate_type and row.aggregate_type .. "/" .. row.aggregate_id end
    out:table(LISTED, rows)
  end
end

local function list(call, args)
  local es = call:open { read_only = true }
  local rows = {}
  es.context.run({ tenant_id = args.tenant, operator_scope = #args.targets == 0 and not args.tenant }, function()
    if #args.targets == 0 then rows = errors.check(es:snapshots()) end
    each_target(args, function(name)
      for _, row in ipairs(errors.check(es:snapshots(name))) do rows[#rows + 1] = row end
    end)
  end)
  print_rows(call.out, rows)
end

local function drop(call, args)
  local es = call:open { must_exist = true }
  local count = 0
  es.context.run({ tenant_id = args.tenant, operator_scope = args.all }, function()
    if args.all then count = errors.check(es:drop_snapshots()) end
    each_target(args, function(name) count = count + errors.check(es:drop_snapshots(name)) end)
  end)
  if call.out.mode ~= "table" then return call.out:json { dropped = count } end
  call.out:line("%s dropped", counted(count, "snapshot"))
end

local function take_all(call, args)
  local es = call:open { must_exist = true }
  if args.type then target.check_type(es, args.type) end
  local failures = core.array {}
  local scope <close> = es.context.enter { tenant_id = args.tenant, operator_scope = not args.tenant }
  local progress, wipe = call:progress("snapshot")
  local report, message, code, details = es:snapshot_all {
    aggregate_type = args.type, min_events = args.min_events and target.count(args.min_events, "--min-events", 1),
    on_failed = function(failed) failures[#failures + 1] = failed end, progress = progress,
  }
  wipe()
  errors.check(report, message, code, details)
  if call.out.mode == "table" then
    for _, failed in ipairs(failures) do call.out:line("no snapshot: %s", failed.message) end
    call.out:line("%s taken of %s", counted(report.taken_count, "snapshot"),
      counted(report.stream_count, "aggregate"))
  else
    report.failures = failures
    call.out:json(report)
  end
  return details and details.exit_status or 0, scope
end

local function take(call, args)
  local es = call:open { must_exist = true }
  local add = call.out.mode ~= "table" and call.out:json_list()
  es.context.run({ tenant_id = args.tenant }, function()
    each_target(args, function(name, text)
      local taken = errors.check(es:snapshot(name))
      if add then
        taken.aggregate_type, taken.aggregate_id = name[1], name[2]
        return add(assert(core.encode(taken)))
      end
      call.out:line("%s at version %d: snapshot %s, %d bytes", text, taken.version, taken.snapshot_id, taken.bytes)
    end)
  end)
  if add then add(nil) end
end

local function check(args)
  local named = #args.targets > 0
  if args.list and args.drop then errors.usage("--list and --drop do not go together") end
  if args.all and named then errors.usage("--all goes without TYPE/ID") end
  if not args.list and not args.all and not named then
    errors.usage("which aggregates?", "name them as Document/4711, or say --all")
  end
  if args.list and args.all then errors.usage("--list goes without --all: without TYPE/ID it lists all") end
  if args.drop and args.all and args.tenant then errors.usage("--tenant goes with TYPE/ID: --drop --all drops every tenant's") end
  if not args.all or args.drop then errors.refuse(args, { "--type", "--min-events" }, "with --all, when snapshots are taken") end
end

function snapshot.run(call, args)
  check(args)
  if args.list then return list(call, args) end
  if args.drop then return drop(call, args) end
  return (args.all and take_all or take)(call, args)
end

return snapshot
