-- esrun.cli.verify_proof: checks a proof file with nothing but a verifier key.

local core = require "esrun.core"
local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local ledger = require "esrun.ledger"
local user = require "esrun.cli.user"

local verify_proof = {
  description = "Check a proof; needs no store. Exit status 6 when it does not hold, 2 when something needed is missing.",
}

function verify_proof.define(parser)
  parser:argument "FILE":target "file":description "The proof; - reads standard input."
  parser:option "--key":argname "VKEY":count "*":description "A verifier key that you trust, or a file that holds one."
  parser:option "--event":argname "JSON":description "The event as one line of `esrun export`, or a file that holds it."
  parser:option "--old":argname "FILE":description "The older checkpoint that you kept, for a proof between trees."
end

local function read(path, what)
  local text, why
  if path == "-" then text, why = io.read("a"), "nothing to read" else text, why = user.read(path) end
  if not text then errors.usage(("%s: cannot read %s"):format(what, why)) end
  return user.check_text(text, what .. ": " .. path, what == "option" and 2 or 6)
end

-- Text, or the first line of the file of that name.
local function text_or_file(value, looks_right)
  if value:find(looks_right) then return value end
  return (read(value, "option"):gsub("%s+$", ""))
end

local function print_result(out, result)
  if result.proves == "consistency" then
    out:line("proved: the tree of %s continues the one of %d", counted(result.size, "event"), result.old_size)
  else
    out:line("proved: position %d, %s/%s version %d, %s, event %s", result.position, result.aggregate_type,
      result.aggregate_id, result.version, result.event_type, result.event_id)
    out:line("by %s, recorded at %s", result.actor_id ~= core.null and result.actor_id or "nobody", result.recorded_at)
    if not result.content_checked then out:line("its data and metadata were not given, so they were not looked at") end
  end
  out:line("signed by %s for %s, %s", result.signed_by, result.origin, counted(result.size, "event"))
end

function verify_proof.run(call, args)
  local keys = {}
  for position, key in ipairs(args.key) do keys[position] = text_or_file(key, "^[^+]+%+%x+%+") end
  local result = errors.check(ledger.verify_proof {
    proof = read(args.file, "FILE"), keys = keys,
    event = args.event and text_or_file(args.event, "^%s*{"),
    older = args.old and read(args.old, "--old"),
  })
  if args.event and result.proves == "consistency" then
    errors.usage("--event goes with the proof of an event; this one is between two trees")
  elseif args.old and result.proves ~= "consistency" then
    errors.usage("--old goes with a proof between two trees; this one is of an event")
  end
  if call.out.mode == "table" then print_result(call.out, result) else call.out:json(result) end
  return 0
end

return verify_proof
