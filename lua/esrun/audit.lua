-- esrun.audit: `es.audit` of one runtime: the shipped projections' questions as functions. Each brings its projection up to
-- date first, so that an answer holds everything that was stored before the question.

local audit = {}

---@class esrun.AuditEntry
---@field id string
---@field timestamp string
---@field actor_id string|userdata esrun.null without an actor
---@field event_type string
---@field aggregate_type string
---@field aggregate_id string
---@field description string "user:jane triggered DocumentEdited on Document"
---@field metadata table
---@field outcome "success"|"rejected"|"denied"|"failed"

---@class esrun.Audit
---@field by_actor fun(actor_id: string?, limit: integer?): esrun.AuditEntry[]? newest first; nil: those without an actor
---@field by_aggregate fun(aggregate_type: string, aggregate_id: string, limit: integer?): esrun.AuditEntry[]?
---@field recent fun(limit: integer?): esrun.AuditEntry[]? the last 100, or `limit`, newest first
---@field activity fun(actor_id: string?, limit: integer?): table[]? what an actor did, newest first; 50 unless told
---@field active_users fun(since: string): table[]? { actor_id, last_active } of those who acted after that time

--- One per runtime.
---@param es esrun.Runtime
---@return esrun.Audit
function audit.new(es)
  local function ask(projection, query, params)
    local done, message, code, details = es:project(projection)
    if not done and code ~= "read_only" then return nil, message, code, details end
    return es:query(projection, query, params)
  end

  return {
    by_actor = function(actor_id, limit)
      return ask("audit_log", "by_actor", { actor_id = actor_id, limit = limit or 100 })
    end,
    by_aggregate = function(aggregate_type, aggregate_id, limit)
      return ask("audit_log", "by_aggregate",
        { aggregate_type = aggregate_type, aggregate_id = aggregate_id, limit = limit or 100 })
    end,
    recent = function(limit) return ask("audit_log", "recent", { limit = limit or 100 }) end,
    activity = function(actor_id, limit)
      return ask("user_activity", "activity", { actor = actor_id or "anonymous", limit = limit or 50 })
    end,
    active_users = function(since) return ask("user_activity", "active_users", { since = since }) end,
  }
end

return audit
