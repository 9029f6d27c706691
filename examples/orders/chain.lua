-- chain: one order leads to a payment and a reservation; every step is taken by somebody else, and the trace tells why
-- each happened. Usage: lua5.4 chain.lua [STORE]
local esrun = require "esrun"

local folder = arg[0]:match("^(.*)/[^/]*$") or "."
local es <close> = assert(esrun.open { project = folder, store = arg[1] })

-- Executes one command as an actor and returns its event. The frame carries the cause and the correlation along, so that
-- the events of four aggregates can be read as one story.
local function step(actor_id, cause, target, command, params)
  local frame = {
    actor_id = actor_id,
    causation_id = cause and cause.event_id,
    correlation_id = cause and cause.correlation_id,
  }
  local reply = es.context.run(frame, function() return assert(es:execute(target, command, params)) end)
  return reply.events[1]
end

local sku, order_id, payment_id = "notebook-a5", esrun.new_id(), esrun.new_id()

step("import:warehouse", nil, "Inventory/" .. sku, "receive", { quantity = 10 })

local created = step("user:123", nil, "Order/" .. order_id, "create",
  { lines = { { sku = sku, quantity = 1, unit_cents = 9999 } } })
local requested = step("system:payment-service", created, "Payment/" .. payment_id, "request",
  { order_id = order_id, amount_cents = created.data.total_cents })
local processed = step("webhook:stripe", requested, "Payment/" .. payment_id, "process",
  { transaction_id = "txn_abc123" })
step("system:inventory", processed, "Inventory/" .. sku, "reserve", { order_id = order_id, quantity = 1 })

for event in es:events { correlation_id = created.correlation_id } do
  print(("%s by %s at %s"):format(event.event_type, event.actor_id, event.occurred_at))
end
