-- links_spec: what the documents link to inside the project exists.
local root = os.getenv("ESRUN_ROOT") or "."

local function lines_of(command)
  local pipe, lines = assert(io.popen(command)), {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

local function read(name)
  local file = assert(io.open(root .. "/" .. name))
  local text = file:read("a")
  file:close()
  return text
end

-- "docs/guide/../reference/x.md" is "docs/reference/x.md".
local function plain(path)
  local parts = {}
  for part in path:gmatch("[^/]+") do
    if part == ".." then parts[#parts] = nil elseif part ~= "." then parts[#parts + 1] = part end
  end
  return table.concat(parts, "/")
end

-- The pages that a reader gets to from this one by links, as a set.
local function reachable(from, seen)
  seen[from] = true
  for link in read(from):gmatch("%]%(([^)#%s]+%.md)[^)%s]*%)") do
    local target = plain((from:match("^(.*/)") or "") .. link)
    if not link:find("^https?://") and not seen[target] then reachable(target, seen) end
  end
  return seen
end

describe("the documents", function()
  it("are all reached by links from README.md", function()
    local seen = reachable("README.md", {})
    for _, name in ipairs(lines_of(("cd '%s' && find docs -name '*.md'"):format(root))) do
      assert.truthy(seen[name], name)
    end
  end)

  it("have a page on events, one on tenants, one on projections and one on errors", function() -- covers E66
    local seen = reachable("README.md", {})
    for name, heading in pairs {
      ["docs/reference/events.md"] = "# Events", ["docs/guide/tenants.md"] = "# Tenants",
      ["docs/guide/projections.md"] = "# Projections", ["docs/guide/error-handling.md"] = "# Errors",
    } do
      assert.truthy(seen[name], name)
      assert.equal(heading, read(name):match("^[^\n]*"))
    end
  end)

  for _, name in ipairs(lines_of(("cd '%s' && find *.md docs examples -name '*.md'"):format(root))) do
    it("link to files that exist: " .. name, function()
      for link in read(name):gmatch("%]%(([^)#%s]+)[^)%s]*%)") do
        if link:find("^https?://") then goto continue end
        local target = io.open(root .. "/" .. (name:match("^(.*/)") or "") .. link)
        assert.is_truthy(target, "a link to " .. link)
        target:close()
        ::continue::
      end
    end)
  end
end)

it("every decision is in the index of decisions", function()
  local index = read("docs/adr/README.md")
  for _, name in ipairs(lines_of(("cd '%s/docs/adr' && ls [0-9]*.md"):format(root))) do
    assert.truthy(index:find("](" .. name .. ")", 1, true), name)
  end
end)
