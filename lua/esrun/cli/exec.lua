-- esrun.cli.exec: executes one command and prints the reply.

local errors = require "esrun.cli.errors"
local event_text = require "esrun.cli.event_text"
local params = require "esrun.cli.params"
local target = require "esrun.cli.target"

local exec = {
  description = "Execute a command on an aggregate and print the reply. This command, `batch`, `import` and `repl --write` make "
    .. "a store that is missing.",
}

function exec.define(parser)
  parser:argument "TYPE/ID":target "target":description "The aggregate, such as Document/4711."
  parser:argument "COMMAND":target "command":description "A command that the aggregate's module declares."
  parser:argument "NAME=VALUE":target "params":args "*":description
    "Parameters: NAME=VALUE read as the module declares it, NAME:=JSON, - (an object on standard input) or @FILE."
  target.define_actor(parser, "Who acts: user:NAME, service:NAME, …, anonymous. The local user asserts it, and that is recorded.")
  parser:option "--expect":argname "VERSION":description
    "The version the stream must have; 0: it must not exist. Another one is a conflict: exit status 3."
  parser:option "--key":argname "KEY":description
    "Idempotency key: the same request with the same key answers the first reply and runs nothing."
  parser:option "--correlation":argname "UUID":description "The correlation to belong to (default: a new one)."
  parser:option "--causation":argname "UUID":description "The event that led here."
  parser:flag "--dry-run":description "Decide and report, store nothing."
end

-- What the module says about the command's parameters. An unknown aggregate or command is the runtime's to refuse.
local function declared(es, aggregate_type, command)
  local description = errors.check(es:describe())
  local aggregate = description.aggregates[aggregate_type]
  local about = aggregate and aggregate.commands[command]
  return about and about.params or {}
end

local function print_reply(out, reply, dry_run)
  out:line("%s/%s %s at version %d%s", reply.aggregate_type, reply.aggregate_id, dry_run and "would be" or "is",
    reply.version, reply.replayed and " (the reply of an earlier request with this key)" or "")
  for _, event in ipairs(reply.events) do out:line("  %s", event_text.reply_line(event)) end
end

function exec.run(call, args)
  local aggregate_type, aggregate_id = target.parse(args.target)
  local options = target.frame(args)
  options.correlation_id = args.correlation and target.uuid(args.correlation, "--correlation")
  options.causation_id = args.causation and target.uuid(args.causation, "--causation")
  options.expected_version = args.expect and target.count(args.expect, "--expect", 0)
  options.idempotency_key = args.key
  options.dry_run = args.dry_run
  options.form = call.out.mode ~= "table" and "json" or nil
  local es = call:open()
  local values = params.read(args.params, #args.params > 0 and declared(es, aggregate_type, args.command) or {})
  local reply = errors.check(es:execute({ aggregate_type, aggregate_id }, args.command, values, options))
  if options.form then
    call.out:json(reply)
  else
    print_reply(call.out, reply, args.dry_run)
  end
end

return exec
