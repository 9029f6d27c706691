-- esrun.ledger: keys that sign checkpoints, and checking proofs, which needs no store. Signing and proving are methods of a
-- runtime: es:checkpoint, es:prove, es:verify.

local core = require "esrun.core"

---@class esrun.ledger
local ledger = {}

---@class esrun.SigningKey
---@field path? string a file that keygen wrote, readable by nobody else
---@field text? string PRIVATE+KEY+…, instead of path
---@field passphrase? string of an encrypted key

--- Makes an Ed25519 key in a new file of mode 0600. Answers its public part, NAME+ID+BASE64, for those who verify.
---@param options { name: string, path: string, passphrase: string? }
---@return string? vkey
---@return string? message
---@return string? code
---@return esrun.Details? details
function ledger.keygen(options) return core.keygen(options) end

--- The public part of a key.
---@param key esrun.SigningKey
---@return string? vkey
---@return string? message
---@return string? code
---@return esrun.Details? details
function ledger.key_public(key) return core.key_public(key) end

--- A detached RSA-PSS signature over bytes, as `openssl dgst` checks it, and the public key as a PEM.
---@param key esrun.SigningKey a PEM
---@param bytes string
---@return string? signature
---@return string? public_key or the message of the failure
---@return string? code
---@return esrun.Details? details
function ledger.sign_detached(key, bytes) return core.sign_detached(key, bytes) end

--- Checks a proof file's text without any store. Answers what was proved: { proves = "inclusion"|"consistency", origin, size,
--- root, signed_by, position, event_id, … }.
---@param check { proof: string, keys: string[], event: string?, older: string? }
---@return table? result
---@return string? message
---@return string? code
---@return esrun.Details? details
function ledger.verify_proof(check) return core.verify_proof(check) end

return ledger
