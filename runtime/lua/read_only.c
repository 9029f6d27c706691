/* read_only: views of tables that read and iterate like them and refuse assignment. A view is a userdata, so that nothing raw
 * reaches through it; domain code's `type` calls it a table. Nested tables come out as views when they are read. */
#include "lua/internal.h"

static const char
    views_key; /* registry: table -> its view, weak, so that views of one table are one value */

bool es__is_read_only(lua_State *L, int index) {
  bool is = false;
  if (lua_type(L, index) == LUA_TUSERDATA && lua_getmetatable(L, index)) {
    is = lua_topointer(L, -1) == es__domain_of(L)->read_only_metatable;
    lua_pop(L, 1);
  }
  return is;
}

void es__domain_push_read_only(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TTABLE) {
    lua_pushvalue(L, index);
    return;
  }
  index = lua_absindex(L, index);
  luaL_checkstack(L, 4, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &views_key);
  lua_pushvalue(L, index);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newuserdatauv(L, 0, 1);
    lua_pushvalue(L, index);
    lua_setiuservalue(L, -2, 1);
    luaL_setmetatable(L, "es.read_only");
    lua_pushvalue(L, index);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  lua_remove(L, -2);
}

void es__domain_unwrap(lua_State *L, int index) {
  if (!es__is_read_only(L, index)) return;
  index = lua_absindex(L, index);
  lua_getiuservalue(L, index, 1);
  lua_replace(L, index);
}

bool es__push_iterated(lua_State *L, int index, bool *view) {
  *view = es__is_read_only(L, index);
  if (*view) {
    lua_getiuservalue(L, index, 1);
    if (!es__push_frozen(L, -1)) return true;
    lua_remove(L, -2);
    return true;
  }
  if (es__push_frozen(L, index) || es__push_event_table(L, index)) return true;
  if (lua_type(L, index) != LUA_TTABLE) return false;
  lua_pushvalue(L, index);
  return true;
}

static int view_index(lua_State *L) {
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 2);
  lua_gettable(L, -2); /* the table's own metatable answers too */
  if (lua_type(L, -1) == LUA_TTABLE) es__domain_push_read_only(L, -1);
  return 1;
}

static int view_refuse(lua_State *L) {
  if (lua_type(L, 2) == LUA_TSTRING)
    return luaL_error(L, "'%s' is read-only here", lua_tostring(L, 2));
  if (lua_isinteger(L, 2))
    return luaL_error(L, "[%I] is read-only here", (LUAI_UACINT)lua_tointeger(L, 2));
  return luaL_error(L, "this table is read-only here");
}

static int view_length(lua_State *L) {
  lua_getiuservalue(L, 1, 1);
  lua_len(L, -1);
  return 1;
}

/* A callable table stays callable; it gets itself as a view. */
static int view_call(lua_State *L) {
  lua_getiuservalue(L, 1, 1);
  if (luaL_getmetafield(L, -1, "__call") == LUA_TNIL)
    return luaL_error(L, "attempt to call a table value");
  lua_insert(L, 1);
  lua_pop(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

void es__read_only_open(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__index", view_index},
                                         {"__newindex", view_refuse},
                                         {"__len", view_length},
                                         {"__call", view_call},
                                         {NULL, NULL}};

  luaL_newmetatable(L, "es.read_only");
  lua_pushliteral(L, "read-only table");
  lua_setfield(L, -2, "__name");
  luaL_setfuncs(L, metamethods, 0);
  es__domain_of(L)->read_only_metatable = lua_topointer(L, -1);
  lua_pop(L, 1);

  es__registry_table(L, &views_key);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "kv");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}
