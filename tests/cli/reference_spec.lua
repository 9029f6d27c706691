-- docs/reference/cli.md is what the commands say of themselves, and what is written there by hand names nothing else.
local support = dofile "tests/cli/support.lua"
local cjson = require "cjson"
local reference = dofile(support.root .. "/cmake/reference.lua")

local GLOBAL = { ["--project"] = true, ["--store"] = true, ["--output"] = true, ["--help"] = true, ["-h"] = true }

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  pipe:close()
  return text
end

-- Where two texts differ first, for people.
local function difference(page, code)
  local lines = code:gmatch "[^\n]*"
  local number = 0
  for line in page:gmatch "[^\n]*" do
    number = number + 1
    local other = lines()
    if line ~= other then return ("line %d is\n  %s\nand the code says\n  %s"):format(number, line, tostring(other)) end
  end
end

describe("the command line's reference", function()
  local text = support.read(support.root .. "/docs/reference/cli.md")
  local code = support.run("/", { "help", "--format", "markdown" }).out
  local sections = {}
  for name in text:gmatch "\n## esrun ([%w-]+)\n" do
    local start = text:find("\n## esrun " .. name .. "\n", 1, true)
    sections[name] = text:sub(start, (text:find("\n## ", start + 4, true) or #text + 1) - 1)
  end
  local commands = cjson.decode(support.run("/", { "help", "--output", "json" }).out)

  lazy_teardown(support.clean)

  it("is what the code says", function()
    local merged, why = reference.merge(code, text)
    assert.is_truthy(merged, "docs/reference/cli.md: " .. tostring(why))
    local where = difference(text, merged)
    assert.is_nil(where, "docs/reference/cli.md is not up to date: run ./dev docs\n" .. (where or ""))
  end)

  it("has every command, and every option in the forms that it is used in", function()
    for _, row in ipairs(commands) do
      local section = assert(sections[row.command], row.command)
      local forms = assert(section:match "```\n(.-)\n```", row.command)
      for option in section:gmatch "\n| `(%-%-?[%a-]+)" do
        assert.is_truthy((forms .. " "):find("[ %[]" .. option:gsub("%-", "%%-") .. "[ %]]"),
          ("esrun %s: the forms do not show %s"):format(row.command, option))
      end
      for option in forms:gmatch "[%s%[](%-%-?%a[%a-]*)" do
        assert.is_truthy(section:find("\n| `" .. option, 1, true), ("esrun %s: there is no %s"):format(row.command, option))
      end
    end
  end)

  it("names no option by hand that the command does not have", function()
    for _, row in ipairs(commands) do
      local help, known = support.run("/", { "help", row.command }).out, {}
      for option in help:gmatch "%f[-](%-%-?%a[%a-]*)" do known[option] = true end
      for option in sections[row.command]:gmatch "`(%-%-?%a[%a-]*)" do
        assert.is_true(known[option] or GLOBAL[option], ("esrun %s: there is no %s"):format(row.command, option))
      end
    end
  end)

  it("has every variable of the environment that is read, and no other", function()
    local read, told = { HOME = true, XDG_CONFIG_HOME = true, XDG_DATA_HOME = true }, {} -- those three by lua/esrun/cli/user.lua
    local sources = output_of(("cd '%s' && cat lua/esrun/*.lua lua/esrun/*/*.lua runtime/*/*.c"):format(support.root))
    for name in sources:gmatch "getenv[%s%(]*\"([%u_]+)\"" do read[name] = true end
    for name in text:match("\n## Environment\n(.-)\n## "):gmatch "\n| `([%u_]+)`" do told[name] = true end
    assert.same(read, told)
  end)

  it("has every rule of lint and every check of doctor, and no other", function()
    for command, files in pairs { lint = "lint/*.lua cli/lint.lua", doctor = "cli/doctor.lua" } do
      local made, told = {}, {}
      local source = output_of(("cd '%s'/lua/esrun && cat %s"):format(support.root, files))
      for name in source:gmatch "%f[%a]add%([^,\"]+, \"([%l-]+)\"" do made[name] = true end
      for row in sections[command]:match("<!%-%- end.*$"):gmatch "\n| (`[^|]+) |" do
        for name in row:gmatch "`([%l-]+)`" do told[name] = true end
      end
      if command == "lint" then made.load = true end -- see lint.lua: the rule is chosen by what fails
      assert.same(made, told)
    end
  end)
end)

describe("what the reference says of JSON", function()
  lazy_teardown(support.clean)

  it("names every member that a command answers", function()
    local folder, home = support.new_folder(), support.new_folder() -- the signer's key and memory are not the tester's
    local answered = 0
    local function run(...)
      local words = { ("unset XDG_STATE_HOME XDG_DATA_HOME XDG_CONFIG_HOME; HOME='%s'"):format(home), support.quote(support.bin) }
      for _, word in ipairs { ... } do words[#words + 1] = support.quote(word) end
      local result = support.shell(folder, table.concat(words, " "))
      assert.equal(0, result.status, result.err)
      return result
    end
    local function answers(command, ...)
      local result = run(command, "--output", "json", ...)
      local value = cjson.decode(result.out)
      local section = support.read(support.root .. "/docs/reference/cli.md"):match("\n## esrun " .. command:gsub("%-", "%%-")
        .. "\n(.-)\n## ")
      for name in pairs(value[1] or value) do
        assert.is_truthy(section:find("`" .. name .. "`", 1, true), ("esrun %s: says nothing of %s"):format(command, name))
        answered = answered + 1
      end
      return value
    end
    answers("init", "--template", "document")
    local reply = answers("exec", "Document/1", "create", "title=a", "content=b", "--as", "user:jane")
    support.write(folder .. "/commands.jsonl",
      '{"target":"Document/2","command":"create","params":{"title":"a","content":"b"},"actor_id":"user:x"}\n')
    answers("batch", "commands.jsonl")
    answers("show", "Document/1")
    answers "replay"
    for _, action in ipairs { "list", "run", "status" } do answers("project", action) end
    answers "verify"
    answers "doctor"
    answers "lint"
    answers "config"
    answers "migrate"
    answers "help"
    local vkey = answers("keygen").vkey
    answers "checkpoint"
    local id = reply.events[1].event_id
    support.write(folder .. "/one.proof", answers("prove", id).proof)
    answers("verify-proof", "one.proof", "--key", vkey)
    answers("export", "--bundle", "bundle")
    answers("export", "-o", "list.json")
    run("export", "-o", "all.jsonl")
    answers("import", "all.jsonl")
    answers("backup", "backup.db")
    answers("restore", "backup.db", "--store", "restored.db")
    assert.is_true(answered > 80)
  end)

  it("names every member of a line of batch, with its kind", function()
    local made, told = {}, {}
    local source = support.read(support.root .. "/lua/esrun/cli/batch.lua"):match "local MEMBERS = (%b{})"
    for name, kind in source:gmatch '([%l_]+) = "(%l+)"' do made[name] = kind end
    local section = support.read(support.root .. "/docs/reference/cli.md"):match "| member of a line |(.-)\n\n"
    for name, kind in section:gmatch "\n| `([%l_]+)` | (%l+):" do told[name] = kind end
    assert.same(made, told)
    assert.equal("integer", made.expect)
  end)
end)

describe("bringing the reference up to date", function()
  local CODE = "# C\n\n<!-- begin c -->\nnew\n<!-- end c -->\n\n## a\n\n<!-- begin a -->\nA\n<!-- end a -->\n\n"
    .. "## b\n\n<!-- begin b -->\nB\n<!-- end b -->\n"

  it("exchanges what is marked and keeps the rest", function()
    local page = "# C\n\n<!-- begin c -->\nold\n```\n## no heading\n```\n<!-- end c -->\n\nby hand\n\n## b\n\nbefore\n\n"
      .. "<!-- begin b -->\n<!-- end b -->\nbehind\n\n### below\n\n## a\n\nnothing marked\n"
    local merged = assert(reference.merge(CODE, page))
    assert.equal("# C\n\n<!-- begin c -->\nnew\n<!-- end c -->\n\nby hand\n\n## a\n\n<!-- begin a -->\nA\n<!-- end a -->\n\n"
      .. "nothing marked\n\n## b\n\nbefore\n\n<!-- begin b -->\nB\n<!-- end b -->\nbehind\n\n### below\n", merged)
    assert.equal(merged, reference.merge(CODE, merged))
    assert.equal(CODE, reference.merge(CODE, ""))
  end)

  it("loses nothing that is written by hand: it refuses", function()
    for page, why in pairs {
      ["## gone\nby hand\n"] = "## gone: the code has no such section",
      ["## a\n## a\n"] = "## a: is there twice",
      ["## a\n<!-- begin a -->\nby hand\n"] = "## a: a does not end",
      ["## a\n<!-- begin a -->\n<!-- end b -->\n"] = "## a: b ends, which has not begun",
      ["## a\n<!-- begin a -->\n<!-- begin b -->\n"] = "## a: a second part begins, b",
    } do
      local merged, message = reference.merge(CODE, page)
      assert.is_nil(merged)
      assert.is_truthy(message:find(why, 1, true), message)
    end
  end)
end)
