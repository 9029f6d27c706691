-- esrun.testing: what `require "es.testing"` returns: given events, when a command, then events, a refusal or a state. Each
-- scenario has a store of its own in memory and the project's modules in a domain state, with all its limits. Written on
-- the host API; knows nothing of files.

local core = require "esrun.core"
local esrun = require "esrun"
local inspect = require "esrun.inspect"

local DIFFERENCES_SHOWN = 10

---@class es.testing
local testing = {}

--- In what is expected: any value will do, but there must be one.
---@type any
testing.any = setmetatable({}, { __name = "es.testing.any", __tostring = function() return "(any value)" end })

-- Comparing ---------------------------------------------------------------------------------------------------------

local function step(path, key)
  if type(key) == "number" then return ("%s[%s]"):format(path, key) end
  return path == "" and tostring(key) or path .. "." .. tostring(key)
end

local function differ(list, path, expected, actual)
  if expected == testing.any then
    if actual == nil then list[#list + 1] = ("%s: expected any value, got nothing"):format(path) end
  elseif type(expected) == "table" and type(actual) == "table" then
    local keys, seen = {}, {}
    for _, from in ipairs { expected, actual } do
      for key in pairs(from) do
        if not seen[key] then
          seen[key] = true
          keys[#keys + 1] = key
        end
      end
    end
    table.sort(keys, function(a, b)
      if type(a) == "number" and type(b) == "number" then return a < b end
      if type(a) == "number" or type(b) == "number" then return type(a) == "number" end
      return tostring(a) < tostring(b)
    end)
    for _, key in ipairs(keys) do differ(list, step(path, key), expected[key], actual[key]) end
  elseif expected ~= actual or math.type(expected) ~= math.type(actual) then
    list[#list + 1] = ("%s: expected %s, got %s"):format(path == "" and "value" or path,
      expected == nil and "nothing" or inspect(expected), actual == nil and "nothing" or inspect(actual))
  end
end

-- A failed expectation counts as a failure of the test, not as an error in it, where luassert is there to say so.
local function fail(message)
  local found, luassert = pcall(require, "luassert")
  if found then luassert(false, message, luassert:level(3)) end -- the specification's line
  error(message, 3)
end

local function describe_differences(what, list, expected, actual)
  local lines = { what }
  for position, line in ipairs(list) do
    if position > DIFFERENCES_SHOWN then
      lines[#lines + 1] = ("  … and %d more"):format(#list - DIFFERENCES_SHOWN)
      break
    end
    lines[#lines + 1] = "  " .. line
  end
  lines[#lines + 1] = "expected: " .. inspect(expected)
  lines[#lines + 1] = "actual:   " .. inspect(actual)
  return table.concat(lines, "\n")
end

-- The message for what differs, or nil.
local function compare(what, expected, actual)
  local list = {}
  differ(list, "", expected, actual)
  return #list > 0 and describe_differences(what, list, expected, actual) or nil
end

-- Scenarios ---------------------------------------------------------------------------------------------------------

---@class es.testing.Options
---@field project? string folder with esrun.lua; else the nearest one upward from here
---@field at? string|integer the time; it stands still

---@class es.testing.Given an event that has happened: { "Document/1", "DocumentCreated", { title = "A" }, actor_id = "user:a" }
---@field [1] string TYPE/ID
---@field [2] string event type
---@field [3]? table data
---@field actor_id? string
---@field tenant_id? string
---@field at? string|integer when it occurred and was recorded
---@field metadata? table
---@field schema_version? integer of the data, where it is an old one

---@class es.testing.Expected an event that is expected: its type, or { type, data, actor_id = …, metadata = … }
---@field [1] string event type
---@field [2]? table data, all of it; testing.any stands for any value
---@field actor_id? string
---@field metadata? table the names that matter

---@class es.testing.Scenario
---@field es esrun.Runtime the runtime beneath, for what has no word here
---@field time string|integer
local Scenario = {}
Scenario.__index = Scenario

local START = "2024-01-01T00:00:00Z"

-- What is no time must not become the system's.
local function check_time(time, level)
  if math.type(time) == "integer" or type(time) == "string" and esrun.time.parse(time) then return end
  error(("at: expected microseconds or a time such as 2024-01-31T12:00:00Z, got %s"):format(inspect(time)), level + 1)
end

local function check_target(target, level)
  local aggregate_type, aggregate_id = tostring(target):match "^([^/]+)/(.+)$"
  if not aggregate_type then error(("target expected as \"TYPE/ID\", got %s"):format(inspect(target)), level + 1) end
  return aggregate_type, aggregate_id
end

local GIVEN = { true, true, true, actor_id = true, tenant_id = true, at = true, metadata = true, schema_version = true }

local function read_given(event, number)
  local where = ("given event %d: "):format(number)
  if type(event) ~= "table" or type(event[2]) ~= "string" then
    error(where .. "expected { \"TYPE/ID\", \"EventType\", { data } }, got " .. inspect(event), 4)
  end
  for key in pairs(event) do
    if not GIVEN[key] then error(("%sunknown field '%s'"):format(where, tostring(key)), 4) end
  end
  local aggregate_type, aggregate_id = check_target(event[1], 4)
  return {
    aggregate_type = aggregate_type, aggregate_id = aggregate_id, event_type = event[2], data = event[3] or {},
    actor_id = event.actor_id, tenant_id = event.tenant_id, occurred_at = event.at, metadata = event.metadata,
    schema_version = event.schema_version,
  }
end

-- One at a time, since each is recorded at its own time.
local function append(self, events)
  local now = self.time
  for number, event in ipairs(events) do
    local new = read_given(event, number)
    if event.at then self.time = event.at end
    local scope <close> = self.es.context.enter { operator_scope = true }
    local done, message = self.es:append { new }
    self.time = now
    if not done then error(("given event %d: %s"):format(number, (message:gsub("^event 1 ", ""))), 3) end
    self.target = event[1]
    scope:leave()
  end
end

-- A refusal that no expectation looked at would make what follows mean something else; as the last step it would make a
-- test pass that shows nothing.
local unspoken = {}

local function describe_unspoken(outcome)
  outcome.seen = true
  return ("%s %s was not accepted: %s (%s); say so with then_rejected, then_denied or then_fails"):format(outcome.target,
    outcome.command, outcome.message, outcome.code)
end

local function is_unspoken(outcome) return outcome and not outcome.reply and not outcome.seen end

local function settle(self)
  if is_unspoken(self.outcome) then error(describe_unspoken(self.outcome), 3) end
end

-- Fails for the first refusal that is left, with the line of its command.
local function check_unspoken()
  local outcomes = unspoken
  unspoken = {}
  for _, outcome in ipairs(outcomes) do
    if is_unspoken(outcome) then
      local message = outcome.where .. describe_unspoken(outcome)
      local busted = package.loaded.busted
      if busted then busted.fail(message, 0) end -- a failure of the test, not an error in it
      error(message, 0)
    end
  end
end

-- With busted a test ends with this check. Elsewhere nobody says where it ends, so the next scenario makes it.
local function watch_tests()
  local busted = package.loaded.busted
  if not busted then return false end
  busted.subscribe({ "test", "start" }, function(element)
    local run = element.run
    element.run = function(...)
      run(...)
      check_unspoken()
    end
    return nil, true
  end)
  busted.subscribe({ "test", "end" }, function()
    unspoken = {} -- a test that failed said enough
    return nil, true
  end)
  return true
end

local watches_tests = watch_tests()

local OPTIONS = { project = true, at = true }

--- Opens a runtime on the project's modules with an empty store in memory. Time stands still at `options.at`.
---@param options? es.testing.Options
---@return esrun.Runtime
function testing.open(options)
  local scenario = testing.given({}, options)
  return scenario.es
end

--- Starts a scenario: these events have happened.
---@param events? es.testing.Given[]
---@param options? es.testing.Options
---@return es.testing.Scenario
function testing.given(events, options)
  options = options or {}
  for key in pairs(options) do
    if not OPTIONS[key] then
      error(("t.given: unknown option '%s'; there are project and at"):format(tostring(key)), 2)
    end
  end
  if options.at ~= nil then check_time(options.at, 2) end
  if not watches_tests then check_unspoken() end
  local self = setmetatable({ time = options.at or START }, Scenario)
  local project, why = options.project, nil
  if not project then project, why = esrun.find_project() end
  if not project then error(why, 2) end
  self.es, why = esrun.open { project = project, store = ":memory:", clock = function() return self.time end }
  if not self.es then error(why, 2) end
  append(self, events or {})
  return self
end

--- More events have happened.
---@param events es.testing.Given[]
---@return es.testing.Scenario self
function Scenario:given(events)
  settle(self)
  append(self, events)
  return self
end

--- From here on it is this time, RFC 3339 text or microseconds.
---@param time string|integer
---@return es.testing.Scenario self
function Scenario:at(time)
  check_time(time, 2)
  self.time = time
  return self
end

-- Where the specification is, for a step that calls this: "spec/account_spec.lua:12: ".
local function line_of_caller()
  local caller = debug.getinfo(3, "Sl")
  return ("%s:%d: "):format(caller.short_src, caller.currentline)
end

-- A frame that is wrong is the specification's mistake, in its line.
local function run_in(self, frame, f)
  local done, message = pcall(self.es.context.run, frame or {}, f)
  if done then return end
  if type(message) == "string" then message = message:gsub("^[^\n]-testing%.lua:%d+: ", "") end
  error(message, 3)
end

--- Somebody gives a command. The frame says who: { actor_id = "user:bob", roles = { "editor" } }.
---@param target string TYPE/ID
---@param command string
---@param params? table
---@param frame? esrun.Frame
---@return es.testing.Scenario self
function Scenario:when(target, command, params, frame)
  settle(self)
  check_target(target, 2)
  local outcome = { target = target, command = command, where = line_of_caller() }
  run_in(self, frame, function()
    local reply, message, code, details = self.es:execute(target, command, params)
    outcome.reply, outcome.message, outcome.code, outcome.status = reply, message, code, details and details.status
    outcome.hint = details and details.hint
  end)
  self.outcome, self.target = outcome, target
  if not outcome.reply then unspoken[#unspoken + 1] = outcome end
  return self
end

local function last(self, what)
  if not self.outcome then error(what .. " needs a command before it: :when(…)", 3) end
  self.outcome.seen = true
  return self.outcome
end

local function refusal(outcome)
  return ("%s %s was not accepted: %s (status %s, code %s)%s"):format(outcome.target, outcome.command, outcome.message,
    outcome.status, outcome.code, outcome.hint and "\nhint: " .. outcome.hint or "")
end

local function accepted(outcome)
  local types = {}
  for index, event in ipairs(outcome.reply.events) do types[index] = event.event_type end
  return ("%s %s was accepted, with %s"):format(outcome.target, outcome.command,
    #types == 0 and "no events" or table.concat(types, ", "))
end

-- An actual event in the form that the expectation has.
local function in_form(expected, event)
  if type(expected) == "string" then return event.event_type end
  local out = { event.event_type }
  if type(expected) ~= "table" then return { event.event_type, event.data } end
  if expected[2] ~= nil then out[2] = event.data end
  if expected.actor_id ~= nil then out.actor_id = event.actor_id end
  if expected.metadata then
    out.metadata = {}
    for name in pairs(expected.metadata) do out.metadata[name] = event.metadata[name] end
  end
  return out
end

--- The command was accepted and stored exactly these events.
---@param expected (es.testing.Expected|string)[]
---@return es.testing.Scenario self
function Scenario:then_events(expected)
  local outcome = last(self, "then_events")
  if not outcome.reply then fail(refusal(outcome) .. "\nexpected: " .. inspect(expected)) end
  local actual = {}
  for index, event in ipairs(outcome.reply.events) do actual[index] = in_form(expected[index], event) end
  local problem = compare(("%s %s did not store the expected events:"):format(outcome.target, outcome.command), expected,
    actual)
  if problem then fail(problem) end
  return self
end

local function expect_refusal(outcome, statuses, what, code, message)
  if outcome.reply then return ("expected it to be %s (%s), but %s"):format(what, code or "any code", accepted(outcome)) end
  if not statuses[outcome.status] then return ("expected it to be %s, but %s"):format(what, refusal(outcome)) end
  local expected, actual = { code = code, message = message }, {}
  if code ~= nil then actual.code = outcome.code end
  if message ~= nil then actual.message = outcome.message end
  return compare(("%s %s was %s otherwise than expected:"):format(outcome.target, outcome.command, what), expected, actual)
end

--- The domain refused: with this code, and this message if one is given. A missing aggregate counts, its code is "not_found".
---@param code? string
---@param message? string
---@return es.testing.Scenario self
function Scenario:then_rejected(code, message)
  local problem = expect_refusal(last(self, "then_rejected"), { rejected = true, not_found = true }, "rejected", code, message)
  if problem then fail(problem) end
  return self
end

--- No rule allowed it: code "unauthenticated", "forbidden" or a rule's own.
---@param code? string
---@param message? string
---@return es.testing.Scenario self
function Scenario:then_denied(code, message)
  local problem = expect_refusal(last(self, "then_denied"), { denied = true }, "denied", code, message)
  if problem then fail(problem) end
  return self
end

--- It went wrong with this status ("lua", "usage", "conflict" …), and a message that holds this text.
---@param status string
---@param part? string
---@return es.testing.Scenario self
function Scenario:then_fails(status, part)
  local outcome = last(self, "then_fails")
  if outcome.reply then fail(("expected it to fail (%s), but %s"):format(status, accepted(outcome))) end
  if outcome.status ~= status or part and not outcome.message:find(part, 1, true) then
    fail(("expected status %s%s, but %s"):format(status, part and " and a message with " .. inspect(part) or "",
      refusal(outcome)))
  end
  return self
end

--- The state of the last aggregate spoken of, or of the target, is exactly this.
---@param target string|table TYPE/ID, or the state
---@param expected? table
---@param frame? esrun.Frame whose tenant's aggregate it is
---@return es.testing.Scenario self
function Scenario:then_state(target, expected, frame)
  if type(target) == "table" then target, expected, frame = self.target, target, expected end
  if not target then error("then_state: of which aggregate? then_state(\"TYPE/ID\", { … })", 2) end
  settle(self)
  local loaded, message
  run_in(self, frame, function()
    local scope <close> = self.es.context.enter { operator_scope = true }
    loaded, message = self.es:load(target)
    scope:leave()
  end)
  if not loaded then fail(("the state of %s: %s"):format(target, message)) end
  local problem = compare(("the state of %s is not as expected:"):format(target), expected, loaded.state)
  if problem then fail(problem) end
  return self
end

-- A column without a value reads as absent, in what is expected too.
local function without_nulls(rows)
  local out = {}
  for position, row in ipairs(rows) do
    out[position] = {}
    for name, value in pairs(row) do
      if value ~= core.null then out[position][name] = value end
    end
  end
  return out
end

--- A projection, brought up to date, answers a query with exactly these rows.
---@param projection string
---@param query string
---@param params table|nil
---@param expected table[]
---@param frame? esrun.Frame whose tenant asks
---@return es.testing.Scenario self
function Scenario:then_rows(projection, query, params, expected, frame)
  settle(self)
  local done, message = self.es:project(projection)
  if not done then fail(("the projection %s: %s"):format(projection, message)) end
  local rows
  run_in(self, frame, function() rows, message = self.es:query(projection, query, params) end)
  if not rows then fail(("the query %s of %s: %s"):format(query, projection, message)) end
  local problem = compare(("%s %s did not answer as expected:"):format(projection, query), without_nulls(expected),
    without_nulls(rows))
  if problem then fail(problem) end
  return self
end

return testing
