-- es.context: who is acting, from trusted Lua.
local bank = dofile "tests/lua/bank.lua"
local esrun = require "esrun"

-- luassert takes the position off a message; here it counts.
local function message_of(f, ...)
  local _, message = pcall(f, ...)
  return message
end

describe("es.context", function()
  local es

  before_each(function() es = bank.open() end)
  after_each(bank.close)

  -- covers E21
  it("says nobody acts until a frame is entered", function()
    assert.is_nil(es.context().actor_id)
    assert.equal(0, es.context.depth())
    local scope = es.context.enter { actor_id = "user:jane" }
    assert.equal("user:jane", es.context().actor_id)
    assert.equal("user:jane", es.context.current().actor_id)
    scope:leave()
    assert.is_nil(es.context().actor_id)
  end)

  it("leaves the frame when the scope is closed", function()
    do
      local _ <close> = es.context.enter { actor_id = "user:jane" }
      assert.equal(1, es.context.depth())
    end
    assert.equal(0, es.context.depth())
  end)

  it("runs a function in a frame and answers what it answers", function()
    local a, b, c = es.context.run({ actor_id = "user:jane" }, function(...)
      return es.context().actor_id, ...
    end, 1, nil)
    assert.same({ "user:jane", 1, nil }, { a, b, c })
    assert.equal(0, es.context.depth())
  end)

  it("puts back what was in force when the function raises", function()
    local scope <close> = es.context.enter { actor_id = "user:jane" }
    local raised = { "any value" }
    local ok, err = pcall(es.context.run, { actor_id = "user:bob" }, function() error(raised) end)
    assert.is_false(ok)
    assert.equal(raised, err)
    assert.equal("user:jane", es.context().actor_id)
    assert.is_truthy(scope)
  end)

  -- covers E26
  it("reports frames that were left behind, and takes them back", function()
    local ok, err = pcall(es.context.run, {}, function()
      es.context.enter { actor_id = "user:bob" }
      es.context.enter { tenant_id = "acme" }
    end)
    assert.is_false(ok)
    assert.matches("context leak: 2 frame", err)
    assert.equal(0, es.context.depth())
  end)

  it("refuses to leave a frame that is not the innermost, and changes nothing", function()
    local outer = es.context.enter { actor_id = "user:jane" }
    local inner = es.context.enter { actor_id = "user:bob" }
    assert.has_error(function() outer:leave() end,
      "this context frame is not the innermost one; frames are left in reverse order")
    assert.equal("user:bob", es.context().actor_id)
    inner:leave()
    outer:leave()
    assert.error_matches(function() outer:leave() end, "left already")
  end)

  it("inherits what a frame does not name", function()
    local outer <close> = es.context.enter {
      actor_id = "user:jane", tenant_id = "acme", roles = { "editor" }, permissions = { "ship" }, ip_address = "10.0.0.1",
    }
    local inner <close> = es.context.enter { metadata = { channel = "web" } }
    local now = es.context()
    assert.equal("user:jane", now.actor_id)
    assert.equal("acme", now.tenant_id)
    assert.same({ "editor" }, { table.unpack(now.roles) })
    assert.same({ "ship" }, { table.unpack(now.permissions) })
    assert.equal("10.0.0.1", now.metadata.ip_address)
    assert.equal("web", now.metadata.channel)
    assert.is_truthy(outer and inner)
  end)

  -- covers E21
  it("gives no privilege of one actor to the next", function()
    local outer <close> = es.context.enter { actor_id = "user:jane", roles = { "admin" }, mfa_verified = true }
    for _, actor_id in ipairs { "user:bob", "user:jane", esrun.none } do
      local inner <close> = es.context.enter { actor_id = actor_id }
      assert.equal(0, #es.context().roles)
      assert.is_nil(es.context().metadata.mfa_verified)
      assert.is_truthy(inner)
    end
    assert.is_truthy(outer)
  end)

  it("sets none with esrun.none", function()
    local outer <close> = es.context.enter { actor_id = "user:jane", tenant_id = "acme", metadata = { channel = "web" } }
    local inner <close> = es.context.enter { tenant_id = esrun.none, metadata = esrun.none }
    assert.is_nil(es.context().tenant_id)
    assert.is_nil(es.context().metadata.channel)
    assert.equal("user:jane", es.context().actor_id)
    assert.is_truthy(outer and inner)
  end)

  -- covers E24
  it("makes a request id for the outermost frame only", function()
    local outer <close> = es.context.enter {}
    local request_id = es.context().request_id
    assert.matches("^%x+%-%x+%-7%x+%-%x+%-%x+$", request_id)
    local inner <close> = es.context.enter {}
    assert.equal(request_id, es.context().request_id)
    assert.is_truthy(outer and inner)
  end)

  -- covers E30, E31, A8
  it("puts the request's facts into every event, booleans as booleans", function()
    local frame = {
      actor_id = "user:jane", request_id = "req-1", ip_address = "::1", user_agent = "curl", trace_id = "t1", span_id = "s1",
      trace_flags = "01", auth_method = "jwt", token_id = "tok", session_id = "ses", mfa_verified = true,
      metadata = { channel = "web", promotion_code = "X1", referrer = "r" },
    }
    local reply = assert(es:execute("Account/1", "open", {}, frame))
    local metadata = reply.events[1].metadata
    metadata["$"] = nil
    assert.same({
      request_id = "req-1", ip_address = "::1", user_agent = "curl", trace_id = "t1", span_id = "s1", trace_flags = "01",
      auth_method = "jwt", token_id = "tok", session_id = "ses", mfa_verified = true, channel = "web",
      promotion_code = "X1", referrer = "r",
    }, metadata)
    assert.equal(0, es.context.depth())
  end)

  -- covers A9
  it("answers a copy: changing it changes nothing", function()
    local scope <close> = es.context.enter { actor_id = "user:jane", roles = { "editor" } }
    local copy = es.context()
    copy.actor_id = "user:root"
    copy.roles[1] = "admin"
    assert.equal("user:jane", es.context().actor_id)
    assert.equal("editor", es.context().roles[1])
    assert.is_truthy(scope)
  end)

  -- covers E17, E18
  it("raises for a malformed frame, so that nobody goes on as somebody else", function()
    for _, frame in ipairs {
      { actor_id = "jane" }, { actor_id = "user:jane@example.org" }, { actor_id = "robot:1" }, { tenant_id = "" },
      { correlation_id = "x" }, { metadata = { ["$x"] = 1 } }, { metadata = { nested = {} } }, { mfa_verified = "yes" },
      { user_agent = ("x"):rep(501) }, { ip_address = ("1"):rep(46) }, { request_id = ("x"):rep(256) },
    } do
      assert.has_error(function() es.context.run(frame, function() error("must not run") end) end)
      assert.equal(0, es.context.depth())
    end
    local ok, err = pcall(es.context.enter, { actor_id = "jane" })
    assert.is_false(ok)
    assert.equal("malformed_actor", err.code)
    assert.equal('actor id "jane" is not KIND:NAME', tostring(err))
  end)

  it("blames the caller for a field that does not exist, and for wrong types", function()
    assert.matches("context_spec.lua:%d+: es.context.run: unknown field 'actor'",
      message_of(function() es.context.run({ actor = "user:jane" }, print) end))
    assert.matches("context_spec.lua:%d+: es.context.enter: unknown field 'actor'",
      message_of(function() es.context.enter { actor = "user:jane" } end))
    assert.matches("context_spec.lua:%d+: .*so ip_address cannot be given",
      message_of(function() es.context.enter { metadata = esrun.none, ip_address = "::1" } end))
    assert.error_matches(function() es.context.enter { actor_id = 1 } end, "actor_id: string expected")
    assert.error_matches(function() es.context.enter { roles = "admin" } end, "roles: list of strings expected")
    assert.error_matches(function() es.context.enter { roles = { 1 } } end, "roles%[1%]: string expected")
    assert.error_matches(function() es.context.enter { actor_id = "user:a\0b" } end, "NUL")
    assert.error_matches(function() es.context.enter() end, "frame expected")
  end)

  it("keeps the contexts of two runtimes apart", function()
    local other <close> = assert(esrun.open { store = ":memory:" })
    local scope <close> = es.context.enter { actor_id = "user:jane" }
    assert.is_nil(other.context().actor_id)
    assert.is_truthy(scope)
  end)

  it("does not mind a scope that outlives its runtime", function()
    local other = assert(esrun.open { store = ":memory:" })
    do
      local _ <close> = other.context.enter { actor_id = "user:jane" }
      other:close()
    end
    assert.has_error(function() other.context.current() end)
  end)
end)

describe("esrun.actor", function()
  -- covers E14
  it("makes ids of every documented kind", function()
    local actor = esrun.actor
    assert.equal("user:jane", actor.user "jane")
    assert.equal("user:2b1c7c4e-8f1a-4c43-9a59-2a2a9d0a6a01", actor.user "2b1c7c4e-8f1a-4c43-9a59-2a2a9d0a6a01")
    assert.equal("service:billing", actor.service "billing")
    assert.equal("api:k1", actor.api "k1")
    assert.equal("system:backup", actor.system "backup")
    assert.equal("cron:nightly", actor.cron "nightly")
    assert.equal("webhook:stripe", actor.webhook "stripe")
    assert.equal("import:crm", actor.import "crm")
    assert.equal("anonymous", actor.anonymous())
  end)

  it("raises rather than making an id of nobody", function()
    assert.matches("context_spec.lua:%d+: .*name expected, got nil",
      message_of(function() local _ = esrun.actor.user(nil) end))
    assert.error_matches(function() esrun.actor.user "" end, "empty string")
  end)

  it("takes ids apart", function()
    assert.same({ "import", "crm:2024" }, { esrun.actor.parse "import:crm:2024" })
    assert.same({ "anonymous" }, { esrun.actor.parse "anonymous" })
    local kind, message, code = esrun.actor.parse "user:a@b"
    assert.is_nil(kind)
    assert.equal("personal_actor", code)
    assert.matches("personal data", message)
  end)
end)
