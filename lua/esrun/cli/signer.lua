-- esrun.cli.signer: the keys that sign a store's checkpoints, and the checkpoints that commands sign by themselves because the
-- user's configuration says so. No trouble with those is a reason for a command to fail: it is told on stderr.

local core = require "esrun.core"
local files = require "esrun.files"
local ledger = require "esrun.ledger"
local user = require "esrun.cli.user"

local signer = {}

--- The keys to sign with, as es:checkpoint takes them: those given, else of the environment, else as configured, else the one
--- that keygen made.
---@param given? string[] paths
function signer.keys(config, store_id, given)
  local passphrase = os.getenv "ESRUN_KEY_PASSPHRASE"
  local list = {}
  local function add(path) list[#list + 1] = { path = path, passphrase = passphrase } end
  for _, path in ipairs(given or {}) do add(path) end
  if #list > 0 then return list end
  local text = os.getenv "ESRUN_SIGNING_KEY"
  if text and text ~= "" then return { { text = text, passphrase = passphrase } } end
  for _, path in ipairs(config.keys or {}) do add(path) end
  if #list == 0 then add(user.key_path(store_id)) end
  return list
end

local function warn(message, hint)
  local output = require "esrun.cli.output"
  io.stderr:write("esrun: warning: ", output.harmless(message), "\n")
  if hint then io.stderr:write("hint: ", output.harmless(hint), "\n") end
end

--- The keys of a store for which nobody has to be asked anything, or nil: there is none, or why not is told.
local function keys_at_hand(config, store_id)
  local list = signer.keys(config, store_id)
  if list[1].path == user.key_path(store_id) and not files.kind(list[1].path) then return nil end
  for _, key in ipairs(list) do
    local vkey, message, _, details = ledger.key_public(key)
    if not vkey then
      warn("no checkpoints will be signed: " .. message, details.hint)
      return nil
    end
  end
  return list
end

--- Whether checkpoints come by themselves: the setting, or nil.
---@return { events: integer?, seconds: integer? }?, table config
function signer.setting()
  if not os.getenv "HOME" and not os.getenv "XDG_CONFIG_HOME" then return nil, {} end
  local ok, config = pcall(user.config)
  if ok then return config.checkpoint, config end
  warn("no checkpoints will be signed: " .. tostring(config), type(config) == "table" and config.hint or nil)
  return nil, {}
end

--- Adds to the options of a runtime that it signs checkpoints, if the user's configuration wants that.
---@param options esrun.OpenOptions
function signer.add_to(options)
  local every, config = signer.setting()
  if not every then return end
  options.checkpoint = {
    events = every.events, seconds = every.seconds,
    keys = function(store_id) return keys_at_hand(config, store_id) end,
    evidence = function(store_id)
      local ok, kept, silent = pcall(require "esrun.cli.anchors".read, config, store_id)
      if ok then
        require "esrun.cli.evidence".warn(silent)
        return { anchors = kept }
      end
      warn(tostring(kept))
      error(kept, 0)
    end,
    deliver = function(note)
      local done, why = require "esrun.cli.anchors".write(config, note:match "^esrun/([^\n]+)", note)
      if not done then warn(why, "the checkpoint is signed and kept in the store; the next one is handed on too") end
      return done
    end,
  }
  function options.log(_, line)
    local record = core.decode(line)
    if record.code == "checkpoint_failed" then warn(record.message) end
  end
end

return signer
