-- docs/reference/lua-api.md names only what there is.
local support = dofile "tests/cli/support.lua"
local esrun = require "esrun"

describe("the Lua API's reference", function()
  local text = support.read(support.root .. "/docs/reference/lua-api.md")

  it("names no function that does not exist", function()
    local es <close> = assert(esrun.open { store = ":memory:" })
    local count = 0
    for name in text:gmatch "esrun%.([%a_]+)%(" do
      count = count + 1
      assert.is_function(esrun[name] or getmetatable(esrun[name]).__call, name)
    end
    for name in text:gmatch "es:([%a_]+)[%( ]" do
      count = count + 1
      assert.is_function(es[name], name)
    end
    for part, name in text:gmatch "es%.(%a+)%.([%a_]+)%(" do
      count = count + 1
      assert.is_function(es[part][name], name)
    end
    assert.is_true(count > 25)
  end)

  it("names every option of esrun.open", function()
    for name in support.read(support.root .. "/lua/esrun/init.lua"):match("local OPTIONS = (%b{})"):gmatch "([%a_]+) = true" do
      assert.is_truthy(text:find("`" .. name .. "`", 1, true), name)
    end
  end)
end)
