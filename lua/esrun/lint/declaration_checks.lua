-- esrun.lint.declaration_checks: what can be said of modules that load, from their declarations as the runtime describes
-- them, with the lines that the tokens give. Knows no runtime.

local nearest = require "es.nearest"
local past_tense = require "esrun.lint.past_tense"
local source_checks = require "esrun.lint.source_checks"
local tokens = require "es.tokens"

local declaration_checks = {}

---@class esrun.lint.Module
---@field path string as shown
---@field source esrun.lint.Source
---@field add fun(line: integer, rule: string, message: string, mend: string?)

local function sorted_keys(from)
  local keys = {}
  for key in pairs(from) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function did_you_mean(name, names)
  local near = nearest(name, names)
  return near and ("did you mean %s?"):format(near) or ("declared: %s"):format(table.concat(names, ", "))
end

-- What the module calls `es`, and the events it makes: { type or false for a computed one, line }.
local function decided_events(source)
  local called, out = { es = true }, {}
  for index, token in ipairs(source) do
    if token.kind == "name" and token.text == "require" and source_checks.literal_argument(source, index) == "es"
      and tokens.is(source, index - 1, "=") and source[index - 2] then
      called[source[index - 2].text] = true
    end
  end
  for index, token in ipairs(source) do
    if token.kind == "name" and token.text == "event" and tokens.is(source, index - 1, ".") and called[source[index - 2].text]
      and not tokens.is(source, index - 3, ".") then
      local literal = source_checks.literal_argument(source, index)
      -- es.event("A" .. x) is computed, too
      local after = tokens.is(source, index + 1, "(") and index + 3 or index + 2
      if literal and tokens.is(source, after, "..") then literal = nil end
      out[#out + 1] = { type = literal or false, line = token.line }
    end
  end
  return out
end

-- The first line from `from` on where the name is given a value.
local function line_of_key(source, name, from)
  for index, token in ipairs(source) do
    if token.line >= from and token.text == name and (tokens.is(source, index + 1, "=") or tokens.is(source, index + 1, "]")) then
      return token.line
    end
  end
  return from
end

local function check_fields(module, fields, event_type, line)
  for _, name in ipairs(sorted_keys(fields)) do
    local field = fields[name]
    if source_checks.is_technical(name) then
      module.add(line_of_key(module.source, name, line), "technical-detail",
        ("%s: data field '%s' is a technical detail"):format(event_type, name),
        "record what was done in the words of the business; technical details belong into a log")
    end
    local inner = field.fields or field.element and field.element.fields
    if inner then check_fields(module, inner, event_type, line) end
  end
end

--- Checks one aggregate. Returns the event types that its module decides, and whether it decides computed ones.
---@param module esrun.lint.Module
---@param name string
---@param aggregate table as es:describe() tells it
function declaration_checks.aggregate(module, name, aggregate)
  local event_lines, command_lines = tokens.members(module.source, "events"), tokens.members(module.source, "commands")
  local types, declared = sorted_keys(aggregate.events), tokens.declaration_line(module.source) or 1
  for _, event_type in ipairs(types) do
    local line = event_lines[event_type] or declared
    if not past_tense(event_type) then
      module.add(line, "event-name", ("event %s does not say what happened: no verb in the past tense"):format(event_type),
        "name it as a fact, such as DocumentCreated; or write `-- lint: event-name` beside it")
    end
    check_fields(module, aggregate.events[event_type].fields, event_type, line)
  end
  for _, command in ipairs(sorted_keys(aggregate.commands)) do
    if not aggregate.commands[command].allow then
      module.add(command_lines[command] or declared, "no-allow",
        ("command %s %s has no `allow`: it is denied to everybody"):format(name, command),
        "say who may: allow = rule.authenticated, or rule.nobody if that is meant")
    end
  end
  local decided, computed = {}, false
  for _, event in ipairs(decided_events(module.source)) do
    if not event.type then
      computed = true
    else
      decided[event.type] = true
      if not aggregate.events[event.type] then
        module.add(event.line, "undeclared-event", ("event %s is decided, but %s does not declare it"):format(event.type, name),
          did_you_mean(event.type, types))
      end
    end
  end
  for _, event_type in ipairs(types) do
    if not decided[event_type] and not computed then
      module.add(event_lines[event_type] or declared, "unused-event", ("no command decides event %s"):format(event_type),
        "remove it once no store holds it, or write `-- lint: unused-event` beside it")
    end
  end
end

--- Checks the handlers of one projection.
---@param module esrun.lint.Module
---@param projection table as es:describe() tells it
---@param known table<string, boolean> every declared event type
function declaration_checks.projection(module, projection, known)
  local lines, declared = tokens.members(module.source, "on"), tokens.declaration_line(module.source) or 1
  for _, event_type in ipairs(projection.events) do
    if not known[event_type] and event_type:sub(1, 1) ~= "$" then
      module.add(lines[event_type] or declared, "unknown-event",
        ("projection %s handles event %s, which no aggregate declares"):format(projection.name, event_type),
        did_you_mean(event_type, sorted_keys(known)))
    end
  end
end

return declaration_checks
