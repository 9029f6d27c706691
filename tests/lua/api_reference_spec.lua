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

  it("names every function that there is", function()
    local es <close> = assert(esrun.open { store = ":memory:" })
    for _, source in ipairs { "runtime.lua", "snapshots.lua" } do
      for name in support.read(support.root .. "/lua/esrun/" .. source):gmatch "\nfunction Runtime:([%w_]+)" do
        assert.is_truthy(text:find("es:" .. name .. "%f[^%w_]"), "es:" .. name)
      end
    end
    for part, module in pairs { context = es.context, audit = es.audit, archive = es.archive } do
      for name in pairs(module) do
        assert.is_truthy(text:find("es%." .. part .. "%." .. name .. "%f[^%w_]"), ("es.%s.%s"):format(part, name))
      end
    end
    for name, value in pairs(esrun) do
      -- run.lua sets esrun.defaults
      if not name:find "^_" and name ~= "defaults" then assert.is_truthy(text:find("esrun%." .. name .. "%f[^%w_]"), name) end
      local line = text:match("\n| (`esrun%." .. name .. "`[^\n]*)") or ""
      for member, what in pairs(type(value) == "table" and value or {}) do
        local told = line:find("%f[%w_]" .. member .. "%f[^%w_]") or text:find(("esrun.%s.%s"):format(name, member), 1, true)
        assert.is_truthy(told or type(what) ~= "function", ("esrun.%s.%s"):format(name, member))
      end
    end
  end)

  it("names every option of every function that refuses others", function()
    local count = 0
    for _, source in ipairs { "init.lua", "runtime.lua", "snapshots.lua", "ledger.lua", "archive.lua" } do
      for list, names in support.read(support.root .. "/lua/esrun/" .. source):gmatch "\nlocal ([%u_]+) = (%b{})" do
        for name in names:gmatch "([%a_]+) = true" do
          count = count + 1
          assert.is_truthy(text:find("%f[%w_]" .. name .. "%f[^%w_]"), ("%s: %s of %s"):format(source, name, list))
        end
      end
    end
    assert.is_true(count > 40)
  end)
end)
