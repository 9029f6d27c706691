-- es.nearest: the known word that an unknown one was probably meant to be, for messages. Knows words only.

-- Levenshtein distance; the words are short.
local function distance(a, b)
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j], diagonal = math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost), row[j]
    end
  end
  return row[#b]
end

--- The word of the list that is near enough to `word` to have been meant, or nil.
---@param word string
---@param words string[]
---@return string?
return function(word, words)
  local best, best_distance
  if #word > 64 then
    return nil
  end
  for _, candidate in ipairs(words) do
    local far = distance(word:lower(), candidate:lower())
    if not best_distance or far < best_distance then
      best, best_distance = candidate, far
    end
  end
  if best and best_distance <= math.max(2, #best // 3) and best_distance < #best then
    return best
  end
  return nil
end
