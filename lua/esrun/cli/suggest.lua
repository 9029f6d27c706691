-- esrun.cli.suggest: the known word that a mistyped one was meant to be.

-- Edits to turn a into b (insert, delete, replace, swap of neighbours), one row at a time.
local function distance(a, b)
  local before, row = {}, {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local next_row = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      next_row[j] = math.min(row[j] + 1, next_row[j - 1] + 1, row[j - 1] + cost)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        next_row[j] = math.min(next_row[j], before[j - 2] + 1)
      end
    end
    before, row = row, next_row
  end
  return row[#b]
end

--- The nearest of the words, or nil when none is near.
---@param word string
---@param words string[]
return function(word, words)
  local best, best_distance = nil, math.max(1, #word // 3) + 1
  if #word > 64 then return nil end
  for _, candidate in ipairs(words) do
    local far = distance(word:lower(), candidate:lower())
    if far < best_distance then best, best_distance = candidate, far end
  end
  return best
end
