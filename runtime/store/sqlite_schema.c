/* sqlite_schema: the tables, how older files become newer ones, and whether a file's schema is the one written here.
 * docs/reference/store.md explains the layout. Knows no events. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/sqlite.h"

/* Tables are append-only, but for snapshots. Triggers refuse UPDATE and DELETE; INSERT OR REPLACE deletes without firing a delete trigger, so
 * the insert guards refuse whatever would meet a row that is there: each id is the last + 1 and each unique key is new. */
/* The guard of events says FAIL, as the insert does, and the table has no CHECK that calls a function: a statement that may
 * ABORT behind a trigger, or calls functions, makes SQLite journal every page it touches, which costs a quarter of an append.
 * An insert of one row changes nothing before its guard and constraints have spoken. Lengths are checked when read. */
#define APPEND_ONLY(table)                                                                         \
  "CREATE TRIGGER " table "_no_update BEFORE UPDATE ON " table                                     \
  " BEGIN SELECT raise(ABORT, '" table " are append-only: no UPDATE'); END;"                       \
  "CREATE TRIGGER " table "_no_delete BEFORE DELETE ON " table                                     \
  " BEGIN SELECT raise(ABORT, '" table " are append-only: no DELETE'); END;"

static const char schema_1[] =
    "CREATE TABLE store ("
    " one INTEGER PRIMARY KEY CHECK (one = 1),"
    " store_id BLOB NOT NULL CHECK (length(store_id) = 16),"
    " created_at INTEGER NOT NULL,"
    " checksum BLOB NOT NULL CHECK (length(checksum) = 32)) STRICT;"

    "CREATE TABLE names ("
    " name_id INTEGER PRIMARY KEY,"
    " kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 4),"
    " name TEXT NOT NULL CHECK (name <> '')) STRICT;"
    "CREATE UNIQUE INDEX names_by_name ON names (kind, name);"

    "CREATE TABLE streams ("
    " stream_id INTEGER PRIMARY KEY,"
    " tenant INTEGER NOT NULL,"
    " type INTEGER NOT NULL,"
    " aggregate_id TEXT NOT NULL CHECK (aggregate_id <> '')) STRICT;"
    "CREATE UNIQUE INDEX streams_by_name ON streams (tenant, type, aggregate_id);"

    "CREATE TABLE events ("
    " position INTEGER PRIMARY KEY,"
    " event_id BLOB NOT NULL,"
    " stream_id INTEGER NOT NULL,"
    " version INTEGER NOT NULL,"
    " tenant INTEGER NOT NULL,"
    " aggregate_type INTEGER NOT NULL,"
    " event_type INTEGER NOT NULL,"
    " schema_version INTEGER NOT NULL,"
    " actor INTEGER NOT NULL,"
    " correlation_id BLOB NOT NULL,"
    " causation_id BLOB,"
    " occurred_at INTEGER NOT NULL,"
    " recorded_at INTEGER NOT NULL,"
    " previous_hash BLOB NOT NULL,"
    " hash BLOB NOT NULL,"
    " data TEXT NOT NULL,"
    " metadata TEXT NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX events_by_id ON events (event_id);"
    "CREATE UNIQUE INDEX events_by_stream ON events (stream_id, version);"
    "CREATE INDEX events_by_tenant ON events (tenant) WHERE tenant <> 0;"
    "CREATE INDEX events_by_aggregate_type ON events (aggregate_type);"
    "CREATE INDEX events_by_event_type ON events (event_type);"
    "CREATE INDEX events_by_actor ON events (actor);"
    "CREATE INDEX events_by_correlation ON events (correlation_id);"
    "CREATE INDEX events_by_causation ON events (causation_id) WHERE causation_id IS NOT NULL;"

    "CREATE TABLE replies ("
    " reply_id INTEGER PRIMARY KEY,"
    " key BLOB NOT NULL CHECK (length(key) = 32),"
    " params_hash BLOB NOT NULL CHECK (length(params_hash) = 32),"
    " first_position INTEGER NOT NULL,"
    " event_count INTEGER NOT NULL,"
    " created_at INTEGER NOT NULL,"
    " body TEXT NOT NULL,"
    " checksum BLOB NOT NULL CHECK (length(checksum) = 32)) STRICT;"
    "CREATE UNIQUE INDEX replies_by_key ON replies (key);"

    "CREATE TABLE tiles ("
    " tile INTEGER PRIMARY KEY,"
    " hashes BLOB NOT NULL CHECK (length(hashes) BETWEEN 32 AND 8192 AND length(hashes) % 32 = 0))"
    " STRICT;"

    "CREATE TABLE checkpoints ("
    " checkpoint_id INTEGER PRIMARY KEY,"
    " size INTEGER NOT NULL CHECK (size >= 0),"
    " note TEXT NOT NULL,"
    " checksum BLOB NOT NULL CHECK (length(checksum) = 32)) STRICT;"
    "CREATE INDEX checkpoints_by_size ON checkpoints (size);"

    APPEND_ONLY("store") APPEND_ONLY("names") APPEND_ONLY("streams") APPEND_ONLY(
        "events") APPEND_ONLY("replies") APPEND_ONLY("checkpoints")

        "CREATE TRIGGER store_guard BEFORE INSERT ON store WHEN EXISTS (SELECT 1 FROM store)"
        " BEGIN SELECT raise(ABORT, 'store holds one row'); END;"
        "CREATE TRIGGER names_guard BEFORE INSERT ON names"
        " WHEN NEW.name_id IS NOT (SELECT coalesce(max(name_id), 0) + 1 FROM names)"
        " OR EXISTS (SELECT 1 FROM names WHERE kind = NEW.kind AND name = NEW.name)"
        " BEGIN SELECT raise(ABORT, 'names are append-only'); END;"
        "CREATE TRIGGER streams_guard BEFORE INSERT ON streams"
        " WHEN NEW.stream_id IS NOT (SELECT coalesce(max(stream_id), 0) + 1 FROM streams)"
        " OR EXISTS (SELECT 1 FROM streams WHERE tenant = NEW.tenant AND type = NEW.type"
        " AND aggregate_id = NEW.aggregate_id)"
        " BEGIN SELECT raise(ABORT, 'streams are append-only'); END;"
        "CREATE TRIGGER events_guard BEFORE INSERT ON events"
        " WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events)"
        " OR NEW.version IS NOT (SELECT coalesce(max(version), 0) + 1 FROM events"
        " WHERE stream_id = NEW.stream_id)"
        " OR EXISTS (SELECT 1 FROM events WHERE event_id = NEW.event_id)"
        " BEGIN SELECT raise(FAIL, 'events are append-only'); END;"
        "CREATE TRIGGER replies_guard BEFORE INSERT ON replies"
        " WHEN NEW.reply_id IS NOT (SELECT coalesce(max(reply_id), 0) + 1 FROM replies)"
        " OR EXISTS (SELECT 1 FROM replies WHERE key = NEW.key)"
        " BEGIN SELECT raise(ABORT, 'replies are append-only'); END;"
        "CREATE TRIGGER checkpoints_guard BEFORE INSERT ON checkpoints"
        " WHEN NEW.checkpoint_id IS NOT"
        " (SELECT coalesce(max(checkpoint_id), 0) + 1 FROM checkpoints)"
        " OR NEW.size < (SELECT coalesce(max(size), 0) FROM checkpoints)"
        " BEGIN SELECT raise(ABORT, 'checkpoints are append-only'); END;"
        /* A tile only grows, and none begins before the one to its left is full (level * 2^48 + index). */
        "CREATE TRIGGER tiles_guard BEFORE INSERT ON tiles"
        " WHEN EXISTS (SELECT 1 FROM tiles WHERE tile = NEW.tile)"
        " OR (NEW.tile & 0xFFFFFFFFFFFF) > 0 AND NOT EXISTS"
        " (SELECT 1 FROM tiles WHERE tile = NEW.tile - 1 AND length(hashes) = 8192)"
        " BEGIN SELECT raise(ABORT, 'tiles are append-only'); END;"
        "CREATE TRIGGER tiles_no_change BEFORE UPDATE ON tiles"
        " WHEN NEW.tile IS NOT OLD.tile OR length(NEW.hashes) <= length(OLD.hashes)"
        " OR substr(NEW.hashes, 1, length(OLD.hashes)) IS NOT OLD.hashes"
        " BEGIN SELECT raise(ABORT, 'tiles are append-only: they grow'); END;"
        "CREATE TRIGGER tiles_no_delete BEFORE DELETE ON tiles"
        " BEGIN SELECT raise(ABORT, 'tiles are append-only: no DELETE'); END;";

/* Derived, and the only rows that are taken away again: no triggers. */
static const char schema_2[] =
    "CREATE TABLE snapshots ("
    " stream_id INTEGER NOT NULL,"
    " version INTEGER NOT NULL,"
    " snapshot_id BLOB NOT NULL CHECK (length(snapshot_id) = 16),"
    " position INTEGER NOT NULL,"
    " event_hash BLOB NOT NULL CHECK (length(event_hash) = 32),"
    " module_hash BLOB NOT NULL CHECK (length(module_hash) = 32),"
    " created_at INTEGER NOT NULL,"
    " state TEXT NOT NULL,"
    " lists TEXT NOT NULL,"
    " checksum BLOB NOT NULL CHECK (length(checksum) = 32)) STRICT;"
    "CREATE UNIQUE INDEX snapshots_by_stream ON snapshots (stream_id, version);";

/* Texts of events may move to a segment, and back: what takes their place is a marker (event/event.h). The one UPDATE of events
 * that is let through is of both texts, at a position that a segment has. Whether the marker or the texts are the event's own is
 * for the caller to compute, and for who verifies. */
static const char schema_3[] =
    "CREATE TABLE segments ("
    " first INTEGER PRIMARY KEY,"
    " last INTEGER NOT NULL CHECK (last >= first),"
    " file TEXT NOT NULL CHECK (file <> ''),"
    " folder TEXT NOT NULL,"
    " sha256 BLOB NOT NULL CHECK (length(sha256) = 32),"
    " file_bytes INTEGER NOT NULL,"
    " text_bytes INTEGER NOT NULL,"
    " created_at INTEGER NOT NULL,"
    " frames BLOB NOT NULL CHECK (length(frames) > 0 AND length(frames) % 8 = 0),"
    " checksum BLOB NOT NULL CHECK (length(checksum) = 32)) STRICT;"

    APPEND_ONLY("segments")

        "CREATE TRIGGER segments_guard BEFORE INSERT ON segments"
        " WHEN NEW.first IS NOT (SELECT coalesce(max(last), 0) + 1 FROM segments)"
        " BEGIN SELECT raise(ABORT, 'segments are append-only'); END;"
        "DROP TRIGGER events_no_update;"
        "CREATE TRIGGER events_no_update BEFORE UPDATE ON events"
        " WHEN (NEW.data = '') IS (OLD.data = '')"
        " OR NEW.data = '' AND (length(NEW.metadata) <> 88"
        " OR NEW.metadata GLOB '*[^A-Za-z0-9+/=]*')"
        " OR NEW.data <> '' AND substr(NEW.metadata, 1, 1) <> '{'"
        " OR NOT EXISTS (SELECT 1 FROM segments WHERE OLD.position BETWEEN first AND last)"
        " OR NEW.position IS NOT OLD.position OR NEW.event_id IS NOT OLD.event_id"
        " OR NEW.stream_id IS NOT OLD.stream_id OR NEW.version IS NOT OLD.version"
        " OR NEW.tenant IS NOT OLD.tenant OR NEW.aggregate_type IS NOT OLD.aggregate_type"
        " OR NEW.event_type IS NOT OLD.event_type OR NEW.schema_version IS NOT OLD.schema_version"
        " OR NEW.actor IS NOT OLD.actor OR NEW.correlation_id IS NOT OLD.correlation_id"
        " OR NEW.causation_id IS NOT OLD.causation_id OR NEW.occurred_at IS NOT OLD.occurred_at"
        " OR NEW.recorded_at IS NOT OLD.recorded_at OR NEW.previous_hash IS NOT OLD.previous_hash"
        " OR NEW.hash IS NOT OLD.hash"
        " BEGIN SELECT raise(ABORT, 'events are append-only: no UPDATE'); END;";

/* migrations[v] makes version v + 1 out of version v; 0 is an empty file. */
static const char *const migrations[] = {schema_1, schema_2, schema_3};

int es__sqlite_schema_version(void) { return (int)(sizeof migrations / sizeof migrations[0]); }

/* ---- The store's own row ---- */

static es_status identity_checksum(uint8_t out[ES_HASH_SIZE], es_sqlite *store,
                                   const uint8_t store_id[ES_ID_SIZE], int64_t created_at,
                                   es_error *err) {
  char text[64];
  int length = snprintf(text, sizeof text, "%lld", (long long)created_at);
  return es__sha256(store->base.chain, out, store_id, ES_ID_SIZE, text, (size_t)length, err);
}

static es_status write_identity(es_sqlite *store, es_id_source *ids, es_error *err) {
  uint8_t store_id[ES_ID_SIZE], checksum[ES_HASH_SIZE];
  int64_t created_at = ids->clock(ids->clock_data);
  sqlite3_stmt *statement = NULL;
  es_status status;

  es__id_new(ids, store_id);
  status = identity_checksum(checksum, store, store_id, created_at, err);
  if (status != ES_OK) return status;
  int rc = sqlite3_prepare_v2(
      store->db, "INSERT INTO store (one, store_id, created_at, checksum) VALUES (1, ?1, ?2, ?3)",
      -1, &statement, NULL);
  if (rc == SQLITE_OK) {
    sqlite3_bind_blob(statement, 1, store_id, ES_ID_SIZE, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, created_at);
    sqlite3_bind_blob(statement, 3, checksum, ES_HASH_SIZE, SQLITE_STATIC);
    rc = sqlite3_step(statement);
  }
  sqlite3_finalize(statement);
  return rc == SQLITE_DONE ? ES_OK : es__sqlite_fail(store, rc, "creating the store", err);
}

/* Reads the row; *sound tells whether it is there, well-formed and agrees with its checksum. */
static es_status read_identity(bool *sound, uint8_t store_id[ES_ID_SIZE], es_sqlite *store,
                               es_error *err) {
  uint8_t stored[ES_HASH_SIZE], computed[ES_HASH_SIZE];
  sqlite3_stmt *statement = NULL;
  es_status status = ES_OK;

  *sound = false;
  int rc = sqlite3_prepare_v2(store->db, "SELECT one, store_id, created_at, checksum FROM store",
                              -1, &statement, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW && sqlite3_column_int64(statement, 0) == 1 &&
      es__sqlite_blob(store_id, statement, 1, ES_ID_SIZE) &&
      es__sqlite_blob(stored, statement, 3, ES_HASH_SIZE)) {
    status = identity_checksum(computed, store, store_id, sqlite3_column_int64(statement, 2), err);
    *sound = status == ES_OK && memcmp(stored, computed, ES_HASH_SIZE) == 0 &&
             sqlite3_step(statement) == SQLITE_DONE;
  }
  sqlite3_finalize(statement);
  if (status != ES_OK || rc == SQLITE_ROW || rc == SQLITE_DONE) return status;
  return es__sqlite_fail(store, rc, "reading the store's identity", err);
}

es_status es__sqlite_load_identity(es_sqlite *store, es_error *err) {
  bool sound; /* damage here must not keep anybody from reading: check tells it */
  return read_identity(&sound, store->base.store_id, store, err);
}

es_status es__sqlite_check_identity(es_sqlite *store, es_store_finding finding, void *data,
                                    es_error *err) {
  uint8_t store_id[ES_ID_SIZE];
  bool sound;
  es_status status = read_identity(&sound, store_id, store, err);
  if (status == ES_OK && !sound)
    finding(data, "store", 0, "the store's own row does not agree with its checksum");
  return status;
}

/* ---- Migration ---- */

static int execute(sqlite3 *db, const char *sql) { return sqlite3_exec(db, sql, NULL, NULL, NULL); }

static int migrate_from(sqlite3 *db, int64_t version, int64_t to) {
  char pragma[64];
  int rc = SQLITE_OK;

  for (; rc == SQLITE_OK && version < to; version++)
    rc = execute(db, migrations[version]);
  snprintf(pragma, sizeof pragma, "PRAGMA user_version = %lld", (long long)to);
  return rc == SQLITE_OK ? execute(db, pragma) : rc;
}

es_status es__sqlite_migrate(es_sqlite *store, es_id_source *ids, es_error *err) {
  char pragma[64];
  es_status status = ES_OK;
  int rc = execute(store->db, "BEGIN IMMEDIATE");

  if (rc != SQLITE_OK) return es__sqlite_fail(store, rc, "preparing the store", err);
  int64_t version = es__sqlite_ask_integer(store->db, "PRAGMA user_version", 0);
  if (version < es__sqlite_schema_version()) {
    rc = migrate_from(store->db, version, es__sqlite_schema_version());
    snprintf(pragma, sizeof pragma, "PRAGMA application_id = %d", ES__SQLITE_APPLICATION_ID);
    if (rc == SQLITE_OK) rc = execute(store->db, pragma);
    if (rc == SQLITE_OK && version == 0) status = write_identity(store, ids, err);
  }
  if (rc == SQLITE_OK && status == ES_OK) rc = execute(store->db, "COMMIT");
  if (rc != SQLITE_OK) status = es__sqlite_fail(store, rc, "preparing the store", err);
  if (!sqlite3_get_autocommit(store->db)) execute(store->db, "ROLLBACK");
  return status;
}

/* What each version added, empty and in memory, for an older file that is only read: it holds none of it. */
static const char *const stand_ins[] = {
    "",
    "CREATE TEMP TABLE snapshots (stream_id, version, snapshot_id, position, event_hash,"
    " module_hash, created_at, state, lists, checksum)",
    "CREATE TEMP TABLE segments (first, last, file, folder, sha256, file_bytes, text_bytes,"
    " created_at, frames, checksum)"};

es_status es__sqlite_stand_in(es_sqlite *store, es_error *err) {
  int64_t version = es__sqlite_ask_integer(store->db, "PRAGMA user_version", 0);
  int rc = SQLITE_OK;

  for (; rc == SQLITE_OK && version > 0 && version < es__sqlite_schema_version(); version++)
    rc = execute(store->db, stand_ins[version]);
  return rc == SQLITE_OK ? ES_OK : es__sqlite_fail(store, rc, "opening an older store", err);
}

/* ---- Is the schema the one above? Of an older file that is only read, the one of its version ---- */

/* All but the two tables of ANALYZE, named whole: a trigger may be called nearly like them, and SQLite takes whatever stands in
 * `sql`, whatever the row calls itself. */
static const char schema_rows[] =
    "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema"
    " WHERE (type, name, tbl_name, coalesce(sql, '')) NOT IN (VALUES"
    " ('table', 'sqlite_stat1', 'sqlite_stat1', 'CREATE TABLE sqlite_stat1(tbl,idx,stat)'),"
    " ('table', 'sqlite_stat4', 'sqlite_stat4',"
    " 'CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)'))"
    " ORDER BY type, name";

static bool same_row(sqlite3_stmt *a, sqlite3_stmt *b) {
  for (int column = 0; column < 4; column++) {
    if (!es__text_equal(es__sqlite_text(a, column), es__sqlite_text(b, column))) return false;
  }
  return true;
}

static void compare_rows(sqlite3_stmt *expected, sqlite3_stmt *actual, es_store_finding finding,
                         void *data) {
  for (;;) {
    int wanted = sqlite3_step(expected), got = sqlite3_step(actual);
    if (wanted != SQLITE_ROW && got != SQLITE_ROW) return;
    if (wanted == got && same_row(expected, actual)) continue;
    es_text name = es__sqlite_text(got == SQLITE_ROW ? actual : expected, 1);
    char message[320];
    snprintf(message, sizeof message, "the schema differs from what this version writes, at %.*s",
             (int)(name.length < 200 ? name.length : 200), name.data == NULL ? "?" : name.data);
    finding(data, "schema", 0, message);
    return; /* after one difference the two lists are out of step */
  }
}

es_status es__sqlite_check_schema(es_sqlite *store, es_store_finding finding, void *data,
                                  es_error *err) {
  sqlite3 *model = NULL;
  sqlite3_stmt *expected = NULL, *actual = NULL;
  int rc = sqlite3_open_v2(":memory:", &model, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY, NULL);

  int64_t version = es__sqlite_ask_integer(store->db, "PRAGMA user_version", 0);
  if (version > es__sqlite_schema_version()) version = es__sqlite_schema_version();
  if (rc == SQLITE_OK) rc = migrate_from(model, 0, version);
  if (rc == SQLITE_OK) rc = sqlite3_prepare_v2(model, schema_rows, -1, &expected, NULL);
  if (rc == SQLITE_OK) {
    rc = sqlite3_prepare_v2(store->db, schema_rows, -1, &actual, NULL);
    if (rc == SQLITE_OK) compare_rows(expected, actual, finding, data);
  }
  sqlite3_finalize(expected);
  sqlite3_finalize(actual);
  sqlite3_close(model);
  return rc == SQLITE_OK ? ES_OK : es__sqlite_fail(store, rc, "comparing the schema", err);
}
