/* support: the small table of C functions that built-in Lua modules get by `require "es.support"`. Domain code never sees it. */
#define _GNU_SOURCE
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/id.h"
#include "base/utf8.h"
#include "lua/internal.h"

static int read_only(lua_State *L) {
  luaL_checkany(L, 1);
  es__domain_push_read_only(L, 1);
  return 1;
}

static int unwrap(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  es__domain_unwrap(L, 1);
  return 1;
}

static int utf8_valid(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  lua_pushboolean(L, es__utf8_valid(text, length));
  return 1;
}

static int is_uuid(lua_State *L) {
  size_t length = 0;
  const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &length) : NULL;
  lua_pushboolean(L, text != NULL && es__id_is_text(text, length));
  return 1;
}

static int is_time(lua_State *L) {
  size_t length = 0;
  int64_t time_us;
  const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &length) : NULL;
  lua_pushboolean(L, text != NULL && strlen(text) == length && es_time_parse(&time_us, text));
  return 1;
}

static es_status status_named(const char *name) {
#define ES_STATUS_MATCH(constant, number, word, meaning)                                           \
  if (strcmp(name, word) == 0) return constant;
  ES_STATUS_TABLE(ES_STATUS_MATCH)
#undef ES_STATUS_MATCH
  return ES_ERR_OTHER;
}

static const char *field(lua_State *L, const char *name, const char *otherwise) {
  lua_getfield(L, 1, name);
  return luaL_optstring(L, -1, otherwise); /* stays on the stack */
}

/* raise{ status = "usage", code = …, message = …, hint = … }: an es_error that reaches the caller of the runtime as it is. */
static int raise_error(lua_State *L) {
  es_error err = ES_ERROR_INIT;

  luaL_checktype(L, 1, LUA_TTABLE);
  es__fail(&err, status_named(field(L, "status", "lua")), field(L, "code", "runtime_error"), "%s",
           field(L, "message", "an error without a message"));
  es__hint(&err, "%s", field(L, "hint", ""));
  lua_getfield(L, 1, "expected_version");
  if (lua_isinteger(L, -1)) err.expected_version = lua_tointeger(L, -1);
  lua_getfield(L, 1, "actual_version");
  if (lua_isinteger(L, -1)) err.actual_version = lua_tointeger(L, -1);
  lua_getfield(L, 1, "position");
  if (lua_isinteger(L, -1)) err.position = lua_tointeger(L, -1);
  es__domain_raise(L, &err);
}

/* ---- JSON ---- */

static int collect_buf(lua_State *L) {
  es__buf_free(lua_touserdata(L, 1));
  return 0;
}

/* json_encode(value, root): canonical text; errors name the path under `root`. */
static int json_encode(lua_State *L) {
  const char *root = luaL_optstring(L, 2, "$");
  es_buf *out;

  luaL_checkany(L, 1);
  lua_settop(L, 2);
  out = lua_newuserdatauv(L, sizeof *out, 0); /* owned by Lua: writing may raise */
  memset(out, 0, sizeof *out);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, collect_buf);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  es__lua_write_json(L, 1, out, root);
  if (out->failed) return luaL_error(L, "out of memory");
  lua_pushlstring(L, out->data, out->length);
  es__buf_free(out);
  return 1;
}

static int json_decode(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  es__lua_push_json(L, text, length);
  return 1;
}

/* new_array([t]): t, or a new table, that stays an array when it is empty. */
static int new_array(lua_State *L) {
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  es__lua_push_array_metatable(L);
  /* Another metatable has a meaning of its own: it may even be what freezes a shared library. */
  if (lua_getmetatable(L, 1) && !lua_rawequal(L, -1, 2)) {
    return luaL_error(L, "a table with a metatable cannot become a list");
  }
  lua_settop(L, 2);
  lua_setmetatable(L, 1);
  return 1;
}

static int is_event(lua_State *L) {
  lua_pushboolean(L, es__is_event(L, 1));
  return 1;
}

/* caller([level]): "file.lua:LINE" of the nearest frame of project code, from the function that called `caller` upward. */
static int caller(lua_State *L) {
  char where[256];
  lua_Integer level = luaL_optinteger(L, 1, 1);

  luaL_argcheck(L, level >= 0 && level < 1000, 1, "level out of range");
  if (es__lua_where(where, sizeof where, L, (int)level))
    lua_pushstring(L, where);
  else
    lua_pushnil(L);
  return 1;
}

/* Real chance, for tests of the replay check only. */
static int test_random(lua_State *L) {
  uint32_t bits = 0;
  if (getentropy(&bits, sizeof bits) != 0) return luaL_error(L, "no random bytes");
  lua_pushnumber(L, (lua_Number)bits / 4294967296.0);
  return 1;
}

void es__support_push(lua_State *L) {
  static const luaL_Reg functions[] = {{"read_only", read_only},
                                       {"unwrap", unwrap},
                                       {"utf8_valid", utf8_valid},
                                       {"is_uuid", is_uuid},
                                       {"is_time", is_time},
                                       {"raise", raise_error},
                                       {"caller", caller},
                                       {"fit_plan", es__schema_plan},
                                       {"fits", es__schema_fit},
                                       {"json_encode", json_encode},
                                       {"json_decode", json_decode},
                                       {"new_array", new_array},
                                       {"is_event", is_event},
                                       {"event_copy", es__event_copy},
                                       {NULL, NULL}};

  luaL_newlib(L, functions);
  if (es__domain_of(L)->options.allow_nondeterminism) {
    lua_pushcfunction(L, test_random);
    lua_setfield(L, -2, "test_random");
  }
  es__lua_push_null(L);
  lua_setfield(L, -2, "null");
  es__lua_push_array_metatable(L);
  lua_setfield(L, -2, "array_metatable");
}
