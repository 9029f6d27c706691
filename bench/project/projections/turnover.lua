-- turnover: the projection that is measured: two upserts an event.
local es = require "es"

local Turnover = es.projection "turnover"

Turnover.tables = {
  by_account = { account_id = "string", movements = "integer", amount = "integer", key = { "account_id" } },
  by_actor = { actor_id = "string", movements = "integer", amount = "integer", key = { "actor_id" } },
}

local function count(t, e)
  local delta = { movements = 1, amount = e.data.amount }
  t.by_account:add({ account_id = e.aggregate_id }, delta)
  t.by_actor:add({ actor_id = e.actor_id }, delta)
end

Turnover.on = { any = count }

Turnover.queries = {
  actors = { sql = "SELECT actor_id, movements, amount FROM by_actor ORDER BY actor_id" },
}

return Turnover
