/* metatables: getmetatable and setmetatable of domain code. A table's real metatable is a copy, made when setmetatable is called,
 * of those members of the given one that are harmless; so nothing added later can make a table weak or give it a
 * finaliser, which would show when garbage is collected. */
#include <string.h>

#include "lua/internal.h"

static const char copies_key;   /* registry: given metatable -> its copy, weak in the keys */
static const char original_key; /* in a copy: the given metatable */

static const char *const refused[] = {"__gc", "__mode", "__close", "__metatable", NULL};
static const char *const allowed[] = {
    "__index", "__newindex", "__call",  "__tostring", "__len", "__eq",   "__lt",
    "__le",    "__concat",   "__unm",   "__add",      "__sub", "__mul",  "__div",
    "__mod",   "__pow",      "__idiv",  "__band",     "__bor", "__bxor", "__shl",
    "__shr",   "__bnot",     "__pairs", "__name",     NULL};

/* Pushes the metatable that domain code gave the value; false, pushing nothing, when it has none or not by domain code. */
static bool push_original(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index)) return false;
  if (lua_rawgetp(L, -1, &original_key) == LUA_TTABLE) {
    lua_remove(L, -2);
    return true;
  }
  lua_pop(L, 2);
  return false;
}

static int get_metatable(lua_State *L) {
  luaL_checkany(L, 1);
  if (!push_original(L, 1)) lua_pushnil(L);
  return 1;
}

/* Pushes the copy of the metatable at 2, brought up to date. */
static void push_copy(lua_State *L) {
  for (const char *const *name = refused; *name != NULL; name++) {
    lua_pushstring(L, *name);
    if (lua_rawget(L, 2) != LUA_TNIL) {
      luaL_error(L,
                 "'%s' does not exist in domain code: it would show when memory is collected, or "
                 "hide errors",
                 *name);
    }
    lua_pop(L, 1);
  }
  es__registry_table(L, &copies_key);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, -2) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, 2);
    lua_rawsetp(L, -2, &original_key);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
  }
  lua_remove(L, -2);
  for (const char *const *name = allowed; *name != NULL; name++) {
    lua_pushstring(L, *name);
    lua_pushvalue(L, -1);
    lua_rawget(L, 2);
    lua_rawset(L, -3);
  }
}

static int set_metatable(lua_State *L) {
  int type = lua_type(L, 2);

  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
  lua_settop(L, 2);
  if (lua_getmetatable(L, 1)) {
    if (lua_rawgetp(L, -1, &original_key) != LUA_TTABLE)
      return luaL_error(L, "this table's metatable cannot be changed");
    lua_settop(L, 2);
  }
  if (type == LUA_TNIL)
    lua_pushnil(L);
  else
    push_copy(L);
  lua_setmetatable(L, 1);
  lua_settop(L, 1);
  return 1;
}

void es__metatables_open(lua_State *L) {
  lua_pushcfunction(L, get_metatable);
  lua_setfield(L, -2, "getmetatable");
  lua_pushcfunction(L, set_metatable);
  lua_setfield(L, -2, "setmetatable");

  es__registry_table(L, &copies_key);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}
