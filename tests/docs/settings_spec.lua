-- settings_spec: docs/reference/settings.md has the settings that the code takes, with their defaults.
local support = dofile "tests/cli/support.lua"
local esrun = require "esrun"

local page = support.read(support.root .. "/docs/reference/settings.md")
local of_project = assert(page:match "\n## esrun.lua\n(.-)\n## ")
local of_user = assert(page:match "\n## The user's configuration\n(.*)$")

local function named(section)
  local names = {}
  for name in section:gmatch "\n| `([^`]+)` |" do names[name] = true end
  return names
end

local function member_names(source, pattern)
  local names = {}
  for name in assert(source:match(pattern), pattern):gmatch "([%l_]+)" do names[#names + 1] = name end
  return names
end

describe("the page of settings", function()
  lazy_teardown(support.clean)

  it("has every setting of esrun.lua, and no other", function()
    local source, known = support.read(support.root .. "/runtime/engine/settings.c"), {}
    for where, list in source:gmatch 'unknown%("([%l.]*)", key, "([^"]+)"' do
      for name in list:gmatch "[%l_]+" do known[where .. name] = true end
    end
    known.limits, known.actors = nil, nil -- tables of those with a dot
    assert.same(known, named(of_project))
    assert.is_true(known["actors.required"])
  end)

  it("has the defaults that esrun config shows", function()
    local folder = support.new_folder()
    support.write(folder .. "/esrun.lua", "return {}\n")
    local settings = esrun.json.decode(support.run(folder, { "config", "--output", "json" }).out)
    for _, setting in ipairs(settings) do
      local value = setting.value
      if type(value) == "table" then
        value = #value > 0 and '{ "' .. table.concat(value, '", "') .. '" }' or "none"
      elseif type(value) == "string" then
        value = '"' .. value .. '"'
      end
      value = tostring(value):gsub(folder:gsub("%p", "%%%0") .. "/", "")
      if setting.setting ~= "project" then
        local told = of_project:match("\n| `" .. setting.setting:gsub("%p", "%%%0") .. "` | ([^|]+) |")
        assert.equal(value, told and told:gsub("`", "") .. "", setting.setting)
      end
    end
    assert.is_true(#settings > 8)
  end)

  it("has every setting of the user's configuration, and no other", function()
    local source, known = support.read(support.root .. "/lua/esrun/cli/user.lua"), {}
    for _, name in ipairs(member_names(source, "local MEMBERS = {(.-)}")) do known[name] = true end
    for _, name in ipairs(member_names(source, "local KINDS = {(.-)}")) do known["anchors[]." .. name] = true end
    for name in source:gmatch 'name ~= "(%l+)"' do known["checkpoint." .. name] = true end
    known["true"], known["anchors[].true"], known.checkpoint = nil, nil, nil
    assert.same(known, named(of_user))
    assert.is_true(known["checkpoint.seconds"] and known["anchors[].read"])
  end)

  it("shows an esrun.lua that is taken", function()
    local folder = support.new_folder()
    for _, name in ipairs { "ledger", "lib", "vendor" } do os.execute(("mkdir '%s/%s'"):format(folder, name)) end
    support.write(folder .. "/esrun.lua", of_project:match "```lua\n(.-)```")
    local result = support.run(folder, { "config", "--output", "json" })
    assert.equal(0, result.status, result.err)
    local from_file = 0
    for _, setting in ipairs(esrun.json.decode(result.out)) do
      if setting.origin == "esrun.lua" then from_file = from_file + 1 end
    end
    assert.equal(5, from_file)
  end)
end)
