-- bytecode: compiles one of the runtime's own Lua files ahead of time, line numbers and all, for cmake/embed_files.cmake.
-- Usage: lua5.4 bytecode.lua NAME FILE OUT. Knows nothing of who loads it (runtime/lua/embedded.c).
local name, path, out = ...

local from = assert(io.open(path, "rb"))
local code = string.dump(assert(load(from:read("a"), "=" .. name, "t")))
from:close()
local to = assert(io.open(out, "wb"))
assert(to:write(code))
assert(to:close())
