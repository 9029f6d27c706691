-- What editors and luacheck are told agrees with the code, in both directions.
local support = dofile "tests/cli/support.lua"
local esrun = require "esrun"
local annotate = dofile(support.root .. "/cmake/annotate.lua")

local ANNOTATIONS = support.new_folder() .. "/" -- where they are made
annotate.write(support.root, ANNOTATIONS)

local function sorted_keys(from)
  local keys = {}
  for key in pairs(from) do keys[#keys + 1] = tostring(key) end
  table.sort(keys)
  return keys
end

-- The functions of a module by name, with how many parameters they have.
local function signatures(module)
  local out = {}
  for name, value in pairs(module) do
    if type(value) == "function" then
      local info = debug.getinfo(value, "uS")
      out[name] = info.what == "C" and "C" or ("%d%s"):format(info.nparams, info.isvararg and "+" or "")
    end
  end
  return out
end

-- The names of a class's fields in an annotation file.
local function fields_of(path, class)
  local out, inside = {}, nil
  for line in support.read(path):gmatch "[^\n]*" do
    local named = line:match "^%-%-%-@class ([%w_.]+)"
    if named then inside = named == class end
    local field = line:match "^%-%-%-@field ([%w_]+)"
    if field and inside then out[field] = true end
  end
  return sorted_keys(out)
end

describe("the annotations", function()
  teardown(function() support.clean() end)

  it("are Lua, and say what they are made of", function()
    for _, file in ipairs(annotate.FILES) do
      local text = support.read(ANNOTATIONS .. file.target)
      assert.is_function(assert(load(text)))
      assert.matches("made from the comments of " .. file.source, text, 1, true)
      assert.matches("\n---@meta ", text, 1, true)
    end
  end)

  it("of es, es.rule and es.schema have every function of the code and no other, with its parameters", function()
    for file, name in pairs { ["es.lua"] = "es", ["es/rule.lua"] = "es.rule", ["es/schema.lua"] = "es.schema" } do
      assert.same(signatures(require(name)), signatures(dofile(ANNOTATIONS .. file)))
    end
  end)

  it("of es.testing and of the host modules have every function of the code and no other, with its parameters", function()
    local es <close> = assert(esrun.open { store = ":memory:" })
    local modules = { ["esrun.lua"] = esrun, ["es/testing.lua"] = require "es.testing", ["esrun/context.lua"] = es.context }
    for name, value in pairs(esrun) do
      -- json and time say all they have in their type
      if type(value) == "table" and next(signatures(value)) and name ~= "json" and name ~= "time" then
        modules[("esrun/%s.lua"):format(name)] = value
      end
    end
    for file, module in pairs(modules) do
      local annotated, code = signatures(dofile(ANNOTATIONS .. file)), signatures(module)
      for name, value in pairs(code) do
        -- what is given as a type, and not as a function, has no parameters to compare
        local as_type = "%-%-%-@type fun%(.-\n[%w]+%." .. name .. " = nil"
        if annotated[name] == nil and support.read(ANNOTATIONS .. file):find(as_type) then annotated[name] = value end
      end
      assert.same(code, annotated, file)
    end
  end)

  it("of a runtime have every method, and of es.audit every question", function()
    local es <close> = assert(esrun.open { store = ":memory:" })
    for _, source in ipairs { "esrun/runtime.lua", "esrun/snapshots.lua" } do
      local methods = signatures(dofile(ANNOTATIONS .. source))
      for name in support.read(support.root .. "/lua/" .. source):gmatch "\nfunction Runtime:([%w_]+)" do
        assert.is_function(es[name])
        assert.is_not_nil(methods[name], name)
        methods[name] = nil
      end
      assert.same({}, methods)
    end
    assert.same(sorted_keys(es.audit), fields_of(ANNOTATIONS .. "esrun/audit.lua", "esrun.Audit"))
  end)

  it("of ctx and of events have every field that domain code gets", function()
    local folder = support.project {
      ["aggregates/account.lua"] = [[
        local es = require "es"
        local A = es.aggregate "A"
        A.events = { Seen = { ctx = "list", event = "list" }, Begun = {} }
        local function keys(from)
          local out = {}
          for key in pairs(from) do out[#out + 1] = key end
          return es.array(out)
        end
        A.apply = { Begun = function(s, e) s.event = keys(e:copy()) end }
        A.commands = {
          begin = { allow = require "es.rule".anyone, decide = function() return es.event "Begun" end },
          look = { allow = require "es.rule".anyone, decide = function(s, _, ctx)
            return es.event("Seen", { ctx = keys(ctx), event = s.event })
          end },
        }
        return A]],
      ["projections/balances.lua"] = false,
    }
    local es <close> = assert(esrun.open { project = folder, store = ":memory:" })
    local id = esrun.new_id()
    local reply = es.context.run({ actor_id = "user:a", tenant_id = "t", causation_id = id, correlation_id = id }, function()
      assert(es:execute("A/1", "begin"))
      return assert(es:execute("A/1", "look"))
    end)
    local seen = reply.events[1].data
    local function sorted(list)
      local out = table.move(list, 1, #list, 1, {})
      table.sort(out)
      return out
    end
    assert.same(sorted(seen.ctx), fields_of(ANNOTATIONS .. "es.lua", "es.Context"))
    local event = fields_of(ANNOTATIONS .. "es.lua", "es.Event")
    for index, name in ipairs(event) do
      if name == "copy" then table.remove(event, index) end
    end
    assert.same(sorted(seen.event), event)
  end)
end)

describe("luacheck's standard for domain code", function()
  local CHECKED = { "", "examples/blank/", "examples/document/", "examples/orders/" }

  -- The standard in a .luacheckrc, as { ["os"] = true, ["math.floor"] = true }.
  local function standard(path)
    local environment = setmetatable({ stds = {}, files = {} }, { __index = _G })
    assert(loadfile(path, "t", environment))()
    local out = {}
    for key, value in pairs(environment.stds.domain.read_globals) do
      if type(key) == "number" then
        out[value] = true
      else
        for name in pairs(value.fields) do out[key .. "." .. name] = true end
      end
    end
    return sorted_keys(out)
  end

  -- Which of Lua's names exist in a domain state.
  local function real()
    local names = {}
    for name, value in pairs(_G) do
      if type(value) == "table" and package.loaded[name] == value and name ~= "_G" then
        for member in pairs(value) do names[#names + 1] = ("%s.%s"):format(name, member) end
      else
        names[#names + 1] = name
      end
    end
    local folder = support.project {
      ["aggregates/account.lua"] = ([[
        local es = require "es"
        local A = es.aggregate "A"
        local found = {}
        for name in ([=[%s]=]):gmatch "%%S+" do
          local library, member = name:match "^(.-)%%.(.+)$"
          local there = pcall(function() assert((library and _ENV[library][member] or not library and _ENV[name]) ~= nil) end)
          local value = there and (library and _ENV[library][member] or not library and _ENV[name])
          if there and value then found[#found + 1] = name end
        end
        A.events = {}
        A.commands = { probe = { description = table.concat(found, " "), decide = function() end } }
        return A]]):format(table.concat(names, " ")),
      ["projections/balances.lua"] = false,
    }
    local es <close> = assert(esrun.open { project = folder, store = ":memory:" })
    local out = {}
    for name in es:describe().aggregates.A.commands.probe.description:gmatch "%S+" do out[name] = true end
    support.clean()
    return sorted_keys(out)
  end

  it("is what a domain state has, in every project", function()
    local expected = real()
    assert.is_true(#expected > 50)
    for _, folder in ipairs(CHECKED) do
      assert.same(expected, standard(support.root .. "/" .. folder .. ".luacheckrc"), folder)
    end
  end)

  it("flags what is not there, and nothing in the examples", function()
    local folder = support.project {
      ["aggregates/account.lua"] = "local x = os.time()\nreturn { x, string.pack, ('a'):rep(2) }\n",
    }
    support.write(folder .. "/.luacheckrc", support.read(support.root .. "/examples/blank/.luacheckrc"))
    local result = support.shell(folder, "luacheck --no-color --codes aggregates")
    assert.matches("aggregates/account.lua:1:11: %(W113%) accessing undefined variable 'os'", result.out)
    assert.matches("accessing undefined field 'pack' of global 'string'", result.out)
    for _, name in ipairs { "document", "orders", "blank" } do
      assert.equal(0, support.shell(support.root .. "/examples/" .. name, "luacheck --no-color -q .").status, name)
    end
    support.clean()
  end)

  it("is the same text in every template", function()
    for _, name in ipairs { ".luacheckrc", ".luarc.json", ".gitignore" } do
      for _, folder in ipairs { "document", "orders" } do
        assert.equal(support.read(support.root .. "/examples/blank/" .. name),
          support.read(("%s/examples/%s/%s"):format(support.root, folder, name)))
      end
    end
  end)
end)
