/* decide: the Lua side of a command: its parameters, its rule, its decision. Knows no store. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/execution.h"
#include "engine/fold.h"

static char params_key, context_key, metadata_key;

static void set_slot(lua_State *L, const void *key) { lua_rawsetp(L, LUA_REGISTRYINDEX, key); }
static void get_slot(lua_State *L, const void *key) { lua_rawgetp(L, LUA_REGISTRYINDEX, key); }

/* Pushes kernel[name], then aggregate type and command name. */
static void push_question(lua_State *L, const char *name, const es_execution *execution) {
  es__kernel_push_function(L, name);
  lua_pushstring(L, execution->command->aggregate_type);
  lua_pushstring(L, execution->command->command);
}

static int check_params(lua_State *L) {
  es_execution *execution = lua_touserdata(L, 1);
  const es_command *command = execution->command;
  const char *text = command->params_json == NULL ? "{}" : command->params_json;
  size_t length = command->params_length > 0 ? command->params_length : strlen(text);

  push_question(L, "params", execution);
  es__lua_push_json(L, text, length);
  if (!lua_istable(L, -1) || lua_getmetatable(L, -1)) { /* only arrays have a metatable */
    es_error err = ES_ERROR_INIT;
    es__fail(&err, ES_ERR_USAGE, "bad_params", "params: expected an object, got %s",
             lua_istable(L, 5) ? "an array" : luaL_typename(L, 5));
    es__domain_raise(L, &err);
  }
  lua_call(L, 3, 1);
  es__lua_write_json(L, -1, &execution->params, "params");
  set_slot(L, &params_key);
  return 0;
}

es_status es__execution_params(es_execution *execution, es_error *err) {
  es__buf_clear(&execution->params);
  es_status status = es__domain_run(execution->rt->domain, check_params, execution, err);
  if (status == ES_OK && execution->params.failed) return es__no_memory(err);
  return status;
}

/* ctx.new_id(): the same ids in the same order when a conflict makes the command decide again. */
static int new_id(lua_State *L) {
  es_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
  es_execution *execution = rt->execution;
  char text[ES_ID_TEXT_SIZE];
  uint8_t id[ES_ID_SIZE];

  if (execution == NULL) return luaL_error(L, "ctx.new_id was kept from another command");
  size_t at = execution->new_id_count * ES_ID_SIZE;
  if (at == execution->new_ids.length) {
    es__id_new(&rt->ids, id);
    es__buf_add(&execution->new_ids, id, sizeof id);
    if (execution->new_ids.failed) return luaL_error(L, "out of memory");
  }
  execution->new_id_count++;
  es_id_text(text, (const uint8_t *)execution->new_ids.data + at);
  lua_pushstring(L, text);
  return 1;
}

static void set_text(lua_State *L, const char *name, const char *value) {
  if (value == NULL) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

static void set_list(lua_State *L, const char *name, char *const *items, size_t count) {
  lua_createtable(L, (int)count, 0);
  es__lua_push_array_metatable(L);
  lua_setmetatable(L, -2);
  for (size_t i = 0; i < count; i++) {
    lua_pushstring(L, items[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, name);
}

/* Pushes ctx without what belongs to a command alone. */
static void push_context(lua_State *L, const es_context *context, const es_stream_name *stream,
                         int64_t version, int64_t now) {
  char time[ES_TIME_TEXT_SIZE];

  lua_createtable(L, 0, 16);
  lua_pushlstring(L, stream->aggregate_id.data, stream->aggregate_id.length);
  lua_setfield(L, -2, "id");
  lua_pushlstring(L, stream->aggregate_type.data, stream->aggregate_type.length);
  lua_setfield(L, -2, "aggregate_type");
  lua_pushinteger(L, version);
  lua_setfield(L, -2, "version");
  es_time_text(time, now);
  set_text(L, "now", time);
  set_list(L, "roles", context == NULL ? NULL : context->roles,
           context == NULL ? 0 : context->role_count);
  set_list(L, "permissions", context == NULL ? NULL : context->permissions,
           context == NULL ? 0 : context->permission_count);
  if (context == NULL || context->metadata == NULL) {
    lua_newtable(L);
  } else {
    es__lua_push_json(L, context->metadata, strlen(context->metadata));
  }
  lua_setfield(L, -2, "metadata");
  if (context == NULL) return;
  set_text(L, "tenant_id", context->tenant_id);
  set_text(L, "actor_id", context->actor_id);
  if (context->actor_id != NULL) {
    const char *colon = strchr(context->actor_id, ':');
    lua_pushlstring(L, context->actor_id,
                    colon == NULL ? strlen(context->actor_id)
                                  : (size_t)(colon - context->actor_id));
    lua_setfield(L, -2, "actor_kind");
  }
  set_text(L, "request_id", context->request_id);
  set_text(L, "causation_id", context->causation_id);
}

/* Who acts on behalf of whom: the actors of outer frames that differ, innermost first. */
static void set_acting_for(lua_State *L, const es_context *context) {
  lua_Integer count = 0;

  if (context == NULL) return;
  lua_newtable(L);
  const char *last = context->actor_id;
  for (const es_context *frame = context->parent; frame != NULL; frame = frame->parent) {
    if (frame->actor_id == NULL || (last != NULL && strcmp(frame->actor_id, last) == 0)) continue;
    last = frame->actor_id;
    lua_pushstring(L, last);
    lua_rawseti(L, -2, ++count);
  }
  if (count == 0) {
    lua_pop(L, 1);
  } else {
    lua_setfield(L, -2, "acting_for");
  }
}

/* Metadata that every event of this command carries, as a table that is copied for each. */
static int start(lua_State *L) {
  es_execution *execution = lua_touserdata(L, 1);
  const es_context *context = execution->context;
  char hash[2 * ES_HASH_SIZE + 1], correlation[ES_ID_TEXT_SIZE];

  push_context(L, context, &execution->stream, execution->version, execution->now);
  set_text(L, "command", execution->command->command);
  es_id_text(correlation, execution->correlation_id);
  set_text(L, "correlation_id", correlation);
  lua_pushlightuserdata(L, execution->rt);
  lua_pushcclosure(L, new_id, 1);
  lua_setfield(L, -2, "new_id");
  set_slot(L, &context_key);

  if (context == NULL) {
    lua_newtable(L);
  } else {
    es__lua_push_json(L, context->metadata, strlen(context->metadata));
    set_text(L, "request_id", context->request_id);
  }
  lua_createtable(L, 0, 3);
  set_text(L, "command", execution->command->command);
  es__hex(hash, execution->module->hash, ES_HASH_SIZE);
  set_text(L, "module", hash);
  set_acting_for(L, context);
  lua_setfield(L, -2, "$");
  set_slot(L, &metadata_key);
  execution->new_id_count = 0;
  return 0;
}

es_status es__execution_start(es_execution *execution, es_error *err) {
  return es__domain_run(execution->rt->domain, start, execution, err);
}

static int missing(lua_State *L) {
  es_execution *execution = lua_touserdata(L, 1);

  push_question(L, "missing", execution);
  lua_call(L, 2, 1);
  if (!lua_isnil(L, -1)) {
    es_error err = ES_ERROR_INIT;
    es__fail(&err, ES_ERR_NOT_FOUND, "not_found", "%s", lua_tostring(L, -1));
    es__domain_raise(L, &err);
  }
  return 0;
}

es_status es__execution_missing(es_execution *execution, es_error *err) {
  return es__domain_run(execution->rt->domain, missing, execution, err);
}

static void take_text(lua_State *L, int index, char *out, size_t size) {
  const char *text = lua_tostring(L, index);
  size_t length = text == NULL ? 0 : strlen(text);

  if (length >= size) length = size - 1;
  if (text != NULL) memcpy(out, text, length);
  out[length] = '\0';
}

static void push_arguments(lua_State *L) {
  es__fold_push_state(L);
  get_slot(L, &params_key);
  get_slot(L, &context_key);
}

static int authorize(lua_State *L) {
  es_execution *execution = lua_touserdata(L, 1);

  push_question(L, "authorize", execution);
  push_arguments(L);
  lua_call(L, 5, 3);
  execution->allowed = lua_toboolean(L, -3);
  if (execution->allowed) return 0;
  take_text(L, -2, execution->message, sizeof execution->message);
  take_text(L, -1, execution->code, sizeof execution->code);
  return 0;
}

es_status es__execution_authorize(es_execution *execution, es_error *err) {
  execution->allowed = false;
  return es__domain_run(execution->rt->domain, authorize, execution, err);
}

/* Writes into execution->text, NUL-terminated. */
static es_span add_span(es_execution *execution, const char *text, size_t length) {
  es_span span = {execution->text.length, length};

  es__buf_add(&execution->text, text, length);
  es__buf_byte(&execution->text, '\0');
  return span;
}

static es_span add_json(lua_State *L, int index, es_execution *execution, const char *root) {
  es_span span = {execution->text.length, 0};

  es__lua_write_json(L, index, &execution->text, root);
  span.length = execution->text.length - span.offset;
  es__buf_byte(&execution->text, '\0');
  return span;
}

static void copy_members(lua_State *L, int from, int to) {
  lua_pushnil(L);
  while (lua_next(L, from) != 0) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, to);
  }
}

static bool take_id(lua_State *L, int index, const char *name, uint8_t out[ES_ID_SIZE]) {
  bool found = lua_getfield(L, index, name) == LUA_TSTRING;

  if (found) found = es_id_parse(out, lua_tostring(L, -1));
  lua_pop(L, 1);
  return found;
}

static void take_event(lua_State *L, int event, es_execution *execution, es_decided *out) {
  size_t length;

  lua_getfield(L, event, "event_type");
  const char *event_type = lua_tolstring(L, -1, &length);
  out->event_type = add_span(execution, event_type, length);
  lua_getfield(L, event, "schema_version");
  out->schema_version = lua_tointeger(L, -1);
  lua_getfield(L, event, "data");
  out->data = add_json(L, lua_gettop(L), execution, "data");
  lua_newtable(L);
  int metadata = lua_gettop(L);
  get_slot(L, &metadata_key);
  copy_members(L, metadata + 1, metadata);
  if (lua_getfield(L, event, "metadata") == LUA_TTABLE) copy_members(L, metadata + 2, metadata);
  out->metadata = add_json(L, metadata, execution, "metadata");
  lua_settop(L, event);
  out->has_causation = take_id(L, event, "causation_id", out->causation_id);
  if (!out->has_causation) {
    out->has_causation = execution->has_causation;
    memcpy(out->causation_id, execution->causation_id, ES_ID_SIZE);
  }
  if (!take_id(L, event, "correlation_id", out->correlation_id)) {
    memcpy(out->correlation_id, execution->correlation_id, ES_ID_SIZE);
  }
}

static int decide(lua_State *L) {
  es_execution *execution = lua_touserdata(L, 1);

  push_question(L, "decide", execution);
  push_arguments(L);
  lua_call(L, 5, 3);
  if (lua_isnil(L, 2)) {
    execution->rejected = true;
    take_text(L, 3, execution->code, sizeof execution->code);
    take_text(L, 4, execution->message, sizeof execution->message);
    return 0;
  }
  lua_settop(L, 2);
  lua_Unsigned count = lua_rawlen(L, 2);
  if (count > ES_EVENTS_PER_COMMAND_MAX) {
    return luaL_error(L, "a command may decide at most %d events, not %I",
                      ES_EVENTS_PER_COMMAND_MAX, (lua_Integer)count);
  }
  es_decided *decided = realloc(execution->decided, (count + 1) * sizeof *decided);
  if (decided == NULL) return luaL_error(L, "out of memory");
  execution->decided = decided;
  for (lua_Unsigned i = 0; i < count; i++) {
    lua_rawgeti(L, 2, (lua_Integer)i + 1);
    take_event(L, 3, execution, &execution->decided[i]);
    lua_settop(L, 2);
  }
  execution->decided_count = count;
  return 0;
}

es_status es__execution_decide(es_execution *execution, es_error *err) {
  execution->rejected = false;
  execution->decided_count = 0;
  es__buf_clear(&execution->text);
  es_status status = es__domain_run(execution->rt->domain, decide, execution, err);
  if (status == ES_OK && execution->text.failed) return es__no_memory(err);
  if (status == ES_ERR_USAGE && err != NULL && strcmp(err->code, "not_json") == 0) {
    err->status = status = ES_ERR_LUA; /* the module's fault, not the caller's */
  }
  return status;
}

typedef struct viewing {
  es_runtime *rt;
  const es_stream_name *stream;
  int64_t version;
  int64_t now;
} viewing;

static int may_view(lua_State *L) {
  viewing *job = lua_touserdata(L, 1);

  es__kernel_push_function(L, "may_view");
  lua_pushlstring(L, job->stream->aggregate_type.data, job->stream->aggregate_type.length);
  es__fold_push_state(L);
  push_context(L, job->rt->context, job->stream, job->version, job->now);
  lua_call(L, 3, 3);
  if (!lua_toboolean(L, -3)) {
    es_error err = ES_ERROR_INIT;
    es__fail(&err, ES_ERR_DENIED, lua_tostring(L, -1), "%s", lua_tostring(L, -2));
    es__domain_raise(L, &err);
  }
  return 0;
}

es_status es__view_authorize(es_runtime *rt, const es_stream_name *stream, int64_t version,
                             es_error *err) {
  viewing job = {rt, stream, version, es__now(rt)};
  es_status status = es__domain_run(rt->domain, may_view, &job, err);

  if (status == ES_ERR_LUA) { /* a rule that fails allows nothing */
    char why[ES_ERROR_MESSAGE_MAX];
    if (err != NULL) memcpy(why, err->message, sizeof why);
    es__fail(err, ES_ERR_DENIED, "rule_failed", "Access denied");
    if (err != NULL) es__hint(err, "the view rule failed: %s", why);
    return ES_ERR_DENIED;
  }
  return status;
}
