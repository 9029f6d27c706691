-- c_api_spec: docs/reference/c-api.md agrees with the header, and the embedding example does what it says.
local root = os.getenv("ESRUN_ROOT") or "."
local build = os.getenv("ESRUN_BUILD")

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local out = pipe:read("a")
  local _, _, status = pipe:close()
  return out, status
end

local header = read(root .. "/runtime/include/esrun.h")
local page = read(root .. "/docs/reference/c-api.md")

describe("the page of the C API", function()
  it("has the header's statuses", function()
    local count = 0
    for number, name, meaning in header:gmatch('X%(ES_[%u_]+, (%d), "([%l_]+)", "([^"]+)"%)') do
      count = count + 1
      assert.truthy(page:find(("| %s | %s | %s |"):format(number, name, meaning), 1, true), name)
    end
    assert.equal(10, count)
  end)

  it("names the functions that the header declares, and no others", function()
    local declared, named = {}, { es_status = true }
    for name in header:gmatch("\nES_API [^;]-(es_[%l%d_]+)%(") do declared[name] = true end
    for name in page:gmatch("`(es_[%l%d_]+)`") do named[name] = true end
    declared.es_status = true -- a type
    assert.same(declared, named)
  end)
end)

describe("examples/embed-c", function()
  local folder

  before_each(function() folder = run("mktemp -d"):gsub("\n", "") end)
  after_each(function() run("rm -rf '" .. folder .. "'") end)

  it("is a program of under 100 lines", function()
    local _, lines = read(root .. "/examples/embed-c/main.c"):gsub("\n", "")
    assert.is_true(lines < 100)
  end)

  it("executes, is refused twice and reads the audit log", function()
    local out, status = run(("'%s/examples/embed-c/embed_c' '%s/examples/document' '%s/store.db'"):format(build, root, folder))
    assert.equal(0, status, out)
    local lines = {}
    for line in out:gmatch("[^\n]+") do lines[#lines + 1] = line end
    local said = { "create: version 1, 1 event", "edit: version 2, 1 event", "create: rejected: Document already exists",
      "edit: denied: Access denied" }
    assert.same(said, table.move(lines, 1, 4, 1, {}))
    for number, row in ipairs({ { "carol", "$CommandDenied" }, { "alice", "$CommandRejected" }, { "bob", "DocumentEdited" },
      { "alice", "DocumentCreated" } }) do
      local description = ('"user:%s triggered %s on Document"'):format(row[1], row[2])
      assert.truthy(lines[4 + number]:find(description, 1, true), lines[4 + number])
    end
    assert.equal(8, #lines)
  end)

  it("says what is wrong with a project that does not exist", function()
    local out, status = run(("'%s/examples/embed-c/embed_c' '%s/nowhere' '%s/store.db'"):format(build, folder, folder))
    assert.not_equal(0, status)
    assert.truthy(out:find("^embed_c: "), out)
  end)
end)
