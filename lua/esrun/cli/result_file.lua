-- esrun.cli.result_file: the one way to write a result to a file that a person named. A file appears, or changes, when the
-- result is whole and on disk; what is no regular file (a pipe, a device) is written to. Removes only what it made itself.

local core = require "esrun.core"
local errors = require "esrun.cli.errors"
local files = require "esrun.files"
local system = require "esrun.system"

local result_file = {}

local BESIDE = { "-wal", "-shm", "-journal", "-queue", "-projections" } -- what belongs to a store's file

--- A name beside `path` for what is not whole yet. No other run has it; doctor knows leftovers by its ending.
function result_file.part(path) return ("%s.%s.part"):format(path, core.new_id():sub(-12)) end

--- Fails unless there is a folder for a file or folder of this name.
---@param path string
---@param doing string what cannot be done without: "cannot write"
function result_file.want_folder(path, doing)
  local folder = path:gsub("(.)/+$", "%1"):match "^(.*[^/])/+[^/]*$"
  if not folder or files.kind(folder) then return end
  errors.fail(1, ("%s %s: there is no folder %s"):format(doing, path, folder), "make it: mkdir -p " .. folder)
end

--- The path without links; of a file that is not there, its folder's and its name. Else nil and why.
function result_file.resolve(path)
  local real, why = files.real_path(path)
  if real then return real end
  if files.is_link(path) then return nil, ("%s: a symbolic link that leads nowhere (%s)"):format(path, why) end
  local name = path:match "[^/]*$"
  if name == "" then return nil, path .. ": a file's name is missing" end
  real, why = files.real_path(#name < #path and path:sub(1, -#name - 1) or ".")
  if not real then return nil, ("%s: %s"):format(path, why) end
  return (real == "/" and "" or real) .. "/" .. name
end

local function store_path(es)
  for _, setting in ipairs(errors.check(es:config())) do
    if setting.setting == "store" then return setting.value end
  end
end

--- Whether a path is a store's file, or one of those that belong to it, of whatever store.
function result_file.is_of_a_store(path)
  local real = result_file.resolve(path)
  if not real then return false end
  local function is_database(name)
    local file <close> = files.kind(name) == "file" and io.open(name, "rb") or nil
    return file and file:read(15) == "SQLite format 3"
  end
  for _, ending in ipairs(BESIDE) do
    local name = real:match("^(.+)" .. ending:gsub("%-", "%%-") .. "$") or real:match("^(.+)" .. ending:gsub("%-", "%%-") .. "/")
    if name and is_database(name) then return true end
  end
  return is_database(real)
end

--- Refuses a path that is the open store's file, or one of those that belong to it.
function result_file.check(path, es)
  local store = store_path(es)
  local real, own = result_file.resolve(path), result_file.resolve(store)
  local identity = files.identity(path)
  local function compare(file)
    if real == file or identity and identity == files.identity(file) then
      errors.usage(("%s is the store, or a part of it"):format(path), "write the result to another file")
    end
  end
  if not own then return end -- a store in memory
  compare(own)
  for _, ending in ipairs(BESIDE) do compare(own .. ending) end
  local inside = own .. "-projections/"
  if real and real:sub(1, #inside) == inside then compare(real) end
end

-- Into what is there and is no regular file.
local function write_through(path, fill)
  local file <close>, why = io.open(path, "wb")
  if not file then return nil, why end
  local done
  done, why = fill(file)
  if done then done, why = file:flush() end
  if done then return true, "stream" end
  return nil, ("%s: %s"):format(path, why)
end

-- That a new name is on disk is known when its folder is.
local function rename(from, to)
  local done, why = os.rename(from, to)
  if not done then return nil, why end
  local folder = io.open(to:match "^(.*/)", "rb")
  if folder then
    system.sync(folder)
    folder:close()
  end
  return true
end

-- Into a file of a name that nobody else has, which takes the place of `path` when it is whole.
local function replace(path, fill)
  local real, why = result_file.resolve(path)
  if not real then return nil, why end
  local part = result_file.part(real)
  local file
  file, why = files.create(part, real)
  if not file then return nil, ("%s: %s"):format(path, why) end
  local ok, done
  ok, done, why = pcall(fill, file)
  if ok and done then done, why = system.sync(file) end
  local closed, close_why = file:close()
  if ok and done and not closed then done, why = nil, close_why end
  if ok and done then done, why = rename(part, real) end
  if ok and done then return true, "file" end
  os.remove(part)
  if not ok then error(done, 0) end
  return nil, ("%s: %s"):format(path, why)
end

--- Writes a text, or what `fill` writes to the Lua file that it gets; it answers true, or nil and why. Raises what it raises.
---@param path string
---@param fill string|fun(file: file*): boolean?, string?
---@return boolean? done
---@return string what "stdout" when the path is standard output itself, "stream", "file"; or why nothing was written
function result_file.write(path, fill)
  if type(fill) == "string" then
    local text = fill
    function fill(file) return file:write(text) end
  end
  local kind = files.kind(path)
  if kind == "folder" then return nil, path .. ": this is a folder" end
  if kind and files.identity(path) == files.identity "/dev/stdout" then
    local done, why = fill(io.stdout)
    return done, done and "stdout" or why
  end
  return (kind == "other" and write_through or replace)(path, fill)
end

--- write() whose failure ends the command; answers "stdout", "stream" or "file".
function result_file.must(path, fill)
  result_file.want_folder(path, "cannot write")
  local done, what = result_file.write(path, fill)
  return done and what or errors.fail(1, "cannot write " .. what, "nothing was kept of it")
end

return result_file
