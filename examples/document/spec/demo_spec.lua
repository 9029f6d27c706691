-- The demo prints the documented text; a stopped clock makes it the same text every time.
local EXPECTED = [[
=== User 'alice' creates a document ===
=== User 'bob' edits the document ===

=== Audit Log ===
  2024-01-15T10:30:00.000000Z: user:alice -> DocumentCreated
  2024-01-15T10:31:00.000000Z: user:bob -> DocumentEdited

=== Document State ===
  Title: Meeting Notes
  Created by: user:alice
  Last edited by: user:bob
]]

-- Runs the demo with these arguments in a Lua of its own, as a user would.
local function run(arguments)
  local lua = ("LUA_PATH='%s' LUA_CPATH='%s' lua5.4"):format(package.path, package.cpath)
  local pipe = assert(io.popen(("%s ./demo.lua %s 2>&1"):format(lua, arguments)))
  local output = pipe:read("a")
  local fine = pipe:close()
  return output, fine
end

describe("the demo", function()
  -- covers E64, E65
  it("prints who did what", function()
    local output, fine = run(":memory: 1705314600")
    assert.equal(EXPECTED, output)
    assert.is_true(fine)
  end)

  -- covers E65
  it("shows one document's log when it runs again on the same file", function()
    local path = os.tmpname()
    os.remove(path)
    finally(function() os.execute(("rm -rf '%s'*"):format(path)) end)
    assert.equal(EXPECTED, (run(path .. " 1705314600")))
    assert.equal(EXPECTED, (run(path .. " 1705314600")))
  end)

  it("uses the system's clock unless told otherwise", function()
    local output = run(":memory:")
    assert.truthy(output:find(os.date("!  %Y") .. "%-%d%d%-%d%dT[%d:.]+Z: user:alice %-> DocumentCreated\n"), output)
  end)
end)
