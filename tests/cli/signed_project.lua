-- signed_project: a project whose user is somebody with a home of their own, for the specs of keys, checkpoints and proofs.
local assert = require "luassert"
local support = require "tests.cli.support"

local quote = support.quote

-- Makes "full", a device without room: where one may, a node of its own, which nothing that goes wrong can harm.
local FULL = "mknod full c 1 7 2>/dev/null && true 2>/dev/null >full || ln -sf /dev/full full"

return function()
  local folder, home = support.project(), support.new_folder()
  local self = { folder = folder, home = home, FULL = FULL }
  function self.shell(command, input)
    return support.shell(folder, ("export HOME=%s; unset XDG_STATE_HOME XDG_DATA_HOME XDG_CONFIG_HOME; %s"):format(
      quote(home), command), input)
  end
  function self.run(...)
    local parts = { "NO_COLOR=1", quote(support.bin) }
    for _, word in ipairs { ... } do parts[#parts + 1] = quote(word) end
    return self.shell(table.concat(parts, " "))
  end
  function self.must(...)
    local result = self.run(...)
    assert.equal(0, result.status, table.concat({ ... }, " ") .. ": " .. result.err)
    return result.out
  end
  function self.move(cents)
    self.must("exec", "Account/1", "move", "cents=" .. cents, "--as", "user:jane")
  end
  function self.config(text) support.write(home .. "/.config/esrun/config.lua", text) end
  self.must("exec", "Account/1", "open", "--as", "user:jane")
  self.move(5)
  return self
end
