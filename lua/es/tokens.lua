-- es.tokens: a Lua source as tokens with their lines, and its comments. Knows no grammar beyond that; a source that
-- does not compile is still cut into tokens.

local tokens = {}

---@class es.Token
---@field kind "name"|"string"|"number"|"symbol"
---@field text string of a string: what stands between the quotes
---@field line integer

---@class es.Source
---@field [integer] es.Token
---@field comments table<integer, string> by line

local SYMBOLS = { "...", "..", "==", "~=", "<=", ">=", "//", "::", "<<", ">>" }

local function count_newlines(text) return select(2, text:gsub("\n", "")) end

-- The end of a short string that starts at `at`.
local function string_end(text, at)
  local quote, stop = text:sub(at, at), at
  while true do
    stop = text:find("[\\\n" .. quote .. "]", stop + 1)
    if not stop then return #text end
    if text:sub(stop, stop) ~= "\\" then return stop end
    stop = stop + 1 -- what a backslash escapes
  end
end

-- A long bracket at `at`: where it ends, and its content.
local function long_bracket(text, at)
  local level = text:match("^%[(=*)%[", at)
  if not level then return nil end
  local start = at + #level + 2
  local first, last = text:find("]" .. level .. "]", start, true)
  if not first then return #text, text:sub(start) end
  return last, text:sub(start, first - 1)
end

local function symbol_at(text, at)
  for _, symbol in ipairs(SYMBOLS) do
    if text:sub(at, at + #symbol - 1) == symbol then return symbol end
  end
  return text:sub(at, at)
end

local function comment_at(text, at)
  local stop, content = long_bracket(text, at + 2)
  if stop then return stop, content end
  stop = text:find("\n", at, true)
  return stop and stop - 1 or #text, text:sub(at + 2, stop and stop - 1 or nil)
end

-- What begins at `at`: kind, text and end.
local function token_at(text, at)
  local char = text:sub(at, at)
  if char:find "[%a_]" then
    local name = text:match("^[%w_]+", at)
    return "name", name, at + #name - 1
  elseif char:find "%d" then
    local number = text:match("^[%w.]+", at)
    return "number", number, at + #number - 1
  elseif char == '"' or char == "'" then
    local stop = string_end(text, at)
    return "string", text:sub(at + 1, stop - 1), stop
  elseif char == "[" then
    local stop, content = long_bracket(text, at)
    if stop then return "string", content, stop end
  end
  local symbol = symbol_at(text, at)
  return "symbol", symbol, at + #symbol - 1
end

--- Cuts a source into tokens.
---@param text string
---@return es.Source
function tokens.of(text)
  local out, at, line = { comments = {} }, 1, 1
  while true do
    local start = text:find("%S", at)
    if not start then return out end
    line = line + count_newlines(text:sub(at, start - 1))
    local stop
    if text:sub(start, start + 1) == "--" then
      local content
      stop, content = comment_at(text, start)
      out.comments[line] = content
    else
      local kind, content
      kind, content, stop = token_at(text, start)
      out[#out + 1] = { kind = kind, text = content, line = line }
    end
    line = line + count_newlines(text:sub(start, stop))
    at = stop + 1
  end
end

local OPENING, CLOSING = { ["{"] = true, ["("] = true, ["["] = true }, { ["}"] = true, [")"] = true, ["]"] = true }

--- True when the token at `index` is this text of a name or symbol.
function tokens.is(source, index, text)
  local token = source[index]
  return token ~= nil and token.text == text and token.kind ~= "string"
end

local BLOCK_STARTS = { ["function"] = true, ["do"] = true, ["then"] = true, ["repeat"] = true }
local BLOCK_ENDS = { ["end"] = true, ["until"] = true, ["elseif"] = true }

-- How a token changes the number of open blocks. A loop's `do` and an `if`'s `then` stand for the whole.
local function block_step(token)
  if token.kind ~= "name" then return 0 end
  return BLOCK_STARTS[token.text] and 1 or BLOCK_ENDS[token.text] and -1 or 0
end

--- The index of the `end` of the function whose `function` is at `index`.
function tokens.function_end(source, index)
  local depth = 0
  for at = index, #source do
    depth = depth + block_step(source[at])
    if depth == 0 then return at end
  end
  return #source
end

-- The names that a table constructor gives values to, with the index of each; `index` is that of its `{`. And that of its `}`.
local function key_indexes(source, index)
  local keys, depth, at = {}, 0, index
  local block = 0 -- functions, loops and branches inside hold assignments, not keys
  repeat
    local token = source[at]
    block = block + block_step(token)
    if token.kind == "symbol" and OPENING[token.text] then
      depth = depth + 1
    elseif token.kind == "symbol" and CLOSING[token.text] then
      depth = depth - 1
    end
    if block == 0 and depth == 1 and token.kind == "name" and tokens.is(source, at + 1, "=") then
      keys[token.text] = keys[token.text] or at
    elseif block == 0 and depth == 2 and token.kind == "string" and tokens.is(source, at - 1, "[")
      and tokens.is(source, at + 1, "]") and tokens.is(source, at + 2, "=") then
      keys[token.text] = keys[token.text] or at
    end
    at = at + 1
  until depth == 0 or source[at] == nil
  return keys, at - 1
end

--- The names that a table constructor gives values to, with their lines; `index` is that of its `{`.
---@return table<string, integer> lines
---@return integer stop index of its `}`
function tokens.table_keys(source, index)
  local keys, stop = key_indexes(source, index)
  for name, at in pairs(keys) do keys[name] = source[at].line end
  return keys, stop
end

--- The names given under a field of the module's table: `X.events = { NAME = … }`, `X.events.NAME = …` and
--- `function X.apply.NAME(…)`, with their lines.
---@param source es.Source
---@param field string
---@return table<string, integer>
function tokens.members(source, field)
  local lines = {}
  for index = 1, #source do
    if tokens.is(source, index, field) and tokens.is(source, index - 1, ".") then
      if tokens.is(source, index + 1, "=") and tokens.is(source, index + 2, "{") then
        for name, line in pairs(tokens.table_keys(source, index + 2)) do lines[name] = lines[name] or line end
      elseif tokens.is(source, index + 1, ".") and source[index + 2] then
        lines[source[index + 2].text] = lines[source[index + 2].text] or source[index + 2].line
      end
    end
  end
  return lines
end

-- How many of the names from `depth` on the source follows from the token at `index`, which is that of the one before; and
-- the last one's line.
local function follow(source, index, names, depth)
  local after = source[index].kind == "string" and index + 2 or index + 1
  local name, at = names[depth], nil
  if name and tokens.is(source, after, "=") and tokens.is(source, after + 1, "{") then
    at = key_indexes(source, after + 1)[name]
  elseif name and tokens.is(source, after, ".") and tokens.is(source, after + 1, name) then
    at = after + 1
  end
  if at then return follow(source, at, names, depth + 1) end
  return depth - 1, source[index].line
end

--- The line of an entry of the module's table: `{ "commands", "edit", "allow" }`; of what is around it where the source does
--- not show it as such. nil when not even the first name is there.
---@param source es.Source
---@param from integer line to begin with
---@param names string[]
---@return integer?
function tokens.line_of(source, from, names)
  local most, line = 0, nil
  for index, token in ipairs(source) do
    local is_field = token.line >= from and names[1] and tokens.is(source, index, names[1]) and tokens.is(source, index - 1, ".")
    if is_field and (tokens.is(source, index + 1, "=") or tokens.is(source, index + 1, ".")
      or tokens.is(source, index - 3, "function")) then
      local count, at = follow(source, index, names, 2)
      if count > most then most, line = count, at end
    end
  end
  return line
end

--- The line of the call that makes a module's declaration, as far as the source shows one.
---@param source es.Source
---@return integer?
function tokens.declaration_line(source)
  for index, token in ipairs(source) do
    local declares = tokens.is(source, index, "aggregate") or tokens.is(source, index, "projection")
    if declares and tokens.is(source, index - 1, ".") then return token.line end
  end
end

--- The line of what a module returns, or the last one, where a `return` is missing.
---@param source es.Source
---@return integer
function tokens.return_line(source)
  local depth = 0
  for index, token in ipairs(source) do
    depth = depth + block_step(token)
    if depth == 0 and tokens.is(source, index, "return") then return token.line end
  end
  return source[#source] and source[#source].line or 1
end

return tokens
