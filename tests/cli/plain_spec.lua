-- The two readers of a command line: what the quick one takes, argparse takes, and as the same.
local assert = require "luassert"
local support = require "tests.cli.support"

-- Runs inside the command: tells each line that the two read differently, and how many lines the quick one took.
local COMPARE = [[
local cli = require "esrun.cli"
local plain = require "esrun.cli.plain"
local taken, left = 0, 0

local function text_of(args)
  local parts = {}
  for name, value in pairs(args) do
    parts[#parts + 1] = name .. "=" .. (type(value) == "table" and "{" .. table.concat(value, ",") .. "}" or tostring(value))
  end
  table.sort(parts)
  return table.concat(parts, " ")
end

local function compare(name, words)
  local quick = plain(function(parser) cli.define(parser, name) end, words)
  local ok, args = pcall(function() return cli.parser(name):parse(words) end)
  if quick and not (ok and text_of(quick) == text_of(args)) then
    print(("%s %s: %s, not %s"):format(name, table.concat(words, " "), text_of(quick), ok and text_of(args) or "a mistake"))
  end
  if quick then taken = taken + 1 elseif ok then left = left + 1 end
  return quick ~= nil, ok
end

local function joined(...)
  local words = {}
  for _, list in ipairs { ... } do table.move(list, 1, #list, #words + 1, words) end
  return words
end

for _, name in ipairs(cli.names()) do
  local parser = cli.parser(name)
  local needed = {}
  for _, argument in ipairs(parser._arguments) do
    if argument._minargs > 0 then needed[#needed + 1] = argument._choices and argument._choices[1] or "a/b" end
  end
  for count = 0, 4 do compare(name, table.move({ "a", "b=c", "-", "d" }, 1, count, 1, {})) end
  if not compare(name, needed) then print(name .. ": not even that is plain") end
  for _, option in ipairs(parser._options) do
    local long = option._name
    for _, spelling in ipairs(option._aliases) do if spelling:find "^%-%-" then long = spelling end end
    local value = option._choices and option._choices[#option._choices] or "v"
    local uses = option._maxargs == 0 and { { long }, { long .. "=v" }, { long, long } }
      or { { long, value }, { long .. "=" .. value }, { long, value, long, value }, { long }, { long, "-" }, { long, "" },
        { long, "-v" }, { long .. "=" }, { long, "--" }, { long, "other" }, { long .. "=a=b" } }
    for number, use in ipairs(uses) do
      for _, words in ipairs { joined(use, needed), joined(needed, use), joined(use, { "--project", "p" }, needed) } do
        local quick, fine = compare(name, words)
        if number <= 2 and fine and not quick then
          print(("%s %s: it is not plain"):format(name, table.concat(words, " ")))
        end
      end
    end
  end
  for _, odd in ipairs { "--unknown", "-x", "--", "-ofile", "--help", "-h", "---", "-", "", "--=", "a=b" } do
    compare(name, joined({ odd }, needed))
    compare(name, joined(needed, { odd }))
  end
end
print(taken > 500 and left < taken and "compared" or ("%d taken, %d left"):format(taken, left))
]]

describe("a command line", function()
  teardown(support.clean)

  it("is read the same with and without argparse, in every form that needs no argparse", function()
    local result = support.run(support.project { ["compare.lua"] = COMPARE }, { "run", "compare.lua" })
    assert.equal("compared\n", result.out)
    assert.equal("", result.err)
  end)
end)
