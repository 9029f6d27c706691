-- Starting, testing and trying out a project: esrun init, test, run, repl, and --watch.
local support = dofile "tests/cli/support.lua"
local esrun = require "esrun"

local ACCOUNT = support.ACCOUNT

local function run(folder, ...) return support.run(folder, { ... }) end

-- A plain lua5.4 that loads a module built with a sanitizer needs the sanitizer before it.
local PRELOAD = os.getenv "LD_PRELOAD" and ("LD_PRELOAD=%s "):format(support.quote(os.getenv "LD_PRELOAD")) or ""

-- `esrun test` in a folder.
local function run_specs(folder, ...)
  local words = { support.quote(support.bin), "test" }
  for _, word in ipairs { ... } do words[#words + 1] = support.quote(word) end
  return support.shell(folder, PRELOAD .. table.concat(words, " "))
end

describe("esrun init", function()
  after_each(function() support.clean() end)

  it("says how to go to a folder with any name", function()
    assert.matches("\n  cd 'my shop'\n", run(support.new_folder(), "init", "my shop").out, 1, true)
  end)

  for _, template in ipairs { "document", "orders", "blank" } do
    it("writes a project that runs, with specifications that pass: " .. template, function()
      local folder = support.new_folder()
      local result = run(folder, "init", "--template", template, "shop/new")
      assert.equal("", result.err)
      assert.equal(0, result.status)
      assert.matches("^wrote %d+ files into shop/new, from the template " .. template .. "\nnext:\n  cd shop/new\n  esrun test\n",
        result.out)
      local project = folder .. "/shop/new"
      result = run_specs(project)
      assert.matches("0 failures / 0 errors", result.out, 1, true)
      assert.equal(0, result.status)
      result = run(project, "lint", "--strict")
      assert.equal(0, result.status, result.out)
      assert.equal(0, support.shell(project, "luacheck -q --no-color .").status)
      assert.is_nil(support.read(project .. "/README.md"):find("<!--", 1, true))
      assert.is_nil(support.read(project .. "/README.md"):find("](../", 1, true))
      local settings = assert(esrun.json.decode(support.read(project .. "/.luarc.json")))
      assert.matches("/annotations$", settings["workspace.library"][1])
      assert.is_nil(settings["workspace.library"][1]:find("..", 1, true))
    end)
  end

  it("writes the examples as they are, so that they cannot drift", function()
    local folder = support.new_folder()
    assert.equal(0, run(folder, "init").status) -- the document example, here
    for _, path in ipairs { "aggregates/document.lua", "projections/document_audit.lua", "demo.lua", "esrun.lua",
      "spec/document_spec.lua", ".luacheckrc" } do
      assert.equal(support.read(support.root .. "/examples/document/" .. path), support.read(folder .. "/" .. path))
    end
    assert.equal(0, run(folder, "exec", "Document/1", "create", "title=A", "content=B", "--as", "user:me").status)
  end)

  it("refuses a folder that is not empty, and names what is in it", function()
    local folder = support.new_folder()
    support.write(folder .. "/notes/.hidden", "x")
    local result = run(folder, "init", "notes")
    assert.equal(2, result.status)
    assert.equal("", result.out)
    assert.equal("esrun: init: notes is not empty: it holds .hidden\nhint: name a new folder: esrun init my-project\n",
      result.err)
    assert.equal("x", support.read(folder .. "/notes/.hidden"))
    result = run(folder, "init")
    assert.equal(2, result.status)
    assert.matches("this folder is not empty: it holds notes", result.err, 1, true)
  end)

  it("refuses a file, and a template that there is not", function()
    local folder = support.new_folder()
    support.write(folder .. "/file", "x")
    assert.matches("file is not a folder", run(folder, "init", "file").err, 1, true)
    assert.equal(2, run(folder, "init", "file").status)
    assert.equal(1, run(folder, "init", "file/below").status)
    assert.equal(2, run(folder, "init", "--template", "nothing", "x").status)
    assert.is_false(support.exists(folder .. "/x/esrun.lua"))
  end)

  it("tells a program what it wrote", function()
    local folder = support.new_folder()
    local told = assert(esrun.json.decode(run(folder, "init", "--template", "blank", "p", "--output", "json").out))
    assert.equal("blank", told.template)
    for _, path in ipairs(told.files) do assert.is_true(support.exists(folder .. "/p/" .. path), path) end
  end)
end)

describe("a project's settings", function()
  after_each(function() support.clean() end)

  it("are refused when they are no table, when they hold functions, and when another user owns them", function()
    local folder = support.project { ["esrun.lua"] = "return 1" }
    local result = run(folder, "config")
    assert.equal(2, result.status)
    assert.matches("esrun.lua", result.err, 1, true)
    support.write(folder .. "/esrun.lua", "return { store = function() end }")
    result = run(folder, "config")
    assert.equal(2, result.status)
    assert.matches("esrun.lua: store must be", result.err, 1, true)
    support.write(folder .. "/esrun.lua", "return {}")
    if os.execute("chown 65534 " .. support.quote(folder .. "/esrun.lua") .. " 2>/dev/null") then
      result = run(folder, "config")
      assert.equal(2, result.status)
      assert.matches("esrun.lua", result.err, 1, true)
    end
  end)
end)

describe("esrun test", function()
  after_each(function() support.clean() end)

  local PASSES = [[
local t = require "es.testing"
describe("an account", function()
  it("opens", function() t.given():when("Account/1", "open", {}, { actor_id = "user:a" }):then_events { "AccountOpened" } end)
  it("counts", function() t.given():then_rows("balances", "richest", {}, {}) end)
end)
]]

  it("runs what is in spec, from anywhere in the project, on stores in memory", function()
    local folder = support.project { ["spec/account_spec.lua"] = PASSES }
    support.write(folder .. "/below/x", "")
    local result = run_specs(folder .. "/below")
    assert.matches("2 successes / 0 failures / 0 errors", result.out, 1, true)
    assert.equal(0, result.status)
    assert.is_false(support.exists(folder .. "/store.db"))
  end)

  it("fails when a specification fails, and runs the files and names it is told", function()
    local folder = support.project {
      ["spec/account_spec.lua"] = PASSES, ["spec/wrong_spec.lua"] = "it('is wrong', function() assert.equal(1, 2) end)",
    }
    local result = run_specs(folder)
    assert.equal(1, result.status)
    assert.matches("2 successes / 1 failure", result.out, 1, true)
    assert.equal(0, run_specs(folder .. "/spec", "account_spec.lua").status)
    assert.matches("1 success / 0 failures", run_specs(folder, "--filter", "opens").out, 1, true)
  end)

  it("says what is missing", function()
    local folder = support.project { ["spec/account_spec.lua"] = PASSES }
    local result = support.shell(folder, "PATH=/nonexistent " .. support.quote(support.bin) .. " test")
    assert.equal(1, result.status)
    assert.equal("esrun: test: busted is not installed\n"
      .. "hint: it runs the specifications; on Debian: apt-get install lua-busted\n", result.err)
    result = run(support.project(), "test")
    assert.equal(5, result.status)
    assert.matches("there is no folder spec", result.err, 1, true)
    assert.equal(5, run("/", "test").status)
    result = run_specs(folder, "spec", "spec/acount_spec.lua")
    assert.equal(5, result.status)
    assert.equal("esrun: test: there is no file or folder spec/acount_spec.lua\n", result.err)
  end)
end)

describe("esrun run", function()
  after_each(function() support.clean() end)

  -- covers E26
  it("refuses a script that leaves a context frame behind, whether it closed the runtime or not", function()
    for _, open in ipairs { "local es <close> =", "es =" } do
      local folder = support.project { ["leak.lua"] = open .. [[ assert(require "esrun".open())
es.context.enter { actor_id = "user:jane" }
es.context.run({ actor_id = "user:joe" }, function() end)
]] }
      local result = run("/", "run", folder .. "/leak.lua")
      assert.matches("leak.lua left 1 context frame behind", result.err, 1, true)
      assert.equal(1, result.status)
    end
  end)

  it("gives a script its words and opens the project it lies in", function()
    local folder = support.project { ["scripts/who.lua"] = [[
local esrun = require "esrun"
local es <close> = assert(esrun.open { clock = function() return "2024-01-01T00:00:00Z" end })
es.context.run({ actor_id = "user:" .. ... }, function() assert(es:execute("Account/1", "open")) end)
print(arg[0], select("#", ...), arg[2], es:info().store.path)
print((require "beside"))
]], ["scripts/beside.lua"] = "return 'beside'" }
    local result = run("/", "run", folder .. "/scripts/who.lua", "jane", "--output", "x")
    assert.equal("", result.err)
    assert.equal(("%s/scripts/who.lua\t3\t--output\t%s/store.db\nbeside\n"):format(folder, folder), result.out)
    assert.equal(0, result.status)
    result = run("/", "run", "--store", folder .. "/other.db", folder .. "/scripts/who.lua", "jane")
    assert.matches("/other.db\n", result.out, 1, true)
  end)

  it("lets a script warn, when it has turned warnings on, as lua does", function()
    local folder = support.project {
      ["warn.lua"] = "warn('unheard') warn '@on' warn('one ', 'two') warn '@off' warn 'unheard'",
    }
    assert.equal("Lua warning: one two\n", run(folder, "run", "warn.lua").err)
  end)

  it("ends with the script's own status, or says what failed", function()
    local folder = support.project {
      ["three.lua"] = "return 3", ["raise.lua"] = "local function deep() error 'no luck' end\ndeep()",
      ["refused.lua"] = "local es = assert(require 'esrun'.open { store = ':memory:' })\n"
        .. "for _ in es:rows('nothing', 'x') do end",
      ["wrong.lua"] = "x = = 1", ["binary.lua"] = "\27Lua", ["table.lua"] = "error { why = 'so' }",
      ["message.lua"] = "error { message = 'so' }", ["nothing.lua"] = "error()", ["many.lua"] = "return 256",
    }
    assert.equal(3, run(folder, "run", "three.lua").status)
    local result = run(folder, "run", "raise.lua")
    assert.equal(8, result.status)
    assert.matches("^esrun: run: raise.lua:1: no luck\n", result.err)
    assert.matches("hint: it came from raise.lua:1: in .*, called from raise.lua:2: in main chunk\n$", result.err)
    result = run(folder, "run", "refused.lua")
    assert.equal(5, result.status)
    assert.matches("there is no projection", result.err)
    for script, want in pairs {
      ["wrong.lua"] = "8 esrun: run: wrong.lua:1: unexpected symbol near '='\n",
      ["binary.lua"] = "8 esrun: run: binary.lua: attempt to load a binary chunk (mode is 't')\n",
      ["table.lua"] = "8 esrun: run: an error raised { why = \"so\" }\nhint: it came from table.lua:1: in main chunk\n",
      ["message.lua"] = "8 esrun: run: so\nhint: it came from message.lua:1: in main chunk\n",
      ["nothing.lua"] = "8 esrun: run: an error without a message\nhint: it came from nothing.lua:1: in main chunk\n",
      ["many.lua"] = "1 esrun: run: many.lua returned 256, which is no exit status\n"
        .. "hint: return a number from 0 to 255, or nothing\n",
    } do
      result = run(folder, "run", script)
      assert.equal(want, ("%d %s"):format(result.status, result.err))
    end
    assert.equal(5, run(folder, "run", "absent.lua").status)
    assert.equal(2, run(folder, "run").status)
  end)
end)

describe("esrun repl", function()
  after_each(function() support.clean() end)

  local function repl(folder, input, ...) return support.run(folder, { "repl", ... }, input) end

  local function with_account()
    local folder = support.project()
    assert.equal(0, run(folder, "exec", "Account/1", "open", "--as", "user:jane").status)
    return folder
  end

  it("shows the values of expressions, takes statements and several lines, and goes on after mistakes", function()
    local result = repl(with_account(), [[
1 + 1, "a", nil
x = { b = 2.0 }
x
for i = 1, 2 do
print(i)
end
= es:load("Account/1").state
x = = 1
error "no"
error { code = 1 }
nothing.at.all
]])
    assert.equal('2\t"a"\tnil\n{ b = 2.0 }\n1\n2\n{ cents = 0, owner = "user:jane" }\n'
      .. "error: input:1: unexpected symbol near '='\nerror: input:1: no\n", (result.out:match "^(.-)error: table"))
    assert.matches("attempt to index a nil value (global 'nothing')\n", result.out, 1, true)
    assert.equal("", result.err)
    assert.equal(0, result.status)
  end)

  it("reads only, unless told to write", function()
    local folder = with_account()
    local line = 'es:execute("Account/1", "move", { cents = 5 }) and "moved"\n'
    assert.equal("store: the store was opened read-only\nhint: open it for writing, or use a dry run\n",
      repl(folder, 'es:execute("Account/1", "move", { cents = 5 })\n', "--as", "user:jane").out)
    assert.equal('"moved"\n', repl(folder, line, "--write", "--as", "user:jane").out)
    assert.equal("denied: Role required: teller\n",
      repl(folder, 'es:execute("Account/1", "move", { cents = 5 })\n', "--write", "--as", "user:ken").out)
  end)

  it("puts changed modules in force with --watch, and keeps the old ones when the new are wrong", function()
    local folder = with_account()
    local result = repl(folder, ([[
write = function(text) local f = io.open(%q, "w") f:write(text) f:close() end
text = io.open(%q):read "a"
write(text .. "nonsense here")
es:load("Account/1").version
write((text:gsub("cents = 0", "cents = 7")))
es:load("Account/1").state.cents
]]):format(folder .. "/aggregates/account.lua", folder .. "/aggregates/account.lua"), "--watch")
    assert.matches("not reloaded: aggregates/account.lua:%d+: .-\n1\n", result.out)
    assert.matches("modules reloaded\n7\n$", result.out)
  end)

  -- The command in `folder` on a terminal; `program` is Python that waits for text with until() and types with os.write(fd, …).
  local function on_terminal(folder, program, environment)
    support.write(folder .. "/terminal.py", [[
import os, pty, select, signal, sys
pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.environ["HOME"] = sys.argv[2]
    os.environ["LC_ALL"] = "C.UTF-8"
    os.environ.pop("XDG_STATE_HOME", None)
    os.execv(sys.argv[1], [sys.argv[1], "repl"])
seen, wanted = b"", b""
signal.signal(signal.SIGALRM, lambda *_: sys.exit("waited for %r, saw %r" % (wanted, seen[-1000:])))
signal.alarm(60) # a bound for what hangs; nothing below waits for time to pass
def until(text):
    global seen, wanted
    wanted = text
    while text not in seen:
        chunk = os.read(fd, 4096)
        if not chunk: sys.exit("gone: " + seen.decode("utf8", "replace"))
        seen += chunk
    seen = seen.split(text, 1)[1]
# The signal itself, since a terminal throws away what is printed just after Ctrl-C. Lua may lose one.
def interrupt():
    os.kill(pid, signal.SIGINT)
    return select.select([fd], [], [], 1)[0]
# Again and again: libedit shows its prompt and then changes the terminal's mode, in which change Ctrl-D gets lost.
def end():
    try:
        while True:
            os.write(fd, b"\x15\x04") # with Ctrl-U, for what was half taken
            if select.select([fd], [], [], 0.1)[0] and not os.read(fd, 4096): return
    except OSError: return # nobody is there any more
]] .. program .. [[
end()
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
]])
    local result = support.shell(folder, ("%s timeout 70 python3 terminal.py %s %s"):format(environment or "",
      support.quote(support.bin), support.quote(folder)))
    assert.equal("", result.err)
    assert.equal(0, result.status)
  end

  it("edits lines on a terminal and keeps a history for its user alone", function()
    local folder = with_account()
    on_terminal(folder, [[
until(b"> ") # what is typed before a prompt is there may be thrown away when the terminal changes its mode
os.write(fd, b"40 + 3\b2\r")
until(b"42\r\n")
until(b"> ")
os.write(fd, b"\x1b[A\r")
until(b"42\r\n")
until(b"> ")
]])
    local history = folder .. "/.local/state/esrun/history"
    assert.matches("40\\040+\\0402\n", support.read(history), 1, true) -- libedit writes spaces so
    assert.equal("600\n", support.shell(folder, "stat -c %a " .. support.quote(history)).out)
  end)

  -- Ctrl-C in every place where it may meet the session, which goes on each time. Another prompt is asked for, since the
  -- terminal may have thrown away the first.
  local INTERRUPTED = [[
until(b"> ")
os.write(fd, b"os.exit(3) \x03\r")
until(b"> ")
os.write(fd, b"= {\r")
until(b">> ")
os.write(fd, b"\x03\r")
until(b"> ")
os.write(fd, b"print 'on' while true do end\r")
until(b"on\r\n")
while not interrupt(): pass
until(b"interrupted\r\n")
until(b"> ")
os.write(fd, "#'\u00fc'\r".encode())
until(b"\n2\r\n")
until(b"> ")
os.write(fd, b"40 + 2\r")
until(b"42\r\n")
until(b"> ")
]]

  it("abandons what was typed and stops what runs at Ctrl-C, and goes on", function()
    on_terminal(with_account(), INTERRUPTED)
  end)

  it("ends at a third Ctrl-C, when what runs does not stop, with its history kept", function()
    local folder = with_account()
    on_terminal(folder, [[
try:
    while True: # until the first one meets the search and not the way to it
        until(b"> ")
        os.write(fd, b"print 'on' string.find(('a'):rep(9999), '.-.-.-.-b')\r")
        until(b"on\r\n")
        while not interrupt(): pass
        seen += os.read(fd, 4096)
except OSError: pass # nobody is there any more
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) + 2) # ended by signal 2
]])
    assert.matches("string.find", support.read(folder .. "/.local/state/esrun/history"), 1, true)
  end)

  it("reads plain lines where libedit is not installed, and says so", function()
    local folder = with_account()
    for _, name in ipairs { "libedit.so.2", "libedit.so.0" } do support.write(folder .. "/lib/" .. name, "no library") end
    on_terminal(folder, [[
until(b"esrun: lines cannot be edited: libedit is not there: ")
until(b"hint: install libedit2\r\n")
]] .. INTERRUPTED, "LD_LIBRARY_PATH=" .. support.quote(folder .. "/lib"))
  end)
end)

describe("esrun project run --follow --watch", function()
  after_each(function() support.clean() end)

  it("keeps up with events and with modules, until an interrupt", function()
    local folder = support.project()
    assert.equal(0, run(folder, "exec", "Account/1", "open", "--as", "user:jane").status)
    local command = "cd %s && sh -c 'echo $$; exec timeout -k 5 30 %s project run balances --follow --watch 2>&1'"
    local pipe = assert(io.popen(command:format(support.quote(folder), support.bin)))
    local pid = pipe:read "l"
    assert.equal("balances is at position 1", pipe:read "l")
    assert.equal(0, run(folder, "exec", "Account/1", "move", "cents=5", "--as", "user:jane").status)
    assert.equal("balances is at position 2", pipe:read "l")
    support.write(folder .. "/projections/balances.lua", "return nothing")
    assert.matches("^esrun: project: modules not reloaded: projections/balances.lua:1: 'nothing' is not defined", pipe:read "l")
    support.write(folder .. "/projections/balances.lua", (support.BALANCES:gsub("e.data.cents }", "2 * e.data.cents }")))
    assert.equal("modules reloaded", pipe:read "l")
    assert.equal("balances is at position 2", pipe:read "l")
    os.execute("kill -INT " .. pid)
    assert.is_nil(pipe:read "l")
    pipe:close()
    assert.matches("1 +10\n", run(folder, "project", "query", "balances", "richest").out)
  end)

  it("is asked for where it makes sense", function()
    local folder = support.project()
    assert.equal(2, run(folder, "project", "status", "--follow").status)
    assert.equal(2, run(folder, "project", "run", "--watch").status)
    assert.equal(0, run(folder, "exec", "Account/1", "open", "--as", "user:jane").status)
    assert.equal(2, run(folder, "project", "run", "--follow", "--output", "json").status)
  end)
end)

describe("esrun test --watch", function()
  after_each(function() support.clean() end)

  it("runs again when a module changes, until an interrupt", function()
    local folder = support.project { ["spec/account_spec.lua"] = [[
local t = require "es.testing"
it("starts at nothing", function()
  t.given { { "Account/1", "AccountOpened", {} } }:then_state { cents = 0 }
end)
]] }
    local command = "cd %s && sh -c 'echo $$; exec timeout -k 5 60 %s test --watch 2>&1'"
    local pipe = assert(io.popen(command:format(support.quote(folder), support.bin)))
    local pid = pipe:read "l"
    local function until_line(pattern)
      for line in pipe:lines() do
        if line:find(pattern) then return true end
      end
      return false
    end
    assert.is_true(until_line "1 success / 0 failures")
    assert.is_true(until_line "watching")
    support.write(folder .. "/aggregates/account.lua", (ACCOUNT:gsub("cents = 0", "cents = 7")))
    assert.is_true(until_line "0 successes / 1 failure")
    assert.is_true(until_line "watching")
    os.execute("kill -INT " .. pid)
    assert.is_false(until_line ".")
    pipe:close()
  end)
end)
