/* baseline_write: events into SQLite by a bare loop: same columns, same hashes, no checks and no triggers. */
#include <string.h>

#include "baseline.h"

static const char tables[] =
    "CREATE TABLE streams (stream_id INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, type INTEGER "
    "NOT NULL,"
    " aggregate_id TEXT NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX streams_by_name ON streams (tenant, type, aggregate_id);"
    "CREATE TABLE events (position INTEGER PRIMARY KEY, event_id BLOB NOT NULL,"
    " stream_id INTEGER NOT NULL, version INTEGER NOT NULL, tenant INTEGER NOT NULL,"
    " aggregate_type INTEGER NOT NULL, event_type INTEGER NOT NULL, schema_version INTEGER NOT "
    "NULL,"
    " actor INTEGER NOT NULL, correlation_id BLOB NOT NULL, causation_id BLOB,"
    " occurred_at INTEGER NOT NULL, recorded_at INTEGER NOT NULL, previous_hash BLOB NOT NULL,"
    " hash BLOB NOT NULL, data TEXT NOT NULL, metadata TEXT NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX events_by_stream ON events (stream_id, version);"
    "CREATE TABLE replies (reply_id INTEGER PRIMARY KEY, key BLOB NOT NULL, params_hash BLOB NOT "
    "NULL,"
    " first_position INTEGER NOT NULL, event_count INTEGER NOT NULL, created_at INTEGER NOT NULL,"
    " body TEXT NOT NULL, checksum BLOB NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX replies_by_key ON replies (key);";

static const char other_indexes[] =
    "CREATE UNIQUE INDEX events_by_id ON events (event_id);"
    "CREATE INDEX events_by_tenant ON events (tenant) WHERE tenant <> 0;"
    "CREATE INDEX events_by_aggregate_type ON events (aggregate_type);"
    "CREATE INDEX events_by_event_type ON events (event_type);"
    "CREATE INDEX events_by_actor ON events (actor);"
    "CREATE INDEX events_by_correlation ON events (correlation_id);"
    "CREATE INDEX events_by_causation ON events (causation_id) WHERE causation_id IS NOT NULL;";

typedef struct writer {
  sqlite3 *db;
  sqlite3_stmt *begin, *commit, *add_event, *add_stream, *version, *add_reply;
  uint8_t head[ES_HASH_SIZE];
  int64_t position;
} writer;

static void open_writer(writer *self, const char *path, bool all_indexes) {
  *self = (writer){.db = baseline_open(path)};
  baseline_exec(self->db, tables);
  if (all_indexes) baseline_exec(self->db, other_indexes);
  self->begin = baseline_prepare(self->db, "BEGIN IMMEDIATE");
  self->commit = baseline_prepare(self->db, "COMMIT");
  self->add_event =
      baseline_prepare(self->db, "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
                                 " ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)");
  self->add_stream = baseline_prepare(self->db, "INSERT INTO streams VALUES (?1, ?2, ?3, ?4)");
  self->version = baseline_prepare(
      self->db, "SELECT coalesce(max(version), 0) FROM events WHERE stream_id = ?1");
  self->add_reply =
      baseline_prepare(self->db, "INSERT INTO replies VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
}

static void close_writer(writer *self, bench_case *result) {
  sqlite3_finalize(self->begin);
  sqlite3_finalize(self->commit);
  sqlite3_finalize(self->add_event);
  sqlite3_finalize(self->add_stream);
  sqlite3_finalize(self->version);
  sqlite3_finalize(self->add_reply);
  sqlite3_close(self->db);
  memcpy(result->head, self->head, ES_HASH_SIZE);
  result->has_head = true;
}

static void bind_text(sqlite3_stmt *statement, int index, es_text text) {
  sqlite3_bind_text64(statement, index, text.data, text.length, SQLITE_STATIC, SQLITE_UTF8);
}

static void add_stream(writer *self, const workload_row *row) {
  sqlite3_bind_int64(self->add_stream, 1, row->stream);
  sqlite3_bind_int64(self->add_stream, 2, row->tenant);
  sqlite3_bind_int64(self->add_stream, 3, row->aggregate_type);
  bind_text(self->add_stream, 4, row->event.aggregate_id);
  baseline_step(self->add_stream);
}

static void add_event(writer *self, workload_row *row) {
  es_event *event = &row->event;
  sqlite3_stmt *add = self->add_event;

  if (event->version == 1) add_stream(self, row);
  event->position = ++self->position;
  memcpy(event->previous_hash, self->head, ES_HASH_SIZE);
  baseline_hash(event->hash, event);
  memcpy(self->head, event->hash, ES_HASH_SIZE);
  sqlite3_bind_int64(add, 1, event->position);
  sqlite3_bind_blob(add, 2, event->event_id, ES_ID_SIZE, SQLITE_STATIC);
  sqlite3_bind_int64(add, 3, row->stream);
  sqlite3_bind_int64(add, 4, event->version);
  sqlite3_bind_int64(add, 5, row->tenant);
  sqlite3_bind_int64(add, 6, row->aggregate_type);
  sqlite3_bind_int64(add, 7, row->event_type);
  sqlite3_bind_int64(add, 8, event->schema_version);
  sqlite3_bind_int64(add, 9, row->actor);
  sqlite3_bind_blob(add, 10, event->correlation_id, ES_ID_SIZE, SQLITE_STATIC);
  if (event->has_causation)
    sqlite3_bind_blob(add, 11, event->causation_id, ES_ID_SIZE, SQLITE_STATIC);
  else
    sqlite3_bind_null(add, 11);
  sqlite3_bind_int64(add, 12, event->occurred_at);
  sqlite3_bind_int64(add, 13, event->recorded_at);
  sqlite3_bind_blob(add, 14, event->previous_hash, ES_HASH_SIZE, SQLITE_STATIC);
  sqlite3_bind_blob(add, 15, event->hash, ES_HASH_SIZE, SQLITE_STATIC);
  bind_text(add, 16, event->data);
  bind_text(add, 17, event->metadata);
  baseline_step(add);
}

/* ---- events as they are ---- */

static void append(bench_case *self, int64_t batch, bool all_indexes,
                   void (*make)(workload_row *, int64_t)) {
  writer out;
  workload_row row;

  open_writer(&out, self->store, all_indexes);
  bench_begin(self);
  for (int64_t i = 0; i < self->events; i++) {
    if (i % batch == 0) baseline_step(out.begin);
    make(&row, i);
    add_event(&out, &row);
    if (i % batch == batch - 1 || i == self->events - 1) baseline_step(out.commit);
    bench_progress(self, i + 1, self->events);
  }
  bench_end(self);
  self->operations = self->events;
  close_writer(&out, self);
}

static void append_1(bench_case *self) { append(self, 1, true, workload_row_make); }
static void append_1000(bench_case *self) { append(self, 1000, true, workload_row_make); }
static void append_1000_one_index(bench_case *self) {
  append(self, 1000, false, workload_row_make);
}
static void append_4000(bench_case *self) { append(self, 4000, true, workload_row_make); }
static void append_imported(bench_case *self) { append(self, 4000, true, workload_row_imported); }

/* ---- events as commands make them: the stream's version is read first ---- */

static void add_reply(writer *self, const workload_row *row) {
  static const char body[] =
      "{\"correlation_id\":\"018cc251-f400-7200-8000-000000000000\",\"version\":1}";
  const es_event *event = &row->event;

  sqlite3_bind_int64(self->add_reply, 1, event->position);
  sqlite3_bind_blob(self->add_reply, 2, event->hash, ES_HASH_SIZE, SQLITE_STATIC);
  sqlite3_bind_blob(self->add_reply, 3, event->hash, ES_HASH_SIZE, SQLITE_STATIC);
  sqlite3_bind_int64(self->add_reply, 4, event->position);
  sqlite3_bind_int64(self->add_reply, 5, 1);
  sqlite3_bind_int64(self->add_reply, 6, event->recorded_at);
  sqlite3_bind_text(self->add_reply, 7, body, -1, SQLITE_STATIC);
  sqlite3_bind_blob(self->add_reply, 8, event->hash, ES_HASH_SIZE, SQLITE_STATIC);
  baseline_step(self->add_reply);
}

static void decide(bench_case *self, int64_t batch, bool replies) {
  writer out;
  workload_row row;

  open_writer(&out, self->store, true);
  bench_begin(self);
  for (int64_t i = 0; i < self->events; i++) {
    workload_row_decided(&row, i);
    if (i % batch == 0) baseline_step(out.begin);
    sqlite3_bind_int64(out.version, 1, row.stream);
    if (sqlite3_step(out.version) != SQLITE_ROW ||
        sqlite3_column_int64(out.version, 0) != row.event.version - 1)
      bench_die("baseline: the stream is at another version");
    sqlite3_reset(out.version);
    add_event(&out, &row);
    if (replies) add_reply(&out, &row);
    if (i % batch == batch - 1 || i == self->events - 1) baseline_step(out.commit);
    bench_progress(self, i + 1, self->events);
  }
  bench_end(self);
  self->operations = self->events;
  close_writer(&out, self);
  self->has_head = false; /* the runtime makes ids and times of its own */
}

static void command_1(bench_case *self) { decide(self, 1, false); }
static void command_1_key(bench_case *self) { decide(self, 1, true); }
static void command_100(bench_case *self) { decide(self, 100, false); }

const baseline_entry baseline_writes[] = {
    {"append_1", append_1},
    {"append_1000", append_1000},
    {"append_1000_one_index", append_1000_one_index},
    {"append_4000", append_4000},
    {"append_imported", append_imported},
    {"command_1", command_1},
    {"command_1_key", command_1_key},
    {"command_100", command_100},
    {NULL, NULL},
};
