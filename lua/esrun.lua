-- esrun: finds the C module for `require "esrun"`. A project's settings are called esrun.lua too, and Lua looks for Lua
-- files, also in the current folder, before it looks for C modules; so this file must be found before that one. It lies
-- beside esrun.so where that was built, and in Lua's own folders where it was installed.
local name, here = ...

local path, tried = package.searchpath(name, here:gsub("%.lua$", ".so") .. ";" .. package.cpath)
if not path then
  error("the C module esrun.so is not there:" .. tried, 0)
end
return assert(package.loadlib(path, "luaopen_esrun"))(name, path)
