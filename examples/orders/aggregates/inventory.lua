-- Inventory: how much of one article there is and for which orders it is reserved. Its id is the article's number.
local es = require "es"
local rule = require "es.rule"
local schema = require "es.schema"

local Inventory = es.aggregate "Inventory"

local quantity = schema.integer { min = 1, max = 1000000 }

Inventory.events = {
  InventoryReceived = { quantity = quantity },
  InventoryReserved = { order_id = "uuid", quantity = quantity },
}

function Inventory.initial() return { available = 0, reserved = {} } end

Inventory.apply = {
  InventoryReceived = function(stock, e) stock.available = stock.available + e.data.quantity end,
  InventoryReserved = function(stock, e)
    stock.available = stock.available - e.data.quantity
    stock.reserved[e.data.order_id] = e.data.quantity
  end,
}

Inventory.commands = {
  receive = {
    dispatch = "ReceiveInventory",
    params = { quantity = quantity },
    allow = rule.actor_kind("system", "import"),
    decide = function(_, cmd) return es.event("InventoryReceived", { quantity = cmd.quantity }) end,
  },
  reserve = {
    dispatch = "ReserveInventory",
    params = { order_id = "uuid", quantity = quantity },
    exists = true,
    allow = rule.actor_kind "system",
    decide = function(stock, cmd)
      if stock.reserved[cmd.order_id] then return es.reject("already_reserved", "Inventory already reserved") end
      if stock.available < cmd.quantity then
        return es.reject("out_of_stock", ("Only %d left"):format(stock.available))
      end
      return es.event("InventoryReserved", { order_id = cmd.order_id, quantity = cmd.quantity })
    end,
  },
}

return Inventory
