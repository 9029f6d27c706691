--- audit_log: one row for each event, and for each command that was refused: who did what, to what, when, with which outcome.
---
--- The table has the columns of the documented audit log. `entries` and the other queries add what is derived from them:
--- the entry's description, and the outcome. A refused command ($CommandRejected, $CommandDenied, $CommandFailed) is listed
--- under the aggregate it was aimed at, so that `by_aggregate` shows the attempts too; its payload has the command and code.
local es = require "es"

local Audit = es.projection "audit_log"

Audit.runtime_events = true

Audit.tables = {
  audit_log = {
    event_id = "uuid",
    occurred_at = "timestamp",
    actor_id = "string?",
    event_type = "string",
    aggregate_type = "string",
    aggregate_id = "string",
    correlation_id = "uuid",
    causation_id = "uuid?",
    metadata = "table",
    payload = "table",
    key = { "event_id" },
    index = {
      { "occurred_at", "event_id" },
      { "actor_id", "occurred_at", "event_id" },
      { "aggregate_type", "aggregate_id", "occurred_at", "event_id" },
      { "correlation_id", "occurred_at", "event_id" },
    },
  },
}

-- Putting the same event again writes the same row: redelivery changes nothing.
local function record(t, e)
  local event = e:copy()
  local refused = event.event_type:sub(1, 8) == "$Command"
  t.audit_log:put {
    event_id = event.event_id,
    occurred_at = event.occurred_at,
    actor_id = event.actor_id,
    event_type = event.event_type,
    aggregate_type = refused and event.data.aggregate_type or event.aggregate_type,
    aggregate_id = refused and event.data.aggregate_id or event.aggregate_id,
    correlation_id = event.correlation_id,
    causation_id = event.causation_id,
    metadata = event.metadata,
    payload = event.data,
  }
end

Audit.on = { any = record }

local COLUMNS = [[
  SELECT event_id, occurred_at, actor_id, event_type, aggregate_type, aggregate_id, correlation_id, causation_id, metadata,
         payload,
         CASE event_type WHEN '$CommandRejected' THEN 'rejected' WHEN '$CommandDenied' THEN 'denied'
                         WHEN '$CommandFailed' THEN 'failed' ELSE 'success' END AS outcome
    FROM audit_log ]]

local ENTRIES = [[
  SELECT event_id AS id, occurred_at AS timestamp, actor_id, event_type, aggregate_type, aggregate_id,
         coalesce(actor_id, 'System') || ' triggered ' || event_type || ' on ' || aggregate_type AS description, metadata,
         CASE event_type WHEN '$CommandRejected' THEN 'rejected' WHEN '$CommandDenied' THEN 'denied'
                         WHEN '$CommandFailed' THEN 'failed' ELSE 'success' END AS outcome
    FROM audit_log ]]

local NEWEST_FIRST = " ORDER BY occurred_at DESC, event_id DESC "

Audit.queries = {
  -- Entries of one actor; without actor_id those of nobody, which differs from "anonymous".
  by_actor = {
    sql = ENTRIES .. "WHERE actor_id IS :actor_id" .. NEWEST_FIRST .. "LIMIT :limit",
    params = { actor_id = "string?", limit = "integer?" },
  },
  by_aggregate = {
    sql = ENTRIES .. "WHERE aggregate_type = :aggregate_type AND aggregate_id = :aggregate_id" .. NEWEST_FIRST
      .. "LIMIT :limit",
    params = { aggregate_type = "string", aggregate_id = "string", limit = "integer?" },
  },
  recent = {
    sql = ENTRIES .. NEWEST_FIRST .. "LIMIT coalesce(:limit, 100)",
    params = { limit = "integer?" },
  },
  -- All entries, oldest first.
  entries = { sql = ENTRIES .. "ORDER BY occurred_at, event_id" },
  -- The rows themselves, oldest first.
  rows = {
    sql = COLUMNS .. "ORDER BY occurred_at, event_id LIMIT :limit",
    params = { limit = "integer?" },
  },
  -- The rows under the columns of the Cortex ledger's audit_log, oldest first. Single rows carry no signature: checkpoints
  -- sign the whole ledger.
  cortex = {
    sql = [[
      SELECT event_id AS id, correlation_id, occurred_at AS timestamp, actor_id AS agent_name, event_type AS action, payload,
             NULL AS signature, occurred_at AS created_at
        FROM audit_log ORDER BY occurred_at, event_id LIMIT coalesce(:limit, -1) ]],
    params = { limit = "integer?" },
  },
  by_correlation = {
    sql = COLUMNS .. "WHERE correlation_id = :correlation_id ORDER BY occurred_at, event_id",
    params = { correlation_id = "uuid" },
  },
}

return Audit
