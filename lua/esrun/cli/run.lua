-- esrun.cli.run: runs a trusted Lua script with `require "esrun"` and `arg`, on the project that its folder lies in.

local errors = require "esrun.cli.errors"
local esrun = require "esrun"
local runtime = require "esrun.runtime"

local run = {
  description = "Run a trusted Lua script with `require \"esrun\"`. esrun.open() opens the project that the script lies in, or "
    .. "that --project and --store name.",
  synopsis = { "SCRIPT.lua [WORD]…" },
  rest = true, -- of the words after the first
}

function run.define(parser)
  parser:argument "SCRIPT.lua":target "script":description "The script; the words behind it are its `arg` and `…`."
end

local function traceback(raised)
  if type(raised) == "table" then return raised end -- an esrun error; its message says where
  return debug.traceback(tostring(raised), 2)
end

-- The message, and the script's own frames on one line; below them is esrun.
local function taken_apart(text)
  local message, frames = text:match "^(.-)\nstack traceback:\n(.*)$"
  local own = {}
  for frame in (frames or ""):gsub("\n%s*%[C%]: in function 'xpcall'.*", ""):gmatch "[^\n]+" do
    frame = frame:match "^%s*(.-)$"
    if not frame:find "^%[C%]" then own[#own + 1] = frame end
  end
  return message or text, #own > 0 and "it came from " .. table.concat(own, ", called from ") or nil
end

function run.run(call, args)
  local path = args.script
  local chunk, why = loadfile(path, "t")
  if not chunk then errors.fail(why:find "^cannot open" and 5 or 8, why) end
  local folder = path:match "^(.*)/[^/]*$" or "."
  esrun.defaults.project = args.project or (esrun.find_project(folder))
  esrun.defaults.store = args.store
  require "esrun.cli.signer".add_to(esrun.defaults)
  arg = { [0] = path, table.unpack(call.rest) }
  package.path = folder .. "/?.lua;" .. package.path
  local done, result = xpcall(chunk, traceback, table.unpack(call.rest))
  local left = runtime.frames_left()
  if done and left > 0 then
    errors.fail(1, ("%s left %d context frame%s behind"):format(path, left, left == 1 and "" or "s"),
      "enter a context with es.context.run(frame, f), or local scope <close> = es.context.enter(frame)")
  end
  if done then return math.type(result) == "integer" and result & 0xFF or 0 end
  if type(result) == "table" then errors.fail(result.exit_status or 8, tostring(result), result.hint) end
  errors.fail(8, taken_apart(result))
end

return run
