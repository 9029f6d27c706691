-- mapping: what a row of the other bank's means: an event of an Account or a Wallet. CSV has texts only.
return function(row)
  return {
    aggregate_type = row.kind:match "^%u%l+", aggregate_id = row.account, event_type = row.kind,
    occurred_at = row.at, actor_id = "user:" .. row.clerk, id = row.id,
    data = {
      amount = math.tointeger(tonumber(row.amount)), currency = row.currency, from = row.sender, to = row.receiver,
      note = row.text,
    },
  }
end
