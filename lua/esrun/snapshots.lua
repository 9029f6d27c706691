-- esrun.snapshots: the methods of a runtime that take, list and drop snapshots: loaded when first asked for, as few programs do.

local core = require "esrun.core"
local errors = require "esrun.errors"

---@class esrun.Runtime
local Runtime = {}

---@class esrun.Snapshot
---@field snapshot_id string
---@field version integer of the stream
---@field position integer of the event that it ends with
---@field event_id string of that event
---@field bytes integer of the state's JSON
---@field aggregate_type? string this and the rest only in es:snapshots()
---@field aggregate_id? string
---@field tenant_id? string
---@field created_at? string
---@field unfit? string why nobody uses it
---@field damaged? boolean whether the reason is more than another module

--- Takes a snapshot of an aggregate as it is now: loading it begins there from now on. One of the same version is replaced.
---@param target string|string[] "Document/ID" or { "Document", ID }
---@return esrun.Snapshot? snapshot
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:snapshot(target)
  local aggregate_type, aggregate_id = errors.check_target(target, "es:snapshot")
  return self._handle:snapshot(aggregate_type, aggregate_id)
end

---@class esrun.SnapshotAllOptions: esrun.WorkOptions
---@field aggregate_type? string
---@field min_events? integer how many events a stream must have behind its newest snapshot; default 1
---@field on_failed? fun(failed: table) told of each that could not be taken: aggregate_type, aggregate_id, message …

local ALL_OPTIONS = { aggregate_type = true, min_events = true, on_failed = true, progress = true }

--- Takes a snapshot of every aggregate of the context's tenant, or in operator scope of every tenant, that has grown enough.
--- Answers { stream_count, taken_count, failed_count }; with failures, message, code and details of the first follow.
---@param options? esrun.SnapshotAllOptions
---@return table? report
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:snapshot_all(options)
  options = options or {}
  errors.check_options(options, ALL_OPTIONS, "es:snapshot_all")
  return self._handle:snapshot_all(options)
end

local function parts_of(target, what)
  if target == nil then return nil end
  return errors.check_target(target, what)
end

--- The snapshots of one aggregate, or of all that the context's tenant has; in operator scope, of every tenant.
---@param target? string|string[]
---@return esrun.Snapshot[]? list by version within an aggregate
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:snapshots(target)
  local text, message, code, details = self._handle:snapshots(parts_of(target, "es:snapshots"))
  if not text then return nil, message, code, details end
  local list = {}
  for line in text:gmatch "[^\n]+" do
    local one = assert(core.decode_own(line))
    for name, value in pairs(one) do
      if value == core.null then one[name] = nil end
    end
    list[#list + 1] = one
  end
  return list
end

--- Takes away the snapshots of one aggregate, or all of the store, for which operator scope is needed. Answers how many.
---@param target? string|string[]
---@return integer? count
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:drop_snapshots(target)
  return self._handle:drop_snapshots(parts_of(target, "es:drop_snapshots"))
end

return Runtime
