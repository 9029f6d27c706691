-- ignored_spec: what a command would ignore is a usage error that says what the option goes with; a name that nothing has, too.
local support = require "tests.cli.support"

teardown(support.clean)

describe("what would be ignored is refused:", function()
  local folder

  setup(function()
    folder = support.project { ["spec/one_spec.lua"] = 'it("is there", function() end)\n' }
    assert.equal(0, support.run(folder, { "exec", "Account/1", "open", "--as", "user:jane" }).status)
    support.write(folder .. "/all.jsonl", support.run(folder, { "export" }).out)
  end)

  for line, message in pairs {
    ["import all.jsonl --tenant acme"] = "--tenant goes with --map",
    ["import all.jsonl --name bank"] = "--name goes with --append or --map",
    ["import all.csv --map map.lua --name bank --append"] = "--append goes with an export, not with --map",
    ["verify all.jsonl --format cortex --anchor all.jsonl"] = "--anchor goes with a store",
    ["verify all.jsonl --format cortex --key all.jsonl"] = "--key goes with a store",
    ["verify all.jsonl --format cortex --jobs 2"] = "--jobs goes with a store",
    ["verify all.jsonl --format cortex --since-checkpoint"] = "--since-checkpoint goes with a store",
    ["export --rsa-key key"] = "--rsa-key goes with --bundle",
    ["export --vkey key"] = "--vkey goes with --bundle",
    ["export --bundle folder -o file"] = "--out goes not with --bundle",
    ["init new --store other.db"] = "--store goes with a project that is there",
    ["init new --project other"] = "--project goes with a project that is there",
    ["test --store other.db"] = "--store goes not with test",
    ["lint --store other.db"] = "--store goes not with lint",
    ["log --store ''"] = "the name of the store is empty",
    ["config --store ''"] = "the name of the store is empty",
    ["migrate --store ''"] = "the name of the store is empty",
    ["test --output json"] = "--output json goes not with test",
    ["keygen --public --name n -o key"] = "--name goes with a new key, not with --public",
    ["project list --as user:jane"] = "--as goes with query",
    ["project run --tenant acme"] = "--tenant goes with query",
    ["help exec --format man"] = "--format goes without a command",
    ["--version extra"] = "--version stands alone, not with 'extra'",
    ["replay --aggregate Nope"] = "no module declares an aggregate Nope",
  } do
    it(line, function()
      local result = support.shell(folder, support.quote(support.bin) .. " " .. line)
      assert.matches(message, result.err, 1, true)
      assert.equal(2, result.status)
      assert.equal("", result.out)
    end)
  end

  it("a filter that no test matches", function()
    local result = support.run(folder, { "test", "--filter", "zzz" })
    assert.equal(1, result.status)
    assert.matches("no test's name matches the filter", result.err, 1, true)
    assert.equal(0, support.run(folder, { "test", "--filter", "there" }).status)
  end)

  it("an option of es:verify", function()
    local esrun = require "esrun"
    local es <close> = assert(esrun.open { store = ":memory:" })
    assert.has_error(function() es:verify { frob = 1 } end, "es:verify: unknown option 'frob'")
  end)
end)

describe("bash's completions", function()
  it("offer formats before the command, and the words behind it", function()
    local folder = support.project()
    for words, offered in pairs {
      ["--output ''"] = "auto table json jsonl ", ["project ''"] = "list run status rebuild query ",
      ["help veri"] = "verify verify-proof ", ["--output json pro"] = "project prove ",
    } do
      local result = support.shell(folder, ([[bash -c 'source <("$1" help --format bash); shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _esrun; printf "%%s " "${COMPREPLY[@]}"' - %s esrun %s]]):format(
        support.quote(support.bin), words))
      assert.equal("", result.err)
      assert.equal(offered, result.out, words)
    end
  end)
end)
