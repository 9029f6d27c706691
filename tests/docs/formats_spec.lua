-- formats_spec: docs/reference/formats.md and events.md have the members that the code writes and takes.
local support = dofile "tests/cli/support.lua"
local esrun = require "esrun"

local function page(name) return support.read(("%s/docs/reference/%s.md"):format(support.root, name)) end

local function backticked(text)
  local names = {}
  for name in text:gmatch "`([%l_]+)`" do names[name] = true end
  return names
end

describe("the page of formats", function()
  lazy_teardown(support.clean)

  it("has every member of an entry of cortex, and no other", function()
    local folder, made, told = support.project(), {}, {}
    assert.equal(0, support.run(folder, { "exec", "Account/1", "open", "--as", "user:jane" }).status)
    local line = support.run(folder, { "export", "--format", "cortex" }).out:match "^[^\n]+"
    for name in pairs(esrun.json.decode(line)) do made[name] = true end
    made.hash, made.previous_hash = nil, nil -- told of above the table
    for cells in page "formats":match("\n| member | from the event |\n(.-)\n\n"):gmatch "\n|([^|]+)|" do
      for name in pairs(backticked(cells)) do told[name] = true end
    end
    assert.same(made, told)
  end)
end)

describe("the page of events", function()
  lazy_teardown(support.clean)

  it("has every field of the envelope, and no other", function()
    local folder, made, told = support.project(), {}, {}
    assert.equal(0, support.run(folder, { "exec", "Account/1", "open", "--as", "user:jane" }).status)
    for name in pairs(esrun.json.decode(support.run(folder, { "log", "--output", "json" }).out)[1]) do made[name] = true end
    for cells in page "events":match("\n| field | | who fills it |\n(.-)\n\n"):gmatch "\n|([^|]+)|" do
      for name in pairs(backticked(cells)) do told[name] = true end
    end
    assert.same(made, told)
  end)

  it("has every name of metadata that only the context may give, and no other", function()
    local made, told = { request_id = true }, {}
    local source = support.read(support.root .. "/lua/esrun/frame.lua")
    for name in source:match("\nlocal METADATA = (%b{})"):gmatch "([%l_]+) = true" do made[name] = true end
    for names in page "events":gmatch "\n| %l+ | ([^|]+) | refused |" do
      for name in pairs(backticked(names)) do told[name] = true end
    end
    assert.same(made, told)
  end)
end)
