-- esrun.cli.event_text: an event as a line of text, the same everywhere.

local event_text = {}

--- "DocumentEdited by user:bob at 2026-01-31T12:00:00.000000Z"; nobody is "none", which is no actor's name.
function event_text.sentence(event)
  return ("%s by %s at %s"):format(event.event_type, event.actor_id or "none", event.occurred_at)
end

--- The sentence behind the position, for a reply; an event of a dry run has no position.
function event_text.reply_line(event)
  if type(event.position) ~= "number" then return event_text.sentence(event) end
  return ("%d  %s"):format(event.position, event_text.sentence(event))
end

--- A line of the log: position, time, stream and version, type, actor.
function event_text.log_line(event)
  local stream = ("%s/%s@%d"):format(event.aggregate_type, event.aggregate_id, event.version)
  if event.tenant_id then stream = event.tenant_id .. ":" .. stream end
  return ("%6d  %s  %-24s  %s  %s"):format(event.position, event.recorded_at, event.event_type, stream,
    event.actor_id or "none")
end

return event_text
