-- esrun.archive: `es.archive` of one runtime: moves the data and metadata of old events into compressed files, and back.

local errors = require "esrun.errors"

local archive = {}

---@class esrun.ArchiveOptions: esrun.WorkOptions exactly one of the first four
---@field before? integer the events at lower positions than this
---@field before_time? string|integer those recorded before this: RFC 3339, or microseconds
---@field keep? integer all but the newest so many
---@field keep_bytes? integer all but the newest whose data and metadata are so many bytes together
---@field folder? string where segments are written; default: STORE-archive
---@field segment_events? integer at most, in a segment; default 100000
---@field dry_run? boolean only say what would move

---@class esrun.UnarchiveOptions: esrun.WorkOptions
---@field from? integer positions; all unless told
---@field to? integer

---@class esrun.ArchiveReport
---@field event_count integer events whose data and metadata moved, or would
---@field from integer the lowest and
---@field to integer the highest of their positions; 0: none
---@field text_bytes integer of their data and metadata
---@field segment_count integer segments written
---@field file_bytes integer of these

---@class esrun.Segment
---@field from integer positions, all of them
---@field to integer
---@field file string its name
---@field path? string where it is; nil: not at hand
---@field folder? string where it was written, when not beside the store
---@field sha256 string of the file
---@field file_bytes integer
---@field text_bytes integer of the lines in it
---@field created_at string

---@class esrun.Archive
---@field move fun(options: esrun.ArchiveOptions): esrun.ArchiveReport?, string?, string?, esrun.Details? the oldest first
---@field restore fun(options: esrun.UnarchiveOptions?): esrun.ArchiveReport?, string?, string?, esrun.Details? segments stay
---@field segments fun(): esrun.Segment[]?, string?, string?, esrun.Details? in order of position
---@field compact fun(): true?, string?, string?, esrun.Details? shrinks the store's file while nobody else uses it

local MOVE_OPTIONS = {
  before = true, before_time = true, keep = true, keep_bytes = true, folder = true, segment_events = true, dry_run = true,
  progress = true,
}
local RESTORE_OPTIONS = { from = true, to = true, progress = true }

--- One per runtime.
---@param es esrun.Runtime
---@return esrun.Archive
function archive.new(es)
  return {
    move = function(options)
      errors.check_options(options, MOVE_OPTIONS, "es.archive.move")
      return es._handle:archive(options)
    end,
    restore = function(options)
      options = options or {}
      errors.check_options(options, RESTORE_OPTIONS, "es.archive.restore")
      return es._handle:unarchive(options)
    end,
    segments = function() return es._handle:segments() end,
    compact = function() return es._handle:compact() end,
  }
end

return archive
