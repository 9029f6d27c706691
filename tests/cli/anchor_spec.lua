-- The anchors that the guide shows, truly run: syslog, and a time-stamping authority (RFC 3161) that this test is itself.
local project = require "tests.cli.signed_project"
local support = require "tests.cli.support"

-- The commands of the guide's configuration that begin with this word; /mnt/audit is the user's home here.
local function command_of_guide(word, p)
  local text = support.read(support.root .. "/docs/guide/ledger.md"):match "\n(return {\n  trust = .-\n})"
  local config = assert(load((text:gsub("/mnt/audit", p.home))))()
  for _, anchor in ipairs(config.anchors) do
    if anchor.command and anchor.command:find("^" .. word) then return anchor.command end
  end
  error("the guide has no anchor that begins with " .. word)
end

-- Puts a program of this name before the system's.
local function stand_in(p, name, script)
  support.write(p.home .. "/bin/" .. name, script)
  p.shell("chmod +x $HOME/bin/" .. name)
end

local function checkpoint(p)
  return p.shell(("PATH=$HOME/bin:$PATH NO_COLOR=1 %s checkpoint"):format(support.quote(support.bin)))
end

-- A syslog: binds a socket, runs a command, and prints what the socket got until the signature's line is there.
local SYSLOG = [[
import socket, subprocess, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind(sys.argv[1])
log.settimeout(60)
subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL, check=True)
while True:
    line = log.recv(65536).decode()
    print(line.split("esrun: ", 1)[1])
    if "\u2014" in line: break
]]

-- What curl is asked to send, answered by a time-stamping authority with its own key.
local AUTHORITY = [[
#!/bin/sh -e
while [ "$1" != -o ]; do
  case $1 in http*) [ "$1" = https://tsa.example.com ] ;; esac
  shift
done
cat >"$HOME/query"
cd "$HOME/tsa"
openssl ts -reply -queryfile "$HOME/query" -config tsa.cnf -section tsa -out "$2" 2>/dev/null
]]

local TSA_CONFIG = [[
[tsa]
serial = serial
crypto_device = builtin
signer_cert = tsa.pem
certs = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
]]

describe("an anchor of the guide", function()
  teardown(support.clean)

  it("hands the checkpoint to syslog", function()
    local p = project()
    p.must "keygen"
    p.config(("return { anchors = { { command = %q } } }"):format(command_of_guide("logger", p)))
    stand_in(p, "logger", "#!/bin/sh\nexec /usr/bin/logger -u \"$HOME/log\" \"$@\"\n")
    support.write(p.home .. "/syslog.py", SYSLOG)
    local got = p.shell(("PATH=$HOME/bin:$PATH python3 $HOME/syslog.py $HOME/log %s checkpoint --out $HOME/note"):format(
      support.quote(support.bin)))
    assert.equal(0, got.status, got.err)
    assert.equal((support.read(p.home .. "/note"):gsub("\n\n", "\n")), (got.out:gsub("\n\n", "\n")))
  end)

  it("has the checkpoint stamped by an authority, whose stamp holds for it alone", function()
    local p = project()
    p.must "keygen"
    p.config(("return { anchors = { { command = %q } } }"):format(command_of_guide("openssl ts", p)))
    support.write(p.home .. "/tsa/tsa.cnf", TSA_CONFIG)
    support.write(p.home .. "/tsa/serial", "01\n")
    local made = p.shell([[cd $HOME/tsa && openssl req -x509 -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.pem -days 2 \
      -subj "/CN=Authority" -addext "extendedKeyUsage=critical,timeStamping" 2>/dev/null]])
    assert.equal(0, made.status)
    stand_in(p, "curl", AUTHORITY)
    local signed = checkpoint(p)
    assert.equal(0, signed.status, signed.err)
    support.write(p.home .. "/note", signed.out)
    local function stamped()
      return p.shell("openssl ts -verify -data $HOME/note -in $HOME/*.tsr -CAfile $HOME/tsa/tsa.pem 2>&1")
    end
    local holds = stamped()
    assert.equal(0, holds.status, holds.out)
    assert.matches("Verification: OK", holds.out)
    support.write(p.home .. "/note", (signed.out:gsub("\n2\n", "\n3\n")))
    assert.not_equal(0, stamped().status)
    -- an authority that cannot be reached is told
    stand_in(p, "curl", "#!/bin/sh\ncat >/dev/null\nexit 7\n")
    local unreachable = checkpoint(p)
    assert.equal(1, unreachable.status)
    assert.matches("did not take the checkpoint: it ended with status 7", unreachable.err, 1, true)
  end)
end)
