-- Orders: who may do what with them, in which status. Each test has a store of its own, in memory.
local esrun = require "esrun"

local CUSTOMER = { actor_id = "user:123" }
local STRANGER = { actor_id = "user:456" }
local ADMIN = { actor_id = "user:root", roles = { "admin" } }
local SHIPPER = { actor_id = "user:sam", permissions = { "ship_order" } }

local LINES = { lines = { { sku = "notebook-a5", quantity = 2, unit_cents = 4500 },
  { sku = "pen", quantity = 1, unit_cents = 999 } } }
local PARCEL = { tracking_number = "TRACK-1" }

describe("an order", function()
  local es, handlers

  before_each(function()
    es = assert(esrun.open { project = ".", store = ":memory:" })
    handlers = dofile("handlers.lua")
  end)
  after_each(function() es:close() end)

  local function with(frame, f, ...) return es.context.run(frame, f, ...) end

  local function create(frame) return assert(with(frame or CUSTOMER, handlers.create_order, es, LINES)).order_id end

  local function refused(message, code, ...)
    local reply, got_message, got_code = ...
    assert.is_nil(reply)
    assert.equal(message, got_message)
    assert.equal(code, got_code)
  end

  -- covers E23, E28
  it("is created and shipped by the handlers", function()
    local created = assert(with(CUSTOMER, handlers.create_order, es, LINES))
    assert.equal("created", created.status)
    assert.same({ status = "shipped" }, with(SHIPPER, handlers.ship_order, es, created.order_id, PARCEL))
  end)

  -- covers E37
  it("goes from draft over created to shipped", function()
    local id = create()
    assert.same({ status = "created", customer_id = "user:123", total_cents = 9999 }, with(CUSTOMER, handlers.get_order, es, id))
    assert(with(SHIPPER, handlers.ship_order, es, id, PARCEL))
    local order = with(CUSTOMER, handlers.get_order, es, id)
    assert.equal("shipped", order.status)
    assert.equal("user:sam", order.shipped_by)
  end)

  -- covers E38
  it("is the same when it is loaded again", function()
    local id = create()
    local first = assert(with(CUSTOMER, es.load, es, "Order/" .. id))
    local again = assert(with(CUSTOMER, es.load, es, "Order/" .. id))
    assert.equal(1, first.version)
    assert.equal(first.state_hash, again.state_hash)
    assert.same(first.state, again.state)
  end)

  -- covers E35
  it("cannot be created twice", function()
    local id = create()
    refused("Order already created", "already_exists", with(CUSTOMER, es.execute, es, "Order/" .. id, "create", LINES))
  end)

  it("cannot be shipped twice, nor after it was cancelled", function()
    local shipped, cancelled = create(), create()
    assert(with(SHIPPER, handlers.ship_order, es, shipped, PARCEL))
    refused("Order is already shipped", "wrong_status", with(SHIPPER, handlers.ship_order, es, shipped, PARCEL))
    assert(with(CUSTOMER, es.execute, es, "Order/" .. cancelled, "cancel", {}))
    refused("Order is already cancelled", "wrong_status", with(SHIPPER, handlers.ship_order, es, cancelled, PARCEL))
  end)

  -- covers E27
  it("is created by somebody", function()
    refused("Authentication required", "unauthenticated", with({}, handlers.create_order, es, LINES))
  end)

  -- covers E54
  it("is shipped by those who may ship orders", function()
    local id = create()
    refused("Permission denied: ship_order", "forbidden", with(CUSTOMER, handlers.ship_order, es, id, PARCEL))
    refused("Authentication required", "unauthenticated", with({}, handlers.ship_order, es, id, PARCEL))
    assert(with(SHIPPER, handlers.ship_order, es, id, PARCEL))
  end)

  -- covers E55
  it("is seen by its customer and by admins", function()
    local id = create()
    assert.equal("created", with(CUSTOMER, handlers.get_order, es, id).status)
    assert.equal("created", with(ADMIN, handlers.get_order, es, id).status)
    refused("You don't have access to this order", "forbidden", with(STRANGER, handlers.get_order, es, id))
    refused("Authentication required", "unauthenticated", with({}, handlers.get_order, es, id))
  end)

  -- covers E56
  it("is asked for by whoever acts now, and by nobody afterwards", function()
    local id = create()
    local seen = with(ADMIN, function()
      refused("You don't have access to this order", "forbidden", with(STRANGER, handlers.get_order, es, id))
      return handlers.get_order(es, id)
    end)
    assert.equal("created", seen.status)
    refused("Authentication required", "unauthenticated", handlers.get_order(es, id))
  end)

  -- covers E57
  it("does not exist for another organisation, and only then is access a question", function()
    local id = create({ actor_id = "user:123", tenant_id = "acme" })
    local target = "Order/" .. id
    for _, frame in ipairs {
      { actor_id = "user:123", tenant_id = "globex" },
      { actor_id = "user:root", tenant_id = "globex", roles = { "admin" } },
      { actor_id = "user:123" },
    } do
      refused("Order not found", "not_found", with(frame, handlers.get_order, es, id))
      refused("Order not found", "not_found", with(frame, es.execute, es, target, "cancel", {}))
    end
    local colleague = { actor_id = "user:456", tenant_id = "acme" }
    refused("Access denied", "forbidden", with(colleague, es.execute, es, target, "cancel", {}))
    assert(with({ actor_id = "user:123", tenant_id = "acme" }, es.execute, es, target, "cancel", {}))
  end)

  it("names the place of what is wrong with its lines", function()
    for _, case in ipairs {
      { {}, "params.lines: needs at least 1 element, has 0" },
      { { { sku = "pen", quantity = 0, unit_cents = 1 } }, "params.lines[1].quantity: must be at least 1" },
      { { { sku = "pen", quantity = 1, unit_cents = 9.99 } }, "params.lines[1].unit_cents: expected integer, got number" },
    } do
      local reply, message = with(CUSTOMER, handlers.create_order, es, { lines = case[1] })
      assert.is_nil(reply)
      assert.truthy(message:find(case[2], 1, true), message)
    end
  end)
end)

describe("the read models", function()
  it("list orders and add up what customers spent", function()
    local es <close> = assert(esrun.open { project = ".", store = ":memory:" })
    local handlers = dofile("handlers.lua")
    local first = es.context.run(CUSTOMER, handlers.create_order, es, LINES).order_id
    es.context.run(CUSTOMER, handlers.create_order, es, LINES)
    es.context.run(STRANGER, handlers.create_order, es, LINES)
    assert(es.context.run(SHIPPER, handlers.ship_order, es, first, PARCEL))
    assert(es:project())
    assert.same({ { customer_id = "user:123", orders = 2, cents = 19998 },
      { customer_id = "user:456", orders = 1, cents = 9999 } }, es:query("customer_totals", "top", { limit = 10 }))
    assert.same({ { order_id = first, customer_id = "user:123", total_cents = 9999 } },
      es:query("order_list", "with_status", { status = "shipped" }))
    assert.equal(2, #es:query("order_list", "of_customer", { customer_id = "user:123" }))
  end)
end)
