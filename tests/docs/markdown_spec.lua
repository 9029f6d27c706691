-- How marked code blocks are found in Markdown, and which of their output may vary.
local markdown = dofile(debug.getinfo(1, "S").source:match("^@(.*)markdown_spec%.lua$") .. "markdown.lua")

local TEXT = [[
# Title

<!-- project: examples/orders -->
Prose.

<!-- file: a/b.lua -->
```lua
return 1
```

<!-- test: it works -->
```sh
echo one
```

It prints:

<!-- output -->
```text
one
```

1. In a list:

   <!-- test: it fails (exit 4) -->
   ```lua
     os.exit(4)
   ```

```sh
<!-- test: not an instruction -->
```
]]

describe("marked blocks", function()
  it("are found in order, with their text, title, status and output", function()
    assert.same({
      { kind = "project", path = "examples/orders", line = 3 },
      { kind = "file", path = "a/b.lua", text = "return 1\n", line = 6 },
      { kind = "test", language = "sh", text = "echo one\n", title = "it works", status = 0, output = "one\n", line = 11 },
      { kind = "test", language = "lua", text = "  os.exit(4)\n", title = "it fails", status = 4, line = 25 },
    }, markdown.steps(TEXT, "x.md"))
  end)

  it("must have a fence, an end, a language that runs, and a test before an output", function()
    for _, case in ipairs {
      { "<!-- test: x -->\ntext", "x.md:2: an instruction must stand on the line before a ``` block" },
      { "<!-- test: x -->\n```sh\necho", "x.md:2: the ``` block has no end" },
      { "<!-- test: x -->\n```python\n```", 'x.md:1: a test is lua or sh, not "python"' },
      { "<!-- output -->\n```text\n```", "x.md:1: an output must follow the test that prints it" },
    } do
      local fine, message = pcall(markdown.steps, case[1], "x.md")
      assert.is_false(fine)
      assert.equal(case[2], message)
    end
  end)
end)

describe("normalised output", function()
  it("hides ids, times, hashes and rates and nothing else", function()
    assert.equal("UUID at TIME\nHASH RATE version 12", markdown.normalise(
      "0190f5c8-1c2d-7e3f-8a4b-5c6d7e8f9a0b at 2026-01-31T12:00:00.123456Z  \n" .. ("0f"):rep(32)
      .. " 12,345.6 events/s version 12\n\n"))
  end)
end)
