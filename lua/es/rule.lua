-- es.rule: the words that authorization is written in. A rule is a function(state, cmd, ctx) that returns true, or
-- false with a reason and a code. Knows nothing of commands, the store or how a denial is recorded; decides nothing but
-- yes or no. Whoever is not clearly allowed is refused.

---@alias es.Rule fun(state: table, cmd: table, ctx: es.Context): boolean, string?, string?

---@class es.rule
local rule = {}

local UNAUTHENTICATED, FORBIDDEN = "unauthenticated", "forbidden"
local AUTHENTICATION_REQUIRED = "Authentication required"
local ACCESS_DENIED = "Access denied"

-- What each rule made here says, for listings.
local descriptions = {}

local function describe(fn, text)
  descriptions[fn] = text
  return fn
end

-- Somebody in particular: neither no actor at all nor one who is known to be nobody.
local function has_actor(ctx)
  return type(ctx.actor_id) == "string" and ctx.actor_id ~= "" and ctx.actor_id ~= "anonymous"
end

local function refuse_nobody() return false, AUTHENTICATION_REQUIRED, UNAUTHENTICATED end

local function contains(list, wanted)
  for _, item in ipairs(list or {}) do
    if item == wanted then
      return true
    end
  end
  return false
end

-- Declarations raise at the line of the module that made them.
local function want_names(what, names)
  if #names == 0 then
    error(("rule.%s: expected at least one name"):format(what), 3)
  end
  for index = 1, #names do
    if type(names[index]) ~= "string" or names[index] == "" then
      error(("rule.%s: name %d is no text"):format(what, index), 3)
    end
  end
  return names
end

local function want_rules(what, rules)
  if #rules == 0 then
    error(("rule.%s: expected at least one rule"):format(what), 3)
  end
  for index = 1, #rules do
    if type(rules[index]) ~= "function" then
      error(("rule.%s: argument %d is no rule but %s"):format(what, index, type(rules[index])), 3)
    end
  end
  return rules
end

local function listed(names) return table.concat(names, " or ") end

--- Everybody, also without an actor.
---@type es.Rule
rule.anyone = describe(function() return true end, "anyone")

--- Nobody: what a command without `allow` has.
---@type es.Rule
rule.nobody = describe(function() return false, ACCESS_DENIED, FORBIDDEN end, "nobody")

--- Any actor but none and "anonymous".
---@type es.Rule
rule.authenticated = describe(function(_, _, ctx)
  if not has_actor(ctx) then
    return refuse_nobody()
  end
  return true
end, "authenticated")

--- An actor with at least one of the roles.
---@return es.Rule
function rule.role(...)
  local roles = want_names("role", { ... })
  return describe(function(_, _, ctx)
    if not has_actor(ctx) then
      return refuse_nobody()
    end
    for _, name in ipairs(roles) do
      if contains(ctx.roles, name) then
        return true
      end
    end
    return false, ("Role required: %s"):format(listed(roles)), FORBIDDEN
  end, "role " .. listed(roles))
end

--- An actor who holds the permission, directly or as a role of that name.
---@return es.Rule
function rule.permission(name)
  want_names("permission", { name })
  return describe(function(_, _, ctx)
    if not has_actor(ctx) then
      return refuse_nobody()
    elseif contains(ctx.permissions, name) or contains(ctx.roles, name) then
      return true
    end
    return false, "Permission denied: " .. name, FORBIDDEN
  end, "permission " .. name)
end

--- The actor whose id the state holds in `field`. Never true for a field that is not set.
---@return es.Rule
function rule.owner(field, message)
  want_names("owner", { field })
  if message ~= nil then
    want_names("owner", { message })
  end
  return describe(function(state, _, ctx)
    if not has_actor(ctx) then
      return refuse_nobody()
    elseif state ~= nil and state[field] == ctx.actor_id then
      return true
    end
    return false, message or ACCESS_DENIED, FORBIDDEN
  end, "owner by " .. field)
end

--- Actors of these kinds: the word before the colon ("system", "webhook").
---@return es.Rule
function rule.actor_kind(...)
  local kinds = want_names("actor_kind", { ... })
  return describe(function(_, _, ctx)
    if not has_actor(ctx) then
      return refuse_nobody()
    elseif contains(kinds, ctx.actor_id:match("^([^:]+):")) then
      return true
    end
    return false, ACCESS_DENIED, FORBIDDEN
  end, "actor kind " .. listed(kinds))
end

local function describe_all(word, rules)
  local texts = {}
  for index, inner in ipairs(rules) do
    texts[index] = rule.describe(inner)
  end
  return ("%s(%s)"):format(word, table.concat(texts, ", "))
end

--- At least one of the rules. Without an actor the answer is that of a rule that asked for one; otherwise the last
--- refusal is given, so put the rule whose message tells most at the end.
---@return es.Rule
function rule.any(...)
  local rules = want_rules("any", { ... })
  return describe(function(state, cmd, ctx)
    local reason, code
    for _, inner in ipairs(rules) do
      local allowed, inner_reason, inner_code = inner(state, cmd, ctx)
      if allowed == true then
        return true
      end
      if code ~= UNAUTHENTICATED then
        reason, code = inner_reason or reason, inner_code or code
      end
    end
    return false, reason or ACCESS_DENIED, code or FORBIDDEN
  end, describe_all("any", rules))
end

--- Every one of the rules; the first that refuses answers.
---@return es.Rule
function rule.all(...)
  local rules = want_rules("all", { ... })
  return describe(function(state, cmd, ctx)
    for _, inner in ipairs(rules) do
      local allowed, reason, code = inner(state, cmd, ctx)
      if allowed ~= true then
        return false, reason or ACCESS_DENIED, code or FORBIDDEN
      end
    end
    return true
  end, describe_all("all", rules))
end

--- None of the rules. True for no actor too, so combine it with `authenticated`. Only a clear false counts as a refusal:
--- a rule that answers neither way denies.
---@return es.Rule
function rule.none_of(...)
  local rules = want_rules("none_of", { ... })
  return describe(function(state, cmd, ctx)
    for _, inner in ipairs(rules) do
      if inner(state, cmd, ctx) ~= false then
        return false, ACCESS_DENIED, FORBIDDEN
      end
    end
    return true
  end, describe_all("none of", rules))
end

--- The same rule with a refusal in other words. Whoever has no actor is still told that one is required.
---@return es.Rule
function rule.message(inner, text)
  want_rules("message", { inner })
  want_names("message", { text })
  return describe(function(state, cmd, ctx)
    local allowed, reason, code = inner(state, cmd, ctx)
    if allowed == true then
      return true
    elseif code == UNAUTHENTICATED then
      return false, reason, code
    end
    return false, text, code or FORBIDDEN
  end, rule.describe(inner))
end

--- A rule in words, for documentation: "any(role editor, owner by created_by)".
---@return string
function rule.describe(fn)
  if fn == nil then
    return "nobody"
  end
  return descriptions[fn] or "a function of the module"
end

return rule
