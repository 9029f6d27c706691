-- The project: where its store is and in which folders its modules are.
return {
  store = "orders.db",
  aggregates = { "aggregates" },
  projections = { "projections" },
}
