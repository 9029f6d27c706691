-- esrun.cli.verify: recomputes the ledger and names what is damaged.

local core = require "esrun.core"
local errors = require "esrun.cli.errors"
local output = require "esrun.cli.output"

local verify = {
  description = "Recompute every hash, link, version sequence and derived structure. Exit status 6 when anything is damaged.",
}

function verify.define(parser)
  parser:argument "file":argname "FILE":args "?":description "With --format cortex: the file to verify."
  parser:option "--format":argname "FORMAT":choices { "cortex" }
    :description "Verify a file of chained JSON lines instead of the store."
end

local function collect(call, es)
  local findings = core.array {}
  local progress, wipe = call:progress("verify")
  local started = os.clock()
  local report, message, code, details = es:verify {
    on_finding = function(finding) findings[#findings + 1] = finding end, progress = progress,
  }
  wipe()
  errors.check(report, message, code, details)
  report.findings = findings
  report.seconds = os.clock() - started
  report.hint = details and details.hint
  return report
end

local function print_report(out, report)
  for _, finding in ipairs(report.findings) do
    local where = finding.position and ("position %d: "):format(finding.position) or ""
    out:styled_line(output.harmless(where), out:style("red", finding.kind), ": ", output.harmless(finding.message))
  end
  local rate = report.seconds > 0 and math.floor(report.event_count / report.seconds) or report.event_count
  local verdict = report.ok and "intact" or ("DAMAGED, %d finding(s)"):format(report.finding_count)
  out:styled_line(("%d events, head %s, %d events/s: "):format(report.event_count,
    report.event_count > 0 and report.head_hash or "none", rate), out:style(report.ok and "green" or "red", verdict))
end

function verify.run(call, args)
  local cortex_file = require "esrun.cli.cortex_file"
  cortex_file.check_options(args)
  if args.format then return cortex_file.verify(call, args.file) end
  local out = call.out
  local es = call:open { read_only = true }
  local report = collect(call, es)
  if out.mode == "table" then
    print_report(out, report)
  elseif out.mode == "jsonl" then
    for _, finding in ipairs(report.findings) do out:json(finding) end
  else
    out:json {
      ok = report.ok, event_count = report.event_count, finding_count = report.finding_count, findings = report.findings,
      head_hash = report.event_count > 0 and report.head_hash or core.null,
    }
  end
  return report.ok and 0 or 6
end

return verify
