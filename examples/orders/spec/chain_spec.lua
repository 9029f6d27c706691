-- The chain of four steps: its actors, its causes, its one correlation.
local esrun = require "esrun"

local function run(store)
  local lua = ("LUA_PATH='%s' LUA_CPATH='%s' lua5.4"):format(package.path, package.cpath)
  local pipe = assert(io.popen(("%s ./chain.lua '%s' 2>&1"):format(lua, store)))
  local output = pipe:read("a")
  return output, pipe:close()
end

describe("the chain", function()
  local path

  before_each(function()
    path = os.tmpname()
    os.remove(path)
  end)
  after_each(function() os.execute(("rm -rf '%s'*"):format(path)) end)

  -- covers E51, E52, E53
  it("prints every step with its actor and time, in order", function()
    local output, fine = run(path)
    assert.is_true(fine, output)
    local time = "%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%dZ\n"
    assert.truthy(output:find("^OrderCreated by user:123 at " .. time .. "PaymentRequested by system:payment%-service at "
      .. time .. "PaymentProcessed by webhook:stripe at " .. time .. "InventoryReserved by system:inventory at " .. time .. "$"),
      output)
  end)

  -- covers E50, E51
  it("gives every event the one before as its cause and all the same correlation", function()
    assert.is_true(select(2, run(path)))
    local es <close> = assert(esrun.open { project = ".", store = path })
    local before, count
    for event in es:events { event_type = "OrderCreated" } do
      before, count = event, 1
    end
    assert.is_nil(before.causation_id)
    for event in es:events { correlation_id = before.correlation_id, after = before.position } do
      assert.equal(before.event_id, event.causation_id)
      before, count = event, count + 1
    end
    assert.equal(4, count)
    assert.equal("InventoryReserved", before.event_type)
  end)
end)

describe("what the chain's steps refuse", function()
  local es

  before_each(function() es = assert(esrun.open { project = ".", store = ":memory:" }) end)
  after_each(function() es:close() end)

  local ORDER = "0190f5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b"

  local function try(actor_id, target, command, params)
    local reply, message, code = es.context.run({ actor_id = actor_id }, es.execute, es, target, command, params)
    return reply and "done" or code, message
  end

  it("payments are requested by services and processed by the provider, once", function()
    local request, process = { order_id = ORDER, amount_cents = 9999 }, { transaction_id = "txn_abc123" }
    assert.equal("forbidden", (try("user:123", "Payment/p", "request", request)))
    assert.equal("done", (try("system:payment-service", "Payment/p", "request", request)))
    assert.equal("already_exists", (try("system:payment-service", "Payment/p", "request", request)))
    assert.equal("forbidden", (try("system:payment-service", "Payment/p", "process", process)))
    assert.equal("done", (try("webhook:stripe", "Payment/p", "process", process)))
    assert.equal("already_processed", (try("webhook:stripe", "Payment/p", "process", process)))
  end)

  it("what is not there cannot be reserved, and an order reserves once", function()
    assert.equal("not_found", (try("system:inventory", "Inventory/pen", "reserve", { order_id = ORDER, quantity = 1 })))
    assert.equal("done", (try("import:warehouse", "Inventory/pen", "receive", { quantity = 3 })))
    local code, message = try("system:inventory", "Inventory/pen", "reserve", { order_id = ORDER, quantity = 4 })
    assert.equal("out_of_stock", code)
    assert.equal("Only 3 left", message)
    assert.equal("done", (try("system:inventory", "Inventory/pen", "reserve", { order_id = ORDER, quantity = 2 })))
    assert.equal("already_reserved", (try("system:inventory", "Inventory/pen", "reserve", { order_id = ORDER, quantity = 1 })))
  end)
end)
