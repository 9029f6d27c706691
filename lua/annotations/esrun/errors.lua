-- esrun.errors: for editors; made from the comments of lua/esrun/errors.lua by cmake/annotate.lua.
---@meta esrun.errors

---@class esrun.Details
---@field status string "conflict", "rejected", "denied" … (see esrun.statuses)
---@field exit_status integer
---@field hint? string how to mend it
---@field expected_version? integer
---@field actual_version? integer
---@field position? integer the event at hand

---@class esrun.Error: esrun.Details
---@field message string
---@field code string
