-- guide: does what a page says with esrun installed: writes its files, runs its commands, compares what they print.
-- Usage: lua5.4 tests/install/guide.lua ROOT PAGE FOLDER. The caller's environment finds the installed parts. Such a page marks
-- its blocks `installed file`, `installed test` and `installed output`, so that tests/docs leaves it alone.
local root, page, folder = table.unpack(arg)
local markdown = dofile(root .. "/tests/docs/markdown.lua")

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function write(path, text)
  assert(os.execute("mkdir -p " .. quoted(path:match("^(.*)/"))))
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function write_files(document)
  for _, step in ipairs(markdown.steps(read(root .. "/" .. document), document)) do
    if step.kind == "project" then write_files(step.path) end
    if step.kind == "file" then write(folder .. "/" .. step.path, step.text) end
  end
end

local function run(step)
  write(folder .. "/.block", step.text)
  local pipe = assert(io.popen(("cd %s && NO_COLOR=1 sh -e .block 2>&1 </dev/null"):format(quoted(folder))))
  local printed = pipe:read("a")
  local _, _, status = pipe:close()
  local same = not step.output or markdown.normalise(step.output) == markdown.normalise(printed)
  if status == step.status and same then return end
  io.stderr:write(("%s:%d: %s: exit status %d, printed:\n%s"):format(page, step.line, step.title, status, printed))
  os.exit(1)
end

local count = 0
local text = read(root .. "/" .. page):gsub("<!%-%- installed ", "<!-- ")
for _, step in ipairs(markdown.steps(text, page)) do
  if step.kind == "project" then
    write_files(step.path)
  elseif step.kind == "file" then
    write(folder .. "/" .. step.path, step.text)
  else
    count = count + 1
    run(step)
  end
end
assert(count > 0, page .. " has no tests")
