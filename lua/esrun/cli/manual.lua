-- esrun.cli.manual: the man page and the shells' completions, made from what the commands say of themselves.

local cli = require "esrun.cli"
local describe = require "esrun.cli.describe"

local manual = {}

local WIDTH = 66 -- of a synopsis: a page of 80 columns, less what man indents

-- Everything that is special to roff: a backslash anywhere, a dot or a quote at the start of a line, hyphens, which a reader
-- must be able to copy, and what is not ASCII.
local function roff(text)
  text = text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("%f[^\n%z][.']", "\\&%0")
  return (text:gsub("[\xC2-\xF4][\x80-\xBF]+", function(character)
    return ("\\[u%04X]"):format(utf8.codepoint(character))
  end))
end

-- Text for people: what is in backticks is bold.
local function prose(text) return (roff(text):gsub("`(.-)`", "\\fB%1\\fR")) end

local function add_items(add, items)
  for _, item in ipairs(items) do
    local names = {}
    for position, name in ipairs(item.names) do
      names[position] = ("\\fB%s\\fR%s"):format(roff(name), item.value and (" \\fI%s\\fR"):format(roff(item.value)) or "")
    end
    add ".TP"
    add(table.concat(names, ", "))
    add(prose(item.text))
  end
end

local function add_pairs(add, rows)
  for _, row in ipairs(rows) do
    add ".TP"
    add(("\\fB%s\\fR"):format(roff(tostring(row[1]))))
    add(prose(row[2]))
  end
end

local function add_command(add, name)
  local about = describe.command(name)
  add(".SS esrun " .. name)
  add ".nf"
  for _, form in ipairs(about.usage) do
    for position, line in ipairs(describe.wrap(form, WIDTH)) do
      add(position == 1 and "\\fBesrun " .. roff(name) .. "\\fR" .. roff(line:sub(#"esrun " + #name + 1)) or "    " .. roff(line))
    end
  end
  add ".fi"
  add ".P"
  add(prose(about.text))
  add_items(add, about.arguments)
  add_items(add, about.options)
end

--- The man page, for section 1.
function manual.man()
  local lines = {}
  local function add(line) lines[#lines + 1] = line end
  add(('.TH ESRUN 1 "" "esrun %s" "User Commands"'):format(require "esrun"._VERSION))
  add ".nh"
  add ".SH NAME"
  add("esrun \\- " .. describe.SUMMARY)
  add ".SH SYNOPSIS"
  for position, form in ipairs(describe.synopses()) do
    if position > 1 then add ".br" end
    add(("\\fBesrun\\fR %s"):format(roff(form:match "^esrun (.*)$")))
  end
  add ".SH DESCRIPTION"
  add(roff(describe.PROJECT))
  add "Standard output is the result and nothing else; errors, hints and progress go to standard error."
  add ".SH OPTIONS"
  add "The options of every command may stand before or after it."
  add_items(add, describe.shared_options())
  add ".SH COMMANDS"
  for _, command in ipairs(cli.COMMANDS) do add_command(add, command[1]) end
  local statuses = {}
  for position, status in ipairs(describe.statuses()) do statuses[position] = { status.number, status.meaning .. "." } end
  for _, section in ipairs {
    { "EXIT STATUS", statuses }, { "ENVIRONMENT", describe.ENVIRONMENT }, { "FILES", describe.FILES },
  } do
    add(".SH " .. section[1])
    add_pairs(add, section[2])
  end
  return table.concat(lines, "\n") .. "\n"
end

-- One parser that knows every command, which running one never needs.
local function whole()
  local root = cli.argparse("esrun", describe.SUMMARY)
  for _, command in ipairs(cli.COMMANDS) do cli.define(root:command(command[1], command[2]), command[1]) end
  return root
end

-- A piece of text in the place of another, which must be there.
local function exchange(text, old, new)
  local at, stop = text:find(old, 1, true)
  assert(at, "bash's completions have another form")
  return text:sub(1, at - 1) .. new .. text:sub(stop + 1)
end

-- argparse completes neither the values of options before the command nor the words behind it.
function manual.bash()
  local text = whole():get_bash_complete()
  text = exchange(text, "        '')\n", [[
        '')
            case "$prev" in
                --project | --store)
                    COMPREPLY=($(compgen -f -- "$cur"))
                    return 0
                    ;;
                --output)
                    COMPREPLY=($(compgen -W "auto table json jsonl" -- "$cur"))
                    return 0
                    ;;
            esac
]])
  local words = ([[
    case "$cmd $prev" in
        'project project')
            COMPREPLY=($(compgen -W "%s" -- "$cur"))
            ;;
        'help help')
            COMPREPLY=($(compgen -W "%s" -- "$cur"))
            ;;
    esac

]]):format(table.concat(require "esrun.cli.project".ACTIONS, " "), table.concat(cli.names(), " "))
  return exchange(text, '    if [[ "$cur" = -* ]]', words .. '    if [[ "$cur" = -* ]]')
end

function manual.zsh() return whole():get_zsh_complete() end

function manual.fish() return whole():get_fish_complete() end

return manual
