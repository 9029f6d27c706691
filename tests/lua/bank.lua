-- A runtime on a project with accounts, in memory, for the specs of the host module; and Jane, who opens accounts and moves
-- money.
local support = dofile "tests/cli/support.lua"
local esrun = require "esrun"

local bank = { support = support } -- whose folders close() removes
local es

function bank.open()
  es = assert(esrun.open { project = support.project(), store = ":memory:" })
  return es
end

function bank.close()
  es:close()
  support.clean()
end

function bank.as(actor_id, f, ...) return es.context.run({ actor_id = actor_id }, f, ...) end

function bank.open_account(id)
  return bank.as("user:jane", function() return assert(es:execute("Account/" .. id, "open")) end)
end

function bank.move(id, cents, options)
  return bank.as("user:jane", function() return es:execute("Account/" .. id, "move", { cents = cents }, options) end)
end

return bank
