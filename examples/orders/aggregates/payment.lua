-- Payment: requested by our payment service, processed when the provider's webhook says so.
local es = require "es"
local rule = require "es.rule"
local schema = require "es.schema"

local Payment = es.aggregate "Payment"

local cents = schema.integer { min = 1 }

Payment.events = {
  PaymentRequested = { order_id = "uuid", amount_cents = cents },
  PaymentProcessed = { transaction_id = "string" },
}

function Payment.initial() return { status = "new" } end

Payment.apply = {
  PaymentRequested = function(payment, e)
    payment.status, payment.order_id, payment.amount_cents = "requested", e.data.order_id, e.data.amount_cents
  end,
  PaymentProcessed = function(payment, e)
    payment.status, payment.transaction_id = "processed", e.data.transaction_id
  end,
}

Payment.commands = {
  request = {
    dispatch = "RequestPayment",
    params = { order_id = "uuid", amount_cents = cents },
    allow = rule.actor_kind "system",
    decide = function(_, cmd, ctx)
      if ctx.version > 0 then return es.reject("already_exists", "Payment already requested") end
      return es.event("PaymentRequested", { order_id = cmd.order_id, amount_cents = cmd.amount_cents })
    end,
  },
  process = {
    dispatch = "ProcessPayment",
    params = { transaction_id = schema.string { min = 1, max = 100 } },
    exists = true,
    allow = rule.actor_kind "webhook",
    decide = function(payment, cmd)
      if payment.status == "processed" then return es.reject("already_processed", "Payment already processed") end
      return es.event("PaymentProcessed", { transaction_id = cmd.transaction_id })
    end,
  },
}

return Payment
