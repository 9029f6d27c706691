-- Account: the aggregate that is measured: small events, a state of three fields.
local es = require "es"
local rule = require "es.rule"

local Account = es.aggregate "Account"

local MOVEMENT = { amount = "integer", currency = "string", from = "uuid", note = "string", to = "uuid" }

Account.events = { AccountOpened = MOVEMENT, AccountCredited = MOVEMENT, AccountDebited = MOVEMENT }

function Account.initial() return { balance = 0, movements = 0 } end

local function move(account, e, sign)
  account.balance = account.balance + sign * e.data.amount
  account.movements = account.movements + 1
end

Account.apply = {
  AccountOpened = function(account, e)
    account.owner = e.actor_id
    move(account, e, 1)
  end,
  AccountCredited = function(account, e) move(account, e, 1) end,
  AccountDebited = function(account, e) move(account, e, -1) end,
}

local function event(event_type)
  return function(_, cmd)
    return es.event(event_type, {
      amount = cmd.amount, currency = cmd.currency, from = cmd.from, note = cmd.note, to = cmd.to,
    })
  end
end

Account.commands = {
  open = {
    params = MOVEMENT,
    allow = rule.authenticated,
    decide = function(_, cmd, ctx)
      if ctx.version > 0 then return es.reject("already_open", "The account is open already") end
      return event "AccountOpened"(nil, cmd)
    end,
  },
  credit = { params = MOVEMENT, exists = true, allow = rule.authenticated, decide = event "AccountCredited" },
  debit = { params = MOVEMENT, exists = true, allow = rule.authenticated, decide = event "AccountDebited" },
}

return Account
