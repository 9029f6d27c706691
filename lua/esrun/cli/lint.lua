-- esrun.cli.lint: looks for mistakes in a project's modules that loading them does not show, and names file and line.

local core = require "esrun.core"
local counted = require "esrun.cli.counted"
local declaration_checks = require "esrun.lint.declaration_checks"
local errors = require "esrun.cli.errors"
local esrun = require "esrun"
local files = require "esrun.files"
local source_checks = require "esrun.lint.source_checks"
local tokens = require "es.tokens"
local user = require "esrun.cli.user"

local lint = {
  description = "Look for mistakes in the project's modules that loading them does not show, and name file and line. Exit status "
    .. "1 when an error is found. `-- lint: RULE` on a line, or alone on the line before, silences that rule there.",
}

function lint.define(parser)
  parser:flag "--strict":description "Warnings count as errors."
end

local WARNINGS = { ["event-name"] = true, ["unused-event"] = true }
local FOLDER_DEPTH_MAX = 8 -- as the runtime looks for modules; links may lead in circles
local BUILT_IN = { es = true, ["es.projection"] = true, ["es.rule"] = true, ["es.schema"] = true }

-- The modules -------------------------------------------------------------------------------------------------------

-- `-- lint: RULE` belongs to its line, and, standing alone, to the next one.
local function silenced(source, line, rule)
  for _, at in ipairs { line, line - 1 } do
    local rules = (source.comments[at] or ""):match "^%-*%s*lint:%s*([%w%s,-]+)"
    if rules and (" " .. rules:gsub(",", " ") .. " "):find(" " .. rule .. " ", 1, true) then
      if at == line then return true end
      for _, token in ipairs(source) do
        if token.line == at then return false end
      end
      return true
    end
  end
  return false
end

-- Modules that fail for one reason tell it several times.
local function add(findings, finding)
  for _, known in ipairs(findings) do
    if known.file == finding.file and known.line == finding.line and known.rule == finding.rule
      and known.message == finding.message then return end
  end
  findings[#findings + 1] = finding
end

local function new_module(findings, path, text)
  local module = { path = path, source = tokens.of(text) }
  function module.add(line, rule, message, mend)
    if silenced(module.source, line, rule) then return end
    add(findings, {
      rule = rule, severity = WARNINGS[rule] and "warning" or "error", file = path, line = line, message = message, mend = mend,
    })
  end
  return module
end

-- Every Lua file of a folder, by the name that the runtime gives it: the folder's own name and the way below. What cannot be
-- read the runtime tells of.
local function collect(modules, findings, folder, label, depth)
  for _, name in ipairs(files.list(folder) or {}) do
    local path, shown = folder .. "/" .. name, label .. "/" .. name
    if name:sub(1, 1) ~= "." then
      if files.kind(path) == "folder" then
        if depth < FOLDER_DEPTH_MAX then collect(modules, findings, path, shown, depth + 1) end
      elseif name:find "%.lua$" then
        local text = user.read(path)
        if text then modules[shown] = new_module(findings, shown, text) end
      end
    end
  end
end

-- The module folders as the settings name them; the usual ones while these cannot be read.
local function module_folders(folder)
  local out = {
    aggregates = { folder .. "/aggregates" }, projections = { folder .. "/projections" }, library = { folder .. "/lib" },
  }
  for _, setting in ipairs(esrun.settings { project = folder } or {}) do
    if out[setting.setting] then out[setting.setting] = setting.value end
  end
  return out
end

-- Checking ----------------------------------------------------------------------------------------------------------

-- A message that may begin with its place: that one, or `file`, and what is left.
local function split(message, file)
  local path, line, what = message:match "^([^:\n]+%.lua):(%d+): (.*)$"
  if not path then path, what = message:match "^([^:\n/]+%.lua): (.*)$" end
  -- Lua cuts long names in its messages.
  if path and path:sub(1, 3) == "..." and file and file:sub(3 - #path) == path:sub(4) then path = file end
  return path or file, math.tointeger(line), what or message
end

local function add_failure(findings, failure)
  local file, line, what = split(failure.message, failure.path)
  add(findings, {
    rule = "load", severity = "error", file = file, line = line, message = what,
    mend = failure.details and failure.details.hint,
  })
end

-- A text that SQLite does not take: its module loads, and its comments silence what is found.
local function add_sql(modules, failure)
  local file, line, what = split(failure.message, failure.path)
  local module = modules[file]
  if module then
    module.add(line or tokens.declaration_line(module.source) or 1, "sql", what, failure.details and failure.details.hint)
  end
end

local function check_sources(modules, folders)
  local function is_known(name)
    if BUILT_IN[name] then return true end
    for _, folder in ipairs(folders.library) do
      if files.kind(("%s/%s.lua"):format(folder, name:gsub("%.", "/"))) == "file" then return true end
    end
    return false
  end
  for _, module in pairs(modules) do source_checks.run(module.source, module.add, is_known) end
end

-- `failed` has the paths of modules that do not load: what they seem to declare is not unknown.
local function check_declarations(modules, failed, es)
  local description = errors.check(es:describe())
  local known = {}
  for path in pairs(failed) do
    local module = modules[path]
    for event_type in pairs(module and tokens.members(module.source, "events") or {}) do known[event_type] = true end
  end
  for name, aggregate in pairs(description.aggregates) do
    for event_type in pairs(aggregate.events) do known[event_type] = true end
    if modules[aggregate.module] then declaration_checks.aggregate(modules[aggregate.module], name, aggregate) end
  end
  for name, projection in pairs(description.projections) do
    local module = modules[projection.module]
    if module and projection.name == name then
      declaration_checks.projection(module, projection, known)
    end
  end
end

--- What there is to find in a project.
---@param folder string
---@return table[] findings in order of file and line
---@return integer count of modules
function lint.check(folder)
  local findings, modules, failed, wrong_sql, count = core.array {}, {}, {}, {}, 0
  local function on_failed_module(path, message, code, details)
    local failure = { path = path, message = message, details = details }
    if code == "bad_sql" then
      wrong_sql[#wrong_sql + 1] = failure
    else
      failed[path] = true
      add_failure(findings, failure)
    end
  end
  local es <close>, message, _, details = esrun.open {
    project = folder, store = ":memory:", on_failed_module = on_failed_module,
  }
  if not es and details.status == "not_found" then errors.check(es, message, nil, details) end
  if not es then add_failure(findings, { path = "esrun.lua", message = message, details = details }) end
  local folders = module_folders(folder)
  for _, kind in ipairs { "library", "aggregates", "projections" } do
    for _, path in ipairs(folders[kind]) do collect(modules, findings, path, path:match "[^/]+$", 0) end
  end
  for _ in pairs(modules) do count = count + 1 end
  check_sources(modules, folders)
  for _, failure in ipairs(wrong_sql) do add_sql(modules, failure) end
  if es then check_declarations(modules, failed, es) end
  table.sort(findings, function(a, b)
    if a.file ~= b.file then return a.file < b.file end
    if a.line ~= b.line then return (a.line or 0) < (b.line or 0) end
    return a.message < b.message
  end)
  return findings, count
end

function lint.run(call, args)
  errors.refuse(args, { "--store" }, "not with lint, which looks at modules alone")
  local folder = args.project or errors.check(esrun.find_project())
  local findings, count = lint.check(folder)
  local number = { error = 0, warning = 0 }
  for _, finding in ipairs(findings) do number[finding.severity] = number[finding.severity] + 1 end
  local status = (number.error > 0 or args.strict and number.warning > 0) and 1 or 0
  local out = call.out
  if out.mode == "jsonl" then
    for _, finding in ipairs(findings) do out:json(finding) end
  elseif out.mode == "json" then
    out:json { ok = status == 0, modules = count, findings = findings }
  else
    for _, finding in ipairs(findings) do
      local place = finding.line and ("%s:%d"):format(finding.file, finding.line) or finding.file
      out:line("%s: %s: %s [%s]", place, finding.severity, (finding.message:gsub("%s*\n%s*", " ")), finding.rule)
      if finding.mend then out:line("  to mend: %s", finding.mend) end
    end
    out:line("%s, %s, %s", counted(count, "module"), counted(number.error, "error"), counted(number.warning, "warning"))
  end
  return status
end

return lint
