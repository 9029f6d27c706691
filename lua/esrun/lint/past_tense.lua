-- esrun.lint.past_tense: does an event's name say what happened, rather than what to do? A heuristic on its words: one of
-- them must be a verb in the past ("AgentCompletedTask", "OrderShipped", not "RunAgent").

local function set(words)
  local out = {}
  for word in words:gmatch "%a+" do out[word] = true end
  return out
end

local IRREGULAR = set [[
  awoken beaten become begun bent bitten blown born borrowed bought bound broken brought built burnt caught chosen clung
  come crept dealt done drawn driven drunk dug eaten fallen fed felt fled flown forbidden forgiven forgotten fought found
  frozen given gone grown held heard hidden hung kept known laid led left lent lost made meant met mistaken outdone
  overcome overdrawn overridden overtaken paid prepaid proven rebuilt redone repaid resent resold retaken rewritten risen
  said seen sent shaken shone shot shown shrunk slept sold sought spent spoken spun stolen stood stuck struck sung sunk
  sworn swept swum taken taught thought thrown told torn undergone understood undertaken undone unpaid upheld withdrawn
  withheld woken won worn written
  arose ate awoke became began blew broke chose clove drank drew drove fell flew forbade forgave forgot froze gave
  grew hid knew mistook oversaw overtook overwrote ran rang resang rewrote rode sang sank shook shrank slew
  snuck spoke sprang stole strode struck swam swore threw took tore trod undertook undid underwent went withdrew woke
  wore wove wrote did came overcame outbid redid overthrew overdrew
]]

-- The same as the command's own form, so that they count only behind the thing they are about.
local AMBIGUOUS = set [[
  beset bet bid broadcast burst cast cost cut forecast hit hurt let offset preset put quit read recast reread reset rid
  set shed shut split spread thrust typeset upset
]]

local NOT_VERBS = set [[
  bed bleed breed deed embed exceed feed greed heed hundred indeed kindred naked need proceed red reed sacred seed shed
  sled speed succeed weed
]]

--- The words of a name: "OrderShipped", "order_shipped" and "HTTPRequestSent" have them at capitals and signs.
local function words_of(name)
  local spaced = name:gsub("(%l)(%u)", "%1 %2"):gsub("(%u)(%u%l)", "%1 %2"):gsub("[_.%-%d]+", " ")
  local words = {}
  for word in spaced:gmatch "%a+" do words[#words + 1] = word:lower() end
  return words
end

--- True when one of the words is a verb in the past.
---@param name string
---@return boolean
return function(name)
  for position, word in ipairs(words_of(name)) do
    if IRREGULAR[word] or AMBIGUOUS[word] and position > 1 then return true end
    if word:find "ed$" and #word > 3 and not NOT_VERBS[word] then return true end
  end
  return false
end
