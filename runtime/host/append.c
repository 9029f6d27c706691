/* append: events that no command decided, from trusted Lua; and reloading the modules. */
#include <string.h>

#include "host/host.h"

enum { EVENTS_MAX = 10000 }; /* as es_append() takes at most */

enum {
  KEPT = 6
}; /* stack index of the list of texts: an event's __index may make them, and then nothing else keeps them */

/* A text member of the table at the top. */
static es_text text_member(lua_State *L, const char *name, int number) {
  es_text out = {NULL, 0};

  switch (lua_getfield(L, -1, name)) {
  case LUA_TNIL:
    break;
  case LUA_TSTRING:
    out.data = lua_tolstring(L, -1, &out.length);
    lua_pushvalue(L, -1);
    lua_rawseti(L, KEPT, (lua_Integer)lua_rawlen(L, KEPT) + 1);
    break;
  case LUA_TLIGHTUSERDATA: /* none */
    if (lua_touserdata(L, -1) == (const void *)es_none) break;
    /* fall through */
  default:
    host_error(L, "event %d: %s: string expected, got %s", number, name, luaL_typename(L, -1));
  }
  lua_pop(L, 1);
  return out;
}

static int64_t integer_member(lua_State *L, const char *name, int number) {
  int64_t value = 0;

  if (lua_getfield(L, -1, name) != LUA_TNIL) {
    if (!lua_isinteger(L, -1)) host_error(L, "event %d: %s: integer expected", number, name);
    value = lua_tointeger(L, -1);
  }
  lua_pop(L, 1);
  return value;
}

/* Microseconds, or RFC 3339 text. */
static int64_t time_member(lua_State *L, const char *name, int number) {
  int64_t time_us = 0;
  int type = lua_getfield(L, -1, name);

  if (type == LUA_TSTRING) {
    if (!es_time_parse(&time_us, lua_tostring(L, -1)))
      host_error(L, "event %d: %s: no RFC 3339 time", number, name);
  } else if (type != LUA_TNIL) {
    if (!lua_isinteger(L, -1)) host_error(L, "event %d: %s: time expected", number, name);
    time_us = lua_tointeger(L, -1);
  }
  lua_pop(L, 1);
  return time_us;
}

static bool id_member(lua_State *L, uint8_t out[ES_ID_SIZE], const char *name, int number) {
  es_text text = text_member(L, name, number);

  if (text.data == NULL) return false;
  if (!es_id_parse(out, text.data)) host_error(L, "event %d: %s: no UUID", number, name);
  return true;
}

/* Appends the JSON of a member; false when there is none, or when it failed. */
static bool json_member(lua_State *L, es_text *at, es_buf *out, const char *name, es_error *err) {
  bool given = lua_getfield(L, -1, name) != LUA_TNIL;
  size_t start = out->length;

  if (given && host_write_json(L, lua_gettop(L), out, name, err) == ES_OK) {
    at->length = out->length - start;
  } else {
    given = false;
  }
  lua_pop(L, 1);
  return given;
}

static void read_envelope(lua_State *L, es_event *out, int number) {
  *out = (es_event){0};
  out->aggregate_type = text_member(L, "aggregate_type", number);
  out->aggregate_id = text_member(L, "aggregate_id", number);
  out->event_type = text_member(L, "event_type", number);
  out->tenant_id = text_member(L, "tenant_id", number);
  out->actor_id = text_member(L, "actor_id", number);
  out->version = integer_member(L, "version", number);
  if (out->version < 0)
    host_error(L, "event %d: version: at least 1 expected, got %I", number,
               (LUAI_UACINT)out->version);
  out->schema_version = integer_member(L, "schema_version", number);
  out->occurred_at = time_member(L, "occurred_at", number);
  out->recorded_at = time_member(L, "recorded_at", number);
  id_member(L, out->event_id, "event_id", number);
  id_member(L, out->correlation_id, "correlation_id", number);
  out->has_causation = id_member(L, out->causation_id, "causation_id", number);
}

/* The texts lie one after the other; where, is known once the buffer no longer moves. */
static void place_texts(es_event *events, size_t count, const char *at) {
  for (size_t i = 0; i < count; i++) {
    es_text *texts[] = {&events[i].data, &events[i].metadata};
    for (size_t k = 0; k < 2; k++) {
      if (texts[k]->length == 0) continue;
      texts[k]->data = at;
      at += texts[k]->length;
    }
  }
}

/* append(runtime, events, flags) -> first and last position, or nil, message, code, details */
static int append(lua_State *L) {
  host_runtime *host = host_check(L);
  unsigned flags = (unsigned)luaL_optinteger(L, 3, 0);
  es_error err = ES_ERROR_INIT;
  lua_Unsigned count;
  es_event *events;
  es_buf *text;

  host_check_type(L, 2, LUA_TTABLE);
  count = lua_rawlen(L, 2);
  if (count == 0 || count > EVENTS_MAX) return host_error(L, "1 to 10,000 events expected");
  lua_settop(L, 3);
  events = lua_newuserdatauv(L, count * sizeof *events, 0);
  text = host_push_buffer(L);
  lua_newtable(L); /* KEPT */
  for (lua_Unsigned i = 0; i < count; i++) {
    if (lua_rawgeti(L, 2, (lua_Integer)i + 1) != LUA_TTABLE)
      return host_error(L, "event %d: table expected", (int)i + 1);
    read_envelope(L, &events[i], (int)i + 1);
    json_member(L, &events[i].data, text, "data", &err);
    if (err.status == ES_OK) json_member(L, &events[i].metadata, text, "metadata", &err);
    if (err.status != ES_OK) return host_fail(L, &err);
    lua_pop(L, 1);
  }
  place_texts(events, count, text->data);
  if (es_append(host->rt, events, count, flags, &err) != ES_OK) return host_fail(L, &err);
  lua_pushinteger(L, events[0].position);
  lua_pushinteger(L, events[count - 1].position);
  return 2;
}

/* reload(runtime) -> true, changed */
static int reload(lua_State *L) {
  host_runtime *host = host_check(L);
  es_error err = ES_ERROR_INIT;
  bool changed;

  if (es_reload(&changed, host->rt, &err) != ES_OK) return host_fail(L, &err);
  lua_pushboolean(L, true);
  lua_pushboolean(L, changed);
  return 2;
}

const luaL_Reg host_append_methods[] = {{"append", append}, {"reload", reload}, {NULL, NULL}};
