-- chunk_spec: lines become chunks exactly where Lua's compiler, asked after every line, would say so, and long input at once.
local chunk = dofile "lua/esrun/cli/chunk.lua"

-- Each chunk of the text as it reads: its number of lines and its first value, or the error.
local function read_all(text)
  local lines, at, out = {}, 0, {}
  for line in (text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  local environment = setmetatable({}, { __index = _G })
  local function read()
    at = at + 1
    return lines[at]
  end
  while true do
    local before = at
    local compiled, why = chunk.read(read, environment)
    if compiled == nil then return out end
    out[#out + 1] = { math.min(at, #lines) - before, compiled and compiled() or why }
  end
end

-- The same, by asking the compiler after every line.
local function ask_always(text)
  local out, collected = {}, nil
  local environment = setmetatable({}, { __index = _G })
  local count = 0
  for line in (text .. "\n"):gmatch "(.-)\n" do
    collected, count = collected and collected .. "\n" .. line or line:gsub("^=", ""), count + 1
    local expression, first = load("return " .. collected, "=input", "t", environment)
    local statement, second = load(collected, "=input", "t", environment)
    local ended = not (expression or statement) and not first:find "<eof>'?$" and not second:find "<eof>'?$"
    if expression or statement or ended then
      out[#out + 1] = { count, not ended }
      collected, count = nil, 0
    end
  end
  return out
end

describe("esrun.cli.chunk", function()
  it("takes expressions over several lines", function()
    assert.same({ { 2, 2 }, { 3, { 1 } }, { 2, 7 }, { 3, "a\nb" } },
      read_all "1+\n1\n{\n1\n}\n(function() return 7 end\n)()\n([[a\nb\n]]):sub(1, -2)")
  end)

  it("says what is wrong as soon as it is, in the form that came furthest", function()
    assert.same({ { 2, "input:2: '}' expected (to close '{' at line 1) near '2'" }, { 1, 3 } }, read_all "{\n1 2\n3")
    assert.same({ { 1, "input:1: unexpected symbol near '='" } }, read_all "x = = 1")
    assert.same({ { 1, "input:1: unexpected symbol near <eof>" } }, read_all "1 +")
  end)

  it("agrees with the compiler asked after every line", function()
    local pieces = {
      "{", "}", "(", ")", "[1]", "[[", "]]", "[==[", "]==]", "--", "--[[", "--[==[", "'", '"', "\\", "\\z", "\n", "\n",
      "\n", "x", "f", "= ", "1 ", "..", "...", "+", "- ", "~", "~=", ":: ", "l", "if ", "then ", "else ", "elseif ", "end ",
      "do ", "while ", "for ", "in ", "repeat ", "until ", "function", "return ", "local ", "goto l", "not ", ",", ";", " ",
      "t.a", "3.", ".5 ", "break ", "nil ", ":m", "'\\z\n  b'", "'a\\\nb'", "f{\n1", "function()\n", "if x then\n",
      "x = {\n", "end\n", "}\n", ")\n",
    }
    local state = 42 -- a generator of its own: the same texts in every run
    local function random(n)
      state = (state * 1103515245 + 12345) % 2147483648
      return state // 65536 % n + 1
    end
    for _ = 1, 8000 do
      local text = {}
      for position = 1, random(9) do text[position] = pieces[random(#pieces)] end
      text = table.concat(text)
      local asked, at = ask_always(text), 0
      local lines = {}
      for line in (text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
      for _, expected in ipairs(asked) do
        local before = at
        local compiled = chunk.read(function()
          at = at + 1
          return lines[at]
        end, {})
        assert.equal(expected[1], at - before, ("%q"):format(text))
        assert.equal(expected[2] == false, compiled == false, text)
      end
      -- what remains is not whole
      if at < #lines then assert.is_false((chunk.read(function() at = at + 1 return lines[at] end, {})), text) end
    end
  end)

  it("compiles long input once, not again with each line", function()
    local native = load
    for _, text in ipairs { "x = {" .. ("\n1,"):rep(4000) .. "\n}", ("1 +\n"):rep(4000) .. "1", "do" .. ("\nx = 1"):rep(4000)
      .. "\nend", "x = [[" .. ("\n1,"):rep(4000) .. "\n]]" } do
      local compiled = 0
      _G.load = function(...) -- luacheck: ignore 122
        compiled = compiled + 1
        return native(...)
      end
      local done, result = pcall(read_all, text)
      _G.load = native -- luacheck: ignore 122
      assert.is_true(done, result)
      assert.equal(1, #result)
      assert.is_true(compiled <= 4, compiled)
    end
  end)
end)
