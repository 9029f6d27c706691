-- esrun.domain_support: what `es`, `es.rule` and `es.schema` stand on in plain Lua, so that a specification can require a
-- domain module and call its functions. Inside a domain state the same names are C functions with limits around them;
-- here there are none.

local core = require "esrun.core"

local support = { null = core.null, new_array = core.array }

--- True for the lower-case text of a UUID.
function support.is_uuid(text)
  return type(text) == "string" and not text:find("\0", 1, true) and core.parse_id(text) == text
end

--- True for an RFC 3339 text.
function support.is_time(text)
  return type(text) == "string" and not text:find("\0", 1, true) and core.parse_time(text) ~= nil
end

function support.utf8_valid(text) return utf8.len(text) ~= nil end

--- There are no read-only views here: tables are what they are.
function support.unwrap(value) return value end

--- There are no event objects here either: specifications pass plain tables.
function support.is_event() return false end

--- "file.lua:LINE" of the code that called the function that calls this one `level` levels up.
function support.caller(level)
  local info = debug.getinfo(level + 1, "Sl")
  return info and info.currentline > 0 and ("%s:%d"):format(info.short_src, info.currentline) or nil
end

--- Raises a declaration's mistake as an error message.
function support.raise(problem) error(problem.message, 0) end

return support
