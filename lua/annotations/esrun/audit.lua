-- esrun.audit: for editors; made from the comments of lua/esrun/audit.lua by cmake/annotate.lua.
---@meta esrun.audit

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
