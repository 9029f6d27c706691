-- esrun.cli.config: the settings in force and where each comes from.

local core = require "esrun.core"
local errors = require "esrun.cli.errors"
local place = require "esrun.cli.place"
local user = require "esrun.cli.user"

local config = { description = "Show the settings in force and where each comes from." }

function config.define() end

-- Whether the project's own file names the store. It was read without complaint before.
local function names_store(project)
  local chunk = project and load(user.read(project .. "/esrun.lua") or "", "=esrun.lua", "t", {})
  local ok, settings = pcall(chunk or error)
  return ok and type(settings) == "table" and settings.store ~= nil
end

-- The settings, also before the first command has made the store: then with a store in memory in its place.
local function settings_of(call)
  local esrun = require "esrun"
  local where = place.of(call.args)
  where.read_only = true
  local es, message, code, details = esrun.open(where)
  local path = code == "no_store" and message:match "^(.*): there is no such store$"
  if es or not path then
    call.es = errors.check(es, message, code, details)
    return errors.check(es:config())
  end
  local memory <close> = errors.check(esrun.open { project = where.project, store = ":memory:" })
  local settings = errors.check(memory:config())
  for _, setting in ipairs(settings) do
    if setting.setting == "store" then
      setting.value = path
      setting.origin = call.args.store and "option" or names_store(where.project) and "esrun.lua" or "default"
    end
  end
  io.stderr:write(("esrun: config: the store %s does not exist yet; the first command that writes makes it\n"):format(path))
  return settings
end

function config.run(call)
  local settings = settings_of(call)
  if call.out.mode == "jsonl" then
    for _, setting in ipairs(settings) do call.out:json(setting) end
  elseif call.out.mode == "json" then
    call.out:json(settings)
  else
    local rows = {}
    for position, setting in ipairs(settings) do
      local value = setting.value
      if type(value) == "table" then
        value = #value > 0 and table.concat(value, ", ") or "none"
      elseif value == core.null then
        value = "none"
      end
      rows[position] = { setting = setting.setting, value = tostring(value), origin = setting.origin }
    end
    call.out:table({ "setting", "value", "origin" }, rows)
  end
end

return config
