-- What `esrun run` says of a script that fails: what was raised, whatever it is, and where.
local assert = require "luassert"
local support = require "tests.cli.support"

describe("esrun run says of", function()
  teardown(support.clean)

  -- What is said of a script, without the beginning.
  local function said(script)
    local result = support.run(support.project { ["s.lua"] = script }, { "run", "s.lua" })
    assert.equal("", result.out)
    return (result.err:gsub("^esrun: run: ", "")), result.status
  end

  it("a table what is in it, and where it was raised", function()
    local text, status = said "local function deep() error { why = 'so' } end\ndeep()"
    assert.equal("an error raised { why = \"so\" }\n"
      .. "hint: it came from s.lua:1: in local 'deep', called from s.lua:2: in main chunk\n", text)
    assert.equal(8, status)
  end)

  it("a failure of esrun's its message, status and hint, if they are such", function()
    assert.same({ "no room\nhint: make some\n", 7 },
      { said "error { message = 'no room', hint = 'make some', exit_status = 7 }" })
    for _, wrong in ipairs { "exit_status = 0", "exit_status = 256", "exit_status = 'x'", "hint = {}", "exit_status = 2.5" } do
      assert.same({ "m\nhint: it came from s.lua:1: in main chunk\n", 8 },
        { said(("error { message = 'm', %s }"):format(wrong)) })
    end
  end)

  it("an object the text that it gives of itself, also behind a closed metatable", function()
    assert.same({ "out of luck\nhint: it came from s.lua:1: in main chunk\n", 8 },
      { said "error(setmetatable({}, { __metatable = 'closed', __tostring = function() return 'out of luck' end }))" })
  end)

  it("an object that fails to give one just that", function()
    for raised, why in pairs {
      ["{ __tostring = function() error('no words', 0) end }"] = ": no words",
      ["{ __tostring = function() error({}) end }"] = "",
      ["{ __tostring = function() return {} end }"] = ": '__tostring' must return a string",
    } do
      assert.same({ ("an error whose __tostring failed%s\nhint: it came from s.lua:1: in main chunk\n"):format(why), 8 },
        { said(("error(setmetatable({}, %s))"):format(raised)) })
    end
  end)

  it("an error in a coroutine where it was, and of the frames around it those of the script alone", function()
    local text = said [[
local function inner() local x; return x.y end
local function outer() coroutine.wrap(inner)() end
outer()]]
    assert.matches("^s.lua:1: attempt to index a nil value %(local 'x'%)\n"
      .. "hint: it came from s.lua:2: in %l+ 'outer', called from s.lua:3: in main chunk\n$", text)
  end)

  it("a recursion without end the nearest frames", function()
    local text, status = said "local function f() return 1 + f() end\nf()"
    assert.equal(8, status)
    assert.matches("^s.lua:1: stack overflow\nhint: it came from s.lua:1: in .-, called from …\n$", text)
    assert.is_true(#text < 1500)
  end)
end)
