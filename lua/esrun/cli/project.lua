-- esrun.cli.project: projections: what there is, how far they are, running, rebuilding, asking.

local core = require "esrun.core"
local errors = require "esrun.cli.errors"
local output = require "esrun.cli.output"
local params = require "esrun.cli.params"
local target = require "esrun.cli.target"

local ACTIONS = { "list", "run", "status", "rebuild", "query" }

local WHO_ASKS = "[--as ACTOR] [--role ROLE]… [--permission PERMISSION]… [--tenant TENANT]"
local FORMS = {
  list = "list", run = "run [NAME] [--follow [--watch]]", status = "status", rebuild = "rebuild NAME",
  query = "query NAME QUERY [NAME=VALUE]…",
}

local project = {
  description = "Run, inspect, rebuild and query projections.",
  synopsis = { FORMS.list, FORMS.run, FORMS.status, FORMS.rebuild, FORMS.query .. " " .. WHO_ASKS },
  ACTIONS = ACTIONS,
}

function project.define(parser)
  parser:argument "ACTION":target "action":choices(ACTIONS)
    :description("list: what there is; run: bring one, or all, up to the store's head; status: how far each is; "
      .. "rebuild: build a new generation, which takes over when it has caught up; query: ask.")
  parser:argument "WORD":target "words":args "*":description
    "What the action takes: a projection, a query, its parameters as with `exec`."
  parser:flag "--follow":description "With `run`: go on with events as they are stored; ends with an interrupt."
  parser:flag "--watch":description
    "With `run --follow`: put changed modules in force, if they are right, and rebuild the projections they change."
  target.define_actor(parser, "With `query`: who asks.")
end

local function names_of(of)
  local names = {}
  for name in pairs(of) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- Rows as the mode wants them; a list is one document.
local function print_rows(out, columns, rows)
  if out.mode == "json" then
    out:json(core.array(rows))
  elseif out.mode == "jsonl" then
    for _, row in ipairs(rows) do out:json(row) end
  else
    out:table(columns, rows)
  end
end

local function want(args, least, most)
  if #args.words < least or #args.words > most then
    errors.usage("project " .. args.action .. " is used as: esrun project " .. FORMS[args.action])
  end
  return args.words[1], args.words[2]
end

local function known_projection(es, name)
  local projections = errors.check(es:describe()).projections
  if projections[name] then return projections[name] end
  local names = names_of(projections)
  local near = require "es.nearest"(name, names)
  errors.fail(5, ("no projection is called '%s'"):format(name),
    (near and "did you mean " .. near .. "? " or "") .. "known: " .. table.concat(names, ", "))
end

local actions = {}

function actions.list(call, args)
  want(args, 0, 0)
  local projections = errors.check(call:open { read_only = true }:describe()).projections
  local rows = {}
  for _, name in ipairs(names_of(projections)) do
    local about = projections[name]
    rows[#rows + 1] = { name = name, module = about.module, queries = core.array(names_of(about.queries or {})) }
  end
  if call.out.mode == "table" then
    for _, row in ipairs(rows) do row.queries = table.concat(row.queries, ", ") end
  end
  print_rows(call.out, { "name", "queries", "module" }, rows)
end

function actions.status(call, args)
  want(args, 0, 0)
  local rows = errors.check(call:open { read_only = true }:projection_status())
  print_rows(call.out, { "name", "state", "position", "head", "behind", "generation", "error" }, rows)
end

local function work(call, args, es, name, method, done)
  local progress, wipe = call:progress(args.action)
  local ok, message, code, details = es[method](es, name, { progress = progress })
  wipe()
  errors.check(ok, message, code, details)
  local rows = core.array {}
  for _, row in ipairs(errors.check(es:projection_status())) do
    if name == nil or row.name == name then rows[#rows + 1] = row end
  end
  if call.out.mode ~= "table" then return print_rows(call.out, nil, rows) end
  for _, row in ipairs(rows) do call.out:line(done, row.name, row.position) end
end

function actions.run(call, args)
  local name = want(args, 0, 1)
  local es = call:open { must_exist = true }
  if name then known_projection(es, name) end
  if args.follow then return require "esrun.cli.follow_projections"(call, es, name, args.watch) end
  work(call, args, es, name, "project", "%s is at position %d")
end

function actions.rebuild(call, args)
  local name = want(args, 1, 1)
  local es = call:open { must_exist = true }
  known_projection(es, name)
  work(call, args, es, name, "rebuild", "%s is rebuilt, at position %d")
end

local function declared_params(projection, name, query)
  local queries = projection.queries or {}
  if queries[query] then
    local declared = {}
    for param, kind in pairs(queries[query]) do declared[param] = { type = kind:match("^%l+") } end
    return declared
  end
  local names = names_of(queries)
  local near = require "es.nearest"(query, names)
  errors.fail(5, ("projection %s has no query '%s'"):format(name, query),
    (near and "did you mean " .. near .. "? " or "") .. "known: " .. table.concat(names, ", "))
end

-- The columns stand in the order of the query.
local function print_text_rows(out, lines)
  local rows = {}
  for position, line in ipairs(lines) do rows[position] = assert(core.decode_own(line)) end
  if #rows > 0 then out:table(output.member_names(lines[1]), rows) end
end

function actions.query(call, args)
  local name, query = want(args, 2, math.huge)
  local es = call:open { read_only = true }
  local declared = declared_params(known_projection(es, name), name, query)
  local values = params.read(table.move(args.words, 3, #args.words, 1, {}), declared)
  local lines = {}
  es.context.run(target.frame(args), function()
    for line in es:rows(name, query, values, "json") do lines[#lines + 1] = line end
  end)
  if call.out.mode == "table" then return print_text_rows(call.out, lines) end
  local add = call.out:json_list()
  for _, line in ipairs(lines) do add(line) end
  add(nil)
end

function project.run(call, args)
  if (args.follow or args.watch) and args.action ~= "run" or args.watch and not args.follow then
    errors.usage("--follow goes with run, and --watch with run --follow")
  end
  if args.action ~= "query" then errors.refuse(args, { "--as", "--role", "--permission", "--tenant" }, "with query") end
  return actions[args.action](call, args)
end

return project
