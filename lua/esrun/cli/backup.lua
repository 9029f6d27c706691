-- esrun.cli.backup: a verified copy of the store, made while others write.

local counted = require "esrun.cli.counted"
local errors = require "esrun.cli.errors"
local target = require "esrun.cli.target"

local backup = {
  description = "Copy the store into a new file while it is in use. The file appears when the copy is verified. "
    .. "Segments of archived events that are at hand are copied too, to FILE-archive. "
    .. "It is recorded in $audit as $BackupCreated.",
}

function backup.define(parser)
  parser:argument "FILE":target "file":description "The new file, which must not exist yet."
  parser:option "--as":argname "ACTOR":description "Who makes it (default: system:backup)."
end

function backup.run(call, args)
  local es = call:open { must_exist = true }
  local frame = target.frame { as = args.as or "system:backup", role = {}, permission = {} }
  local progress, wipe = call:progress("backup, pages")
  local verified, message, code, details = es.context.run(frame, function()
    return es:backup(args.file, { progress = progress })
  end)
  wipe()
  errors.check(verified, message, code, details)
  if verified.unseen_count > 0 then
    io.stderr:write(("esrun: warning: the segments of %s are not at hand, so not beside the copy\n"):format(
      counted(verified.unseen_count, "archived event")))
  end
  if call.out.mode ~= "table" then
    verified.file = args.file
    return call.out:json(verified)
  end
  call.out:line("%s: %s, head %s, verified", args.file, counted(verified.event_count, "event"),
    verified.event_count > 0 and verified.head_hash or "none")
end

return backup
