-- esrun: what `require "esrun"` returns in trusted Lua: opens runtimes and offers the values, actors and ids that go with
-- them. Written on the C core (runtime/host), which is written on esrun.h.

local core = require "esrun.core"
local runtime = require "esrun.runtime"
require "esrun.coroutine"

---@class esrun
local esrun = {
  _VERSION = core.version,
  --- In a frame: none, where leaving a field out would inherit.
  ---@type userdata
  none = core.none,
  --- JSON's null inside parameters, data and state.
  ---@type userdata
  null = core.null,
  --- Marks a table as a list, so that an empty one is `[]`: `esrun.array {}`.
  ---@type fun(items: table?): table
  array = core.array,
  --- A new id for an aggregate: a UUIDv7, ordered by time.
  ---@type fun(): string
  new_id = core.new_id,
  --- Constructors and parser of actor ids.
  ---@type esrun.actor
  actor = require "esrun.actor",
  --- Keys that sign checkpoints, and checking proofs without a store.
  ---@type esrun.ledger
  ledger = require "esrun.ledger",
  --- Lossless JSON: `encode(value)` and `decode(text)` answer nil, message, code, details on failure.
  ---@type { encode: (fun(value: any): string?), decode: (fun(text: string): any) }
  json = { encode = core.encode, decode = core.decode },
  --- RFC 3339 text and microseconds since 1970: `parse(text)` (nil when malformed) and `text(microseconds)`.
  ---@type { parse: (fun(text: string): integer?), text: (fun(microseconds: integer): string) }
  time = { parse = core.parse_time, text = core.time_text },
  --- Names of statuses and the numbers the command line exits with.
  ---@type table<string, integer>
  statuses = core.statuses,
  --- What `open` takes where its options name no project and no store: `esrun run` sets it from its own options.
  ---@type { project: string?, store: string? }
  defaults = {},
}

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
---@field checkpoint? esrun.CheckpointPolicy checkpoints that are signed by themselves
---@field on_failed_module? esrun.OnFailedModule told of all that is wrong with modules; those that do not load are left out

---@alias esrun.OnFailedModule fun(path: string, message: string, code: string, details: esrun.Details)

---@class esrun.CheckpointPolicy what came after the newest checkpoint in the store is signed with a commit and by es:close()
---@field events? integer when there are so many events; else not by number
---@field seconds? integer when the first of them is so old; else not by time
---@field keys esrun.SigningKey[]|fun(store_id: string): esrun.SigningKey[]? nil: this store is not signed
---@field memory? string folder of the signer's memory
---@field evidence? fun(store_id: string): { anchors: { name: string, note: string }[]? } what each one must continue
---@field deliver? fun(note: string): boolean hands a checkpoint on; false: it could not, so it is tried again later

local OPTIONS = {
  project = true, store = true, read_only = true, must_exist = true, clock = true, log = true, time_limit_ms = true,
  memory_limit_bytes = true, limit_signal = true, conflict_retries = true, allow_nondeterminism = true,
  checkpoint = true, on_failed_module = true,
}
local POLICY = { events = true, seconds = true, keys = true, memory = true, evidence = true, deliver = true }

-- The policy as the core takes it, or nil when the store is one that is not signed.
local function policy_of(given, handle)
  local policy = {}
  if type(given) ~= "table" then error("esrun.open: checkpoint: table expected, got " .. type(given), 3) end
  for name, value in pairs(given) do
    if not POLICY[name] then error(("esrun.open: unknown member '%s' of checkpoint"):format(tostring(name)), 3) end
    policy[name] = value
  end
  if type(policy.keys) == "function" then policy.keys = policy.keys(assert(handle:info()).store.store_id) end
  return policy.keys and policy
end

--- Opens a project's modules and its store.
---@param options? esrun.OpenOptions
---@return esrun.Runtime? runtime closed by `es:close()`, or with `local es <close> = assert(esrun.open{ … })`
---@return string? message
---@return string? code
---@return esrun.Details? details
function esrun.open(options)
  local given = {}
  if type(options or given) ~= "table" then error("esrun.open: table expected, got " .. type(options), 2) end
  for name, value in pairs(esrun.defaults) do given[name] = value end
  for name, value in pairs(options or {}) do
    if not OPTIONS[name] then error(("esrun.open: unknown option '%s'"):format(tostring(name)), 2) end
    given[name] = value
  end
  local handle, message, code, details = core.open(given)
  if not handle then return nil, message, code, details end
  local policy = given.checkpoint and not given.read_only and policy_of(given.checkpoint, handle)
  if policy then
    local done
    done, message, code, details = handle:checkpoint_every(policy)
    if not done then
      handle:close()
      return nil, message, code, details
    end
  end
  return runtime.new(handle)
end

--- The nearest folder from `start` (default: here) upward that holds esrun.lua.
---@param start? string
---@return string? folder
---@return string? message
---@return string? code
---@return esrun.Details? details
function esrun.find_project(start)
  return core.find_project(start)
end

---@class esrun.Place
---@field project? string folder that holds esrun.lua
---@field store? string path of the SQLite file; else as esrun.lua says

---@class esrun.RestoreOptions
---@field accept_rollback? boolean restore a backup that is older than what was signed
---@field accept_foreign? boolean restore it where another store was signed for
---@field evidence? fun(store_id: string): { keys: string[]?, anchors: { name: string, note: string }[]? } what is known besides
---@field memory? string folder of the signer's memory; "": do not look

--- Makes a verified copy of a backup the project's store. A store that is there is never overwritten, and a backup that is older
--- than what was signed, or of another store than was signed for at this place, is refused unless that is accepted.
---@param file string
---@param place esrun.Place
---@param options? esrun.RestoreOptions
---@return table? verified { event_count, head_hash, warnings, foreign }
---@return string? message
---@return string? code
---@return esrun.Details? details
function esrun.restore(file, place, options)
  options = options or {}
  if type(place) ~= "table" then error("esrun.restore: place: table expected, got " .. type(place), 2) end
  return core.restore { file = file, project = place.project, store = place.store,
    accept_rollback = options.accept_rollback, accept_foreign = options.accept_foreign, evidence = options.evidence,
    memory = options.memory }
end

--- The layout of the store's file: { version, known }; version 0: there is none. Opening for writing brings it up to date.
---@param place esrun.Place
---@return table? layout
---@return string? message
---@return string? code
---@return esrun.Details? details
function esrun.layout(place)
  if type(place) ~= "table" then error("esrun.layout: place: table expected, got " .. type(place), 2) end
  return core.layout { project = place.project, store = place.store }
end

--- The settings that opening would work by, with neither the store nor the modules looked at: a list of
--- { setting, value, origin }, as es:config() answers of a runtime. The store's value is esrun.null when none is named.
---@param place esrun.Place
---@return { setting: string, value: any, origin: string }[]? settings
---@return string? message
---@return string? code
---@return esrun.Details? details
function esrun.settings(place)
  if type(place) ~= "table" then error("esrun.settings: place: table expected, got " .. type(place), 2) end
  return core.settings { project = place.project, store = place.store }
end

return esrun
