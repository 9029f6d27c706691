-- The code in README.md and the documents runs and prints what they say. How blocks are marked: markdown.lua.
local here = debug.getinfo(1, "S").source:match("^@(.*)docs_spec%.lua$")
local markdown = dofile(here .. "markdown.lua")

local root = assert(os.getenv("ESRUN_ROOT"), "ESRUN_ROOT is not set: run the specs with ./dev test")
local build = assert(os.getenv("ESRUN_BUILD"), "ESRUN_BUILD is not set: run the specs with ./dev test")

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function lines_of(command)
  local pipe, lines = assert(io.popen(command)), {}
  for line in pipe:lines() do
    lines[#lines + 1] = line
  end
  pipe:close()
  return lines
end

local function new_folder() return assert(lines_of("mktemp -d")[1]) end

-- Runs one block in a folder; returns what it printed and its exit status. The host module and the command are found as
-- after an installation. Its user's home is .home there, so that no block meets the tester's keys and configuration.
local function run(folder, step)
  local path = folder .. "/.block"
  write(path, step.text)
  local home = "unset XDG_STATE_HOME XDG_DATA_HOME XDG_CONFIG_HOME; HOME=$PWD/.home"
  local pipe = assert(io.popen(("cd %s && { %s PATH=%s:$PATH LUA_PATH=%s NO_COLOR=1 %s .block; } 2>&1 </dev/null"):format(
    quoted(folder), home, quoted(build), quoted(build .. "/lua/?.lua;;"), step.language == "lua" and "lua5.4" or "sh -e")))
  local printed = pipe:read("a")
  local _, _, status = pipe:close()
  os.remove(path)
  return printed, status
end

local function check(folder, step)
  local printed, status = run(folder, step)
  assert(status == step.status, ("line %d: exit status %d instead of %d, printed:\n%s"):format(
    step.line, status, step.status, printed))
  if step.output then
    assert.equal(markdown.normalise(step.output), markdown.normalise(printed))
  end
end

local prepare

local function start_project(folder, path)
  assert(os.execute(("find %s -mindepth 1 -delete"):format(quoted(folder))))
  if not path:find("%.md$") then
    assert(os.execute(("cp -R %s/. %s"):format(quoted(root .. "/" .. path), quoted(folder))))
    return
  end
  for _, step in ipairs(markdown.steps(read(root .. "/" .. path), path)) do
    if step.kind == "file" then prepare(folder, step) end
  end
end

function prepare(folder, step)
  if step.kind == "project" then
    start_project(folder, step.path)
  else
    assert(os.execute("mkdir -p " .. quoted(folder .. "/" .. (step.path:match("^(.*)/") or ""))))
    write(folder .. "/" .. step.path, step.text)
  end
end

local PAGES = "README.md docs/guide/*.md docs/reference/*.md examples/*/README.md"
local documents = lines_of(("cd %s && ls %s 2>/dev/null"):format(quoted(root), PAGES))

for _, document in ipairs(documents) do
  local steps = markdown.steps(read(root .. "/" .. document), document)
  if #steps > 0 then
    describe(document, function()
      local folder

      setup(function() folder = new_folder() end)
      teardown(function() os.execute("rm -rf " .. quoted(folder)) end)

      local waiting = {} -- steps that prepare the next test
      for _, step in ipairs(steps) do
        if step.kind == "test" then
          local before = waiting
          waiting = {}
          it(step.title, function()
            for _, one in ipairs(before) do
              prepare(folder, one)
            end
            check(folder, step)
          end)
        else
          waiting[#waiting + 1] = step
        end
      end
    end)
  end
end

describe("the guide", function()
  it("is run", function()
    local tested = {}
    for _, document in ipairs(documents) do
      for _, step in ipairs(markdown.steps(read(root .. "/" .. document), document)) do
        tested[document] = (tested[document] or 0) + (step.kind == "test" and 1 or 0)
      end
    end
    for _, name in ipairs {
      "first-project", "authorization", "testing", "projections", "tenants", "error-handling", "audit", "ledger", "archiving",
    } do
      assert.truthy((tested["docs/guide/" .. name .. ".md"] or 0) > 0, name)
    end
  end)
end)

describe("the guide to the trail", function()
  it("runs an example of each purpose that it promises", function() -- covers E63
    local text = read(root .. "/docs/guide/audit.md") .. "\n## "
    for _, purpose in ipairs { "Audit trails", "User activity", "Security forensics", "Compliance", "Debugging" } do
      local section = assert(text:match("\n## " .. purpose .. "\n(.-)\n## "), purpose)
      local compared = 0
      for _, step in ipairs(markdown.steps(section, purpose)) do
        if step.kind == "test" and step.output then compared = compared + 1 end
      end
      assert.truthy(compared > 0, purpose)
    end
  end)
end)

describe("a block that is wrong", function()
  local folder = new_folder()
  teardown(function() os.execute("rm -rf " .. quoted(folder)) end)

  it("is noticed by its output", function()
    local step = markdown.steps("<!-- test: x -->\n```sh\necho a\n```\n<!-- output -->\n```text\nb\n```", "x")[1]
    assert.has_error(function() check(folder, step) end)
  end)

  it("is noticed by its exit status", function()
    local wrong = markdown.steps("<!-- test: x -->\n```lua\nerror('no')\n```", "x")[1]
    assert.has_error(function() check(folder, wrong) end)
    check(folder, markdown.steps("<!-- test: x (exit 3) -->\n```sh\nexit 3\n```", "x")[1])
  end)
end)
