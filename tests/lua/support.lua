-- Loads the domain library's Lua modules in plain Lua: the part that C gives a domain state (es.support) is replaced by
-- the simplest thing that behaves alike.
assert(_VERSION == "Lua 5.4", "run the specs as: lua5.4 /usr/bin/busted")

local source = debug.getinfo(1, "S").source:match("^@(.*)tests/lua/support%.lua$")
package.path = source .. "lua/?.lua;" .. package.path

local array_metatable = { __name = "es.array", __metatable = "es.array" }
local behind = setmetatable({}, { __mode = "k" })

local support = {
  null = setmetatable({}, { __name = "es.null" }),
  array_metatable = array_metatable,
  new_array = function(items) return setmetatable(items or {}, array_metatable) end,
  utf8_valid = function(text) return utf8.len(text) ~= nil end,
  is_uuid = function(text)
    return text:find("^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$") ~= nil
      and not text:find("%u")
  end,
  is_time = function(text) return text:find("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.?%d*Z$") ~= nil end,
  unwrap = function(value) return behind[value] or value end,
}

package.preload["es.support"] = function() return support end

local helpers = { support = support, null = support.null, array = support.new_array }

function helpers.is_array(value) return getmetatable(value) == "es.array" end

-- A read-only view, as rules and decide get their state.
function helpers.view(target)
  local view = setmetatable({}, {
    __index = target,
    __newindex = function() error("state is read-only here") end,
  })
  behind[view] = target
  return view
end

return helpers
