/* import_map: rows of somebody else's data as events, through a mapping that runs as domain code. */
#include <lauxlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/import.h"
#include "json/writer.h"

enum { ROWS_PER_RUN = 64 }; /* under one time limit */

/* Uuids made of a hash say version 8, "vendor-specific" (RFC 9562). */
static void make_id(uint8_t out[ES_ID_SIZE], const uint8_t hash[ES_HASH_SIZE]) {
  memcpy(out, hash, ES_ID_SIZE);
  out[6] = (uint8_t)((out[6] & 0x0F) | 0x80);
  out[8] = (uint8_t)((out[8] & 0x3F) | 0x80);
}

/* ---- the module ---- */

typedef struct loading {
  es_import *import;
  const char *text;
  const char *path;
} loading;

/* The mapping and its ctx are kept in the registry under the address of the import. */
static int load(lua_State *L) {
  const loading *job = lua_touserdata(L, 1);

  es__domain_push_builtin(L, "es.import_map");
  lua_newtable(L);
  lua_getfield(L, -2, "run");
  lua_setfield(L, -2, "run");
  lua_getfield(L, -2, "take");
  es__domain_load(L, job->text, strlen(job->text), job->path);
  lua_call(L, 1, 1);
  lua_setfield(L, -2, "map");
  lua_rawsetp(L, LUA_REGISTRYINDEX, job->import);
  return 0;
}

es_status es__import_map_load(es_import *import, const char *text, const char *path,
                              es_error *err) {
  loading job = {import, text, path == NULL ? "mapping" : path};
  es_status status = es__domain_run(import->rt->domain, load, &job, err);

  import->has_mapping = status == ES_OK;
  return status;
}

static int drop(lua_State *L) {
  const es_import *import = lua_touserdata(L, 1);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, import);
  return 0;
}

void es__import_map_drop(es_import *import) {
  if (import->has_mapping) es__domain_run(import->rt->domain, drop, import, NULL);
  import->has_mapping = false;
}

/* ---- rows ---- */

es_status es__import_map_row(es_import *import, const char *row, size_t length, int64_t line,
                             es_error *err) {
  if (import->row_count == import->row_capacity) {
    size_t capacity = import->row_capacity == 0 ? 256 : import->row_capacity * 2;
    size_t *ends = realloc(import->row_ends, capacity * sizeof *ends);
    if (ends == NULL) return es__no_memory(err);
    import->row_ends = ends;
    int64_t *lines = realloc(import->row_lines, capacity * sizeof *lines);
    if (lines == NULL) return es__no_memory(err);
    import->row_lines = lines;
    import->row_capacity = capacity;
  }
  es__buf_add(&import->rows, row, length);
  if (import->rows.failed) return es__no_memory(err);
  import->row_ends[import->row_count] = import->rows.length;
  import->row_lines[import->row_count++] = line;
  return ES_OK;
}

typedef struct mapping {
  es_import *import;
  size_t row, until;
  int64_t number; /* of the row, from 1 */
  int64_t now;
  uint8_t correlation_id[ES_ID_SIZE]; /* of the row's events */
} mapping;

/* The id behind this one: new ones have 62 random bits, and asking for those is a system call. */
static void next_id(uint8_t id[ES_ID_SIZE]) {
  for (int i = ES_ID_SIZE - 1; i > 8 && ++id[i] == 0; i--) {}
}

static es_text member_text(lua_State *L, int table, const char *name) {
  es_text text = {NULL, 0};
  lua_getfield(L, table, name);
  if (lua_type(L, -1) == LUA_TSTRING) text.data = lua_tolstring(L, -1, &text.length);
  return text; /* stays on the stack, so that it lives */
}

static es_text place(char **at, es_text text) {
  es_text out = {*at, text.length};
  if (text.length > 0) memcpy(*at, text.data, text.length);
  (*at)[text.length] = '\0';
  *at += text.length + 1;
  return out;
}

static void raise_bad(lua_State *L, const char *what, const es_error *why) {
  es_error err = ES_ERROR_INIT;
  es__fail(&err, ES_ERR_LUA, "bad_mapping", "the mapping's answer: %s: %s", what, why->message);
  es__hint(&err, "%s", why->hint);
  es__domain_raise(L, &err);
}

/* Writes the key and the metadata behind the data in import->scratch; the lengths of both come back. */
static void write_texts(lua_State *L, es_import *import, int event, es_text key, int64_t number,
                        lua_Integer ordinal, size_t lengths[3]) {
  es_buf *out = &import->scratch;

  es__buf_clear(out);
  lua_getfield(L, event, "data");
  es__lua_write_json(L, -1, out, "data");
  lengths[0] = out->length;
  if (key.data != NULL) {
    es__buf_text(out, "id:");
    es__buf_add(out, key.data, key.length);
  } else {
    es__buf_format(out, "row:%lld", (long long)number);
  }
  if (ordinal > 1) es__buf_format(out, "#%lld", (long long)ordinal);
  lengths[1] = out->length - lengths[0];
  es__buf_text(out, "{\"$\":{\"import\":{\"row\":");
  es__buf_format(out, "%lld,\"source\":", (long long)number);
  es__json_write_text(out, es__text(import->name));
  es__buf_text(out, "}}}");
  lengths[2] = out->length - lengths[0] - lengths[1];
  if (out->failed) luaL_error(L, "out of memory");
}

static void check_actor(lua_State *L, const es_import *import, es_text actor) {
  es_error why = ES_ERROR_INIT;

  if (strlen(actor.data) != actor.length) {
    es__fail(&why, ES_ERR_USAGE, "bad_actor", "the text has a NUL byte");
    raise_bad(L, "actor_id", &why);
  }
  if (es_actor_parse(NULL, actor.data, &import->rt->actor_policy, &why) != ES_OK)
    raise_bad(L, "actor_id", &why);
}

/* The event at the top of the stack becomes one that waits. Whatever is allocated belongs to the import before anything can
 * raise. */
static void take_event(lua_State *L, mapping *job, lua_Integer ordinal) {
  es_import *import = job->import;
  int at = lua_gettop(L);
  size_t lengths[3];
  es_error why = ES_ERROR_INIT;
  uint8_t hash[ES_HASH_SIZE];

  es_text type = member_text(L, at, "aggregate_type"), id = member_text(L, at, "aggregate_id");
  es_text event_type = member_text(L, at, "event_type"), key = member_text(L, at, "id");
  es_text time = member_text(L, at, "occurred_at"), actor = member_text(L, at, "actor_id");
  es_text tenant = es__tenant(import->rt);
  if (actor.data == NULL) {
    lua_pushfstring(L, "import:%s", import->name);
    actor.data = lua_tolstring(L, -1, &actor.length);
  } else {
    check_actor(L, import, actor);
  }
  write_texts(L, import, at, key, job->number, ordinal, lengths);
  const char *data = import->scratch.data;
  es_incoming *incoming =
      es__import_reserve(import, type.length + id.length + event_type.length + actor.length +
                                     tenant.length + lengths[0] + lengths[2] + 7);
  if (incoming == NULL) luaL_error(L, "out of memory");
  es_event *event = &import->events[import->count];
  char *texts = incoming->texts;
  *event = (es_event){.aggregate_type = place(&texts, type),
                      .aggregate_id = place(&texts, id),
                      .event_type = place(&texts, event_type),
                      .actor_id = place(&texts, actor),
                      .occurred_at = job->now};
  if (tenant.data != NULL) event->tenant_id = place(&texts, tenant);
  event->data = place(&texts, (es_text){data, lengths[0]});
  event->metadata = place(&texts, (es_text){data + lengths[0] + lengths[1], lengths[2]});
  incoming->line = import->row_lines[job->row];
  incoming->any_time = time.data == NULL || !es_time_parse(&event->occurred_at, time.data);
  import->count++; /* the import's now */
  lua_getfield(L, at, "schema_version");
  event->schema_version = lua_tointeger(L, -1);
  /* The key's scope is the tenant and the import's name, each ended by a NUL. */
  es__buf_clear(&import->rows_key);
  es__buf_add(&import->rows_key, tenant.data == NULL ? "" : tenant.data, tenant.length);
  es__buf_byte(&import->rows_key, '\0');
  es__buf_add(&import->rows_key, import->name, strlen(import->name) + 1);
  if (import->rows_key.failed ||
      es__sha256(import->chain, hash, import->rows_key.data, import->rows_key.length,
                 data + lengths[0], lengths[1], &why) != ES_OK)
    luaL_error(L, "out of memory");
  make_id(event->event_id, hash);
  memcpy(event->correlation_id, job->correlation_id, ES_ID_SIZE);
  if (es__event_check(event, &why) != ES_OK) raise_bad(L, "an event", &why);
  lua_settop(L, at);
}

static void map_row(lua_State *L, mapping *job, int kept) {
  const es_import *import = job->import;
  size_t start = job->row == 0 ? 0 : import->row_ends[job->row - 1];

  lua_getfield(L, kept, "run");
  lua_getfield(L, kept, "map");
  es__lua_push_json(L, import->rows.data + start, import->row_ends[job->row] - start);
  lua_createtable(L, 0, 3);
  lua_pushstring(L, import->name);
  lua_setfield(L, -2, "name");
  lua_pushinteger(L, job->number);
  lua_setfield(L, -2, "row");
  lua_pushinteger(L, import->row_lines[job->row]);
  lua_setfield(L, -2, "line");
  lua_call(L, 3, 1);
  lua_Integer count = luaL_len(L, -1);
  if (count == 0) job->import->report.ignored_count++;
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, i);
    take_event(L, job, i);
    lua_pop(L, 1);
  }
}

static int run(lua_State *L) {
  mapping *job = lua_touserdata(L, 1);

  lua_rawgetp(L, LUA_REGISTRYINDEX, job->import);
  for (; job->row < job->until; job->row++) {
    job->number++;
    next_id(job->correlation_id);
    map_row(L, job, 2);
    lua_settop(L, 2);
  }
  return 0;
}

es_status es__import_map_run(es_import *import, es_error *err) {
  mapping job = {.import = import, .number = import->row_number, .now = es__now(import->rt)};
  int64_t ignored = import->report.ignored_count;
  es_status status = ES_OK;

  es__id_new(&import->rt->ids, job.correlation_id);
  while (job.row < import->row_count && status == ES_OK) {
    job.until = job.row + ROWS_PER_RUN;
    if (job.until > import->row_count) job.until = import->row_count;
    status = es__domain_run(import->rt->domain, run, &job, err);
  }
  if (status != ES_OK) {
    import->report.ignored_count = ignored;
    return es__import_wrap(err, status, import->row_lines[job.row], 0);
  }
  import->row_number = job.number;
  import->row_count = 0;
  es__buf_clear(&import->rows);
  return ES_OK;
}

bool es__import_same_mapped(const es_event *stored, const es_event *event,
                            const es_incoming *incoming) {
  return es__text_equal(stored->tenant_id, event->tenant_id) &&
         es__text_equal(stored->aggregate_type, event->aggregate_type) &&
         es__text_equal(stored->aggregate_id, event->aggregate_id) &&
         es__text_equal(stored->event_type, event->event_type) &&
         es__text_equal(stored->actor_id, event->actor_id) &&
         es__text_equal(stored->data, event->data) &&
         stored->schema_version == event->schema_version &&
         (incoming->any_time || stored->occurred_at == event->occurred_at);
}
