-- The project: where its store is and in which folders its modules are.
return {
  store = "document.db",
  aggregates = { "aggregates" },
  projections = { "projections" },
}
