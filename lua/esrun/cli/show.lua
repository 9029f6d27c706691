-- esrun.cli.show: an aggregate's state, now or as it was at a version or time.

local core = require "esrun.core"
local errors = require "esrun.cli.errors"
local output = require "esrun.cli.output"
local target = require "esrun.cli.target"

local show = {
  description = "Show the state of an aggregate, folded from its events: now, or as it was.",
}

function show.define(parser)
  parser:argument "TYPE/ID":target "target":description "The aggregate, such as Document/4711."
  parser:option "--at":argname "VERSION|TIME":description
    "As it was at this version, or at this time (2026-01-31T12:00:00Z, by recorded_at)."
  target.define_actor(parser,
    "Look as this actor, if the aggregate's view rule allows it, else exit status 9 (default: as operator, past the rule).")
end

local function point_in_time(at)
  if at == nil then return {} end
  if at:find("^%d+$") then return { at_version = target.count(at, "--at", 1) } end
  return { at_time = target.time(at, "--at") }
end

local function print_state(out, text)
  local loaded = assert(core.decode_own(text))
  local head = ("%s/%s at version %d"):format(loaded.aggregate_type, loaded.aggregate_id, loaded.version)
  if loaded.tenant_id ~= core.null then head = head .. " of tenant " .. loaded.tenant_id end
  if loaded.last_event_at ~= core.null then head = head .. ", last changed at " .. loaded.last_event_at end
  out:line("%s", head)
  out:line("%s", output.pretty(assert(core.encode(loaded.state))))
end

function show.run(call, args)
  local aggregate_type, aggregate_id = target.parse(args.target)
  local frame = target.frame(args)
  frame.operator_scope = args.as == nil
  local options = point_in_time(args.at)
  options.form = "json"
  local es = call:open { read_only = true }
  local text = es.context.run(frame, function()
    return errors.check(es:load({ aggregate_type, aggregate_id }, options))
  end)
  if call.out.mode == "table" then print_state(call.out, text) else call.out:json(text) end
end

return show
