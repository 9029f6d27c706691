-- What the rules of es.rule answer, for whom, and in which words.
dofile(debug.getinfo(1, "S").source:match("^@(.*)rule_spec%.lua$") .. "support.lua")
local rule = require "es.rule"

local NOBODY = { roles = {}, permissions = {} }
local ANONYMOUS = { actor_id = "anonymous", roles = { "editor", "admin" }, permissions = { "ship_order" } }
local JANE = { actor_id = "user:jane", roles = { "editor" }, permissions = { "ship_order" } }
local BOB = { actor_id = "user:bob", roles = {}, permissions = {} }

local function ask(which, ctx, state) return { which(state or {}, {}, ctx) } end

describe("authentication", function()
  -- covers E27
  it("is required by authenticated, with the documented text", function()
    assert.same({ true }, ask(rule.authenticated, JANE))
    assert.same({ false, "Authentication required", "unauthenticated" }, ask(rule.authenticated, NOBODY))
    assert.same({ false, "Authentication required", "unauthenticated" }, ask(rule.authenticated, ANONYMOUS))
  end)

  -- covers E22
  it("comes before roles, permissions and ownership", function()
    for _, which in ipairs { rule.role "editor", rule.permission "ship_order", rule.owner "owner", rule.actor_kind "user" } do
      assert.same({ false, "Authentication required", "unauthenticated" }, ask(which, NOBODY))
      assert.same({ false, "Authentication required", "unauthenticated" }, ask(which, ANONYMOUS, { owner = "anonymous" }))
    end
  end)

  it("does not matter to anyone and nobody", function()
    assert.same({ true }, ask(rule.anyone, NOBODY))
    assert.same({ false, "Access denied", "forbidden" }, ask(rule.nobody, JANE))
  end)
end)

describe("roles and permissions", function()
  it("take any of the named roles", function()
    assert.same({ true }, ask(rule.role("admin", "editor"), JANE))
    assert.same({ false, "Role required: admin or editor", "forbidden" }, ask(rule.role("admin", "editor"), BOB))
  end)

  -- covers E54
  it("refuse a missing permission with the documented text", function()
    assert.same({ true }, ask(rule.permission "ship_order", JANE))
    assert.same({ false, "Permission denied: ship_order", "forbidden" }, ask(rule.permission "ship_order", BOB))
  end)

  it("hold a permission through a role of its name", function()
    assert.same({ true }, ask(rule.permission "editor", JANE))
  end)

  it("know the kind of actor", function()
    assert.same({ true }, ask(rule.actor_kind("system", "webhook"), { actor_id = "webhook:stripe" }))
    assert.same({ false, "Access denied", "forbidden" }, ask(rule.actor_kind "system", JANE))
  end)
end)

describe("ownership", function()
  -- covers E55
  it("is the field's actor and nobody else", function()
    assert.same({ true }, ask(rule.owner "created_by", JANE, { created_by = "user:jane" }))
    assert.same({ false, "Access denied", "forbidden" }, ask(rule.owner "created_by", BOB, { created_by = "user:jane" }))
    assert.same({ false, "Not yours", "forbidden" }, ask(rule.owner("created_by", "Not yours"), BOB))
  end)

  it("is nobody's when the field is not set", function()
    assert.is_false(ask(rule.owner "created_by", JANE, {})[1])
    assert.is_false((rule.owner "created_by")(nil, {}, JANE))
  end)
end)

describe("combinations", function()
  local editor_or_owner = rule.any(rule.role "editor", rule.owner("created_by", "Not yours"))

  it("any allows what one allows, and gives the last reason", function()
    assert.same({ true }, ask(editor_or_owner, JANE))
    assert.same({ true }, ask(editor_or_owner, BOB, { created_by = "user:bob" }))
    assert.same({ false, "Not yours", "forbidden" }, ask(editor_or_owner, BOB))
  end)

  it("any tells whoever is nobody to authenticate", function()
    assert.same({ false, "Authentication required", "unauthenticated" },
      ask(rule.any(rule.owner "x", rule.nobody), NOBODY))
  end)

  it("all needs every rule, and the first refusal answers", function()
    local both = rule.all(rule.role "editor", rule.owner "created_by")
    assert.same({ true }, ask(both, JANE, { created_by = "user:jane" }))
    assert.same({ false, "Access denied", "forbidden" }, ask(both, JANE))
    assert.same({ false, "Role required: editor", "forbidden" }, ask(both, BOB, { created_by = "user:bob" }))
  end)

  it("none_of turns a clear refusal around and nothing else", function()
    assert.same({ true }, ask(rule.none_of(rule.role "editor"), BOB))
    assert.is_false(ask(rule.none_of(rule.role "editor"), JANE)[1])
    assert.is_false(ask(rule.none_of(function() return nil end), BOB)[1])
  end)

  it("count only true as yes", function()
    for _, answer in ipairs { 1, "yes", {} } do
      local odd = function() return answer end
      assert.is_false(ask(rule.any(odd), JANE)[1])
      assert.is_false(ask(rule.all(odd), JANE)[1])
      assert.is_false(ask(rule.message(odd, "No"), JANE)[1])
    end
  end)

  -- covers E55
  it("say a refusal in other words, but still ask for authentication", function()
    local view = rule.message(rule.any(rule.role "admin", rule.owner "customer_id"), "You don't have access to this order")
    assert.same({ false, "You don't have access to this order", "forbidden" }, ask(view, BOB))
    assert.same({ false, "Authentication required", "unauthenticated" }, ask(view, NOBODY))
  end)

  it("are described in words", function()
    assert.equal("any(role editor, owner by created_by)", rule.describe(editor_or_owner))
    assert.equal("all(authenticated, a function of the module)", rule.describe(rule.all(rule.authenticated, function() end)))
    assert.equal("nobody", rule.describe(nil))
  end)
end)

describe("a wrong declaration", function()
  it("is named at the line that wrote it", function()
    for _, case in ipairs {
      { function() return (rule.role()) end, "rule.role: expected at least one name" },
      { function() return (rule.role(nil, "a")) end, "rule.role: name 1 is no text" },
      { function() return (rule.permission {}) end, "rule.permission: name 1 is no text" },
      { function() return (rule.owner(nil, "text")) end, "rule.owner: expected at least one name" },
      { function() return (rule.any()) end, "rule.any: expected at least one rule" },
      { function() return (rule.any("editor")) end, "rule.any: argument 1 is no rule but string" },
      { function() return (rule.message(rule.anyone)) end, "rule.message: expected at least one name" },
    } do
      local fine, message = pcall(case[1])
      assert.is_false(fine)
      assert.truthy(message:find(case[2], 1, true), message)
      assert.truthy(message:find("rule_spec.lua:", 1, true), message)
    end
  end)
end)
