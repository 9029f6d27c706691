-- esrun.cli.export: events as JSON lines whose data and metadata are the exact bytes that were hashed, so that a stranger
-- can recompute the chain.

local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local result_file = require "esrun.cli.result_file"
local target = require "esrun.cli.target"

local export = {
  description = "Write events as JSON lines in which data and metadata are strings of the exact bytes that were hashed, so that "
    .. "anybody can recompute the chain. With --bundle make a folder for an auditor.",
}

function export.define(parser)
  target.define_filter(parser)
  parser:option "--format":choices { "esrun", "cortex" }:default "esrun"
    :description "cortex: chained JSON lines as Python's json.dumps writes them."
  parser:option "--bundle":argname "DIR":description
    "Make this folder, which must not exist: events, checkpoint, proofs, verifier key, instructions."
  parser:option "--vkey":argname "VKEY":description "For a bundle: the verifier key of the ledger's signer, or a file with it."
  parser:option "--rsa-key":argname "FILE":description
    "For a bundle: sign it with this RSA key, a PEM, so that openssl verifies it."
  parser:option "-o --out":argname "FILE":description "Write to a file, which appears when it is complete."
end

-- Answers how many there were.
local function write_events(call, es, filter)
  local add, count = call.out:json_list(), 0
  local line_of = not filter.form and require "esrun.cli.cortex_file".writer()
  if filter.limit ~= 0 then
    for event in es:events(filter) do
      add(line_of and line_of(event) or event)
      count = count + 1
    end
  end
  add(nil)
  return count
end

local function write_file(call, es, filter, path)
  local count
  local what = result_file.must(path, function(file)
    call.out.file = file
    local ok, raised = pcall(write_events, call, es, filter)
    call.out.file = io.stdout
    if not ok then error(raised, 0) end
    count = raised
    return true
  end)
  if what ~= "stdout" and call.out.mode == "json" then call.out:json { file = path, event_count = count } end
end

function export.run(call, args)
  if args.bundle then
    errors.refuse(args, { "--out" }, "not with --bundle, which is a folder of its own")
  else
    errors.refuse(args, { "--vkey", "--rsa-key" }, "with --bundle")
  end
  local filter = target.filter(args)
  filter.form = args.format == "esrun" and "export" or nil
  if call.out.mode == "table" then call.out.mode = "jsonl" end -- there is no text form
  local es = call:open { read_only = true }
  local scope <close> = es.context.enter { operator_scope = true }
  if args.out or args.bundle then result_file.check(args.out or args.bundle, es) end
  if args.bundle then
    if args.format ~= "esrun" then errors.usage("a bundle holds events as esrun exports them, not " .. args.format) end
    local made = require "esrun.cli.bundle".write(es, filter, { path = args.bundle, vkey = args.vkey, rsa_key = args.rsa_key })
    if made.unsigned_count > 0 then
      io.stderr:write(("esrun: warning: %s not signed yet, so not in the bundle\n"):format(
        counted(made.unsigned_count, "of the chosen events is", "of the chosen events are")))
    end
    if call.out.mode == "json" then call.out:json(made) end
  elseif args.out then
    write_file(call, es, filter, args.out)
  else
    write_events(call, es, filter)
  end
  return 0, scope
end

return export
