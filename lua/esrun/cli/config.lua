-- esrun.cli.config: the settings in force and where each comes from.

local core = require "esrun.core"
local errors = require "esrun.cli.errors"
local esrun = require "esrun"
local files = require "esrun.files"
local place = require "esrun.cli.place"

local config = { description = "Show the settings in force and where each comes from." }

function config.define() end

function config.run(call)
  local settings = errors.check(esrun.settings(place.of(call.args)))
  for _, setting in ipairs(settings) do
    local path = setting.setting == "store" and setting.value
    if path and path ~= core.null and path ~= ":memory:" and not files.kind(path) then
      io.stderr:write(("esrun: config: the store %s does not exist yet; the first command that writes makes it\n"):format(path))
    end
  end
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
