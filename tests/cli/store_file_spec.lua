-- The store's file as other programs see it: SQLite's own shell reads it, with JSON functions and by index.
local support = dofile "tests/cli/support.lua"

describe("the store's file", function()
  local folder

  setup(function()
    folder = support.project()
    for _, words in ipairs {
      { "exec", "Account/1", "open", "--as", "user:jane" },
      { "exec", "Account/1", "move", "cents=5", "more:={\"new_field\": {\"deep\": true}}", "--as", "user:jane" },
      { "project", "run", "audit_log" },
    } do
      assert.equal(0, support.run(folder, words).status)
    end
  end)
  teardown(support.clean)

  local function sql(file, text)
    local result = support.shell(folder, ("sqlite3 -readonly %s %s"):format(file, support.quote(text)))
    assert.equal("", result.err)
    return result.out
  end

  it("is asked with json_extract for fields that no schema of it knows", function() -- covers D4
    assert.equal("5|1|local\n", sql("store.db", [[
      SELECT json_extract(data, '$.cents'), json_extract(data, '$.more.new_field.deep'), json_extract(metadata, '$.auth_method')
        FROM events WHERE json_extract(data, '$.more.new_field.deep')]]))
  end)

  it("finds events by actor, action and resource type by index, and the audit log by time", function() -- covers D22
    for _, column in ipairs { "actor", "event_type", "aggregate_type" } do
      assert.matches("USING INDEX events_by_" .. column,
        sql("store.db", ("EXPLAIN QUERY PLAN SELECT * FROM events WHERE %s = 1"):format(column)), 1, true)
    end
    assert.matches("SEARCH es_rows_audit_log USING INDEX [%w_]+ %(_tenant=%? AND occurred_at>%?%)", sql(
      "store.db-projections/audit_log.1.db",
      "EXPLAIN QUERY PLAN SELECT * FROM es_rows_audit_log WHERE _tenant = '' AND occurred_at > '2020'"))
  end)

  -- A journal of one page as SQLite writes it: header, page number, page, checksum over every 200th byte.
  local function journal_of(file)
    local store = support.read(file)
    local page, nonce, sum = store:sub(1, 4096), 12345, 12345
    for at = #page - 200, 1, -200 do sum = sum + page:byte(at + 1) end
    local header = "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" .. string.pack(">I4I4I4I4I4", 1, nonce, #store // 4096, 512, 4096)
    return header .. ("\0"):rep(512 - #header) .. string.pack(">I4", 1) .. page .. string.pack(">I4", sum)
  end

  it("is not read past the journal of a transaction that another program did not finish", function()
    local file = folder .. "/store.db"
    support.write(file .. "-journal", journal_of(file))
    for _, words in ipairs { { "verify" }, { "show", "Account/1" } } do
      local result = support.run(folder, words)
      assert.equal(7, result.status)
      assert.matches("store.db-journal holds what another program's unfinished transaction overwrote", result.err, 1, true)
      assert.matches("hint: keep a copy of both files; the next command that writes puts the journal's pages back", result.err,
        1, true)
    end
    assert.equal(0, support.run(folder, { "exec", "Account/2", "open", "--as", "user:jane" }).status) -- as it says
    assert.equal(0, support.run(folder, { "verify" }).status)
    assert.is_nil(io.open(file .. "-journal"))
  end)
end)
