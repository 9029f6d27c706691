/* snapshot: taking, listing and dropping kept states, by hand or when a policy says so. Loading from them is fold's, and what a
 * snapshot is the store's: store/store.h. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/execution.h"
#include "engine/fold.h"
#include "json/writer.h"

/* ---- Taking one ---- */

static int check_unshared(lua_State *L) {
  es__domain_push_builtin(L, "es.snapshot");
  lua_getfield(L, -1, "check_unshared");
  es__fold_push_state(L);
  lua_call(L, 1, 0);
  return 0;
}

/* Folds the stream to its head and stores its state. */
static es_status take(es_snapshot_record *out, es_runtime *rt, const es_stream_name *stream,
                      bool fresh, es_buf *state, es_buf *lists, es_error *err) {
  const uint8_t *module_hash = es__module_hash(rt, stream->aggregate_type);
  es_fold fold = {
      .stream = *stream, .module_hash = module_hash, .restart_count = true, .fresh = fresh};
  es_status status = es__fold(&fold, rt->domain, rt->store, err);

  if (status == ES_OK && fold.version == 0) return es__missing(rt, stream, err);
  if (status != ES_OK) return status;
  status = es__fold_write_exact(state, lists, rt->domain, err);
  if (status == ES_OK) status = es__domain_run(rt->domain, check_unshared, NULL, err);
  if (status != ES_OK) {
    es__wrap(err, "%.*s/%.*s", (int)stream->aggregate_type.length, stream->aggregate_type.data,
             (int)stream->aggregate_id.length, stream->aggregate_id.data);
    return status;
  }
  *out = (es_snapshot_record){.stream = *stream,
                              .version = fold.version,
                              .created_at = es__now(rt),
                              .state = {state->data, state->length},
                              .lists = {lists->data, lists->length}};
  es__id_new(&rt->ids, out->snapshot_id);
  memcpy(out->module_hash, module_hash, ES_HASH_SIZE); /* the fold found the module */
  return es__store_add_snapshot(rt->store, out, err);
}

static es_status take_one(es_snapshot_report *out, es_runtime *rt, const es_stream_name *stream,
                          bool fresh, es_error *err) {
  es_buf state = {0}, lists = {0};
  es_snapshot_record record = {0};
  es_status status = take(&record, rt, stream, fresh, &state, &lists, err);

  if (status == ES_OK) {
    *out = (es_snapshot_report){.version = record.version,
                                .position = record.position,
                                .byte_count = (int64_t)record.state.length};
    memcpy(out->snapshot_id, record.snapshot_id, ES_ID_SIZE);
    memcpy(out->event_id, record.event_id, ES_ID_SIZE);
  }
  es__buf_free(&state);
  es__buf_free(&lists);
  return status;
}

/* ---- By hand ---- */

static es_status ready(const es_runtime *rt, bool writing, es_error *err) {
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  if (rt->execution != NULL)
    return es__fail(err, ES_ERR_USAGE, "nested_command", "a command is running");
  if (!writing) return ES_OK;
  if (rt->read_only) {
    es__fail(err, ES_ERR_STORE, "read_only", "the store was opened read-only");
    es__hint(err, "open it for writing");
    return ES_ERR_STORE;
  }
  if (!rt->in_transaction) return ES_OK;
  return es__fail(err, ES_ERR_USAGE, "in_transaction",
                  "snapshots are taken and dropped outside of transactions: commit it first");
}

/* The stream of the context's tenant, both parts given or neither. */
static es_status name_stream(es_stream_name *out, const es_runtime *rt, const char *aggregate_type,
                             const char *aggregate_id, es_error *err) {
  *out = (es_stream_name){es__tenant(rt), es__text(aggregate_type), es__text(aggregate_id)};
  if (aggregate_type == NULL || aggregate_id == NULL)
    return es__fail(err, ES_ERR_USAGE, "bad_target",
                    "an aggregate is named by its type and id: TYPE/ID");
  es_status status = es__name_check(out->aggregate_type, "aggregate type", ES_TYPE_MAX, err);
  return status == ES_OK ? es__name_check(out->aggregate_id, "aggregate id", ES_ID_MAX, err)
                         : status;
}

es_status es_snapshot(es_snapshot_report *out, es_runtime *rt, const char *aggregate_type,
                      const char *aggregate_id, es_error *err) {
  es_stream_name stream;

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = (es_snapshot_report){0};
  es_status status = ready(rt, true, err);
  if (status != ES_OK) return status;
  es_context *context = es__context_retain(rt->context); /* the clock may leave the frame */
  status = name_stream(&stream, rt, aggregate_type, aggregate_id, err);
  if (status == ES_OK) status = take_one(out, rt, &stream, false, err);
  es__context_release(context);
  return status;
}

typedef struct taking {
  es_runtime *rt;
  es_context *context;
  const es_snapshot_options *options;
  es_snapshots_report *report;
  int64_t event_count, event_total; /* of the streams looked at, and of the store */
  es_status first_status;
  es_error first; /* failure */
} taking;

static bool in_scope(const es_context *context, const es_stream_name *stream) {
  if (context != NULL && context->operator_scope) return true;
  return es__text_equal(stream->tenant_id, es__context_tenant(context));
}

/* Events behind the newest snapshot that fits. */
static es_status count_behind(int64_t *out, const taking *self, const es_stream_name *stream,
                              int64_t version, es_error *err) {
  es_snapshot_wish wish = {.module_hash = es__module_hash(self->rt, stream->aggregate_type)};
  es_snapshot_record newest = {0};
  bool found = false;
  es_status status = ES_OK;

  if (wish.module_hash != NULL)
    status = es__store_find_snapshot(&found, &newest, self->rt->store, stream, &wish, err);
  *out = found ? version - newest.version : version;
  es__snapshot_record_free(&newest);
  return status;
}

static es_status tell_failure(taking *self, char *const names[3], es_status status,
                              const es_error *problem) {
  if (self->report->failed_count++ == 0) {
    self->first_status = status;
    self->first = *problem;
  }
  if (self->options->failed != NULL)
    self->options->failed(self->options->failed_data, names[0], names[1], names[2], problem);
  return ES_OK;
}

static es_status take_of_stream(taking *self, const es_stream_name *given, es_error *err) {
  char *names[3] = {es__text_copy(given->tenant_id), es__text_copy(given->aggregate_type),
                    es__text_copy(given->aggregate_id)};
  es_stream_name stream = {es__text(names[0]), es__text(names[1]), es__text(names[2])};
  es_snapshot_report report;
  es_error problem = ES_ERROR_INIT;
  es_status status =
      names[1] == NULL || names[2] == NULL || (names[0] == NULL && given->tenant_id.data != NULL)
          ? es__no_memory(&problem)
          : take_one(&report, self->rt, &stream, true, &problem);

  if (status == ES_OK) {
    self->report->taken_count++;
  } else if (status == ES_ERR_LUA || status == ES_ERR_USAGE || status == ES_ERR_INTEGRITY) {
    status = tell_failure(self, names, status, &problem);
  } else if (err != NULL) {
    *err = problem;
  }
  for (int i = 0; i < 3; i++)
    free(names[i]);
  return status;
}

static es_status each_stream(void *data, const es_stream_name *stream, int64_t version,
                             es_error *err) {
  taking *self = data;
  const es_snapshot_options *options = self->options;
  int64_t behind, wanted = options->min_events > 0 ? options->min_events : 1;

  self->event_count += version;
  if (stream->aggregate_type.data[0] == '$') return ES_OK; /* the runtime's own have no state */
  if (!in_scope(self->context, stream)) return ES_OK;
  self->report->stream_count++;
  es_status status = count_behind(&behind, self, stream, version, err);
  if (status == ES_OK && behind >= wanted) status = take_of_stream(self, stream, err);
  if (status != ES_OK) return status;
  if (options->progress != NULL &&
      !options->progress(options->progress_data, self->event_count, self->event_total))
    return es__fail(err, ES_ERR_OTHER, "stopped", "stopped after %lld streams",
                    (long long)self->report->stream_count);
  return ES_OK;
}

es_status es_snapshot_all(es_snapshots_report *out, es_runtime *rt,
                          const es_snapshot_options *given, es_error *err) {
  es_snapshot_options options = ES_SNAPSHOT_INIT;
  taking self = {.rt = rt, .options = &options, .report = out};
  es_store_head head;
  es_status status;

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = (es_snapshots_report){0};
  status = ready(rt, true, err);
  if (status == ES_OK && given != NULL)
    status = es__take_options(&options, given, sizeof options, "ES_SNAPSHOT_INIT", err);
  if (status == ES_OK && options.min_events < 0)
    status = es__fail(err, ES_ERR_USAGE, "bad_option", "min_events: %lld is no number of events",
                      (long long)options.min_events);
  if (status == ES_OK) status = es__store_head_of(&head, rt->store, err);
  if (status != ES_OK) return status;
  self.event_total = head.position;
  self.context = es__context_retain(rt->context);
  status = es__store_streams(rt->store, options.aggregate_type, each_stream, &self, err);
  es__context_release(self.context);
  if (status == ES_OK && out->failed_count > 0) {
    if (err != NULL) *err = self.first;
    status = self.first_status;
  }
  return status;
}

/* ---- Listing, dropping ---- */

static void write_id(es_buf *out, const char *key, const uint8_t id[ES_ID_SIZE]) {
  char text[ES_ID_TEXT_SIZE];

  es_id_text(text, id);
  es__json_write_key(out, key);
  es__json_write_text(out, es__text(text));
}

static void write_row(es_buf *out, const es_snapshot_record *record, const char *unfit) {
  char created_at[ES_TIME_TEXT_SIZE];

  es_time_text(created_at, record->created_at);
  es__buf_clear(out);
  es__buf_byte(out, '{');
  write_id(out, "snapshot_id", record->snapshot_id);
  es__json_write_key(out, "tenant_id");
  es__json_write_text(out, record->stream.tenant_id);
  es__json_write_key(out, "aggregate_type");
  es__json_write_text(out, record->stream.aggregate_type);
  es__json_write_key(out, "aggregate_id");
  es__json_write_text(out, record->stream.aggregate_id);
  es__json_write_key(out, "version");
  es__json_write_integer(out, record->version);
  es__json_write_key(out, "position");
  es__json_write_integer(out, record->position);
  write_id(out, "event_id", record->event_id);
  es__json_write_key(out, "created_at");
  es__json_write_text(out, es__text(created_at));
  es__json_write_key(out, "bytes");
  es__json_write_integer(out, (int64_t)record->state.length);
  es__json_write_key(out, "unfit");
  es__json_write_text(out, es__text(unfit));
  es__json_write_key(out, "damaged");
  es__buf_text(out, record->fault == NULL ? "false" : "true");
  es__buf_byte(out, '}');
}

/* Why loading passes the snapshot over; NULL: it does not. */
static const char *why_unfit(const es_runtime *rt, const es_snapshot_record *record) {
  const uint8_t *module_hash = es__module_hash(rt, record->stream.aggregate_type);

  if (record->fault != NULL) return record->fault;
  return module_hash == NULL || memcmp(module_hash, record->module_hash, ES_HASH_SIZE) != 0
             ? "was folded by another module"
             : NULL;
}

es_status es_snapshots(es_runtime *rt, const char *aggregate_type, const char *aggregate_id,
                       es_row row, void *row_data, es_error *err) {
  bool all = aggregate_type == NULL && aggregate_id == NULL, found = true;
  es_snapshot_record record = {0};
  es_stream_name stream;
  es_buf text = {0};
  es_status status;

  if (es__is_missing((const void *)row, "row", err)) return ES_ERR_USAGE;
  status = ready(rt, false, err);
  if (status == ES_OK && !all) status = name_stream(&stream, rt, aggregate_type, aggregate_id, err);
  if (status != ES_OK) return status;
  es_context *context = es__context_retain(rt->context); /* a row's callback may leave the frame */
  while (status == ES_OK && found) {
    status = es__store_next_snapshot(&found, &record, rt->store, all ? NULL : &stream, err);
    if (status != ES_OK || !found || !in_scope(context, &record.stream)) continue;
    write_row(&text, &record, why_unfit(rt, &record));
    if (text.failed) status = es__no_memory(err);
    if (status == ES_OK && !row(row_data, text.data, text.length)) found = false;
  }
  es__context_release(context);
  es__snapshot_record_free(&record);
  es__buf_free(&text);
  return status;
}

es_status es_snapshots_drop(int64_t *count, es_runtime *rt, const char *aggregate_type,
                            const char *aggregate_id, es_error *err) {
  bool all = aggregate_type == NULL && aggregate_id == NULL;
  es_stream_name stream;
  int64_t dropped;

  if (count == NULL) count = &dropped;
  *count = 0;
  es_status status = ready(rt, true, err);
  if (status == ES_OK && !all) status = name_stream(&stream, rt, aggregate_type, aggregate_id, err);
  if (status == ES_OK && all && !es__is_operator(rt)) {
    es__fail(err, ES_ERR_DENIED, "operator_scope",
             "the snapshots of all tenants are dropped in operator scope alone");
    es__hint(err, "name an aggregate, or enter a frame with operator scope");
    return ES_ERR_DENIED;
  }
  if (status != ES_OK) return status;
  return es__store_drop_snapshots(count, rt->store, all ? NULL : &stream, err);
}

/* ---- By policy ---- */

static void take_due(es_runtime *rt, const es_stream_name *stream) {
  es_snapshot_report report;
  es_error problem = ES_ERROR_INIT;

  if (take_one(&report, rt, stream, false, &problem) == ES_OK) return;
  es__log(rt, ES_LOG_WARNING, "snapshot_failed", "no snapshot of %s/%s was taken: %s",
          stream->aggregate_type.data, stream->aggregate_id.data, problem.message);
}

/* An entry of rt->snapshots_due: NUL type NUL id NUL, "-" or "+" and the tenant, NUL. Names hold no NUL, so a stream is found once. */
static void write_entry(es_buf *out, const es_stream_name *stream) {
  es__buf_byte(out, '\0');
  es__buf_add(out, stream->aggregate_type.data, stream->aggregate_type.length);
  es__buf_byte(out, '\0');
  es__buf_add(out, stream->aggregate_id.data, stream->aggregate_id.length);
  es__buf_byte(out, '\0');
  es__buf_byte(out, stream->tenant_id.data == NULL ? '-' : '+');
  es__buf_add(out, stream->tenant_id.data, stream->tenant_id.length);
  es__buf_byte(out, '\0');
}

static size_t read_entry(es_stream_name *out, const char *entry) {
  const char *type = entry + 1, *id = type + strlen(type) + 1, *tenant = id + strlen(id) + 1;

  *out =
      (es_stream_name){es__text(*tenant == '+' ? tenant + 1 : NULL), es__text(type), es__text(id)};
  return (size_t)(tenant - entry) + strlen(tenant) + 1;
}

static bool is_entered(const es_buf *list, const es_stream_name *stream) {
  es_stream_name entered;

  for (size_t at = 0; at < list->length; at += read_entry(&entered, list->data + at)) {
    read_entry(&entered, list->data + at);
    if (es__text_equal(entered.aggregate_id, stream->aggregate_id) &&
        es__text_equal(entered.aggregate_type, stream->aggregate_type) &&
        es__text_equal(entered.tenant_id, stream->tenant_id))
      return true;
  }
  return false;
}

void es__snapshot_due(es_runtime *rt, const es_stream_name *stream) {
  size_t length = rt->snapshots_due.length;

  if (!rt->in_transaction) {
    take_due(rt, stream);
  } else if (!is_entered(&rt->snapshots_due, stream)) {
    write_entry(&rt->snapshots_due, stream);
    if (rt->snapshots_due.failed) rt->snapshots_due.length = length;
  }
}

void es__snapshots_after_transaction(es_runtime *rt, bool committed) {
  es_buf due = rt->snapshots_due;
  es_stream_name stream;

  rt->snapshots_due = (es_buf){0};
  for (size_t at = 0; committed && !due.failed && at < due.length;) {
    at += read_entry(&stream, due.data + at);
    take_due(rt, &stream);
  }
  es__buf_free(&due);
}
