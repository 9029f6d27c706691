-- esrun.cli.new_project: `esrun init`: writes a project that runs, from the example projects that are built in.

local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local files = require "esrun.files"
local process = require "esrun.process"
local user = require "esrun.cli.user"

local ANNOTATIONS = "../../build/release/lua/annotations" -- where an example finds them

local new_project = {
  description = "Write a new project into a folder that is empty or not there yet: settings, modules, specifications, and the "
    .. "settings of editors and luacheck.",
}

local TEMPLATES = {
  document = "a document that one creates and others edit, with an audit log",
  orders = "orders, payments and stock, with permissions, tenants and read models",
  blank = "settings and a specification, no modules",
}

function new_project.define(parser)
  parser:argument "DIR":target "folder":args "?":description "The project's folder (default: the current one)."
  local about = {}
  for _, name in ipairs { "document", "orders", "blank" } do about[#about + 1] = ("%s: %s"):format(name, TEMPLATES[name]) end
  parser:option "--template":default "document":choices { "document", "orders", "blank" }
    :description(table.concat(about, "; ") .. ".")
end

-- Folders on the way to a path, made one after the other. `made` gets the paths of those that were not there.
local function make_folders(path, made)
  local at = path:sub(1, 1) == "/" and "/" or ""
  for part in path:gmatch "[^/]+" do
    at = at .. part
    local state, why = files.make_folder(at)
    if state == "made" then made[#made + 1] = at end
    if not state then errors.fail(1, ("cannot make the folder %s: %s"):format(at, why)) end
    at = at .. "/"
  end
end

local function check_empty(folder)
  local what = files.kind(folder)
  if what == nil then return end
  if what ~= "folder" then errors.usage(folder .. " is not a folder") end
  local names, why = files.list(folder)
  if not names then errors.fail(1, ("cannot read %s: %s"):format(folder, why)) end
  if #names == 0 then return end
  errors.usage(("%s is not empty: it holds %s%s"):format(folder == "." and "this folder" or folder, names[1],
    #names > 1 and (" and %d more"):format(#names - 1) or ""), "name a new folder: esrun init my-project")
end

--- Where editors find the annotations: installed beside the program, or in the tree that it was built in.
local function find_annotations()
  local program = process.program() or ""
  local beside = program:match "^(.*)/[^/]*$" or "."
  for _, path in ipairs { beside .. "/../share/esrun/annotations", beside .. "/lua/annotations" } do
    if files.kind(path) == "folder" then return (path:gsub("/[^/]+/%.%./", "/")) end
  end
  return "/usr/share/esrun/annotations"
end

-- What stands in an example only because it lies in the source tree: marks of tests, links out of the folder.
local function adapt(path, text)
  if path == ".luarc.json" then
    local at, stop = text:find(ANNOTATIONS, 1, true)
    return text:sub(1, at - 1) .. find_annotations() .. text:sub(stop + 1)
  elseif path:find "%.md$" then
    return (text:gsub("<!%-%-.-%-%->\n\n?", ""):gsub("%[([^%]]+)%]%(%.%./%.%./[^)]*%)", "%1"))
  end
  return text
end

local function write(path, text, made)
  local file, why = io.open(path, "wb")
  if not file then errors.fail(1, why) end
  made[#made + 1] = path
  local done, reason = file:write(text)
  local closed, other = file:close()
  if not (done and closed) then errors.fail(1, ("%s: %s"):format(path, reason or other)) end
end

-- The template's files by their path in the new project.
local function template_files(name)
  local prefix, out, paths = ("examples/%s/"):format(name), {}, {}
  for path, text in pairs(files.templates()) do
    if path:sub(1, #prefix) == prefix then
      local inner = path:sub(#prefix + 1)
      out[inner] = adapt(inner, text)
      paths[#paths + 1] = inner
    end
  end
  table.sort(paths)
  return out, paths
end

local function make_all(folder, texts, paths, made)
  make_folders(folder, made)
  for _, name in ipairs { "aggregates", "projections" } do make_folders(folder .. "/" .. name, made) end
  for _, path in ipairs(paths) do
    local inner = path:match "^(.*)/[^/]*$"
    if inner then make_folders(folder .. "/" .. inner, made) end
    write(folder .. "/" .. path, texts[path], made)
  end
end

local NEXT = {
  document = {
    "esrun test", "esrun exec Document/1 create title=Notes content=Draft --as user:me", "esrun log",
  },
  orders = { "esrun test", "esrun run chain.lua", "esrun log" },
  blank = { "esrun test", "esrun lint" },
}

function new_project.run(call, args)
  errors.refuse(args, { "--project", "--store" }, "with a project that is there, not with init: it writes a new one into DIR")
  if args.folder == "" then errors.usage("the folder's name is empty", "name a new folder: esrun init my-project") end
  local folder = (args.folder or "."):gsub("(.)/+$", "%1")
  check_empty(folder)
  local texts, paths = template_files(args.template)
  local made = {}
  local ok, raised = pcall(make_all, folder, texts, paths, made)
  if not ok then -- all of a project or nothing
    for position = #made, 1, -1 do os.remove(made[position]) end
    error(raised, 0)
  end
  local out = call.out
  if out.mode ~= "table" then
    local core = require "esrun.core"
    return out:json { folder = folder, template = args.template, files = core.array(paths) }
  end
  out:line("wrote %s into %s, from the template %s", counted(#paths, "file"), folder, args.template)
  out:line("next:")
  if folder ~= "." then out:line("  cd %s", folder:find "[^%w%./_-]" and user.quote(folder) or folder) end
  for _, line in ipairs(NEXT[args.template]) do out:line("  %s", line) end
end

return new_project
