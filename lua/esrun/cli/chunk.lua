-- esrun.cli.chunk: lines, read until they are a whole chunk of Lua. The compiler itself asks for the next line where the text
-- cannot be whole yet (an open bracket, block or string, an operator at the end), so that long input is compiled once and
-- not again with each line; only where the text may be whole does it start anew.

local chunk = {}

local function set(words)
  local out = {}
  for word in words:gmatch "%S+" do out[word] = true end
  return out
end

-- How the depth changes: `then`, `else` and a loop's `do` belong to what begins or ends there.
local STEPS = {
  ["("] = 1, ["["] = 1, ["{"] = 1, [")"] = -1, ["]"] = -1, ["}"] = -1,
  ["if"] = 1, ["do"] = 1, ["function"] = 1, ["repeat"] = 1, ["end"] = -1, ["until"] = -1,
}
-- What is longer than a character, the number's point and the longer sign first.
local WORDS = { "^%d[%w.]*", "^%.%d[%w.]*", "^[%w_]+", "^%.%.%.", "^%.%.", "^[=~<>]=", "^//", "^::", "^<<", "^>>" }
-- No chunk ends in one of these.
local UNFINISHED = set "and or not in local for while until goto + - * / % ^ # & ~ | << >> // == ~= <= >= < > = , . : .."

-- What is known of the text so far; wrong only of text that is no Lua, in which the compiler finds the mistake.
local Progress = {}
Progress.__index = Progress

local function new_progress() return setmetatable({ depth = 0, last = "" }, Progress) end

--- True when the text lacks something for certain.
function Progress:is_open()
  if self.is_broken then return false end
  return self:is_in_text() or self.depth > 0 or UNFINISHED[self.last] == true
end

--- True within a string or a long comment.
function Progress:is_in_text() return self.closing ~= nil or self.quote ~= nil end

-- The rest of a quoted string, in which a line may end only behind a backslash or \z. Returns where the next token begins.
function Progress:in_string(line, at)
  if self.skips_space then
    at = line:find("%S", at)
    if not at then return #line + 1 end
    self.skips_space = nil
  end
  while true do
    local stop = line:find("[\\" .. self.quote .. "]", at)
    if not stop then
      self.is_broken = true
      return #line + 1
    end
    if line:sub(stop, stop) == self.quote then
      self.quote = nil
      return stop + 1
    end
    if stop == #line then return stop + 1 end
    if line:find("^z%s*$", stop + 1) then
      self.skips_space = true
      return #line + 1
    end
    at = stop + 2
  end
end

-- One token; returns where the next begins.
function Progress:step(line, at)
  if self.closing then
    local _, stop = line:find(self.closing, at, true)
    if stop then self.closing = nil end
    return (stop or #line) + 1
  elseif self.quote then
    return self:in_string(line, at)
  end
  local start = line:find("%S", at)
  if not start then return #line + 1 end
  local is_comment = line:find("^%-%-", start) ~= nil
  local level, after = line:match(is_comment and "^%-%-%[(=*)%[()" or "^%[(=*)%[()", start)
  if not is_comment then self.last = "" end
  if level then
    self.closing = "]" .. level .. "]"
    return after
  elseif is_comment then
    return #line + 1
  end
  local word = line:sub(start, start)
  for _, pattern in ipairs(WORDS) do
    local found = line:match(pattern, start)
    if found then
      word = found
      break
    end
  end
  if word == '"' or word == "'" then
    self.quote = word
  else
    self.last, self.depth = word, self.depth + (STEPS[word] or 0)
  end
  return start + #word
end

function Progress:add(line)
  local at = 1
  while at <= #line do at = self:step(line, at) end
end

--- Reads lines until they are a whole chunk: an expression, whose value is what one wants to see, or statements.
---@param read fun(prompt: string): string?, string? a line, or nil at the end of input and when it was abandoned
---@param environment table
---@return function|false|nil chunk nil at the end of input, false when the text is no Lua
---@return string? why
function chunk.read(read, environment)
  local first, left = read "> "
  if first == nil then return nil, left end
  -- A space behind a line ends its last word, so that the compiler looks at that before it asks for the next line.
  local lines, ends, progress, ended = {}, {}, new_progress(), false

  local function add(line)
    progress:add(line)
    lines[#lines + 1], ends[#ends + 1] = line, progress:is_in_text() and "" or " "
  end

  local function take()
    local line
    line, left = read ">> "
    if line == nil then
      ended = true
    else
      add(line)
    end
  end

  -- The text as this form; more is read meanwhile while it cannot be whole.
  local function compile(prefix)
    local given = 0
    return load(function()
      if given == #lines and not ended and progress:is_open() then take() end
      if given == #lines then return nil end
      given = given + 1
      return (given == 1 and prefix or "\n") .. lines[given] .. ends[given]
    end, "=input", "t", environment)
  end

  add((first:gsub("^=", ""))) -- as Lua's own
  local forms = { "return ", "" }
  while true do
    local unfinished, why, furthest = {}, nil, 0
    for _, form in ipairs(forms) do
      local compiled, message = compile(form)
      if left then return nil, left end
      if compiled then return compiled end
      -- A form whose mistake stands before the end never becomes right. The one that came furthest says what is wrong.
      local at = tonumber(message:match "^input:(%d+):") or 0
      if message:find "<eof>'?$" then
        unfinished[#unfinished + 1] = form
        at = math.huge
      end
      if at >= furthest then why, furthest = message, at end
    end
    if #unfinished == 0 or ended then return false, why end
    forms = unfinished
    take()
    if left then return nil, left end
  end
end

return chunk
