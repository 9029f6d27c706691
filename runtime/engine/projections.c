/* projections: the set of declared projections and their life: running, rebuilding, status. What a transaction does is
 * projection_run.c's, which generation is read is projection_manifest.c's. */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/projection_parts.h"
#include "json/writer.h"

enum { STALE_TRIES = 16 };

/* ---- opening and declaring ---- */

es_status es__projections_open(es_projections **out, es_store *store, es_domain *domain,
                               const es_projections_options *options, es_error *err) {
  es_projections *projections = calloc(1, sizeof *projections);
  const char *path = options->store_path;

  *out = NULL;
  if (projections == NULL) return es__no_memory(err);
  projections->store = store;
  projections->domain = domain;
  projections->read_only = options->read_only;
  projections->push_event = options->push_event;
  projections->push_event_data = options->push_event_data;
  projections->modules = options->modules;
  if (path != NULL && strcmp(path, ":memory:") != 0) {
    es_buf folder = {0};
    es__buf_format(&folder, "%s-projections", path);
    projections->folder = es__buf_take(&folder, NULL);
    if (projections->folder == NULL) {
      es__projections_close(projections);
      return es__no_memory(err);
    }
  }
  *out = projections;
  return ES_OK;
}

void es__projections_close(es_projections *projections) {
  if (projections == NULL) return;
  for (size_t i = 0; i < projections->count; i++)
    es__projection_free(projections->all[i]);
  sqlite3_close(projections->manifest);
  free(projections->all);
  free(projections->folder);
  free(projections);
}

typedef struct declaring {
  es_projection *projection;
  int reference;
} declaring;

static int declare_body(lua_State *L) {
  const declaring *work = lua_touserdata(L, 1);

  es__domain_push_builtin(L, "es.projection");
  lua_getfield(L, -1, "plan");
  lua_rawgeti(L, LUA_REGISTRYINDEX, work->reference);
  lua_call(L, 1, 1);
  es__projection_read_plan(L, work->projection);
  work->projection->plan_reference = luaL_ref(L, LUA_REGISTRYINDEX);
  es__projection_push_handle(L, work->projection);
  work->projection->handle_reference = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

/* Keeps the list in order of name. */
static es_status insert(es_projections *projections, es_projection *projection, es_error *err) {
  es_projection **all = realloc(projections->all, (projections->count + 1) * sizeof *all);
  size_t at = projections->count;

  if (all == NULL) return es__no_memory(err);
  projections->all = all;
  while (at > 0 && strcmp(all[at - 1]->name, projection->name) > 0)
    at--;
  memmove(all + at + 1, all + at, (projections->count - at) * sizeof *all);
  all[at] = projection;
  projections->count++;
  return ES_OK;
}

es_status es__projections_declare(es_projections *projections, int reference,
                                  const uint8_t module_hash[ES_HASH_SIZE], es_error *err) {
  es_projection *projection = calloc(1, sizeof *projection);
  declaring work = {projection, reference};
  es_status status;

  if (projection == NULL) return es__no_memory(err);
  projection->owner = projections;
  memcpy(projection->module_hash, module_hash, ES_HASH_SIZE);
  status = es__domain_run(projections->domain, declare_body, &work, err);
  for (size_t i = 0; i < projections->count && status == ES_OK; i++) {
    if (strcmp(projections->all[i]->name, projection->name) == 0)
      status = es__fail(err, ES_ERR_USAGE, "duplicate_projection",
                        "two modules declare the projection %s", projection->name);
  }
  if (status == ES_OK) status = insert(projections, projection, err);
  if (status != ES_OK) es__projection_free(projection);
  return status;
}

es_status es__projections_try(es_projections *projections, es_error *err) {
  es_status status = ES_OK;

  for (size_t i = 0; i < projections->count && status == ES_OK; i++)
    status = es__projection_sql_try(projections->all[i], err);
  return status;
}

es_status es__projections_find(es_projection **out, es_projections *projections, const char *name,
                               es_error *err) {
  es_buf names = {0};

  *out = NULL;
  for (size_t i = 0; i < projections->count; i++) {
    if (strcmp(projections->all[i]->name, name) == 0) {
      *out = projections->all[i];
      return ES_OK;
    }
  }
  for (size_t i = 0; i < projections->count; i++)
    es__buf_format(&names, "%s%s", i == 0 ? "" : ", ", projections->all[i]->name);
  es__fail(err, ES_ERR_NOT_FOUND, "unknown_projection", "there is no projection %s", name);
  es__hint(err, "declared: %s", names.length > 0 ? names.data : "none");
  es__buf_free(&names);
  return ES_ERR_NOT_FOUND;
}

/* ---- the current generation ---- */

static es_status not_built(const es_projection *projection, es_error *err) {
  es__fail(err, ES_ERR_OTHER, "not_built", "projection %s has never run", projection->name);
  es__hint(err, "run it first: esrun project run %s", projection->name);
  return ES_ERR_OTHER;
}

es_status es__projection_use_current(es_projection *projection, bool create, es_error *err) {
  es_projections *owner = projection->owner;
  es_manifest_entry entry;
  es_status status = ES_OK;

  status = es__projection_sql_try(projection, err);
  if (status != ES_OK) return status;
  /* Between reading the manifest and opening, a rebuild may remove the file; then the manifest names another. */
  for (int tries = 0; tries < STALE_TRIES; tries++) {
    status = create ? es__manifest_ensure(&entry, owner, projection->name, err)
                    : es__manifest_read(&entry, owner, projection->name, err);
    if (status != ES_OK) return status;
    if (entry.generation == 0) return not_built(projection, err);
    if (projection->file != NULL && projection->file->generation == entry.generation) return ES_OK;
    es__projection_file_close(projection->file);
    projection->file = NULL;
    status = es__projection_file_open(&projection->file, projection, entry.generation,
                                      create && entry.generation == 1, err);
    if (status != ES_ERR_NOT_FOUND) return status;
    if (!create && entry.generation == 1) return not_built(projection, err);
  }
  es__fail(err, ES_ERR_OTHER, "rebuild_needed", "projection %s: its file is gone",
           projection->name);
  es__hint(err, "build it again: esrun project rebuild %s", projection->name);
  return ES_ERR_OTHER;
}

/* ---- running ---- */

typedef struct progress {
  es_progress call;
  void *data;
  int64_t done;
  int64_t total;
  bool stopped;
} progress;

static void report(progress *of, int64_t counted) {
  of->done += counted;
  if (of->done > of->total) of->total = of->done; /* events came in meanwhile */
  if (of->call != NULL && !of->call(of->data, of->done, of->total)) of->stopped = true;
}

static es_status run_current(es_projection *projection, progress *told, es_error *err) {
  es_projection_batch batch = {0};
  es_status status = ES_OK;
  int stale = 0;

  while (status == ES_OK && !batch.at_end && !told->stopped && stale < STALE_TRIES) {
    status = es__projection_use_current(projection, true, err);
    if (status == ES_OK)
      status = es__projection_run_batch(&batch, projection, projection->file, err);
    stale = batch.stale ? stale + 1 : 0;
    if (status == ES_OK && batch.counted > 0) report(told, batch.counted);
  }
  if (status == ES_OK && stale > 0)
    status = es__fail(err, ES_ERR_STORE, "busy", "projection %s is being rebuilt again and again",
                      projection->name);
  return status;
}

static es_status refuse_read_only(const es_projections *projections, es_error *err) {
  if (!projections->read_only) return ES_OK;
  return es__fail(err, ES_ERR_STORE, "read_only",
                  "the runtime is read-only: projections cannot run");
}

/* How many events a projection has yet to count; 0 when that cannot be told. */
static int64_t behind(es_projection *projection, int64_t head) {
  es_projection_cursor cursor = {0};

  if (es__projection_use_current(projection, true, NULL) != ES_OK) return 0;
  if (es__projection_file_load(&cursor, projection->file, NULL) != ES_OK) return 0;
  return head > cursor.position ? head - cursor.position : 0;
}

es_status es__projections_run(es_projections *projections, const char *name, es_progress call,
                              void *progress_data, es_error *err) {
  progress told = {.call = call, .data = progress_data};
  es_projection *only = NULL;
  es_store_head head;
  es_status status = refuse_read_only(projections, err);

  if (status == ES_OK && name != NULL) status = es__projections_find(&only, projections, name, err);
  if (status == ES_OK) status = es__store_head_of(&head, projections->store, err);
  if (status != ES_OK) return status;
  for (size_t i = 0; i < projections->count && call != NULL; i++) {
    if (only == NULL || only == projections->all[i])
      told.total += behind(projections->all[i], head.position);
  }
  for (size_t i = 0; i < projections->count && !told.stopped; i++) {
    es_error later = ES_ERROR_INIT;
    es_status one;
    if (only != NULL && only != projections->all[i]) continue;
    one = run_current(projections->all[i], &told, status == ES_OK ? err : &later);
    if (status == ES_OK) status = one; /* the first error is told; the others show in status */
  }
  if (status == ES_OK && told.stopped)
    status = es__fail(err, ES_ERR_OTHER, "stopped",
                      "stopped after %lld events; the next run goes on behind them",
                      (long long)told.done);
  return status;
}

/* ---- rebuilding ---- */

es_status es__projections_rebuild(es_projections *projections, const char *name, es_progress call,
                                  void *progress_data, es_error *err) {
  progress told = {.call = call, .data = progress_data};
  es_projection_batch batch = {0};
  es_projection_file *file = NULL;
  es_projection *projection = NULL;
  es_store_head head;
  int64_t generation = 0;
  es_status status = refuse_read_only(projections, err);

  if (status == ES_OK) status = es__projections_find(&projection, projections, name, err);
  if (status == ES_OK) status = es__projection_sql_try(projection, err);
  if (status == ES_OK) status = es__store_head_of(&head, projections->store, err);
  if (status == ES_OK) status = es__manifest_build(&generation, projections, name, err);
  if (status != ES_OK) return status;
  told.total = head.position;
  status = es__projection_file_open(&file, projection, generation, true, err);
  while (status == ES_OK && !batch.at_end && !told.stopped && !batch.stale) {
    status = es__projection_run_batch(&batch, projection, file, err);
    if (status == ES_OK && batch.counted > 0) report(&told, batch.counted);
  }
  if (status != ES_OK || told.stopped) {
    es__manifest_finish(projections, name, generation, false, NULL);
    if (status == ES_OK)
      status = es__fail(err, ES_ERR_OTHER, "rebuild_stopped",
                        "projection %s: the rebuild was stopped; the old rows stay", name);
    goto done;
  }
  status = es__manifest_finish(projections, name, generation, true, err);
  if (status != ES_OK) goto done;
  es__projection_file_close(projection->file);
  projection->file = file;
  file = NULL;
done:
  es__projection_file_close(file);
  return status;
}

/* ---- status ---- */

typedef struct standing {
  const char *state;
  int64_t position;
  int64_t failed_position;
  es_manifest_entry entry;
  char why[ES_ERROR_MESSAGE_MAX];
} standing;

static es_status stand(standing *out, es_projection *projection, es_error *err) {
  es_projection_cursor cursor;
  es_error trouble = ES_ERROR_INIT;
  es_status status = es__manifest_read(&out->entry, projection->owner, projection->name, err);

  if (status != ES_OK) return status;
  out->state = "stopped";
  if (es__projection_sql_try(projection, &trouble) != ES_OK) {
    snprintf(out->why, sizeof out->why, "%s", trouble.message);
    return ES_OK;
  }
  out->state = "new";
  if (out->entry.generation == 0) return ES_OK;
  status = es__projection_use_current(projection, false, &trouble);
  if (status == ES_OK) status = es__projection_file_load(&cursor, projection->file, &trouble);
  if (status != ES_OK) {
    if (strcmp(trouble.code, "not_built") == 0) return ES_OK;
    if (strcmp(trouble.code, "busy") == 0) {
      if (err != NULL) *err = trouble;
      return status;
    }
    out->state = "rebuild";
    snprintf(out->why, sizeof out->why, "%s", trouble.message);
    return ES_OK;
  }
  out->position = cursor.position;
  status = es__projection_check_cursor(out->why, sizeof out->why, projection, &cursor, err);
  if (status != ES_OK) return status;
  out->state = out->why[0] != '\0'           ? "rebuild"
               : cursor.failed_position != 0 ? "stopped"
                                             : "running";
  if (out->why[0] == '\0' && cursor.failed_position != 0) {
    out->failed_position = cursor.failed_position;
    snprintf(out->why, sizeof out->why, "%s", cursor.failure);
  }
  return ES_OK;
}

static void write_standing(es_buf *json, const es_projection *projection, const standing *of,
                           int64_t head) {
  es__buf_byte(json, '{');
  es__json_write_key(json, "name");
  es__json_write_text(json, es__text(projection->name));
  es__json_write_key(json, "state");
  es__json_write_text(json, es__text(of->state));
  es__json_write_key(json, "position");
  es__json_write_integer(json, of->position);
  es__json_write_key(json, "head");
  es__json_write_integer(json, head);
  es__json_write_key(json, "behind");
  es__json_write_integer(json, head > of->position ? head - of->position : 0);
  es__json_write_key(json, "generation");
  es__json_write_integer(json, of->entry.generation);
  es__json_write_key(json, "building");
  if (of->entry.building != 0)
    es__json_write_integer(json, of->entry.building);
  else
    es__buf_text(json, "null");
  es__json_write_key(json, "failed_position");
  if (of->failed_position != 0)
    es__json_write_integer(json, of->failed_position);
  else
    es__buf_text(json, "null");
  es__json_write_key(json, "error");
  es__json_write_text(json, es__text(of->why[0] != '\0' ? of->why : NULL));
  es__buf_byte(json, '}');
}

es_status es__projections_status(es_projections *projections, es_buf *json, es_error *err) {
  es_store_head head;
  es_status status = es__store_head_of(&head, projections->store, err);

  es__buf_byte(json, '[');
  for (size_t i = 0; i < projections->count && status == ES_OK; i++) {
    standing of = {.state = "new"};
    status = stand(&of, projections->all[i], err);
    if (i > 0) es__buf_byte(json, ',');
    write_standing(json, projections->all[i], &of, head.position);
  }
  es__buf_byte(json, ']');
  return status == ES_OK && json->failed ? es__no_memory(err) : status;
}
