-- esrun.cli.batch: commands from JSON lines, executed in groups of one transaction each. What is reported as done is durable:
-- replies are printed when their group is.

local core = require "esrun.core"
local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local output = require "esrun.cli.output"
local place = require "esrun.cli.place"
local target = require "esrun.cli.target"

local batch = {
  description = "Execute commands from JSON lines, each an object with target, command and if wanted params, actor_id, "
    .. "roles, permissions, tenant_id, key, expect, correlation_id, causation_id. One line a command comes out, in order.",
}

function batch.define(parser)
  parser:argument "FILE":target "file":description "The commands; - for standard input."
  parser:option "--group":argname "N":description "Commands that share a transaction (default: 1)."
  parser:option "--on-error":choices { "stop", "continue" }:default "stop"
    :description "What to do behind a command that does not succeed. Those before it stay done."
  target.define_actor(parser, "Who acts where a line names no actor.")
end

-- What each member holds, in JSON's words.
local MEMBERS = {
  target = "text", command = "text", params = "object", actor_id = "text", roles = "list", permissions = "list",
  tenant_id = "text", key = "text", expect = "integer", correlation_id = "text", causation_id = "text",
}
local OUTCOMES = { rejected = "rejected", denied = "denied" } -- by status; everything else is "failed"

local function problem(message, hint)
  return { message = message, code = "bad_line", status = "usage", exit_status = 2, hint = hint }
end

local LIST = getmetatable(core.array {})
local WORDS = { string = "text", boolean = "boolean", userdata = "null", integer = "integer", float = "number" }

local function kind_of(value)
  if type(value) == "table" then return getmetatable(value) == LIST and "list" or "object" end
  return WORDS[math.type(value) or type(value)]
end

-- What is wrong with a member's value, or nil.
local function wrong_value(name, value)
  local wanted, kind = MEMBERS[name], kind_of(value)
  if kind ~= wanted then return ("%s: %s expected, got %s"):format(name, wanted, kind) end
  if kind == "integer" and value < 0 then return ("%s: %d is not a whole number of at least 0"):format(name, value) end
  for position, item in ipairs(kind == "list" and value or {}) do
    if kind_of(item) ~= "text" then
      return ("%s[%d]: text expected, got %s"):format(name, position, kind_of(item))
    end
  end
end

-- One line as a command, or nil and what is wrong with it.
local function read_command(line)
  local command, message, _, details = core.decode(line)
  if message then
    return nil, { message = message:gsub("^line 1, ", ""), code = "malformed_json", status = details.status,
      exit_status = details.exit_status, hint = 'a command reads {"target":"Document/1","command":"edit","params":{}}' }
  end
  if kind_of(command) ~= "object" then return nil, problem("a command is a JSON object") end
  for name, value in pairs(command) do
    if not MEMBERS[name] then return nil, problem(("unknown member '%s'"):format(name)) end
    local wrong = wrong_value(name, value)
    if wrong then return nil, problem(wrong) end
  end
  if not command.target or not command.command then return nil, problem("target and command are needed") end
  if not command.target:find("^[^/]+/.") then
    return nil, problem(("target: '%s' is not TYPE/ID"):format(command.target))
  end
  return command
end

-- The frame of a line: its own actor, or the one of the options.
local function options_of(command, frame)
  local options = { form = "json", expected_version = command.expect, idempotency_key = command.key }
  for name, value in pairs(frame) do options[name] = value end
  if command.actor_id then
    options.actor_id, options.roles, options.permissions = command.actor_id, nil, nil
    options.auth_method, options.os_user = "local", tostring(require("esrun.system").user_id())
  end
  for _, name in ipairs { "roles", "permissions", "tenant_id", "correlation_id", "causation_id" } do
    if command[name] ~= nil then options[name] = command[name] end
  end
  return options
end

local function execute(es, command, frame)
  local called, reply, message, code, details = pcall(es.execute, es, command.target, command.command, command.params or {},
    options_of(command, frame))
  if not called then return nil, problem((tostring(reply):gsub("^[^:]+:%d+: ", ""))) end
  if reply then return reply end
  return nil, { message = message, code = code, status = details.status, exit_status = details.exit_status,
    hint = details.hint }
end

-- Results -----------------------------------------------------------------------------------------------------------

local function result_line(result)
  if result.reply then
    return ('{"line":%d,"outcome":"success","reply":%s}'):format(result.line, result.reply)
  end
  local failure = result.failure
  return assert(core.encode { line = result.line, outcome = OUTCOMES[failure.status] or "failed", status = failure.status,
    code = failure.code, message = failure.message, hint = failure.hint })
end

local function count(run, result)
  local outcome = result.reply and "success" or OUTCOMES[result.failure.status] or "failed"
  run.counts[outcome] = run.counts[outcome] + 1
  if not result.reply and not run.first then run.first = result end
end

-- A group ------------------------------------------------------------------------------------------------------------

-- Reads up to `size` lines that are not blank. Behind what cannot be read nothing is executed, and nothing of its group.
local function read_group(run, size)
  local lines = {}
  while #lines < size do
    local text, why = run.file:read "L"
    if why then
      run.unread = ("%s cannot be read behind line %d: %s"):format(run.name, run.line, why)
      return {}
    end
    if not text then break end
    run.line, run.bytes = run.line + 1, run.bytes + #text
    if text:find "%S" then lines[#lines + 1] = { text = text, line = run.line } end
  end
  return lines
end

local function run_lines(run, lines)
  local results = {}
  for position, at in ipairs(lines) do
    local command, failure = read_command(at.text)
    local reply
    if command then reply, failure = execute(run.es, command, run.frame) end
    results[position] = { line = at.line, reply = reply, failure = failure }
    if failure and run.stop then
      run.stopped = true
      break
    end
  end
  return results
end

-- When the group cannot be made durable, none of its commands was done.
local function take_back(results, message, code, details)
  for _, result in ipairs(results) do
    result.reply = nil
    result.failure = { message = message, code = code, status = details.status, exit_status = details.exit_status,
      hint = details.hint }
  end
end

-- Commands are done whether or not anybody reads of it: when results cannot be written, the rest is executed all the same.
local function deliver(run, line, write, ...)
  if run.undelivered then return end
  local ok, raised = pcall(write, ...)
  if ok then return end
  local why = raised == output.READER_GONE and "the reader went away" or errors.as_failure(raised).message
  run.undelivered = ("results from line %d on could not be delivered: %s"):format(line, why)
end

local function run_group(run, lines)
  local results
  local done, message, code, details
  if #lines == 1 then
    results = run_lines(run, lines) -- a command is a transaction of its own
  else
    done, message, code, details = run.es:transaction(function()
      results = run_lines(run, lines)
      return true
    end)
    if not done then
      if not results then errors.check(nil, message, code, details) end
      take_back(results, message, code, details)
      run.stopped = true
    end
  end
  for _, result in ipairs(results) do
    deliver(run, results[1].line, run.add, result_line(result))
    count(run, result)
  end
  deliver(run, results[1].line, run.call.out.flush, run.call.out)
end

local function summarise(run)
  local counts = run.counts
  local total = counts.success + counts.rejected + counts.denied + counts.failed
  io.stderr:write(("%s: %d succeeded, %d rejected, %d denied, %d failed%s\n"):format(counted(total, "command"), counts.success,
    counts.rejected, counts.denied, counts.failed, run.stopped and "; stopped" or ""))
end

function batch.run(call, args)
  local size = args.group and target.count(args.group, "--group", 1) or 1
  local frame = target.frame(args)
  local file, bytes = place.input(args.file)
  if call.out.mode == "table" then call.out.mode = "jsonl" end
  local progress, wipe = call:progress("batch, KiB")
  local run = {
    call = call, name = args.file == "-" and "standard input" or args.file, file = file, es = call:open(), frame = frame,
    stop = args.on_error == "stop", add = call.out:json_list(),
    line = 0, bytes = 0, counts = { success = 0, rejected = 0, denied = 0, failed = 0 },
  }
  repeat
    local lines = read_group(run, size)
    if #lines > 0 then run_group(run, lines) end
    if progress then progress(run.bytes // 1024, math.max(bytes or run.bytes, run.bytes) // 1024) end
  until #lines == 0 or run.stopped
  deliver(run, run.line, run.add)
  wipe()
  summarise(run)
  local failure, problems = run.first and run.first.failure, {}
  if failure then problems[1] = ("line %d: %s"):format(run.first.line, failure.message) end
  problems[#problems + 1] = run.unread
  problems[#problems + 1] = run.undelivered
  if #problems == 0 then return 0 end
  errors.fail(failure and failure.exit_status or 1, table.concat(problems, "; "), failure and failure.hint)
end

return batch
