-- Document: a text with a title that somebody creates and somebody edits. Knows who did it only from the event.
local es = require "es"
local rule = require "es.rule"

local Document = es.aggregate "Document"

Document.events = {
  DocumentCreated = { title = "string", content = "string" },
  DocumentEdited = { new_content = "string" },
}

function Document.initial() return { title = "", content = "" } end

Document.apply = {
  DocumentCreated = function(doc, e)
    doc.title, doc.content, doc.created_by = e.data.title, e.data.content, e.actor_id
  end,
  DocumentEdited = function(doc, e)
    doc.content, doc.last_edited_by = e.data.new_content, e.actor_id
  end,
}

Document.commands = {
  create = {
    params = { title = "string", content = "string" },
    allow = rule.authenticated,
    decide = function(_, cmd, ctx)
      if ctx.version > 0 then return es.reject("already_exists", "Document already exists") end
      return es.event("DocumentCreated", { title = cmd.title, content = cmd.content })
    end,
  },
  edit = {
    params = { new_content = "string" },
    exists = "Document must be created first",
    allow = rule.any(rule.role "editor", rule.owner "created_by"),
    decide = function(_, cmd) return es.event("DocumentEdited", { new_content = cmd.new_content }) end,
  },
}

return Document
