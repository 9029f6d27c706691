--- user_activity: what each actor did. Events without an actor are kept under "anonymous", together with those of the actor
--- who is called so; the audit log tells the two apart.
local es = require "es"

local Activity = es.projection "user_activity"

Activity.tables = {
  user_activity = {
    actor_id = "string",
    event_id = "uuid",
    event_type = "string",
    aggregate_type = "string",
    aggregate_id = "string",
    timestamp = "timestamp",
    correlation_id = "uuid",
    key = { "actor_id", "event_id" },
    index = { { "actor_id", "timestamp", "event_id" } },
  },
  -- One row an actor, so that "who was active" does not read every event.
  last_activity = {
    actor_id = "string",
    timestamp = "timestamp",
    key = { "actor_id" },
    index = { { "timestamp" } },
  },
}

-- Putting the same event again writes the same row: redelivery changes nothing.
local function record(t, e)
  local actor_id = e.actor_id or "anonymous"
  t.user_activity:put {
    actor_id = actor_id,
    event_id = e.event_id,
    event_type = e.event_type,
    aggregate_type = e.aggregate_type,
    aggregate_id = e.aggregate_id,
    timestamp = e.occurred_at,
    correlation_id = e.correlation_id,
  }
  local last = t.last_activity:get { actor_id = actor_id }
  if last == nil or last.timestamp < e.occurred_at then
    t.last_activity:put { actor_id = actor_id, timestamp = e.occurred_at }
  end
end

Activity.on = { any = record }

Activity.queries = {
  -- Newest first; an unknown actor has none.
  activity = {
    sql = [[
      SELECT event_id, event_type, aggregate_type, aggregate_id, timestamp, correlation_id
        FROM user_activity WHERE actor_id = :actor
       ORDER BY timestamp DESC, event_id DESC LIMIT coalesce(:limit, 50)]],
    params = { actor = "string", limit = "integer?" },
  },
  -- Who acted after that time, each once; not at that time.
  active_users = {
    sql = "SELECT actor_id, timestamp AS last_active FROM last_activity WHERE timestamp > :since ORDER BY actor_id",
    params = { since = "timestamp" },
  },
}

return Activity
