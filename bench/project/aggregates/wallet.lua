-- Wallet: the same as Account under another name, so that filtering by aggregate type leaves a part.
local es = require "es"
local rule = require "es.rule"

local Wallet = es.aggregate "Wallet"

local MOVEMENT = { amount = "integer", currency = "string", from = "uuid", note = "string", to = "uuid" }

Wallet.events = { WalletOpened = MOVEMENT, WalletCredited = MOVEMENT, WalletDebited = MOVEMENT }

function Wallet.initial() return { balance = 0, movements = 0 } end

local function move(wallet, e, sign)
  wallet.balance = wallet.balance + sign * e.data.amount
  wallet.movements = wallet.movements + 1
end

Wallet.apply = {
  WalletOpened = function(wallet, e)
    wallet.owner = e.actor_id
    move(wallet, e, 1)
  end,
  WalletCredited = function(wallet, e) move(wallet, e, 1) end,
  WalletDebited = function(wallet, e) move(wallet, e, -1) end,
}

local function event(event_type)
  return function(_, cmd)
    return es.event(event_type, {
      amount = cmd.amount, currency = cmd.currency, from = cmd.from, note = cmd.note, to = cmd.to,
    })
  end
end

Wallet.commands = {
  open = {
    params = MOVEMENT,
    allow = rule.authenticated,
    decide = function(_, cmd, ctx)
      if ctx.version > 0 then return es.reject("already_open", "The wallet is open already") end
      return event "WalletOpened"(nil, cmd)
    end,
  },
  credit = { params = MOVEMENT, exists = true, allow = rule.authenticated, decide = event "WalletCredited" },
  debit = { params = MOVEMENT, exists = true, allow = rule.authenticated, decide = event "WalletDebited" },
}

return Wallet
