-- esrun.runtime: the object that `esrun.open` answers. What belongs to the domain or the store comes back as a value or as
-- nil, message, code, details; misuse of a function raises and blames the caller. Iterators raise, as they cannot do else.

local context = require "esrun.context"
local core = require "esrun.core"
local dispatch = require "esrun.dispatch"
local errors = require "esrun.errors"
local frame = require "esrun.frame"

---@class esrun.Runtime
---@field context esrun.Context
---@field audit esrun.Audit
---@field archive esrun.Archive
local Runtime = {}
local meta = { __name = "esrun runtime" }
local runtime = {}

local PARTS = { archive = "esrun.archive", audit = "esrun.audit" }

-- What few programs need is made when it is first asked for: these parts, and the methods of esrun.snapshots.
function meta.__index(self, name)
  if Runtime[name] then return Runtime[name] end
  if not PARTS[name] then return require "esrun.snapshots"[name] end
  local part = require(PARTS[name]).new(self)
  rawset(self, name, part)
  return part
end

local open = setmetatable({}, { __mode = "k" }) -- runtimes not closed yet
local frames_left = 0                            -- in the contexts of closed ones

function runtime.new(handle)
  local new = setmetatable({ _handle = handle, context = context.new(handle) }, meta)
  open[new] = true
  return new
end

local function depth_of(self)
  return self._handle:is_open() and self._handle:context_depth() or 0
end

--- The context frames that were entered and never left, in all runtimes: what a script must leave at 0.
---@return integer
function runtime.frames_left()
  local count = frames_left
  for one in pairs(open) do count = count + depth_of(one) end
  return count
end

-- Commands ----------------------------------------------------------------------------------------------------------

---@class esrun.ExecuteOptions: esrun.Frame
---@field expected_version? integer the version the stream must have; 0: it must not exist
---@field idempotency_key? string the same key with the same command answers the first reply and runs nothing
---@field dry_run? boolean decide and report, store nothing
---@field form? "table"|"json" the reply as a table (default) or as JSON text

---@class esrun.Reply
---@field aggregate_type string
---@field aggregate_id string
---@field version integer the stream's version afterwards
---@field positions integer[]
---@field events esrun.Event[]
---@field correlation_id? string
---@field replayed boolean an earlier reply, found by its idempotency key

local EXECUTE_OPTIONS = { expected_version = true, idempotency_key = true, dry_run = true, form = true }

local function execute(handle, members, aggregate_type, aggregate_id, command, params, options)
  local as_text = options.form == "json"
  if not members then return handle:execute(aggregate_type, aggregate_id, command, params, options, as_text) end
  local scope <close>, message, code, details = handle:enter(members)
  if not scope then return nil, message, code, details end
  return handle:execute(aggregate_type, aggregate_id, command, params, options, as_text)
end

--- Executes a command under the context in force, all or nothing, durable when it returns a reply. The options may hold a
--- frame's fields too: they are in force for this command alone.
---@param target string|string[] "Document/ID" or { "Document", ID }
---@param command string
---@param params? table
---@param options? esrun.ExecuteOptions
---@return esrun.Reply? reply
---@return string? message why not
---@return string? code a stable word: a rejection's own code, "conflict", "unauthenticated" …
---@return esrun.Details? details
function Runtime:execute(target, command, params, options)
  local aggregate_type, aggregate_id = errors.check_target(target, "es:execute")
  options = options or {}
  local members = frame.take(options, EXECUTE_OPTIONS, "es:execute")
  return execute(self._handle, members, aggregate_type, aggregate_id, command, params, options)
end

--- The same by a command's dispatch name: `es:dispatch("ShipOrder", order_id, { … })`.
---@param name string
---@param aggregate_id string
---@param params? table
---@param options? esrun.ExecuteOptions
---@return esrun.Reply? reply
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:dispatch(name, aggregate_id, params, options)
  options = options or {}
  local members = frame.take(options, EXECUTE_OPTIONS, "es:dispatch")
  local aggregate_type, command, code, details = dispatch.find(self, name)
  if not aggregate_type then return nil, command, code, details end
  return execute(self._handle, members, aggregate_type, aggregate_id, command, params, options)
end

-- Calling f may have answered nil, message or false: then nothing of the transaction is kept.
local function finish(handle, ok, ...)
  if not ok then
    handle:rollback()
    error((...), 0)
  end
  if select("#", ...) > 0 and not (...) then
    handle:rollback()
    return ...
  end
  local done, message, code, details = handle:commit()
  if not done then return nil, message, code, details end
  return ...
end

--- Runs f(...) in one transaction: its commands become durable together, when f has returned. An error in f, or its answering
--- nil or false first, takes all of them back; a command that fails otherwise leaves the others. Answers what f answered.
---@param f function
function Runtime:transaction(f, ...)
  errors.check_function("es:transaction: f", f)
  local done, message, code, details = self._handle:begin()
  if not done then return nil, message, code, details end
  return finish(self._handle, pcall(f, ...))
end

-- Without commands -------------------------------------------------------------------------------------------------

---@class esrun.NewEvent what is absent is filled in, as es_append() in esrun.h says
---@field aggregate_type string
---@field aggregate_id string
---@field event_type string
---@field data? table
---@field metadata? table
---@field actor_id? string else the context's
---@field tenant_id? string else the context's
---@field event_id? string
---@field correlation_id? string
---@field causation_id? string
---@field version? integer must be the stream's next
---@field schema_version? integer of the data; else the declared one
---@field occurred_at? string|integer
---@field recorded_at? string|integer counts with `keep` only

---@class esrun.AppendOptions
---@field keep? boolean take everything as it comes, also recorded_at: absent is none
---@field unchecked? boolean ask no module whether the events are declared and fit

local APPEND_OPTIONS = { keep = true, unchecked = true }
local KEEP, UNCHECKED = 1, 2 -- es_append_flags

--- Appends events that no command decided: what a test is given, or an import. No rule is asked, so this is for trusted
--- code alone. All or nothing.
---@param events esrun.NewEvent[] at most 10,000
---@param options? esrun.AppendOptions
---@return integer? first position
---@return integer|string? last position, or the message
---@return string? code
---@return esrun.Details? details
function Runtime:append(events, options)
  options = options or {}
  errors.check_options(options, APPEND_OPTIONS, "es:append")
  return self._handle:append(events, (options.keep and KEEP or 0) | (options.unchecked and UNCHECKED or 0))
end

--- Events are facts, so this only says that none is ever taken back: nil, "Ledger is immutable", code, details.
function Runtime:delete() return nil, "Ledger is immutable", "immutable", { status = "usage", exit_status = 2 } end

-- Reading -----------------------------------------------------------------------------------------------------------

---@class esrun.LoadOptions
---@field at_version? integer
---@field at_time? string|integer RFC 3339 text or microseconds, of recorded_at
---@field form? "table"|"json"

local LOAD_OPTIONS = { at_version = true, at_time = true, form = true }

--- An aggregate's state, folded from its events: { aggregate_type, aggregate_id, tenant_id, version, exists, state,
--- state_hash, last_event_at }.
---@param target string|string[]
---@param options? esrun.LoadOptions
---@return table? loaded
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:load(target, options)
  local aggregate_type, aggregate_id = errors.check_target(target, "es:load")
  options = options or {}
  errors.check_options(options, LOAD_OPTIONS, "es:load")
  return self._handle:load(aggregate_type, aggregate_id, options, options.form == "json")
end

---@class esrun.Event absent members are nil
---@field position integer
---@field event_id string
---@field event_type string
---@field aggregate_type string
---@field aggregate_id string
---@field version integer
---@field schema_version integer
---@field tenant_id? string
---@field actor_id? string
---@field correlation_id string
---@field causation_id? string
---@field occurred_at string
---@field recorded_at string
---@field data table
---@field metadata table
---@field previous_hash string
---@field hash string

---@class esrun.Filter
---@field actor_id? string esrun.none: events without an actor
---@field event_type? string
---@field aggregate_type? string
---@field aggregate_id? string
---@field event_id? string
---@field correlation_id? string
---@field causation_id? string esrun.none: events without a cause
---@field tenant_id? string counts in operator scope only; esrun.none: events without a tenant
---@field from? string|integer recorded_at at or after
---@field to? string|integer recorded_at before
---@field after? integer positions above; in reverse: below
---@field from_version? integer
---@field to_version? integer
---@field limit? integer
---@field reverse? boolean
---@field form? "table"|"log"|"export" tables (default), or lines of JSON in one of the two forms of `esrun log` and `export`

local FILTER = {
  actor_id = true, event_type = true, aggregate_type = true, aggregate_id = true, event_id = true, correlation_id = true,
  causation_id = true, tenant_id = true, from = true, to = true, after = true, from_version = true, to_version = true,
  limit = true, reverse = true, form = true,
}

local function next_event(cursor)
  local event, message, code, details = cursor:next()
  if event == nil and message then errors.raise(message, code, details) end
  return event
end

--- Iterates over events in order of position, in constant memory: `for e in es:events { actor_id = "user:jane" } do`.
--- Raises an error with message, code and status when reading fails.
---@param filter? esrun.Filter
---@return fun(cursor): esrun.Event|string
function Runtime:events(filter)
  filter = filter or {}
  errors.check_options(filter, FILTER, "es:events")
  local cursor, message, code, details = self._handle:read(filter, filter.form)
  if not cursor then errors.raise(message, code, details) end
  return next_event, cursor, nil, cursor
end

-- Projections -------------------------------------------------------------------------------------------------------

---@class esrun.WorkOptions
---@field progress? fun(done: integer, total: integer): boolean? returning false stops the work between transactions

--- Brings one projection, or all, up to the store's head.
---@param name? string
---@param options? esrun.WorkOptions
---@return true? done
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:project(name, options)
  return self._handle:project(name, options)
end

--- Builds a projection anew from the first event; the new one takes over when it has caught up.
---@param name string
---@param options? esrun.WorkOptions
---@return true? done
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:rebuild(name, options)
  return self._handle:rebuild(name, options)
end

--- A list of { name, state, position, head, behind, generation, error }.
---@return table[]? list
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:projection_status()
  return self._handle:projection_status()
end

local function next_row(rows)
  local first, last = rows.text:find("\n", rows.at, true)
  if not first then return nil end
  local line = rows.text:sub(rows.at, first - 1)
  rows.at = last + 1
  if rows.form == "json" then return line end
  return assert(core.decode_own(line))
end

--- Iterates over the rows of a projection's named query, for the context's tenant. Raises when the query fails.
---@param projection string
---@param query string
---@param params? table
---@param form? "table"|"json"
---@return fun(rows): table|string
function Runtime:rows(projection, query, params, form)
  local text, message, code, details = self._handle:query(projection, query, params)
  if not text then errors.raise(message, code, details) end
  return next_row, { text = text, at = 1, form = form }
end

--- The rows of a projection's named query, for the context's tenant. A column without a value is esrun.null.
---@param projection string
---@param query string
---@param params? table
---@return table[]? rows
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:query(projection, query, params)
  local text, message, code, details = self._handle:query(projection, query, params)
  if not text then return nil, message, code, details end
  local rows = {}
  for row in next_row, { text = text, at = 1 } do rows[#rows + 1] = row end
  return rows
end

--- What an actor did last, newest first (nil: those without an actor): see esrun.audit.
---@param actor_id? string
---@param limit? integer default 50
function Runtime:activity(actor_id, limit)
  return self.audit.activity(actor_id, limit)
end

-- Checking ----------------------------------------------------------------------------------------------------------

---@class esrun.VerifyOptions: esrun.WorkOptions
---@field on_finding? fun(finding: { kind: string, fault: string, position: integer?, message: string })
---@field keys? string[] verifier keys to trust, besides those that the signer's memory has
---@field anchors? { name: string, note: string }[] checkpoints kept elsewhere
---@field memory? string folder of the signer's memory; "": do not look
---@field jobs? integer threads that hash
---@field since_checkpoint? boolean hash only the events after the newest checkpoint that holds

local VERIFY_OPTIONS = {
  on_finding = true, progress = true, keys = true, anchors = true, memory = true, jobs = true, since_checkpoint = true,
}

--- Recomputes every hash, link, version sequence and derived structure. Answers the report: see docs/reference/lua-api.md;
--- a damaged store's has ok = false and is followed by message, code, details.
---@param options? esrun.VerifyOptions
---@return table? report
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:verify(options)
  options = options or {}
  errors.check_options(options, VERIFY_OPTIONS, "es:verify")
  return self._handle:verify(options)
end

---@class esrun.CheckpointOptions
---@field keys esrun.SigningKey[]
---@field memory? string folder of the signer's memory
---@field accept_rollback? boolean
---@field replace_lost_key? boolean
---@field evidence? fun(store_id: string): { anchors: { name: string, note: string }[]? }

--- Signs the store's head: answers a C2SP checkpoint and remembers it outside the database. Refuses what contradicts what
--- was signed before, and a key that did not sign before, unless told that a rollback is accepted or the old key lost.
--- `evidence` tells the checkpoints that anchors remember: they must be continued too.
---@param options esrun.CheckpointOptions
---@return string? note
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:checkpoint(options) return self._handle:checkpoint(options) end

--- Proves that an event is in the newest signed tree ({ event_id = … }), or that a signed tree continues an older one
--- ({ from = …, to = … }, sizes). Answers the text of a proof file.
---@param options { event_id: string?, from: integer?, to: integer? }
---@return string? proof
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:prove(options) return self._handle:prove(options) end

---@class esrun.ReplayOptions: esrun.WorkOptions
---@field aggregate_type? string
---@field aggregate_id? string
---@field check? boolean fold twice in fresh states and compare

--- Folds every stream. With `check`, two replays that differ are a failure of status "integrity". Answers
--- { stream_count, event_count }.
---@param options? esrun.ReplayOptions
---@return table? report
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:replay(options) return self._handle:replay(options or {}) end

-- Data in and out ---------------------------------------------------------------------------------------------------

---@class esrun.ImportOptions
---@field form? "export"|"jsonl"|"csv" lines of an export (default), or rows that a mapping makes events of
---@field append? boolean lines of an export into a store that has other events: with new positions
---@field name? string of the source; needed by a mapping, whose default actor is import:NAME
---@field mapping? string the text of a module that returns function map(row, ctx)
---@field mapping_path? string named in messages
---@field group? integer events a transaction; default 4000

---@class esrun.Import one at a time
---@field feed fun(self: esrun.Import, bytes: string): true?, string?, string?, esrun.Details? the next piece, cut anywhere
---@field finish fun(self: esrun.Import): true?, string?, string?, esrun.Details? the input ended: stores the last group
---@field report fun(self: esrun.Import): table { line_count, imported_count, skipped_count, ignored_count }
---@field close fun(self: esrun.Import) stores nothing more

local IMPORT_OPTIONS = { form = true, append = true, name = true, mapping = true, mapping_path = true, group = true }

--- Starts an import: trusted code's door, no rule is asked. A group is stored whole or not at all; the first thing wrong
--- ends the import, and importing again goes on behind what is stored.
---@param options? esrun.ImportOptions
---@return esrun.Import? import
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:import(options)
  options = options or {}
  errors.check_options(options, IMPORT_OPTIONS, "es:import")
  return self._handle:import(options)
end

--- A verified copy of the store in a new file, made while others write. Answers { event_count, head_hash, unseen_count }.
---@param path string
---@param options? esrun.WorkOptions
---@return table? verified
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:backup(path, options) return self._handle:backup(path, options) end

-- Facts -------------------------------------------------------------------------------------------------------------

--- The modules: { aggregates = { NAME = { commands, events, module } }, projections = … }.
function Runtime:describe() return self._handle:describe() end

--- The effective settings and where each comes from.
function Runtime:config() return self._handle:config() end

--- The store: id, path, events, head hash, versions of libraries, pragmas.
function Runtime:info() return self._handle:info() end

--- Reads the modules anew and puts them in force, if all of them load and are right; otherwise the old ones stay.
---@return true? done
---@return boolean|string? changed whether any module differs, or the message
---@return string? code
---@return esrun.Details? details
function Runtime:reload()
  dispatch.forget(self)
  return self._handle:reload()
end

--- Closes the runtime and everything it opened. Closing twice is fine.
function Runtime:close()
  local ok, left = pcall(depth_of, self) -- in a callback close() says better what is wrong
  self._handle:close()
  open[self], frames_left = nil, frames_left + (ok and left or 0)
end

function meta.__close(self) self:close() end

return runtime
