-- tidy: the house rules that no other tool checks, as a test. Usage: lua5.4 tests/tidy.lua ROOT
-- Prints one line an offence and exits 1 when there is any; tests/dev/tidy_spec.lua breaks each rule once.
local root = assert(arg[1], "usage: lua5.4 tests/tidy.lua ROOT")

local MAX_LINES = 500
local LONG = { ["runtime/include/esrun.h"] = true } -- the one public header, which is a manual
local offences = 0

local function offend(path, line, format, ...)
  offences = offences + 1
  print(("%s:%d: %s"):format(path, line, format:format(...)))
end

local function lines_of(text) return text:gmatch("([^\n]*)\n?") end

local function each_line(text, visit)
  local number = 0
  for line in lines_of(text) do
    number = number + 1
    visit(number, line)
  end
end

-- ---- Every file ---------------------------------------------------------------------------------------------------

-- The words are put together here so that this file does not offend.
local LEFT_FOR_LATER = { "TO" .. "DO", "FIX" .. "ME", "XX" .. "X", "HA" .. "CK" }
local MACHINE_PATHS = { "/home/%w", "/roo[t]/", "/User[s]/", "/wor[k]/", "bash_job[s]" }

local function check_text(path, text)
  if text ~= "" and text:sub(-1) ~= "\n" then offend(path, 1, "does not end with a newline") end
  each_line(text, function(number, line)
    for _, word in ipairs(LEFT_FOR_LATER) do
      if line:find("%f[%w_]" .. word .. "%f[^%w_]") then offend(path, number, "%s: do it or open an issue", word) end
    end
    for _, pattern in ipairs(MACHINE_PATHS) do
      if line:find(pattern) then offend(path, number, "a path of somebody's machine: %s", line:match(pattern)) end
    end
    if line:find("%s$") and not path:find("%.md$") then offend(path, number, "white space at the end of the line") end
    if line:find("\t") and not path:find("%.go$") then offend(path, number, "a tab: indent with spaces") end
  end)
end

-- ---- Source files -------------------------------------------------------------------------------------------------

local COMMENT_STARTS = { c = "^/%*+ *(.*)", h = "^/%*+ *(.*)", lua = "^%-%-+ *(.*)", sh = "^# *(.*)" }

-- The first line, after a `#!` one, says what the file's one job is.
local function check_opening(path, text, kind)
  local first = text:gsub("^#![^\n]*\n", ""):match("[^\n]*")
  local said = first:match(COMMENT_STARTS[kind])
  if not said or #said < 15 then offend(path, 1, "must start with a comment that says the file's one job") end
end

local function check_length(path, text)
  local _, count = text:gsub("\n", "")
  if count > MAX_LINES and not LONG[path] then
    offend(path, count, "%d lines, more than %d: perhaps two jobs", count, MAX_LINES)
  end
end

-- ---- Layers -------------------------------------------------------------------------------------------------------

local LAYERS = { "base", "json", "event", "context", "ledger", "store", "lua", "engine" }
local rank = {}
for number, layer in ipairs(LAYERS) do rank[layer] = number end

-- Folders that are bound on the public header: what they may include besides it and their own headers.
local BOUND = {
  host = { ["base/embedded.h"] = true, ["base/buf.h"] = true, ["lua/domain.h"] = true },
  cli = { ["base/embedded.h"] = true, ["base/pool.h"] = true },
}
local BOUND_FOLDERS = { host = { host = true }, cli = { cli = true, host = true } }

-- Libraries belong to layers.
local LIBRARIES = {
  { pattern = "^sqlite3%.h$", folders = { store = true, engine = true } },
  { pattern = "^openssl/evp%.h$", folders = { ledger = true } },
  { pattern = "^openssl/", folders = { ledger = true, engine = true } }, -- the engine tells its version
  { pattern = "^l[ua][ua]%w*%.h$", folders = { lua = true, engine = true, host = true, cli = true } },
  { pattern = "^uuid/", folders = { base = true } },
}

local function may_include(folder, header)
  local target = header:match("^(%w+)/")
  if header == "esrun.h" then return true end
  if BOUND[folder] then return BOUND[folder][header] or BOUND_FOLDERS[folder][target] end
  if folder == "lua" and target == "store" then return false end -- domain states never see the store
  return rank[target] ~= nil and rank[target] <= rank[folder]
end

local function check_includes(path, text)
  local folder = path:match("^runtime/(%w+)/")
  if not folder or folder == "include" then return end
  if not rank[folder] and not BOUND[folder] then
    offend(path, 1, "runtime/%s is no layer: name it in tests/tidy.lua and in CMakeLists.txt", folder)
    return
  end
  each_line(text, function(number, line)
    local own = line:match('^%s*#%s*include%s*"([^"]+)"')
    local system = line:match("^%s*#%s*include%s*<([^>]+)>")
    if own and not may_include(folder, own) then offend(path, number, "%s must not include %s", folder, own) end
    for _, library in ipairs(LIBRARIES) do
      if system and system:find(library.pattern) and not library.folders[folder] then
        offend(path, number, "%s must not include <%s>", folder, system)
      end
    end
  end)
end

-- ---- Covered rows -------------------------------------------------------------------------------------------------

local ROWS = { E = 66, D = 23, C = 19, A = 22 } -- the feature list's last row of each part

local function is_row(word)
  local part, row = word:match("^(%u)(%d+)$")
  return part and ROWS[part] and tonumber(row) >= 1 and tonumber(row) <= ROWS[part]
end

-- After "covers" stand known rows with commas or spaces between; a row later in the line would not be found by a search.
local function check_covers(path, text)
  each_line(text, function(number, line)
    local listed = line:match("covers +(%u%d.*)$")
    local in_list = true
    for word in (listed or ""):gmatch("[%w_-]+") do
      in_list = in_list and is_row(word)
      if word:find("^%u%d+") and not in_list then
        offend(path, number, "'covers' takes a list of known rows, this is not one: %s", word)
      end
    end
  end)
end

-- ---- The walk -----------------------------------------------------------------------------------------------------

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local quoted = "'" .. root:gsub("'", "'\\''") .. "'"
local listing = assert(io.popen("cd " .. quoted .. " && find . -path ./build -prune -o -path ./.git -prune"
  .. " -o -path ./tests/fuzz/corpus -prune -o -type f -print"))
local checked = 0
for name in listing:lines() do
  local path = name:gsub("^%./", "")
  local text = read(root .. "/" .. path)
  local kind = path:match("%.(%w+)$")
  if not text:find("\0", 1, true) then
    check_text(path, text)
    if COMMENT_STARTS[kind] then
      checked = checked + 1
      check_opening(path, text, kind)
      check_length(path, text)
      check_includes(path, text)
    end
    if path:find("^tests/") or path:find("^examples/") then check_covers(path, text) end
  end
end
listing:close()

if checked == 0 then offend(root, 0, "no source files here") end
print(("%d source files, %d offences"):format(checked, offences))
os.exit(offences == 0 and 0 or 1)
