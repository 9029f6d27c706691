-- links_spec: what the documents link to inside the project exists.
local root = os.getenv("ESRUN_ROOT") or "."

local function lines_of(command)
  local pipe, lines = assert(io.popen(command)), {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

describe("the documents", function()
  for _, name in ipairs(lines_of(("cd '%s' && find *.md docs examples -name '*.md'"):format(root))) do
    it("link to files that exist: " .. name, function()
      local file = assert(io.open(root .. "/" .. name))
      local page = file:read("a")
      file:close()
      for link in page:gmatch("%]%(([^)#%s]+)[^)%s]*%)") do
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
  local file = assert(io.open(root .. "/docs/adr/README.md"))
  local index = file:read("a")
  file:close()
  for _, name in ipairs(lines_of(("cd '%s/docs/adr' && ls [0-9]*.md"):format(root))) do
    assert.truthy(index:find("](" .. name .. ")", 1, true), name)
  end
end)
