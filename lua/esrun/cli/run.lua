-- esrun.cli.run: runs a trusted Lua script with `require "esrun"` and `arg`, on the project that its folder lies in.

local errors = require "esrun.cli.errors"
local esrun = require "esrun"

local run = {
  description = "Run a Lua script with `require \"esrun\"`. What follows the script's name belongs to the script. "
    .. "esrun.open() opens the project that the script lies in, or that --project and --store name.",
  rest = true, -- of the words after the first
}

function run.define(parser)
  parser:argument "script":argname "SCRIPT.lua":description "The script."
end

local function traceback(raised)
  if type(raised) == "table" then return raised end -- an esrun error; its message says where
  return debug.traceback(tostring(raised), 2)
end

-- The frames of the script alone: below it is esrun.
local function of_script(text)
  return (text:gsub("\n%s*%[C%]: in function 'xpcall'.*", ""))
end

function run.run(call, args)
  local path = args.script
  local chunk, why = loadfile(path, "t")
  if not chunk then errors.fail(why:find "^cannot open" and 5 or 8, why) end
  local folder = path:match "^(.*)/[^/]*$" or "."
  esrun.defaults.project = args.project or (esrun.find_project(folder))
  esrun.defaults.store = args.store
  arg = { [0] = path, table.unpack(call.rest) }
  package.path = folder .. "/?.lua;" .. package.path
  local done, result = xpcall(chunk, traceback, table.unpack(call.rest))
  if done then return math.type(result) == "integer" and result & 0xFF or 0 end
  if type(result) == "table" then errors.fail(result.exit_status or 8, tostring(result), result.hint) end
  errors.fail(8, of_script(result))
end

return run
