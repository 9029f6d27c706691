-- docs/reference/cli.md and the command say the same: every command, every option, every exit status.
local support = dofile "tests/cli/support.lua"
local cjson = require "cjson"

local GLOBAL = { ["--project"] = true, ["--store"] = true, ["--output"] = true, ["--help"] = true, ["-h"] = true }

describe("the command line's reference", function()
  local text = support.read(support.root .. "/docs/reference/cli.md")
  local sections = {}
  for name in text:gmatch "\n## esrun ([%w-]+)\n" do
    local start = text:find("\n## esrun " .. name .. "\n", 1, true)
    sections[name] = text:sub(start, (text:find("\n## ", start + 4, true) or #text + 1) - 1)
  end
  local commands = cjson.decode(support.run("/", { "help", "--output", "json" }).out)

  lazy_teardown(support.clean)

  it("has a section for every command, and for no other", function()
    local known = {}
    for _, row in ipairs(commands) do
      known[row.command] = true
      assert.is_truthy(sections[row.command], "docs/reference/cli.md has no section ## esrun " .. row.command)
    end
    for name in pairs(sections) do assert.is_true(known[name], name) end
  end)

  it("names every option of every command, and no other", function()
    for _, row in ipairs(commands) do
      local help, known = support.run("/", { "help", row.command }).out, {}
      local section = sections[row.command] or "" -- a missing one is told above
      for option in help:gmatch "[%s%[](%-%-?%a[%a-]*)" do
        known[option] = true
        if not GLOBAL[option] and section ~= "" then
          assert.is_truthy(section:find(option, 1, true),
            ("docs/reference/cli.md, esrun %s: says nothing of %s"):format(row.command, option))
        end
      end
      for option in section:gmatch "`(%-%-?%a[%a-]*)" do
        assert.is_true(known[option], ("docs/reference/cli.md, esrun %s: there is no %s"):format(row.command, option))
      end
    end
    for option in pairs(GLOBAL) do assert.is_truthy(text:find("`" .. option, 1, true), option) end
  end)

  it("gives every exit status", function()
    local esrun = require "esrun"
    for name, number in pairs(esrun.statuses) do
      assert.is_truthy(text:find(("\n| %d | %s | "):format(number, name), 1, true), name)
    end
  end)
end)
