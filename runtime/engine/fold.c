/* fold: an aggregate's state from its events, through the module's apply, in bounded batches. The states folded last are kept
 * in the domain, so that the next command folds only what came since; others begin with the store's newest snapshot that fits.
 * What the events say always decides. */
#include "engine/fold.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/modules.h"

enum { FOLD_BATCH = 1024, STATES_KEPT = 256 };

/* Registry slots: the state folded last, and the kept ones: two tables of up to STATES_KEPT each, by the stream's name;
 * when the younger is full it becomes the older. An entry is { state, version, recorded_at, data_bytes }. */
static char state_key, younger_key, older_key, count_key;

void es__fold_push_state(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key); }

typedef struct folding {
  es_fold *fold;
  char *aggregate_type; /* the stream's, NUL-terminated */
  es_store *store;
  es_snapshot_record snapshot; /* begun with; its texts are freed at the end */
  es_store_cursor *cursor;
  const es_event *event; /* at hand, for errors */
  es_buf *text, *lists;  /* for rebuild_between */
  bool done;
} folding;

/* Names a stream: no part holds a NUL, and none differs from empty. */
static void push_stream_key(lua_State *L, const es_stream_name *stream) {
  lua_pushlstring(L, stream->aggregate_type.data, stream->aggregate_type.length);
  lua_pushlstring(L, "", 1);
  lua_pushlstring(L, stream->aggregate_id.data, stream->aggregate_id.length);
  lua_pushlstring(L, "", stream->tenant_id.data == NULL ? 0 : 1);
  lua_pushlstring(L, stream->tenant_id.data == NULL ? "" : stream->tenant_id.data,
                  stream->tenant_id.length);
  lua_concat(L, 5);
}

/* Takes a kept state, if there is one: it is not kept while it is worked on, so that a failing apply leaves none behind. */
static bool take_kept(lua_State *L, folding *job) {
  static char *const keys[] = {&younger_key, &older_key};
  es_fold *fold = job->fold;

  for (int i = 0; i < 2 && !fold->fresh; i++) {
    lua_settop(L, 1);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, keys[i]) != LUA_TTABLE) continue;
    push_stream_key(L, &fold->stream);
    lua_pushvalue(L, 3);
    if (lua_rawget(L, 2) != LUA_TTABLE) continue;
    lua_rawgeti(L, 4, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
    lua_rawgeti(L, 4, 2);
    fold->version = lua_tointeger(L, -1);
    lua_rawgeti(L, 4, 3);
    fold->last_recorded_at = lua_tointeger(L, -1);
    lua_rawgeti(L, 4, 4);
    fold->data_bytes = lua_tointeger(L, -1);
    lua_settop(L, 3);
    lua_pushnil(L);
    lua_rawset(L, 2);
    return true;
  }
  return false;
}

static int keep_state(lua_State *L) {
  folding *job = lua_touserdata(L, 1);

  lua_rawgetp(L, LUA_REGISTRYINDEX, &count_key);
  lua_Integer count = lua_tointeger(L, -1);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &younger_key) != LUA_TTABLE || count >= STATES_KEPT) {
    lua_rawsetp(L, LUA_REGISTRYINDEX, &older_key);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &younger_key);
    count = 0;
  }
  lua_pushinteger(L, count + 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &count_key);
  push_stream_key(L, &job->fold->stream);
  lua_createtable(L, 4, 0);
  es__fold_push_state(L);
  lua_rawseti(L, -2, 1);
  lua_pushinteger(L, job->fold->version);
  lua_rawseti(L, -2, 2);
  lua_pushinteger(L, job->fold->last_recorded_at);
  lua_rawseti(L, -2, 3);
  lua_pushinteger(L, job->fold->restart_count ? 0 : job->fold->data_bytes);
  lua_rawseti(L, -2, 4);
  lua_rawset(L, -3);
  return 0;
}

static int forget(lua_State *L) {
  static char *const keys[] = {&younger_key, &older_key, &count_key};

  for (int i = 0; i < 3; i++) {
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, keys[i]);
  }
  return 0;
}

void es__fold_forget(es_domain *domain) { es__domain_run(domain, forget, NULL, NULL); }

static int push_snapshot(lua_State *L) {
  const folding *job = lua_touserdata(L, 1);

  es__lua_push_exact_json(L, job->snapshot.state, job->snapshot.lists);
  return 1;
}

/* Begins with the snapshot, unless its text holds no state. */
static int take_snapshot(lua_State *L) {
  folding *job = lua_touserdata(L, 1);

  lua_pushcfunction(L, push_snapshot);
  lua_pushlightuserdata(L, job);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK || !lua_istable(L, -1)) return 0;
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  job->fold->version = job->snapshot.version;
  job->fold->last_recorded_at = job->snapshot.recorded_at;
  return 0;
}

static int start_state(lua_State *L) {
  folding *job = lua_touserdata(L, 1);

  if (take_kept(L, job)) return 0;

  es__kernel_push_function(L, "aggregate");
  lua_pushstring(L, job->aggregate_type);
  lua_call(L, 1, 1); /* raises for an unknown one */
  lua_getfield(L, -1, "initial");
  lua_call(L, 0, 1);
  if (!lua_istable(L, -1)) {
    luaL_error(L, "%s.initial must return a table, not a %s", job->aggregate_type,
               luaL_typename(L, -1));
  }
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  return 0;
}

void es__fold_push_event(lua_State *L, const es_event *event, void *unused) {
  (void)unused;
  int top = lua_gettop(L);

  es__kernel_push(L);
  lua_getfield(L, -1, "aggregates");
  lua_pushlstring(L, event->aggregate_type.data, event->aggregate_type.length);
  lua_rawget(L, -2);
  int64_t version = event->schema_version;
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "events");
    lua_pushlstring(L, event->event_type.data, event->event_type.length);
    lua_rawget(L, -2);
    if (lua_istable(L, -1)) {
      lua_getfield(L, -1, "version");
      version = lua_tointeger(L, -1);
    }
  }
  lua_settop(L, top);
  if (version == event->schema_version) {
    es__lua_push_event(L, event, 0);
    return;
  }
  es__kernel_push_function(L, "upcast");
  lua_pushlstring(L, event->aggregate_type.data, event->aggregate_type.length);
  lua_pushlstring(L, event->event_type.data, event->event_type.length);
  lua_pushinteger(L, event->schema_version);
  es__lua_push_json(L, event->data.data, event->data.length);
  lua_call(L, 4, 1);
  es__lua_push_event(L, event, lua_gettop(L));
  lua_remove(L, -2);
}

static _Noreturn void unknown_event(lua_State *L, const folding *job, const char *module) {
  es_error err = ES_ERROR_INIT;

  es__fail(&err, ES_ERR_LUA, "unknown_event", "event type %.*s is not declared by %s",
           (int)job->event->event_type.length, job->event->event_type.data, module);
  es__hint(&err, "declare it in the aggregate's `events`, as it was when the event was stored");
  es__domain_raise(L, &err);
}

/* Stack: 2 aggregate, 3 its events, 4 its apply, 5 the state. */
static void apply_event(lua_State *L, folding *job) {
  const es_event *event = job->event;

  lua_pushlstring(L, event->event_type.data, event->event_type.length);
  lua_pushvalue(L, -1);
  lua_rawget(L, 3);
  if (lua_isnil(L, -1)) {
    lua_getfield(L, 2, "chunk_name");
    unknown_event(L, job, lua_tostring(L, -1));
  }
  lua_getfield(L, -1, "version");
  bool current = lua_tointeger(L, -1) == event->schema_version;
  lua_pop(L, 2);
  lua_rawget(L, 4); /* the handler: an event may change nothing */
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  lua_pushvalue(L, 5);
  if (current) {
    es__lua_push_event(L, event, 0);
  } else {
    es__fold_push_event(L, event, NULL);
  }
  lua_call(L, 2, 1);
  if (lua_istable(L,
                  -1)) { /* a handler may return a new state instead of changing the one it got */
    lua_replace(L, 5);
  } else if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
  } else {
    luaL_error(L, "apply must return nothing or the new state, not a %s", luaL_typename(L, -1));
  }
  es__lua_release_event(L);
}

static void rebuild_state(lua_State *L, folding *job) {
  es__buf_clear(job->text);
  es__buf_clear(job->lists);
  es__lua_write_exact_json(L, 5, job->text, job->lists, "state");
  if (job->text->failed || job->lists->failed) luaL_error(L, "out of memory");
  es__lua_push_exact_json(L, (es_text){job->text->data, job->text->length},
                          (es_text){job->lists->data, job->lists->length});
  lua_replace(L, 5);
}

static int fold_batch(lua_State *L) {
  folding *job = lua_touserdata(L, 1);
  es_fold *fold = job->fold;
  es_error err = ES_ERROR_INIT;
  int count = fold->batch > 0 ? fold->batch : FOLD_BATCH;

  es__kernel_push_function(L, "aggregates");
  lua_getfield(L, -1, job->aggregate_type);
  lua_replace(L, 2);
  lua_getfield(L, 2, "events");
  lua_getfield(L, 2, "apply");
  es__fold_push_state(L);
  if (fold->rebuild_between && fold->version > 0) rebuild_state(L, job);
  for (int i = 0; i < count; i++) {
    if (es__store_next(&job->event, job->cursor, &err) != ES_OK) es__domain_raise(L, &err);
    if (job->event == NULL) {
      job->done = true;
      break;
    }
    if (job->event->version != fold->version + 1) {
      es__fail(&err, ES_ERR_INTEGRITY, "version_gap",
               "position %lld has version %lld where %lld follows", (long long)job->event->position,
               (long long)job->event->version, (long long)fold->version + 1);
      es__hint(&err, "run esrun verify");
      es__domain_raise(L, &err);
    }
    apply_event(L, job);
    fold->version = job->event->version;
    fold->last_recorded_at = job->event->recorded_at;
    fold->event_count++;
    fold->data_bytes += (int64_t)job->event->data.length;
  }
  lua_settop(L, 5);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
  return 0;
}

static int release_event(lua_State *L) {
  es__lua_release_event(L);
  return 0;
}

static void name_event(es_error *err, const folding *job) {
  const es_stream_name *stream = &job->fold->stream;
  const es_event *event = job->event;

  if (event == NULL) {
    es__wrap(err, "%s/%.*s", job->aggregate_type, (int)stream->aggregate_id.length,
             stream->aggregate_id.data);
    return;
  }
  es__wrap(err, "%s/%.*s, version %lld, %.*s at position %lld", job->aggregate_type,
           (int)stream->aggregate_id.length, stream->aggregate_id.data, (long long)event->version,
           (int)event->event_type.length, event->event_type.data, (long long)event->position);
  if (err != NULL) err->position = event->position;
}

/* The store's newest snapshot that fits, and then the events behind it. One that does not, or cannot be read, is passed over like
 * none: the events are always there. */
static es_status begin_with_snapshot(folding *job, es_filter *filter, es_domain *domain,
                                     es_error *err) {
  es_fold *fold = job->fold;
  es_snapshot_wish wish = {fold->to_version, fold->to_time, fold->module_hash};
  bool found;

  if (es__store_find_snapshot(&found, &job->snapshot, job->store, &fold->stream, &wish, NULL) ==
          ES_OK &&
      found)
    es__domain_run(domain, take_snapshot, job, NULL);
  if (fold->version == 0) return ES_OK;
  es__store_cursor_close(job->cursor);
  job->cursor = NULL;
  filter->from_version = fold->version + 1;
  return es__store_read(&job->cursor, job->store, filter, err);
}

es_status es__fold(es_fold *fold, es_domain *domain, es_store *store, es_error *err) {
  es_buf text = {0}, lists = {0};
  folding job = {.fold = fold, .store = store, .text = &text, .lists = &lists};
  es_filter filter = ES_FILTER_INIT;
  char *tenant = NULL, *id = NULL;
  es_status status;

  fold->version = fold->last_recorded_at = fold->event_count = fold->data_bytes = 0;
  job.aggregate_type = es__text_copy(fold->stream.aggregate_type);
  tenant = es__text_copy(fold->stream.tenant_id);
  id = es__text_copy(fold->stream.aggregate_id);
  if (job.aggregate_type == NULL || id == NULL ||
      (tenant == NULL && fold->stream.tenant_id.data != NULL)) {
    status = es__no_memory(err);
    goto done;
  }
  fold->fresh = fold->fresh || fold->to_version != 0 || fold->to_time != 0;
  status = es__domain_run(domain, start_state, &job, err);
  if (status != ES_OK) goto done;
  if (fold->version > 0) filter.from_version = fold->version + 1;
  filter.tenant_id = tenant == NULL ? ES_NONE : tenant;
  filter.aggregate_type = job.aggregate_type;
  filter.aggregate_id = id;
  filter.to_version = fold->to_version;
  if (fold->to_time != 0) filter.to_time = fold->to_time + 1;
  status = es__store_read(&job.cursor, store, &filter, err);
  if (status == ES_OK && fold->version == 0 && fold->module_hash != NULL &&
      job.cursor->has_snapshots)
    status = begin_with_snapshot(&job, &filter, domain, err);
  while (status == ES_OK && !job.done) {
    status = es__domain_run(domain, fold_batch, &job, err);
    if (status != ES_OK) {
      name_event(err, &job);
      es__domain_run(domain, release_event, NULL, NULL); /* nobody may read the event after this */
    }
  }
  if (status == ES_OK && !fold->fresh && fold->version > 0) {
    status = es__domain_run(domain, keep_state, &job, err);
  }
  if (status == ES_ERR_LUA) es__fold_forget(domain); /* kept states may be what filled the memory */
done:
  es__store_cursor_close(job.cursor);
  es__snapshot_record_free(&job.snapshot);
  es__buf_free(&text);
  es__buf_free(&lists);
  free(job.aggregate_type);
  free(tenant);
  free(id);
  return status;
}

typedef struct writing {
  es_buf *out;
  es_buf *lists; /* NULL: only the JSON */
} writing;

static int write_state(lua_State *L) {
  const writing *job = lua_touserdata(L, 1);

  es__fold_push_state(L);
  if (job->lists == NULL) {
    es__lua_write_json(L, -1, job->out, "state");
  } else {
    es__lua_write_exact_json(L, -1, job->out, job->lists, "state");
  }
  return 0;
}

es_status es__fold_write_exact(es_buf *out, es_buf *lists, es_domain *domain, es_error *err) {
  writing job = {out, lists};
  es_status status = es__domain_run(domain, write_state, &job, err);

  if (status == ES_OK && (out->failed || (lists != NULL && lists->failed)))
    return es__no_memory(err);
  if (status == ES_ERR_USAGE) { /* the module's fault, not the caller's */
    if (err != NULL) err->status = ES_ERR_LUA;
    return ES_ERR_LUA;
  }
  return status;
}

es_status es__fold_write_state(es_buf *out, es_domain *domain, es_error *err) {
  return es__fold_write_exact(out, NULL, domain, err);
}
