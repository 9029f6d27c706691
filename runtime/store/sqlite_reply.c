/* sqlite_reply: what idempotency keys led to. No chain covers a reply, so each row carries a checksum of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/sqlite.h"

/* SHA-256 of "reply_id first_position event_count created_at " key params_hash body. */
static es_status checksum_of(uint8_t out[ES_HASH_SIZE], es_sqlite *store, int64_t reply_id,
                             const es_reply_record *record, es_error *err) {
  char head[128 + 2 * ES_STORE_KEY_SIZE];
  int length = snprintf(head, 128, "%lld %lld %lld %lld ", (long long)reply_id,
                        (long long)record->first_position, (long long)record->event_count,
                        (long long)record->created_at);

  memcpy(head + length, record->key, ES_STORE_KEY_SIZE);
  memcpy(head + length + ES_STORE_KEY_SIZE, record->params_hash, ES_STORE_KEY_SIZE);
  return es__sha256(store->base.chain, out, head, (size_t)length + 2 * ES_STORE_KEY_SIZE,
                    record->body.data, record->body.length, err);
}

/* A row of REPLY_FIND's columns. The body stays SQLite's until the next step. *sound: well-formed, checksum right. */
static es_status read_row(bool *sound, es_reply_record *out, es_sqlite *store,
                          sqlite3_stmt *statement, es_error *err) {
  uint8_t stored[ES_HASH_SIZE], computed[ES_HASH_SIZE];

  *sound = false;
  *out = (es_reply_record){0};
  if (!es__sqlite_blob(out->key, statement, 1, ES_STORE_KEY_SIZE) ||
      !es__sqlite_blob(out->params_hash, statement, 2, ES_STORE_KEY_SIZE) ||
      !es__sqlite_blob(stored, statement, 7, ES_HASH_SIZE))
    return ES_OK;
  out->first_position = sqlite3_column_int64(statement, 3);
  out->event_count = sqlite3_column_int64(statement, 4);
  out->created_at = sqlite3_column_int64(statement, 5);
  out->body = es__sqlite_text(statement, 6);
  if (out->body.data == NULL) return ES_OK;
  es_status status = checksum_of(computed, store, sqlite3_column_int64(statement, 0), out, err);
  *sound = status == ES_OK && memcmp(stored, computed, ES_HASH_SIZE) == 0;
  return status;
}

es_status es__sqlite_find_reply(bool *found, es_reply_record *out, es_store *base,
                                const uint8_t key[ES_STORE_KEY_SIZE], es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  sqlite3_stmt *statement;
  bool sound;
  es_status status = es__sqlite_statement(&statement, store, ES_SQL_REPLY_FIND, err);

  if (status != ES_OK) return status;
  sqlite3_bind_blob(statement, 1, key, ES_STORE_KEY_SIZE, SQLITE_STATIC);
  int rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW) {
    status = read_row(&sound, out, store, statement, err);
    out->body.data = status == ES_OK && sound ? es__text_copy(out->body) : NULL;
    *found = out->body.data != NULL;
    if (status == ES_OK && !sound) {
      status = es__fail(err, ES_ERR_INTEGRITY, "reply",
                        "%s: the stored reply to this idempotency key is damaged", store->path);
    } else if (status == ES_OK && !*found) {
      status = es__no_memory(err);
    }
    if (!*found) *out = (es_reply_record){0};
  } else if (rc != SQLITE_DONE) {
    status = es__sqlite_fail(store, rc, "looking up a reply", err);
  }
  sqlite3_reset(statement);
  return status;
}

es_status es__sqlite_add_reply(es_sqlite *store, const es_commit *commit, es_error *err) {
  es_reply_record record = *commit->reply;
  uint8_t checksum[ES_HASH_SIZE];
  sqlite3_stmt *last, *add;
  es_status status = es__sqlite_statement(&last, store, ES_SQL_REPLY_LAST, err);

  if (status == ES_OK) status = es__sqlite_statement(&add, store, ES_SQL_REPLY_ADD, err);
  if (status != ES_OK) return status;
  int rc = sqlite3_step(last);
  int64_t reply_id = rc == SQLITE_ROW ? sqlite3_column_int64(last, 0) + 1 : 0;
  if (rc != SQLITE_ROW) status = es__sqlite_fail(store, rc, "storing a reply", err);
  sqlite3_reset(last);
  record.first_position = record.event_count > 0 ? commit->events[0].position : 0;
  if (status == ES_OK) status = checksum_of(checksum, store, reply_id, &record, err);
  if (status != ES_OK) return status;
  sqlite3_bind_int64(add, 1, reply_id);
  sqlite3_bind_blob(add, 2, record.key, ES_STORE_KEY_SIZE, SQLITE_STATIC);
  sqlite3_bind_blob(add, 3, record.params_hash, ES_STORE_KEY_SIZE, SQLITE_STATIC);
  sqlite3_bind_int64(add, 4, record.first_position);
  sqlite3_bind_int64(add, 5, record.event_count);
  sqlite3_bind_int64(add, 6, record.created_at);
  sqlite3_bind_text64(add, 7, record.body.data, record.body.length, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_blob(add, 8, checksum, ES_HASH_SIZE, SQLITE_STATIC);
  status = es__sqlite_inserted(store, sqlite3_step(add), 1, "storing a reply", err);
  sqlite3_reset(add);
  return status;
}

es_status es__sqlite_check_replies(es_sqlite *store, es_store_finding finding, void *data,
                                   es_error *err) {
  sqlite3_stmt *statement = NULL;
  es_reply_record record;
  es_store_head head = {0};
  int64_t expected_id = 1;
  bool sound;
  es_status status = es__sqlite_head(&head, &store->base, err);

  int rc = sqlite3_prepare_v2(store->db,
                              "SELECT reply_id, key, params_hash, first_position, event_count,"
                              " created_at, body, checksum FROM replies ORDER BY reply_id",
                              -1, &statement, NULL);
  while (rc == SQLITE_OK && status == ES_OK && sqlite3_step(statement) == SQLITE_ROW) {
    char message[96];
    int64_t reply_id = sqlite3_column_int64(statement, 0);
    status = read_row(&sound, &record, store, statement, err);
    const char *why =
        !sound                    ? "does not agree with its checksum"
        : reply_id != expected_id ? "follows a gap"
        : record.event_count > 0 && record.first_position + record.event_count - 1 > head.position
            ? "names events that are not there"
            : NULL;
    expected_id = reply_id + 1;
    if (status != ES_OK || why == NULL) continue;
    snprintf(message, sizeof message, "reply %lld %s", (long long)reply_id, why);
    finding(data, "reply", sound ? record.first_position : 0, message);
  }
  sqlite3_finalize(statement);
  return status;
}
