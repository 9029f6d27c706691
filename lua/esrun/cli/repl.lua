-- esrun.cli.repl: Lua line by line with `es` opened on the project. Reads only, unless told otherwise.

local chunk = require "esrun.cli.chunk"
local core = require "esrun.core"
local esrun = require "esrun"
local inspect = require "esrun.inspect"
local interrupt = require "esrun.interrupt"
local system = require "esrun.system"

local repl = {
  description = "Try things out in Lua, line by line: `es` is the project's runtime, `esrun` the host module, `null` JSON's "
    .. "null. Values of expressions are shown. Ctrl-C stops what runs or abandons what was typed, Ctrl-D ends.",
}

function repl.define(parser)
  parser:flag "--write":description "Open the store for writing; it is made when missing (default: read only)."
  parser:flag "--watch":description "Before each input, put changed modules in force if they are right."
  require "esrun.cli.target".define_actor(parser, "Act and look as this actor (default: look as operator, past view rules).")
end

-- Reading -----------------------------------------------------------------------------------------------------------

local function history_path()
  local home = os.getenv "XDG_STATE_HOME" or (os.getenv "HOME" and os.getenv "HOME" .. "/.local/state")
  return home and home .. "/esrun/history"
end

-- A history that cannot be kept is no reason to fail.
local function make_folder_of(path)
  local files, at = require "esrun.files", ""
  for part in path:match("^(.*)/"):gmatch "/[^/]+" do
    at = at .. part
    files.make_folder(at)
  end
end

-- A function that reads a line after a prompt: nil at the end of input, nil and "interrupt" after Ctrl-C.
local function new_reader(is_terminal)
  if not is_terminal then return function() return (io.read "l") end end
  local found, editor = pcall(require, "esrun.line_editor")
  if not found then
    io.stderr:write("esrun: lines cannot be edited: ", editor, "\nhint: install libedit2\n")
    return function(prompt)
      io.stdout:write(prompt):flush()
      if not interrupt.wait_for_input() then return nil, "interrupt" end
      return (io.read "l")
    end
  end
  local path = history_path()
  if path then
    make_folder_of(path)
    editor.load(path)
  end
  return function(prompt)
    local line, why = editor.read(prompt)
    if line and line:find "%S" then
      editor.add(line)
      if path then editor.save(path) end -- now: the session may end in any way
    end
    return line, why
  end
end

-- Showing -----------------------------------------------------------------------------------------------------------

-- The values as text, or nil when there are none.
local function text_of(values)
  if values.n == 0 then return nil end
  -- nil, message, code, details: a call that was refused
  local details = values[4]
  if values[1] == nil and type(values[2]) == "string" and type(details) == "table" and details.exit_status then
    return ("%s: %s"):format(details.status, values[2]) .. (details.hint and "\nhint: " .. details.hint or "")
  end
  local parts = {}
  for index = 1, values.n do parts[index] = inspect(values[index]) end
  return table.concat(parts, "\t")
end

local function reload(es, out)
  local done, changed, _, details = es:reload()
  if not done then
    out:line("not reloaded: %s", changed)
    if details and details.hint then out:line("hint: %s", details.hint) end
  elseif changed then
    out:line("modules reloaded")
  end
end

-- What the chunk gives, as text; `call` is pcall, or what Ctrl-C can stop, which holds for long values as well.
local function evaluate(call, compiled)
  local done, text = call(function()
    local values = table.pack(xpcall(compiled, function(raised)
      return type(raised) == "string" and raised or tostring(raised)
    end))
    if values[1] then return text_of(table.pack(table.unpack(values, 2, values.n))) end
    return "error: " .. tostring(values[2])
  end)
  if done then return text end
  return "error: " .. tostring(text)
end

function repl.run(call, args)
  local es = call:open { read_only = not args.write }
  local out, is_terminal = call.out, system.is_terminal(0) and system.is_terminal(1)
  if is_terminal then interrupt.watch() end
  local read, protected = new_reader(is_terminal), is_terminal and interrupt.call or pcall
  local environment = setmetatable({ es = es, esrun = esrun, null = core.null, inspect = inspect }, { __index = _G })
  local frame = require "esrun.cli.target".frame(args)
  frame.operator_scope = args.as == nil
  if system.is_terminal(0) then
    out:line("esrun %s, %s. es is the runtime; Ctrl-D ends.", esrun._VERSION,
      args.write and "open for writing" or "read-only (--write to change)")
  end
  local scope <close> = es.context.enter(frame)
  local depth = es.context.depth()
  repeat
    if args.watch then reload(es, out) end
    local compiled, why = chunk.read(read, environment)
    if compiled then
      local text = evaluate(protected, compiled)
      if text then out:line("%s", text) end
    elseif why == "interrupt" then
      out:line ""
    elseif why then
      out:line("error: %s", why)
    end
    out:flush()
  until (compiled == nil and why ~= "interrupt") or not es._handle:is_open() or es.context.depth() < depth
  return 0, scope
end

return repl
