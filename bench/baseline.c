/* baseline: opening, hashing and taking rows for the loops in baseline_write.c, baseline_read.c and baseline_page.c. */
#include "baseline.h"

#define OPENSSL_SUPPRESS_DEPRECATED /* as runtime/ledger/chain.c */
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

static void check(sqlite3 *db, int rc) {
  if (rc != SQLITE_OK) bench_die("baseline: %s", sqlite3_errmsg(db));
}

void baseline_exec(sqlite3 *db, const char *sql) {
  check(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

sqlite3 *baseline_open(const char *path) {
  sqlite3 *db = NULL;

  check(db, sqlite3_open_v2(
                path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL));
  baseline_exec(db,
                "PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA cell_size_check = on;"
                "PRAGMA cache_size = -16384; PRAGMA temp_store = memory;"
                "PRAGMA wal_autocheckpoint = 2000");
  return db;
}

sqlite3_stmt *baseline_prepare(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement = NULL;
  check(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL));
  return statement;
}

void baseline_step(sqlite3_stmt *statement) {
  if (sqlite3_step(statement) != SQLITE_DONE)
    bench_die("baseline: %s", sqlite3_errmsg(sqlite3_db_handle(statement)));
  sqlite3_reset(statement);
}

int64_t baseline_integer(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement = baseline_prepare(db, sql);
  int64_t value = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
  sqlite3_finalize(statement);
  return value;
}

/* ---- hashing ---- */

void baseline_digest(uint8_t out[ES_HASH_SIZE], const void *bytes, size_t length) {
  SHA256_CTX context;

  SHA256_Init(&context);
  SHA256_Update(&context, bytes, length);
  SHA256_Final(out, &context);
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t length) {
  memcpy(at, bytes, length);
  return at + length;
}

static uint8_t *put_integer(uint8_t *at, int64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8)
    *at++ = (uint8_t)((uint64_t)value >> shift);
  return at;
}

static uint8_t *put_text(uint8_t *at, es_text text) {
  *at++ = text.data != NULL;
  if (text.data == NULL) return at;
  *at++ = (uint8_t)(text.length >> 8);
  *at++ = (uint8_t)text.length;
  return put(at, text.data, text.length);
}

void baseline_hash(uint8_t out[ES_HASH_SIZE], const es_event *event) {
  uint8_t leaf[2048] = {0}, *at = leaf + 1; /* 0: the prefix of a leaf */

  at = put(at, "esrun/1\n", 8);
  at = put_integer(at, event->position);
  at = put(at, event->event_id, ES_ID_SIZE);
  at = put_text(at, event->aggregate_type);
  at = put_text(at, event->aggregate_id);
  at = put_integer(at, event->version);
  at = put_text(at, event->event_type);
  at = put_integer(at, event->schema_version);
  at = put_text(at, event->tenant_id);
  at = put_text(at, event->actor_id);
  at = put(at, event->correlation_id, ES_ID_SIZE);
  *at++ = event->has_causation;
  if (event->has_causation) at = put(at, event->causation_id, ES_ID_SIZE);
  at = put_integer(at, event->occurred_at);
  at = put_integer(at, event->recorded_at);
  baseline_digest(at, event->data.data, event->data.length);
  baseline_digest(at + ES_HASH_SIZE, event->metadata.data, event->metadata.length);
  at = put(at + 2 * ES_HASH_SIZE, event->previous_hash, ES_HASH_SIZE);
  baseline_digest(out, leaf, (size_t)(at - leaf));
}

/* ---- rows ---- */

int64_t baseline_take(sqlite3_stmt *row) {
  static volatile int64_t sink; /* so that nothing is optimised away */
  int64_t sum = 0;

  for (int column = 0; column < 17; column++) {
    switch (sqlite3_column_type(row, column)) {
    case SQLITE_INTEGER:
      sum += sqlite3_column_int64(row, column);
      break;
    case SQLITE_NULL:
      break;
    default:
      sum +=
          ((const char *)sqlite3_column_blob(row, column))[0] + sqlite3_column_bytes(row, column);
    }
  }
  sink += sum;
  const char *data = (const char *)sqlite3_column_text(row, 15);
  return strtoll(data + strlen("{\"amount\":"), NULL, 10);
}

static bench_function find(const baseline_entry *entries, const char *name) {
  for (; entries->name != NULL; entries++) {
    if (strcmp(entries->name, name) == 0) return entries->run;
  }
  return NULL;
}

bench_function baseline_find(const char *name) {
  bench_function run = find(baseline_writes, name);
  if (run == NULL) run = find(baseline_reads, name);
  return run != NULL ? run : find(baseline_pages, name);
}
