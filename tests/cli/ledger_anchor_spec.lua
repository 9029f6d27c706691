-- The configured anchors against the signer: what they remember is never signed away, and one that is silent is told.
local project = require "tests.cli.signed_project"
local support = require "tests.cli.support"
local cjson = require "cjson"

describe("an anchor", function()
  teardown(support.clean)

  -- A project with a file and a git anchor that hold 4 events; then the store of 2 events is put back and the memory is lost.
  local function rolled_back(policy)
    local p = project()
    p.must "keygen"
    p.shell "git init -q $HOME/git && git -C $HOME/git config user.email a@example.com && git -C $HOME/git config user.name A"
    p.shell "cp store.db old.db"
    p.config(("return { anchors = { { file = %q }, { git = %q } } %s }"):format(p.home .. "/{store}.checkpoint",
      p.home .. "/git", policy or ""))
    p.move(1)
    p.move(2)
    p.must("checkpoint", "--out", p.home .. "/note")
    p.shell "rm -r store.db* $HOME/.local/state && mv old.db store.db"
    function p.kept()
      return p.shell("cat $HOME/*.checkpoint && git -C $HOME/git show HEAD:$(basename $HOME/*.checkpoint)").out
    end
    return p, support.read(p.home .. "/note")
  end

  it("keeps a store that was put back from being signed, though the signer's memory is gone", function()
    local p, note = rolled_back()
    local refused = p.run "checkpoint"
    assert.equal(6, refused.status)
    assert.matches("not signed: against anchor " .. p.home, refused.err, 1, true)
    assert.matches("the tree was rolled back: it had 4 events and has 2", refused.err, 1, true)
    assert.equal(note .. note, p.kept())
    assert.equal(6, p.run("verify").status)
    for _ = 1, 3 do p.move(3) end -- as many again, and other ones
    assert.equal(6, p.run("checkpoint").status)
    assert.equal(note .. note, p.kept())
    local accepted = p.must("checkpoint", "--accept-rollback")
    assert.equal(accepted .. accepted, p.kept())
    assert.matches("$RollbackAccepted", p.must("log", "--type", "$RollbackAccepted"), 1, true)
    p.must "verify"
    p.must "checkpoint"
  end)

  it("keeps it from signing itself, too", function()
    local p, note = rolled_back ", checkpoint = { events = 1 }"
    local moved = p.run("exec", "Account/1", "move", "cents=1", "--as", "user:jane")
    assert.equal(0, moved.status)
    assert.matches("warning: no checkpoint was signed: not signed: against anchor ", moved.err, 1, true)
    assert.equal(note .. note, p.kept())
    assert.equal(6, p.run("verify").status)
  end)

  it("takes no smaller checkpoint from a signer that did not see it in time", function()
    local p, note = rolled_back()
    p.config(("return { anchors = { { file = %q, read = %q } } }"):format(p.home .. "/late", "cp $HOME/note $HOME/late"))
    local late = p.run "checkpoint" -- another signer writes the anchor just after it was read
    assert.equal(1, late.status)
    assert.matches("late did not take the checkpoint: it has one of 4 events, this one is of 2", late.err, 1, true)
    assert.equal(note, support.read(p.home .. "/late"))
  end)

  it("in a git repository is found there whatever a hook of another repository inherits", function()
    local p, note = rolled_back()
    p.shell "git init -q $HOME/other"
    local inherited = "GIT_DIR=$HOME/other/.git GIT_WORK_TREE=$HOME/other GIT_INDEX_FILE=$HOME/other/.git/index "
    p.config(("return { anchors = { { git = %q } } }"):format(p.home .. "/git"))
    local refused = p.shell(inherited .. support.quote(support.bin) .. " checkpoint")
    assert.equal(6, refused.status)
    assert.matches("not signed: against anchor " .. p.home .. "/git", refused.err, 1, true)
    local accepted = p.shell(inherited .. support.quote(support.bin) .. " checkpoint --accept-rollback")
    assert.equal(0, accepted.status, accepted.err)
    assert.equal(note .. accepted.out, p.kept())
  end)

  it("that says nothing is named, and the words for it", function()
    local p = project()
    p.must "keygen"
    p.shell "git init -q $HOME/fresh; git init -q $HOME/other; echo a >$HOME/other/a"
    p.shell "cd $HOME/other && git add a && git -c user.name=A -c user.email=a@example.com commit -qm a"
    p.config(("return { anchors = { { file = %q }, { file = '/dev/null' }, { git = %q }, { git = %q }, { git = %q }, "
      .. "{ read = 'true' } } }"):format(p.home .. "/gone", p.home .. "/nowhere", p.home .. "/fresh", p.home .. "/other"))
    local lines = {
      "/gone says nothing: there is no such file", "/dev/null says nothing: it is no file",
      "/nowhere says nothing: there is no such folder", "/fresh says nothing: nothing was committed there",
      "/other says nothing: it has no checkpoint of this store",
      "warning: the anchor true says nothing: the command prints nothing",
    }
    local told = p.must "verify"
    for _, line in ipairs(lines) do assert.matches(line, told, 1, true) end
    assert.equal(6, #cjson.decode(p.must("verify", "--output", "json")).silent_anchors)
    local signing = p.run "checkpoint"
    for _, line in ipairs(lines) do assert.matches(line .. "\n", signing.err, 1, true) end
    p.config(("return { checkpoint = { events = 1 }, anchors = { { file = %q } } }"):format(p.home .. "/late"))
    local moved = p.run("exec", "Account/1", "move", "cents=1", "--as", "user:jane")
    assert.matches("warning: the anchor " .. p.home .. "/late says nothing: there is no such file\n", moved.err, 1, true)
    p.move(2)
    assert.equal("", p.run("exec", "Account/1", "move", "cents=1", "--as", "user:jane").err)
    p.config(("return { anchors = { { file = %q } } }"):format(p.home .. "/away"))
    p.must("backup", p.home .. "/copy")
    p.shell "rm store.db*"
    assert.matches("warning: the anchor " .. p.home .. "/away says nothing", p.run("restore", p.home .. "/copy").err, 1, true)
  end)

  it("that is there and cannot be read ends the command, and nothing is signed", function()
    local p, note = rolled_back()
    p.shell "cp -r $HOME/git $HOME/kept"
    local file = p.shell("echo $HOME/*.checkpoint").out:match "%S+"
    local unread = "the anchor " .. p.home .. "/git cannot be read: "
    for harm, words in pairs {
      [": >" .. file] = "the anchor " .. file .. " cannot be read: " .. file .. ": it is empty",
      ["rm " .. file .. " && mkdir " .. file] = file .. ": Is a directory",
      ["for o in $HOME/git/.git/objects/??/*; do chmod u+w $o; : >$o; done"] = unread,
      [": >$HOME/git/.git/$(git -C $HOME/git symbolic-ref HEAD)"] = unread,
      ["rm -r $HOME/git/.git"] = "not a git repository",
    } do
      p.shell(harm)
      for _, config in ipairs { "", ", checkpoint = { events = 1 }" } do
        p.config(("return { anchors = { { file = %q }, { git = %q } } %s }"):format(p.home .. "/{store}.checkpoint",
          p.home .. "/git", config))
        for _, command in ipairs { "verify", "checkpoint" } do
          local refused = p.run(command)
          assert.equal(1, refused.status, harm .. ": " .. command)
          assert.matches(words, refused.err, 1, true)
          assert.matches("\nhint: mend it, or put back what it had", refused.err, 1, true)
        end
      end
      local moved = p.run("exec", "Account/1", "move", "cents=1", "--as", "user:jane")
      assert.equal(0, moved.status)
      assert.matches(words, moved.err, 1, true)
      assert.equal("0", p.shell("sqlite3 store.db 'SELECT count(*) FROM checkpoints'").out:match "%d+")
      p.shell("rm -rf $HOME/git " .. file .. "; cp -r $HOME/kept $HOME/git; cp $HOME/note " .. file)
      assert.equal(note .. note, p.kept())
    end
    -- of another owner, as git sees it
    local refused = p.shell("GIT_TEST_ASSUME_DIFFERENT_OWNER=1 " .. support.quote(support.bin) .. " checkpoint")
    assert.equal(1, refused.status)
    assert.matches("detected dubious ownership", refused.err, 1, true)
    assert.equal(6, p.run("checkpoint").status)
  end)

  it("that is another store's alone is named when no other one knows this store, whose id may have been changed", function()
    local p = project()
    p.must "keygen"
    local id = p.must("keygen", "--public"):match "^esrun/([^+]+)"
    local function warnings(others, bound)
      p.config(("return { anchors = { %s { file = %q, store = %q }, { command = 'cat >/dev/null', store = 'x' } } }"):format(
        others, p.home .. "/{store}.checkpoint", bound))
      local told = p.must "verify"
      assert.matches(": intact", told, 1, true)
      return select(2, told:gsub("\nwarning: ", "")), told
    end
    warnings("", id)
    p.must("checkpoint", "--out", p.home .. "/note")
    assert.equal(0, (warnings("", id)))
    local other = "0195561c-5b02-7000-8a44-0d2f5f1c9e77"
    local count, told = warnings("", other)
    assert.equal(1, count)
    assert.matches("/{store}.checkpoint says nothing: it was not asked, for it is the store " .. other .. "'s alone\n", told, 1,
      true)
    assert.matches("it was not asked", p.run "checkpoint".err, 1, true)
    assert.equal(1, #cjson.decode(p.must("verify", "--output", "json")).silent_anchors)
    assert.equal(2, (warnings(("{ file = %q }, "):format(p.home .. "/gone"), other)))
    assert.equal(0, (warnings(("{ file = %q }, "):format(p.home .. "/note"), other)))
  end)

  it("is configured by what is a list, with paths from the root, in a file that can be read", function()
    local p = project()
    local function refused(text, config)
      p.config(config)
      local result = p.run "verify"
      assert.equal(2, result.status, result.err)
      assert.matches(text, result.err, 1, true)
    end
    refused("anchors: a list is expected: anchors = { {", "return { anchors = { file = '/x' } }")
    refused("trust: a list is expected", "return { trust = { 5 } }")
    refused("keys: a list is expected", "return { keys = { 5 } }")
    refused("config.lua: trust: it has a NUL byte", "return { trust = { 'name+hash\\0+key' } }")
    refused("config.lua: anchor 1: read: it has a NUL byte", "return { anchors = { { read = 'true\\0false' } } }")
    refused("anchor 1: 'x' depends on the folder one is in", "return { anchors = { { file = 'x' } } }")
    refused("anchor 1: 'g' depends on the folder one is in", "return { anchors = { { git = 'g' } } }")
    p.shell "rm -r $HOME/.config/esrun/config.lua && mkdir $HOME/.config/esrun/config.lua"
    local unread = p.run "verify"
    assert.equal(2, unread.status)
    assert.matches("cannot read the configuration", unread.err, 1, true)
  end)

  it("never gets a private key repeated", function()
    local p = project()
    local refused = p.run("verify", "--key", "PRIVATE+KEY+name+c74f20a3+secret")
    assert.equal(2, refused.status)
    assert.matches("this is a private key", refused.err, 1, true)
    assert.not_matches("secret", refused.err, 1, true)
  end)

  it("is no part of a store, of the signer's memory or of the keys", function()
    local p = project()
    p.must "keygen"
    p.must("project", "run")
    p.must("checkpoint", "--out", p.home .. "/note")
    p.shell "ln -s store.db link.db; ln -s . folder"
    local place = p.folder .. "/"
    local projection = p.shell("ls store.db-projections").out:match "%S+"
    local store_id = p.shell("basename -s .key $HOME/.local/share/esrun/keys/*").out:match "%S+"
    for file, what in pairs {
      [place .. "store.db"] = "a store, or a part of one", [place .. "store.db-wal"] = "a store, or a part of one",
      [place .. "folder/store.db-shm"] = "a store, or a part of one", [place .. "link.db"] = "a store, or a part of one",
      [place .. "store.db-queue"] = "a store, or a part of one",
      [place .. "store.db-projections/" .. projection] = "a store, or a part of one",
      [place .. "store.db-projections/new"] = "a store, or a part of one",
      [p.home .. "/.local/state/esrun/signer/new"] = "in the signer's memory",
      [p.home .. "/.local/share/esrun/keys/{store}.key"] = "a signing key, or this configuration",
      [p.home .. "/.config/esrun/config.lua"] = "a signing key, or this configuration",
    } do
      p.config(("return { checkpoint = { events = 1 }, anchors = { { file = %q } } }"):format(file))
      local secrets = "cat $HOME/.local/share/esrun/keys/* $HOME/.config/esrun/config.lua"
      local before, named = p.shell(secrets).out, file:gsub("{store}", store_id)
      for _, command in ipairs { "verify", "checkpoint" } do
        local refused = p.run(command)
        assert.equal(2, refused.status, file)
        assert.matches("the anchor " .. named .. " is " .. what .. "\nhint: name another file", refused.err, 1, true)
      end
      local moved = p.run("exec", "Account/1", "move", "cents=1", "--as", "user:jane")
      assert.equal(0, moved.status)
      assert.matches("warning: the anchor ", moved.err, 1, true)
      assert.equal(before, p.shell(secrets).out)
    end
    p.shell "rm $HOME/.config/esrun/config.lua"
    p.must "verify"
  end)
end)
