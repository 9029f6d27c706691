-- esrun.cli.plain: reads a command line that is as it should be, as most are, without an argparse parser: to build one takes
-- longer than most of what a short command does. Whatever is not plain is left to argparse, which has the words for it:
-- mistakes, --help, and the other ways to write an option.

-- What one option, flag or argument was declared with, in an argparse parser's words.
local Element = {}
Element.__index = Element

function Element:target(name) self.name = name return self end
function Element:count(many) self.is_list = many == "*" return self end
function Element:args(number) self.number = number return self end
function Element:choices(list) self.allowed = list return self end
function Element:default(value) self.value = value return self end
function Element:argname() return self end -- these are for help
function Element:description() return self end

local Definition = {}
Definition.__index = Definition

function Definition:argument(name)
  local new = setmetatable({ name = name }, Element)
  self.arguments[#self.arguments + 1] = new
  return new
end

local function add(self, spellings, is_flag)
  local name = spellings:match "%-%-(%S+)":gsub("-", "_")
  local new = setmetatable({ name = name, is_flag = is_flag }, Element)
  for spelling in spellings:gmatch "%S+" do self.options[spelling] = new end
  self.order[#self.order + 1] = new
  return new
end

function Definition:option(spellings) return add(self, spellings, false) end
function Definition:flag(spellings) return add(self, spellings, true) end

local function is_allowed(element, value)
  if not element.allowed then return true end
  for _, one in ipairs(element.allowed) do
    if one == value then return true end
  end
  return false
end

-- Puts an option's value into the result, the last one of several; false when argparse would complain.
local function take(result, element, value)
  if value == nil or not is_allowed(element, value) then return false end
  if element.is_list then table.insert(result[element.name], value) else result[element.name] = value end
  return true
end

local function looks_like_option(word) return #word > 1 and word:sub(1, 1) == "-" end

-- The words that are no options, or nil.
local function take_options(result, definition, words)
  local others, at = {}, 1
  while at <= #words do
    local word = words[at]
    local element = definition.options[word]
    local fits = true
    if element and element.is_flag then
      fits = take(result, element, true)
    elseif element then
      at = at + 1
      fits = words[at] ~= nil and not looks_like_option(words[at]) and take(result, element, words[at])
    elseif looks_like_option(word) then
      local spelling, value = word:match "^(%-%-[^=]+)=(.*)$"
      element = definition.options[spelling or ""]
      fits = element ~= nil and not element.is_flag and take(result, element, value)
    else
      others[#others + 1] = word
    end
    if not fits then return nil end
    at = at + 1
  end
  return others
end

-- Whether the words are what the arguments want.
local function take_arguments(result, definition, words)
  local at = 1
  for _, element in ipairs(definition.arguments) do
    if element.number == "*" then
      result[element.name] = table.move(words, at, #words, 1, {})
      at = #words + 1
    elseif words[at] and is_allowed(element, words[at]) then
      result[element.name] = words[at]
      at = at + 1
    elseif words[at] or element.number ~= "?" then
      return false
    end
  end
  return at > #words
end

--- What argparse would make of the words, or nil when they are not plain.
---@param define fun(parser: table) declares options and arguments as for argparse
---@param words string[]
---@return table? args
return function(define, words)
  local definition = setmetatable({ options = {}, arguments = {}, order = {} }, Definition)
  define(definition)
  local result = {}
  for _, element in ipairs(definition.order) do
    if element.is_list then result[element.name] = {} else result[element.name] = element.value end
  end
  local others = take_options(result, definition, words)
  return others and take_arguments(result, definition, others) and result or nil
end
