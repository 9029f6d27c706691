-- domain_spec: the pages on domain modules have every name that domain code meets, and no other.
local support = dofile "tests/cli/support.lua"
require "esrun" -- makes es requirable

local page = support.read(support.root .. "/docs/reference/lua-api-domain.md")

local function section(heading) return assert(page:match("\n" .. heading .. "\n(.-)\n## "), heading) end

-- Every name in a list of words, as a set.
local function set_of(words)
  local set = {}
  for name in words:gmatch "[%w_]+" do set[name] = true end
  return set
end

-- The names that the first cells of a section's tables begin with.
local function first_cells(text)
  local names = {}
  for cells in text:gmatch "\n| (`[^|]*) |" do
    for name in cells:gmatch "`([%w_]+)" do names[name] = true end
  end
  return names
end

-- What a table in a module of lua/es allows.
local function keys_of(module, name)
  local keys = {}
  local source = support.read(("%s/lua/es/%s.lua"):format(support.root, module))
  for key in source:match("local " .. name .. " = {(.-)}"):gmatch "([%w_]+) = " do keys[key] = true end
  return keys
end

-- What the annotations have, which tests/lua/annotations_spec.lua compares with the code.
local function fields_of(class)
  local names = {}
  local text = support.read(support.root .. "/lua/annotations/es.lua"):match("%-%-%-@class " .. class .. "[^\n]*\n(.-)\n[^-]")
  for name in text:gmatch "@field ([%w_]+)" do names[name] = true end
  return names
end

describe("the page of domain modules", function()
  it("has every function of es, es.rule and es.schema, and no other", function()
    for _, module in ipairs { "es", "es.rule", "es.schema" } do
      local short, made, told = module:match "%w+$", {}, {}
      for name in pairs(require(module)) do made[name] = true end
      for name in page:gmatch("%f[%w_]" .. short .. "%.([%w_]+)") do told[name] = true end
      if module == "es" then told.rule, told.schema = nil, nil end
      assert.same(made, told, module)
    end
  end)

  it("has every field of an aggregate, a command, a projection and ctx, and no other", function()
    local aggregate, projection = keys_of("kernel", "aggregate_keys"), keys_of("projection", "FIELDS")
    aggregate.name, projection.name = nil, nil -- es.aggregate and es.projection fill it in
    for name in pairs(keys_of("kernel", "command_keys")) do aggregate[name] = true end
    assert.same(aggregate, first_cells(section "## An aggregate"))
    assert.same(projection, first_cells(section "## A projection"))
    assert.same(fields_of "es.Context", first_cells(section "## ctx"))
  end)

  it("has every field of an event, and no other", function()
    local event = fields_of "es.Event"
    event.copy = nil
    assert.same(event, set_of(section("## An event in `apply` and in projections"):match "\n`([%w_%s]+)`;"))
  end)
end)

describe("the page of what domain code can use", function()
  it("has every name of its environment, and no other", function()
    local told, made = {}, {}
    local text = support.read(support.root .. "/docs/reference/domain-environment.md"):match "## What exists\n(.-)\n## "
    for library, names in text:gmatch "\n| `?(%l[%w]*)`? | `([%w_%s]+)` |" do
      for name in pairs(set_of(names)) do told[library == "basic" and name or library .. "." .. name] = true end
    end
    local rules = setmetatable({ stds = {}, files = {} }, { __index = _G }) -- compared with the code as well
    assert(loadfile(support.root .. "/.luacheckrc", "t", rules))()
    for key, value in pairs(rules.stds.domain.read_globals) do
      if type(key) == "number" then
        made[value] = true
      else
        for name in pairs(value.fields) do made[key .. "." .. name] = true end
      end
    end
    assert.same(made, told)
  end)
end)
