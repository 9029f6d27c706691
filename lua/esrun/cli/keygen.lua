-- esrun.cli.keygen: makes a key that signs checkpoints. The secret goes to a file of the user's, never into the project
-- unless told so; the public part to stdout.

local errors = require "esrun.cli.errors"
local ledger = require "esrun.ledger"
local result_file = require "esrun.cli.result_file"
local user = require "esrun.cli.user"

local keygen = {
  description = "Make an Ed25519 key that signs checkpoints, in a new file that only you can read, and print its public part. "
    .. "With ESRUN_KEY_PASSPHRASE set the file is encrypted with that passphrase.",
  synopsis = { "[--name NAME] [-o FILE]", "--public [-o FILE]" },
}

function keygen.define(parser)
  parser:option "--name":argname "NAME":description "The key's name, like example.com/ledger (default: esrun/STORE-ID)."
  parser:option "-o --out":argname "FILE":description
    "The file, which must not exist yet (default: one a store in ~/.local/share/esrun/keys)."
  parser:flag "--public":description "Make nothing: print the public part, the verifier key, of the key in FILE."
end

local function store_id(call)
  local es = call:open()
  return errors.check(es:info()).store.store_id
end

local function show(call, path, vkey)
  if call.out.mode == "table" then
    call.out:line("%s", vkey)
  else
    call.out:json { key = path, vkey = vkey }
  end
end

function keygen.run(call, args)
  if args.public then errors.refuse(args, { "--name" }, "with a new key, not with --public") end
  local passphrase = os.getenv("ESRUN_KEY_PASSPHRASE")
  local path, name = args.out, args.name
  if not path or (not name and not args.public) then
    local id = store_id(call)
    path, name = path or user.key_path(id), name or "esrun/" .. id
  end
  if args.public then
    show(call, path, errors.check(ledger.key_public { path = path, passphrase = passphrase }))
    return 0
  end
  if not args.out then os.execute("mkdir -p -m 700 " .. user.quote(path:match("^(.*)/"))) end
  result_file.want_folder(path, "cannot create")
  local vkey = errors.check(ledger.keygen { name = name, path = path, passphrase = passphrase })
  show(call, path, vkey)
  if call.out.mode == "table" then
    io.stderr:write("The secret is in ", path, "; keep a copy where the store's backups are not.\n")
  end
  return 0
end

return keygen
