-- esrun.cli.manual: the man page and the shells' completions, made from what the commands say of themselves.

local cli = require "esrun.cli"

local manual = {}

local SUMMARY = "event sourcing runtime with domain modules in Lua"

local WIDTH = 72 -- a page of 80 columns, less what man indents

-- Everything that is special to roff: a backslash anywhere, a dot or a quote at the start of a line, hyphens, which a reader
-- must be able to copy, and what is not ASCII.
local function roff(text)
  text = text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("%f[^\n%z][.']", "\\&%0")
  return (text:gsub("[\xC2-\xF4][\x80-\xBF]+", function(character)
    return ("\\[u%04X]"):format(utf8.codepoint(character))
  end))
end

--- The man page, for section 1.
function manual.man()
  local lines = {
    ('.TH ESRUN 1 "" "esrun %s" "User Commands"'):format(require "esrun"._VERSION),
    ".SH NAME",
    "esrun \\- " .. SUMMARY,
    ".SH SYNOPSIS",
    ".B esrun",
    roff "[--project DIR] [--store FILE] [--output auto|table|json|jsonl] COMMAND ...",
    ".SH DESCRIPTION",
    "A project is the nearest folder upward with an",
    ".IR esrun.lua .",
    "Standard output is the result and nothing else.",
    ".SH COMMANDS",
  }
  local function add(line) lines[#lines + 1] = line end
  for _, command in ipairs(cli.COMMANDS) do
    add(".SS esrun " .. command[1])
    add ".nf"
    add(roff((cli.parser(command[1]):help_max_width(WIDTH):get_help():gsub("%s+$", ""))))
    add ".fi"
  end
  add ".SH EXIT STATUS"
  for _, status in ipairs { "0 ok", "1 other", "2 usage", "3 conflict", "4 rejected", "5 not found", "6 integrity", "7 store",
    "8 Lua", "9 denied" } do
    add ".TP"
    add((".B %s"):format(status:match "%d"))
    add(status:match "%d (.*)")
  end
  return table.concat(lines, "\n") .. "\n"
end

-- One parser that knows every command, which running one never needs.
local function whole()
  local root = cli.argparse("esrun", SUMMARY)
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
