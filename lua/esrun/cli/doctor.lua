-- esrun.cli.doctor: looks for what is wrong with the installation, the project and its store, and says how to mend it.

local core = require "esrun.core"
local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local esrun = require "esrun"
local files = require "esrun.files"
local probes = require "esrun.cli.probes"
local signer = require "esrun.cli.signer"
local system = require "esrun.system"

local SCAN_EVENTS = 100000 -- newest events whose actor ids are looked at
local DAY_US = 24 * 60 * 60 * 1000000

local doctor = {
  description = "Look for what is wrong with the installation, the project and its store, and say how to mend it. "
    .. "Changes nothing. The exit status is that of the first failure; without one it is 0, also with warnings.",
}

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

local function check_versions(findings)
  local es <close> = errors.check(esrun.open { store = ":memory:" })
  local info = errors.check(es:info())
  local openssl = info.openssl ~= esrun.null and info.openssl
  add(findings, "versions", "ok", ("esrun %s, %s, SQLite %s, OpenSSL %s"):format(
    info.esrun, info.lua, info.sqlite, openssl or "missing"))
  if not openssl then
    add(findings, "keys", "failure", "OpenSSL cannot be loaded, so nothing can be signed and no signature checked",
      "install Debian's package libssl3")
  end
  local found = probes.sqlite_defects(info.sqlite)
  if #found == 0 then return add(findings, "sqlite", "ok", "no defect is known of it that could damage a store") end
  add(findings, "sqlite", "note", "SQLite of this version has known defects: " .. table.concat(found, "; "),
    "SQLite 3.51.3 mends them; a distribution may have done so without a new version")
end

local function check_lua(findings)
  local found = probes.lua_defects()
  if #found == 0 then return add(findings, "lua", "ok", "none of the known defects of Lua 5.4.4 is there") end
  add(findings, "lua", "note", ("this Lua has known defects: %s"):format(table.concat(found, "; ")),
    "domain code has no coroutines and is not affected by most; Lua 5.4.8 mends them all")
end

-- The project and its modules ---------------------------------------------------------------------------------------

-- What a project fails with before esrun.lua has said where the store is.
local UNSETTLED = { bad_config = true, foreign_config = true, no_project = true }

-- The modules, with a store in memory: "ok", "modules" when only they are wrong, "project" when the settings are.
local function check_modules(findings, folder)
  local es <close>, message, code, details = esrun.open { project = folder, store = ":memory:" }
  if not es then
    local is_lua = details.status == "lua"
    details.hint = details.hint or (is_lua and "esrun lint says it of every module"
      or "mend the file or folder that is named; docs/reference/settings.md has what esrun.lua may say")
    failure(findings, is_lua and "modules" or "project", message, details)
    return UNSETTLED[code] and "project" or "modules"
  end
  local description = es:describe()
  local aggregates, projections = 0, 0
  for _ in pairs(description.aggregates) do aggregates = aggregates + 1 end
  for _ in pairs(description.projections) do projections = projections + 1 end
  add(findings, "project", folder and "ok" or "note", folder or "none: only the shipped modules are there",
    not folder and "go to a project's folder, or name it with --project DIR" or nil)
  add(findings, "modules", "ok", ("%s and %s load"):format(counted(aggregates, "aggregate"), counted(projections, "projection")))
  return "ok"
end

-- Where esrun.lua says that the store is; for a project whose modules do not load, so that nothing else can be asked.
local function store_of(folder)
  local chunk = folder and loadfile(folder .. "/esrun.lua", "t", {})
  local ok, settings = pcall(chunk or error)
  if not ok or type(settings) ~= "table" then return nil end
  local path = settings.store or "esrun.db"
  if type(path) ~= "string" then return nil end
  return path:sub(1, 1) == "/" and path or folder .. "/" .. path
end

-- The store ---------------------------------------------------------------------------------------------------------

local PRAGMAS = {
  { "journal_mode", "wal", "readers and the writer would wait for each other", "delete" }, -- so until a copy is written
  { "synchronous", "2", "a power cut could take acknowledged commits" },
  { "trusted_schema", "0", "a prepared file could run code" },
  { "cell_size_check", "1", "damage would be noticed later" },
}

local function check_pragmas(findings, store)
  local wrong = {}
  for _, pragma in ipairs(PRAGMAS) do
    local name, want, why, or_else = table.unpack(pragma)
    local is = store.pragmas and store.pragmas[name]
    if is ~= nil and tostring(is) ~= want and is ~= or_else then
      wrong[#wrong + 1] = ("%s is %s, not %s: %s"):format(name, is, want, why)
    end
  end
  if #wrong == 0 then return add(findings, "pragmas", "ok", "as they should be") end
  add(findings, "pragmas", "failure", table.concat(wrong, "; "), "open the store with esrun alone; is its disk a local one?", 7)
end

local function folder_of(path) return path:match("^(.*)/[^/]*$") or "." end

local function check_permissions(findings, path)
  local folder = folder_of(path)
  for _, ending in ipairs { "", "-wal", "-shm", "-queue" } do
    local file = path .. ending
    if files.kind(file) and not system.can_write(file) then
      return add(findings, "permissions", "warning", "you may not write " .. file, "run as its owner, or: chmod u+w " .. file)
    end
  end
  if not system.can_write(folder) then
    return add(findings, "permissions", "warning", ("you may not write the folder %s: SQLite keeps files beside the store")
      :format(folder), "chmod u+w " .. folder)
  elseif system.others_may_write(path) then
    return add(findings, "permissions", "warning", "other users may write " .. path, "chmod o-w " .. path)
  end
  add(findings, "permissions", "ok", "you may write the store, others may not")
end

-- Files beside the store ------------------------------------------------------------------------------------------------

-- Opening for reading and writing is what every writer does with it.
local function check_queue(findings, path)
  local name = path .. "-queue"
  if files.kind(name) == nil then
    return add(findings, "queue", "ok", "none: the next writer makes " .. name)
  end
  local file, why = io.open(name, "r+b")
  if not file then
    return add(findings, "queue", "warning", "nobody can write the store: the writers' queue cannot be opened: " .. why,
      ("chmod u+rw %s, or remove it while nobody has the store open"):format(name))
  end
  file:close()
  add(findings, "queue", "ok", "writers can take their turn")
end

local function size_of(path)
  local file = io.open(path, "rb")
  if not file then return 0 end
  local size = file:seek "end"
  file:close()
  return size or 0
end

local function in_words(bytes)
  local unit, units = 1, { "bytes", "KiB", "MiB", "GiB", "TiB" }
  while bytes >= 1024 and unit < #units do bytes, unit = bytes / 1024, unit + 1 end
  return ("%.4g %s"):format(bytes, units[unit])
end

local function check_space(findings, path)
  local free, total = system.free_space(folder_of(path))
  if not free then return add(findings, "space", "warning", "the disk does not say how full it is: " .. total) end
  local wal = size_of(path .. "-wal")
  local short = probes.short_of_space(free, total, wal)
  local text = ("%s of %s are free, the WAL has %s"):format(in_words(free), in_words(total), in_words(wal))
  if not short then return add(findings, "space", "ok", text) end
  add(findings, "space", "warning", text .. ": " .. short, "make room, or move the store to a larger disk while nobody has it"
    .. " open")
end

-- What an export or a backup writes until it is whole, and what SQLite keeps beside that.
local function is_unfinished(name)
  return name:find("%.part$") or name:find("%.part%-journal$") or name:find("%.part%-wal$") or name:find("%.part%-shm$")
end

local function check_leftovers(findings, folders)
  local found, seen = {}, {}
  for _, given in ipairs(folders) do
    local folder = system.real_path(given) or given
    for _, name in ipairs(not seen[folder] and files.list(folder) or {}) do
      if is_unfinished(name) then found[#found + 1] = folder .. "/" .. name end
    end
    seen[folder] = true
  end
  if #found == 0 then return add(findings, "leftovers", "ok", "no unfinished files") end
  add(findings, "leftovers", "warning", "unfinished exports, backups or segments: " .. table.concat(found, ", "),
    "remove them, unless one is being written now")
end

-- Archived events whose data cannot be read now.
local function check_segments(findings, es)
  local list, message, _, details = es.archive.segments()
  if not list then return failure(findings, "segments", message, details) end
  local missing = {}
  for _, segment in ipairs(list) do
    if not segment.path then missing[#missing + 1] = segment.file end
  end
  if #missing > 0 then
    local names = table.concat(missing, ", ", 1, math.min(#missing, 10))
    return add(findings, "segments", "warning",
      ("%d of %d are not at hand, so that their events cannot be read: %s"):format(#missing, #list, names),
      "put them back into the store's -archive folder when they are needed")
  end
  if #list > 0 then add(findings, "segments", "ok", ("%d, all at hand"):format(#list)) end
end

-- What the store holds --------------------------------------------------------------------------------------------------

local function check_projections(findings, es)
  local list, message, _, details = es:projection_status()
  if not list then return failure(findings, "projections", message, details) end
  local fine = true
  for _, projection in ipairs(list) do
    local name, behind = projection.name, math.tointeger(projection.behind) or 0
    if projection.state == "stopped" then
      fine = false
      add(findings, "projections", "warning", ("%s stopped: %s"):format(name, tostring(projection.error)),
        "mend its handler, then: esrun project rebuild " .. name)
    elseif projection.state == "rebuild" then
      fine = false
      add(findings, "projections", "warning", name .. " no longer fits its module or store",
        "esrun project rebuild " .. name)
    elseif behind > 0 then
      fine = false
      add(findings, "projections", "warning", ("%s is %s behind"):format(name, counted(behind, "event")),
        "esrun project run " .. name)
    end
  end
  if fine then add(findings, "projections", "ok", ("%d, all up to date"):format(#list)) end
end

local function check_snapshots(findings, es)
  local list, message, _, details = es:snapshots()
  if not list then return failure(findings, "snapshots", message, details) end
  local stale, damaged = 0, 0
  for _, one in ipairs(list) do
    if one.damaged then
      damaged = damaged + 1
      local of = one.aggregate_type and ("that of %s/%s at version %d"):format(one.aggregate_type, one.aggregate_id, one.version)
        or "one of no stream that is there"
      local drop = one.aggregate_type and ("%s/%s%s"):format(one.aggregate_type, one.aggregate_id,
        one.tenant_id and " --tenant " .. one.tenant_id or "") or "--all"
      add(findings, "snapshots", "warning", ("%s %s; it is not used"):format(of, one.unfit), "esrun snapshot --drop " .. drop)
    elseif one.unfit then
      stale = stale + 1
    end
  end
  if damaged > 0 then return end
  add(findings, "snapshots", "ok", ("%d, %d of them left by other modules and not used"):format(#list, stale))
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
    return add(findings, "actors", "ok", ("all ids of the newest %s keep to the conventions"):format(counted(count, "event")))
  end
  add(findings, "actors", "warning", ("%s off the conventions: %s"):format(counted(#off, "id is", "ids are"),
    table.concat(off, ", ", 1, math.min(#off, 10))), "allow their kinds in esrun.lua: actors = { prefixes = { … } }")
end

-- What no checkpoint covers yet, and whether it should be covered by now.
local function check_checkpoints(findings, es, info)
  local every, config = signer.setting()
  local key = signer.keys(config, info.store.store_id)[1]
  if info.signed_position == 0 and not (key.text or files.kind(key.path)) then
    return add(findings, "checkpoints", "note", "none: nobody can show that this store was not rewritten as a whole",
      "esrun keygen, then esrun checkpoint: see docs/guide/ledger.md")
  end
  local unsigned = info.head_position - info.signed_position
  local events = counted(info.head_position, "event")
  if unsigned == 0 then
    return add(findings, "checkpoints", "ok",
      info.head_position == 1 and "the event is signed" or "all " .. events .. " are signed")
  end
  local first
  for event in es:events { after = info.signed_position, limit = 1 } do first = event.recorded_at end
  local age = os.time() - core.parse_time(first) // 1000000
  local text = ("%d of %s %s not signed, the first of them since %s"):format(unsigned, events,
    unsigned == 1 and "is" or "are", first)
  every = every or {}
  if unsigned >= (every.events or math.maxinteger) or age >= (every.seconds or math.maxinteger) then
    return add(findings, "checkpoints", "warning", "overdue: " .. text, "esrun checkpoint signs them, or says why not")
  end
  add(findings, "checkpoints", "ok", text)
end

-- Commands that ended in an error of domain code, which somebody may have taken for a refusal.
local function check_failures(findings, es)
  local count, last = 0, nil
  for event in es:events { event_type = "$CommandFailed", from = os.time() * 1000000 - DAY_US } do
    count, last = count + 1, event
  end
  if count == 0 then return add(findings, "failures", "ok", "no command failed in the last 24 hours") end
  add(findings, "failures", "warning", ("%d command(s) failed in the last 24 hours, last: %s of %s/%s (%s)"):format(count,
    last.data.command, last.data.aggregate_type, last.data.aggregate_id, last.data.code),
    "esrun log --type '$CommandFailed' lists them; mend the module, then give the commands again")
end

-- Whether the file has this esrun's layout. When nothing can be said, opening the store says why.
local function check_layout(findings, where)
  local layout = esrun.layout(where)
  if not layout or layout.version == 0 then return layout end
  if layout.version == layout.known then
    add(findings, "layout", "ok", ("%d, no migration is pending"):format(layout.version))
    return layout
  end
  add(findings, "layout", "failure", ("the store has layout %d, this esrun knows %d"):format(layout.version, layout.known),
    layout.version < layout.known and "esrun migrate" or "use the esrun that wrote it, or a newer one", 7)
  return layout
end

-- A project that is new has no store yet; then there is nothing else to look at.
local function is_unmade(findings, where, layout)
  local path = not where.store and where.project and layout and layout.version == 0 and store_of(where.project)
  if not path or files.kind(path) then return false end
  local folder = folder_of(path)
  if files.kind(folder) ~= "folder" then
    add(findings, "store", "failure", ("%s: there is no folder %s for it"):format(path, folder), "mkdir -p " .. folder, 7)
  elseif not system.can_write(folder) then
    add(findings, "store", "failure", ("%s: you may not write the folder %s"):format(path, folder), "chmod u+w " .. folder, 7)
  else
    add(findings, "store", "note", path .. ": none yet; the first command that writes makes it")
  end
  return true
end

-- Which store the settings mean: events that "are not there" are often in another one.
local function check_settings(findings, es)
  for _, setting in ipairs(es:config() or {}) do
    if setting.setting == "store" then
      add(findings, "settings", "ok", ("the store is %s, by %s"):format(setting.value, setting.origin))
    end
  end
end

-- A store whose project's modules do not load is opened without them.
local function open_store(call, store)
  if not store then return call:open { read_only = true } end
  call.es = errors.check(esrun.open { store = store, read_only = true })
  return call.es
end

---@param alone? string the store to look at without its project
local function check_store(findings, call, where, alone)
  if is_unmade(findings, where, check_layout(findings, where)) then return end
  local es = open_store(call, alone)
  local info, message, _, details = es:info()
  if not info then return failure(findings, "store", message, details) end
  local store = info.store
  add(findings, "store", "ok", ("%s, %s"):format(store.path or "in memory", counted(store.events, "event")))
  if store.pragmas then check_pragmas(findings, store) end
  if store.path then
    check_permissions(findings, store.path)
    check_queue(findings, store.path)
    check_space(findings, store.path)
    check_leftovers(findings, { folder_of(store.path), where.project, store.path .. "-archive" })
    check_segments(findings, es)
  end
  local scope <close> = es.context.enter { operator_scope = true }
  check_checkpoints(findings, es, info)
  check_failures(findings, es)
  if not alone then
    check_settings(findings, es)
    check_projections(findings, es)
    check_snapshots(findings, es)
    check_actors(findings, es)
  end
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

-- What raises while the store is looked at is a finding like the others: those before it are told all the same.
local function check_store_safely(findings, ...)
  local ok, raised = pcall(check_store, findings, ...)
  if ok then return end
  local raised_failure = errors.as_failure(raised)
  add(findings, "store", "failure", raised_failure.message, raised_failure.hint
    or "esrun verify says what is damaged; if much is, restore a backup", raised_failure.exit_status)
end

function doctor.run(call, args)
  local findings = core.array {}
  check_lua(findings)
  check_versions(findings)
  local folder = args.project or (esrun.find_project())
  local modules = check_modules(findings, folder)
  local alone = modules ~= "ok" and (args.store or modules == "modules" and store_of(folder)) or nil
  if modules == "ok" then
    check_store_safely(findings, call, { project = folder, store = args.store })
  elseif alone then
    check_store_safely(findings, call, { project = folder, store = args.store }, alone)
  else
    add(findings, "store", "note", "not looked at: esrun.lua does not say where it is", "esrun doctor --store FILE")
  end
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
