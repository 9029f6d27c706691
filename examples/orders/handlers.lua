-- handlers: what a web server would call for a request. Each runs in the context of whoever sent it, and answers with a
-- table to send back, or nil, message, code. Knows nothing of HTTP.
local esrun = require "esrun"

local handlers = {}

--- POST /orders
function handlers.create_order(es, params)
  local order_id = esrun.new_id()
  local reply, message, code = es:dispatch("CreateOrder", order_id, params)
  if not reply then return nil, message, code end
  return { order_id = order_id, status = "created" }
end

--- POST /orders/{order_id}/ship
function handlers.ship_order(es, order_id, params)
  local reply, message, code = es:dispatch("ShipOrder", order_id, params)
  if not reply then return nil, message, code end
  return { status = "shipped" }
end

--- GET /orders/{order_id}
function handlers.get_order(es, order_id)
  local order, message, code = es:load("Order/" .. order_id)
  if not order then return nil, message, code end
  return order.state
end

return handlers
