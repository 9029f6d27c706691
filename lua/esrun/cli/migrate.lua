-- esrun.cli.migrate: which layout the store's file has, and bringing it up to date.

local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local place = require "esrun.cli.place"

local migrate = { description = "Bring the store's file up to date." }

function migrate.define(parser)
  parser:flag "--status":description "Only say which layout it has; exit status 1 when a migration is pending."
end

local function describe(call, layout, before)
  local pending = layout.version == 0 and 0 or math.max(layout.known - layout.version, 0)
  if call.out.mode ~= "table" then
    call.out:json { version = layout.version, known = layout.known, pending = pending, migrated = layout.version ~= before }
  elseif layout.version == 0 then
    call.out:line("there is no store yet; the first command that writes creates one with layout %d", layout.known)
  elseif pending > 0 then
    call.out:line("layout %d, this esrun knows %d: %s pending, run esrun migrate", layout.version, layout.known,
      counted(pending, "migration"))
  else
    call.out:line("layout %d, %s", layout.version,
      layout.version ~= before and ("migrated from %d"):format(before) or "up to date")
  end
  return pending > 0 and 1 or 0
end

function migrate.run(call, args)
  local esrun = require "esrun"
  local where = place.of(args)
  local layout = errors.check(esrun.layout(where))
  local before = layout.version
  if layout.version > layout.known then
    errors.fail(7, ("the store has layout %d, this esrun knows %d"):format(layout.version, layout.known),
      "use the esrun that wrote it, or a newer one")
  end
  if not args.status and layout.version > 0 and layout.version < layout.known then
    call:open { must_exist = true } -- opening for writing migrates
    layout = errors.check(esrun.layout(where))
  end
  return describe(call, layout, before)
end

return migrate
