-- esrun.cli.output: the result on stdout, as text for people or as JSON, and nothing else there. Text never carries
-- control characters from the data to the terminal.

local core = require "esrun.core"
local errors = require "esrun.cli.errors"
local system = require "esrun.system"

local EPIPE = 32

---@class esrun.cli.Output
---@field mode "table"|"json"|"jsonl"
local Output = {}
Output.__index = Output

local output = {}

--- The marker raised when the reader of stdout has gone away: not an error.
output.READER_GONE = setmetatable({}, { __name = "reader gone" })

function output.new(mode)
  local no_color = os.getenv("NO_COLOR") or ""
  local colour = mode == "auto" and no_color == "" and system.is_terminal(1) and os.getenv("TERM") ~= "dumb"
  return setmetatable({ mode = mode == "auto" and "table" or mode, colour = colour, file = io.stdout }, Output)
end

function Output:write(text)
  local done, why, number = self.file:write(text)
  if done then return end
  if number == EPIPE and self.file == io.stdout then error(output.READER_GONE, 0) end
  errors.fail(1, "writing the result: " .. why)
end

function Output:flush()
  local done, why, number = self.file:flush()
  if done then return end
  if number == EPIPE and self.file == io.stdout then error(output.READER_GONE, 0) end
  errors.fail(1, "writing the result: " .. why)
end

-- C0, DEL, and C1 as UTF-8, could steer a terminal.
local function harmless(text)
  return (text:gsub("[\0-\8\11-\31\127]", "?"):gsub("\xC2[\x80-\x9F]", "?"))
end

--- A line of text.
function Output:line(format, ...)
  self:write(harmless(select("#", ...) > 0 and format:format(...) or format) .. "\n")
end

local STYLES = { bold = "\27[1m", dim = "\27[2m", red = "\27[31m", green = "\27[32m", yellow = "\27[33m" }

--- Text in a style, where the terminal shows one. `line` would take the style away: use `styled_line`.
function Output:style(name, text)
  text = harmless(text)
  if not self.colour then return text end
  return STYLES[name] .. text .. "\27[0m"
end

--- A line of parts that were made harmless before, such as style() returns.
function Output:styled_line(...)
  self:write(table.concat({ ... }) .. "\n")
end

--- Text made harmless, for styled_line.
output.harmless = harmless

-- JSON --------------------------------------------------------------------------------------------------------------

-- Where the JSON string that starts at `at` ends.
local function string_end(text, at)
  local stop = at
  while true do
    stop = assert(text:find('["\\]', stop + 1))
    if text:sub(stop, stop) == '"' then return stop end
    stop = stop + 1 -- what a backslash escapes
  end
end

--- One JSON document on a line of its own, from a value or from JSON text.
function Output:json(value)
  self:write((type(value) == "string" and value or assert(core.encode(value))) .. "\n")
end

--- Starts a list of JSON texts that is written as it comes: one array (json), or one a line (jsonl). Returns the function
--- that adds one; called without one it ends the list.
function Output:json_list()
  local count = 0
  return function(text)
    if self.mode == "jsonl" then
      if text then self:write(text .. "\n") end
      return
    end
    if text then
      self:write((count == 0 and "[" or ",\n") .. text)
      count = count + 1
    else
      self:write(count == 0 and "[]\n" or "]\n")
    end
  end
end

--- JSON text laid out over lines; keeps order and numbers as they are.
function output.pretty(text)
  local parts, depth, at = {}, 0, 1
  local function add(piece) parts[#parts + 1] = piece end
  local function newline() add("\n" .. ("  "):rep(depth)) end
  while at <= #text do
    local char = text:sub(at, at)
    if char == '"' then
      local stop = string_end(text, at)
      add(text:sub(at, stop))
      at = stop
    elseif text:find("^[%[{]%s*[%]}]", at) then
      add(char .. text:sub(text:find("[%]}]", at)))
      at = text:find("[%]}]", at)
    elseif char == "{" or char == "[" then
      depth = depth + 1
      add(char)
      newline()
    elseif char == "}" or char == "]" then
      depth = depth - 1
      newline()
      add(char)
    elseif char == "," then
      add(char)
      newline()
    elseif char == ":" then
      add(": ")
    elseif not char:find("%s") then
      local stop = text:find("[,%]}%s]", at) or #text + 1
      add(text:sub(at, stop - 1))
      at = stop - 1
    end
    at = at + 1
  end
  return table.concat(parts)
end

-- Tables ------------------------------------------------------------------------------------------------------------

local function cell_text(value)
  if value == nil or value == core.null then return "" end
  if type(value) == "string" then return harmless(value):gsub("[\t\n]", " ") end
  return harmless(assert(core.encode(value)))
end

local function width_of(text) return utf8.len(text) or #text end

--- Rows under a heading, columns as wide as they need. The numbers of a column stand right.
---@param columns string[] names of members, also the headings
---@param rows table[]
function Output:table(columns, rows)
  local widths, numeric, cells = {}, {}, {}
  for c, name in ipairs(columns) do widths[c], numeric[c] = width_of(name), true end
  for r, row in ipairs(rows) do
    cells[r] = {}
    for c, name in ipairs(columns) do
      local text = cell_text(row[name])
      cells[r][c] = text
      widths[c] = math.max(widths[c], width_of(text))
      numeric[c] = numeric[c] and (type(row[name]) == "number" or text == "")
    end
  end
  local function line_of(texts)
    local out = {}
    for c, text in ipairs(texts) do
      local padding = (" "):rep(widths[c] - width_of(text))
      out[c] = numeric[c] and #rows > 0 and padding .. text or text .. padding
    end
    return (table.concat(out, "  "):gsub("%s+$", ""))
  end
  self:styled_line(self:style("bold", line_of(columns)))
  for _, texts in ipairs(cells) do self:styled_line(line_of(texts)) end
end

--- The names of a JSON object's members in their order in the text.
function output.member_names(text)
  local names, depth, at = {}, 0, 1
  while at <= #text do
    local char = text:sub(at, at)
    if char == '"' then
      local stop = string_end(text, at)
      if depth == 1 and text:find("^%s*:", stop + 1) then names[#names + 1] = core.decode(text:sub(at, stop)) end
      at = stop
    elseif char == "{" or char == "[" then
      depth = depth + 1
    elseif char == "}" or char == "]" then
      depth = depth - 1
    end
    at = at + 1
  end
  return names
end

return output
