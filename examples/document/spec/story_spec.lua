-- The Document aggregate and its log as stories: given events, when a command, then what (es.testing).
local t = require "es.testing"

local ALICE, EDITOR = { actor_id = "user:alice" }, { actor_id = "user:bob", roles = { "editor" } }
local CREATED = { "Document/notes", "DocumentCreated", { title = "Notes", content = "Draft" }, actor_id = "user:alice" }

describe("the story of a document", function()
  it("begins with its creation", function()
    t.given()
      :when("Document/notes", "create", { title = "Notes", content = "Draft" }, ALICE)
      :then_events { { "DocumentCreated", { title = "Notes", content = "Draft" }, actor_id = "user:alice" } }
      :when("Document/notes", "create", { title = "Notes", content = "Draft" }, ALICE)
      :then_rejected("already_exists", "Document already exists")
  end)

  it("goes on with edits by those who may", function()
    t.given { CREATED }
      :when("Document/notes", "edit", { new_content = "Final" }, EDITOR)
      :then_events { "DocumentEdited" }
      :then_state { title = "Notes", content = "Final", created_by = "user:alice", last_edited_by = "user:bob" }
      :when("Document/notes", "edit", { new_content = "Mine" }, { actor_id = "user:mallory" })
      :then_denied "forbidden"
  end)

  it("is told by the audit log", function()
    t.given { CREATED, { "Document/notes", "DocumentEdited", { new_content = "Final" }, actor_id = "user:bob" } }
      :then_rows("document_audit", "log", { document_id = "notes" }, {
        { timestamp = "2024-01-01T00:00:00.000000Z", actor = "user:alice", action = "DocumentCreated" },
        { timestamp = "2024-01-01T00:00:00.000000Z", actor = "user:bob", action = "DocumentEdited" },
      })
  end)
end)
