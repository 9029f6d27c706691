-- What the ledger's commands are given and cannot use: each a clear error and the right exit status (2 usage, 6 integrity), and
-- nothing lost.
local cjson = require "cjson"
local project = require "tests.cli.signed_project"
local support = require "tests.cli.support"

describe("esrun's ledger refuses", function()
  local p, vkey, id, event, other_event

  setup(function()
    p = project()
    p.must "keygen"
    vkey = p.must("keygen", "--public"):gsub("\n", "")
    p.must("checkpoint", "--out", p.home .. "/note")
    local lines = {}
    for line in p.must("export"):gmatch "[^\n]+" do lines[#lines + 1] = line end
    id, event, other_event = cjson.decode(lines[1]).event_id, lines[1], lines[2]
    p.must("prove", id, "--out", p.home .. "/proof")
  end)
  teardown(support.clean)

  -- Runs a command; its status and the part of its message that says what is wrong.
  local function refused(status, words, ...)
    local result = p.run(...)
    assert.equal(status, result.status, result.err)
    assert.matches(words, result.err, 1, true)
    assert.equal("", result.out:gsub("^.*DAMAGED.*$", ""))
    assert.matches("^anchored positions 1 to 2", p.must "verify") -- nothing is lost
  end

  local function file(name, text)
    support.write(p.home .. "/" .. name, text)
    return p.home .. "/" .. name
  end

  it("a key that is not the signer's", function()
    local other = p.must("keygen", "--name", "example.com/other", "--out", p.home .. "/other"):gsub("\n", "")
    refused(6, "none of the given keys signed this: the last signature is by esrun/", "verify-proof", p.home .. "/proof",
      "--key", other)
    refused(2, "none of the given keys signed the last checkpoint", "checkpoint", "--key", p.home .. "/other")
  end)

  it("a key with the signer's name and id, and other bytes", function()
    local name, key_id = vkey:match "^([^+]+)%+(%x+)%+"
    refused(2, "key", "verify-proof", p.home .. "/proof", "--key", name .. "+" .. key_id
      .. "+AbPdXJSyYKdeeQ6N9k4o5J+b6SDqgGLxTBxN6PJ1Yq8B")
  end)

  it("a key of a type that is not known", function()
    local name, bytes = vkey:match "^([^+]+)%+%x+%+(.*)$"
    local unknown = name .. "+00000000+" .. "D" .. bytes:sub(2)
    refused(2, "type", "verify-proof", p.home .. "/proof", "--key", unknown)
    refused(2, "type", "verify", "--key", unknown)
    local key = file("unknown.key", "PRIVATE+KEY+" .. unknown .. "\n")
    p.shell("chmod 600 " .. key)
    refused(2, "type", "checkpoint", "--key", key)
  end)

  it("a note with a bad signature line", function()
    local note = support.read(p.home .. "/note")
    for words, text in pairs {
      ["does not hold"] = note:gsub("(\n— [^ ]+ .........)(.)", function(before, character)
        return before .. (character == "A" and "B" or "A")
      end),
      ["signature line 1 does not begin with an em dash"] = note:gsub("\n— ", "\n-- "),
      ["it has no signatures"] = note:gsub("\n— .*$", "\n"),
      ["does not end in a newline"] = note:sub(1, -2),
    } do
      local result = p.run("verify", "--anchor", file("bad.checkpoint", text))
      assert.equal(6, result.status, words)
      assert.matches(words, result.out, 1, true)
    end
  end)

  it("a NUL byte, with the name of the file that has it", function()
    local note, proof = support.read(p.home .. "/note"), support.read(p.home .. "/proof")
    local nul = file("nul", note .. "\0")
    refused(6, "--anchor: " .. nul .. ": it has a NUL byte", "verify", "--anchor", nul)
    refused(6, "--old: " .. nul .. ": it has a NUL byte", "verify-proof", p.home .. "/proof", "--key", vkey, "--old", nul)
    refused(2, "option: " .. nul .. ": it has a NUL byte", "verify-proof", p.home .. "/proof", "--key", nul)
    refused(2, "--key: " .. nul .. ": it has a NUL byte", "verify", "--key", nul)
    local line = file("nul.json", '{"a":"\0"}')
    refused(2, "option: " .. line .. ": it has a NUL byte", "verify-proof", p.home .. "/proof", "--key", vkey, "--event", line)
    refused(2, "--vkey: " .. nul .. ": it has a NUL byte", "export", "--bundle", "audit", "--vkey", nul)
    local cut = file("nul.proof", proof:sub(1, 9) .. "\0" .. proof:sub(10))
    refused(6, "FILE: " .. cut .. ": it has a NUL byte", "verify-proof", cut, "--key", vkey)
    for _, anchor in ipairs { ("file = %q"):format(nul), ("read = %q"):format("cat " .. nul) } do
      p.config(("return { anchors = { { %s } } }"):format(anchor))
      for _, command in ipairs { "verify", "checkpoint" } do
        local result = p.run(command)
        assert.equal(6, result.status, result.err)
        assert.matches("the anchor .*nul: it has a NUL byte", result.err)
      end
    end
    p.config "return {}"
  end)

  it("a checkpoint of another store", function()
    local other = project()
    other.must "keygen"
    other.must("checkpoint", "--out", p.home .. "/foreign")
    local result = p.run("verify", "--anchor", p.home .. "/foreign")
    assert.equal(6, result.status)
    assert.matches("foreign %(anchor%): against anchor .*: the checkpoint is of esrun/", result.out)
  end)

  it("a proof of another event", function()
    refused(6, "another event", "verify-proof", p.home .. "/proof", "--key", vkey, "--event", other_event)
  end)

  it("an event whose line names another hash than that of its content", function()
    local forged = event:gsub('"hash":"%x+"', '"hash":"' .. ("0"):rep(64) .. '"')
    assert.not_equal(event, forged)
    p.must("verify-proof", p.home .. "/proof", "--key", vkey, "--event", event)
    refused(6, "the line names another hash", "verify-proof", p.home .. "/proof", "--key", vkey, "--event", forged)
  end)

  it("a proof and a checkpoint that were cut off", function()
    local proof, note = support.read(p.home .. "/proof"), support.read(p.home .. "/note")
    for length = 0, #proof - 1, 37 do -- at every byte: test_ledger_proof.c
      local result = p.run("verify-proof", file("cut", proof:sub(1, length)), "--key", vkey)
      assert.equal(6, result.status, length)
      assert.matches("^esrun: verify%-proof: .", result.err)
    end
    for length = 0, #note - 1, 37 do
      local result = p.run("verify", "--anchor", file("cut", note:sub(1, length)))
      assert.equal(6, result.status, length)
    end
  end)

  it("a tree of no event where one event is to be proved", function()
    refused(2, "--from", "prove", "--from", "0")
    refused(5, "no checkpoint", "prove", "--from", "1", "--to", "7")
  end)

  it("to take a full disk for an anchor", function()
    local kept = p.home .. "/full"
    p.config(("return { anchors = { { file = %q } } }"):format(kept))
    p.shell("cd $HOME; " .. p.FULL)
    local result = p.run "checkpoint"
    assert.equal(1, result.status)
    assert.matches("did not take the checkpoint: .*No space left on device\nhint: .*run esrun checkpoint again", result.err)
    assert.equal(0, p.shell("test -c $HOME/full && rm $HOME/full").status)
    assert.equal("", p.shell("ls $HOME/*.part 2>/dev/null").out)
    assert.equal(p.must "checkpoint", support.read(kept)) -- with room again
    p.shell "rm $HOME/.config/esrun/config.lua"
  end)

  it("to wait for a FIFO or to read a device to its end", function()
    local bin = "NO_COLOR=1 timeout 20 " .. support.quote(support.bin)
    p.shell "mkfifo $HOME/fifo; mkdir -p $HOME/project $HOME/.config/esrun; mkfifo $HOME/project/esrun.lua"
    for command, words in pairs {
      ["verify --anchor $HOME/fifo"] = "%-%-anchor: cannot read .*fifo: it is no file",
      ["verify --anchor /dev/zero"] = "%-%-anchor: cannot read /dev/zero: it is no file",
      ["verify --key $HOME/fifo"] = "%-%-key: cannot read .*fifo: it is no file",
      ["verify-proof $HOME/fifo --key " .. support.quote(vkey)] = "cannot read .*fifo: it is no file",
      ["verify-proof $HOME/proof --key $HOME/fifo"] = "cannot read .*fifo: it is no file",
      ["checkpoint --key $HOME/fifo"] = "fifo is not a regular file",
      ["--store $HOME/fifo verify"] = "fifo: this is no file, not a store",
      ["--store $HOME/fifo exec Account/1 move cents=1"] = "fifo: this is no file, not a store",
      ["--store $HOME/new.db restore $HOME/fifo"] = "fifo: this is no file, not a store",
      ["--project $HOME/project verify"] = "esrun.lua: not a regular file",
    } do
      local result = p.shell(bin .. " " .. command)
      assert.not_equal(124, result.status, command)
      assert.not_equal(0, result.status, command)
      assert.matches(words, result.err)
    end
    assert.matches("fifo: this is no file", p.shell(bin .. " --store $HOME/fifo doctor").out)
    p.shell "mkfifo $HOME/.config/esrun/config.lua"
    assert.matches("cannot read the configuration .*: it is no file", p.shell(bin .. " verify").err)
    p.shell "rm $HOME/.config/esrun/config.lua"
  end)

  it("nothing that the shell hands over", function()
    for _, command in ipairs {
      "verify --anchor /dev/stdin <$HOME/note", "verify --anchor <(cat $HOME/note)",
      "verify --key <(echo " .. vkey .. ")", "verify-proof <(cat $HOME/proof) --key " .. vkey,
      "verify-proof /dev/stdin --key " .. vkey .. " < <(cat $HOME/proof)",
    } do
      local result = p.shell("bash -c " .. support.quote(support.quote(support.bin) .. " " .. command))
      assert.equal(0, result.status, command .. ": " .. result.err)
    end
  end)

  it("to need OpenSSL's library for anything but keys", function()
    p.shell "mkdir $HOME/lib; echo 'no library' >$HOME/lib/libcrypto.so.3"
    local function without(command)
      return p.shell(("LD_LIBRARY_PATH=$HOME/lib NO_COLOR=1 %s %s"):format(support.quote(support.bin), command))
    end
    local moved = without "exec Account/1 move cents=1 --as user:jane"
    assert.equal(0, moved.status, moved.err)
    assert.equal(0, without("show Account/1").status)
    local made = without "keygen --out $HOME/new"
    assert.equal(1, made.status)
    assert.matches("OpenSSL could not be loaded: .*libcrypto%.so%.3", made.err)
    assert.matches("\nhint: keys and signatures need it: install Debian's package libssl3", made.err)
    assert.is_false(support.exists(p.home .. "/new"))
    assert.equal(1, without("checkpoint").status)
    assert.equal(1, without("verify-proof $HOME/proof --key " .. support.quote(vkey)).status)
    support.write(p.folder .. "/again.lua", [[
      local ledger = require "esrun.ledger"
      local key, why = ledger.keygen { name = "again", path = os.getenv "HOME" .. "/again" }
      assert(not key and why:find "could not be loaded", why)
      assert(os.remove(os.getenv "HOME" .. "/lib/libcrypto.so.3"))
      print(assert(ledger.keygen { name = "again", path = os.getenv "HOME" .. "/again" }))]])
    p.shell "cp $HOME/lib/libcrypto.so.3 $HOME/kept"
    local again = without "run again.lua"
    assert.equal(0, again.status, again.err)
    assert.matches("^again%+", again.out)
    p.shell "mv $HOME/kept $HOME/lib/libcrypto.so.3"
    assert.matches("failure +keys +OpenSSL cannot be loaded.-\n +to mend: install", without("doctor").out)
  end)
end)
