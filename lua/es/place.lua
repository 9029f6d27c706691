--- es.place: where in the project's sources a declaration stands, so that what is wrong with it is told with file and line.
--- Knows declarations as tables that were noted when they were made, and sources as tokens.

local support = require "es.support"

local place = {
  source = nil, -- set by the engine: function(chunk name) -> its text
}

local FOUND_MAX = 100 -- told of one declaration; the rest is counted
local found = {} -- what is wrong with the declaration that was looked at last, and was not raised yet
local read = {} -- the tokens of the source that was asked for last: `name`, `source`

local declared = setmetatable({}, { __mode = "k" }) -- "aggregates/x.lua:3" by declaration

--- Remembers the line of project code that made a declaration. Returns the declaration.
function place.note(declaration)
  local at = support.caller(2)
  if at and not at:find "^lua/es/" then declared[declaration] = at end -- a tail call leaves no frame
  return declaration
end

---@class es.Place
---@field file string
---@field line integer? of the call that made the declaration
---@field label string
---@field path string[] names from the declaration to here
---@field found table[] what is wrong with the declaration, of all its places: { place, names, message }
local Place = {}
Place.__index = Place

--- The place of a declaration; `label` is what messages call it ("aggregate Account").
---@param declaration table
---@param chunk_name string? of the module that returned it
---@param label string
---@return es.Place
function place.of(declaration, chunk_name, label)
  local file, line = (declared[declaration] or ""):match "^(.*):(%d+)$"
  return setmetatable({ file = file or chunk_name, line = math.tointeger(line), label = label, path = {}, found = {} },
    Place)
end

local function raise(at, message)
  support.raise { status = "lua", code = "bad_declaration", message = (at and at .. ": " or "") .. message }
end

--- Raises the next of what is wrong with a declaration, if there is more: for who wants to hear of all. Only now is its line
--- looked for, so that each has the time that a call may take.
function place.raise_next()
  local where, names, message = table.unpack(table.remove(found, 1) or {})
  if where then raise(where:at(table.unpack(names)), ("%s: %s"):format(where.label, message)) end
  read = {}
end

local function tokens_of(chunk_name)
  local text = place.source and chunk_name and place.source(chunk_name)
  if text then
    local tokens = require "es.tokens" -- only now: few programs need it
    if read.name ~= chunk_name then read = { name = chunk_name, source = tokens.of(text) } end
    return read.source, tokens
  end
end

--- Raises what is wrong with what a module returned.
function place.fail_at_return(chunk_name, message)
  local source, tokens = tokens_of(chunk_name)
  found, read = {}, {}
  raise(source and ("%s:%d"):format(chunk_name, tokens.return_line(source)) or chunk_name, message)
end

local function joined(path, names)
  return table.move(names, 1, #names, #path + 1, table.move(path, 1, #path, 1, {}))
end

--- A place below this one.
---@param label string? for messages; else this one's
---@param ... string names from here to there: "commands", "edit"
function Place:inner(label, ...)
  return setmetatable({
    file = self.file, line = self.line, label = label and self.label .. ": " .. label or self.label,
    path = joined(self.path, { ... }), found = self.found,
  }, Place)
end

--- "aggregates/account.lua:12": the line of what the names below this place lead to, as far as the source shows it.
---@param ... string
function Place:at(...)
  local line, source, tokens = self.line, tokens_of(self.file)
  if source then
    line = tokens.line_of(source, line or 1, joined(self.path, { ... })) or line or tokens.declaration_line(source)
  end
  return line and ("%s:%d"):format(self.file, line) or self.file
end

--- Notes what is wrong with what `names` lead to from here: `conclude` raises it.
---@param names string[]
---@param format string
function Place:add(names, format, ...)
  local all, last = self.found, self.found[FOUND_MAX + 1]
  if not last then
    all[#all + 1] = { self, names, format:format(...) }
  else
    last.count = (last.count or 1) + 1
    last[2], last[3] = {}, ("%d more are wrong: mend those told of first"):format(last.count)
  end
end

--- Raises the first of what was found wrong with the declaration.
function Place:conclude()
  found = self.found
  place.raise_next()
end

function Place:__tostring()
  local at = self:at()
  return at and ("%s: %s"):format(at, self.label) or self.label
end

return place
