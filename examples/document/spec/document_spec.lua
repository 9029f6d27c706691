-- The Document aggregate: each test has a store of its own, in memory.
local esrun = require "esrun"

local ALICE = { actor_id = "user:alice" }
local BOB = { actor_id = "user:bob" }
local EDITOR = { actor_id = "user:bob", roles = { "editor" } }
local NOTES = { title = "Meeting Notes", content = "Initial draft..." }

describe("a document", function()
  local es

  before_each(function() es = assert(esrun.open { project = ".", store = ":memory:" }) end)
  after_each(function() es:close() end)

  local function try(frame, command, params)
    return es.context.run(frame, function() return es:execute("Document/notes", command, params) end)
  end

  -- The state, as somebody sees who may see it.
  local function state() return assert(es:load("Document/notes")).state end

  -- covers E36
  it("remembers who created it and who edited it last", function()
    assert(try(ALICE, "create", NOTES))
    assert(try(EDITOR, "edit", { new_content = "Updated" }))
    assert.same({ title = "Meeting Notes", content = "Updated", created_by = "user:alice", last_edited_by = "user:bob" },
      state())
  end)

  -- covers E35
  it("cannot be created twice", function()
    assert(try(ALICE, "create", NOTES))
    local reply, message, code = try(ALICE, "create", NOTES)
    assert.is_nil(reply)
    assert.equal("Document already exists", message)
    assert.equal("already_exists", code)
    assert.equal(1, assert(es:load("Document/notes")).version)
  end)

  -- covers E35
  it("must be created before it is edited", function()
    local reply, message, code = try(EDITOR, "edit", { new_content = "Updated" })
    assert.is_nil(reply)
    assert.equal("Document must be created first", message)
    assert.equal("not_found", code)
  end)

  -- covers E22, E27
  it("is created by somebody", function()
    for _, frame in ipairs { {}, { actor_id = "anonymous" } } do
      local reply, message, code = try(frame, "create", NOTES)
      assert.is_nil(reply)
      assert.equal("Authentication required", message)
      assert.equal("unauthenticated", code)
    end
  end)

  it("is edited by its owner or an editor and by nobody else", function()
    assert(try(ALICE, "create", NOTES))
    assert(try(ALICE, "edit", { new_content = "mine" }))
    assert(try(EDITOR, "edit", { new_content = "the editor's" }))
    local reply, message, code = try(BOB, "edit", { new_content = "bob's" })
    assert.is_nil(reply)
    assert.equal("Access denied", message)
    assert.equal("forbidden", code)
    assert.equal("the editor's", state().content)
  end)
end)
