/* module: `require "esrun"`. Makes the core that lua/esrun/init.lua is written on, and the embedded Lua files
 * requirable as esrun.NAME, those of domain code as es and es.NAME. */
#include <string.h>

#include "base/embedded.h"
#include "host/host.h"
#include "lua/domain.h"

ES_API int luaopen_esrun(lua_State *L);

/* ---- Values ---- */

static int array(lua_State *L) {
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  host_check_type(L, 1, LUA_TTABLE);
  es__lua_push_array_metatable(L);
  lua_setmetatable(L, 1);
  return 1;
}

static int encode(lua_State *L) {
  es_error err = ES_ERROR_INIT;
  es_buf *out;

  luaL_checkany(L, 1);
  out = host_push_buffer(L);
  if (host_write_json(L, 1, out, "value", &err) != ES_OK) return host_fail(L, &err);
  lua_pushlstring(L, out->data, out->length);
  return 1;
}

static int decode(lua_State *L) {
  es_error err = ES_ERROR_INIT;
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  return host_read_json(L, text, length, &err) == ES_OK ? 1 : host_fail(L, &err);
}

/* decode_own(text): decode, for what the runtime wrote. */
static int decode_own(lua_State *L) {
  es_error err = ES_ERROR_INIT;
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  return host_read_own_json(L, text, length, &err) == ES_OK ? 1 : host_fail(L, &err);
}

/* ---- Ids and times ---- */

/* parse_actor(id) -> kind, name (nil for anonymous), or nil, message, code, details */
static int parse_actor(lua_State *L) {
  es_error err = ES_ERROR_INIT;
  es_text kind;
  const char *actor_id = host_check_text(L, 1);

  if (es_actor_parse(&kind, actor_id, NULL, &err) != ES_OK) return host_fail(L, &err);
  lua_pushlstring(L, kind.data, kind.length);
  lua_pushstring(L, actor_id[kind.length] == ':' ? actor_id + kind.length + 1 : NULL);
  return 2;
}

/* parse_time(text) -> microseconds since the epoch, or nil */
static int parse_time(lua_State *L) {
  int64_t time_us;

  if (!es_time_parse(&time_us, host_check_text(L, 1))) return luaL_pushfail(L), 1;
  lua_pushinteger(L, time_us);
  return 1;
}

static int time_text(lua_State *L) {
  char text[ES_TIME_TEXT_SIZE];
  es_time_text(text, luaL_checkinteger(L, 1));
  lua_pushstring(L, text);
  return 1;
}

/* parse_id(text) -> the UUID in lower case, or nil */
static int parse_id(lua_State *L) {
  uint8_t id[ES_ID_SIZE];
  char text[ES_ID_TEXT_SIZE];

  if (!es_id_parse(id, host_check_text(L, 1))) return luaL_pushfail(L), 1;
  es_id_text(text, id);
  lua_pushstring(L, text);
  return 1;
}

static int new_id(lua_State *L) {
  uint8_t id[ES_ID_SIZE];
  char text[ES_ID_TEXT_SIZE];

  es_id_make(id);
  es_id_text(text, id);
  lua_pushstring(L, text);
  return 1;
}

/* sha256(bytes) -> 64 hexadecimal digits */
static int sha256(lua_State *L) {
  uint8_t hash[ES_HASH_SIZE];
  es_error err = ES_ERROR_INIT;
  size_t length;
  const char *bytes = luaL_checklstring(L, 1, &length);

  if (es_sha256(hash, bytes, length, &err) != ES_OK) return host_fail(L, &err);
  host_push_hash(L, hash);
  return 1;
}

static int find_project(lua_State *L) {
  es_error err = ES_ERROR_INIT;
  char **box = host_push_text(L);
  es_status status =
      es_project_find(box, lua_isnoneornil(L, 1) ? "." : host_check_text(L, 1), &err);
  return host_push_result(L, status, box, true, &err);
}

/* ---- The core ---- */

static void set_statuses(lua_State *L) {
  lua_newtable(L);
#define SET_STATUS(constant, number, name, meaning)                                                \
  lua_pushinteger(L, number);                                                                      \
  lua_setfield(L, -2, name);
  ES_STATUS_TABLE(SET_STATUS)
#undef SET_STATUS
  lua_setfield(L, -2, "statuses");
}

/* What the statuses mean, in their order: { number, name, meaning }. */
static int status_list(lua_State *L) {
  lua_newtable(L);
#define ADD_STATUS(constant, number, name, meaning)                                                \
  lua_createtable(L, 0, 3);                                                                        \
  lua_pushinteger(L, number);                                                                      \
  lua_setfield(L, -2, "number");                                                                   \
  lua_pushliteral(L, name);                                                                        \
  lua_setfield(L, -2, "name");                                                                     \
  lua_pushliteral(L, meaning);                                                                     \
  lua_setfield(L, -2, "meaning");                                                                  \
  lua_rawseti(L, -2, number + 1);
  ES_STATUS_TABLE(ADD_STATUS)
#undef ADD_STATUS
  return 1;
}

static void set_runtime_metatable(lua_State *L) {
  static const luaL_Reg *const topics[] = {
      host_runtime_methods, host_command_methods,  host_append_methods, host_context_methods,
      host_read_methods,    host_project_methods,  host_data_methods,   host_check_methods,
      host_ledger_methods,  host_snapshot_methods, host_archive_methods};

  luaL_newmetatable(L, "esrun.runtime");
  lua_newtable(L);
  for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++)
    luaL_setfuncs(L, topics[i], 0);
  lua_getfield(L, -1, "close");
  lua_setfield(L, -3, "__gc");
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

static int open_core(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"open", host_open},
      {"capture", host_coroutine_capture},
      {"exchange", host_coroutine_exchange},
      {"array", array},
      {"encode", encode},
      {"decode", decode},
      {"decode_own", decode_own},
      {"parse_actor", parse_actor},
      {"parse_time", parse_time},
      {"time_text", time_text},
      {"parse_id", parse_id},
      {"new_id", new_id},
      {"sha256", sha256},
      {"find_project", find_project},
      {"status_list", status_list},
      {"keygen", host_keygen},
      {"key_public", host_key_public},
      {"verify_proof", host_verify_proof},
      {"sign_detached", host_sign_detached},
      {"restore", host_restore},
      {"layout", host_layout},
      {"settings", host_settings},
      {NULL, NULL},
  };

  host_support_open(L);
  host_context_open(L);
  host_read_open(L);
  host_data_open(L);
  host_coroutine_open(L);
  set_runtime_metatable(L);
  luaL_newlib(L, functions);
  lua_pushstring(L, ES_VERSION_STRING);
  lua_setfield(L, -2, "version");
  lua_pushlightuserdata(L, (void *)es_none);
  lua_setfield(L, -2, "none");
  es__lua_push_null(L);
  lua_setfield(L, -2, "null");
  set_statuses(L);
  return 1;
}

/* ---- Embedded Lua ---- */

/* The loader of one embedded module; its upvalue is the row. */
static int load_embedded(lua_State *L) {
  const struct es_embedded *file = lua_touserdata(L, lua_upvalueindex(1));

  if (es__embedded_load(L, file) != LUA_OK) return lua_error(L);
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* "lua/esrun/cli/exec.lua" is esrun.cli.exec, "lua/esrun/cli/init.lua" esrun.cli, "lua/esrun/init.lua" esrun.main. */
static void push_module_name(lua_State *L, const char *path) {
  char name[128];
  size_t length = strlen(path) - strlen(".lua");

  if (strcmp(path, "lua/esrun/init.lua") == 0) {
    lua_pushliteral(L, "esrun.main");
    return;
  }
  if (length > 5 && memcmp(path + length - 5, "/init", 5) == 0) length -= 5;
  length -= strlen("lua/");
  if (length > sizeof name) luaL_error(L, "%s: the path is too long", path);
  for (size_t i = 0; i < length; i++)
    name[i] = path[strlen("lua/") + i] == '/' ? '.' : path[strlen("lua/") + i];
  lua_pushlstring(L, name, length);
}

/* Makes the modules of a table requirable; package.preload is at the top. */
static void preload(lua_State *L, const struct es_embedded *files) {
  for (const struct es_embedded *file = files; file->path != NULL; file++) {
    push_module_name(L, file->path);
    lua_pushlightuserdata(L, (void *)file);
    lua_pushcclosure(L, load_embedded, 1);
    lua_settable(L, -3);
  }
}

int luaopen_esrun(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  preload(L, es_host_modules);
  preload(L, es_builtin_modules); /* for specs that call a domain module's functions directly */
  lua_getfield(L, -1, "esrun.domain_support");
  lua_setfield(L, -2, "es.support");
  lua_pushcfunction(L, open_core);
  lua_setfield(L, -2, "esrun.core");
  lua_getglobal(L, "require");
  lua_pushliteral(L, "esrun.main");
  lua_call(L, 1, 1);
  return 1;
}
