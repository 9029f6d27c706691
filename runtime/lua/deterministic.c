/* deterministic: the basic functions whose stock versions differ from process to process: pairs and next in key order, tostring
 * without addresses, and type, which calls views and event objects tables. */
#include <string.h>

#include "lua/internal.h"

/* ---- order of keys: booleans, numbers, strings by bytes ---- */

typedef struct es_key {
  int type; /* LUA_TBOOLEAN < LUA_TNUMBER < LUA_TSTRING */
  bool is_integer;
  lua_Integer integer; /* also a boolean */
  lua_Number number;
  const char *text; /* anchored by the table it is a key of */
  size_t length;
} es_key;

static void read_key(lua_State *L, int index, es_key *key) {
  int exact = 0;

  key->type = lua_type(L, index);
  switch (key->type) {
  case LUA_TBOOLEAN:
    key->integer = lua_toboolean(L, index);
    break;
  case LUA_TNUMBER:
    key->integer = lua_tointegerx(L, index, &exact); /* 2.0 as a key is 2 */
    key->is_integer = exact != 0;
    key->number = lua_tonumber(L, index);
    break;
  case LUA_TSTRING:
    key->text = lua_tolstring(L, index, &key->length);
    break;
  default:
    luaL_error(L, "a %s used as a key has no order to visit it in; use a string or an integer",
               luaL_typename(L, index));
  }
}

static int compare_text(const es_key *a, const es_key *b) {
  int order = memcmp(a->text, b->text, a->length < b->length ? a->length : b->length);
  if (order != 0) return order;
  return a->length < b->length ? -1 : a->length > b->length;
}

static int compare_keys(lua_State *L, const es_key *a, const es_key *b) {
  if (a->type != b->type) return a->type < b->type ? -1 : 1;
  if (a->type == LUA_TSTRING) return compare_text(a, b);
  if (a->type == LUA_TBOOLEAN || (a->is_integer && b->is_integer)) {
    return a->integer < b->integer ? -1 : a->integer > b->integer;
  }
  if (a->is_integer == b->is_integer) return a->number < b->number ? -1 : a->number > b->number;
  /* An integer and a float, compared exactly, which a conversion would not be. */
  if (a->is_integer)
    lua_pushinteger(L, a->integer);
  else
    lua_pushnumber(L, a->number);
  if (b->is_integer)
    lua_pushinteger(L, b->integer);
  else
    lua_pushnumber(L, b->number);
  int order = lua_compare(L, -2, -1, LUA_OPLT) ? -1 : 1;
  lua_pop(L, 2);
  return order;
}

/* Sorts `count` keys; both arrays have that size, and the result may be in either: it is returned. */
static es_key *sort_keys(lua_State *L, es_key *keys, es_key *spare, size_t count) {
  es_domain *domain = es__domain_of(L);

  for (size_t width = 1; width < count; width *= 2) {
    for (size_t start = 0; start < count; start += 2 * width) {
      size_t left = start, middle = start + width < count ? start + width : count;
      size_t right = middle, end = start + 2 * width < count ? start + 2 * width : count;
      for (size_t out = start; out < end; out++) {
        es__tick(L, domain);
        bool take_left =
            left < middle && (right >= end || compare_keys(L, &keys[left], &keys[right]) <= 0);
        spare[out] = take_left ? keys[left++] : keys[right++];
      }
    }
    es_key *swap = keys;
    keys = spare;
    spare = swap;
  }
  return keys;
}

/* ---- pairs ---- */

enum { UP_TABLE = 1, UP_KEYS, UP_POSITION, UP_COUNT, UP_VIEW }; /* upvalues of visit_next */

/* The iterator of pairs: the keys were taken when it began; what has been removed since is skipped. */
static int visit_next(lua_State *L) {
  lua_Integer at = lua_tointeger(L, lua_upvalueindex(UP_POSITION));
  lua_Integer count = lua_tointeger(L, lua_upvalueindex(UP_COUNT));
  bool sequence = lua_isnil(L, lua_upvalueindex(UP_KEYS));

  while (at++ < count) {
    if (sequence)
      lua_pushinteger(L, at);
    else
      lua_rawgeti(L, lua_upvalueindex(UP_KEYS), at);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, lua_upvalueindex(UP_TABLE)) != LUA_TNIL) {
      lua_pushinteger(L, at);
      lua_replace(L, lua_upvalueindex(UP_POSITION));
      if (lua_toboolean(L, lua_upvalueindex(UP_VIEW)))
        es__domain_push_read_only(L, -1);
      else
        return 2;
      lua_remove(L, -2);
      return 2;
    }
    lua_pop(L, 2);
    es__tick(L, es__domain_of(L));
  }
  return 0;
}

/* Counts the entries of the table at `table`; *sequence says that its keys are exactly 1 to that number. */
static size_t count_entries(lua_State *L, int table, bool *sequence) {
  es_domain *domain = es__domain_of(L);
  size_t count = 0, length = lua_rawlen(L, table), in_sequence = 0;

  lua_pushnil(L);
  while (lua_next(L, table)) {
    lua_pop(L, 1);
    count++;
    if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 1 && (size_t)lua_tointeger(L, -1) <= length)
      in_sequence++;
    es__tick(L, domain);
  }
  *sequence = in_sequence == count && count == length;
  return count;
}

/* Pushes a table of the keys of the table at `table` in order. */
static void push_sorted_keys(lua_State *L, int table, size_t count) {
  es_domain *domain = es__domain_of(L);
  es_key *keys = lua_newuserdatauv(L, 2 * count * sizeof *keys, 0), *sorted;
  size_t at = 0;

  lua_pushnil(L);
  while (lua_next(L, table)) {
    lua_pop(L, 1);
    read_key(L, -1, &keys[at++]);
    es__tick(L, domain);
  }
  sorted = sort_keys(L, keys, keys + count, count);
  lua_createtable(L, count <= INT32_MAX ? (int)count : INT32_MAX, 0);
  for (at = 0; at < count; at++) {
    const es_key *key = &sorted[at];
    if (key->type == LUA_TSTRING)
      lua_pushlstring(L, key->text, key->length);
    else if (key->type == LUA_TBOOLEAN)
      lua_pushboolean(L, (int)key->integer);
    else if (key->is_integer)
      lua_pushinteger(L, key->integer);
    else
      lua_pushnumber(L, key->number);
    lua_rawseti(L, -2, (lua_Integer)at + 1);
    es__tick(L, domain);
  }
  lua_remove(L, -2);
}

static int ordered_pairs(lua_State *L) {
  bool view = false, sequence = false;

  luaL_checkany(L, 1);
  if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL) {
    lua_pushvalue(L, 1);
    lua_call(L, 1, 3);
    return 3;
  }
  lua_settop(L, 1);
  if (!es__push_iterated(L, 1, &view)) luaL_checktype(L, 1, LUA_TTABLE); /* raises */
  size_t count = count_entries(L, 2, &sequence);
  if (sequence)
    lua_pushnil(L);
  else
    push_sorted_keys(L, 2, count);
  lua_pushinteger(L, 0);
  lua_pushinteger(L, (lua_Integer)count);
  lua_pushboolean(L, view);
  lua_pushcclosure(L, visit_next, 5);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

/* next: the smallest key greater than the one given. Takes a look at every key, so loops should use pairs. */
static int ordered_next(lua_State *L) {
  es_domain *domain = es__domain_of(L);
  es_key after = {0}, best = {0}, key = {0};
  bool view = false, found = false;

  lua_settop(L, 2);
  if (!es__push_iterated(L, 1, &view)) luaL_checktype(L, 1, LUA_TTABLE);
  if (!lua_isnil(L, 2)) read_key(L, 2, &after);
  lua_pushnil(L);
  while (lua_next(L, 3)) {
    lua_pop(L, 1);
    read_key(L, -1, &key);
    es__tick(L, domain);
    if (after.type != 0 && compare_keys(L, &key, &after) <= 0) continue;
    if (found && compare_keys(L, &key, &best) >= 0) continue;
    found = true;
    best = key;
  }
  if (!found) {
    lua_pushnil(L);
    return 1;
  }
  if (best.type == LUA_TSTRING)
    lua_pushlstring(L, best.text, best.length);
  else if (best.type == LUA_TBOOLEAN)
    lua_pushboolean(L, (int)best.integer);
  else if (best.is_integer)
    lua_pushinteger(L, best.integer);
  else
    lua_pushnumber(L, best.number);
  lua_pushvalue(L, -1);
  lua_rawget(L, 3);
  if (view)
    es__domain_push_read_only(L, -1);
  else
    lua_pushvalue(L, -1);
  lua_remove(L, -2);
  return 2;
}

/* ---- type and tostring ---- */

static bool is_table_to_domain(lua_State *L, int index) {
  return es__is_read_only(L, index) || es__is_event(L, index) || es__is_event_data(L, index);
}

static int type_name(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushstring(L, is_table_to_domain(L, 1) ? "table" : luaL_typename(L, 1));
  return 1;
}

const char *es__lua_text(lua_State *L, int index, size_t *length) {
  luaL_checkstack(L, 3, NULL);
  if (luaL_callmeta(L, index, "__tostring")) {
    if (!lua_isstring(L, -1)) luaL_error(L, "'__tostring' must return a string");
  } else if (lua_type(L, index) == LUA_TNUMBER || lua_type(L, index) == LUA_TSTRING ||
             lua_type(L, index) == LUA_TBOOLEAN || lua_type(L, index) == LUA_TNIL) {
    luaL_tolstring(L, index, NULL);
  } else {
    lua_pushstring(L, is_table_to_domain(L, index) ? "table" : luaL_typename(L, index));
  }
  return lua_tolstring(L, -1, length);
}

static int text_of(lua_State *L) {
  luaL_checkany(L, 1);
  es__lua_text(L, 1, NULL);
  return 1;
}

void es__deterministic_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"pairs", ordered_pairs},
                                       {"next", ordered_next},
                                       {"type", type_name},
                                       {"tostring", text_of},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
