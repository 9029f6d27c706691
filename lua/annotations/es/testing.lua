-- es.testing: for editors; made from the comments of lua/esrun/testing.lua by cmake/annotate.lua.
---@meta es.testing

---@class es.testing
local testing = {}

--- In what is expected: any value will do, but there must be one.
---@type any
testing.any = nil

---@class es.testing.Options
---@field project? string folder with esrun.lua; else the nearest one upward from here
---@field at? string|integer the time; it stands still

---@class es.testing.Given an event that has happened: { "Document/1", "DocumentCreated", { title = "A" }, actor_id = "user:a" }
---@field [1] string TYPE/ID
---@field [2] string event type
---@field [3]? table data
---@field actor_id? string
---@field tenant_id? string
---@field at? string|integer when it occurred and was recorded
---@field metadata? table
---@field schema_version? integer of the data, where it is an old one

---@class es.testing.Expected an event that is expected: its type, or { type, data, actor_id = …, metadata = … }
---@field [1] string event type
---@field [2]? table data, all of it; testing.any stands for any value
---@field actor_id? string
---@field metadata? table the names that matter

---@class es.testing.Scenario
---@field es esrun.Runtime the runtime beneath, for what has no word here
---@field time string|integer
local Scenario = {}

--- Opens a runtime on the project's modules with an empty store in memory. Time stands still at `options.at`.
---@param options? es.testing.Options
---@return esrun.Runtime
function testing.open(options) end

--- Starts a scenario: these events have happened.
---@param events? es.testing.Given[]
---@param options? es.testing.Options
---@return es.testing.Scenario
function testing.given(events, options) end

--- More events have happened.
---@param events es.testing.Given[]
---@return es.testing.Scenario self
function Scenario:given(events) end

--- From here on it is this time, RFC 3339 text or microseconds.
---@param time string|integer
---@return es.testing.Scenario self
function Scenario:at(time) end

--- Somebody gives a command. The frame says who: { actor_id = "user:bob", roles = { "editor" } }.
---@param target string TYPE/ID
---@param command string
---@param params? table
---@param frame? esrun.Frame
---@return es.testing.Scenario self
function Scenario:when(target, command, params, frame) end

--- The command was accepted and stored exactly these events.
---@param expected (es.testing.Expected|string)[]
---@return es.testing.Scenario self
function Scenario:then_events(expected) end

--- The domain refused: with this code, and this message if one is given. A missing aggregate counts, its code is "not_found".
---@param code? string
---@param message? string
---@return es.testing.Scenario self
function Scenario:then_rejected(code, message) end

--- No rule allowed it: code "unauthenticated", "forbidden" or a rule's own.
---@param code? string
---@param message? string
---@return es.testing.Scenario self
function Scenario:then_denied(code, message) end

--- It went wrong with this status ("lua", "usage", "conflict" …), and a message that holds this text.
---@param status string
---@param part? string
---@return es.testing.Scenario self
function Scenario:then_fails(status, part) end

--- The state of the last aggregate spoken of, or of the target, is exactly this.
---@param target string|table TYPE/ID, or the state
---@param expected? table
---@return es.testing.Scenario self
function Scenario:then_state(target, expected) end

--- A projection, brought up to date, answers a query with exactly these rows.
---@param projection string
---@param query string
---@param params table|nil
---@param expected table[]
---@param frame? esrun.Frame whose tenant asks
---@return es.testing.Scenario self
function Scenario:then_rows(projection, query, params, expected, frame) end

return testing
