-- reference: brings the parts of docs/reference/cli.md that come from the code up to date, and leaves the rest as it is.
-- Usage: lua5.4 cmake/reference.lua ESRUN PAGE, where ESRUN is the command; `./dev docs` does it. A part stands between
-- `<!-- begin NAME -->` and `<!-- end NAME -->` in the section of its heading. tests/cli/reference_spec.lua compares the page.

local reference = {}

-- A text as its sections: { heading, lines }, in order; the lines before the first heading have none.
local function sections_of(text)
  local sections, fenced = { { lines = {} } }, false
  for line in (text:gsub("\n*$", "\n")):gmatch "([^\n]*)\n" do
    if line:find "^```" then fenced = not fenced end
    if not fenced and line:find "^##? " then sections[#sections + 1] = { heading = line, lines = {} } end
    local section = sections[#sections]
    section.lines[#section.lines + 1] = line
  end
  return sections
end

-- Where a section's part stands: the numbers of the lines with its marks.
local function marks_of(section)
  local first, last, name
  for number, line in ipairs(section.lines) do
    local kind, what = line:match "^<!%-%- (%l+) (.*) %-%->$"
    if kind == "begin" then
      if first then return nil, ("%s: a second part begins, %s"):format(section.heading, what) end
      first, name = number, what
    elseif kind == "end" then
      if what ~= name or last then return nil, ("%s: %s ends, which has not begun"):format(section.heading, what) end
      last = number
    end
  end
  if first and not last then return nil, ("%s: %s does not end"):format(section.heading, name) end
  return first, last
end

-- The lines of a section of the page with those of the code in their place: the marked ones, else below the heading.
local function exchanged(section, part)
  local first, last = marks_of(section)
  if not first and last then return nil, last end
  if not first then first, last = 2, 2 end
  local lines = table.move(section.lines, 1, first - 1, 1, {})
  if first == last then lines[#lines + 1] = "" end
  table.move(part, 1, #part, #lines + 1, lines)
  if first == last then lines[#lines + 1] = "" end
  return table.move(section.lines, last + 1, #section.lines, #lines + 1, lines)
end

--- The page as it should be: the sections of the code in its order, each with what the page says there besides.
---@param code string what `esrun help --format markdown` prints
---@param page string
---@return string? # or nil and what is wrong with the page
function reference.merge(code, page)
  local found, out = {}, {}
  for position, section in ipairs(sections_of(page)) do
    if position == 1 then
      table.move(section.lines, 1, #section.lines, 1, out)
    elseif found[section.heading] then
      return nil, section.heading .. ": is there twice"
    else
      found[section.heading] = section
    end
  end
  local made = sections_of(code)
  for position = 2, #made do
    local section = made[position]
    local first, last = marks_of(section)
    local part = table.move(section.lines, first, last, 1, {})
    local lines = section.lines
    if found[section.heading] then
      local why
      lines, why = exchanged(found[section.heading], part)
      if not lines then return nil, why end
      found[section.heading] = nil
    end
    table.move(lines, 1, #lines, #out + 1, out)
    if out[#out] ~= "" then out[#out + 1] = "" end
  end
  local heading = next(found)
  if heading then return nil, heading .. ": the code has no such section; remove it, or put it below another as ###" end
  return (table.concat(out, "\n"):gsub("^\n+", ""):gsub("\n*$", "\n"))
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

local function write(command, path)
  local pipe = assert(io.popen(("'%s' help --format markdown"):format(command:gsub("'", "'\\''"))))
  local code = pipe:read "a"
  assert(pipe:close(), command .. " does not say what its commands are")
  local before = read(path)
  local text, why = reference.merge(code, before)
  if not text then
    io.stderr:write(path, ": ", why, "\n")
    os.exit(1)
  end
  if text ~= before then
    local file = assert(io.open(path, "wb"))
    assert(file:write(text))
    assert(file:close())
  end
  print(path .. (text == before and " is up to date" or " is brought up to date"))
end

if arg and arg[0] and arg[0]:find "reference%.lua$" then
  local usage = "usage: reference.lua ESRUN PAGE"
  write(assert(arg[1], usage), assert(arg[2], usage))
end

return reference
