-- esrun.cli.help: help on esrun, or on one command.

local errors = require "esrun.cli.errors"

local help = { description = "Help on esrun, or on one command." }

function help.define(parser)
  parser:argument "COMMAND":target "command":args "?":description "The command to explain."
  parser:option "--format":choices { "man", "bash", "zsh", "fish", "markdown" }
    :description "Print the man page, a shell's completions, or the reference's parts that come from the code, instead."
end

local WIDTH = 80
local MARGIN = 25 -- where the texts of arguments and options begin

-- What an item does, beside its names or, when these are long, below them.
local function add_item(lines, item)
  local describe = require "esrun.cli.describe"
  local label = "   " .. table.concat(item.names, ", ") .. (item.value and " " .. item.value or "")
  local width = utf8.len(label)
  for position, line in ipairs(describe.wrap(item.text, WIDTH - MARGIN)) do
    if position == 1 and width < MARGIN then
      lines[#lines + 1] = label .. (" "):rep(MARGIN - width) .. line
    else
      if position == 1 then lines[#lines + 1] = label end
      lines[#lines + 1] = (" "):rep(MARGIN) .. line
    end
  end
end

--- The help of one command.
function help.text(name)
  local describe = require "esrun.cli.describe"
  local about, lines = describe.command(name), {}
  for position, form in ipairs(about.usage) do
    local start = position == 1 and "Usage: " or "       "
    local head = "esrun " .. name
    local rest = describe.wrap(form:sub(#head + 2), WIDTH - #start - #head - 1)
    for number = 1, math.max(#rest, 1) do
      local before = number == 1 and start .. head or (" "):rep(#start + #head)
      lines[#lines + 1] = (before .. " " .. (rest[number] or "")):gsub("%s+$", "")
    end
  end
  lines[#lines + 1] = ""
  for _, line in ipairs(describe.wrap(about.text, WIDTH)) do lines[#lines + 1] = line end
  for _, group in ipairs {
    { "Arguments:", about.arguments }, { "Options:", about.options }, { "Options of every command:", describe.shared_options() },
  } do
    if #group[2] > 0 then
      lines[#lines + 1] = ""
      lines[#lines + 1] = group[1]
      for _, item in ipairs(group[2]) do add_item(lines, item) end
    end
  end
  return table.concat(lines, "\n")
end

local function overview(out)
  local describe = require "esrun.cli.describe"
  for position, form in ipairs(describe.synopses()) do out:line("%s%s", position == 1 and "Usage: " or "       ", form) end
  out:line("")
  for _, command in ipairs(require "esrun.cli".COMMANDS) do out:line("  %-12s %s", command[1], command[2]) end
  out:line("")
  out:line("esrun help COMMAND tells more. %s", describe.PROJECT)
  local statuses = {}
  for position, status in ipairs(describe.statuses()) do statuses[position] = ("%d=%s"):format(status.number, status.name) end
  for _, line in ipairs(describe.wrap("Exit status: " .. table.concat(statuses, ", ") .. ".", WIDTH)) do
    out:line("%s", (line:gsub("=", " ")))
  end
end

local function as_json(out)
  local core = require "esrun.core"
  local list = core.array {}
  for position, command in ipairs(require "esrun.cli".COMMANDS) do
    list[position] = { command = command[1], summary = command[2] }
  end
  if out.mode == "json" then return out:json(list) end
  for _, command in ipairs(list) do out:json(command) end
end

function help.run(call, args)
  local name = args.command
  if args.format then
    if name then errors.usage("--format goes without a command: it is of all of them") end
    local maker = args.format == "markdown" and "esrun.cli.reference" or "esrun.cli.manual"
    io.stdout:write(require(maker)[args.format]())
    return
  end
  if name == nil then
    if call.out.mode == "table" then overview(call.out) else as_json(call.out) end
    return
  end
  local cli = require "esrun.cli"
  for _, command in ipairs(cli.COMMANDS) do
    if command[1] == name then
      local text = help.text(name)
      if call.out.mode == "table" then call.out:line("%s", text) else call.out:json { command = name, help = text } end
      return
    end
  end
  cli.unknown(name)
end

return help
