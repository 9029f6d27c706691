-- The ledger from the command line: keys, checkpoints, anchors, proofs, what verify says and how it exits.
local cjson = require "cjson"
local project = require "tests.cli.signed_project"
local support = require "tests.cli.support"

local quote = support.quote

local function line_of(text, number)
  for line in text:gmatch("[^\n]*\n?") do
    number = number - 1
    if number == 0 then return (line:gsub("\n", "")) end
  end
end

describe("esrun's ledger", function()
  teardown(support.clean)

  it("makes a key outside the project, for its owner alone, and prints the public part", function()
    local p = project()
    local vkey = p.must "keygen"
    assert.matches("^esrun/[%x-]+%+%x+%+[%w+/=]+\n$", vkey)
    assert.equal(vkey, p.must("keygen", "--public"))
    assert.equal("600\n", p.shell("stat -c %a $HOME/.local/share/esrun/keys/*.key").out)
    assert.equal("", p.shell("grep -rl PRIVATE . || true").out)
    local again = p.run "keygen"
    assert.equal(2, again.status)
    assert.matches("never overwritten", again.err)
  end)

  -- covers C11
  it("signs, remembers, and verifies how far assurance reaches", function()
    local p = project()
    local without = p.run "checkpoint"
    assert.equal(2, without.status)
    assert.matches("hint: make a key with: esrun keygen", without.err)
    p.must "keygen"
    local note = p.must "checkpoint"
    assert.equal("2", line_of(note, 2))
    p.move(1)
    assert.matches("^anchored positions 1 to 2: [^\n]*\nneither  positions 3 to 3: [^\n]*\n3 events", p.must "verify")
    local report = cjson.decode(p.must("verify", "--output", "json", "--jobs", "2", "--since-checkpoint"))
    assert.same({ 0, 0, 2, 3 }, { report.anchored_to, report.signed_to, report.hashes_only_to, report.verified_from })
    assert.matches("^hashes   positions 1 to 2: [^\n]*not looked at\nneither  positions 3 to 3: [^\n]*\n3 events, [^\n]*: "
      .. "intact as far as looked: positions 3 to 3\n$", p.must("verify", "--since-checkpoint"))
    local other_user = support.new_folder()
    local vkey = p.must("keygen", "--public"):gsub("\n", "")
    local signed = p.shell(("HOME=%s %s verify --key %s"):format(quote(other_user), quote(support.bin), quote(vkey)))
    assert.matches("^signed   positions 1 to 2", signed.out)
    local stranger = p.shell(("HOME=%s %s verify"):format(quote(other_user), quote(support.bin)))
    assert.matches("^neither  positions 1 to 3", stranger.out)
  end)

  it("takes the key from the environment, and a passphrase too", function()
    local p = project()
    p.must("keygen", "--name", "example.com/x", "--out", p.home .. "/k")
    assert.matches("\n2\n", p.shell("ESRUN_SIGNING_KEY=$(cat $HOME/k) " .. quote(support.bin) .. " checkpoint").out)
    local made = p.shell("ESRUN_KEY_PASSPHRASE=secret " .. quote(support.bin) .. " keygen --name example.com/y --out $HOME/e")
    assert.equal(0, made.status)
    local refused = p.run("checkpoint", "--key", p.home .. "/e")
    assert.equal(2, refused.status)
    assert.matches("ESRUN_KEY_PASSPHRASE", refused.err)
    local signed = p.shell("ESRUN_KEY_PASSPHRASE=secret " .. quote(support.bin)
      .. " checkpoint --key $HOME/e --output json --replace-lost-key")
    assert.equal(3, cjson.decode(signed.out).size) -- another key is an event
  end)

  it("takes a new key without the old one only when told that the old one is lost", function()
    local p = project()
    p.must "keygen"
    p.must "checkpoint"
    p.must("keygen", "--name", "example.com/new", "--out", p.home .. "/new")
    local refused = p.run("checkpoint", "--key", p.home .. "/new")
    assert.equal(2, refused.status)
    assert.matches("none of the given keys signed the last checkpoint, esrun/[%x-]+ %(key %x+%) did\n"
      .. "hint: .*%-%-replace%-lost%-key", refused.err)
    assert.equal("", p.must("log", "--type", "$KeyReplaced", "--output", "jsonl"))
    assert.equal(0, cjson.decode(p.must("verify", "--output", "json")).unlinked_to)
    p.must("checkpoint", "--key", p.home .. "/new", "--replace-lost-key")
    local replaced = cjson.decode(p.must("log", "--type", "$KeyReplaced", "--output", "jsonl"))
    assert.matches("^esrun/[%x-]+%+%x+$", replaced.data.lost[1])
    assert.matches("^example.com/new%+", replaced.data.to)
    local verified = p.must "verify"
    assert.matches("^anchored positions 1 to 3", verified)
    assert.matches("positions 1 to 2 were signed before by a key that signed no later checkpoint: only the later key", verified)
    assert.equal(2, cjson.decode(p.must("verify", "--output", "json")).unlinked_to)
    p.must("checkpoint", "--key", p.home .. "/new") -- from here on it is the one that signed last
  end)

  it("names an unknown key that signed the newest checkpoint", function() -- covers C11
    local p = project()
    p.must "keygen"
    p.must "checkpoint"
    local other = support.new_folder()
    local signed = p.shell(("export HOME=%s; %s keygen --name evil --out k && %s checkpoint --key k --replace-lost-key")
      :format(quote(other), quote(support.bin), quote(support.bin)))
    assert.equal(0, signed.status, signed.err)
    local verified = p.must "verify"
    assert.matches("warning: the newest checkpoint in the store is signed by evil %(key %x+%), which is not a known",
      verified)
    assert.matches("\nneither  positions 3 to 3", verified)
    assert.not_matches("lost", verified)
    assert.matches("^evil ", cjson.decode(p.must("verify", "--output", "json")).unknown_signer)
  end)

  it("never calls signed what only an unknown key signed", function() -- covers C11
    local p, other = project(), support.new_folder()
    local bin = ("export HOME=%s; %s "):format(quote(other), quote(support.bin))
    local evil = p.shell(bin .. "keygen --name evil --out k").out:gsub("\n", "")
    local vkey = p.must "keygen":gsub("\n", "")
    local function ranges(...)
      local report = cjson.decode(p.must("verify", "--output", "json", ...))
      return { report.anchored_to, report.signed_to, report.unknown_signer ~= cjson.null }
    end
    assert.equal(0, p.shell(bin .. "checkpoint --key k").status)
    assert.same({ 0, 0, true }, ranges("--key", vkey))
    local verified = p.must("verify", "--key", vkey)
    assert.matches("^neither  positions 1 to 2: whoever can write this file can change it\nwarning: the newest", verified)
    assert.same({ 0, 0, false }, ranges()) -- nobody known, and nothing claimed
    assert.same({ 0, 2, false }, ranges("--key", evil))
    -- an anchor counts, whoever signed it, and that nobody knows him is told
    p.shell(bin .. "checkpoint --key k --out $HOME/note; mv $HOME/note " .. quote(p.home))
    verified = p.must("verify", "--key", vkey, "--anchor", p.home .. "/note")
    assert.matches("^anchored positions 1 to 2", verified)
    assert.matches("\nwarning: the anchor " .. p.home .. "/note, signed by evil %(key %x+%), which is not a known key", verified)
    assert.not_matches("the anchor", p.must("verify", "--key", evil, "--anchor", p.home .. "/note"))
    assert.not_matches("the anchor", p.must("verify", "--anchor", p.home .. "/note"))
    p.move(1)
    p.must("checkpoint", "--replace-lost-key")
    p.shell(bin .. "checkpoint --key k --replace-lost-key")
    p.shell "rm -r $HOME/.local" -- an auditor has neither the memory nor the secret
    assert.same({ 0, 4, true }, ranges("--key", vkey))
    verified = p.must("verify", "--key", vkey)
    assert.matches("^signed   positions 1 to 4: signed by a known key\nneither  positions 5 to 5: ", verified)
  end)

  it("refuses to restore what is older than what was signed, unless that is accepted", function()
    local p = project()
    p.must "keygen"
    p.must("backup", "copy.db")
    p.must "checkpoint"
    p.config(([[return { anchors = { { file = %q } } }]]):format(p.home .. "/{store}.checkpoint"))
    local function lose() p.shell "rm -f store.db*" end
    local function restore(...) return p.run("restore", "copy.db", ...) end
    lose()
    local refused = restore()
    assert.equal(6, refused.status)
    assert.matches("restore: copy.db is older than what was signed, and what it lacks would be lost: "
      .. "against the signer's memory: the tree was rolled back: it had 3 events and has 2\n"
      .. "hint: restore a newer backup", refused.err, 1, true)
    assert.is_false(support.exists(p.folder .. "/store.db"))
    -- an anchor alone says the same
    p.shell "cp $HOME/.local/state/esrun/signer/*/*.checkpoint $HOME/note; mv $HOME/.local/state $HOME/state"
    assert.equal(0, restore().status)
    lose()
    p.shell "cp $HOME/note $HOME/$(basename $HOME/state/esrun/signer/*).checkpoint"
    assert.equal(6, restore().status)
    assert.equal(6, restore("--anchor", p.home .. "/note").status)
    assert.equal(2, restore("--anchor", p.home .. "/none").status)
    p.shell "rm $HOME/*.checkpoint; mv $HOME/state $HOME/.local/state"
    local accepted = restore "--accept-rollback"
    assert.equal(0, accepted.status)
    assert.matches("warning: against the signer's memory: the tree was rolled back: it had 3 events and has 2\n"
      .. "hint: ", accepted.err, 1, true)
    assert.matches("^2 events restored", accepted.out)
    p.must("backup", "again.db") -- a copy of what is there, whatever was signed
    p.shell [[sqlite3 again.db "DROP TRIGGER events_no_update; UPDATE events SET data = '{}' WHERE position = 2"]]
    lose()
    local damaged = p.run("restore", "again.db", "--accept-rollback")
    assert.equal(6, damaged.status)
    assert.is_false(support.exists(p.folder .. "/store.db"))
    p.must("restore", "copy.db", "--accept-rollback")
    -- the signer is told apart
    assert.equal(6, p.run("checkpoint").status)
    p.move(1)
    p.move(2)
    local fork = p.run "checkpoint"
    assert.equal(6, fork.status)
    assert.matches("hint: .*esrun checkpoint %-%-accept%-rollback", fork.err)
    p.must("checkpoint", "--accept-rollback")
    local event = cjson.decode(p.must("log", "--type", "$RollbackAccepted", "--output", "jsonl"))
    assert.same({ 3, 4 }, { event.data.signed_size, event.data.size })
    assert.equal(line_of(support.read(p.home .. "/note"), 3), event.data.signed_root)
    assert.matches("^anchored positions 1 to 5", p.must "verify")
    p.move(3)
    p.must "checkpoint"
    assert.equal(6, p.run("verify", "--anchor", p.home .. "/note").status) -- who kept it does see it
  end)

  it("refuses to restore another store where one was signed, unless that is accepted", function()
    local p, other = project(), project()
    p.must "keygen"
    p.must "checkpoint"
    other.move(9)
    other.must("backup", p.home .. "/other.db")
    local function restore(...) return p.run("restore", p.home .. "/other.db", ...) end
    assert.equal(0, p.run("--store", "beside.db", "restore", p.home .. "/other.db").status) -- a place of its own
    p.shell "rm store.db*; ln -s . here"
    for _, place in ipairs { "store.db", "here/store.db", p.folder .. "/store.db" } do
      local refused = p.run("--store", place, "restore", p.home .. "/other.db", "--accept-rollback")
      assert.equal(6, refused.status)
      assert.matches("another store was signed for at .*store.db: the signer remembers it in " .. p.home .. "/.-\n"
        .. "hint: .*%-%-accept%-foreign", refused.err)
      assert.is_false(support.exists(p.folder .. "/store.db"))
    end
    local accepted = restore("--accept-foreign", "--output", "json")
    assert.equal(0, accepted.status)
    assert.matches("warning: another store was signed for at .*\nhint: verify and checkpoint go on refusing", accepted.err)
    assert.not_matches("--accept-rollback", accepted.err, 1, true)
    assert.is_true(cjson.decode(accepted.out).foreign)
    p.must "keygen"
    assert.equal(6, p.run("checkpoint").status)
    assert.equal(6, p.run("verify").status)
    p.shell("mv " .. accepted.err:match("remembers it in (%S+)") .. " $HOME/old-memory")
    p.must "verify"
    p.must "checkpoint"
  end)

  it("refuses a key that others can read, with the chmod to run", function()
    local p = project()
    p.must("keygen", "--name", "example.com/x", "--out", p.home .. "/k")
    p.shell("chmod 644 $HOME/k")
    local result = p.run("checkpoint", "--key", p.home .. "/k")
    assert.equal(2, result.status)
    assert.matches("hint: run: chmod 600 " .. p.home .. "/k", result.err, 1, true)
  end)

  it("refuses to sign and to call intact a file that was put back", function()
    local p = project()
    p.must "keygen"
    p.shell "cp store.db old.db"
    p.move(7)
    p.must "checkpoint"
    p.shell "rm store.db*; mv old.db store.db"
    local refused = p.run "checkpoint"
    assert.equal(6, refused.status)
    assert.matches("the signer's memory: the tree was rolled back: it had 3 events and has 2", refused.err, 1, true)
    local found = p.run("verify", "--output", "json")
    assert.equal(6, found.status)
    local report = cjson.decode(found.out)
    assert.equal("rolled_back", report.findings[1].fault)
    assert.equal(0, report.anchored_to)
  end)

  it("hands checkpoints to the anchors of the user's configuration and asks them when verifying", function()
    local p = project()
    p.must "keygen"
    p.shell "git init -q $HOME/git && git -C $HOME/git config user.email a@example.com && git -C $HOME/git config user.name A"
    p.config(([[return { anchors = {
      { file = %q }, { git = %q }, { command = "cat > $HOME/by-command", read = "cat $HOME/by-command 2>/dev/null || true" },
    } }]]):format(p.home .. "/{store}.checkpoint", p.home .. "/git"))
    local note = p.must "checkpoint"
    assert.equal(note, p.shell("cat $HOME/*.checkpoint").out)
    assert.equal(note, p.shell("git -C $HOME/git show HEAD:$(basename $HOME/*.checkpoint)").out)
    assert.equal(note, p.shell("cat $HOME/by-command").out)
    p.must "checkpoint" -- the same again disturbs nobody
    p.shell "rm -r $HOME/.local/state"
    assert.matches("^anchored positions 1 to 2", p.must "verify")
    -- each of the three alone finds an exchanged history
    p.shell "rm store.db* && mkdir $HOME/kept && mv $HOME/*.checkpoint $HOME/by-command $HOME/git $HOME/kept"
    p.must("exec", "Account/1", "open", "--as", "user:jane")
    assert.equal(0, p.run("verify").status)
    local copy = p.shell("ls $HOME/kept/*.checkpoint").out:gsub("\n", "")
    local report = cjson.decode(p.run("verify", "--output", "json", "--anchor", copy).out)
    assert.equal("foreign", report.findings[1].fault)
    p.config(([[return { anchors = { { read = "cat %s/kept/by-command" } } }]]):format(p.home))
    assert.equal(6, p.run("verify").status)
  end)

  it("says which anchor failed and keeps what was signed", function()
    local p = project()
    p.must "keygen"
    p.config [[return { anchors = { { command = "cat >/dev/null; exit 3" } } }]]
    local result = p.run "checkpoint"
    assert.equal(1, result.status)
    assert.matches("the anchor cat >/dev/null; exit 3 did not take the checkpoint: it ended with status 3", result.err, 1, true)
    assert.matches("^anchored positions 1 to 2", p.must "verify")
  end)

  it("signs by itself as the user's configuration says, and hands what it signed to the anchors", function()
    local p = project()
    p.config(([[return { checkpoint = { events = 3, seconds = 3600 }, anchors = { { file = %q },
      { command = "cat >/dev/null; echo taken; echo >>$HOME/count" } } }]]):format(p.home .. "/kept"))
    local silent = p.run("exec", "Account/1", "move", "cents=1", "--as", "user:jane", "--output", "json")
    assert.equal("", silent.err) -- there is no key for this store
    p.must "keygen"
    local reply = p.run("exec", "Account/1", "move", "cents=1", "--as", "user:jane", "--output", "json")
    assert.equal(4, cjson.decode(reply.out).version) -- what the anchor's command prints is no part of the result
    assert.equal(("esrun: warning: the anchor %s/kept says nothing: there is no such file\ntaken\n"):format(p.home), reply.err)
    assert.equal("4", line_of(support.read(p.home .. "/kept"), 2))
    assert.matches("^anchored positions 1 to 4", p.must "verify")
    support.write(p.folder .. "/batch", ('{"target":"Account/1","command":"move","params":{"cents":1}}\n'):rep(10))
    assert.equal(0, p.run("batch", "batch", "--as", "user:jane").status)
    assert.equal("14", line_of(support.read(p.home .. "/kept"), 2))
    assert.equal(5, #support.read(p.home .. "/count")) -- at 4; at 7, 10, 13; and at the end
    support.write(p.folder .. "/script.lua", [[
      local es <close> = assert(require "esrun".open())
      assert(es:execute("Account/1", "move", { cents = 1 }, { actor_id = "user:jane" }))]])
    p.must("run", "script.lua")
    assert.equal("15", line_of(support.read(p.home .. "/kept"), 2))
  end)

  it("never lets a checkpoint that fails be the trouble of a command", function()
    local p = project()
    p.must "keygen"
    local function move(words)
      local result = p.run("exec", "Account/1", "move", "cents=1", "--as", "user:jane")
      assert.equal(0, result.status)
      assert.matches(words, result.err, 1, true)
    end
    p.config "return { checkpoint = { events = 1 }, anchors = { { command = 'cat >/dev/null; exit 3' } } }"
    move "esrun: warning: the anchor cat >/dev/null; exit 3 did not take the checkpoint: it ended with status 3"
    p.config "return { checkpoint = { events = 1 } }"
    p.shell "chmod 644 $HOME/.local/share/esrun/keys/*"
    move "hint: run: chmod 600 "
    p.shell "chmod 600 $HOME/.local/share/esrun/keys/*; cp store.db old.db"
    p.move(1)
    p.shell "mv old.db store.db; rm -f store.db-*"
    p.move(1)
    p.shell "mkdir $HOME/away; mv store.db* $HOME/away; cp $HOME/away/store.db* ."
    local doubted = p.run("exec", "Account/1", "move", "cents=1", "--as", "user:jane")
    assert.equal(0, doubted.status)
    assert.matches("esrun: warning: no checkpoint was signed: not signed: against the signer's memory: the tree was forked",
      doubted.err, 1, true)
    p.config "return { checkpoint = { events = 0 } }"
    move "checkpoint: 'events' is not one of events and seconds"
    assert.equal(6, p.run("verify").status == 2 and p.shell("rm $HOME/.config/esrun/config.lua").status == 0
      and p.run("verify").status)
  end)

  it("lets doctor say whether a checkpoint is overdue", function()
    local p = project()
    local function asked()
      for _, finding in ipairs(cjson.decode(p.must("doctor", "--output", "json")).findings) do
        if finding.check == "checkpoints" then return finding end
      end
    end
    assert.equal("note", asked().state)
    p.must "keygen"
    assert.matches("^2 of 2 events are not signed, the first of them since %d+%-", asked().message)
    p.must "checkpoint"
    assert.equal("all 2 events are signed", asked().message)
    p.move(1)
    p.config "return { checkpoint = { events = 2, seconds = 3600 } }"
    assert.same({ "ok", "1 of 3 events is not signed" }, { asked().state, asked().message:match("^[^,]*") })
    p.config "return { checkpoint = { events = 1 } }"
    assert.same({ "warning", "overdue: 1 of 3 events is not signed" }, { asked().state, asked().message:match("^[^,]*") })
    assert.equal("esrun checkpoint signs them, or says why not", asked().mend)
  end)

  it("names what is wrong in the user's configuration", function()
    local p = project()
    for text, words in pairs {
      ["return 1"] = "must return a table",
      ["return { anchor = {} }"] = "unknown setting 'anchor'",
      ["return { anchors = { { fil = 'x' } } }"] = "anchor 1: 'fil'",
      ["return { checkpoint = 5 }"] = "checkpoint: a table is expected",
      ["return { checkpoint = { event = 5 } }"] = "checkpoint: 'event' is not one of",
      ["return { checkpoint = { seconds = 1.5 } }"] = "checkpoint: 'seconds'",
      ["return { anchors = { { store = 'x' } } }"] = "anchor 1: file, git or command is missing",
      ["os.exit()"] = "config.lua:1:",
      ["return {"] = "config.lua:1:",
    } do
      p.config(text)
      local result = p.run "verify"
      assert.equal(2, result.status, text)
      assert.matches(words, result.err, 1, true)
    end
    p.config "return {}"
    p.shell "chmod 666 $HOME/.config/esrun/config.lua"
    assert.matches("chmod o%-w", p.run("verify").err)
  end)

  it("proves an event to somebody who has nothing but the verifier key", function()
    local p = project()
    p.must "keygen"
    p.must("checkpoint", "--out", p.home .. "/first")
    p.move(3)
    p.must "checkpoint"
    local event = line_of(p.must("export"), 2)
    local id = cjson.decode(event).event_id
    local vkey = p.must("keygen", "--public"):gsub("\n", "")
    p.must("prove", id, "--out", p.home .. "/proof")
    assert.matches("^c2sp.org/tlog%-proof@v1\nextra ", support.read(p.home .. "/proof"))
    p.must("prove", "--from", "2", "--out", p.home .. "/continues")
    -- from here on there is no store
    local elsewhere = support.new_folder()
    local function check(...) return support.run(elsewhere, { "verify-proof", ... }) end
    local shown = check(p.home .. "/proof", "--key", vkey)
    assert.equal(0, shown.status, shown.err)
    assert.matches("^proved: position 2, Account/1 version 2, MoneyMoved, event " .. id:gsub("%-", "%%-"), shown.out)
    assert.equal(0, check(p.home .. "/proof", "--key", vkey, "--event", event).status)
    local forged = check(p.home .. "/proof", "--key", vkey, "--event", (event:gsub("cents\\\":5", "cents\\\":6")))
    assert.equal(6, forged.status)
    assert.matches("the proof does not hold", forged.err)
    assert.equal(0, check(p.home .. "/continues", "--key", vkey, "--old", p.home .. "/first").status)
    assert.equal(2, check(p.home .. "/continues", "--key", vkey).status)
    assert.equal(2, check(p.home .. "/proof").status)
    assert.equal(2, check(p.home .. "/proof", "--key", "x+00000000+AAAA").status)
    assert.equal(2, check(p.home .. "/none", "--key", vkey).status)
    local other = p.must("keygen", "--name", "example.com/x", "--out", p.home .. "/k"):gsub("\n", "")
    local unknown = check(p.home .. "/proof", "--key", other)
    assert.equal(6, unknown.status)
    assert.matches("none of the given keys signed this", unknown.err)
    assert.equal(5, p.run("prove", "01890a5d-0000-7000-8000-000000000000").status)
    assert.equal(2, p.run("prove").status)
  end)

  -- covers C11
  it("makes a bundle that an auditor checks with sha256sum, openssl and a verifier key", function()
    local p = project()
    p.must "keygen"
    local early = p.run("export", "--bundle", p.home .. "/bundle")
    assert.equal(5, early.status)
    assert.matches("no checkpoint was signed yet", early.err)
    p.must "checkpoint"
    p.move(9) -- not signed, so not in the bundle
    p.shell "openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out $HOME/rsa && chmod 600 $HOME/rsa"
    p.must("export", "--bundle", p.home .. "/bundle", "--rsa-key", p.home .. "/rsa")
    local function audit(command) return p.shell("cd $HOME/bundle && " .. command) end
    assert.equal("2\n", audit("wc -l <events.jsonl").out)
    assert.equal(0, audit("sha256sum --check --quiet SHA256SUMS").status)
    local instructions = support.read(p.home .. "/bundle/README")
    local openssl = instructions:match("(openssl dgst.-SHA256SUMS%.sig SHA256SUMS)")
    assert.equal("Verified OK\n", audit(openssl).out)
    local check = quote(support.bin) .. " verify-proof proofs/2.tlog-proof --key vkey --event \"$(sed -n 2p events.jsonl)\""
    assert.matches("^proved: position 2", audit(check).out)
    audit "sed -i s/cents/Cents/ events.jsonl"
    assert.equal(6, audit(check).status)
    assert.equal(1, audit("sha256sum --check --quiet SHA256SUMS").status)
    audit "echo >>SHA256SUMS"
    assert.not_equal(0, audit(openssl).status)
    assert.equal(2, p.run("export", "--bundle", p.home .. "/bundle").status)
    p.shell "chmod 644 $HOME/rsa"
    local readable = p.run("export", "--bundle", p.home .. "/other", "--rsa-key", p.home .. "/rsa")
    assert.equal(2, readable.status)
    assert.is_false(support.exists(p.home .. "/other/README"))
  end)
end)
