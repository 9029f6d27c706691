-- esrun: for editors; made from the comments of lua/esrun/init.lua by cmake/annotate.lua.
---@meta esrun

---@class esrun
local esrun = {}

esrun._VERSION = nil

--- In a frame: none, where leaving a field out would inherit.
---@type userdata
esrun.none = nil

--- JSON's null inside parameters, data and state.
---@type userdata
esrun.null = nil

--- Marks a table as a list, so that an empty one is `[]`: `esrun.array {}`.
---@type fun(items: table?): table
esrun.array = nil

--- A new id for an aggregate: a UUIDv7, ordered by time.
---@type fun(): string
esrun.new_id = nil

--- Constructors and parser of actor ids.
---@type esrun.actor
esrun.actor = nil

--- Lossless JSON: `encode(value)` and `decode(text)` answer nil, message, code, details on failure.
---@type { encode: (fun(value: any): string?), decode: (fun(text: string): any) }
esrun.json = nil

--- RFC 3339 text and microseconds since 1970: `parse(text)` (nil when malformed) and `text(microseconds)`.
---@type { parse: (fun(text: string): integer?), text: (fun(microseconds: integer): string) }
esrun.time = nil

--- Names of statuses and the numbers the command line exits with.
---@type table<string, integer>
esrun.statuses = nil

--- What `open` takes where its options name no project and no store: `esrun run` sets it from its own options.
---@type { project: string?, store: string? }
esrun.defaults = nil

---@class esrun.OpenOptions
---@field project? string folder that holds esrun.lua; without one only the shipped modules are there
---@field store? string path of the SQLite file, or ":memory:"; else as esrun.lua says
---@field read_only? boolean refuse to write; the file must exist
---@field must_exist? boolean do not create the store
---@field clock? fun(): integer|string microseconds since 1970, or RFC 3339 text; for tests
---@field log? fun(level: string, record: string) receives one JSON object a record
---@field time_limit_ms? integer for one load, decision or batch of handlers
---@field memory_limit_bytes? integer of one domain state
---@field limit_signal? integer signal that carries the time limit; -1: a count hook instead
---@field conflict_retries? integer how often a command without expected version is decided again; -1: never
---@field allow_nondeterminism? boolean test door: gives domain code es.test_random()

--- Opens a project's modules and its store.
---@param options? esrun.OpenOptions
---@return esrun.Runtime? runtime closed by `es:close()`, or with `local es <close> = assert(esrun.open{ … })`
---@return string? message
---@return string? code
---@return esrun.Details? details
function esrun.open(options) end

--- The nearest folder from `start` (default: here) upward that holds esrun.lua.
---@param start? string
---@return string? folder
---@return string? message
---@return string? code
---@return esrun.Details? details
function esrun.find_project(start) end

---@class esrun.Place
---@field project? string folder that holds esrun.lua
---@field store? string path of the SQLite file; else as esrun.lua says

--- Makes a verified copy of a backup the project's store. A store that is there is never overwritten.
---@param file string
---@param place esrun.Place
---@return table? verified { event_count, head_hash }
---@return string? message
---@return string? code
---@return esrun.Details? details
function esrun.restore(file, place) end

--- The layout of the store's file: { version, known }; version 0: there is none. Opening for writing brings it up to date.
---@param place esrun.Place
---@return table? layout
---@return string? message
---@return string? code
---@return esrun.Details? details
function esrun.layout(place) end

return esrun
