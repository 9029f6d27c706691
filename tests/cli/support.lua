-- support: projects in temporary folders, and the real command run in them with stdout, stderr and status apart. For the
-- specs of the command and of the host module.
local support = {}

local function absolute(path)
  if path:sub(1, 1) == "/" then return path end
  local pipe = assert(io.popen("pwd"))
  local here = pipe:read("l")
  pipe:close()
  return here .. "/" .. path
end

support.root = os.getenv("ESRUN_ROOT") or absolute(".")
support.bin = absolute(os.getenv("ESRUN_BIN") or "build/release/esrun")
if not os.getenv("ESRUN_LUA_CPATH") then package.path = "build/release/lua/?.lua;" .. package.path end

function support.quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

function support.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

function support.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function write_file(path, text)
  local file, why = io.open(path, "wb")
  if not file then return nil, why end
  assert(file:write(text))
  assert(file:close())
  return true
end

--- Writes a file; makes its folder when that is missing.
function support.write(path, text)
  if write_file(path, text) then return end
  os.execute("mkdir -p " .. support.quote(path:match("^(.*)/")))
  assert(write_file(path, text))
end

local folders = {}

function support.new_folder()
  local pipe = assert(io.popen("mktemp -d"))
  local folder = pipe:read("l")
  pipe:close()
  folders[#folders + 1] = folder
  return folder
end

--- Removes every folder made so far; for teardown.
function support.clean()
  for _, folder in ipairs(folders) do
    os.execute(("chmod -R u+w %s; rm -rf %s"):format(support.quote(folder), support.quote(folder)))
  end
  folders = {}
end

-- An account with an owner: rejections, denials, a view rule, types of every kind.
support.ACCOUNT = [[
local es = require "es"
local rule = require "es.rule"

local Account = es.aggregate "Account"

Account.events = {
  AccountOpened = { owner = "string?" },
  MoneyMoved = { cents = "integer", note = "string?", exact = "boolean?", rate = "number?", tags = "list?", more = "any?" },
}

function Account.initial() return { cents = 0 } end

Account.apply = {
  AccountOpened = function(account, e) account.owner = e.actor_id end,
  MoneyMoved = function(account, e) account.cents = account.cents + e.data.cents end,
}

Account.view = rule.message(rule.owner "owner", "That is not your account")

Account.commands = {
  open = {
    params = {},
    allow = rule.authenticated,
    decide = function(_, _, ctx)
      if ctx.version > 0 then return es.reject("already_open", "The account is open already") end
      return es.event("AccountOpened", { owner = ctx.actor_id })
    end,
  },
  move = {
    dispatch = "MoveMoney",
    params = { cents = "integer", note = "string?", exact = "boolean?", rate = "number?", tags = "list?", more = "any?" },
    exists = true,
    allow = rule.any(rule.owner "owner", rule.role "teller"),
    decide = function(account, cmd)
      if account.cents + cmd.cents < 0 then return es.reject("overdrawn", "There is not enough money") end
      return es.event("MoneyMoved", cmd)
    end,
  },
}

return Account
]]

support.BALANCES = [[
local es = require "es"

local Balances = es.projection "balances"

Balances.tables = {
  balances = { account = "string", cents = "integer", key = { "account" } },
}

Balances.on = {
  MoneyMoved = function(t, e) t.balances:add({ account = e.aggregate_id }, { cents = e.data.cents }) end,
}

Balances.queries = {
  richest = {
    sql = "SELECT account, cents FROM balances ORDER BY cents DESC, account LIMIT :limit",
    params = { limit = "integer?" },
  },
}

return Balances
]]

--- A project folder with an Account aggregate and a balances projection, and these files instead or beside.
---@param files? table<string, string|false>
function support.project(files)
  local folder = support.new_folder()
  local all = {
    ["esrun.lua"] = 'return { store = "store.db" }\n',
    ["aggregates/account.lua"] = support.ACCOUNT,
    ["projections/balances.lua"] = support.BALANCES,
  }
  for path, text in pairs(files or {}) do all[path] = text end
  for path, text in pairs(all) do
    if text then support.write(folder .. "/" .. path, text) end
  end
  return folder
end

local scratch -- the folder for what commands read and print

--- Runs a shell command in a folder; stdin is `input` or empty. A sanitizer that is loaded into this Lua stays out of the
--- processes that the command starts: those of ours have it built in.
---@return { out: string, err: string, status: integer }
function support.shell(folder, command, input)
  scratch = scratch and support.exists(scratch .. "/in") and scratch or support.new_folder()
  write_file(scratch .. "/in", input or "")
  local _, _, status = os.execute(("unset LD_PRELOAD; cd %s && { %s\n} <%s/in >%s/out 2>%s/err"):format(
    support.quote(folder), command, scratch, scratch, scratch))
  return { out = support.read(scratch .. "/out"), err = support.read(scratch .. "/err"), status = status }
end

--- Runs esrun with these words in a folder.
function support.run(folder, words, input)
  local parts = { "NO_COLOR=1", support.quote(support.bin) }
  for _, word in ipairs(words) do parts[#parts + 1] = support.quote(word) end
  return support.shell(folder, table.concat(parts, " "), input)
end

return support
