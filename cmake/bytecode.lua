-- bytecode: compiles one of the runtime's own Lua files ahead of time, for cmake/embed_files.cmake: with line numbers and
-- names, which errors tell, unless it is somebody else's.
-- Usage: lua5.4 bytecode.lua NAME FILE OUT [strip]. Knows nothing of who loads it (runtime/lua/embedded.c).
local name, path, out, strip = ...

local from = assert(io.open(path, "rb"))
local code = string.dump(assert(load(from:read("a"), "=" .. name, "t")), strip == "strip")
from:close()
local to = assert(io.open(out, "wb"))
assert(to:write(code))
assert(to:close())
