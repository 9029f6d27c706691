/* store: the calls of store.h: each checks its arguments once for all kinds and goes to the kind. Knows no SQL. */
#include "store/store.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/utf8.h"

enum { COMMIT_EVENTS_MAX = 10000, REPLY_BODY_MAX = 1024 * 1024 };

void es__reply_record_free(es_reply_record *record) {
  if (record == NULL) return;
  free((char *)record->body.data);
  *record = (es_reply_record){0};
}

static es_status check_stream(const es_stream_name *stream, es_error *err) {
  es_status status = es__name_check(stream->aggregate_type, "aggregate type", ES_TYPE_MAX, err);
  if (status == ES_OK)
    status = es__name_check(stream->aggregate_id, "aggregate id", ES_ID_MAX, err);
  if (status == ES_OK && stream->tenant_id.data != NULL)
    status = es__name_check(stream->tenant_id, "tenant id", ES_ID_MAX, err);
  return status;
}

static es_status check_reply(const es_commit *commit, es_error *err) {
  const es_reply_record *reply = commit->reply;

  if (reply == NULL) return ES_OK;
  if (reply->event_count < 0 || (uint64_t)reply->event_count > commit->event_count) {
    return es__fail(err, ES_ERR_USAGE, "malformed_reply",
                    "a reply of %lld events cannot belong to a commit of %zu",
                    (long long)reply->event_count, commit->event_count);
  }
  if (reply->body.data == NULL || reply->body.length > REPLY_BODY_MAX ||
      !es__utf8_valid(reply->body.data, reply->body.length)) {
    return es__fail(err, ES_ERR_USAGE, "malformed_reply",
                    "a reply's body is UTF-8 of at most %d bytes", REPLY_BODY_MAX);
  }
  return ES_OK;
}

static es_status check_times(const es_commit *commit, es_error *err) {
  if (!commit->keep_recorded_at) {
    if (commit->now >= ES__TIME_MIN && commit->now <= ES__TIME_MAX) return ES_OK;
    return es__fail(err, ES_ERR_USAGE, "malformed_event", "now is outside the years 0000 to 9999");
  }
  for (size_t i = 0; i < commit->event_count; i++) {
    int64_t at = commit->events[i].recorded_at;
    if (at < ES__TIME_MIN || at > ES__TIME_MAX) {
      return es__fail(err, ES_ERR_USAGE, "malformed_event",
                      "event %zu: recorded_at is outside the years 0000 to 9999", i + 1);
    }
  }
  return ES_OK;
}

static es_status check_commit(const es_commit *commit, es_error *err) {
  es_status status;

  if (commit->event_count > COMMIT_EVENTS_MAX) {
    return es__fail(err, ES_ERR_USAGE, "commit_too_large",
                    "a commit of %zu events, at most %d are taken", commit->event_count,
                    COMMIT_EVENTS_MAX);
  }
  for (size_t i = 0; i < commit->event_count && !commit->checked; i++) {
    status = es__event_check(&commit->events[i], err);
    if (status != ES_OK) {
      es__wrap(err, "event %zu of the commit", i + 1);
      return status;
    }
  }
  for (size_t i = 0; i < commit->condition_count; i++) {
    status = check_stream(&commit->conditions[i].stream, err);
    if (status != ES_OK) return status;
    if (commit->conditions[i].expected_version < 0) {
      return es__fail(err, ES_ERR_USAGE, "malformed_condition", "an expected version is negative");
    }
  }
  status = check_times(commit, err);
  return status == ES_OK ? check_reply(commit, err) : status;
}

es_status es__store_append(es_store *store, es_commit *commit, es_error *err) {
  assert(store != NULL && commit != NULL);
  commit->duplicate = false;
  commit->existing = (es_reply_record){0};
  es_status status = check_commit(commit, err);
  if (status == ES_OK) status = store->kind->append(store, commit, err);
  if (status == ES_OK && !commit->duplicate && commit->event_count > 0)
    store->appended_to = commit->events[commit->event_count - 1].position;
  return status;
}

es_status es__store_begin(es_store *store, es_error *err) { return store->kind->begin(store, err); }

es_status es__store_commit(es_store *store, es_error *err) {
  return store->kind->commit(store, err);
}

void es__store_rollback(es_store *store) { store->kind->rollback(store); }

es_status es__store_read(es_store_cursor **out, es_store *store, const es_filter *filter,
                         es_error *err) {
  assert(out != NULL && store != NULL);
  *out = NULL;
  return store->kind->read(out, store, filter, err);
}

es_status es__store_next(const es_event **event, es_store_cursor *cursor, es_error *err) {
  *event = NULL;
  return cursor->store->kind->next(event, cursor, err);
}

void es__store_cursor_close(es_store_cursor *cursor) {
  if (cursor != NULL) cursor->store->kind->cursor_close(cursor);
}

es_status es__store_stream_version(int64_t *out, es_store *store, const es_stream_name *stream,
                                   es_error *err) {
  *out = 0;
  es_status status = check_stream(stream, err);
  return status == ES_OK ? store->kind->stream_version(out, store, stream, err) : status;
}

es_status es__store_head_of(es_store_head *out, es_store *store, es_error *err) {
  *out = (es_store_head){0};
  return store->kind->head(out, store, err);
}

es_status es__store_find_reply(bool *found, es_reply_record *out, es_store *store,
                               const uint8_t key[ES_STORE_KEY_SIZE], es_error *err) {
  *found = false;
  *out = (es_reply_record){0};
  return store->kind->find_reply(found, out, store, key, err);
}

es_status es__store_streams(es_store *store, const char *aggregate_type,
                            es_status (*each)(void *data, const es_stream_name *, int64_t version,
                                              es_error *err),
                            void *data, es_error *err) {
  return store->kind->streams(store, aggregate_type, each, data, err);
}

es_status es__store_hashes(es_hash *out, size_t *count, es_store *store, int64_t after,
                           size_t capacity, es_error *err) {
  *count = 0;
  return store->kind->hashes(out, count, store, after, capacity, err);
}

es_status es__store_checkpoint(es_store_checkpoint *out, es_store *store, int64_t up_to,
                               es_error *err) {
  out->size = -1;
  es__buf_clear(&out->note);
  return store->kind->checkpoint(out, store, up_to, INT64_MAX, err);
}

es_status es__store_checkpoint_before(es_store_checkpoint *at, es_store *store, es_error *err) {
  int64_t size = at->size, id = at->id;

  at->size = -1;
  es__buf_clear(&at->note);
  return id == INT64_MIN ? ES_OK : store->kind->checkpoint(at, store, size, id - 1, err);
}

es_status es__store_add_checkpoint(es_store *store, int64_t size, es_text note, es_error *err) {
  es_status status = es__store_begin(store, err);

  if (status != ES_OK) return status;
  status = store->kind->add_checkpoint(store, size, note, err);
  if (status == ES_OK) return es__store_commit(store, err);
  es__store_rollback(store);
  return status;
}

es_status es__store_info(es_buf *json, es_store *store, es_error *err) {
  return store->kind->info(json, store, err);
}

es_status es__store_backup(es_store *store, const char *path, es_progress progress,
                           void *progress_data, es_error *err) {
  if (store->kind->backup != NULL)
    return store->kind->backup(store, path, progress, progress_data, err);
  es__fail(err, ES_ERR_USAGE, "in_memory", "this store is in memory: there is no file to copy");
  es__hint(err, "export it instead");
  return ES_ERR_USAGE;
}

void es__store_close(es_store *store) {
  if (store != NULL) store->kind->close(store);
}

es_status es__version_conflict(const es_condition *condition, int64_t actual_version,
                               es_error *err) {
  es__fail(err, ES_ERR_CONFLICT, "version_conflict", "%.*s/%.*s is at version %lld, expected %lld",
           (int)condition->stream.aggregate_type.length, condition->stream.aggregate_type.data,
           (int)condition->stream.aggregate_id.length, condition->stream.aggregate_id.data,
           (long long)actual_version, (long long)condition->expected_version);
  if (err != NULL) {
    err->expected_version = condition->expected_version;
    err->actual_version = actual_version;
  }
  return ES_ERR_CONFLICT;
}

es_status es__next_version(const es_commit *commit, const es_event *event, int64_t actual_version,
                           es_error *err) {
  es_condition condition = {{event->tenant_id, event->aggregate_type, event->aggregate_id},
                            event->version - 1};

  if (!commit->check_versions || event->version == 0 || event->version == actual_version + 1)
    return ES_OK;
  return es__version_conflict(&condition, actual_version, err);
}

es_status es__duplicate_event(const es_event *event, es_error *err) {
  char text[ES_ID_TEXT_SIZE];

  es_id_text(text, event->event_id);
  return es__fail(err, ES_ERR_CONFLICT, "duplicate_event_id", "event id %s is stored already",
                  text);
}

es_status es__time_conflict(const es_event *event, es_error *err) {
  char text[ES_TIME_TEXT_SIZE];

  es_time_text(text, event->recorded_at);
  es__fail(err, ES_ERR_USAGE, "time_order",
           "event %lld cannot be recorded at %s, before the event it follows",
           (long long)event->position, text);
  es__hint(err, "import events in the order of their recorded_at");
  return ES_ERR_USAGE;
}
