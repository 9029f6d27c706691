-- The project: where its store is and in which folders its modules are.
return {
  store = "project.db",
  aggregates = { "aggregates" },
  projections = { "projections" },
}
