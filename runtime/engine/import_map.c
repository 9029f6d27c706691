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

/* What is kept in the registry under the address of the import, in this order, and lies on the stack while rows are mapped: the
 * mapping, functions of es.import_map, the event types that were met, and texts. */
enum {
  KEPT = 1, /* the table itself */
  MAP,
  LIST,
  CHECK,
  KNOWN, /* event type -> { aggregate type, version, plan of its data } */
  SOURCE,
  ACTOR,
  MEMBERS, /* names of an event's members */
  KEPT_END = MEMBERS + 7
};
enum {
  AGGREGATE_TYPE,
  AGGREGATE_ID,
  EVENT_TYPE,
  DATA,
  OCCURRED_AT,
  ID,
  ACTOR_ID
}; /* from the fifth on optional */
static const char *const member_names[] = {"aggregate_type", "aggregate_id", "event_type", "data",
                                           "occurred_at",    "id",           "actor_id"};

typedef struct loading {
  es_import *import;
  const char *text;
  const char *path;
} loading;

static void keep(lua_State *L, int kept, int slot) { lua_rawseti(L, kept, slot - KEPT); }

static int load(lua_State *L) {
  const loading *job = lua_touserdata(L, 1);

  es__domain_push_builtin(L, "es.import_map"); /* 2 */
  lua_createtable(L, KEPT_END - MAP, 0);       /* 3 */
  lua_getfield(L, 2, "take");
  es__domain_load(L, job->text, strlen(job->text), job->path);
  lua_call(L, 1, 1);
  keep(L, 3, MAP);
  lua_getfield(L, 2, "list");
  keep(L, 3, LIST);
  lua_getfield(L, 2, "check");
  keep(L, 3, CHECK);
  lua_newtable(L);
  keep(L, 3, KNOWN);
  lua_pushstring(L, job->import->name);
  keep(L, 3, SOURCE);
  lua_pushfstring(L, "import:%s", job->import->name);
  keep(L, 3, ACTOR);
  for (int i = 0; i < KEPT_END - MEMBERS; i++) {
    lua_pushstring(L, member_names[i]);
    keep(L, 3, MEMBERS + i);
  }
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
} mapping;

/* The id behind this one: new ones have 62 random bits, and asking for those is a system call. */
static void next_id(uint8_t id[ES_ID_SIZE]) {
  for (int i = ES_ID_SIZE - 1; i > 8 && ++id[i] == 0; i--) {}
}

static es_text text_at(lua_State *L, int index) {
  es_text text = {NULL, 0};
  if (lua_type(L, index) == LUA_TSTRING) text.data = lua_tolstring(L, index, &text.length);
  return text;
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

/* Writes key and metadata behind the data that is in import->scratch; the three lengths come back. */
static void write_texts(lua_State *L, es_import *import, es_text key, int64_t number,
                        lua_Integer ordinal, size_t lengths[3]) {
  es_buf *out = &import->scratch;

  lengths[0] = out->length;
  /* The ordinal comes first: behind a key it could be taken for the end of another one. */
  es__buf_text(out, key.data != NULL ? "id" : "row");
  if (ordinal > 1) es__buf_format(out, "#%lld", (long long)ordinal);
  es__buf_byte(out, ':');
  if (key.data != NULL)
    es__buf_add(out, key.data, key.length);
  else
    es__json_write_integer(out, number);
  lengths[1] = out->length - lengths[0];
  es__buf_text(out, "{\"$\":{\"import\":{\"row\":");
  es__json_write_integer(out, number);
  es__buf_text(out, ",\"source\":");
  es__json_write_text(out, es__text(import->name));
  es__buf_text(out, "}}}");
  lengths[2] = out->length - lengths[0] - lengths[1];
  if (out->failed) luaL_error(L, "out of memory");
}

static void check_actor(lua_State *L, const es_import *import, es_text actor) {
  es_error why;

  if (strlen(actor.data) != actor.length) {
    es__fail(&why, ES_ERR_USAGE, "bad_actor", "the text has a NUL byte");
    raise_bad(L, "actor_id", &why);
  }
  if (es_actor_parse(NULL, actor.data, &import->rt->actor_policy, &why) != ES_OK)
    raise_bad(L, "actor_id", &why);
}

/* What is known of an event once it is checked, beside its members. */
typedef struct checked {
  int64_t version;
  int64_t occurred_at;
  bool has_time;
} checked;

static bool read_time(lua_State *L, int index, checked *out) {
  es_text time = text_at(L, index);

  out->has_time = time.data != NULL;
  return time.data == NULL ||
         (strlen(time.data) == time.length && es_time_parse(&out->occurred_at, time.data));
}

/* Is the event at the top, whose members come to lie above it, a plain table of a type that was met, and does its data, which is
 * written, fit? */
static bool push_plain(lua_State *L, es_import *import, checked *out) {
  int at = lua_gettop(L), found = 0;

  if (lua_type(L, at) != LUA_TTABLE || lua_getmetatable(L, at)) return false;
  for (int i = 0; i < KEPT_END - MEMBERS; i++) {
    lua_pushvalue(L, MEMBERS + i);
    int type = lua_rawget(L, at);
    if (type != (i == DATA ? LUA_TTABLE : LUA_TSTRING) && (type != LUA_TNIL || i < OCCURRED_AT))
      return false;
    found += type != LUA_TNIL;
  }
  int top = lua_gettop(L);
  lua_pushvalue(L, at + 1 + EVENT_TYPE);
  if (lua_rawget(L, KNOWN) != LUA_TTABLE || !es__lua_has_entries(L, at, found)) return false;
  lua_rawgeti(L, top + 1, 1);
  lua_rawgeti(L, top + 1, 2);
  lua_rawgeti(L, top + 1, 3);
  out->version = lua_tointeger(L, top + 3);
  if (!read_time(L, at + 1 + OCCURRED_AT, out) ||
      !lua_rawequal(L, top + 2, at + 1 + AGGREGATE_TYPE) ||
      !es__schema_write(L, top + 4, at + 1 + DATA, &import->scratch))
    return false;
  lua_settop(L, top);
  return true;
}

/* Has es.import_map check the event at the top, which raises what is wrong with it, and remembers its type. The event is replaced
 * by a plain one. */
static int64_t check(lua_State *L) {
  int at = lua_gettop(L);

  lua_pushvalue(L, CHECK);
  lua_insert(L, at);
  lua_call(L, 1, 3);
  int64_t version = lua_tointeger(L, at + 1);
  lua_getfield(L, at, member_names[EVENT_TYPE]);
  lua_createtable(L, 3, 0);
  lua_getfield(L, at, member_names[AGGREGATE_TYPE]);
  lua_rawseti(L, -2, 1);
  lua_pushinteger(L, version);
  lua_rawseti(L, -2, 2);
  lua_pushvalue(L, at + 2);
  lua_rawseti(L, -2, 3);
  lua_rawset(L, KNOWN);
  lua_settop(L, at);
  return version;
}

/* Pushes the members of the event at the top, checked, and writes its data. */
static void push_members(lua_State *L, es_import *import, checked *out) {
  int at = lua_gettop(L);

  es__buf_clear(&import->scratch);
  if (push_plain(L, import, out)) return;
  lua_settop(L, at);
  out->version = check(L);
  for (int i = 0; i < KEPT_END - MEMBERS; i++)
    lua_getfield(L, at, member_names[i]);
  read_time(L, at + 1 + OCCURRED_AT, out);
  es__lua_write_json(L, at + 1 + DATA, &import->scratch, "data");
}

/* The event at the top of the stack becomes one that waits. Whatever is allocated belongs to the import before anything can
 * raise. */
static void take_event(lua_State *L, mapping *job, lua_Integer ordinal) {
  es_import *import = job->import;
  int at = lua_gettop(L);
  size_t lengths[3];
  es_error why;
  checked about;
  uint8_t hash[ES_HASH_SIZE];

  push_members(L, import, &about);
  es_text type = text_at(L, at + 1 + AGGREGATE_TYPE), id = text_at(L, at + 1 + AGGREGATE_ID);
  es_text event_type = text_at(L, at + 1 + EVENT_TYPE), key = text_at(L, at + 1 + ID);
  es_text actor = text_at(L, at + 1 + ACTOR_ID), tenant = es__context_tenant(import->context);
  if (actor.data == NULL)
    actor = text_at(L, ACTOR);
  else
    check_actor(L, import, actor);
  write_texts(L, import, key, job->number, ordinal, lengths);
  const char *data = import->scratch.data;
  es_incoming *incoming = es__import_reserve(
      &import->making, type.length + id.length + event_type.length + actor.length + tenant.length +
                           lengths[0] + lengths[2] + 7);
  if (incoming == NULL) luaL_error(L, "out of memory");
  es_event *event = &import->making.events[import->making.count];
  char *texts = incoming->texts;
  *event = (es_event){.aggregate_type = place(&texts, type),
                      .aggregate_id = place(&texts, id),
                      .event_type = place(&texts, event_type),
                      .actor_id = place(&texts, actor),
                      .schema_version = about.version,
                      .occurred_at = about.has_time ? about.occurred_at : import->now};
  if (tenant.data != NULL) event->tenant_id = place(&texts, tenant);
  event->data = place(&texts, (es_text){data, lengths[0]});
  event->metadata = place(&texts, (es_text){data + lengths[0] + lengths[1], lengths[2]});
  incoming->line = import->row_lines[job->row];
  incoming->any_time = !about.has_time;
  import->making.count++; /* the import's now */
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
  memcpy(event->correlation_id, import->row_id, ES_ID_SIZE);
  if (es__event_check(event, &why) != ES_OK) raise_bad(L, "an event", &why);
  lua_settop(L, at);
}

static void push_context(lua_State *L, const mapping *job) {
  lua_createtable(L, 0, 3);
  lua_pushvalue(L, SOURCE);
  lua_setfield(L, -2, "name");
  lua_pushinteger(L, job->number);
  lua_setfield(L, -2, "row");
  lua_pushinteger(L, job->import->row_lines[job->row]);
  lua_setfield(L, -2, "line");
}

/* Is the answer at the top one event, and nothing that says otherwise? */
static bool is_one_event(lua_State *L) {
  if (lua_type(L, -1) != LUA_TTABLE) return false;
  bool one = lua_rawgeti(L, -1, 1) == LUA_TNIL;
  lua_pop(L, 1);
  if (!one || !lua_getmetatable(L, -1)) return one;
  lua_pop(L, 1);
  return false;
}

static void map_row(lua_State *L, mapping *job) {
  const es_import *import = job->import;
  size_t start = job->row == 0 ? 0 : import->row_ends[job->row - 1];

  lua_pushvalue(L, MAP);
  es__lua_push_json(L, import->rows.data + start, import->row_ends[job->row] - start);
  push_context(L, job);
  lua_call(L, 2, 1);
  if (is_one_event(L)) {
    take_event(L, job, 1);
    return;
  }
  lua_pushvalue(L, LIST);
  lua_insert(L, -2);
  lua_call(L, 1, 1);
  lua_Integer count = luaL_len(L, -1);
  if (count == 0) job->import->making.ignored_count++;
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, -1, i);
    take_event(L, job, i);
    lua_pop(L, 1);
  }
}

static int run(lua_State *L) {
  mapping *job = lua_touserdata(L, 1);

  luaL_checkstack(L, 2 * KEPT_END, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, job->import);
  lua_replace(L, KEPT);
  for (int slot = MAP; slot < KEPT_END; slot++)
    lua_rawgeti(L, KEPT, slot - KEPT);
  for (; job->row < job->until; job->row++) {
    job->number++;
    next_id(job->import->row_id);
    map_row(L, job);
    lua_settop(L, KEPT_END - 1);
  }
  return 0;
}

/* Each run is a group's end if its rows made more events than one has, so that memory is bounded by what few rows make. */
es_status es__import_map_run(es_import *import, es_error *err) {
  mapping job = {.import = import, .number = import->row_number};
  es_status status = ES_OK;

  while (job.row < import->row_count && status == ES_OK) {
    job.until = job.row + ROWS_PER_RUN;
    if (job.until > import->row_count) job.until = import->row_count;
    status = es__domain_run(import->rt->domain, run, &job, err);
    if (status != ES_OK) return es__import_wrap(err, status, import->row_lines[job.row], 0);
    if (import->making.count > import->group) status = es__import_store(import, err);
  }
  import->row_number = job.number;
  import->row_count = 0;
  es__buf_clear(&import->rows);
  return status;
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
