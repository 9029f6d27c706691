-- esrun verify, export, config, help: evidence and facts. What doctor finds is in doctor_spec.lua.
local support = dofile "tests/cli/support.lua"
local cjson = require "cjson"

local function lines_of(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do lines[#lines + 1] = line end
  return lines
end

local function filled(files)
  local folder = support.project(files)
  for _, words in ipairs {
    { "exec", "Account/1", "open", "--as", "user:jane" }, { "exec", "Account/1", "move", "cents=5", "--as", "user:jane" },
    { "exec", "Account/2", "open", "--as", "user:jane" },
  } do
    assert.equal(0, support.run(folder, words).status)
  end
  return folder
end

-- Changes stored bytes behind the back of the triggers.
local function tamper(folder, sql)
  local result = support.shell(folder, ([[
    sqlite3 store.db "SELECT 'DROP TRIGGER ' || name || ';' FROM sqlite_master WHERE type = 'trigger'" | sqlite3 store.db
    sqlite3 store.db %s]]):format(support.quote(sql)))
  assert.equal("", result.err)
end

describe("esrun", function()
  after_each(support.clean)

  local function run(folder, ...) return support.run(folder, { ... }) end

  describe("verify", function()
    it("prints count, head hash, rate and verdict", function() -- covers C17 (chain and its check)
      local folder = filled()
      local head = cjson.decode(lines_of(run(folder, "log", "--output", "jsonl").out)[3]).hash
      local result = run(folder, "verify")
      assert.equal(0, result.status)
      assert.matches("^neither  positions 1 to 3: [^\n]*\n3 events, head " .. head .. ", %d+ events/s: intact\n$", result.out)
      local report = cjson.decode(run(folder, "verify", "--output", "json").out)
      assert.same({
        ok = true, event_count = 3, finding_count = 0, verified_from = 1, anchored_to = 0, signed_to = 0, unlinked_to = 0,
        hashes_only_to = 0, archived_count = 0, unseen_count = 0, unseen_from = 0, unseen_to = 0,
        unknown_signer = cjson.null, unknown_anchor = cjson.null, silent_anchors = {},
        findings = {}, head_hash = head,
      }, report)
      assert.equal("", run(folder, "verify", "--output", "jsonl").out)
    end)

    it("names damage by position and kind, with exit status 6", function() -- covers C17 (the check finds damage)
      local folder = filled()
      tamper(folder, [[UPDATE events SET data = '{"cents":500}' WHERE position = 2]])
      local result = run(folder, "verify")
      assert.equal(6, result.status)
      assert.equal("", result.err)
      assert.matches("position 2: edited %(hash%): ", result.out)
      assert.matches("DAMAGED", result.out)
      local text = run(folder, "verify", "--output", "json")
      assert.equal(6, text.status)
      local report = cjson.decode(text.out)
      assert.is_false(report.ok)
      assert.equal(report.finding_count, #report.findings)
      local found = {}
      for _, finding in ipairs(report.findings) do found[finding.kind] = finding end
      assert.equal(2, found.hash.position)
      local jsonl = run(folder, "verify", "--output", "jsonl")
      assert.equal(6, jsonl.status)
      assert.equal(#report.findings, #lines_of(jsonl.out))
      for _, line in ipairs(lines_of(jsonl.out)) do cjson.decode(line) end
    end)

    it("verifies an empty store", function()
      local folder = filled()
      assert.equal(0, run(folder, "--store", "empty.db", "exec", "Account/1", "open", "--as", "user:x", "--dry-run").status)
      assert.matches("^0 events, head none", run(folder, "--store", "empty.db", "verify").out)
      local report = cjson.decode(run(folder, "--store", "empty.db", "verify", "--output", "json").out)
      assert.equal(cjson.null, report.head_hash)
    end)
  end)

  describe("export", function()
    it("writes a line an event, with data and metadata as strings", function()
      local folder = filled()
      local lines = lines_of(run(folder, "export").out)
      assert.equal(3, #lines)
      local event = cjson.decode(lines[2])
      assert.equal('{"cents":5}', event.data)
      assert.is_string(event.metadata)
      assert.equal(cjson.decode(lines[1]).hash, event.previous_hash)
      assert.equal(1, #lines_of(run(folder, "export", "--type", "MoneyMoved").out))
      assert.equal(2, #lines_of(run(folder, "export", "--after", "1").out))
      assert.equal(3, #cjson.decode(run(folder, "export", "--output", "json").out))
      assert.equal("[]\n", run(folder, "export", "--actor", "none", "--output", "json").out)
      assert.equal("", run(folder, "export", "--actor", "none").out)
    end)

    it("writes a file that is there only when it is whole", function()
      local folder = filled()
      local text = run(folder, "export").out
      local result = run(folder, "export", "-o", "all.jsonl")
      assert.equal(0, result.status)
      assert.equal("", result.out)
      assert.equal(text, support.read(folder .. "/all.jsonl"))
      assert.is_false(support.exists(folder .. "/all.jsonl.part"))
    end)
  end)

  describe("config", function()
    it("shows them before the first command too, and that there is no store yet", function()
      for text, origin in pairs { ['return { store = "own.db" }'] = "esrun.lua", ["return {}"] = "default" } do
        local folder = support.project { ["esrun.lua"] = text }
        local before = run(folder, "config")
        assert.equal(0, before.status)
        local path = folder .. (origin == "default" and "/esrun.db" or "/own.db")
        assert.equal(("esrun: config: the store %s does not exist yet; the first command that writes makes it\n"):format(path),
          before.err)
        assert.is_false(support.exists(path))
        assert.equal(0, run(folder, "exec", "Account/1", "open", "--as", "user:jane").status)
        local after = run(folder, "config")
        assert.equal("", after.err)
        assert.equal(after.out, before.out)
        assert.matches(path .. " +" .. origin, after.out)
      end
      local given = run(support.project(), "config", "--store", "new.db", "--output", "jsonl")
      assert.matches('{"origin":"option","setting":"store","value":"new.db"}', given.out, 1, true)
    end)

    it("shows them where neither the store nor a module can be used", function()
      local folder = support.project { ["aggregates/broken.lua"] = "= 1", ["esrun.lua"] = 'return { store = "aggregates" }' }
      local result = run(folder, "config")
      assert.equal("", result.err)
      assert.equal(0, result.status)
      assert.matches("store +" .. folder .. "/aggregates +esrun.lua", result.out)
      assert.matches("store +:memory: +option", run(folder, "config", "--store", ":memory:").out)
    end)

    it("shows each setting and where it comes from", function()
      local folder = filled()
      local settings = {}
      for _, setting in ipairs(cjson.decode(run(folder, "config", "--output", "json").out)) do
        settings[setting.setting] = setting
      end
      assert.equal("esrun.lua", settings.store.origin)
      assert.equal(folder .. "/store.db", settings.store.value)
      assert.equal("default", settings["limits.time_ms"].origin)
      assert.matches("^setting +value +origin\n", run(folder, "config").out)
      assert.equal(#cjson.decode(run(folder, "config", "--output", "json").out),
        #lines_of(run(folder, "config", "--output", "jsonl").out))
    end)
  end)

  describe("help", function()
    it("lists the commands, also without a project", function()
      for _, words in ipairs { { "help" }, { "--help" }, { "-h" } } do
        local result = support.run("/", words)
        assert.equal(0, result.status)
        assert.equal("", result.err)
        for _, name in ipairs {
          "exec", "show", "log", "trace", "replay", "project", "verify", "export", "doctor", "config", "help",
        } do
          assert.matches("\n  " .. name .. " ", result.out)
        end
      end
    end)

    it("explains each command, the same by help COMMAND and COMMAND --help", function()
      for _, row in ipairs(cjson.decode(support.run("/", { "help", "--output", "json" }).out)) do
        local name = row.command
        local result = support.run("/", { "help", name })
        assert.equal(0, result.status)
        assert.matches("^Usage: esrun " .. name:gsub("%-", "%%-"), result.out)
        assert.equal(result.out, support.run("/", { name, "--help" }).out)
        assert.equal(name, cjson.decode(support.run("/", { "help", name, "--output", "json" }).out).command)
      end
    end)

    it("tells the version", function()
      assert.matches("^esrun %d+%.%d+%.%d+\n$", support.run("/", { "--version" }).out)
    end)
  end)
end)
