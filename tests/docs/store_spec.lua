-- store_spec: docs/reference/store.md has the store's tables, indexes, pragmas and errors as the code makes them.
local support = dofile "tests/cli/support.lua"

local page = support.read(support.root .. "/docs/reference/store.md")

local function section(heading) return assert(page:match("\n## " .. heading .. "\n(.-)\n## "), heading) end

local function source(pattern)
  local pipe = assert(io.popen(("cat '%s'/runtime/store/%s"):format(support.root, pattern)))
  local text = pipe:read "a"
  pipe:close()
  return text
end

describe("the page of the store", function()
  local store

  lazy_setup(function()
    local folder = support.project()
    store = folder .. "/of_page.db"
    assert.equal(0, support.run(folder, { "exec", "Account/1", "open", "--as", "user:jane", "--store", store }).status)
  end)
  lazy_teardown(support.clean)

  -- Rows of one column of a file that the command made.
  local function ask(sql)
    local pipe = assert(io.popen(("sqlite3 -readonly '%s' %s"):format(store, support.quote(sql))))
    local rows = {}
    for line in pipe:lines() do rows[#rows + 1] = line end
    pipe:close()
    return rows
  end

  it("has every table with its columns, and no other", function()
    local made, told = {}, {}
    for _, name in ipairs(ask [[SELECT m.name || '.' || i.name FROM sqlite_schema m, pragma_table_info(m.name) i
      WHERE m.type = 'table']]) do
      made[name] = true
    end
    for name, cells in section "Tables":gmatch "\n| `(%l+)` |([^\n]*)" do
      for column in cells:gmatch "`(%l[%l%d_]*)`" do told[name .. "." .. column] = true end
    end
    assert.same(made, told)
  end)

  it("has every index that a filter of events is served by", function()
    local served = section "Filters"
    for _, name in ipairs(ask "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name IN ('events', 'streams')") do
      assert.is_truthy(served:find("`" .. name .. "`", 1, true), name)
    end
    for name in served:gmatch "`(%l+_by_[%l_]+)`" do
      assert.equal(1, #ask(("SELECT 1 FROM sqlite_schema WHERE name = '%s'"):format(name)), name)
    end
  end)

  it("has the pragmas that are set, with their values, and those that are kept in the file", function()
    local made, told = {}, {}
    for name, value in source "sqlite.c":gmatch '\n    {"([%l_]+)", "([%w-]+)"' do made[name] = value end
    for name, value in section "Pragmas":gmatch "`([%l_]+)=([%w-]+)`" do told[name] = value:lower() end
    assert.same(made, told)
    for _, name in ipairs { "application_id", "user_version" } do
      local value = ask("PRAGMA " .. name)[1]
      assert.is_truthy(section "Tables":find(("`%s` is [^;]*%%f[%%d]%s%%f[%%D]"):format(name, value)), name .. " " .. value)
    end
  end)

  it("has every code of a store that fails, and no other", function()
    local made, told = {}, {}
    local text = source "*.[ch]"
    for arguments in text:gmatch "ES_ERR_STORE,([^;]*)" do
      for code in arguments:match('^[^"]*"[^%%]*'):gmatch '"([%l_]+)"' do made[code] = true end
    end
    for code in text:gmatch '\n *{SQLITE_%u+,%s*"([%l_]+)"' do made[code] = true end
    for codes, status in section "Errors":gmatch "\n| ([^|]+) | (%l+) |" do
      if status == "store" then
        for code in codes:gmatch "`([%l_]+)`" do told[code] = true end
      end
    end
    assert.same(made, told)
  end)
end)
