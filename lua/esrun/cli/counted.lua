-- esrun.cli.counted: a number with what it counts: "1 event", "2 events", "1 event is signed".

---@param count integer
---@param one string what follows 1
---@param many? string what follows any other number; else `one` and an s
---@return string
return function(count, one, many) return ("%d %s"):format(count, count == 1 and one or many or one .. "s") end
