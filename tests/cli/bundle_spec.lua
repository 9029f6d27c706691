-- What a bundle says of its signer and of what is missing in it; and the options of a proof's check.
local project = require "tests.cli.signed_project"
local support = require "tests.cli.support"
local cjson = require "cjson"

describe("a bundle", function()
  teardown(support.clean)

  it("has the verifier key that signed it, also when another key has taken over", function()
    local p = project()
    p.must("keygen", "--out", p.home .. "/old", "--name", "old")
    local new = p.must("keygen", "--out", p.home .. "/new", "--name", "new"):match "new%+%x+%+%S+"
    p.config(("return { keys = { %q, %q } }"):format(p.home .. "/old", p.home .. "/new"))
    p.must("checkpoint", "--key", p.home .. "/old", "--key", p.home .. "/new")
    p.move(1)
    p.must("checkpoint", "--key", p.home .. "/new")
    p.must("export", "--bundle", "audit")
    assert.equal(new .. "\n", support.read(p.folder .. "/audit/vkey"))
    p.must("verify-proof", "audit/proofs/1.tlog-proof", "--key", new)
  end)

  it("has proofs of its own checkpoint, whoever signs meanwhile, and with whatever key", function()
    local p = project()
    p.must("keygen", "--out", p.home .. "/old", "--name", "old")
    p.must("keygen", "--out", p.home .. "/new", "--name", "new")
    p.config(("return { keys = { %q } }"):format(p.home .. "/old"))
    p.must "checkpoint"
    support.write(p.folder .. "/script.lua", ([[
      local es <close> = assert(require "esrun".open())
      local meddled = {}
      function meddled:info() return es:info() end
      function meddled:events(filter) return es:events(filter) end
      function meddled:prove(options)
        local proof <const> = assert(es:prove(options))
        assert(os.execute(%q))
        return proof
      end
      require "esrun.cli.bundle".write(meddled, { form = "export" }, { path = "audit" })]]):format(
      ("%s checkpoint --key %s --replace-lost-key >&2"):format(support.quote(support.bin), p.home .. "/new")))
    p.must("run", "script.lua")
    local kept = support.read(p.folder .. "/audit/checkpoint")
    assert.equal("2", kept:match "\n(%d+)\n")
    for position = 1, 2 do
      assert.equal(kept, support.read(("%s/audit/proofs/%d.tlog-proof"):format(p.folder, position)):match "\n\n(.*)$")
      p.must("verify-proof", ("audit/proofs/%d.tlog-proof"):format(position), "--key", "audit/vkey")
    end
  end)

  it("is not made with a key that did not sign", function()
    local p = project()
    p.must "keygen"
    p.must "checkpoint"
    local other = p.must("keygen", "--out", p.home .. "/other", "--name", "other"):match "other%+%x+%+%S+"
    local refused = p.run("export", "--bundle", "audit", "--vkey", other)
    assert.equal(2, refused.status)
    assert.matches("--vkey: another key signed the checkpoint", refused.err, 1, true)
    assert.equal(2, p.run("export", "--bundle", "audit", "--vkey", "garbage+00000000+AAAA").status)
    assert.equal("", p.shell("ls -d audit* 2>/dev/null").out)
  end)

  it("says how many events are not signed, whichever way they are read", function()
    local p = project()
    p.must "keygen"
    p.must "checkpoint"
    p.move(1)
    for name, options in pairs { plain = {}, backwards = { "--reverse" } } do
      local result = p.run("--output", "json", "export", "--bundle", name, table.unpack(options))
      assert.equal(0, result.status, result.err)
      local made = cjson.decode(result.out)
      assert.same({ 2, 1 }, { made.event_count, made.unsigned_count })
      assert.matches("warning: 1 of the chosen events is not signed yet, so not in the bundle", result.err, 1, true)
      local told = support.read(p.folder .. "/" .. name .. "/README")
      assert.matches("That these are all the events that you asked for", told, 1, true)
    end
  end)

  it("is not needed to refuse what does not fit a proof", function()
    local p = project()
    local vkey = p.must "keygen":match "%S+%+%x+%+%S+"
    p.must("checkpoint", "--out", "first")
    p.move(1)
    p.must("checkpoint", "--out", "second")
    p.must("prove", "--from", "2", "--to", "3", "-o", "trees")
    local refused = p.run("verify-proof", "trees", "--key", vkey, "--old", "first", "--event", "{}")
    assert.equal(2, refused.status)
    assert.matches("--event goes with the proof of an event", refused.err, 1, true)
    local id = cjson.decode(p.must("--output", "json", "log", "--limit", "1"))[1].event_id
    p.must("prove", id, "-o", "event")
    refused = p.run("verify-proof", "event", "--key", vkey, "--old", "first")
    assert.equal(2, refused.status)
    assert.matches("--old goes with a proof between two trees", refused.err, 1, true)
  end)
end)
