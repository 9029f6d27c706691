-- esrun.cli.doctor: looks for what is wrong with the installation, the project and its store, and says how to mend it.

local core = require "esrun.core"
local esrun = require "esrun"
local probes = require "esrun.cli.probes"
local system = require "esrun.system"

local SCAN_EVENTS = 100000 -- newest events whose actor ids are looked at

local doctor = { description = "Look for what is wrong with the installation, the project and its store." }

function doctor.define() end

---@class esrun.cli.Finding
---@field check string
---@field state "ok"|"note"|"warning"|"failure"
---@field message string
---@field mend? string
---@field exit_status? integer of a failure

local function add(findings, check, state, message, mend, exit_status)
  findings[#findings + 1] = { check = check, state = state, message = message, mend = mend, exit_status = exit_status }
end

local function failure(findings, check, message, details)
  add(findings, check, "failure", message, details and details.hint, details and details.exit_status or 1)
end

-- The installation --------------------------------------------------------------------------------------------------

local function check_versions(findings, es)
  local info = es:info()
  if not info then return end
  add(findings, "versions", "ok", ("esrun %s, %s, SQLite %s, OpenSSL %s"):format(
    info.esrun, info.lua, info.sqlite, info.openssl))
end

local function check_lua(findings)
  local found = probes.lua_defects()
  if #found == 0 then return add(findings, "lua", "ok", "none of the known defects of Lua 5.4.4 is there") end
  add(findings, "lua", "note", ("this Lua has known defects: %s"):format(table.concat(found, "; ")),
    "domain code has no coroutines and is not affected by most; Lua 5.4.8 mends them all")
end

-- The project and its modules ---------------------------------------------------------------------------------------

local function check_modules(findings, folder)
  local es <close>, message, _, details = esrun.open { project = folder, store = ":memory:" }
  if not es then
    failure(findings, details and details.status == "lua" and "modules" or "project", message, details)
    return false
  end
  local description = es:describe()
  local aggregates, projections = 0, 0
  for _ in pairs(description.aggregates) do aggregates = aggregates + 1 end
  for _ in pairs(description.projections) do projections = projections + 1 end
  add(findings, "project", folder and "ok" or "note", folder or "none: only the shipped modules are there",
    not folder and "go to a project's folder, or name it with --project DIR" or nil)
  add(findings, "modules", "ok", ("%d aggregates and %d projections load"):format(aggregates, projections))
  return true
end

-- The store ---------------------------------------------------------------------------------------------------------

local PRAGMAS = {
  { "journal_mode", "wal", "readers and the writer would wait for each other" },
  { "synchronous", "2", "a power cut could take acknowledged commits" },
  { "trusted_schema", "0", "a prepared file could run code" },
  { "cell_size_check", "1", "damage would be noticed later" },
}

local function check_pragmas(findings, store)
  local wrong = {}
  for _, pragma in ipairs(PRAGMAS) do
    local name, want, why = table.unpack(pragma)
    local is = store.pragmas and store.pragmas[name]
    if is ~= nil and tostring(is) ~= want then wrong[#wrong + 1] = ("%s is %s, not %s: %s"):format(name, is, want, why) end
  end
  if #wrong == 0 then return add(findings, "pragmas", "ok", "as they should be") end
  add(findings, "pragmas", "failure", table.concat(wrong, "; "), "open the store with esrun alone; is its disk a local one?", 7)
end

local function check_permissions(findings, path)
  local folder = path:match("^(.*)/[^/]*$") or "."
  if not system.can_write(path) then
    return add(findings, "permissions", "warning", "you may not write " .. path, "run as its owner, or: chmod u+w " .. path)
  elseif not system.can_write(folder) then
    return add(findings, "permissions", "warning", ("you may not write the folder %s: SQLite keeps files beside the store")
      :format(folder), "chmod u+w " .. folder)
  elseif system.others_may_write(path) then
    return add(findings, "permissions", "warning", "other users may write " .. path, "chmod o-w " .. path)
  end
  add(findings, "permissions", "ok", "you may write the store, others may not")
end

local function check_projections(findings, es)
  local list, message, _, details = es:projection_status()
  if not list then return failure(findings, "projections", message, details) end
  local fine = true
  for _, projection in ipairs(list) do
    local name, behind = projection.name, math.tointeger(projection.behind) or 0
    if projection.state == "stopped" then
      fine = false
      add(findings, "projections", "warning", ("%s stopped: %s"):format(name, tostring(projection.error)),
        "mend its handler, then: esrun project run " .. name)
    elseif projection.state == "rebuild" then
      fine = false
      add(findings, "projections", "warning", name .. " no longer fits its module or store",
        "esrun project rebuild " .. name)
    elseif behind > 0 then
      fine = false
      add(findings, "projections", "warning", ("%s is %d events behind"):format(name, behind), "esrun project run " .. name)
    end
  end
  if fine then add(findings, "projections", "ok", ("%d, all up to date"):format(#list)) end
end

-- Ids that were stored under other rules than today's, by another version or an import.
local function check_actors(findings, es)
  local seen, off, count = {}, {}, 0
  for line in es:events { reverse = true, limit = SCAN_EVENTS, form = "log" } do
    count = count + 1
    local id = line:match('"actor_id":("[^"]*")')
    if id and not seen[id] then
      seen[id] = true
      local actor_id = core.decode(id)
      local entered, scope = pcall(es.context.enter, { actor_id = actor_id })
      if entered then scope:leave() else off[#off + 1] = actor_id end
    end
  end
  table.sort(off)
  if #off == 0 then
    return add(findings, "actors", "ok", ("all ids of the newest %d events keep to the conventions"):format(count))
  end
  add(findings, "actors", "warning", ("%d ids are off the conventions: %s"):format(#off, table.concat(off, ", ", 1,
    math.min(#off, 10))), "allow their kinds in esrun.lua: actors = { prefixes = { … } }")
end

local function check_store(findings, call)
  local ok, raised = pcall(call.open, call, { read_only = true })
  if not ok then
    raised = require("esrun.cli.errors").as_failure(raised)
    return add(findings, "store", "failure", raised.message, raised.hint, raised.exit_status)
  end
  local es = call.es
  check_versions(findings, es)
  local info, message, _, details = es:info()
  if not info then return failure(findings, "store", message, details) end
  local store = info.store
  add(findings, "store", "ok", ("%s, %d events"):format(store.path or "in memory", store.events))
  if store.pragmas then check_pragmas(findings, store) end
  if store.path then check_permissions(findings, store.path) end
  check_projections(findings, es)
  local scope <close> = es.context.enter { operator_scope = true }
  check_actors(findings, es)
  return scope
end

-- Telling -----------------------------------------------------------------------------------------------------------

local COLOURS = { ok = "green", note = "dim", warning = "yellow", failure = "red" }

local function print_findings(out, findings)
  for _, finding in ipairs(findings) do
    out:styled_line(out:style(COLOURS[finding.state], ("%-8s"):format(finding.state)),
      require("esrun.cli.output").harmless(("%-12s %s"):format(finding.check, finding.message)))
    if finding.mend then out:line("%21sto mend: %s", "", finding.mend) end
  end
end

function doctor.run(call, args)
  local findings = core.array {}
  check_lua(findings)
  local folder = args.project or (esrun.find_project())
  if check_modules(findings, folder) then check_store(findings, call) end
  local status = 0
  for _, finding in ipairs(findings) do
    if status == 0 and finding.state == "failure" then status = finding.exit_status end
    finding.exit_status = nil
  end
  if call.out.mode == "table" then
    print_findings(call.out, findings)
  elseif call.out.mode == "jsonl" then
    for _, finding in ipairs(findings) do call.out:json(finding) end
  else
    call.out:json { ok = status == 0, findings = findings }
  end
  return status
end

return doctor
