-- Order: draft, then created by a customer, then shipped by staff or cancelled. Money is integer cents.
local es = require "es"
local rule = require "es.rule"
local schema = require "es.schema"

local Order = es.aggregate "Order"

-- The bounds keep any total below 2^53, so that every reader of the JSON sees the exact number.
local lines = schema.list(schema.table {
  sku = schema.string { min = 1, max = 40 },
  quantity = schema.integer { min = 1, max = 10000 },
  unit_cents = schema.integer { min = 0, max = 1000000000 },
}, { min = 1, max = 100 })

Order.events = {
  OrderCreated = { customer_id = "string", lines = lines, total_cents = "integer" },
  OrderShipped = { tracking_number = "string" },
  OrderCancelled = { reason = "string?" },
}

function Order.initial() return { status = "draft", total_cents = 0 } end

Order.apply = {
  OrderCreated = function(order, e)
    order.status, order.customer_id, order.total_cents = "created", e.data.customer_id, e.data.total_cents
  end,
  OrderShipped = function(order, e)
    order.status, order.tracking_number, order.shipped_by = "shipped", e.data.tracking_number, e.actor_id
  end,
  OrderCancelled = function(order) order.status = "cancelled" end,
}

local admin_or_customer = rule.any(rule.role "admin", rule.owner "customer_id")

-- Asked by every read of an order's state.
Order.view = rule.message(admin_or_customer, "You don't have access to this order")

local function must_be_created(order)
  if order.status ~= "created" then return es.reject("wrong_status", "Order is already " .. order.status) end
end

Order.commands = {
  create = {
    dispatch = "CreateOrder",
    params = { lines = lines },
    allow = rule.authenticated,
    decide = function(_, cmd, ctx)
      if ctx.version > 0 then return es.reject("already_exists", "Order already created") end
      local total_cents = 0
      for _, line in ipairs(cmd.lines) do
        total_cents = total_cents + line.quantity * line.unit_cents
      end
      return es.event("OrderCreated", { customer_id = ctx.actor_id, lines = cmd.lines, total_cents = total_cents })
    end,
  },
  ship = {
    dispatch = "ShipOrder",
    params = { tracking_number = schema.string { min = 1, max = 100 } },
    exists = true,
    allow = rule.permission "ship_order",
    decide = function(order, cmd)
      return must_be_created(order) or es.event("OrderShipped", { tracking_number = cmd.tracking_number })
    end,
  },
  cancel = {
    dispatch = "CancelOrder",
    params = { reason = schema.optional(schema.string { max = 200 }) },
    exists = true,
    allow = admin_or_customer,
    decide = function(order, cmd)
      return must_be_created(order) or es.event("OrderCancelled", { reason = cmd.reason })
    end,
  },
}

return Order
