-- esrun.cli.evidence: what is known of a store beside its file: verifier keys and checkpoints, as told on the command line and as
-- configured. For the commands that compare a store or a backup with it.

local anchors = require "esrun.cli.anchors"
local errors = require "esrun.cli.errors"
local output = require "esrun.cli.output"
local user = require "esrun.cli.user"

local evidence = {}

function evidence.define(parser)
  parser:option "--anchor":argname "FILE":count "*":description "A checkpoint kept elsewhere, to compare with."
  parser:option "--key":argname "VKEY":count "*":description "A verifier key to trust, or a file that holds one."
end

local function read(path, option)
  local text, why = user.read(path)
  if not text then errors.usage(("%s: cannot read %s"):format(option, why)) end
  return user.check_text(text, option .. ": " .. path, option == "--anchor" and 6 or 2)
end

-- A verifier key, or the one in the file of that name. A private key is never repeated in a message.
local function verifier_key(given)
  local key = given
  if not given:find("^PRIVATE%+KEY%+") and not given:find("^[^+]+%+%x+%+") then key = read(given, "--key"):gsub("%s+$", "") end
  if key:find("^PRIVATE%+KEY%+") then
    errors.usage("--key: this is a private key, which nobody else should see", "give its public part: esrun keygen --public")
  end
  return key
end

--- { keys, anchors } as es:verify takes them, and `silent`: the configured anchors that say nothing.
function evidence.of(args, store_id)
  local config = user.config()
  local keys, kept, silent, unasked = {}, anchors.read(config, store_id)
  table.move(unasked, 1, #unasked, #silent + 1, silent)
  for _, key in ipairs(config.trust or {}) do keys[#keys + 1] = key end
  for _, key in ipairs(args.key) do keys[#keys + 1] = verifier_key(key) end
  for _, path in ipairs(args.anchor) do kept[#kept + 1] = { name = path, note = read(path, "--anchor") } end
  return { keys = keys, anchors = kept, silent = silent }
end

--- What to warn of when an anchor says nothing.
function evidence.silence(anchor) return ("the anchor %s says nothing: %s"):format(anchor.name, anchor.why) end

--- Warns on standard error of the anchors that say nothing.
function evidence.warn(silent)
  for _, anchor in ipairs(silent) do
    io.stderr:write("esrun: warning: ", output.harmless(evidence.silence(anchor)), "\n")
  end
end

return evidence
