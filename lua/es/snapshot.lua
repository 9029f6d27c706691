--- es.snapshot: what an aggregate may declare of snapshots, and whether a state can be one. Loaded when it is needed: most
--- programs never do. Trusted code inside a domain state.
local support = require "es.support"

local snapshot = {}

local keys = { every = "integer", bytes = "integer", daily = "boolean" }

local function sorted_names(from)
  local names = {}
  for name in pairs(from) do
    names[#names + 1] = tostring(name)
  end
  table.sort(names)
  return names
end

--- Checks when snapshots are to be taken by themselves, and adds to `where` what is wrong.
-- @param where the aggregate's place
-- @param known function(name, from): what to offer for an unknown name
function snapshot.check(where, policy, known)
  for _, key in ipairs(sorted_names(policy)) do
    local want, value = keys[key], policy[key]
    if not want then
      where:add({ "snapshot", key }, "snapshot: unknown field '%s' (%s)", key, known(key, keys))
    elseif want == "boolean" and value ~= true then
      where:add({ "snapshot", key }, "snapshot.%s must be true", key)
    elseif want == "integer" and (math.type(value) ~= "integer" or value < 1) then
      where:add({ "snapshot", key }, "snapshot.%s must be a whole number of at least 1", key)
    end
  end
  if next(policy) == nil then
    where:add({ "snapshot" }, "snapshot must say when: every, daily or bytes")
  end
  return policy
end

-- The path of the table that was met before, in the order in which it was met.
local function path_of(wanted, value, path)
  if value == wanted then
    return path
  end
  for key, inner in pairs(value) do
    local found = type(inner) == "table"
      and path_of(wanted, inner, type(key) == "number" and ("%s[%d]"):format(path, key) or path .. "." .. key)
    if found then
      return found
    end
  end
end

-- `seen` holds the tables met.
local function shared(value, seen)
  if seen[value] then
    return value
  end
  seen[value] = true
  for _, inner in next, value do
    local found = type(inner) == "table" and shared(inner, seen)
    if found then
      return found
    end
  end
end

--- Refuses a state in which one table stands twice: read back it would be two, and changing one would no longer change the
--- other. The state is one that JSON can hold.
function snapshot.check_unshared(state)
  local found = shared(state, {})
  if found then
    support.raise { status = "lua", code = "shared_table",
      message = path_of(found, state, "state") .. ": this table stands in the state a second time",
      hint = "copy it where it is stored the second time: then the state comes back from a snapshot as it was" }
  end
end

return snapshot
