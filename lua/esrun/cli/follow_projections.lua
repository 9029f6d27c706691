-- esrun.cli.follow_projections: keeps projections up to date until an interrupt, and on request with modules as they change.

local errors = require "esrun.cli.errors"
local output = require "esrun.cli.output"
local system = require "esrun.system"

local WAIT_MILLISECONDS = 200

-- Trouble goes to stderr, once: it would come again with every turn.
local function new_complaint()
  local last
  return function(text, hint)
    if text == last then return end
    last = text
    if text then
      io.stderr:write("esrun: project: ", output.harmless(text), "\n", hint and "hint: " .. output.harmless(hint) .. "\n" or "")
    end
  end
end

local function print_moved(out, rows, name, seen)
  for _, row in ipairs(rows) do
    if (name == nil or row.name == name) and seen[row.name] ~= row.position then
      seen[row.name] = row.position
      if out.mode == "jsonl" then out:json(row) else out:line("%s is at position %d", row.name, row.position) end
    end
  end
  out:flush()
end

-- A projection whose module was changed under our eyes is built anew; nobody else would do it.
local function rebuild_changed(es, name, seen)
  for _, row in ipairs(errors.check(es:projection_status())) do
    if row.state == "rebuild" and (name == nil or row.name == name) then
      errors.check(es:rebuild(row.name))
      seen[row.name] = nil
    end
  end
end

-- Puts changed modules in force; those that are wrong leave the old ones at work.
local function reload(es, out, name, seen, complain)
  local done, changed, _, details = es:reload()
  if not done then return complain("modules not reloaded: " .. changed, details and details.hint) end
  if not changed then return end
  complain(nil)
  if out.mode == "table" then out:line("modules reloaded") end
  rebuild_changed(es, name, seen)
end

--- Runs until an interrupt, or until nobody reads the output.
---@param call esrun.cli.Call
---@param es esrun.Runtime
---@param name? string of one projection; else all
---@param watch? boolean reload changed modules
return function(call, es, name, watch)
  local seen, complain, complain_of_modules = {}, new_complaint(), new_complaint()
  if call.out.mode == "json" then
    errors.usage("--follow has no end, so it cannot be one JSON document", "use --output jsonl")
  end
  system.watch_interrupt()
  repeat
    if watch then reload(es, call.out, name, seen, complain_of_modules) end
    local done, message, _, details = es:project(name)
    complain(not done and message or nil, details and details.hint)
    print_moved(call.out, errors.check(es:projection_status()), name, seen)
  until system.wait(WAIT_MILLISECONDS) ~= "time"
end
