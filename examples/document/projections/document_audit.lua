-- document_audit: who did what to which document, one row an event, in the order it happened.
local es = require "es"

local DocumentAudit = es.projection "document_audit"

DocumentAudit.tables = {
  document_audit = {
    position = "integer", timestamp = "timestamp", actor = "string?", action = "string", document_id = "string",
    key = { "position" }, index = { { "document_id", "position" } },
  },
}

local function record(t, e)
  t.document_audit:put({
    position = e.position, timestamp = e.occurred_at, actor = e.actor_id, action = e.event_type,
    document_id = e.aggregate_id,
  })
end

DocumentAudit.on = { DocumentCreated = record, DocumentEdited = record }

DocumentAudit.queries = {
  log = {
    sql = [[SELECT timestamp, actor, action FROM document_audit WHERE document_id = :document_id ORDER BY position]],
    params = { document_id = "string" },
  },
}

return DocumentAudit
