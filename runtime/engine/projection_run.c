/* projection_run: counts events into one generation of a projection, a transaction at a time. Joins the store's cursor, the
 * handlers and the file; knows nothing of manifests' files or of the other projections.
 *
 * A transaction holds several spans. A span is one protected call into Lua under its own time limit and savepoint; when an
 * event in it fails, the span is undone, repeated up to just before that event, and the event then stands first in a span of
 * its own: only if it fails there, with the whole time limit to itself, is it the event's fault. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "engine/projection_parts.h"

enum { SPAN_EVENTS = 250, BATCH_EVENTS = 1000, BATCH_BYTES = 16 * 1024 * 1024 };

typedef struct span {
  es_projection *projection;
  es_projection_file *file;
  es_store_cursor *events;
  int64_t limit; /* events */
  int64_t done;
  int64_t bytes; /* of data */
  bool at_end;
  int64_t position; /* of the last event done */
  uint8_t hash[ES_HASH_SIZE];
  const es_event *event;    /* at hand; belongs to the cursor */
  int64_t failing_position; /* of the event that failed; its name, for the message */
  char failing[ES_ERROR_CODE_MAX * 4];
  bool store_failed;
  es_error error; /* of the store or the file */
} span;

/* ---- where the cursor stands in the store ---- */

static es_status check_event(char *reason, size_t size, const es_projection *projection,
                             const es_projection_cursor *cursor, es_error *err) {
  es_filter filter = ES_FILTER_INIT;
  es_store_cursor *events = NULL;
  const es_event *event = NULL;
  es_status status;

  filter.after_position = cursor->position - 1;
  filter.limit = 1;
  status = es__store_read(&events, projection->owner->store, &filter, err);
  if (status == ES_OK) status = es__store_next(&event, events, err);
  if (status == ES_OK && event == NULL)
    snprintf(reason, size, "it has counted %lld events, more than the store has",
             (long long)cursor->position);
  else if (status == ES_OK && memcmp(event->hash, cursor->leaf_hash, ES_HASH_SIZE) != 0)
    snprintf(reason, size, "event %lld of the store is not the one it counted",
             (long long)cursor->position);
  es__store_cursor_close(events);
  return status;
}

es_status es__projection_check_cursor(char *reason, size_t size, const es_projection *projection,
                                      const es_projection_cursor *cursor, es_error *err) {
  reason[0] = '\0';
  if (memcmp(cursor->store_id, projection->owner->store->store_id, ES_ID_SIZE) != 0)
    snprintf(reason, size, "it was built from another store");
  else if (memcmp(cursor->module_hash, projection->module_hash, ES_HASH_SIZE) != 0)
    snprintf(reason, size, "its module has changed since it was built");
  else if (cursor->position > 0)
    return check_event(reason, size, projection, cursor, err);
  return ES_OK;
}

/* ---- inside Lua ---- */

/* Pushes the handler of an event type; false when it has none. The plan is at `plan`. */
static bool push_handler(lua_State *L, int plan, const span *work, const es_event *event) {
  lua_getfield(L, plan, "on");
  lua_pushlstring(L, event->event_type.data, event->event_type.length);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (lua_isfunction(L, -1)) return true;
  lua_pop(L, 1);
  if (event->event_type.data[0] == '$' && !work->projection->runtime_events) return false;
  if (lua_getfield(L, plan, "any") == LUA_TFUNCTION) return true;
  lua_pop(L, 1);
  return false;
}

static void handle(lua_State *L, int plan, int handle_index, span *work, const es_event *event) {
  es_projections *owner = work->projection->owner;

  if (!push_handler(L, plan, work, event)) return;
  work->file->tenant_id = event->tenant_id;
  lua_pushvalue(L, handle_index);
  if (owner->push_event != NULL)
    owner->push_event(L, event, owner->push_event_data);
  else
    es__lua_push_event(L, event, 0);
  lua_call(L, 2, 0);
  es__lua_release_event(L);
  /* A handler may have caught the error of a file that fails; the rows it meant to write are still missing. */
  if (work->file->failed) es__domain_raise(L, &work->file->error);
  if (sqlite3_get_autocommit(work->file->db))
    luaL_error(L, "a statement that takes too long undid what was written");
}

static int run_span_body(lua_State *L) {
  span *work = lua_touserdata(L, 1);
  const es_event *event;
  int plan, handle_index;

  lua_rawgeti(L, LUA_REGISTRYINDEX, work->projection->plan_reference);
  plan = lua_gettop(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, work->projection->handle_reference);
  handle_index = lua_gettop(L);
  while (work->done < work->limit && work->bytes < BATCH_BYTES) {
    if (es__store_next(&event, work->events, &work->error) != ES_OK) {
      work->store_failed = true;
      es__domain_raise(L, &work->error);
    }
    if (event == NULL) {
      work->at_end = true;
      break;
    }
    work->event = event;
    handle(L, plan, handle_index, work, event);
    work->event = NULL;
    work->done++;
    work->bytes += (int64_t)event->data.length;
    work->position = event->position;
    memcpy(work->hash, event->hash, ES_HASH_SIZE);
  }
  return 0;
}

static int release_body(lua_State *L) {
  es__lua_release_event(L);
  return 0;
}

/* ---- spans ---- */

static void name_failing(span *work) {
  const es_event *event = work->event;
  char id[ES_ID_TEXT_SIZE];

  if (event == NULL) return;
  es_id_text(id, event->event_id);
  work->failing_position = event->position;
  snprintf(work->failing, sizeof work->failing, "%lld (%.*s %s)", (long long)event->position,
           (int)event->event_type.length, event->event_type.data, id);
}

/* One span after `cursor`. What it did is in *work; an error in it is the handler's unless the store or the file failed. */
static es_status run_span(span *work, const es_projection_cursor *cursor, es_error *err) {
  es_projection *projection = work->projection;
  es_filter filter = ES_FILTER_INIT;
  es_status status;

  filter.after_position = cursor->position;
  status = es__store_read(&work->events, projection->owner->store, &filter, err);
  if (status != ES_OK) {
    work->store_failed = true;
    return status;
  }
  projection->running = work->file;
  status = es__domain_run(projection->owner->domain, run_span_body, work, err);
  projection->running = NULL;
  if (status != ES_OK) {
    name_failing(work);
    /* The event belongs to the cursor: a module that kept it must find it released. */
    es__domain_run(projection->owner->domain, release_body, NULL, NULL);
  }
  work->file->tenant_id = es__text(NULL);
  es__store_cursor_close(work->events);
  work->events = NULL;
  return status;
}

/* Undoes what a failed span did, keeping the transaction. */
static es_status undo_span(es_projection_file *file, es_error *err) {
  for (sqlite3_stmt *one = sqlite3_next_stmt(file->db, NULL); one != NULL;
       one = sqlite3_next_stmt(file->db, one))
    sqlite3_reset(one);
  return es__projection_file_exec(file, "ROLLBACK TO span; RELEASE span", err);
}

static void advance(es_projection_cursor *cursor, const span *work) {
  if (work->done == 0) return;
  cursor->position = work->position;
  memcpy(cursor->leaf_hash, work->hash, ES_HASH_SIZE);
  cursor->failed_position = 0;
  cursor->failure[0] = '\0';
}

static void record_failure(es_projection_cursor *cursor, const span *work, es_error *err) {
  es__wrap(err, "projection %s stopped at event %s", work->projection->name, work->failing);
  es__hint(err,
           "mend the module and run esrun project rebuild %s; a run without a change tries the "
           "event again",
           work->projection->name);
  err->position = work->failing_position;
  cursor->failed_position = work->failing_position;
  snprintf(cursor->failure, sizeof cursor->failure, "%s", err->message);
}

/* How a transaction's spans ended. SQLite gives up a whole transaction with a statement that is interrupted. */
typedef struct ending {
  bool lost;    /* the transaction is gone, and all that was counted in it */
  bool stopped; /* the event after the cursor failed on its own; the cursor says so */
  es_error failure;
} ending;

/* Spans until `most` events are counted, the events end or a handler fails. */
static es_status run_spans(es_projection_batch *out, ending *end, int64_t most,
                           es_projection_cursor *cursor, es_projection *projection,
                           es_projection_file *file, es_error *err) {
  int64_t limit = SPAN_EVENTS, bytes = 0;

  while (out->counted < most && bytes < BATCH_BYTES && !out->at_end) {
    int64_t room = most - out->counted;
    span work = {.projection = projection, .file = file, .limit = limit < room ? limit : room};
    es_status status = es__projection_file_exec(file, "SAVEPOINT span", err);
    if (status != ES_OK) return status;
    status = run_span(&work, cursor, &end->failure);
    if (status == ES_OK) {
      status = es__projection_file_exec(file, "RELEASE span", err);
      if (status != ES_OK) return status;
      advance(cursor, &work);
      out->counted += work.done;
      out->at_end = work.at_end;
      bytes += work.bytes;
      limit = SPAN_EVENTS;
      continue;
    }
    if (work.store_failed || file->failed || work.failing_position == 0) {
      if (err != NULL) *err = file->failed ? file->error : end->failure;
      return status;
    }
    end->lost = sqlite3_get_autocommit(file->db);
    if (!end->lost && undo_span(file, err) != ES_OK) return ES_ERR_STORE;
    end->stopped = work.done == 0 && (!end->lost || out->counted == 0);
    if (end->stopped) record_failure(cursor, &work, &end->failure);
    if (end->lost) out->counted += work.done;
    if (end->lost || end->stopped) return ES_OK;
    limit = work.done;
  }
  return ES_OK;
}

/* ---- a transaction ---- */

static es_status check_generation(bool *stale, es_projection *projection,
                                  const es_projection_file *file, es_error *err) {
  es_manifest_entry entry;
  es_status status = es__manifest_read(&entry, projection->owner, projection->name, err);

  *stale =
      status == ES_OK && entry.generation != file->generation && entry.building != file->generation;
  return status;
}

static es_status rebuild_needed(const es_projection *projection, const char *reason,
                                es_error *err) {
  es__fail(err, ES_ERR_OTHER, "rebuild_needed", "projection %s cannot go on: %s", projection->name,
           reason);
  es__hint(err, "build it again: esrun project rebuild %s", projection->name);
  return ES_ERR_OTHER;
}

/* Keeps the failure of the event after `cursor`, unless another runner has got past it meanwhile. */
static es_status save_failure(es_projection_file *file, const es_projection_cursor *cursor,
                              es_error *err) {
  es_projection_cursor now;
  es_status status = es__projection_file_exec(file, "BEGIN IMMEDIATE", err);

  if (status == ES_OK) status = es__projection_file_load(&now, file, err);
  if (status == ES_OK && now.position == cursor->position)
    status = es__projection_file_save(file, cursor, err);
  if (status == ES_OK) status = es__projection_file_exec(file, "COMMIT", err);
  return status;
}

/* One transaction of at most *most events. When SQLite gave it up, nothing is counted and *most is how many events it got to
 * before: the caller repeats just those. */
static es_status run_transaction(es_projection_batch *out, int64_t *most, es_projection *projection,
                                 es_projection_file *file, es_error *err) {
  es_projection_cursor cursor;
  ending end = {.failure = ES_ERROR_INIT};
  char reason[ES_ERROR_CODE_MAX * 2];
  es_status status = es__projection_file_exec(file, "BEGIN IMMEDIATE", err);

  if (status == ES_OK) status = check_generation(&out->stale, projection, file, err);
  if (status != ES_OK || out->stale) goto done;
  status = es__projection_file_load(&cursor, file, err);
  if (status == ES_OK)
    status = es__projection_check_cursor(reason, sizeof reason, projection, &cursor, err);
  if (status == ES_OK && reason[0] != '\0') status = rebuild_needed(projection, reason, err);
  if (status == ES_OK) status = run_spans(out, &end, *most, &cursor, projection, file, err);
  if (status != ES_OK) goto done;
  if (end.lost) {
    *most = out->counted;
    out->counted = 0;
    if (end.stopped) status = save_failure(file, &cursor, err);
  } else if (out->counted > 0 || end.stopped) {
    status = es__projection_file_save(file, &cursor, err);
    if (status == ES_OK) status = es__projection_file_exec(file, "COMMIT", err);
  }
  if (status == ES_OK && end.stopped) {
    if (err != NULL) *err = end.failure;
    status = end.failure.status;
  }
done:
  es__projection_file_rollback(file);
  return status;
}

es_status es__projection_run_batch(es_projection_batch *out, es_projection *projection,
                                   es_projection_file *file, es_error *err) {
  int64_t most = BATCH_EVENTS, tried;
  es_status status;

  file->failed = false;
  do {
    tried = most;
    *out = (es_projection_batch){0};
    status = run_transaction(out, &most, projection, file, err);
  } while (status == ES_OK && most > 0 && most < tried);
  return status;
}
