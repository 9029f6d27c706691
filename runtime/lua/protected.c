/* protected: pcall and xpcall of domain code and built-in modules. They catch every error but the limits': those end the
 * run. xpcall's handler runs after unwinding, since Lua runs a real message handler with hooks off, where nothing could
 * stop it. */
#include <stdlib.h>

#include "lua/internal.h"

void es__rethrow(lua_State *L, int status) {
  es_limits *limits = &es__domain_of(L)->limits;

  if (status == LUA_ERRMEM && limits->hit == ES_LIMIT_NONE) limits->hit = ES_LIMIT_MEMORY;
  lua_error(L);
  abort(); /* not reached: lua_error does not return */
}

/* After a failed lua_pcall: passes a limit on, else returns. */
static void pass_limits_on(lua_State *L, int status) {
  es_domain *domain = es__domain_of(L);

  if (status == LUA_ERRMEM && domain->limits.hit == ES_LIMIT_NONE)
    domain->limits.hit = ES_LIMIT_MEMORY;
  if (domain->limits.hit != ES_LIMIT_NONE) es__limits_raise(L);
  es__tick(L, domain);
}

static int protected_call(lua_State *L) {
  luaL_checkany(L, 1);
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  if (status != LUA_OK) pass_limits_on(L, status);
  luaL_checkstack(L, 1, NULL);
  lua_pushboolean(L, status == LUA_OK);
  lua_insert(L, 1);
  return lua_gettop(L);
}

static int protected_call_with_handler(lua_State *L) {
  luaL_checkany(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 2); /* the handler stays at 1, below function and arguments */
  lua_remove(L, 2);
  lua_insert(L, 1);
  int status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
  if (status != LUA_OK) {
    pass_limits_on(L, status);
    lua_pushboolean(L, 0);
    lua_insert(L, 1); /* false, handler, error */
    lua_call(L, 1, LUA_MULTRET);
    return lua_gettop(L);
  }
  lua_pushboolean(L, 1);
  lua_replace(L, 1);
  return lua_gettop(L);
}

void es__protected_open(lua_State *L) {
  lua_pushcfunction(L, protected_call);
  lua_setfield(L, -2, "pcall");
  lua_pushcfunction(L, protected_call_with_handler);
  lua_setfield(L, -2, "xpcall");
}
