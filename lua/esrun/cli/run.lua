-- esrun.cli.run: runs a trusted Lua script with `require "esrun"` and `arg`, on the project that its folder lies in.

local errors = require "esrun.cli.errors"
local esrun = require "esrun"
local inspect = require "esrun.inspect"
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

-- What was raised, as text: a value of no words of its own is shown as it is written.
local function text_of(raised)
  if raised == nil then return "an error without a message" end
  local of = getmetatable(raised)
  if type(raised) ~= "table" or type(of) == "table" and of.__tostring then return tostring(raised) end
  return type(raised.message) == "string" and raised.message or "an error raised " .. inspect(raised)
end

local function traceback(raised)
  if type(raised) == "table" then return raised end -- an esrun error; its message says where
  return debug.traceback(text_of(raised), 2)
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

-- 256 would end as 0, which says that all went well.
local function exit_status(path, result)
  if math.type(result) ~= "integer" then return 0 end
  if result >= 0 and result <= 255 then return result end
  errors.fail(1, ("%s returned %d, which is no exit status"):format(path, result), "return a number from 0 to 255, or nothing")
end

function run.run(call, args)
  local path = args.script
  local chunk, why = loadfile(path, "t")
  if not chunk then
    local named = why:find(path, 1, true) and "" or path .. ": "
    errors.fail(why:find "^cannot open" and 5 or 8, named .. why)
  end
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
  if done then return exit_status(path, result) end
  if type(result) == "table" then errors.fail(result.exit_status or 8, text_of(result), result.hint) end
  errors.fail(8, taken_apart(result))
end

return run
