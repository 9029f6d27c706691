-- Coroutines start with a copy of their creator's context and change nothing outside themselves.
local support = dofile "tests/cli/support.lua"
local esrun = require "esrun"

describe("a coroutine", function()
  local es

  before_each(function() es = assert(esrun.open { store = ":memory:" }) end)
  after_each(function()
    es:close()
    support.clean()
  end)

  local function who() return es.context().actor_id end

  -- covers E21
  it("starts with its creator's context, not with that of whoever resumes it", function()
    local co
    es.context.run({ actor_id = "user:jane" }, function() co = coroutine.create(function() return who() end) end)
    es.context.run({ actor_id = "user:bob" }, function()
      assert.same({ true, "user:jane" }, { coroutine.resume(co) })
      assert.equal("user:bob", who())
    end)
  end)

  it("keeps its own frames between resumes, and they are not in force outside", function()
    local co = coroutine.wrap(function()
      local scope <close> = es.context.enter { actor_id = "user:inner" }
      coroutine.yield(who())
      coroutine.yield(who())
      return scope and who()
    end)
    es.context.run({ actor_id = "user:outer" }, function()
      assert.equal("user:inner", co())
      assert.equal("user:outer", who())
    end)
    assert.equal("user:inner", co())
    assert.is_nil(who())
    assert.equal("user:inner", co())
    assert.is_nil(who())
    assert.equal(0, es.context.depth())
  end)

  it("may yield inside es.context.run", function()
    local co = coroutine.wrap(function()
      return es.context.run({ actor_id = "user:inner" }, function()
        coroutine.yield(who())
        return who()
      end), who()
    end)
    assert.equal("user:inner", co())
    assert.is_nil(who())
    assert.same({ "user:inner" }, { co() })
    assert.equal(0, es.context.depth())
  end)

  it("cannot leave a frame of its creator", function()
    local scope = es.context.enter { actor_id = "user:jane" }
    local ok, err = coroutine.resume(coroutine.create(function() scope:leave() end))
    assert.is_false(ok)
    assert.matches("entered in another coroutine", err)
    assert.equal("user:jane", who())
    scope:leave()
    assert.is_nil(who())
  end)

  it("changes nothing outside when it fails", function()
    local scope <close> = es.context.enter { actor_id = "user:jane" }
    local co = coroutine.wrap(function()
      es.context.enter { actor_id = "user:bob" }
      error("lost", 0)
    end)
    assert.has_error(co, "lost")
    assert.equal("user:jane", who())
    assert.equal(1, es.context.depth())
    assert.is_truthy(scope)
  end)

  it("closes its variables in its own context", function()
    local seen
    local co = coroutine.create(function()
      local _ <close> = es.context.enter { actor_id = "user:inner" }
      local last <close> = setmetatable({}, { __close = function() seen = who() end })
      coroutine.yield(last)
    end)
    coroutine.resume(co)
    es.context.run({ actor_id = "user:outer" }, function()
      assert.is_true(coroutine.close(co))
      assert.equal("user:outer", who())
    end)
    assert.equal("user:inner", seen)
    assert.equal("dead", coroutine.status(co))
  end)

  it("nests: each level has its own", function()
    local seen = {}
    local outer = coroutine.wrap(function()
      local scope <close> = es.context.enter { actor_id = "user:one" }
      local inner = coroutine.wrap(function()
        local deeper <close> = es.context.enter { actor_id = "user:two" }
        seen[#seen + 1] = who()
        coroutine.yield()
        seen[#seen + 1] = deeper and who()
      end)
      inner()
      seen[#seen + 1] = who()
      coroutine.yield()
      inner()
      seen[#seen + 1] = scope and who()
    end)
    outer()
    outer()
    assert.same({ "user:two", "user:one", "user:two", "user:one" }, seen)
  end)

  it("sees a runtime that was opened after it started, with nobody acting", function()
    local seen = {}
    local other
    local co = coroutine.wrap(function()
      coroutine.yield()
      seen[1] = other.context().actor_id or "nobody"
      other.context.enter { actor_id = "user:inner" }
      coroutine.yield()
      seen[2] = other.context().actor_id
    end)
    co()
    other = assert(esrun.open { store = ":memory:" })
    local scope = other.context.enter { actor_id = "user:outer" }
    co()
    assert.equal("user:outer", other.context().actor_id)
    co()
    assert.same({ "nobody", "user:inner" }, seen)
    scope:leave()
    other:close()
  end)

  it("does not mind a runtime that is closed while it sleeps", function()
    local other = assert(esrun.open { store = ":memory:" })
    local co = coroutine.wrap(function()
      other.context.enter { actor_id = "user:inner" }
      coroutine.yield()
      return who() or "nobody"
    end)
    co()
    other:close()
    assert.equal("nobody", co())
  end)

  it("reads the same from a hundred coroutines at once", function()
    local all, wrong = {}, 0
    for number = 1, 100 do
      es.context.run({ actor_id = "user:" .. number }, function()
        all[number] = coroutine.wrap(function()
          for _ = 1, 3 do
            if who() ~= "user:" .. number then wrong = wrong + 1 end
            coroutine.yield()
          end
        end)
      end)
    end
    for _ = 1, 3 do
      for number = 100, 1, -1 do all[number]() end
      collectgarbage()
    end
    assert.equal(0, wrong)
    assert.is_nil(who())
  end)

  it("still works as coroutines do", function()
    assert.same({ false, "cannot resume dead coroutine" }, { (function()
      local co = coroutine.create(function() end)
      coroutine.resume(co)
      return coroutine.resume(co)
    end)() })
    local generator = coroutine.wrap(function(...)
      local got = coroutine.yield(select("#", ...))
      return got, nil, 3
    end)
    assert.equal(3, generator(nil, nil, nil))
    assert.equal(3, select("#", generator "x"))
    assert.has_error(function() coroutine.create(1) end)
    assert.has_error(function() coroutine.resume(1) end)
  end)
end)
