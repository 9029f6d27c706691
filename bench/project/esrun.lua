-- The settings of the project that is measured: all as it comes.
return {}
