/* sqlite_reply: what idempotency keys led to. No chain covers a reply, so each row carries a checksum of its own, and is compared
 * with the events that it names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/reply.h"
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
  record.first_position = commit->event_count > 0 ? commit->events[0].position : 0;
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

/* ---- Whether they follow from the events ------------------------------------------------------------------- */

/* The events that a reply names. */
static const char named_sql[] =
    "SELECT stream_id, version, occurred_at, correlation_id, causation_id IS NOT NULL,"
    " aggregate_type, event_type, data FROM events NOT INDEXED WHERE position BETWEEN ?1 AND ?2"
    " ORDER BY position";

typedef struct reply_check {
  es_sqlite *store;
  sqlite3_stmt *named;
  int64_t audit, rejected; /* names' ids; -1: there is none */
  int64_t head;
  int64_t expected_id;
  int64_t taken_to; /* the positions up to here belong to replies before */
  int64_t stream;   /* of the reply at hand */
} reply_check;

static bool has_code(es_text data, es_text code) {
  es_json_document *document = NULL;
  const es_json_value *value = NULL;

  if (data.data != NULL && es__json_parse(&document, data.data, data.length, NULL) == ES_OK)
    value = es__json_member(es__json_root(document), "code");
  bool same = value != NULL && es__text_equal(value->text, code);
  es__json_document_free(document);
  return same;
}

/* What is wrong with a reply of `count` events, of which the one at hand is the number-th; NULL: nothing. */
static const char *judge_event(reply_check *self, const es_reply_record *record,
                               const es_reply_body *said, int64_t count, int64_t number) {
  sqlite3_stmt *event = self->named;
  uint8_t correlation_id[ES_ID_SIZE];
  int64_t stream = sqlite3_column_int64(event, 0);
  bool audit = sqlite3_column_int64(event, 5) == self->audit;

  if (number == 1) self->stream = stream;
  if (stream != self->stream) return "names events of several streams";
  if (sqlite3_column_int64(event, 2) != record->created_at)
    return "was given at another time than its events";
  /* an event takes over the correlation of the cause that the domain names */
  if (sqlite3_column_int(event, 4) == 0 &&
      !(es__sqlite_blob(correlation_id, event, 3, ES_ID_SIZE) &&
        memcmp(correlation_id, said->correlation_id, ES_ID_SIZE) == 0))
    return "has another correlation id than its events";
  if (said->rejected) {
    return audit && sqlite3_column_int64(event, 6) == self->rejected &&
                   has_code(es__sqlite_text(event, 7), said->code)
               ? NULL
               : "says rejected, and no such rejection is recorded where it says";
  }
  if (audit) return "says ok of what the runtime recorded";
  return sqlite3_column_int64(event, 1) != said->version - count + number
             ? "has another version than its events"
             : NULL;
}

static es_status judge_events(const char **why, reply_check *self, const es_reply_record *record,
                              const es_reply_body *said, es_error *err) {
  int64_t count = said->rejected ? 1 : record->event_count, number = 0;
  int rc = SQLITE_ROW;

  if (record->event_count < 0 || (said->rejected && record->event_count != 0)) {
    *why = "has a wrong number of events";
  } else if (record->first_position > self->head || count > self->head) {
    *why = "names events that are not there";
  } else if ((record->first_position > 0) != (count > 0)) {
    *why = count > 0 ? "names no event" : "says ok without events, and names one";
  } else if (count > 0 && record->first_position <= self->taken_to) {
    *why = "names what belongs to a reply before it";
  }
  if (*why != NULL || count == 0) return ES_OK;
  self->taken_to = record->first_position + count - 1;
  sqlite3_bind_int64(self->named, 1, record->first_position);
  sqlite3_bind_int64(self->named, 2, self->taken_to);
  while (*why == NULL && (rc = sqlite3_step(self->named)) == SQLITE_ROW)
    *why = judge_event(self, record, said, count, ++number);
  sqlite3_reset(self->named);
  if (*why != NULL) return ES_OK;
  if ((rc & 0xFF) == SQLITE_CORRUPT) {
    *why = "names events that cannot be read";
  } else if (rc != SQLITE_DONE) {
    return es__sqlite_fail(self->store, rc, "checking a reply", err);
  } else if (number < count) {
    *why = "names events that are not there";
  }
  return ES_OK;
}

/* *why: what is wrong with the reply in the row; NULL: nothing that can be told. */
static es_status judge_reply(const char **why, es_reply_record *record, reply_check *self,
                             sqlite3_stmt *row, es_error *err) {
  int64_t reply_id = sqlite3_column_int64(row, 0);
  es_reply_body said = {0};
  bool sound;
  es_status status = read_row(&sound, record, self->store, row, err);

  *why = NULL;
  if (status != ES_OK) return status;
  if (!sound) {
    *why = "does not agree with its checksum";
    record->first_position = 0;
  } else if (reply_id != self->expected_id) {
    *why = "follows a gap";
  } else {
    es_error problem = ES_ERROR_INIT;
    status = es__reply_body_read(&said, record->body, &problem);
    if (status == ES_OK) {
      status = judge_events(why, self, record, &said, err);
    } else if (status == ES_ERR_INTEGRITY) {
      *why = "says nothing that was ever written";
      status = ES_OK;
    } else if (err != NULL) {
      *err = problem;
    }
    es__reply_body_free(&said);
  }
  self->expected_id = reply_id + 1;
  return status;
}

es_status es__sqlite_check_replies(es_sqlite *store, es_store_finding finding, void *data,
                                   es_error *err) {
  reply_check self = {.store = store, .expected_id = 1};
  sqlite3_stmt *statement = NULL;
  es_reply_record record;
  es_store_head head = {0};
  char message[128];
  const char *why;
  es_status status = es__sqlite_head(&head, &store->base, err);

  self.head = head.position;
  self.audit = es__sqlite_ask_integer(
      store->db, "SELECT name_id FROM names WHERE kind = 2 AND name = '" ES_AUDIT_TYPE "'", -1);
  self.rejected = es__sqlite_ask_integer(
      store->db, "SELECT name_id FROM names WHERE kind = 3 AND name = '" ES_REJECTED_EVENT "'", -1);
  int rc = sqlite3_prepare_v2(store->db,
                              "SELECT reply_id, key, params_hash, first_position, event_count,"
                              " created_at, body, checksum FROM replies ORDER BY reply_id",
                              -1, &statement, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_prepare_v2(store->db, named_sql, -1, &self.named, NULL);
  while (rc == SQLITE_OK && status == ES_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
    rc = SQLITE_OK;
    int64_t reply_id = sqlite3_column_int64(statement, 0);
    status = judge_reply(&why, &record, &self, statement, err);
    if (status != ES_OK || why == NULL) continue;
    snprintf(message, sizeof message, "reply %lld %s", (long long)reply_id, why);
    finding(data, "reply", record.first_position > 0 ? record.first_position : 0, message);
  }
  if (status == ES_OK && rc != SQLITE_DONE) {
    snprintf(message, sizeof message, "cannot check the replies: %s", sqlite3_errstr(rc));
    finding(data, "page", 0, message);
  }
  sqlite3_finalize(statement);
  sqlite3_finalize(self.named);
  return status;
}
