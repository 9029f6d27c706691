/* command: executing commands and transactions from Lua. */
#include "host/host.h"

#define REPLY "esrun.reply"

static int free_reply(lua_State *L) {
  es_reply **reply = luaL_checkudata(L, 1, REPLY);
  es_reply_free(*reply);
  *reply = NULL;
  return 0;
}

static es_reply **push_reply_box(lua_State *L) {
  es_reply **reply = lua_newuserdatauv(L, sizeof *reply, 0);

  *reply = NULL;
  if (luaL_newmetatable(L, REPLY)) {
    lua_pushcfunction(L, free_reply);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return reply;
}

/* An event's absent members read as nil. */
static void drop_nulls_of_events(lua_State *L) {
  lua_getfield(L, -1, "events");
  for (lua_Integer i = 1; lua_istable(L, -1) && lua_geti(L, -1, i) == LUA_TTABLE; i++) {
    host_drop_nulls(L);
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

/* A condition that is given must count: the number that stands for "none" is no version. */
static int64_t expected_version(lua_State *L, int index) {
  int64_t version = host_integer(L, index, "expected_version", ES_ANY_VERSION);

  if (version >= 0) return version;
  if (lua_getfield(L, index, "expected_version") != LUA_TNIL)
    host_error(L, "expected_version: integer of at least 0 expected, got %I", (LUAI_UACINT)version);
  lua_pop(L, 1);
  return version;
}

/* execute(runtime, type, id, command, params, options, as_text): params is any value that JSON can hold. */
static int execute(lua_State *L) {
  host_runtime *host = host_check(L);
  es_command command = ES_COMMAND_INIT;
  es_error err = ES_ERROR_INIT;
  bool as_text = lua_toboolean(L, 7);
  es_buf *params;
  es_reply **reply;
  char **text;
  es_status status;

  command.aggregate_type = host_check_text(L, 2);
  command.aggregate_id = host_check_text(L, 3);
  command.command = host_check_text(L, 4);
  host_check_type(L, 6, LUA_TTABLE);
  command.expected_version = expected_version(L, 6);
  command.idempotency_key = host_text(L, 6, "idempotency_key");
  command.dry_run = host_flag(L, 6, "dry_run");
  if (command.idempotency_key == ES_NONE) command.idempotency_key = NULL;
  params = host_push_buffer(L);
  reply = push_reply_box(L);
  text = host_push_text(L);
  if (!lua_isnil(L, 5)) {
    if (host_write_json(L, 5, params, "params", &err) != ES_OK) return host_fail(L, &err);
    command.params_json = params->data;
    command.params_length = params->length;
  }
  status = es_execute(reply, host->rt, &command, &err);
  if (status == ES_OK) status = es_reply_json(text, *reply, &err);
  int results = host_push_result(L, status, text, as_text, &err);
  if (results == 1 && !as_text) drop_nulls_of_events(L);
  return results;
}

static int begin(lua_State *L) {
  host_runtime *host = host_check(L);
  es_error err = ES_ERROR_INIT;

  if (es_transaction_begin(host->rt, &err) != ES_OK) return host_fail(L, &err);
  lua_pushboolean(L, true);
  return 1;
}

static int commit(lua_State *L) {
  host_runtime *host = host_check(L);
  es_error err = ES_ERROR_INIT;

  if (es_transaction_commit(host->rt, &err) != ES_OK) return host_fail(L, &err);
  lua_pushboolean(L, true);
  return 1;
}

static int rollback(lua_State *L) {
  es_transaction_rollback(host_check(L)->rt);
  return 0;
}

const luaL_Reg host_command_methods[] = {
    {"execute", execute},   {"begin", begin}, {"commit", commit},
    {"rollback", rollback}, {NULL, NULL},
};
