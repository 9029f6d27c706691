/* table_library: insert, remove, move, concat, unpack and pack on the raw table: a lying __len cannot keep them busy, and every
 * loop looks at the limits. Views can be read with concat, unpack and move, never written. */
#include <limits.h>

#include "lua/internal.h"

/* Only plain tables are written; the libraries' proxies are plain too, but shared. */
static void check_writable(lua_State *L, int index) {
  if (es__is_read_only(L, index)) luaL_error(L, "this table is read-only here");
  luaL_checktype(L, index, LUA_TTABLE);
  if (es__push_frozen(L, index)) luaL_error(L, "this table is shared and frozen");
}

/* Replaces the argument by the table to read; *view says that tables read from it come out as views. */
static void check_readable(lua_State *L, int index, bool *view) {
  if (!es__push_iterated(L, index, view))
    luaL_checktype(L, index, LUA_TTABLE);
  else
    lua_replace(L, index);
}

static void push_element(lua_State *L, int table, lua_Integer at, bool view) {
  lua_rawgeti(L, table, at);
  if (view && lua_type(L, -1) == LUA_TTABLE) {
    es__domain_push_read_only(L, -1);
    lua_remove(L, -2);
  }
}

static lua_Integer length_of(lua_State *L, int table) { return (lua_Integer)lua_rawlen(L, table); }

static int insert(lua_State *L) {
  es_domain *domain = es__domain_of(L);
  int arguments = lua_gettop(L);

  check_writable(L, 1);
  lua_Integer last = length_of(L, 1) + 1, position = last;
  if (arguments == 3) {
    position = luaL_checkinteger(L, 2);
    luaL_argcheck(L, position >= 1 && position <= last, 2, "position out of bounds");
    for (lua_Integer at = last; at > position; at--) {
      lua_rawgeti(L, 1, at - 1);
      lua_rawseti(L, 1, at);
      es__tick(L, domain);
    }
  } else if (arguments != 2) {
    return luaL_error(L, "wrong number of arguments to 'insert'");
  }
  lua_pushvalue(L, arguments);
  lua_rawseti(L, 1, position);
  return 0;
}

static int remove_element(lua_State *L) {
  es_domain *domain = es__domain_of(L);

  check_writable(L, 1);
  lua_Integer size = length_of(L, 1), position = luaL_optinteger(L, 2, size);
  if (position != size) {
    luaL_argcheck(L, (lua_Unsigned)position - 1u <= (lua_Unsigned)size, 2,
                  "position out of bounds");
  }
  lua_rawgeti(L, 1, position);
  for (; position < size; position++) {
    lua_rawgeti(L, 1, position + 1);
    lua_rawseti(L, 1, position);
    es__tick(L, domain);
  }
  lua_pushnil(L);
  lua_rawseti(L, 1, position);
  return 1;
}

static int move(lua_State *L) {
  es_domain *domain = es__domain_of(L);
  lua_Integer from = luaL_checkinteger(L, 2), end = luaL_checkinteger(L, 3),
              to = luaL_checkinteger(L, 4);
  int target = lua_isnoneornil(L, 5) ? 1 : 5;
  bool view = false, same = target == 1 || lua_rawequal(L, 1, 5);

  check_writable(L, target);
  lua_pushvalue(L, target);
  int result = lua_gettop(L);
  check_readable(L, 1, &view);
  if (end >= from) {
    luaL_argcheck(L, from > 0 || end < LUA_MAXINTEGER + from, 3, "too many elements to move");
    luaL_argcheck(L, to <= LUA_MAXINTEGER - (end - from + 1) + 1, 4, "destination wrap around");
    bool upward = to > end || to <= from || !same;
    for (lua_Integer i = 0, count = end - from + 1; i < count; i++) {
      lua_Integer at = upward ? i : count - 1 - i;
      push_element(L, 1, from + at, view);
      lua_rawseti(L, result, to + at);
      es__tick(L, domain);
    }
  }
  return 1;
}

static int concat(lua_State *L) {
  es_domain *domain = es__domain_of(L);
  luaL_Buffer out;
  bool view = false;
  size_t separator_length;

  check_readable(L, 1, &view);
  const char *separator = luaL_optlstring(L, 2, "", &separator_length);
  lua_Integer at = luaL_optinteger(L, 3, 1), last = luaL_optinteger(L, 4, length_of(L, 1));
  luaL_buffinit(L, &out);
  while (at <= last) {
    lua_rawgeti(L, 1, at);
    if (!lua_isstring(L, -1)) {
      return luaL_error(L, "invalid value (%s) at index %I in table for 'concat'",
                        luaL_typename(L, -1), (LUAI_UACINT)at);
    }
    luaL_addvalue(&out);
    es__tick(L, domain);
    if (at == last) break; /* before adding one: it may be the largest integer */
    at++;
    luaL_addlstring(&out, separator, separator_length);
  }
  luaL_pushresult(&out);
  return 1;
}

static int unpack(lua_State *L) {
  es_domain *domain = es__domain_of(L);
  bool view = false;

  check_readable(L, 1, &view);
  lua_Integer from = luaL_optinteger(L, 2, 1);
  lua_Integer last = luaL_opt(L, luaL_checkinteger, 3, length_of(L, 1));
  if (from > last) return 0;
  lua_Unsigned count = (lua_Unsigned)last - (lua_Unsigned)from;
  if (count >= INT_MAX || !lua_checkstack(L, (int)++count + LUA_MINSTACK)) {
    return luaL_error(L, "too many results to unpack");
  }
  for (lua_Unsigned i = 0; i < count; i++) {
    push_element(L, 1, from + (lua_Integer)i, view);
    es__tick(L, domain);
  }
  return (int)count;
}

static int pack(lua_State *L) {
  int count = lua_gettop(L);

  lua_createtable(L, count, 1);
  lua_insert(L, 1);
  for (int i = count; i >= 1; i--)
    lua_rawseti(L, 1, i);
  lua_pushinteger(L, count);
  lua_setfield(L, 1, "n");
  return 1;
}

void es__table_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"insert", insert}, {"remove", remove_element},
                                       {"move", move},     {"concat", concat},
                                       {"unpack", unpack}, {"pack", pack},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
