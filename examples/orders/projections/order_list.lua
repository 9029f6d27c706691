-- order_list: one row an order, for lists of them.
local es = require "es"

local OrderList = es.projection "order_list"

OrderList.tables = {
  orders = {
    order_id = "string", customer_id = "string", status = "string", total_cents = "integer", created_at = "timestamp",
    key = { "order_id" }, index = { { "customer_id", "created_at" }, { "status" } },
  },
}

local function set_status(t, e, status)
  local row = t.orders:get({ order_id = e.aggregate_id })
  row.status = status
  t.orders:put(row)
end

OrderList.on = {
  OrderCreated = function(t, e)
    t.orders:put({
      order_id = e.aggregate_id, customer_id = e.data.customer_id, status = "created",
      total_cents = e.data.total_cents, created_at = e.occurred_at,
    })
  end,
  OrderShipped = function(t, e) set_status(t, e, "shipped") end,
  OrderCancelled = function(t, e) set_status(t, e, "cancelled") end,
}

OrderList.queries = {
  of_customer = {
    sql = [[SELECT order_id, status, total_cents FROM orders WHERE customer_id = :customer_id ORDER BY created_at]],
    params = { customer_id = "string" },
  },
  with_status = {
    sql = [[SELECT order_id, customer_id, total_cents FROM orders WHERE status = :status ORDER BY order_id]],
    params = { status = "string" },
  },
}

return OrderList
