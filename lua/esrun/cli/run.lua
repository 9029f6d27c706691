-- esrun.cli.run: runs a trusted Lua script with `require "esrun"` and `arg`, on the project that its folder lies in.

local counted = require "esrun.cli.counted"
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

-- What failed ------------------------------------------------------------------------------------------------------

local FRAMES_MAX = 10

-- A value without words of its own is shown as it is written.
local function words_of(raised)
  if raised == nil then return "an error without a message" end
  if type(raised) == "string" then return raised end
  local of = debug.getmetatable(raised)
  if type(of) == "table" and of.__tostring then return tostring(raised) end
  local message = type(raised) == "table" and rawget(raised, "message")
  if type(message) == "string" then return message end
  return "an error raised " .. inspect(raised)
end

-- In the words of Lua's tracebacks.
local function name_of(frame)
  if frame.what == "main" then return "main chunk" end
  if frame.name then return ("%s '%s'"):format(frame.namewhat == "global" and "function" or frame.namewhat, frame.name) end
  return ("function <%s:%d>"):format(frame.short_src, frame.linedefined)
end

-- The script's own frames, on one line; the others are Lua's and esrun's.
local function way_here(level)
  local frames = {}
  repeat
    local frame = debug.getinfo(level + 1, "Sln")
    if frame and frame.what ~= "C" and not frame.source:find "^=lua/es" then
      frames[#frames + 1] = ("%s:%d: in %s"):format(frame.short_src, frame.currentline, name_of(frame))
    end
    level = level + 1
  until not frame or #frames > FRAMES_MAX
  if #frames > FRAMES_MAX then frames[#frames] = "…" end
  return #frames > 0 and "it came from " .. table.concat(frames, ", called from ") or nil
end

-- A failure of esrun's, raised again, has its own status and hint.
local function described(raised)
  local status, hint
  if type(raised) == "table" then status, hint = rawget(raised, "exit_status"), rawget(raised, "hint") end
  local is_status = math.type(status) == "integer" and status > 0 and status < 256
  return { message = words_of(raised), exit_status = is_status and status or 8, hint = type(hint) == "string" and hint or nil }
end

-- The message handler: what was raised, which is the script's and may fail when it is looked at, and where.
local function failure_of(raised)
  local done, failure = pcall(described, raised)
  if not done then
    local why = type(failure) == "string" and ": " .. failure:gsub("^lua/esrun/[^:]*:%d+: ", "") or ""
    failure = { message = "an error whose __tostring failed" .. why, exit_status = 8 }
  end
  failure.hint = failure.hint or way_here(2)
  return failure
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
  local done, result = xpcall(chunk, failure_of, table.unpack(call.rest))
  local left = runtime.frames_left()
  if done and left > 0 then
    errors.fail(1, ("%s left %s behind"):format(path, counted(left, "context frame")),
      "enter a context with es.context.run(frame, f), or local scope <close> = es.context.enter(frame)")
  end
  if done then return exit_status(path, result) end
  errors.fail(result.exit_status, result.message, result.hint)
end

return run
