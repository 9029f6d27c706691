-- customer_totals: how many orders a customer placed, and for how many cents.
local es = require "es"

local Totals = es.projection "customer_totals"

Totals.tables = {
  customer_totals = {
    customer_id = "string", orders = "integer", cents = "integer",
    key = { "customer_id" }, index = { { "cents" } },
  },
}

Totals.on = {
  OrderCreated = function(t, e)
    t.customer_totals:add({ customer_id = e.data.customer_id }, { orders = 1, cents = e.data.total_cents })
  end,
}

Totals.queries = {
  top = {
    sql = [[SELECT customer_id, orders, cents FROM customer_totals ORDER BY cents DESC, customer_id LIMIT :limit]],
    params = { limit = "integer" },
  },
}

return Totals
