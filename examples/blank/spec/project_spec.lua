-- The project as a whole: its modules load and are right. What they do belongs into a specification of each.
local t = require "es.testing"

describe("the project", function()
  it("loads", function() assert.is_table(t.open():describe().aggregates) end)
end)
