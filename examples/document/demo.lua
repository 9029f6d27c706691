-- demo: alice creates a document, bob edits it, and the audit log tells. Usage: lua5.4 demo.lua [STORE [SECONDS]]
-- SECONDS since the epoch, when given, stop the clock at that time; it then moves a minute with every session.
local esrun = require "esrun"

local folder = arg[0]:match("^(.*)/[^/]*$") or "."
local stopped_at = tonumber(arg[2])

local function clock() return stopped_at * 1000000 end

local function next_session()
  if stopped_at then stopped_at = stopped_at + 60 end
end

local es <close> = assert(esrun.open { project = folder, store = arg[1], clock = stopped_at and clock })
local id = esrun.new_id()
local document = "Document/" .. id

-- What a server does after it has verified who is there: say so for the length of one request.
local function as(frame, command, params)
  es.context.run(frame, function() assert(es:execute(document, command, params)) end)
  assert(es:project("document_audit")) -- goes on where it stopped, so it sees only the new event
  next_session()
end

print("=== User 'alice' creates a document ===")
as({ actor_id = "user:alice" }, "create", { title = "Meeting Notes", content = "Initial draft..." })

print("=== User 'bob' edits the document ===")
as({ actor_id = "user:bob", roles = { "editor" } }, "edit", { new_content = "Updated content by Bob..." })

print("\n=== Audit Log ===")
for _, entry in ipairs(assert(es:query("document_audit", "log", { document_id = id }))) do
  print(("  %s: %s -> %s"):format(entry.timestamp, entry.actor, entry.action))
end

local state = assert(es:load(document)).state
print("\n=== Document State ===")
print("  Title: " .. state.title)
print("  Created by: " .. state.created_by)
print("  Last edited by: " .. state.last_edited_by)
