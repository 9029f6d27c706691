-- tidy_spec: every house rule and lint setting flags what it is there for, and only that.
local root = os.getenv("ESRUN_ROOT") or "."

local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local out = pipe:read("a")
  return pipe:close() == true, out
end

-- A project of one file; returns whether `command` (which sees it as $DIR) is content, and what it says.
local function judge(command, path, text)
  local _, dir = run("mktemp -d")
  dir = dir:gsub("\n", "")
  run(("mkdir -p '%s/%s'"):format(dir, path:match("^(.*)/") or "."))
  local file = assert(io.open(dir .. "/" .. path, "w"))
  file:write(text)
  file:close()
  local ok, out = run(("cd '%s' && DIR='%s' ROOT='%s' && %s"):format(dir, dir, root, command))
  run(("rm -rf '%s'"):format(dir))
  return ok, out
end

local OPENING = "/* chain: a file for the house rules to judge. */\n"

local function tidy(path, text) return judge("lua5.4 \"$ROOT/tests/tidy.lua\" \"$DIR\"", path, text) end

local function refuses(path, text, why)
  local ok, out = tidy(path, text)
  assert.is_false(ok)
  assert.truthy(out:find(why, 1, true), out)
end

local function accepts(path, text)
  local ok, out = tidy(path, text)
  assert.is_true(ok, out)
end

describe("the house rules", function()
  it("want an opening comment", function()
    accepts("runtime/base/x.c", OPENING)
    accepts("dev.sh", "#!/usr/bin/env bash\n# dev: a script that has a job.\n")
    refuses("runtime/base/x.c", "int x;\n", "must start with a comment")
    refuses("lua/x.lua", "local x = 1\n", "must start with a comment")
  end)

  it("want files of at most 500 lines", function()
    accepts("lua/x.lua", "-- x: a file for the rules to judge.\n" .. ("return 1\n"):rep(499))
    refuses("lua/x.lua", "-- x: a file for the rules to judge.\n" .. ("return 1\n"):rep(500), "perhaps two jobs")
  end)

  it("want nothing left for later", function()
    refuses("README.md", "TO" .. "DO: write\n", "do it or open an issue")
    accepts("lua/x.lua", "-- x: makes a folder named like " .. ("X"):rep(6) .. ".\n")
  end)

  it("want no paths of a machine", function() refuses("README.md", "see /ho" .. "me/jane/esrun\n", "somebody's machine") end)

  it("want clean white space", function()
    refuses("lua/x.lua", "-- x: a file for the rules to judge. \n", "white space at the end")
    refuses("lua/x.lua", "-- x: a file for the rules to judge.\n\treturn 1\n", "a tab")
    refuses("lua/x.lua", "-- x: a file for the rules to judge.", "newline")
  end)

  it("want includes that go down", function()
    accepts("runtime/store/x.c", OPENING .. '#include "base/buf.h"\n#include <sqlite3.h>\n')
    refuses("runtime/base/x.c", OPENING .. '#include "json/reader.h"\n', "base must not include json/reader.h")
    refuses("runtime/store/x.c", OPENING .. '#include "lua/domain.h"\n', "store must not include lua/domain.h")
    refuses("runtime/lua/x.c", OPENING .. '#include "store/store.h"\n', "lua must not include store/store.h")
    refuses("runtime/base/x.c", OPENING .. '#include "../json/reader.h"\n', "must not include")
  end)

  it("want the host module and the command bound on the public header", function()
    accepts("runtime/host/x.c", OPENING .. '#include "esrun.h"\n#include "lua/domain.h"\n#include <lauxlib.h>\n')
    refuses("runtime/host/x.c", OPENING .. '#include "engine/engine.h"\n', "host must not include")
    refuses("runtime/cli/x.c", OPENING .. '#include "lua/domain.h"\n', "cli must not include")
  end)

  it("want each library in its layers", function()
    refuses("runtime/json/x.c", OPENING .. "#include <lua.h>\n", "json must not include <lua.h>")
    refuses("runtime/lua/x.c", OPENING .. "#include <sqlite3.h>\n", "lua must not include <sqlite3.h>")
  end)

  it("want every folder of runtime/ to be a layer", function() refuses("runtime/misc/x.c", OPENING, "is no layer") end)

  it("want covered rows that exist", function()
    accepts("tests/lua/x_spec.lua", "-- covers " .. "E21, D3 A22\n")
    refuses("tests/lua/x_spec.lua", "-- covers " .. "E67\n", "E67")
    refuses("tests/lua/x_spec.lua", "-- covers " .. "E1 to E13\n", "E13")
  end)
end)

describe("luacheck's settings", function()
  local function luacheck(path, text)
    return judge("cp \"$ROOT/.luacheckrc\" . && luacheck --no-color --quiet .", path, text)
  end

  it("flag the clock in domain code only", function()
    assert.is_false((luacheck("aggregates/x.lua", "return os.time()\n")))
    assert.is_false((luacheck("examples/shop/projections/x.lua", "return os.time()\n")))
    assert.is_true((luacheck("lua/esrun/x.lua", "return os.time()\n")))
  end)

  it("flag globals everywhere", function()
    assert.is_false((luacheck("lua/esrun/x.lua", "answer = 42\n")))
    assert.is_false((luacheck("tests/lua/x_spec.lua", "answer = 42\n")))
    assert.is_true((luacheck("tests/lua/x_spec.lua", 'describe("x", function() end)\n')))
  end)
end)

it("clang-format's settings flag a tab-indented function", function()
  local command = "cp \"$ROOT/.clang-format\" . && clang-format-14 --dry-run -Werror x.c"
  assert.is_false((judge(command, "x.c", "int x(void)\n{\n\treturn 1;\n}\n")))
  assert.is_true((judge(command, "x.c", "int x(void) { return 1; }\n")))
end)
