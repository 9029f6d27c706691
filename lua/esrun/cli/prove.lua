-- esrun.cli.prove: writes proof files that others check without the store.

local errors = require "esrun.cli.errors"
local result_file = require "esrun.cli.result_file"
local target = require "esrun.cli.target"

local prove = {
  description = "Prove that an event is in the newest signed tree (a c2sp.org/tlog-proof file), or that a signed tree continues "
    .. "an older one (a file as c2sp.org/tlog-witness takes it).",
  synopsis = { "EVENT_ID [--to SIZE] [-o FILE]", "--from SIZE [--to SIZE] [-o FILE]" },
}

function prove.define(parser)
  parser:argument "EVENT_ID":target "event":args "?":description "The event to prove."
  parser:option "--from":argname "SIZE":description "Prove that the tree continues the one of this size."
  parser:option "--to":argname "SIZE":description "The size of the signed tree (default: of the newest)."
  parser:option "-o --out":argname "FILE":description "Write the proof to a file."
end

function prove.run(call, args)
  local options = {
    event_id = args.event and target.uuid(args.event, "EVENT_ID"),
    from = args.from and target.count(args.from, "--from", 1),
    to = args.to and target.count(args.to, "--to", 1),
  }
  if (options.event_id == nil) == (options.from == nil) then
    errors.usage("name an event, or an older tree with --from", "see esrun help prove")
  end
  local es = call:open { read_only = true }
  local scope <close> = es.context.enter { operator_scope = true }
  if args.out then result_file.check(args.out, es) end
  local proof = errors.check(es:prove(options))
  if args.out and result_file.must(args.out, proof) == "stdout" then return 0, scope end
  if call.out.mode ~= "table" then
    call.out:json { proof = proof }
  elseif not args.out then
    call.out:write(proof)
  end
  return 0, scope
end

return prove
