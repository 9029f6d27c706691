-- esrun.cli.lint: looks for mistakes in a project's modules that loading them does not show, and names file and line.

local core = require "esrun.core"
local declaration_checks = require "esrun.lint.declaration_checks"
local errors = require "esrun.cli.errors"
local esrun = require "esrun"
local files = require "esrun.files"
local source_checks = require "esrun.lint.source_checks"
local tokens = require "esrun.lint.tokens"

local lint = {
  description = "Look for mistakes in the project's modules that loading them does not show, and name file and line. Exit status "
    .. "1 when an error is found. `-- lint: RULE` on a line, or alone on the line before, silences that rule there.",
}

function lint.define(parser)
  parser:flag "--strict":description "Warnings count as errors."
end

local WARNINGS = { ["unused-event"] = true }
local BUILT_IN = { es = true, ["es.projection"] = true, ["es.rule"] = true, ["es.schema"] = true }

-- The modules -------------------------------------------------------------------------------------------------------

local function read(path)
  local file, why = io.open(path, "rb")
  if not file then errors.fail(1, why) end
  local text = file:read "a"
  file:close()
  return text
end

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

local function new_module(findings, path, text)
  local module = { path = path, source = tokens.of(text) }
  function module.add(line, rule, message, mend)
    if silenced(module.source, line, rule) then return end
    findings[#findings + 1] = {
      rule = rule, severity = WARNINGS[rule] and "warning" or "error", file = path, line = line, message = message, mend = mend,
    }
  end
  return module
end

-- Every Lua file of a folder, by the name that the runtime gives it: the folder's own name and the way below.
local function collect(modules, findings, folder, label)
  for _, name in ipairs(files.list(folder) or {}) do
    local path, shown = folder .. "/" .. name, label .. "/" .. name
    if name:sub(1, 1) ~= "." then
      if files.kind(path) == "folder" then
        collect(modules, findings, path, shown)
      elseif name:find "%.lua$" then
        modules[shown] = new_module(findings, shown, read(path))
      end
    end
  end
end

-- The module folders as the settings name them; the usual ones while the project does not load.
local function module_folders(es, folder)
  local out = {
    aggregates = { folder .. "/aggregates" }, projections = { folder .. "/projections" }, library = { folder .. "/lib" },
  }
  for _, setting in ipairs(es and es:config() or {}) do
    if out[setting.setting] then out[setting.setting] = setting.value end
  end
  return out
end

-- Checking ----------------------------------------------------------------------------------------------------------

-- A project that does not load: the message says where.
local function add_failure(modules, findings, message, details)
  local path, line, what = message:match "^([^:\n]+%.lua):(%d+): (.*)$"
  if not path then path, what = message:match "^([^:\n]+%.lua): (.*)$" end
  findings[#findings + 1] = {
    rule = "load", severity = "error", file = path and (modules[path] or { path = path }).path or "esrun.lua",
    line = math.tointeger(line) or 1, message = what or message, mend = details and details.hint,
  }
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

local function check_declarations(modules, es)
  local description = errors.check(es:describe())
  local known = {}
  for name, aggregate in pairs(description.aggregates) do
    for event_type in pairs(aggregate.events) do known[event_type] = true end
    if modules[aggregate.module] then declaration_checks.aggregate(modules[aggregate.module], name, aggregate) end
  end
  for name, projection in pairs(description.projections) do
    local module = modules[projection.module]
    if module and projection.name == name then
      declaration_checks.projection(module, projection, known)
      local done, message, _, details = es:project(name) -- on an empty store: tries its SQL
      if not done then module.add(1, "sql", message, details and details.hint) end
    end
  end
end

--- What there is to find in a project.
---@param folder string
---@return table[] findings in order of file and line
---@return integer count of modules
function lint.check(folder)
  local findings, modules, count = core.array {}, {}, 0
  local es <close>, message, _, details = esrun.open { project = folder, store = ":memory:" }
  local folders = module_folders(es, folder)
  for _, kind in ipairs { "library", "aggregates", "projections" } do
    for _, path in ipairs(folders[kind]) do collect(modules, findings, path, path:match "[^/]+$") end
  end
  for _ in pairs(modules) do count = count + 1 end
  check_sources(modules, folders)
  if es then check_declarations(modules, es) else add_failure(modules, findings, message, details) end
  table.sort(findings, function(a, b)
    if a.file ~= b.file then return a.file < b.file end
    if a.line ~= b.line then return a.line < b.line end
    return a.message < b.message
  end)
  return findings, count
end

function lint.run(call, args)
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
      out:line("%s:%d: %s: %s [%s]", finding.file, finding.line, finding.severity, finding.message, finding.rule)
      if finding.mend then out:line("  to mend: %s", finding.mend) end
    end
    out:line("%d modules, %d errors, %d warnings", count, number.error, number.warning)
  end
  return status
end

return lint
