-- esrun.cli: the `esrun` command: finds the command, builds its parser and no other, runs it, and turns what went wrong into
-- a message and an exit status. Uses the same host API that every script has.

local errors = require "esrun.cli.errors"
local output = require "esrun.cli.output"

local GLOBALS = { ["--project"] = true, ["--store"] = true, ["--output"] = true }

--- The commands in the order of the help, each a file of this folder: of its name, or of the third.
local COMMANDS = {
  { "init", "write a new project", "new_project" },
  { "exec", "execute a command on an aggregate" },
  { "batch", "execute commands from JSON lines, in groups" },
  { "show", "show an aggregate's state, now or at an earlier point" },
  { "log", "list events" },
  { "trace", "show what led to what, for one correlation" },
  { "replay", "fold every stream again; --check compares two replays" },
  { "snapshot", "keep states, so that long streams load fast" },
  { "project", "run, inspect, rebuild and query projections" },
  { "verify", "recompute every hash, link and derived structure" },
  { "keygen", "make a key that signs checkpoints" },
  { "checkpoint", "sign the head of the ledger" },
  { "prove", "write a proof that an event, or an older tree, is in a signed one" },
  { "verify-proof", "check a proof; needs no store", "verify_proof" },
  { "export", "write events as JSON lines from which the chain can be recomputed" },
  { "import", "store the events of an export, or rows of CSV and JSON through a mapping" },
  { "backup", "copy the store while it is in use, verified" },
  { "restore", "make a verified backup the project's store" },
  { "archive", "move old events' data into compressed files beside the store, and back" },
  { "migrate", "bring the store's file up to date; --status only looks" },
  { "test", "run the project's specifications" },
  { "run", "run a Lua script on a project" },
  { "repl", "try things out on a project" },
  { "lint", "look for mistakes in a project's modules" },
  { "doctor", "look for what is wrong, and say how to mend it" },
  { "config", "show the settings in force and where each comes from" },
  { "help", "help on esrun, or on one command" },
}

local cli = { COMMANDS = COMMANDS }

local function is_command(name)
  for _, command in ipairs(COMMANDS) do
    if command[1] == name then return true end
  end
  return false
end

local function module_of(name)
  for _, command in ipairs(COMMANDS) do
    if command[1] == name then return require("esrun.cli." .. (command[3] or name)) end
  end
end

function cli.names()
  local names = {}
  for position, command in ipairs(COMMANDS) do names[position] = command[1] end
  return names
end

function cli.unknown(name)
  local near = require "es.nearest"(name, cli.names())
  errors.usage(("unknown command '%s'"):format(name),
    (near and "did you mean " .. near .. "? " or "") .. "known: " .. table.concat(cli.names(), ", "))
end

-- Parsing -----------------------------------------------------------------------------------------------------------

--- A new argparse parser.
function cli.argparse(name, description)
  return require(package.preload["esrun.argparse"] and "esrun.argparse" or "argparse")(name, description)
end

--- Gives a parser what one command takes, and the options that every command has. The first of these is --project.
function cli.define(parser, name)
  module_of(name).define(parser)
  parser:option "--project":argname "DIR":description "The project's folder (default: the nearest upward with an esrun.lua)."
  parser:option "--store":argname "FILE":description "The store (default: as esrun.lua says, else esrun.db in the project)."
  parser:option "--output":choices { "auto", "table", "json", "jsonl" }
    :description "auto: text, coloured on a terminal; table: text; json: one document; jsonl: one object a line."
end

--- The parser of one command.
function cli.parser(name)
  local command = module_of(name)
  local parser = cli.argparse("esrun " .. name, command.description):add_help(false)
  parser.error = function(_, message)
    local first, tip = message:match("^(.-)\n(.*)$") -- argparse says "Did you mean …" on a second line
    errors.usage(first or message, (tip and tip:gsub("^Did", "did") .. " " or "") .. "see esrun help " .. name)
  end
  cli.define(parser, name)
  parser:flag "-h --help":description "Show the help of the command.":action(function() error({ help = name }, 0) end)
  return parser, command
end

--- The options and arguments of a command's words.
function cli.parse(name, words)
  local function define(parser) cli.define(parser, name) end
  return require "esrun.cli.plain"(define, words) or cli.parser(name):parse(words)
end

-- Global options may stand before the command: they are moved behind it.
local function split(arguments)
  local moved, at = {}, 1
  while arguments[at] and arguments[at]:sub(1, 1) == "-" do
    local option = arguments[at]
    if option == "-h" or option == "--help" then return "help", {} end
    if option == "--version" then return "--version", table.move(arguments, at + 1, #arguments, 1, moved) end
    moved[#moved + 1] = option
    if GLOBALS[option] then
      at = at + 1
      if not arguments[at] then errors.usage(("option '%s' requires an argument"):format(option), "see esrun help") end
      moved[#moved + 1] = arguments[at]
    elseif not GLOBALS[option:match("^(%-%-%a+)=") or ""] then
      errors.usage(("unknown option '%s' before the command"):format(option), "see esrun help")
    end
    at = at + 1
  end
  local name = arguments[at]
  return name, table.move(arguments, at + 1, #arguments, #moved + 1, moved)
end

-- Of a command that passes words on: those up to its first argument, and the rest.
local function split_rest(arguments)
  local at = 1
  while arguments[at] and arguments[at]:sub(1, 1) == "-" do at = at + (GLOBALS[arguments[at]] and 2 or 1) end
  return table.move(arguments, 1, at, 1, {}), table.move(arguments, at + 1, #arguments, 1, {})
end

-- Running -----------------------------------------------------------------------------------------------------------

---@class esrun.cli.Call
---@field args table the parsed options
---@field out esrun.cli.Output
---@field rest string[] words that the command passes on
local Call = {}
Call.__index = Call

--- Opens the runtime that the options name. Only commands that write may make a store.
---@param options? esrun.OpenOptions
function Call:open(options)
  local esrun = require "esrun"
  options = options or {}
  options.store = self.args.store
  options.project = self.args.project
  if not options.project then
    local found, message, code, details = esrun.find_project()
    if not found and not options.store then errors.check(found, message, code, details) end
    options.project = found
  end
  if not options.read_only then require "esrun.cli.signer".add_to(options) end
  self.es = errors.check(esrun.open(options))
  return self.es
end

--- A progress function for long work: on stderr, on a terminal, after a second.
function Call:progress(what)
  return require "esrun.cli.progress"(what)
end

-- Frames that a command entered and left behind would be a defect that shows who acts to the wrong code.
local function check_context(es)
  if es._handle:is_open() and es.context.depth() ~= 0 then errors.fail(1, "internal error: a context frame was left behind") end
end

local function run(name, arguments)
  if name == nil then errors.usage("which command?", "known: " .. table.concat(cli.names(), ", ")) end
  if name == "--version" then
    if #arguments > 0 then errors.usage(("--version stands alone, not with '%s'"):format(arguments[1]), "see esrun help") end
    io.stdout:write("esrun ", require "esrun"._VERSION, "\n")
    return 0
  end
  if not is_command(name) then cli.unknown(name) end
  local command = module_of(name)
  local own, rest = arguments, {}
  if command.rest then own, rest = split_rest(arguments) end
  local args = cli.parse(name, own)
  local call = setmetatable({ args = args, rest = rest, out = output.new(args.output or "auto") }, Call)
  collectgarbage "restart" -- main.c stopped it
  local status = command.run(call, args)
  call.out:flush()
  if call.es then
    check_context(call.es)
    call.es:close()
  end
  return status or 0
end

local function report(name, failure)
  local what = name and is_command(name) and name .. ": " or ""
  io.stderr:write("esrun: ", what, output.harmless(failure.message), "\n")
  if failure.hint then io.stderr:write("hint: ", output.harmless(failure.hint), "\n") end
  return failure.exit_status
end

--- Runs the command line; returns the exit status.
---@param arguments string[]
function cli.main(arguments)
  local name
  local ok, result = pcall(function()
    local rest
    name, rest = split(arguments)
    return run(name, rest)
  end)
  if ok then return result end
  if result == output.READER_GONE then return 0 end
  if type(result) == "table" and result.help then
    io.stdout:write(require "esrun.cli.help".text(result.help), "\n")
    return 0
  end
  return report(name, errors.as_failure(result))
end

return cli
