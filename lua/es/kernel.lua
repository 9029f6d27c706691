--- es.kernel: checks declarations when modules load, and answers the engine's questions about one command at a time:
-- are the parameters right, may this actor do it, what happens. Trusted code inside a domain state; the engine (C) calls
-- it, domain code cannot reach it. Knows no store and no context beyond the `ctx` it is given.
local support = require "es.support"
local es = require "es"
local place = require "es.place"
local schema = require "es.schema"
local projection = require "es.projection"

local kernel = {
  aggregates = {}, projections = {},
  raise_next = place.raise_next,
  context_owns = nil, -- set by the engine: is this metadata name the context's?
}

local event_owner = {} -- event type -> its aggregate's place, since types are unique in a project
local dispatch_owner = {} -- dispatch name -> the place of the command that has it, unique likewise

local function sorted_keys(from)
  local keys = {}
  for key in pairs(from) do
    keys[#keys + 1] = tostring(key)
  end
  table.sort(keys)
  return keys
end

--- What to offer for an unknown name: "did you mean X? known: A, B".
local function known(name, from)
  local keys = sorted_keys(from)
  if #keys == 0 then
    return "there are none"
  end
  local list, near = "known: " .. table.concat(keys, ", "), require "es.nearest"(name, keys)
  return near and "did you mean " .. near .. "? " .. list or list
end

-- ---- declarations ----

local aggregate_keys = {
  name = "string", events = "table", initial = "function", apply = "table", commands = "table", upcast = "table",
  view = "function", not_found = "string", snapshot = "table",
}
local command_keys = {
  params = "table", allow = "function", decide = "function", exists = "any", dispatch = "string", description = "string",
}

-- What is wrong with a declaration is added to its place; the checks go on with what is right, so that all is told.

-- The fields that are right.
local function check_keys(where, declaration, allowed)
  local right = {}
  for _, key in ipairs(sorted_keys(declaration)) do
    local want = allowed[key]
    if not want then
      where:add({ key }, "unknown field '%s' (%s)", key, known(key, allowed))
    elseif want ~= "any" and type(declaration[key]) ~= want then
      where:add({ key }, "%s must be a %s, not a %s", key, want, type(declaration[key]))
    else
      right[key] = declaration[key]
    end
  end
  return right
end

--- Version of an event type's data: one more than the upcasters from 1 upward.
local function schema_version(where, event_type, upcast)
  local steps = upcast and upcast[event_type]
  if steps == nil then
    return 1
  end
  if type(steps) ~= "table" then
    where:add({ "upcast", event_type }, "upcast.%s must be a table of functions by version", event_type)
    return 1
  end
  local count = 0
  for _ in pairs(steps) do
    count = count + 1
  end
  for version = 1, count do
    if type(steps[version]) ~= "function" then
      where:add({ "upcast", event_type }, "upcast.%s must have functions for every version from 1 to %d", event_type, count)
      break
    end
  end
  return count + 1
end

local function add_wrong_field(where, names, reason, field)
  names = table.move(names, 1, #names, 1, {})
  for name in (field or ""):gmatch "[^.]+" do names[#names + 1] = name end
  where:add(names, "%s: %s", table.concat(names, "."), reason)
end

-- `names` lead from the place to the fields.
local function compile_fields(where, names, fields)
  local compiled, reason, wrong = schema.compile(fields)
  if not compiled and not wrong then
    add_wrong_field(where, names, reason)
  elseif not compiled then
    for _, name in ipairs(sorted_keys(fields)) do
      local fine, one_reason, one = schema.compile { [name] = fields[name] }
      if not fine then add_wrong_field(where, names, one_reason, one) end
    end
  end
  return compiled
end

local function compile_event(where, event_type, fields, upcast)
  local names = { "events", event_type }
  if not event_type:find "^%a[%w_.-]*$" or #event_type > 128 then
    where:add(names, "event type '%s' must be a name such as DocumentCreated", event_type)
  end
  local owner = event_owner[event_type]
  if owner then
    where:add(names, "event type %s is already declared by %s; event types are unique in a project", event_type,
      tostring(owner:inner(nil, "events", event_type)))
  end
  event_owner[event_type] = owner or where
  if type(fields) ~= "table" then
    where:add(names, "events.%s must be a table of fields", event_type)
    fields = {}
  end
  local require_actor = fields.require_actor == true
  if require_actor then
    local rest = {}
    for key, value in pairs(fields) do
      if key ~= "require_actor" then
        rest[key] = value
      end
    end
    fields = rest
  end
  return {
    schema = compile_fields(where, names, fields),
    version = schema_version(where, event_type, upcast),
    require_actor = require_actor,
  }
end

local function compile_command(where, name, command)
  if type(command) ~= "table" then
    return where:add({ "commands", name }, "commands.%s must be a table with params, allow and decide", name)
  end
  local here = where:inner("commands." .. name, "commands", name)
  local right = check_keys(here, command, command_keys)
  if command.decide == nil then
    here:add({ "decide" }, "decide must be a function(state, cmd, ctx)")
  end
  command = right
  local exists = command.exists
  if exists ~= nil and exists ~= true and exists ~= false and type(exists) ~= "string" then
    here:add({ "exists" }, "exists must be true or the message for a missing aggregate")
  end
  if command.dispatch then
    local owner = dispatch_owner[command.dispatch]
    if owner then
      here:add({ "dispatch" }, "dispatch name %s is already that of %s", command.dispatch, tostring(owner))
    end
    dispatch_owner[command.dispatch] = owner or here
  end
  if (command.params or {}).actor_id ~= nil then
    here:add({ "params", "actor_id" }, "a parameter cannot be named actor_id: who acts comes from the context (ctx.actor_id)")
  end
  return {
    name = name,
    schema = compile_fields(where, { "commands", name, "params" }, command.params or {}),
    allow = command.allow, -- none: denied
    decide = command.decide,
    exists = exists or nil,
    dispatch = command.dispatch,
    description = command.description,
  }
end

-- Handlers and upcasters are of events that are declared. While `events` itself is wrong, nothing is known of these.
local function check_handled(where, compiled)
  for _, event_type in ipairs(sorted_keys(compiled.apply)) do
    if not compiled.events[event_type] then
      where:add({ "apply", event_type }, "apply.%s handles an event that is not declared (%s)", event_type,
        known(event_type, compiled.events))
    elseif type(compiled.apply[event_type]) ~= "function" then
      where:add({ "apply", event_type }, "apply.%s must be a function(state, e)", event_type)
    end
  end
  for _, event_type in ipairs(sorted_keys(compiled.upcast)) do
    if not compiled.events[event_type] then
      where:add({ "upcast", event_type }, "upcast.%s: no such event (%s)", event_type, known(event_type, compiled.events))
    end
  end
end

local function register_aggregate(declaration, chunk_name)
  local where = place.of(declaration, chunk_name, "aggregate " .. tostring(declaration.name))
  local right = check_keys(where, declaration, aggregate_keys)
  local name = right.name or ""
  if kernel.aggregates[name] then
    where:add({}, "already declared by %s", kernel.aggregates[name].chunk_name)
    where:conclude() -- its events are, too
  end
  local compiled = {
    name = name, chunk_name = chunk_name, commands = {}, events = {},
    initial = right.initial or function() return {} end,
    apply = right.apply or {}, upcast = right.upcast or {}, view = right.view,
    not_found = right.not_found or name .. " not found",
  }
  if right.snapshot then
    compiled.snapshot = require "es.snapshot".check(where, right.snapshot, known)
  end
  for _, event_type in ipairs(sorted_keys(right.events or {})) do
    compiled.events[event_type] = compile_event(where, event_type, right.events[event_type], compiled.upcast)
  end
  if declaration.events == right.events then check_handled(where, compiled) end
  for _, command in ipairs(sorted_keys(right.commands or {})) do
    compiled.commands[command] = compile_command(where, command, right.commands[command])
  end
  where:conclude()
  kernel.aggregates[name] = compiled
  return compiled
end

--- Takes what a module returned.
-- @return kind "aggregate" or "projection", its name, and an aggregate's policy for snapshots
function kernel.register(declaration, chunk_name)
  if es.is_aggregate(declaration) then
    return "aggregate", declaration.name, register_aggregate(declaration, chunk_name).snapshot
  end
  if projection.is_projection(declaration) then
    if kernel.projections[declaration.name] then
      local where = place.of(declaration, chunk_name, "projection " .. declaration.name)
      where:add({}, "already declared by %s", kernel.projections[declaration.name].chunk_name)
      where:conclude()
    end
    projection.check(declaration, chunk_name)
    kernel.projections[declaration.name] = { chunk_name = chunk_name, declaration = declaration }
    return "projection", declaration.name
  end
  place.fail_at_return(chunk_name, "the module must return what es.aggregate or es.projection made, not a "
    .. type(declaration))
end

local function describe_aggregate(aggregate)
  local out = { module = aggregate.chunk_name, events = {}, commands = {}, snapshot = aggregate.snapshot }
  for event_type, event in pairs(aggregate.events) do
    out.events[event_type] = { version = event.version, fields = schema.describe(event.schema) }
  end
  for name, command in pairs(aggregate.commands) do
    out.commands[name] = {
      params = schema.describe(command.schema), allow = command.allow ~= nil, exists = command.exists ~= nil,
      dispatch = command.dispatch, description = command.description,
    }
  end
  return out
end

--- The modules as plain data, for `describe`.
-- @param hashes table: hex by chunk name
function kernel.describe(hashes)
  local out = { aggregates = {}, projections = {} }
  for name, aggregate in pairs(kernel.aggregates) do
    out.aggregates[name] = describe_aggregate(aggregate)
    out.aggregates[name].hash = hashes[aggregate.chunk_name]
  end
  for name, entry in pairs(kernel.projections) do
    local description = projection.describe(entry.declaration)
    description.module, description.hash = entry.chunk_name, hashes[entry.chunk_name]
    out.projections[name] = description
  end
  return out
end

-- ---- one command ----

local function usage(code, message, hint)
  support.raise { status = "usage", code = code, message = message, hint = hint }
end

--- The aggregate of a type; raises a usage error that offers the known ones.
function kernel.aggregate(name)
  local aggregate = kernel.aggregates[name]
  if not aggregate then
    usage("unknown_aggregate", "no module declares an aggregate " .. name, known(name, kernel.aggregates))
  end
  return aggregate
end

function kernel.command(name, command_name)
  local aggregate = kernel.aggregate(name)
  local command = aggregate.commands[command_name]
  if not command then
    usage("unknown_command", name .. " has no command " .. command_name, known(command_name, aggregate.commands))
  end
  return command, aggregate
end

--- Finds a command by its dispatch name ("ShipOrder").
-- @return aggregate type, command name
function kernel.dispatch(alias)
  local aliases = {}
  for type_name, aggregate in pairs(kernel.aggregates) do
    for name, command in pairs(aggregate.commands) do
      if command.dispatch then
        aliases[command.dispatch] = { type_name, name }
      end
    end
  end
  local found = aliases[alias]
  if not found then
    usage("unknown_command", "no command is dispatched as " .. alias, known(alias, aliases))
  end
  return found[1], found[2]
end

--- Checks parameters and returns them as a plain table to be stored and hashed.
function kernel.params(name, command_name, params)
  local command = kernel.command(name, command_name)
  if params.actor_id ~= nil then
    usage("actor_in_params", "params.actor_id: who acts is never a parameter",
      "enter a context frame with actor_id, or use --as")
  end
  local ok, problem = schema.check(command.schema, params, "params")
  if not ok then
    usage("bad_params", name .. " " .. command_name .. ": " .. problem.message)
  end
  return params
end

--- The message of a missing aggregate, or nil when the command may start one.
function kernel.missing(name, command_name)
  local command, aggregate = kernel.command(name, command_name)
  if not command.exists then
    return nil
  end
  return command.exists == true and aggregate.not_found or command.exists
end

local function ask(rule, state, params, ctx)
  local ok, reason, code = rule(state, params, ctx)
  if ok == true then
    return true
  end
  if type(reason) ~= "string" then
    reason = ctx.actor_id == nil and "Authentication required" or "Access denied"
  end
  if type(code) ~= "string" then
    code = reason == "Authentication required" and "unauthenticated" or "forbidden"
  end
  return false, reason, code
end

--- Asks the command's rule. A command without one is denied.
-- @return true, or false, reason, code
function kernel.authorize(name, command_name, state, params, ctx)
  local command = kernel.command(name, command_name)
  if not command.allow then
    return false, "Access denied", "no_rule"
  end
  return ask(command.allow, support.read_only(state), support.read_only(params), support.read_only(ctx))
end

--- Asks the aggregate's `view` rule, if it has one.
function kernel.may_view(name, state, ctx)
  local aggregate = kernel.aggregate(name)
  if not aggregate.view then
    return true
  end
  return ask(aggregate.view, support.read_only(state), support.read_only {}, support.read_only(ctx))
end

-- Where an event was decided, for messages.
local function decided_at(aggregate, command_name, event)
  return ("%s: %s %s"):format(event.at or aggregate.chunk_name, aggregate.name, command_name)
end

local function check_metadata(metadata, aggregate, command_name, event)
  local where = decided_at(aggregate, command_name, event)
  if getmetatable(metadata) then -- `pairs` below would see what its __pairs shows, not what is stored
    support.raise { status = "lua", code = "reserved_metadata", message = where .. ": metadata must be a plain table" }
  end
  for key in pairs(metadata) do
    if type(key) ~= "string" or key:sub(1, 1) == "$" or kernel.context_owns(key) then
      support.raise { status = "lua", code = "reserved_metadata",
        message = ("%s: metadata name '%s' belongs to the context"):format(where, tostring(key)),
        hint = "set it in a context frame (host code), or choose another name" }
    end
  end
end

local function decided(aggregate, command_name, event, index, ctx)
  local declared = aggregate.events[event.event_type]
  if not declared then
    support.raise { status = "lua", code = "undeclared_event",
      message = ("%s decided an event %s that %s does not declare"):format(decided_at(aggregate, command_name, event),
        event.event_type, aggregate.chunk_name),
      hint = known(event.event_type, aggregate.events) }
  end
  if declared.require_actor and ctx.actor_id == nil then
    usage("actor_required", event.event_type .. " requires an actor", "enter a context frame with actor_id, or use --as")
  end
  local data = support.unwrap(event.data)
  local ok, problem = schema.check(declared.schema, data, "data")
  if not ok then
    support.raise { status = "lua", code = "bad_event",
      message = ("%s: event %d, %s: %s"):format(decided_at(aggregate, command_name, event), index, event.event_type,
        problem.message) }
  end
  if event.metadata then
    check_metadata(event.metadata, aggregate, command_name, event)
  end
  return {
    event_type = event.event_type, schema_version = declared.version, data = data, metadata = event.metadata,
    causation_id = event.causation_id, correlation_id = event.correlation_id,
  }
end

--- Runs decide.
-- @return list of events, or nil, code, message of a rejection
function kernel.decide(name, command_name, state, params, ctx)
  local command, aggregate = kernel.command(name, command_name)
  local result = command.decide(support.read_only(state), support.read_only(params), support.read_only(ctx))
  if es.is_rejection(result) then
    return nil, result.code, result.message
  end
  if result == nil then
    result = {}
  elseif es.is_event(result) then
    result = { result }
  end
  local events = {}
  for index, event in ipairs(type(result) == "table" and result or {}) do
    if es.is_rejection(event) then
      return nil, event.code, event.message
    end
    if not es.is_event(event) then
      events = nil
      break
    end
    events[index] = decided(aggregate, command_name, event, index, ctx)
  end
  if type(result) ~= "table" or not events or #events == 0 and next(result) ~= nil then
    support.raise { status = "lua", code = "bad_decision",
      message = ("%s: %s %s: decide must return es.event(…), a list of them, es.reject(…) or nothing"):format(
        aggregate.chunk_name, name, command_name) }
  end
  return events
end

-- ---- appending without a command ----

local function declared_event(name, event_type)
  local aggregate = kernel.aggregate(name)
  local declared = aggregate.events[event_type]
  if not declared then
    usage("undeclared_event", ("%s does not declare an event %s"):format(name, event_type), known(event_type, aggregate.events))
  end
  return declared
end

--- The plan that fits the data of a declared event, in its newest version.
function kernel.event_plan(name, event_type) return declared_event(name, event_type).schema.plan end

--- Checks an event that trusted code appends: declared, and its data fits once it is up to date.
-- @param version integer: of the data; 0: the declared one
-- @return the data's version, and whether that is the declared one
function kernel.given(name, event_type, version, data)
  local declared = declared_event(name, event_type)
  version = version > 0 and version or declared.version
  local ok, problem = schema.check(declared.schema, kernel.upcast(name, event_type, version, data), "data")
  if not ok then
    usage("bad_event", problem.message)
  end
  return version, version == declared.version
end

-- ---- folding ----

--- Brings an old event's data to the version the module declares now.
function kernel.upcast(name, event_type, version, data)
  local aggregate = kernel.aggregates[name]
  local declared = aggregate and aggregate.events[event_type]
  if not declared then
    return data
  end
  if version > declared.version then
    support.raise { status = "lua", code = "newer_event",
      message = ("%s: an event %s has version %d, the module knows up to %d"):format(aggregate.chunk_name, event_type,
        version, declared.version),
      hint = "run the newer module, or add the change to it" }
  end
  for step = version, declared.version - 1 do
    data = aggregate.upcast[event_type][step](data)
    if type(data) ~= "table" then
      support.raise { status = "lua", code = "bad_upcast",
        message = ("%s: upcast.%s[%d] must return the new data"):format(aggregate.chunk_name, event_type, step) }
    end
  end
  return data
end

return kernel
