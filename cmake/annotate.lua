-- annotate: writes the editor annotations into a folder: those of the host modules, made from the doc comments of their
-- sources (every class, and every documented function without its body), and those in lua/annotations, written by hand.
-- Usage: lua5.4 cmake/annotate.lua ROOT OUT. tests/lua/annotations_spec.lua compares them with the code.

local annotate = {}

-- source -> annotation; `of` says which local of the source is public under which name, `returns` what the module returns.
annotate.FILES = {
  { source = "lua/esrun/init.lua", target = "esrun.lua", module = "esrun", of = { esrun = "esrun" }, returns = "esrun" },
  { source = "lua/esrun/runtime.lua", target = "esrun/runtime.lua", of = { Runtime = "Runtime" }, returns = "Runtime" },
  { source = "lua/esrun/snapshots.lua", target = "esrun/snapshots.lua", of = { Runtime = "Runtime" }, returns = "Runtime" },
  { source = "lua/esrun/context.lua", target = "esrun/context.lua", of = { of = "Context", Context = "Context" },
    returns = "Context" },
  { source = "lua/esrun/actor.lua", target = "esrun/actor.lua", of = { actor = "actor" }, returns = "actor" },
  { source = "lua/esrun/ledger.lua", target = "esrun/ledger.lua", of = { ledger = "ledger" }, returns = "ledger" },
  { source = "lua/esrun/audit.lua", target = "esrun/audit.lua", of = {} },
  { source = "lua/esrun/archive.lua", target = "esrun/archive.lua", of = {} },
  { source = "lua/esrun/frame.lua", target = "esrun/frame.lua", of = {} },
  { source = "lua/esrun/errors.lua", target = "esrun/errors.lua", of = {} },
  { source = "lua/esrun/testing.lua", target = "es/testing.lua", module = "es.testing",
    of = { testing = "testing", Scenario = "Scenario" }, returns = "testing" },
}

annotate.BY_HAND = { "es.lua", "es/rule.lua", "es/schema.lua" }

local function holds(block, word)
  for _, line in ipairs(block) do
    if line:find(word, 1, true) then return true end
  end
  return false
end

-- One code line behind a block of doc comments, as it stands in the annotations; nil when it is not public.
local function declare(line, block, of)
  local owner, sign, name, parameters = line:match "^function ([%w_]+)([.:])([%w_]+)%((.-)%)"
  if owner then return of[owner] and ("function %s%s%s(%s) end"):format(of[owner], sign, name, parameters) end
  local class = line:match "^local ([%w_]+) = "
  if class and of[class] and holds(block, "@class") then return ("local %s = {}"):format(of[class]) end
  local member
  owner, member = line:match "^([%w_]+)%.([%w_]+) = "
  return owner and of[owner] and ("%s.%s = nil"):format(of[owner], member)
end

-- A member of the public table's constructor: the annotations give it no value.
local function declare_member(line, table_name)
  local name = line:match "^  ([%a_][%w_]*) = "
  return name and ("%s.%s = nil"):format(table_name, name)
end

--- The annotations of one source.
---@param text string
---@param file table a row of FILES
function annotate.of(text, file)
  local module = file.module or file.source:match("lua/(.*)%.lua$"):gsub("/", ".")
  local out = { ("-- %s: for editors; made from the comments of %s by cmake/annotate.lua."):format(module, file.source),
    "---@meta " .. module, "" }
  local block, inside = {}, nil
  for line in text:gmatch "([^\n]*)\n" do
    local plain = line:match "^%s*(.-)$"
    if plain:find "^%-%-%-[^-]" or plain == "---" then
      block[#block + 1] = plain
    else
      local declared = declare(plain, block, file.of)
      if inside and line == "}" then inside = nil end
      if inside then declared = declare_member(line, inside) end
      if declared and (#block > 0 or inside) then
        table.move(block, 1, #block, #out + 1, out)
        out[#out + 1] = declared
        out[#out + 1] = ""
      elseif holds(block, "@class") or holds(block, "@alias") then
        table.move(block, 1, #block, #out + 1, out)
        out[#out + 1] = ""
      end
      local opened = plain:match "^local ([%w_]+) = {$"
      if opened and file.of[opened] and #block > 0 then inside = file.of[opened] end
      block = {}
    end
  end
  if file.returns then out[#out + 1] = "return " .. file.returns else out[#out] = nil end
  return table.concat(out, "\n") .. "\n"
end

local function read(path)
  local handle = assert(io.open(path, "rb"))
  local text = handle:read "a"
  handle:close()
  return text
end

local function write(path, text)
  os.execute(("mkdir -p '%s'"):format(path:match "^(.*)/"))
  local handle = assert(io.open(path, "wb"))
  assert(handle:write(text))
  assert(handle:close())
end

--- Writes all of them.
---@param root string the source tree
---@param out string folder
function annotate.write(root, out)
  for _, file in ipairs(annotate.FILES) do
    write(out .. "/" .. file.target, annotate.of(read(root .. "/" .. file.source), file))
  end
  for _, path in ipairs(annotate.BY_HAND) do write(out .. "/" .. path, read(root .. "/lua/annotations/" .. path)) end
end

if arg and arg[0] and arg[0]:find "annotate%.lua$" then
  annotate.write(assert(arg[1], "usage: annotate.lua ROOT OUT"), assert(arg[2], "usage: annotate.lua ROOT OUT"))
end

return annotate
