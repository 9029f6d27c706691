/* sqlite_snapshots: kept states, each bound to the event that it ends with. No chain covers a row, so it has a checksum; one that
 * does not fit is as good as none. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "store/sqlite.h"
#include "json/value.h"

/* The event that a snapshot is bound to; *found is false when the stream has no such version. */
static es_status find_event(bool *found, es_snapshot_record *out, es_sqlite *store,
                            int64_t stream_id, int64_t version, es_error *err) {
  sqlite3_stmt *statement;
  es_status status = es__sqlite_statement(&statement, store, ES_SQL_SNAPSHOT_EVENT, err);

  *found = false;
  if (status != ES_OK) return status;
  sqlite3_bind_int64(statement, 1, stream_id);
  sqlite3_bind_int64(statement, 2, version);
  int rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW) {
    out->position = sqlite3_column_int64(statement, 0);
    out->recorded_at = sqlite3_column_int64(statement, 3);
    *found = es__sqlite_blob(out->event_hash, statement, 1, ES_HASH_SIZE) &&
             es__sqlite_blob(out->event_id, statement, 2, ES_ID_SIZE);
  } else if (rc != SQLITE_DONE) {
    status = es__sqlite_fail(store, rc, "reading a snapshot's event", err);
  }
  sqlite3_reset(statement);
  return status;
}

/* Compares the row with the event of its stream and version. */
static es_status judge_event(es_snapshot_record *row, es_sqlite *store, es_error *err) {
  es_snapshot_record event = {0};
  bool found;
  es_status status = find_event(&found, &event, store, row->key, row->version, err);

  if (status != ES_OK) return status;
  if (!found) {
    row->fault = "ends with an event that is not there";
  } else if (event.position != row->position ||
             memcmp(event.event_hash, row->event_hash, ES_HASH_SIZE) != 0) {
    row->fault = "ends with another event than its stream has";
  }
  memcpy(row->event_id, event.event_id, ES_ID_SIZE);
  row->recorded_at = event.recorded_at;
  return ES_OK;
}

/* A row of ES__SNAPSHOT_COLUMNS. Its texts stay SQLite's until the next step. */
static es_status read_row(es_snapshot_record *out, es_sqlite *store, sqlite3_stmt *statement,
                          es_error *err) {
  uint8_t stored[ES_HASH_SIZE], computed[ES_HASH_SIZE];

  *out = (es_snapshot_record){.key = sqlite3_column_int64(statement, 0),
                              .version = sqlite3_column_int64(statement, 1),
                              .position = sqlite3_column_int64(statement, 3),
                              .created_at = sqlite3_column_int64(statement, 6),
                              .state = es__sqlite_text(statement, 7),
                              .lists = es__sqlite_text(statement, 8)};
  if (!es__sqlite_blob(out->snapshot_id, statement, 2, ES_ID_SIZE) ||
      !es__sqlite_blob(out->event_hash, statement, 4, ES_HASH_SIZE) ||
      !es__sqlite_blob(out->module_hash, statement, 5, ES_HASH_SIZE) ||
      !es__sqlite_blob(stored, statement, 9, ES_HASH_SIZE) || out->state.data == NULL ||
      out->lists.data == NULL) {
    out->fault = "is malformed";
    return ES_OK;
  }
  es_status status = es__snapshot_checksum(computed, &store->base, out, err);
  if (status != ES_OK) return status;
  if (memcmp(stored, computed, ES_HASH_SIZE) != 0) {
    out->fault = "does not agree with its checksum";
    return ES_OK;
  }
  return judge_event(out, store, err);
}

static bool same_module(sqlite3_stmt *statement, const uint8_t *module_hash) {
  uint8_t stored[ES_HASH_SIZE];

  return module_hash == NULL || (es__sqlite_blob(stored, statement, 5, ES_HASH_SIZE) &&
                                 memcmp(stored, module_hash, ES_HASH_SIZE) == 0);
}

es_status es__sqlite_find_snapshot(bool *found, es_snapshot_record *out, es_store *base,
                                   const es_stream_name *stream, const es_snapshot_wish *wish,
                                   es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  sqlite3_stmt *statement;
  int64_t stream_id, version;
  int rc = SQLITE_DONE;
  es_status status = es__sqlite_stream_find(&stream_id, &version, store, stream, err);

  if (status == ES_OK) status = es__sqlite_statement(&statement, store, ES_SQL_SNAPSHOT_FIND, err);
  if (status != ES_OK || stream_id == 0) return status;
  sqlite3_bind_int64(statement, 1, stream_id);
  sqlite3_bind_int64(statement, 2, wish->to_version > 0 ? wish->to_version : INT64_MAX);
  while (status == ES_OK && !*found && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
    if (!same_module(statement, wish->module_hash)) continue;
    status = read_row(out, store, statement, err);
    if (status != ES_OK || out->fault != NULL) continue;
    if (wish->to_time != 0 && out->recorded_at > wish->to_time) continue;
    *found = true;
    out->stream = *stream;
    status = es__snapshot_record_own(out, err);
  }
  if (status == ES_OK && rc != SQLITE_ROW && rc != SQLITE_DONE)
    status = es__sqlite_fail(store, rc, "looking for a snapshot", err);
  sqlite3_reset(statement);
  if (status != ES_OK) *found = false;
  return status;
}

/* The names of a row's stream; none where the streams do not have it. */
static void name_stream(es_snapshot_record *row, es_sqlite *store, char room[3 * ES_ID_MAX]) {
  const es_stream_slot *slot;
  es_text names[2] = {{NULL, 0}, {NULL, 0}}, name;
  char *at = room;
  bool known = es__sqlite_stream_get(&slot, store, row->key, 0, NULL) == ES_OK;

  for (int i = 0; known && i < 2; i++) { /* a slot may be another's after the next look-up */
    es_name_kind kind = i == 0 ? ES_NAME_TENANT : ES_NAME_AGGREGATE_TYPE;
    int64_t name_id = i == 0 ? slot->tenant : slot->type;
    if (i == 0 && name_id == ES__SQLITE_NONE) continue;
    known = es__sqlite_name_get(&name, store, kind, name_id, 0, NULL) == ES_OK;
    if (!known) break;
    memcpy(at, name.data, name.length);
    names[i] = (es_text){at, name.length};
    at += name.length;
  }
  if (!known) {
    if (row->fault == NULL) row->fault = "is of a stream that is not there";
    return;
  }
  row->stream = (es_stream_name){names[0], names[1], {slot->aggregate_id, slot->length}};
}

es_status es__sqlite_next_snapshot(bool *found, es_snapshot_record *at, es_store *base,
                                   const es_stream_name *stream, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  int64_t after = at->key, version = at->version, last = INT64_MAX, unused;
  bool first = at->text == NULL;
  char room[3 * ES_ID_MAX];
  sqlite3_stmt *statement;
  es_status status = es__sqlite_statement(&statement, store, ES_SQL_SNAPSHOT_NEXT, err);

  if (status == ES_OK && stream != NULL) {
    status = es__sqlite_stream_find(&last, &unused, store, stream, err);
    if (first) after = last;
    if (status == ES_OK && last == 0) return ES_OK; /* there is no such stream */
  } else if (first) {
    after = INT64_MIN;
  }
  if (first) version = INT64_MIN;
  if (status != ES_OK) return status;
  es__snapshot_record_free(at);
  sqlite3_bind_int64(statement, 1, after);
  sqlite3_bind_int64(statement, 2, version);
  sqlite3_bind_int64(statement, 3, last);
  int rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW) {
    status = read_row(at, store, statement, err);
    if (status == ES_OK) {
      name_stream(at, store, room);
      status = es__snapshot_record_own(at, err);
    }
    *found = status == ES_OK;
  } else if (rc != SQLITE_DONE) {
    status = es__sqlite_fail(store, rc, "reading the snapshots", err);
  }
  sqlite3_reset(statement);
  return status;
}

/* ---- Writing: inside a transaction ---- */

static es_status insert(es_sqlite *store, const es_snapshot_record *record, es_error *err) {
  uint8_t checksum[ES_HASH_SIZE];
  sqlite3_stmt *add;
  es_status status = es__sqlite_statement(&add, store, ES_SQL_SNAPSHOT_ADD, err);

  if (status == ES_OK) status = es__snapshot_checksum(checksum, &store->base, record, err);
  if (status != ES_OK) return status;
  sqlite3_bind_int64(add, 1, record->key);
  sqlite3_bind_int64(add, 2, record->version);
  sqlite3_bind_blob(add, 3, record->snapshot_id, ES_ID_SIZE, SQLITE_STATIC);
  sqlite3_bind_int64(add, 4, record->position);
  sqlite3_bind_blob(add, 5, record->event_hash, ES_HASH_SIZE, SQLITE_STATIC);
  sqlite3_bind_blob(add, 6, record->module_hash, ES_HASH_SIZE, SQLITE_STATIC);
  sqlite3_bind_int64(add, 7, record->created_at);
  sqlite3_bind_text64(add, 8, record->state.data, record->state.length, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_text64(add, 9, record->lists.length == 0 ? "" : record->lists.data,
                      record->lists.length, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_blob(add, 10, checksum, ES_HASH_SIZE, SQLITE_STATIC);
  status = es__sqlite_inserted(store, sqlite3_step(add), 1, "storing a snapshot", err);
  sqlite3_reset(add);
  sqlite3_clear_bindings(add);
  return status;
}

es_status es__sqlite_add_snapshot(es_store *base, es_snapshot_record *record, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  es_condition condition = {record->stream, record->version};
  sqlite3_stmt *prune;
  int64_t head;
  bool found = false;
  es_status status = es__sqlite_stream_find(&record->key, &head, store, &record->stream, err);

  if (status == ES_OK && record->key != 0)
    status = find_event(&found, record, store, record->key, record->version, err);
  if (status == ES_OK && !found) status = es__version_conflict(&condition, head, err);
  if (status == ES_OK) status = insert(store, record, err);
  if (status == ES_OK) status = es__sqlite_statement(&prune, store, ES_SQL_SNAPSHOT_PRUNE, err);
  if (status != ES_OK) return status;
  sqlite3_bind_int64(prune, 1, record->key);
  sqlite3_bind_int64(prune, 2, head);
  sqlite3_bind_int64(prune, 3, ES_SNAPSHOTS_KEPT - 1);
  return es__sqlite_run(store, ES_SQL_SNAPSHOT_PRUNE, "dropping old snapshots", err);
}

es_status es__sqlite_drop_snapshots(int64_t *count, es_store *base, const es_stream_name *stream,
                                    es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  es_statement which = stream == NULL ? ES_SQL_SNAPSHOT_DROP_ALL : ES_SQL_SNAPSHOT_DROP;
  sqlite3_stmt *statement;
  int64_t stream_id = 0, version;
  int before = sqlite3_total_changes(store->db);
  es_status status = es__sqlite_statement(&statement, store, which, err);

  if (status == ES_OK && stream != NULL)
    status = es__sqlite_stream_find(&stream_id, &version, store, stream, err);
  if (status != ES_OK) return status;
  if (stream != NULL) sqlite3_bind_int64(statement, 1, stream_id);
  status = es__sqlite_run(store, which, "dropping snapshots", err);
  *count = sqlite3_total_changes(store->db) - before;
  return status;
}

/* ---- Looking for damage ---- */

static bool holds_state(es_text text) {
  es_json_document *document = NULL;
  bool table = es__json_parse(&document, text.data, text.length, NULL) == ES_OK &&
               (es__json_root(document)->kind == ES_JSON_OBJECT_BEGIN ||
                es__json_root(document)->kind == ES_JSON_ARRAY_BEGIN);

  es__json_document_free(document);
  return table;
}

es_status es__sqlite_check_snapshots(es_sqlite *store, es_store_finding finding, void *data,
                                     es_error *err) {
  es_snapshot_record row = {0};
  es_error problem = ES_ERROR_INIT;
  char message[640];
  bool found;
  es_status status;

  while ((status = es__store_next_snapshot(&found, &row, &store->base, NULL, &problem)) == ES_OK &&
         found) {
    if (row.fault == NULL && !holds_state(row.state)) row.fault = "holds no state";
    if (row.fault == NULL) continue;
    es_text type = row.stream.aggregate_type, id = row.stream.aggregate_id;
    if (type.data == NULL) type = es__text("stream");
    int length = snprintf(message, sizeof message, "the snapshot of %.*s/%.*s at version %lld %s",
                          (int)type.length, type.data, (int)id.length,
                          id.data == NULL ? "" : id.data, (long long)row.version, row.fault);
    if (length < (int)sizeof message)
      snprintf(message + length, sizeof message - (size_t)length,
               ": nobody uses it, and esrun snapshot --drop takes it away");
    finding(data, "snapshot", 0, message);
  }
  es__snapshot_record_free(&row);
  if (status == ES_ERR_INTEGRITY) {
    finding(data, "snapshot", 0, problem.message);
    return ES_OK;
  }
  if (status != ES_OK && err != NULL) *err = problem;
  return status;
}
