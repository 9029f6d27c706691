-- limits_spec: docs/reference/limits.md says the numbers that the C core has.
local root = os.getenv("ESRUN_ROOT") or "."

local function read(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  pipe:close()
  return text
end

-- The value of `NAME = 4 * 1024` in an enum of the core.
local function constant(sources, name)
  local expression = sources:match("%f[%w_]" .. name .. " = ([%d%s%*]+)")
  return expression and load("return " .. expression)()
end

describe("the page of limits", function()
  local sources = read("cat '" .. root .. "'/runtime/*/*.[ch]")
  local page = read("cat '" .. root .. "'/docs/reference/limits.md")

  for limit, name in page:gmatch("\n| [^|]+ | ([^|]+) | `([%u_]+)` |") do
    it("has the number of " .. name, function()
      assert.equal(constant(sources, name), tonumber(limit:match("%d+")))
    end)
  end

  it("names no constant whose number is not compared", function()
    local _, compared = page:gsub("\n| [^|]+ | [^|]+ | `[%u_]+` |", "")
    local _, named = page:gsub("`%u[%u_]+`", "")
    assert.equal(named, compared)
    assert.is_true(named > 30)
  end)
end)
