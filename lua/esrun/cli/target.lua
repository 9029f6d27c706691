-- esrun.cli.target: what several commands are told in the same words: an aggregate, a point in time, who asks, which events.

local core = require "esrun.core"
local errors = require "esrun.cli.errors"

local target = {}

--- "Document/ID" taken apart; the id may hold slashes.
function target.parse(text)
  local aggregate_type, aggregate_id = text:match("^([^/]+)/(.+)$")
  if not aggregate_type then
    errors.usage(("'%s' is not TYPE/ID"):format(text), "name an aggregate as Document/4711")
  end
  return aggregate_type, aggregate_id
end

function target.time(text, option)
  local time = core.parse_time(text)
  if time then return time end
  errors.usage(("%s: '%s' is not a time"):format(option, text),
    "write 2026-01-31, 2026-01-31T12:00:00Z or 2026-01-31T13:00:00+01:00")
end

function target.count(text, option, least)
  local number = math.tointeger(tonumber(text:match("^%d+$")))
  if number and number >= least then return number end
  errors.usage(("%s: '%s' is not a whole number of at least %d"):format(option, text, least))
end

function target.uuid(text, option)
  return core.parse_id(text) or errors.usage(("%s: '%s' is not a UUID"):format(option, text))
end

--- Fails for an aggregate type that no module declares.
function target.check_type(es, name)
  local known = {}
  for other in pairs(errors.check(es:describe()).aggregates) do known[#known + 1] = other end
  table.sort(known)
  for _, other in ipairs(known) do
    if other == name then return end
  end
  errors.usage("no module declares an aggregate " .. name, "known: " .. table.concat(known, ", "))
end

-- Who asks ----------------------------------------------------------------------------------------------------------

--- Options that say who acts, for commands that write or read as somebody.
---@param as string what --as means to the command
function target.define_actor(parser, as)
  parser:option "--as":argname "ACTOR":description(as)
  parser:option "--role":argname "ROLE":count "*":description "A role of the actor."
  parser:option "--permission":argname "PERMISSION":count "*":description "A permission of the actor."
  parser:option "--tenant":argname "TENANT":description "The tenant whose data is meant."
end

--- The frame for these options. That the actor is really there is asserted by the local user, and recorded as such.
function target.frame(args)
  local frame = { actor_id = args.as, tenant_id = args.tenant }
  if args.as then
    frame.auth_method = "local"
    frame.os_user = tostring(require("esrun.system").user_id())
  elseif #args.role > 0 or #args.permission > 0 then
    errors.usage("--role and --permission belong to an actor", "say who acts with --as ACTOR")
  end
  if #args.role > 0 then frame.roles = args.role end
  if #args.permission > 0 then frame.permissions = args.permission end
  return frame
end

-- Which events ------------------------------------------------------------------------------------------------------

--- Options that choose events, for log and export.
function target.define_filter(parser)
  parser:option "--actor":argname "ACTOR":description "By this actor; none: by nobody (anonymous is an actor)."
  parser:option "--type":argname "TYPE":description "Of this event type."
  parser:option "--aggregate":argname "TYPE[/ID]":description "Of this aggregate, or of all of its type."
  parser:option "--correlation":argname "UUID":description "Of this correlation."
  parser:option "--causation":argname "UUID":description "Caused by this event; none: by no event."
  parser:option "--tenant":argname "TENANT":description "Of this tenant; none: of no tenant."
  parser:option "--from":argname "TIME":description "Recorded at this time or later."
  parser:option "--to":argname "TIME":description "Recorded before this time."
  parser:option "--after":argname "POSITION":description "Behind this position; with --reverse before it."
  parser:option "--limit":argname "N":description "At most so many."
  parser:flag "--reverse":description "Newest first."
end

local function or_none(text) return text == "none" and core.none or text end

--- The filter for these options.
function target.filter(args)
  local filter = {
    actor_id = or_none(args.actor), event_type = args.type, tenant_id = or_none(args.tenant), reverse = args.reverse,
    causation_id = args.causation and (args.causation == "none" and core.none or target.uuid(args.causation, "--causation")),
    correlation_id = args.correlation and target.uuid(args.correlation, "--correlation"),
    from = args.from and target.time(args.from, "--from"), to = args.to and target.time(args.to, "--to"),
    after = args.after and target.count(args.after, "--after", 0),
    limit = args.limit and target.count(args.limit, "--limit", 0),
  }
  if args.aggregate then
    filter.aggregate_type, filter.aggregate_id = args.aggregate:match("^([^/]+)/?(.*)$")
    if not filter.aggregate_type then errors.usage(("--aggregate: '%s' is not TYPE or TYPE/ID"):format(args.aggregate)) end
    if filter.aggregate_id == "" then filter.aggregate_id = nil end
  end
  return filter
end

return target
