-- esrun.runtime: for editors; made from the comments of lua/esrun/runtime.lua by cmake/annotate.lua.
---@meta esrun.runtime

---@class esrun.Runtime
---@field context esrun.Context
---@field audit esrun.Audit
local Runtime = {}

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
function Runtime:execute(target, command, params, options) end

--- The same by a command's dispatch name: `es:dispatch("ShipOrder", order_id, { … })`.
---@param name string
---@param aggregate_id string
---@param params? table
---@param options? esrun.ExecuteOptions
---@return esrun.Reply? reply
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:dispatch(name, aggregate_id, params, options) end

--- Runs f(...) in one transaction: its commands become durable together, when f has returned. An error in f, or f
--- returning nil or false as its first value, takes all of them back; a command that fails leaves the others in place
--- otherwise. Answers what f answered.
---@param f function
function Runtime:transaction(f, ...) end

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

--- Appends events that no command decided: what a test is given, or an import. No rule is asked, so this is for trusted
--- code alone. All or nothing.
---@param events esrun.NewEvent[] at most 10,000
---@param options? esrun.AppendOptions
---@return integer? first position
---@return integer|string? last position, or the message
---@return string? code
---@return esrun.Details? details
function Runtime:append(events, options) end

---@class esrun.LoadOptions
---@field at_version? integer
---@field at_time? string|integer RFC 3339 text or microseconds, of recorded_at
---@field form? "table"|"json"

--- An aggregate's state, folded from its events: { aggregate_type, aggregate_id, tenant_id, version, exists, state,
--- state_hash, last_event_at }.
---@param target string|string[]
---@param options? esrun.LoadOptions
---@return table? loaded
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:load(target, options) end

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

--- Iterates over events in order of position, in constant memory: `for e in es:events { actor_id = "user:jane" } do`.
--- Raises an error with message, code and status when reading fails.
---@param filter? esrun.Filter
---@return fun(cursor): esrun.Event|string
function Runtime:events(filter) end

---@class esrun.WorkOptions
---@field progress? fun(done: integer, total: integer): boolean? returning false stops the work between transactions

--- Brings one projection, or all, up to the store's head.
---@param name? string
---@param options? esrun.WorkOptions
---@return true? done
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:project(name, options) end

--- Builds a projection anew from the first event; the new one takes over when it has caught up.
---@param name string
---@param options? esrun.WorkOptions
---@return true? done
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:rebuild(name, options) end

--- A list of { name, state, position, head, behind, generation, error }.
---@return table[]? list
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:projection_status() end

--- Iterates over the rows of a projection's named query, for the context's tenant. Raises when the query fails.
---@param projection string
---@param query string
---@param params? table
---@param form? "table"|"json"
---@return fun(rows): table|string
function Runtime:rows(projection, query, params, form) end

--- The rows of a projection's named query, for the context's tenant. A column without a value is esrun.null.
---@param projection string
---@param query string
---@param params? table
---@return table[]? rows
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:query(projection, query, params) end

--- What an actor did last, newest first (nil: those without an actor): see esrun.audit.
---@param actor_id? string
---@param limit? integer default 50
function Runtime:activity(actor_id, limit) end

---@class esrun.VerifyOptions: esrun.WorkOptions
---@field on_finding? fun(finding: { kind: string, position: integer?, message: string })

--- Recomputes every hash, link, version sequence and derived structure. Answers { ok, event_count, finding_count,
--- head_hash }; a damaged store's report has ok = false and is followed by message, code, details.
---@param options? esrun.VerifyOptions
---@return table? report
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:verify(options) end

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
function Runtime:replay(options) end

---@class esrun.ImportOptions
---@field form? "export"|"jsonl"|"csv" lines of an export (default), or rows that a mapping makes events of
---@field append? boolean lines of an export into a store that has other events: with new positions
---@field name? string of the source; needed by a mapping, whose default actor is import:NAME
---@field mapping? string the text of a module that returns function map(row, ctx)
---@field mapping_path? string named in messages
---@field group? integer events a transaction; default 1000

---@class esrun.Import one at a time
---@field feed fun(self: esrun.Import, bytes: string): true?, string?, string?, esrun.Details? the next piece, cut anywhere
---@field finish fun(self: esrun.Import): true?, string?, string?, esrun.Details? the input ended: stores the last group
---@field report fun(self: esrun.Import): table { line_count, imported_count, skipped_count, ignored_count }
---@field close fun(self: esrun.Import) stores nothing more

--- Starts an import: trusted code's door, no rule is asked. A group is stored whole or not at all; the first thing wrong
--- ends the import, and importing again goes on behind what is stored.
---@param options? esrun.ImportOptions
---@return esrun.Import? import
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:import(options) end

--- A verified copy of the store in a new file, made while others write. Answers { event_count, head_hash }.
---@param path string
---@param options? esrun.WorkOptions
---@return table? verified
---@return string? message
---@return string? code
---@return esrun.Details? details
function Runtime:backup(path, options) end

--- The modules: { aggregates = { NAME = { commands, events, module } }, projections = … }.
function Runtime:describe() end

--- The effective settings and where each comes from.
function Runtime:config() end

--- The store: id, path, events, head hash, versions of libraries, pragmas.
function Runtime:info() end

--- Reads the modules anew and puts them in force, if all of them load and are right; otherwise the old ones stay.
---@return true? done
---@return boolean|string? changed whether any module differs, or the message
---@return string? code
---@return esrun.Details? details
function Runtime:reload() end

--- Closes the runtime and everything it opened. Closing twice is fine.
function Runtime:close() end

return Runtime
