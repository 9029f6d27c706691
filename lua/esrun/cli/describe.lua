-- esrun.cli.describe: what the commands say of themselves, as data: for the help, the man page and the reference, which say it in
-- their own forms. Loaded by none of the commands that do something.

local cli = require "esrun.cli"

local describe = {}

describe.SUMMARY = "event sourcing runtime with domain modules in Lua"

describe.PROJECT = "A project is the nearest folder upward with an esrun.lua."

--- Environment variables that the program reads: what it is called, what it means.
describe.ENVIRONMENT = {
  { "ESRUN_SIGNING_KEY", "The signing key itself, as text, instead of one in a file." },
  { "ESRUN_KEY_PASSPHRASE", "The passphrase of signing keys, and of a bundle's RSA key. `keygen` encrypts a new key with it." },
  { "XDG_CONFIG_HOME", "Where the user's configuration is (default: ~/.config)." },
  { "XDG_DATA_HOME", "Where signing keys are (default: ~/.local/share)." },
  { "XDG_STATE_HOME", "Where the signer's memory and the history of `repl` are (default: ~/.local/state)." },
  { "HOME", "The ~ of these." },
  { "NO_COLOR", "When it is set and not empty, text is not coloured." },
  { "TERM", "When it is `dumb`, text is not coloured." },
  { "LUA_PATH", "Where scripts and specifications look for Lua modules besides." },
  { "LUA_CPATH", "The same of modules in C." },
  { "PATH", "Where `test` looks for `busted` and `lua5.4`." },
  { "PWD", "The folder that files named to `test` are meant from." },
}

--- Files that the program reads and makes.
describe.FILES = {
  { "esrun.lua", "What makes a folder a project; its settings." },
  { "esrun.db", "The store, unless esrun.lua or --store name another file. Beside it: -wal and -shm while it is open, -queue, in "
    .. "which writers wait for their turn, `-projections/`, a file a projection and generation, and `-archive/`, archived "
    .. "data." },
  { "~/.config/esrun/config.lua", "The user's configuration: keys, anchors, when to sign." },
  { "~/.local/share/esrun/keys/STORE-ID.key", "The signing key that `keygen` makes, mode 0600." },
  { "~/.local/state/esrun/signer/STORE-ID/", "The signer's memory: what was signed last." },
  { "~/.local/state/esrun/history", "What was typed into `repl`." },
}

--- The exit statuses: a list of { number, name, meaning }.
function describe.statuses() return require "esrun.core".status_list() end

-- Arguments and options ---------------------------------------------------------------------------------------------

---@class esrun.cli.Item an argument or option
---@field names string[] as they are typed; one for an argument
---@field value? string what stands for an option's value
---@field usage string as it stands in the synopsis
---@field text string what it does

local function value_of(element)
  if element._maxargs == 0 then return nil end
  return element._argname or table.concat(element._choices, "|")
end

local function text_of(element)
  local repeated = element._maxcount == math.huge and " May be repeated." or ""
  local default = element._default and (" (default: %s)"):format(element._default) or ""
  local text = element._description:gsub("%.$", default .. ".")
  return text .. repeated
end

local function argument_of(element)
  local usage = element._name
  if element._minargs == 0 then usage = "[" .. usage .. "]" end
  if element._maxargs == math.huge then usage = usage .. "…" end
  return { names = { element._name }, usage = usage, text = text_of(element) }
end

local function option_of(element)
  local names, value = element._public_aliases, value_of(element)
  local usage = "[" .. names[1] .. (value and " " .. value or "") .. "]"
  if element._maxcount == math.huge then usage = usage .. "…" end
  return { names = names, value = value, usage = usage, text = text_of(element) }
end

-- The options of a parser: those of its command, and behind --project those of every command.
local function options_of(parser)
  local own, shared = {}, {}
  local list = own
  for _, element in ipairs(parser._options) do
    if element._public_aliases[1] == "--project" then list = shared end
    list[#list + 1] = option_of(element)
  end
  return own, shared
end

--- The options that every command has.
---@return esrun.cli.Item[]
function describe.shared_options()
  local _, shared = options_of(cli.parser "help")
  return shared
end

-- Commands ----------------------------------------------------------------------------------------------------------

--- How the program is called.
---@return string[]
function describe.synopses()
  local words = { "esrun" }
  for _, option in ipairs(describe.shared_options()) do
    if option.value then words[#words + 1] = option.usage end
  end
  return { table.concat(words, " ") .. " COMMAND …", "esrun --version" }
end

---@class esrun.cli.Description
---@field name string
---@field summary string for a list of commands
---@field text string what it does
---@field usage string[] forms in which it is called, each beginning with esrun NAME
---@field arguments esrun.cli.Item[]
---@field options esrun.cli.Item[] of its own

--- What one command says of itself.
---@return esrun.cli.Description
function describe.command(name)
  local parser, command = cli.parser(name)
  local arguments, words = {}, {}
  for position, element in ipairs(parser._arguments) do
    arguments[position] = argument_of(element)
    words[#words + 1] = arguments[position].usage
  end
  local options = options_of(parser)
  for _, option in ipairs(options) do words[#words + 1] = option.usage end
  local usage = {}
  for position, form in ipairs(command.synopsis or { table.concat(words, " ") }) do
    usage[position] = ("esrun %s %s"):format(name, form):gsub("%s+$", "")
  end
  local summary
  for _, row in ipairs(cli.COMMANDS) do
    if row[1] == name then summary = row[2] end
  end
  return { name = name, summary = summary, text = command.description, usage = usage, arguments = arguments, options = options }
end

-- Text --------------------------------------------------------------------------------------------------------------

--- Text in lines of at most `width` characters; what stands in brackets stays together.
---@return string[]
function describe.wrap(text, width)
  local lines, line = {}, nil
  local pending = ""
  for word in text:gmatch "%S+" do
    pending = pending == "" and word or pending .. " " .. word
    local _, opened = pending:gsub("%[", "")
    local _, closed = pending:gsub("%]", "")
    if opened <= closed then
      if line and utf8.len(line) + 1 + utf8.len(pending) > width then
        lines[#lines + 1] = line
        line = nil
      end
      line = line and line .. " " .. pending or pending
      pending = ""
    end
  end
  lines[#lines + 1] = line
  return lines
end

return describe
