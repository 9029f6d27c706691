-- result_file_spec: results that go to a named file: whole or not at all, never over the store, through links and into devices,
-- two runs apart, and what lies beside it untouched.
local support = require "tests.cli.support"
local cjson = require "cjson"
local signed_project = require "tests.cli.signed_project"

local ESRUN = support.quote(support.bin)

describe("a result in a file", function()
  local p, folder, whole

  setup(function()
    p = signed_project()
    p.must "keygen"
    folder = p.folder
    assert.equal(0, p.run("project", "run").status)
    whole = p.must "export"
  end)
  teardown(support.clean)

  local function leftovers() return p.shell("ls -A | grep part").out end

  local function refused(path, ...)
    local words = { ... }
    words[#words + 1] = path
    local result = p.run(table.unpack(words))
    assert.equal(2, result.status, path)
    assert.matches(path .. " is the store, or a part of it", result.err, 1, true)
  end

  it("never takes the place of the store or of what belongs to it", function()
    p.shell "ln -s store.db linked; ln store.db hard; ln -s . around"
    for _, path in ipairs {
      "store.db", "./store.db", "linked", "hard", "around/store.db", folder .. "/store.db", "store.db-wal", "store.db-shm",
      "store.db-queue", "store.db-projections/balances.1.db", "store.db-projections/new",
    } do
      refused(path, "export", "-o")
      refused(path, "checkpoint", "-o")
      refused(path, "prove", "--from", "1", "-o")
    end
    refused("store.db-projections", "export", "--bundle")
    p.shell "rm linked hard around"
    assert.equal(whole, p.must "export")
  end)

  it("asks for the folder that is not there, whoever writes it", function()
    p.must "checkpoint"
    for _, words in ipairs {
      { "export", "-o" }, { "export", "--bundle" }, { "checkpoint", "-o" }, { "prove", "--from", "1", "-o" },
      { "keygen", "--out" },
    } do
      words[#words + 1] = "a/b/c"
      local result = p.run(table.unpack(words))
      assert.equal(1, result.status)
      assert.matches("a/b/c: there is no folder a/b\nhint: make it: mkdir -p a/b\n", result.err, 1, true)
    end
    assert.is_false(support.exists(folder .. "/a"))
  end)

  it("follows a link to a file, and keeps its permissions", function()
    support.write(folder .. "/kept.jsonl", "old")
    p.shell "chmod 640 kept.jsonl; ln -s kept.jsonl link.jsonl"
    assert.equal(0, p.run("export", "-o", "link.jsonl").status)
    assert.equal(whole, support.read(folder .. "/kept.jsonl"))
    assert.equal("640\n", p.shell("test -L link.jsonl && stat -c %a kept.jsonl").out)
    p.shell "ln -s nowhere/at/all loose"
    local result = p.run("export", "-o", "loose")
    assert.equal(1, result.status)
    assert.matches("loose: a symbolic link that leads nowhere", result.err, 1, true)
  end)

  it("is written into a pipe or a device, which stays what it is", function()
    local result = p.shell("mkfifo pipe; timeout 10 cat pipe >read & " .. ESRUN .. " export -o pipe; wait; test -p pipe")
    assert.equal(0, result.status)
    assert.equal(whole, support.read(folder .. "/read"))
    p.shell(p.FULL)
    result = p.run("export", "-o", "full")
    assert.equal(1, result.status)
    assert.matches("No space left on device", result.err)
    assert.equal(0, p.shell("test -c full").status)
    result = p.run("checkpoint", "-o", "full")
    assert.equal(1, result.status)
    assert.matches("No space left on device", result.err)
    assert.equal("", leftovers())
  end)

  it("goes to standard output where that is the file, alone", function()
    assert.equal(whole, p.shell(ESRUN .. " export -o /proc/self/fd/1 | cat").out)
    assert.equal("before\n" .. whole, p.shell("echo before; " .. ESRUN .. " export -o /proc/self/fd/1").out)
    assert.equal(1, #cjson.decode(p.shell(ESRUN .. " export --output json --limit 1 -o /proc/self/fd/1").out))
  end)

  it("leaves a stranger's files of similar names alone", function()
    support.write(folder .. "/all.jsonl.part", "mine")
    support.write(folder .. "/audit.part/mine", "mine")
    assert.equal(0, p.run("export", "-o", "all.jsonl").status)
    assert.equal(whole, support.read(folder .. "/all.jsonl"))
    assert.equal("mine", support.read(folder .. "/all.jsonl.part"))
    assert.equal(0, p.run("checkpoint").status)
    assert.equal(0, p.run("export", "--bundle", "audit").status)
    assert.equal("mine", support.read(folder .. "/audit.part/mine"))
    assert.equal("all.jsonl.part\naudit.part\n", leftovers())
    p.shell "rm -r all.jsonl.part audit.part audit"
  end)

  it("is one run's, whole, when several write it at once", function()
    local others = p.must("export", "--limit", "2")
    local result = p.shell(([[
      for i in 1 2 3 4 5 6 7 8; do %s export -o both & %s export --limit 2 -o both & done; wait]]):format(ESRUN, ESRUN))
    assert.equal("", result.err)
    local text = support.read(folder .. "/both")
    assert.is_true(text == whole or text == others)
    assert.equal("", leftovers())
  end)

  -- The writer itself, with a result that fails in the middle or meets another run.
  it("is all of it or nothing", function()
    support.write(folder .. "/old", "old")
    local result = p.shell(([[
      printf '%%s' 'local file = require "esrun.cli.result_file"
        print(pcall(file.write, "old", function(f) f:write "half" error("no", 0) end))
        print(file.write("old", function(f) f:write "half" return nil, "no" end))
        print(file.write("old", function(f)
          f:write "first"
          assert(file.write("old", "second"))
          local now <close> = io.open("old")
          print(now:read "a")
          return true
        end))' >script.lua; %s run script.lua; cat old; trap '' XFSZ; ulimit -f 1
      printf '%%s' 'print(require "esrun.cli.result_file".write("old", ("x"):rep(100000)))' >script.lua
      %s run script.lua; cat old]]):format(ESRUN, ESRUN))
    assert.equal("false\tno\nnil\told: no\nsecond\ntrue\tfile\nfirstnil\told: File too large\nfirst", result.out)
    assert.equal("", leftovers())
  end)

  it("is told of in JSON on standard output", function()
    local made = cjson.decode(p.must("export", "--output", "json", "-o", "all.json"))
    assert.same({ file = "all.json", event_count = #cjson.decode(support.read(folder .. "/all.json")) }, made)
    made = cjson.decode(p.must("export", "--output", "json", "--limit", "2", "--bundle", "audit"))
    assert.same({ folder = "audit", event_count = 2, unsigned_count = 0 }, made)
  end)
end)
