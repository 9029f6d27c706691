-- esrun.cortex: the chained JSON lines of the Cortex ledger: sha256(json.dumps(entry, sort_keys=True) + previous_hash), where
-- the entry holds previous_hash too. Makes and checks text; knows no store and no files.

local core = require "esrun.core"

local cortex = {}

cortex.GENESIS = "GENESIS"

-- json.dumps --------------------------------------------------------------------------------------------------------

local SHORT = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\b"] = "\\b",
  ["\f"] = "\\f" }

local function escape(character)
  if SHORT[character] then return SHORT[character] end
  local code = utf8.codepoint(character)
  if code < 0x10000 then return ("\\u%04x"):format(code) end
  code = code - 0x10000
  return ("\\u%04x\\u%04x"):format(0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF))
end

-- With ensure_ascii everything outside ' ' to '~' is escaped, DEL too.
local function write_string(text)
  return '"' .. text:gsub('["\\%c]', escape):gsub("[\xC2-\xF4][\x80-\xBF]+", escape) .. '"'
end

-- The shortest digits that read back, as Python's repr: an exponent below 1e-4 and from 1e16 on.
local function write_float(number)
  local text
  for precision = 0, 16 do
    text = ("%%.%de"):format(precision):format(number)
    if tonumber(text) == number then break end
  end
  local sign, digits, exponent = text:match "^(%-?)([%d.]+)e([+-]%d+)$"
  digits, exponent = digits:gsub("%.", ""), math.tointeger(tonumber(exponent))
  if exponent < -4 or exponent >= 16 then
    local rest = #digits > 1 and "." .. digits:sub(2) or ""
    return ("%s%s%se%s%02d"):format(sign, digits:sub(1, 1), rest, exponent < 0 and "-" or "+", math.abs(exponent))
  end
  if exponent < 0 then return sign .. "0." .. ("0"):rep(-exponent - 1) .. digits end
  digits = digits .. ("0"):rep(exponent + 1 - #digits)
  local fraction = digits:sub(exponent + 2)
  return sign .. digits:sub(1, exponent + 1) .. "." .. (fraction == "" and "0" or fraction)
end

local ARRAY = getmetatable(core.array {})
local write

local function write_array(list)
  local parts = {}
  for position, value in ipairs(list) do parts[position] = write(value) end
  return "[" .. table.concat(parts, ", ") .. "]"
end

-- Python sorts names by code points, which for UTF-8 is the order of the bytes.
local function write_object(object)
  local names, parts = {}, {}
  for name in pairs(object) do names[#names + 1] = name end
  table.sort(names)
  for position, name in ipairs(names) do parts[position] = write_string(name) .. ": " .. write(object[name]) end
  return "{" .. table.concat(parts, ", ") .. "}"
end

function write(value)
  if value == core.null then return "null" end
  local kind = type(value)
  if kind == "string" then return write_string(value) end
  if kind == "boolean" then return tostring(value) end
  if kind == "number" then return math.type(value) == "integer" and ("%d"):format(value) or write_float(value) end
  if getmetatable(value) == ARRAY then return write_array(value) end
  return write_object(value)
end

--- The text of `json.dumps(value, sort_keys=True)` for a value that came from JSON.
---@param value any
---@return string
cortex.dumps = write

-- The chain ---------------------------------------------------------------------------------------------------------

--- Links an entry behind `previous_hash`: gives it previous_hash and hash.
---@param entry table
---@param previous_hash string
---@return string line the entry as a line of the ledger
---@return string hash
function cortex.link(entry, previous_hash)
  entry.previous_hash, entry.hash = previous_hash, nil
  entry.hash = core.sha256(write(entry) .. previous_hash)
  return write(entry), entry.hash
end

--- Checks one line behind `previous_hash`, as the documents' verification does.
---@param line string
---@param previous_hash string
---@return string? hash
---@return string? reason
function cortex.check(line, previous_hash)
  local entry, message = core.decode(line)
  if entry == nil then return nil, (message:gsub("^line 1, ", "")) end
  if type(entry) ~= "table" or getmetatable(entry) == ARRAY then return nil, "an entry is a JSON object" end
  local hash = entry.hash
  if entry.previous_hash ~= previous_hash then return nil, "previous_hash is not the hash of the line before" end
  entry.hash = nil
  if core.sha256(write(entry) .. previous_hash) ~= hash then return nil, "the hash is not that of its content" end
  return hash
end

-- Our events --------------------------------------------------------------------------------------------------------

local function milliseconds(event)
  return (core.parse_time(event.recorded_at) - core.parse_time(event.occurred_at)) / 1000
end

--- An event as an entry of that ledger. What only the domain knows (prompt, raw_output, model_name, usage …) is in
--- parsed_data when the event has it.
---@param event esrun.Event
---@return table entry
function cortex.entry(event)
  local refs = core.array { event.aggregate_type .. "/" .. event.aggregate_id }
  if event.causation_id then refs[2] = event.causation_id end
  return {
    run_id = event.event_id,
    correlation_id = event.correlation_id,
    timestamp = event.occurred_at,
    timestamp_start = event.occurred_at,
    timestamp_end = event.recorded_at,
    latency_ms = milliseconds(event),
    agent_name = event.actor_id or core.null,
    method_name = event.event_type,
    context_refs = refs,
    input_metadata = event.metadata,
    parsed_data = event.data,
    position = event.position,
  }
end

return cortex
