-- es.testing: finds the kit for specifications, which is host code (lua/esrun/testing.lua). Domain code cannot require it.
require "esrun"
return require "esrun.testing"
