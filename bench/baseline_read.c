/* baseline_read: one statement over the store that the runtime wrote, each column of each row taken. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "baseline.h"

/* ---- folding ---- */

static void load(bench_case *self) {
  sqlite3 *db = baseline_open(self->store);
  sqlite3_stmt *row =
      baseline_prepare(db, "SELECT " BASELINE_COLUMNS " FROM events INDEXED BY events_by_stream"
                           " WHERE stream_id = (SELECT stream_id FROM streams WHERE tenant = 0"
                           " AND type = (SELECT name_id FROM names WHERE kind = 2 AND"
                           " name = 'Account') AND aggregate_id = '" LONG_STREAM "')"
                           " ORDER BY version");
  int64_t balance = 0, count = 0;

  bench_begin(self);
  while (sqlite3_step(row) == SQLITE_ROW) {
    balance += baseline_take(row);
    count++;
  }
  bench_end(self);
  if (count != self->long_events || balance == 0)
    bench_die("baseline: %lld events", (long long)count);
  self->operations = count;
  sqlite3_finalize(row);
  sqlite3_close(db);
}

static void replay(bench_case *self) {
  sqlite3 *db = baseline_open(self->store);
  sqlite3_stmt *row =
      baseline_prepare(db, "SELECT " BASELINE_COLUMNS " FROM events INDEXED BY events_by_stream"
                           " ORDER BY stream_id, version");
  int64_t total = self->events + self->long_events, balance = 0, stream = 0, streams = 0;

  bench_begin(self);
  while (sqlite3_step(row) == SQLITE_ROW) {
    if (sqlite3_column_int64(row, 2) != stream) {
      stream = sqlite3_column_int64(row, 2);
      balance = 0;
      streams++;
    }
    balance += baseline_take(row);
    bench_progress(self, ++self->operations, total);
  }
  bench_end(self);
  if (self->operations != total || balance == 0 || streams == 0)
    bench_die("baseline: events are missing");
  sqlite3_finalize(row);
  sqlite3_close(db);
}

/* ---- verifying ---- */

static es_text column_text(sqlite3_stmt *row, int column) {
  return (es_text){(const char *)sqlite3_column_text(row, column),
                   (size_t)sqlite3_column_bytes(row, column)};
}

/* Names are joined in, since the leaf has them. */
static void read_leaf(es_event *event, sqlite3_stmt *row) {
  event->position = sqlite3_column_int64(row, 0);
  memcpy(event->event_id, sqlite3_column_blob(row, 1), ES_ID_SIZE);
  event->version = sqlite3_column_int64(row, 2);
  event->schema_version = sqlite3_column_int64(row, 3);
  memcpy(event->correlation_id, sqlite3_column_blob(row, 4), ES_ID_SIZE);
  event->has_causation = sqlite3_column_type(row, 5) != SQLITE_NULL;
  if (event->has_causation) memcpy(event->causation_id, sqlite3_column_blob(row, 5), ES_ID_SIZE);
  event->occurred_at = sqlite3_column_int64(row, 6);
  event->recorded_at = sqlite3_column_int64(row, 7);
  memcpy(event->hash, sqlite3_column_blob(row, 8), ES_HASH_SIZE);
  event->data = column_text(row, 9);
  event->metadata = column_text(row, 10);
  event->tenant_id = column_text(row, 11);
  event->aggregate_type = column_text(row, 12);
  event->aggregate_id = column_text(row, 13);
  event->event_type = column_text(row, 14);
  event->actor_id = column_text(row, 15);
}

/* The leaf and, of every second leaf on, the nodes above it: as many digests as leaves in the end. */
static void grow_tree(uint8_t peaks[64][ES_HASH_SIZE], int64_t size,
                      const uint8_t leaf[ES_HASH_SIZE]) {
  uint8_t node[1 + 2 * ES_HASH_SIZE] = {1}, *hash = node + 1 + ES_HASH_SIZE;
  int height = 0;

  memcpy(hash, leaf, ES_HASH_SIZE);
  for (; (size >> height & 1) == 1; height++) {
    memcpy(node + 1, peaks[height], ES_HASH_SIZE);
    baseline_digest(hash, node, sizeof node);
  }
  memcpy(peaks[height], hash, ES_HASH_SIZE);
}

static void verify_chain(bench_case *self, sqlite3 *db, bool tree) {
  sqlite3_stmt *row = baseline_prepare(
      db, "SELECT e.position, e.event_id, e.version, e.schema_version, e.correlation_id, "
          "e.causation_id,"
          " e.occurred_at, e.recorded_at, e.hash, e.data, e.metadata, t.name, a.name, "
          "s.aggregate_id, n.name,"
          " u.name FROM events e JOIN streams s USING (stream_id) LEFT JOIN names t ON t.name_id = "
          "e.tenant"
          " JOIN names a ON a.name_id = e.aggregate_type JOIN names n ON n.name_id = e.event_type"
          " LEFT JOIN names u ON u.name_id = e.actor ORDER BY e.position");
  es_event event = {0};
  uint8_t hash[ES_HASH_SIZE];
  uint8_t peaks[64][ES_HASH_SIZE];

  while (sqlite3_step(row) == SQLITE_ROW) {
    read_leaf(&event, row);
    baseline_hash(hash, &event);
    if (memcmp(hash, event.hash, ES_HASH_SIZE) != 0)
      bench_die("baseline: event %lld has another hash", (long long)event.position);
    memcpy(event.previous_hash, hash, ES_HASH_SIZE);
    if (tree) grow_tree(peaks, self->operations, hash);
    bench_progress(self, ++self->operations, self->events);
  }
  memcpy(self->head, hash, ES_HASH_SIZE);
  self->has_head = true;
  sqlite3_finalize(row);
}

static void check_integrity(sqlite3 *db) {
  sqlite3_stmt *check = baseline_prepare(db, "PRAGMA integrity_check");
  if (sqlite3_step(check) != SQLITE_ROW ||
      strcmp((const char *)sqlite3_column_text(check, 0), "ok") != 0)
    bench_die("baseline: the file is damaged");
  sqlite3_finalize(check);
}

static void run_verify(bench_case *self, bool tree, bool integrity) {
  sqlite3 *db = baseline_open(self->store);

  bench_begin(self);
  verify_chain(self, db, tree);
  if (integrity) check_integrity(db);
  bench_end(self);
  sqlite3_close(db);
}

static void verify(bench_case *self) { run_verify(self, false, false); }
static void verify_all(bench_case *self) { run_verify(self, false, true); }
static void verify_tree(bench_case *self) { run_verify(self, true, false); }
static void verify_tree_all(bench_case *self) { run_verify(self, true, true); }

/* ---- proving: a tile a level, its nodes hashed ---- */

static void hash_tile(sqlite3_stmt *tile, int64_t key) {
  static uint8_t hashes[256][ES_HASH_SIZE];
  uint8_t node[1 + 2 * ES_HASH_SIZE] = {1};

  sqlite3_bind_int64(tile, 1, key);
  int width = 0; /* a small tree has no tile of this level */
  if (sqlite3_step(tile) == SQLITE_ROW) {
    width = sqlite3_column_bytes(tile, 0) / ES_HASH_SIZE;
    memcpy(hashes, sqlite3_column_blob(tile, 0), (size_t)width * ES_HASH_SIZE);
  }
  sqlite3_reset(tile);
  for (; width > 1; width /= 2) {
    for (int i = 0; i < width / 2; i++) {
      memcpy(node + 1, hashes[2 * i], sizeof hashes[0] * 2);
      baseline_digest(hashes[i], node, sizeof node);
    }
  }
}

static void prove(bench_case *self, bool of_event) {
  sqlite3 *db = baseline_open(self->store);
  sqlite3_stmt *event = baseline_prepare(
      db, "SELECT " BASELINE_COLUMNS " FROM events INDEXED BY events_by_id WHERE event_id = ?1");
  sqlite3_stmt *tile = baseline_prepare(db, "SELECT hashes FROM tiles WHERE tile = ?1");
  sqlite3_stmt *note =
      baseline_prepare(db, "SELECT note FROM checkpoints ORDER BY size DESC LIMIT 1");
  uint8_t id[ES_ID_SIZE];

  bench_begin(self);
  for (int64_t i = 0; i < PROOFS; i++) {
    int64_t leaf = bench_proof(i, self->events);
    workload_event_id(id, leaf);
    sqlite3_bind_blob(event, 1, id, ES_ID_SIZE, SQLITE_STATIC);
    if (of_event) {
      if (sqlite3_step(event) != SQLITE_ROW) bench_die("baseline: an event is missing");
      baseline_take(event);
      sqlite3_reset(event);
    }
    if (sqlite3_step(note) != SQLITE_ROW) bench_die("baseline: no checkpoint");
    sqlite3_reset(note);
    for (int level = 0; level < 3; level++)
      hash_tile(tile, (int64_t)level << 48 | leaf >> 8 * (level + 1));
  }
  bench_end(self);
  self->operations = PROOFS;
  sqlite3_finalize(event);
  sqlite3_finalize(tile);
  sqlite3_finalize(note);
  sqlite3_close(db);
}

static void prove_event(bench_case *self) { prove(self, true); }
static void prove_tree(bench_case *self) { prove(self, false); }

/* ---- a projection: two upserts an event, 1,000 events a transaction ---- */

static const char projection_tables[] =
    "PRAGMA synchronous = normal;"
    "CREATE TABLE by_account (_tenant TEXT NOT NULL, account_id TEXT NOT NULL, movements INTEGER "
    "NOT NULL,"
    " amount INTEGER NOT NULL, PRIMARY KEY (_tenant, account_id)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE by_actor (_tenant TEXT NOT NULL, actor_id TEXT NOT NULL, movements INTEGER NOT "
    "NULL,"
    " amount INTEGER NOT NULL, PRIMARY KEY (_tenant, actor_id)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE cursor (one INTEGER PRIMARY KEY, position INTEGER NOT NULL)";

static void upsert(sqlite3_stmt *statement, es_text tenant, es_text key, int64_t amount) {
  sqlite3_bind_text64(statement, 1, tenant.data == NULL ? "" : tenant.data, tenant.length,
                      SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_text64(statement, 2, key.data, key.length, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_int64(statement, 3, amount);
  baseline_step(statement);
}

#define UPSERT(table, key)                                                                         \
  "INSERT INTO " table " VALUES (?1, ?2, 1, ?3) ON CONFLICT (_tenant, " key ") DO UPDATE SET"      \
  " movements = movements + 1, amount = amount + excluded.amount"

static void project(bench_case *self) {
  char path[512];
  snprintf(path, sizeof path, "%s-baseline", self->store);
  unlink(path);
  sqlite3 *events = baseline_open(self->store), *db = baseline_open(path);
  baseline_exec(db, projection_tables);
  sqlite3_stmt *begin = baseline_prepare(db, "BEGIN IMMEDIATE"),
               *commit = baseline_prepare(db, "COMMIT");
  sqlite3_stmt *account = baseline_prepare(db, UPSERT("by_account", "account_id"));
  sqlite3_stmt *actor = baseline_prepare(db, UPSERT("by_actor", "actor_id"));
  sqlite3_stmt *cursor = baseline_prepare(db, "INSERT OR REPLACE INTO cursor VALUES (1, ?1)");
  sqlite3_stmt *row = baseline_prepare(
      events, "SELECT e.*, t.name, s.aggregate_id, u.name FROM (SELECT " BASELINE_COLUMNS
              " FROM events) e JOIN streams s USING (stream_id)"
              " LEFT JOIN names t ON t.name_id = e.tenant JOIN names u ON u.name_id = e.actor"
              " ORDER BY e.position");
  int64_t total = self->events + self->long_events;

  bench_begin(self);
  while (sqlite3_step(row) == SQLITE_ROW) {
    if (self->operations % 1000 == 0) baseline_step(begin);
    int64_t amount = baseline_take(row);
    upsert(account, column_text(row, 17), column_text(row, 18), amount);
    upsert(actor, column_text(row, 17), column_text(row, 19), amount);
    self->operations++;
    if (self->operations % 1000 == 0 || self->operations == total) {
      sqlite3_bind_int64(cursor, 1, self->operations);
      baseline_step(cursor);
      baseline_step(commit);
    }
    bench_progress(self, self->operations, total);
  }
  bench_end(self);
  if (self->operations != total) bench_die("baseline: events are missing");
  sqlite3_finalize(begin);
  sqlite3_finalize(commit);
  sqlite3_finalize(account);
  sqlite3_finalize(actor);
  sqlite3_finalize(cursor);
  sqlite3_finalize(row);
  sqlite3_close(db);
  sqlite3_close(events);
  unlink(path);
}

const baseline_entry baseline_reads[] = {
    {"load", load},
    {"replay", replay},
    {"verify", verify},
    {"verify_all", verify_all},
    {"verify_tree", verify_tree},
    {"verify_tree_all", verify_tree_all},
    {"prove_event", prove_event},
    {"prove_tree", prove_tree},
    {"project", project},
    {NULL, NULL},
};
