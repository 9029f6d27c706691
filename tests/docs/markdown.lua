-- markdown: finds the code blocks of a Markdown text that say what a test shall do with them. Knows text only: it reads
-- no file and runs nothing.
--
-- An HTML comment on the line before a fence is an instruction, so that readers see plain code:
--   <!-- project: examples/orders -->     (no fence) from here on, work in a fresh copy of that folder, or of the files
--                                         that another document shows: docs/guide/first-project.md
--   <!-- file: aggregates/account.lua --> the block is that file
--   <!-- test: jane opens an account -->  the block (lua or sh) is run and must succeed
--   <!-- test: refuses it (exit 9) -->    … must end with this exit status
--   <!-- output -->                       the block is what the test before it must print
local markdown = {}

local function fail(name, line, format, ...)
  error(("%s:%d: %s"):format(name, line, format:format(...)), 0)
end

-- Reads the fence that begins at lines[at]; returns its language, its text and the line after it.
local function read_fence(name, lines, at)
  local indent, language = lines[at]:match("^(%s*)```%s*(%w*)")
  if not indent then
    fail(name, at, "an instruction must stand on the line before a ``` block")
  end
  local body = {}
  for number = at + 1, #lines do
    local text = lines[number]:sub(1, #indent) == indent and lines[number]:sub(#indent + 1) or lines[number]
    if text:find("^```%s*$") then
      return language, table.concat(body, "\n") .. "\n", number + 1
    end
    body[#body + 1] = text
  end
  return fail(name, at, "the ``` block has no end")
end

local function add_test(name, at, steps, language, argument, text)
  if language ~= "lua" and language ~= "sh" then
    fail(name, at, "a test is lua or sh, not %q", language)
  end
  local title, status = argument:match("^(.-)%s*%(exit (%d+)%)$")
  steps[#steps + 1] = {
    kind = "test", language = language, text = text, line = at,
    title = title or argument, status = status and math.tointeger(tonumber(status)) or 0,
  }
end

--- The steps of a text in order: { kind = "project"|"file"|"test", line, … }.
---@param text string
---@param name string for messages
function markdown.steps(text, name)
  local lines, steps, at = {}, {}, 1
  for line in (text .. "\n"):gmatch("(.-)\r?\n") do
    lines[#lines + 1] = line
  end
  while at <= #lines do
    local verb, argument = lines[at]:match("^%s*<!%-%-%s*(%l+):?%s*(.-)%s*%-%->%s*$")
    local here = at
    at = at + 1
    if verb == "project" then
      steps[#steps + 1] = { kind = "project", path = argument, line = here }
    elseif verb == "file" or verb == "test" or verb == "output" then
      local language, body
      language, body, at = read_fence(name, lines, at)
      local last = steps[#steps]
      if verb == "file" then
        steps[#steps + 1] = { kind = "file", path = argument, text = body, line = here }
      elseif verb == "test" then
        add_test(name, here, steps, language, argument, body)
      elseif not last or last.kind ~= "test" or last.output then
        fail(name, here, "an output must follow the test that prints it")
      else
        last.output = body
      end
    elseif lines[here]:find("^%s*```") then
      at = select(3, read_fence(name, lines, here)) -- what looks like an instruction inside a block is none
    end
  end
  return steps
end

local VARIABLE = {
  { "%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x", "UUID" },
  { "%d%d%d%d%-%d%d%-%d%d[T ]%d%d:%d%d:%d%d%.?%d*Z?", "TIME" },
  { "%d%d%d%d%-%d%d%-%d%d", "DATE" },
  { ("%x"):rep(64), "HASH" },
  { "[%d.,]+[kM]? events/s", "RATE" },
  { "[%d.]+ m?s%f[%W]", "DURATION" },
}

--- The text with what differs between two runs (ids, times, hashes, rates) replaced by a word, and no space at line ends.
function markdown.normalise(text)
  for _, pair in ipairs(VARIABLE) do
    text = text:gsub(pair[1], pair[2])
  end
  return (text:gsub("[ \t]+\n", "\n"):gsub("%s+$", ""))
end

return markdown
