-- esrun.cli.place: which store the options name, for commands that look at it without opening a runtime; and input files.

local errors = require "esrun.cli.errors"

local place = {}

--- { project, store } of the options, as Call:open would take them.
function place.of(args)
  local esrun = require "esrun"
  local project = args.project
  if not project then
    local found, message, code, details = esrun.find_project()
    if not found and not args.store then errors.check(found, message, code, details) end
    project = found
  end
  return { project = project, store = args.store }
end

--- An input: a file, or standard input for "-". Its size is nil when it cannot be told.
function place.input(path)
  if path == "-" then return io.stdin end
  local file, why = io.open(path, "rb")
  if not file then errors.fail(1, "cannot read " .. why) end
  place.read(file, path, 0)
  local size = file:seek "end"
  file:seek "set"
  return file, size
end

--- file:read(format), whose failure ends the command: nil is the end of the input and nothing else.
function place.read(file, path, format)
  local text, why = file:read(format)
  if text == nil and why then errors.fail(1, ("cannot read %s: %s"):format(path == "-" and "standard input" or path, why)) end
  return text
end

return place
