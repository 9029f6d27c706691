-- esrun.cli.verify: recomputes the ledger, compares it with every checkpoint known, and says how far each assurance reaches
-- and what is damaged.

local core = require "esrun.core"
local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local evidence = require "esrun.cli.evidence"
local output = require "esrun.cli.output"
local system = require "esrun.system"
local target = require "esrun.cli.target"

local verify = {
  description = "Recompute every hash, link, version sequence and derived structure, and compare them with the signed "
    .. "checkpoints in the store, the signer's memory and the configured anchors. Exit status 6 when anything is wrong.",
  synopsis = { "[--anchor FILE]… [--key VKEY]… [--jobs N] [--since-checkpoint]", "--format cortex FILE" },
}

function verify.define(parser)
  parser:argument "FILE":target "file":args "?":description "The file to verify, with `--format cortex`."
  parser:option "--format":choices { "cortex" }
    :description "Verify a file of chained JSON lines instead of the store."
  evidence.define(parser)
  parser:option "--jobs":argname "N":description "Hash in N threads (default: 1)."
  parser:flag "--since-checkpoint":description "Hash only the events after the newest checkpoint that holds."
end

local function collect(call, es, args)
  local findings = core.array {}
  local known = evidence.of(args, errors.check(es:info()).store.store_id)
  local progress, wipe = call:progress("verify")
  local started = system.seconds()
  local report, message, code, details = es:verify {
    on_finding = function(finding) findings[#findings + 1] = finding end, progress = progress,
    keys = known.keys, anchors = known.anchors, since_checkpoint = args.since_checkpoint,
    jobs = args.jobs and target.count(args.jobs, "--jobs", 1),
  }
  wipe()
  errors.check(report, message, code, details)
  report.findings = findings
  report.silent_anchors = core.array(known.silent)
  report.seconds = system.seconds() - started
  report.hint = details and details.hint
  return report
end

local RANGES = {
  { "anchored", "remembered outside this file" },
  { "signed", "signed by a known key" },
  { "neither", "whoever can write this file can change it" },
}

-- How far each assurance reaches, the stronger ones first.
local function print_ranges(out, report)
  local last = { report.anchored_to, report.signed_to, report.event_count }
  local first = report.hashes_only_to + 1
  if first > 1 then
    out:line("hashes   positions 1 to %d: their hashes agree with a checkpoint, their content was not looked at", first - 1)
  end
  for position, range in ipairs(RANGES) do
    if last[position] >= first then
      local unseen = report.unseen_count > 0 and report.unseen_from <= last[position] and report.unseen_to >= first
      out:line("%-8s positions %d to %d: %s%s", range[1], first, last[position], range[2],
        unseen and "; of data that was not looked at, only the hashes" or "")
    end
    first = math.max(first, last[position] + 1)
  end
end

local function print_signers(out, report)
  if report.unknown_anchor then
    out:line("warning: the anchor %s, which is not a known key: it is worth what the place is worth where you have it from",
      report.unknown_anchor)
  end
  if report.unknown_signer then
    out:line("warning: the newest checkpoint in the store is signed by %s, which is not a known key: if it is yours, trust it "
      .. "with --key or in config.lua; if it is not, somebody else wrote to this file", report.unknown_signer)
  elseif report.unlinked_to > 0 then
    out:line("positions 1 to %d were signed before by a key that signed no later checkpoint: only the later key vouches that "
      .. "these are the same events", report.unlinked_to)
  end
end

local function print_archived(out, report)
  if report.unseen_count == 0 then return end
  out:line("warning: the segments of %s are not at hand: the hashes hold, data and metadata were not looked at, from position "
    .. "%d to %d (esrun archive --list)", counted(report.unseen_count, "archived event"), report.unseen_from, report.unseen_to)
end

local function verdict_of(report)
  if not report.ok then return "DAMAGED, " .. counted(report.finding_count, "finding") end
  if report.unseen_count > 0 then
    return "intact as far as looked: all but the data of " .. counted(report.unseen_count, "event")
  end
  if report.hashes_only_to == 0 then return "intact" end
  if report.verified_from > report.event_count then return "intact as far as looked: no position" end
  return ("intact as far as looked: positions %d to %d"):format(report.verified_from, report.event_count)
end

local function print_report(out, report)
  for _, finding in ipairs(report.findings) do
    local where = finding.position and ("position %d: "):format(finding.position) or ""
    out:styled_line(output.harmless(where), out:style("red", finding.fault), " (", output.harmless(finding.kind), "): ",
      output.harmless(finding.message))
  end
  print_ranges(out, report)
  for _, anchor in ipairs(report.silent_anchors) do out:line("warning: %s", evidence.silence(anchor)) end
  print_signers(out, report)
  print_archived(out, report)
  local done = report.event_count - report.verified_from + 1
  local rate = report.seconds > 0 and math.floor(done / report.seconds) or done
  out:styled_line(("%s, head %s, %d events/s: "):format(counted(report.event_count, "event"),
    report.event_count > 0 and report.head_hash or "none", rate), out:style(report.ok and "green" or "red", verdict_of(report)))
end

function verify.run(call, args)
  local cortex_file = require "esrun.cli.cortex_file"
  local out = call.out
  cortex_file.check_options(args)
  if args.format then return cortex_file.verify(call, args.file) end
  local es = call:open { read_only = true }
  local report = collect(call, es, args)
  if out.mode == "table" then
    print_report(out, report)
  elseif out.mode == "jsonl" then
    for _, finding in ipairs(report.findings) do out:json(finding) end
  else
    out:json {
      ok = report.ok, event_count = report.event_count, finding_count = report.finding_count, findings = report.findings,
      head_hash = report.event_count > 0 and report.head_hash or core.null, verified_from = report.verified_from,
      anchored_to = report.anchored_to, signed_to = report.signed_to,
      unlinked_to = report.unlinked_to, hashes_only_to = report.hashes_only_to,
      archived_count = report.archived_count, unseen_count = report.unseen_count,
      unseen_from = report.unseen_from, unseen_to = report.unseen_to,
      unknown_signer = report.unknown_signer or core.null, unknown_anchor = report.unknown_anchor or core.null,
      silent_anchors = report.silent_anchors,
    }
  end
  return report.ok and 0 or 6
end

return verify
