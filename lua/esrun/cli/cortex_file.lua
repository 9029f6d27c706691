-- esrun.cli.cortex_file: what `export --format cortex` writes and `verify --format cortex FILE` says about a file. The chain
-- itself is esrun.cortex's.

local core = require "esrun.core"
local cortex = require "esrun.cortex"
local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local place = require "esrun.cli.place"

local cortex_file = {}

--- What no check of this format can find, however intact the file looks.
local CANNOT_SEE = {
  "lines cut off at the end: the rest is a whole chain, and so is an empty file",
  "a history written anew, with every hash recomputed: nothing is signed",
  "which store and which actor wrote it: the hashes need no secret",
}

--- A function that turns an event into its line.
function cortex_file.writer()
  local previous_hash = cortex.GENESIS
  return function(event)
    local line
    line, previous_hash = cortex.link(cortex.entry(event), previous_hash)
    return line
  end
end

-- Stops at the first break, as the documents' verification does.
local function check(file, path)
  local report = { entry_count = 0, head_hash = core.null, cannot_see = core.array(CANNOT_SEE) }
  local previous_hash = cortex.GENESIS
  local number = 0
  for line in function() return place.read(file, path, "l") end do
    number = number + 1
    local hash, reason = cortex.check(line, previous_hash)
    if not hash then
      report.first_break = { line = number, reason = reason }
      break
    end
    previous_hash, report.entry_count, report.head_hash = hash, number, hash
  end
  report.ok = report.first_break == nil
  return report
end

--- Checks a file and says what the check is worth; returns the exit status.
function cortex_file.verify(call, path)
  local file <close> = place.input(path)
  local report = check(file, path)
  local out = call.out
  if out.mode ~= "table" then
    out:json(report)
  elseif report.ok then
    out:line("%s, head %s: every link and hash is right", counted(report.entry_count, "entry", "entries"),
      report.entry_count > 0 and report.head_hash or "none")
    out:line("This format cannot show:")
    for _, text in ipairs(CANNOT_SEE) do out:line("  - %s", text) end
    out:line("Compare the number of entries and the head with what is known from elsewhere.")
  else
    out:line("line %d: %s", report.first_break.line, report.first_break.reason)
    out:line("%s linked; what follows was not looked at",
      counted(report.entry_count, "entry before it is", "entries before it are"))
  end
  return report.ok and 0 or 6
end

--- Options that only make sense together.
function cortex_file.check_options(args)
  if args.format ~= "cortex" and args.file then
    errors.usage("a file is verified with --format cortex", "without it the project's store is verified")
  elseif args.format == "cortex" and not args.file then
    errors.usage("which file?", "esrun verify --format cortex FILE")
  end
  if args.format then
    errors.refuse(args, { "--anchor", "--key", "--jobs", "--since-checkpoint" }, "with a store, not with a file")
  end
end

return cortex_file
