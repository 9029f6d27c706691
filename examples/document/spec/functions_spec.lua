-- The Document's functions, called directly: a domain module is a plain table. Quick, and good for many cases of one
-- decision; limits, rules and storage are seen by the specs that open a store.
require "esrun" -- makes `es` requirable outside a domain state

local Document = dofile("aggregates/document.lua")

describe("the functions of a document", function()
  local create, edit = Document.commands.create, Document.commands.edit

  it("decide to create it once", function()
    local event = create.decide({}, { title = "Notes", content = "Draft" }, { version = 0 })
    assert.equal("DocumentCreated", event.event_type)
    assert.same({ title = "Notes", content = "Draft" }, event.data)
    local rejection = create.decide({}, { title = "Notes", content = "Draft" }, { version = 1 })
    assert.equal("already_exists", rejection.code)
    assert.equal("Document already exists", rejection.message)
  end)

  it("apply events to the state", function()
    local doc = Document.initial()
    Document.apply.DocumentCreated(doc, { data = { title = "Notes", content = "Draft" }, actor_id = "user:alice" })
    Document.apply.DocumentEdited(doc, { data = { new_content = "Final" }, actor_id = "user:bob" })
    assert.same({ title = "Notes", content = "Final", created_by = "user:alice", last_edited_by = "user:bob" }, doc)
  end)

  it("allow editors and the owner to edit", function()
    local doc = { created_by = "user:alice" }
    for _, case in ipairs {
      { true, { actor_id = "user:alice" } },
      { true, { actor_id = "user:bob", roles = { "editor" } } },
      { false, { actor_id = "user:bob", roles = {} } },
      { false, { actor_id = "anonymous", roles = { "editor" } } },
      { false, {} },
    } do
      assert.equal(case[1], (edit.allow(doc, {}, case[2])))
    end
  end)
end)
