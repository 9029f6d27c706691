-- es: for editors: what domain modules are written with. tests/lua/annotations_spec.lua keeps it in step with the code.
---@meta es

---@class es
---@field null userdata JSON's null, distinct from an absent field
local es = {}

---@class es.Aggregate
---@field name string
---@field events? table<string, es.Fields> fields of each event type's data; types are unique in a project
---@field initial? fun(): table the state before the first event
---@field apply? table<string, fun(state: table, e: es.Event)> changes the state in place
---@field commands? table<string, es.Command>
---@field view? es.Rule who may read the state
---@field not_found? string the message of a missing aggregate
---@field upcast? table<string, (fun(data: table): table)[]> [1] turns version 1 of the data into 2, and so on
---@field snapshot? es.SnapshotPolicy when its snapshots are taken by themselves, after a command

---@class es.SnapshotPolicy one of these, or several
---@field every? integer with each version that is a multiple of this
---@field daily? true with the first command of a day (UTC)
---@field bytes? integer when so many bytes of events' data came since the last

---@alias es.Fields table<string, string|es.schema.Type|boolean> "string", "integer?", or a type made by es.schema

---@class es.Command
---@field params? es.Fields
---@field allow? es.Rule without one the command is denied to everybody
---@field exists? boolean|string the aggregate must exist: true, or the message when it does not
---@field decide fun(state: table, cmd: table, ctx: es.Context): es.NewEvent|es.NewEvent[]|es.Rejection|nil
---@field dispatch? string another name, unique in the project: "ShipOrder"
---@field description? string

---@class es.Context what a decision may know of the world; fixed for the command
---@field id string of the aggregate
---@field aggregate_type string
---@field version integer of the state at hand; 0: there is no event yet
---@field command string
---@field now string RFC 3339 UTC
---@field actor_id? string
---@field actor_kind? string "user", "service" …
---@field tenant_id? string
---@field roles string[]
---@field permissions string[]
---@field metadata table
---@field request_id? string
---@field correlation_id string
---@field causation_id? string
---@field new_id fun(): string a UUID, the same one when the command is decided again

---@class es.Event what apply and projections get; valid while the handler runs
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
---@field copy fun(self: es.Event): table a plain table of everything, to keep

---@class es.NewEvent
---@field event_type string
---@field data table
---@field with_metadata fun(self: es.NewEvent, fields: table): es.NewEvent
---@field with_causation fun(self: es.NewEvent, cause: es.Event): es.NewEvent
---@field caused_by fun(self: es.NewEvent, cause: es.Event): es.NewEvent

---@class es.Rejection
---@field code string
---@field message string

---@class es.Projection
---@field name string
---@field tables? table<string, table> { column = type, key = { … }, index = { { … } } }
---@field on? table<string, fun(t: table, e: es.Event)> by event type; `any` sees those without a handler of their own
---@field queries? table<string, { sql: string, params: table<string, string>? }>
---@field statements? table<string, { sql: string, params: table<string, string>? }>
---@field runtime_events? boolean `any` sees the runtime's own events, too

--- Declares an aggregate; fill it in and return it from the module.
---@param name string
---@return es.Aggregate
function es.aggregate(name) end

--- Declares a projection; fill it in and return it from the module.
---@param name string letters, digits and `_`
---@return es.Projection
function es.projection(name) end

--- An event for a decision to return.
---@param event_type string declared in the aggregate's `events`
---@param data? table
---@return es.NewEvent
function es.event(event_type, data) end

--- Refuses a command.
---@param code string a word for programs
---@param message? string for people
---@return es.Rejection
function es.reject(code, message) end

--- A list, so that an empty one stays `[]`.
---@param items? table
---@return table
function es.array(items) end

---@return boolean
function es.is_aggregate(value) end

---@return boolean
function es.is_event(value) end

---@return boolean
function es.is_rejection(value) end

return es
