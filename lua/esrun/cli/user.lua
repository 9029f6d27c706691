-- esrun.cli.user: what belongs to the user and to no project: the configuration with keys and anchors, and the folders for
-- keys. A project is data from somebody else: commands to run come from here alone.

local errors = require "esrun.cli.errors"
local files = require "esrun.files"
local system = require "esrun.system"

local user = {}

local function folder(variable, fallback)
  local given = os.getenv(variable)
  if given and given:sub(1, 1) == "/" then return given .. "/esrun" end
  local home = os.getenv("HOME")
  if not home then errors.usage("HOME is not set, so there is no place for keys and configuration") end
  return home .. fallback .. "/esrun"
end

--- Where the signing key of a store is kept unless said otherwise.
function user.key_path(store_id) return folder("XDG_DATA_HOME", "/.local/share") .. "/keys/" .. store_id .. ".key" end

--- What the signer remembers of all stores.
function user.memory_path() return folder("XDG_STATE_HOME", "/.local/state") .. "/signer" end

function user.config_path() return folder("XDG_CONFIG_HOME", "/.config") .. "/config.lua" end

function user.quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- What a shell hands over, as in --anchor <(ssh auditor cat checkpoint).
local function is_handed_over(path)
  return path == "/dev/stdin" or path:find "^/dev/fd/%d+$" or path:find "^/proc/self/fd/%d+$"
end

--- The number of "there is no such file".
user.NOT_THERE = 2

--- A whole file, or nil, why and the system's number of that. Nothing that may never begin or end, such as a FIFO or a device.
function user.read(path)
  if files.kind(path) == "other" and not is_handed_over(path) then return nil, path .. ": it is no file" end
  local file, why, number = io.open(path, "rb")
  if not file then return nil, why, number end
  local text
  text, why = file:read("a")
  file:close()
  return text, why and path .. ": " .. why
end

--- Fails when a text has a NUL byte, as no checkpoint, proof, key and event has.
---@param name string where it is from
---@param exit_status integer 6 for evidence, 2 for what the command was told
function user.check_text(text, name, exit_status)
  if text:find("\0", 1, true) then errors.fail(exit_status, name .. ": it has a NUL byte, which no text has") end
  return text
end

-- Configuration -----------------------------------------------------------------------------------------------------

---@class esrun.cli.Anchor one of file, git or command
---@field store? string only for the store with this id
---@field file? string a path; {store} stands for the store's id
---@field git? string a repository's folder
---@field command? string run with the checkpoint on its standard input
---@field read? string run to get the newest checkpoint on its standard output

local MEMBERS = { keys = true, trust = true, anchors = true, checkpoint = true }
local KINDS = { store = true, file = true, git = true, command = true, read = true }

local function wrong(path, what) errors.usage(("%s: %s"):format(path, what), "see docs/reference/settings.md") end

-- A list, not a table with names: inner braces are easily forgotten.
local function check_list(path, name, list, kind, example)
  for key, value in pairs(list or {}) do
    if math.type(key) ~= "integer" or key > #list or type(value) ~= kind then
      wrong(path, ("%s: a list is expected: %s = { %s }"):format(name, name, example))
    end
    if kind == "string" then user.check_text(value, ("%s: %s"):format(path, name), 2) end
  end
end

local function check(path, config)
  if type(config) ~= "table" then wrong(path, "it must return a table") end
  for name, value in pairs(config) do
    if not MEMBERS[name] then wrong(path, ("unknown setting '%s'"):format(tostring(name))) end
    if type(value) ~= "table" then wrong(path, name .. ": a table is expected") end
  end
  for name, value in pairs(config.checkpoint or {}) do
    if (name ~= "events" and name ~= "seconds") or math.type(value) ~= "integer" or value < 1 then
      wrong(path, ("checkpoint: '%s' is not one of events and seconds, with an integer above 0"):format(tostring(name)))
    end
  end
  check_list(path, "keys", config.keys, "string", '"/path/to/a.key"')
  check_list(path, "trust", config.trust, "string", '"name+hash+key"')
  check_list(path, "anchors", config.anchors, "table", '{ file = "/path/{store}.checkpoint" }')
  for position, anchor in ipairs(config.anchors or {}) do
    for name, value in pairs(anchor) do
      if not KINDS[name] or type(value) ~= "string" then
        wrong(path, ("anchor %d: '%s' is not one of store, file, git, command, read"):format(position, tostring(name)))
      end
      user.check_text(value, ("%s: anchor %d: %s"):format(path, position, name), 2)
    end
    if not (anchor.file or anchor.git or anchor.command or anchor.read) then
      wrong(path, ("anchor %d: file, git or command is missing"):format(position))
    end
    for _, place in ipairs { anchor.file or "/", anchor.git or "/" } do
      if place:sub(1, 1) ~= "/" then
        wrong(path, ("anchor %d: '%s' depends on the folder one is in: write it from / on"):format(position, place))
      end
    end
  end
  return config
end

--- The user's configuration; an empty one when there is none.
---@return { keys: string[]?, trust: string[]?, anchors: esrun.cli.Anchor[]?, checkpoint: table? }
function user.config()
  local path = user.config_path()
  local text, unread, number = user.read(path)
  if not text then
    if number == user.NOT_THERE then return {} end
    errors.usage("cannot read the configuration " .. unread, "run: chmod u+r " .. path)
  end
  if system.others_may_write(path) then
    errors.usage(path .. " can be written by others, so it is not read", "run: chmod o-w " .. path)
  end
  local chunk, why = load(text, "=" .. path, "t", {})
  if not chunk then errors.usage(why) end
  local ok, config = pcall(chunk)
  if not ok then errors.usage(tostring(config)) end
  return check(path, config)
end

return user
