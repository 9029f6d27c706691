-- esrun.cli.reference: what the commands say of themselves as Markdown: the parts of docs/reference/cli.md that come from the
-- code, each between marks. cmake/reference.lua puts them into that page, where the rest is written by hand.

local cli = require "esrun.cli"
local describe = require "esrun.cli.describe"

local reference = {}

local WIDTH = 120

-- Words that are code wherever they stand: options, names, the runtime's events, paths, actors, calls, what is typed.
local CODE = {
  "^%-%-?%a[%a-]*$", "^%-$", "^%$%a+$", "^%a+_[%a_]+$", "^~/.*[^.]$", "^[%a-]+%.lua$", "^@%u+$", "^%u+:?=%u+$", "^%l+:%a+$",
  "^[%l.]+%(%)$", "^esrun%.db$",
}

local function code(text) return "`" .. text .. "`" end

local function is_code(word)
  for _, pattern in ipairs(CODE) do
    if word:find(pattern) then return true end
  end
  return false
end

-- Text for people, its code marked as such. What is in backticks already stays.
local function prose(text)
  local parts, inside = {}, false
  for piece in (text .. "`"):gmatch "([^`]*)`" do
    parts[#parts + 1] = inside and code(piece) or piece:gsub("%S+", function(word)
      local before, core, after = word:match "^(%(?)(.-)([,.;:)]*)$"
      return is_code(core) and before .. code(core) .. after or word
    end)
    inside = not inside
  end
  return table.concat(parts)
end

local function cell(text) return (text:gsub("|", "\\|")) end

-- A table of rows { code, … , text }.
local function add_table(lines, titles, rows)
  if #rows == 0 then return end
  lines[#lines + 1] = ""
  lines[#lines + 1] = (("| %s |"):format(table.concat(titles, " | ")):gsub("|  ", "| "))
  lines[#lines + 1] = ("|%s"):format(("---|"):rep(#titles))
  for _, row in ipairs(rows) do
    local cells = {}
    for position, text in ipairs(row) do cells[position] = cell(text) end
    lines[#lines + 1] = ("| %s |"):format(table.concat(cells, " | "))
  end
end

local function items(list)
  local rows = {}
  for position, item in ipairs(list) do
    local names = {}
    for number, name in ipairs(item.names) do names[number] = code(name .. (item.value and " " .. item.value or "")) end
    rows[position] = { table.concat(names, ", "), prose(item.text) }
  end
  return rows
end

local function pairs_of(list)
  local rows = {}
  for position, row in ipairs(list) do rows[position] = { code(row[1]), prose(row[2]) } end
  return rows
end

local function add_usage(lines, forms)
  lines[#lines + 1] = "```"
  for _, form in ipairs(forms) do
    for position, line in ipairs(describe.wrap(form, 100)) do lines[#lines + 1] = (position > 1 and "    " or "") .. line end
  end
  lines[#lines + 1] = "```"
end

local function program()
  local lines, rows = {}, {}
  add_usage(lines, describe.synopses())
  add_table(lines, { "option", "" }, items(describe.shared_options()))
  for position, command in ipairs(cli.COMMANDS) do
    rows[position] = { ("[`esrun %s`](#esrun-%s)"):format(command[1], command[1]), prose(command[2]) }
  end
  add_table(lines, { "command", "" }, rows)
  return lines
end

local function statuses()
  local lines, rows = {}, {}
  for position, status in ipairs(describe.statuses()) do
    rows[position] = { tostring(status.number), status.name, status.meaning }
  end
  add_table(lines, { "", "", "" }, rows)
  return lines
end

local function command(name)
  local about, lines = describe.command(name), {}
  for _, line in ipairs(describe.wrap(prose(about.text), WIDTH)) do lines[#lines + 1] = line end
  lines[#lines + 1] = ""
  add_usage(lines, about.usage)
  add_table(lines, { "argument", "" }, items(about.arguments))
  add_table(lines, { "option", "" }, items(about.options))
  return lines
end

local function table_of(list)
  local lines = {}
  add_table(lines, { "", "" }, pairs_of(list))
  return lines
end

--- All parts, in the order of the page: a heading, the part between its marks.
function reference.markdown()
  local out = {}
  local function add(heading, name, lines)
    if #out > 0 then out[#out + 1] = "" end
    table.move({ heading, "", ("<!-- begin %s -->"):format(name) }, 1, 3, #out + 1, out)
    table.move(lines, lines[1] == "" and 2 or 1, #lines, #out + 1, out)
    out[#out + 1] = ("<!-- end %s -->"):format(name)
  end
  add("# Command line", "esrun", program())
  add("## Exit status", "statuses", statuses())
  for _, row in ipairs(cli.COMMANDS) do add("## esrun " .. row[1], "esrun " .. row[1], command(row[1])) end
  add("## Environment", "environment", table_of(describe.ENVIRONMENT))
  add("## Files", "files", table_of(describe.FILES))
  return table.concat(out, "\n") .. "\n"
end

return reference
