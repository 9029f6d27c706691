/* codec: null, the arrays' metatable and the codec's memory, one each for a Lua state. */
#include "lua/codec.h"

#include <stdlib.h>

#include "lua/domain.h"

/* Only their addresses count: the registry's keys, and null itself. */
static const char null_value, array_metatable, codec_memory;

void es__lua_push_null(lua_State *L) { lua_pushlightuserdata(L, (void *)&null_value); }

bool es__lua_is_null(lua_State *L, int index) {
  return lua_islightuserdata(L, index) && lua_touserdata(L, index) == (void *)&null_value;
}

void es__lua_push_array_metatable(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &array_metatable) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 2);
  lua_pushliteral(L, "es.array");
  lua_setfield(L, -2, "__name");
  /* All arrays of a state share it: hidden, so that nobody changes it for everybody. */
  lua_pushliteral(L, "es.array");
  lua_setfield(L, -2, "__metatable");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &array_metatable);
}

static int free_codec(lua_State *L) {
  es_codec *codec = lua_touserdata(L, 1);

  es__buf_free(&codec->scratch);
  free(codec->members);
  codec->members = NULL;
  codec->member_capacity = 0;
  return 0;
}

static es_codec *push_codec(lua_State *L) {
  es_codec *codec;

  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &codec_memory) == LUA_TUSERDATA)
    return lua_touserdata(L, -1);
  lua_pop(L, 1);
  codec = lua_newuserdatauv(L, sizeof *codec, 1);
  *codec = (es_codec){0};
  lua_createtable(L, ES_CODEC_NAMES, 0);
  lua_setiuservalue(L, -2, 1);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, free_codec);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &codec_memory);
  return codec;
}

es_codec *es__lua_codec(lua_State *L) {
  es_codec *codec = push_codec(L);

  lua_pop(L, 1);
  return codec;
}

es_codec *es__lua_codec_names(lua_State *L) {
  es_codec *codec = push_codec(L);

  lua_getiuservalue(L, -1, 1);
  lua_remove(L, -2);
  return codec;
}
