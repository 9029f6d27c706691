-- esrun.lint.source_checks: what can be said of a module from its tokens alone, whether it loads or not: nondeterminism,
-- modules that cannot be required, technical names in metadata. Knows no runtime.

local tokens = require "es.tokens"

local is = tokens.is

local source_checks = {}

-- Names that a domain state does not have, and what to do instead.
local ABSENT = {
  os = "take the time from ctx.now",
  io = "domain code reads and writes nothing; what it needs comes in the command or in ctx",
  coroutine = "decide and apply run from start to end",
  debug = "domain code has no debug library",
  package = "require finds the modules of the project",
  print = "domain code writes nothing",
  load = "write a module and require it",
  loadfile = "write a module and require it",
  dofile = "write a module and require it",
  collectgarbage = "memory is managed by the runtime",
}
local RANDOM = { random = true, randomseed = true }

-- Words for how something was stored or went wrong inside, not for what happened in the business.
local TECHNICAL = {}
for word in ([[
  sql query query_time_ms pool_size connection_string connection_id stack_trace stacktrace traceback backtrace exception
  exception_class thread_id process_id pid memory_usage cpu_usage cache_hit cache_key table_name row_count class_name
  method_name function_name line_number db_host db_name db_user hostname
]]):gmatch "[%w_]+" do
  TECHNICAL[word] = true
end

--- True for a name that tells of the machinery.
function source_checks.is_technical(name) return TECHNICAL[name:lower()] == true end

-- Names that the source itself makes, each with where it holds: parameters in their function, others from there on.
local function own_names(source)
  local own = {}
  local function add(name, from, to)
    own[name] = own[name] or {}
    table.insert(own[name], { from, to })
  end
  for index, token in ipairs(source) do
    if is(source, index, "local") or is(source, index, "for") then
      local at = index + 1
      if is(source, at, "function") then at = at + 1 end
      while source[at] and source[at].kind == "name" do
        add(source[at].text, at, #source)
        if not is(source, at + 1, ",") then break end
        at = at + 2
      end
    elseif token.kind == "name" and token.text == "function" then
      local at, stop = index + 1, tokens.function_end(source, index)
      while source[at] and not is(source, at, "(") do at = at + 1 end
      while source[at] and not is(source, at, ")") do
        if source[at].kind == "name" then add(source[at].text, at, stop) end
        at = at + 1
      end
    end
  end
  return own
end

local function is_own(own, source, index)
  for _, range in ipairs(own[source[index].text] or {}) do
    if index >= range[1] and index <= range[2] then return true end
  end
  return false
end

-- A global name in use: no field, no key of a table.
local function is_global(source, index)
  if is(source, index - 1, ".") or is(source, index - 1, ":") then return false end
  return not is(source, index + 1, "=")
end

local function check_determinism(source, add)
  local own = own_names(source)
  for index, token in ipairs(source) do
    if token.kind == "name" and is_global(source, index) and not is_own(own, source, index) then
      if ABSENT[token.text] then
        local name = token.text
        if is(source, index + 1, ".") and source[index + 2] then name = name .. "." .. source[index + 2].text end
        add(token.line, "nondeterminism", ("'%s' does not exist in domain code"):format(name), ABSENT[token.text])
      elseif token.text == "math" and is(source, index + 1, ".") and source[index + 2] and RANDOM[source[index + 2].text] then
        add(token.line, "nondeterminism", ("'math.%s' does not exist in domain code"):format(source[index + 2].text),
          "the same events must replay to the same state; take ids from ctx.new_id()")
      end
    end
  end
end

-- The literal that a call at `index` has as its only argument: f "x" or f("x").
local function literal_argument(source, index)
  if is(source, index + 1, "(") then index = index + 1 end
  local token = source[index + 1]
  return token and token.kind == "string" and token.text or nil
end
source_checks.literal_argument = literal_argument

local function check_requires(source, add, is_known)
  for index, token in ipairs(source) do
    if token.kind == "name" and token.text == "require" and is_global(source, index) then
      local name = literal_argument(source, index)
      if name and not is_known(name) then
        add(token.line, "unknown-module", ("module '%s' cannot be required from domain code"):format(name),
          "domain code can require es, es.rule, es.schema and modules of the library folders (lib/)")
      end
    end
  end
end

local function check_metadata(source, add)
  for index, token in ipairs(source) do
    if token.kind == "name" and token.text == "with_metadata" then
      local at = index + 1
      if is(source, at, "(") then at = at + 1 end
      if is(source, at, "{") then
        for name, line in pairs((tokens.table_keys(source, at))) do
          if source_checks.is_technical(name) then
            add(line, "technical-detail", ("metadata name '%s' is a technical detail"):format(name),
              "record what was done in the words of the business; technical details belong into a log")
          end
        end
      end
    end
  end
end

--- Runs these checks; `add(line, rule, message, mend)` receives what was found.
---@param source esrun.lint.Source
---@param add fun(line: integer, rule: string, message: string, mend: string)
---@param is_known fun(name: string): boolean can it be required?
function source_checks.run(source, add, is_known)
  check_determinism(source, add)
  check_requires(source, add, is_known)
  check_metadata(source, add)
end

return source_checks
