-- esrun.cli.help: help on esrun, or on one command.

local help = { description = "Help on esrun, or on one command." }

function help.define(parser)
  parser:argument "command":argname "COMMAND":args "?":description "The command to explain."
  parser:option "--format":argname "FORMAT":choices { "man", "bash", "zsh", "fish" }
    :description "Print the man page, or a shell's completions, instead."
end

local function overview(out)
  out:line("usage: esrun [--project DIR] [--store FILE] [--output auto|table|json|jsonl] COMMAND …")
  out:line("")
  for _, command in ipairs(require "esrun.cli".COMMANDS) do out:line("  %-12s %s", command[1], command[2]) end
  out:line("")
  out:line("esrun help COMMAND tells more. A project is the nearest folder upward with an esrun.lua.")
  out:line("Exit status: 0 ok, 1 other, 2 usage, 3 conflict, 4 rejected, 5 not found, 6 integrity, 7 store, 8 Lua, 9 denied.")
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
  if args.format then
    io.stdout:write(require "esrun.cli.manual"[args.format]())
    return
  end
  local cli = require "esrun.cli"
  local name = args.command
  if name == nil then
    if call.out.mode == "table" then overview(call.out) else as_json(call.out) end
    return
  end
  for _, command in ipairs(cli.COMMANDS) do
    if command[1] == name then
      local text = cli.parser(name):get_help()
      if call.out.mode == "table" then call.out:line("%s", text) else call.out:json { command = name, help = text } end
      return
    end
  end
  cli.unknown(name)
end

return help
