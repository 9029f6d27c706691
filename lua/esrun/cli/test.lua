-- esrun.cli.test: runs the project's specifications with busted, in plain lua5.4, where `require "esrun"` and
-- `require "es.testing"` find this program's own modules.

local errors = require "esrun.cli.errors"
local files = require "esrun.files"
local process = require "esrun.process"

local WATCH_MILLISECONDS = 300

-- Run by busted: without a test that ran and without an error, a filter was wrong.
local COUNT_TESTS = [[
local busted, count = require "busted", 0
local function add() count = count + 1 return nil, true end
busted.subscribe({ "test", "start" }, add)
busted.subscribe({ "error" }, add)
busted.subscribe({ "exit" }, function()
  if count > 0 then return nil, true end
  io.stderr:write("esrun: test: no test's name matches the filter\n")
  os.exit(1, true)
end)
]]

local test = {
  description = "Run the project's specifications (spec/) with busted in plain lua5.4, where `require \"esrun\"` and "
    .. "`require \"es.testing\"` find this program's modules. Exit status 1 when one fails.",
}

function test.define(parser)
  parser:argument "FILE":target "files":args "*":description "Specifications or folders of them (default: spec)."
  parser:option "--filter":argname "PATTERN":description
    "Only tests whose name matches this Lua pattern; exit status 1 when none does."
  parser:flag "--watch":description "Run again whenever a Lua file of the project changes; ends with an interrupt."
end

-- The folder that holds esrun.lua, the loader of the host module: beside the program where it was built, or installed.
local function module_folder()
  local beside = (process.program() or ""):match "^(.*)/[^/]*$" or "."
  for _, folder in ipairs { beside .. "/lua", beside .. "/../share/lua/5.4" } do
    if files.kind(folder .. "/esrun.lua") == "file" then return folder, beside end
  end
  return nil, beside
end

-- Where C modules of Lua are installed: lib/lua/5.4, or below a folder of the machine's kind.
local function c_module_path(lib)
  local parts = { lib .. "/lua/5.4/?.so" }
  for _, name in ipairs(files.list(lib) or {}) do
    if name:find "%-linux%-" then parts[#parts + 1] = ("%s/%s/lua/5.4/?.so"):format(lib, name) end
  end
  return table.concat(parts, ";")
end

--- LUA_PATH and LUA_CPATH for a plain lua5.4 that shall find this program's modules.
function test.environment()
  local folder, beside = module_folder()
  local path, cpath = os.getenv "LUA_PATH" or ";;", os.getenv "LUA_CPATH" or ";;"
  if not folder then return { LUA_PATH = path, LUA_CPATH = cpath } end
  return {
    LUA_PATH = ("%s/?.lua;%s"):format(folder, path),
    LUA_CPATH = ("%s/?.so;%s;%s"):format(folder, c_module_path(beside .. "/../lib"), cpath),
  }
end

-- Absolute, since the environment of a child must not depend on its folder.
local function find_busted()
  for folder in (os.getenv "PATH" or ""):gmatch "[^:]+" do
    local path = folder .. "/busted"
    if files.kind(path) == "file" then return path end
  end
  errors.fail(1, "busted is not installed", "it runs the specifications; on Debian: apt-get install lua-busted")
end

local function busted_arguments(args)
  local arguments = { find_busted() }
  if args.filter then
    arguments[#arguments + 1] = "--filter=" .. args.filter
    arguments[#arguments + 1] = "-e"
    arguments[#arguments + 1] = COUNT_TESTS
  end
  local here = os.getenv "PWD" or "."
  for _, path in ipairs(args.files) do
    if not files.kind(path) then errors.fail(5, "there is no file or folder " .. path) end
    arguments[#arguments + 1] = path:sub(1, 1) == "/" and path or here .. "/" .. path
  end
  if #args.files == 0 then arguments[#arguments + 1] = "spec" end
  return arguments
end

-- busted looks for its settings where it is started, and specifications open the project that is there.
local function run_in(folder, arguments) return { "-C", folder, "lua5.4", table.unpack(arguments) } end

-- A text that differs whenever a Lua file of the folder has changed.
local function fingerprint(folder)
  local parts = {}
  for _, name in ipairs(files.list(folder) or {}) do
    local path = folder .. "/" .. name
    if name:sub(1, 1) ~= "." then
      if files.kind(path) == "folder" then
        parts[#parts + 1] = fingerprint(path)
      elseif name:find "%.lua$" then
        parts[#parts + 1] = ("%s %s"):format(path, files.changed_at(path))
      end
    end
  end
  return table.concat(parts, "\n")
end

local function watch(folder, arguments, environment)
  local system = require "esrun.system"
  system.watch_interrupt()
  local seen, status
  repeat
    local now = fingerprint(folder)
    if now ~= seen then
      seen = now
      status = errors.check(process.run("env", arguments, environment))
      io.stderr:write("esrun: test: watching; interrupt to end\n")
    end
    local woken = system.wait(WATCH_MILLISECONDS)
  until woken ~= "time"
  return status
end

function test.run(call, args)
  errors.refuse(args, { "--store" }, "not with test: each specification has stores of its own, in memory")
  if call.out.mode ~= "table" then
    errors.usage(("--output %s goes not with test: busted prints the result"):format(call.out.mode), "leave it out")
  end
  local esrun = require "esrun"
  local folder = args.project or errors.check(esrun.find_project())
  if #args.files == 0 and files.kind(folder .. "/spec") ~= "folder" then
    errors.fail(5, folder .. " has no specifications: there is no folder spec", "write spec/NAME_spec.lua, or name files")
  end
  local arguments, environment = run_in(folder, busted_arguments(args)), test.environment()
  if args.watch then return watch(folder, arguments, environment) end
  local _, why = process.replace("env", arguments, environment)
  errors.fail(1, "cannot run lua5.4: " .. why, "on Debian: apt-get install lua5.4")
end

return test
