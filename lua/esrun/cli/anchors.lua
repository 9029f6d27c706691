-- esrun.cli.anchors: the places that remember checkpoints where the store's file cannot be reached: a file in another
-- folder, a git repository, a command of the operator's. Which ones, the user's own configuration says.

local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local files = require "esrun.files"
local result_file = require "esrun.cli.result_file"
local user = require "esrun.cli.user"

local anchors = {}

local function each(config, store_id)
  local list = {}
  for _, anchor in ipairs(config.anchors or {}) do
    if not anchor.store or anchor.store == store_id then list[#list + 1] = anchor end
  end
  return ipairs(list)
end

local function file_path(anchor, store_id) return (anchor.file:gsub("{store}", store_id)) end

local function git_path(anchor, store_id) return anchor.git .. "/" .. store_id .. ".checkpoint" end

-- An anchor vouches for nothing that lies in what it shall be compared with, and a checkpoint written there would destroy it.
local function check_place(path, config, store_id)
  local function refuse(what)
    errors.usage(("the anchor %s is %s"):format(path, what), "name another file, best on another disk, in " .. user.config_path())
  end
  if result_file.is_of_a_store(path) then refuse "a store, or a part of one" end
  local real, memory = result_file.resolve(path), files.real_path(user.memory_path())
  if real and memory and real:sub(1, #memory + 1) == memory .. "/" then refuse "in the signer's memory" end
  local identity = files.identity(path)
  for _, key in ipairs { user.config_path(), user.key_path(store_id), table.unpack(config.keys or {}) } do
    if identity and identity == files.identity(key) then refuse "a signing key, or this configuration" end
  end
end

--- What a shell command prints, or nil when it fails.
local function output_of(command)
  local pipe = io.popen(command, "r")
  if not pipe then return nil end
  local text = pipe:read("a")
  local ok = pipe:close()
  return ok and text or nil
end

-- What an anchor has is its text; or nil, why, and whether it is there and cannot be read: what it says may be the one thing that
-- matters. A pipe or a device takes checkpoints and remembers none.

local function read_file(path)
  if files.kind(path) == "other" then return nil, "it is no file" end
  local text, why, number = user.read(path)
  if not text then return nil, number == user.NOT_THERE and "there is no such file" or why, number ~= user.NOT_THERE end
  if text == "" then return nil, path .. ": it is empty", true end
  return text
end

-- What a hook of another repository inherits, GIT_DIR and its like, would lead git there: git itself knows their names.
local HERE_ALONE = "unset $(git rev-parse --local-env-vars 2>/dev/null); "

local function read_git(anchor, store_id)
  local git = HERE_ALONE .. "git -C " .. user.quote(anchor.git) .. " "
  local function ask(question)
    local answer = output_of(git .. question .. " 2>/dev/null")
    if answer then return answer end
    return nil, (output_of("{ " .. git .. question .. " 2>&1 >/dev/null; true; }") or ""):match "[^\n]+" or "git failed"
  end
  if select(3, user.read(anchor.git)) == user.NOT_THERE then return nil, "there is no such folder" end
  local entry, why = ask(("ls-tree HEAD -- %s.checkpoint"):format(store_id))
  if not entry then
    local none = output_of(git .. "for-each-ref --count=1 2>&1") == "" -- HEAD is that of a repository without any commit
    return nil, none and "nothing was committed there" or why, not none
  end
  if entry == "" then return nil, "it has no checkpoint of this store" end
  local text
  text, why = ask("cat-file blob " .. entry:match "^%d+ %l+ (%x+)\t")
  if text ~= "" then return text, why, true end
  return nil, "its checkpoint of this store is empty", true
end

local function with_store(store_id, command) return ("export ESRUN_STORE_ID=%s; %s"):format(user.quote(store_id), command) end

--- The checkpoints that the configured anchors remember, as es:verify takes them, and the anchors that say nothing; when none
--- says anything, also those that were not asked, since they are another store's: a store's id may have been changed. One that is
--- there and cannot be read ends the command.
---@return { name: string, note: string }[] list
---@return { name: string, why: string }[] silent
---@return { name: string, why: string }[] unasked of those that are silent
function anchors.read(config, store_id)
  local list, silent, unasked = {}, {}, {}
  local function add(name, note, why, broken)
    if broken and not note then
      errors.fail(1, ("the anchor %s cannot be read: %s"):format(name, why),
        "mend it, or put back what it had; if it never had a checkpoint, move it away")
    end
    if note then user.check_text(note, "the anchor " .. name, 6) end
    if note then list[#list + 1] = { name = name, note = note } else silent[#silent + 1] = { name = name, why = why } end
  end
  for _, anchor in each(config, store_id) do
    if anchor.file then
      local path = file_path(anchor, store_id)
      check_place(path, config, store_id)
      add(path, read_file(path))
    end
    if anchor.git then
      check_place(git_path(anchor, store_id), config, store_id)
      add(anchor.git, read_git(anchor, store_id))
    end
    if anchor.read then
      local note = output_of(with_store(store_id, anchor.read))
      if not note then errors.fail(1, ("the anchor's command failed: %s"):format(anchor.read)) end
      add(anchor.read, note ~= "" and note or nil, "the command prints nothing")
    end
  end
  if #list > 0 then return list, silent, unasked end
  for _, anchor in ipairs(config.anchors or {}) do
    local name = anchor.file or anchor.git or anchor.read
    if name and anchor.store and anchor.store ~= store_id then
      unasked[#unasked + 1] = { name = name, why = ("it was not asked, for it is the store %s's alone"):format(anchor.store) }
    end
  end
  return list, silent, unasked
end

local function head_of(note)
  local size, root = note:match("^[^\n]*\n(%d+)\n([^\n]*)\n")
  return math.tointeger(tonumber(size)), root
end

-- An anchor never goes back: the signer compared, but another one may have been faster.
local function may_replace(old, new)
  if not old then return true end
  local size, root = head_of(new)
  local old_size, old_root = head_of(old)
  if not old_size then return nil, "what it has is no checkpoint" end
  if old_size > size then return nil, ("it has one of %s, this one is of %d"):format(counted(old_size, "event"), size) end
  if old_size == size and old_root ~= root then return nil, "it has another root of as many events" end
  return true
end

local function write_file(path, note, accept_rollback)
  if not accept_rollback then
    local old, unread, broken = read_file(path)
    if broken then return nil, unread end
    local may, why = may_replace(old, note)
    if not may then return nil, why end
  end
  return result_file.write(path, note)
end

local function write_git(anchor, store_id, note, accept_rollback)
  local folder, name = anchor.git, store_id .. ".checkpoint"
  local done, why = write_file(git_path(anchor, store_id), note, accept_rollback)
  if not done then return nil, why end
  local git = "git -C " .. user.quote(folder) .. " "
  local commands = git .. "add " .. name .. " && { " .. git .. "diff --cached --quiet -- " .. name .. " || " .. git
    .. "commit -q -m 'Checkpoint " .. store_id .. "' -- " .. name .. "; }"
  if os.execute("{ " .. HERE_ALONE .. commands .. "; } >/dev/null") then return true end
  return nil, "git refused to commit"
end

local function write_command(command, store_id, note)
  local pipe = io.popen("{ " .. with_store(store_id, command) .. "\n} >&2", "w") -- stdout is our result's
  if not pipe then return nil, "cannot run it" end
  pipe:write(note)
  local ok, what, status = pipe:close()
  if ok then return true end
  return nil, what == "exit" and "it ended with status " .. status or what == "signal" and "signal " .. status .. " ended it"
    or "it did not read the checkpoint: " .. what
end

--- Hands a checkpoint to every anchor: true, or nil and which one did not take it; the others have it all the same.
---@param accept_rollback? boolean also in place of a larger one
function anchors.write(config, store_id, note, accept_rollback)
  local failed
  local function try(name, done, why)
    if not done then failed = failed or ("the anchor %s did not take the checkpoint: %s"):format(name, why) end
  end
  for _, anchor in each(config, store_id) do
    if anchor.file then
      local path = file_path(anchor, store_id)
      try(path, write_file(path, note, accept_rollback))
    end
    if anchor.git then try(anchor.git, write_git(anchor, store_id, note, accept_rollback)) end
    if anchor.command then try(anchor.command, write_command(anchor.command, store_id, note)) end
  end
  return not failed or nil, failed
end

return anchors
