/* sqlite_check: looks for damage in everything that is derived or that no event's hash covers. Hashes, links and versions of
 * the events themselves are recomputed by whoever verifies, through an ordinary read. Changes nothing. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "store/sqlite.h"
#include "store/tree.h"

enum { FINDINGS_PER_RULE = 100 };

/* Each query gives (position or 0, message) for what breaks its rule. A missing partner shows as IS NULL. */
static const struct {
  const char *kind;
  const char *sql;
} rules[] = {
    {"position_gap",
     "SELECT coalesce(max(position), 0), 'events have ' || count(*) || ' rows up to position '"
     " || max(position) FROM events HAVING count(*) > 0 AND (count(*) <> max(position)"
     " OR min(position) <> 1)"},
    {"version_gap",
     "SELECT 0, 'stream ' || stream_id || ' has ' || count(*) || ' events up to version '"
     " || max(version) FROM events INDEXED BY events_by_stream GROUP BY stream_id"
     " HAVING count(*) <> max(version) OR min(version) <> 1"},
    {"stream",
     "SELECT e.position, 'its stream ' || e.stream_id || CASE WHEN s.stream_id IS NULL"
     " THEN ' is missing' ELSE ' is of another tenant or aggregate type' END FROM events e"
     " LEFT JOIN streams s ON s.stream_id = e.stream_id WHERE s.stream_id IS NULL"
     " OR s.tenant <> e.tenant OR s.type <> e.aggregate_type"},
    {"stream", "SELECT 0, 'stream ' || stream_id || ' has no events' FROM streams s"
               " WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.stream_id = s.stream_id)"},
    {"stream",
     "SELECT 0, 'streams have ' || count(*) || ' rows up to id ' || max(stream_id) FROM streams"
     " HAVING count(*) > 0 AND (count(*) <> max(stream_id) OR min(stream_id) <> 1)"},
    {"name", "SELECT 0, 'names have ' || count(*) || ' rows up to id ' || max(name_id) FROM names"
             " HAVING count(*) > 0 AND (count(*) <> max(name_id) OR min(name_id) <> 1)"},
    {"name", "SELECT e.position, 'the name of its event type (' || e.event_type || ') is missing'"
             " FROM events e LEFT JOIN names n ON n.name_id = e.event_type AND n.kind = 3"
             " WHERE n.name_id IS NULL"},
    {"name", "SELECT e.position, 'the name of its actor (' || e.actor || ') is missing'"
             " FROM events e LEFT JOIN names n ON n.name_id = e.actor AND n.kind = 4"
             " WHERE n.name_id IS NULL AND e.actor <> 0"},
    {"name",
     "SELECT 0, 'the tenant of stream ' || s.stream_id || ' (' || s.tenant || ') is missing'"
     " FROM streams s LEFT JOIN names n ON n.name_id = s.tenant AND n.kind = 1"
     " WHERE n.name_id IS NULL AND s.tenant <> 0"},
    {"name", "SELECT 0, 'the type of stream ' || s.stream_id || ' (' || s.type || ') is missing'"
             " FROM streams s LEFT JOIN names n ON n.name_id = s.type AND n.kind = 2"
             " WHERE n.name_id IS NULL"},
    {"name", "SELECT 0, 'name ' || n.name_id || ' is used nowhere' FROM names n WHERE CASE n.kind"
             " WHEN 1 THEN NOT EXISTS (SELECT 1 FROM streams WHERE tenant = n.name_id)"
             " WHEN 2 THEN NOT EXISTS (SELECT 1 FROM events WHERE aggregate_type = n.name_id)"
             " WHEN 3 THEN NOT EXISTS (SELECT 1 FROM events WHERE event_type = n.name_id)"
             " WHEN 4 THEN NOT EXISTS (SELECT 1 FROM events WHERE actor = n.name_id)"
             " ELSE 1 END"},
};

static void report_failure(es_store_finding finding, void *data, const char *what, int rc) {
  char message[160];

  snprintf(message, sizeof message, "cannot check %s: %s", what, sqlite3_errstr(rc));
  finding(data, "page", 0, message);
}

/* Runs one rule. A query that damage keeps from running is a finding itself, not a failure to look. */
static void run_rule(es_sqlite *store, size_t index, es_store_finding finding, void *data) {
  sqlite3_stmt *statement = NULL;
  int found = 0;
  int rc = sqlite3_prepare_v2(store->db, rules[index].sql, -1, &statement, NULL);

  if (rc == SQLITE_OK) {
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW && found < FINDINGS_PER_RULE) {
      const unsigned char *message = sqlite3_column_text(statement, 1);
      finding(data, rules[index].kind, sqlite3_column_int64(statement, 0),
              message == NULL ? "" : (const char *)message);
      found++;
    }
  }
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) report_failure(finding, data, rules[index].kind, rc);
  sqlite3_finalize(statement);
}

/* SQLite's own look at pages, and at each index against its table. */
static void run_integrity_check(es_sqlite *store, es_store_finding finding, void *data) {
  sqlite3_stmt *statement = NULL;
  int rc = sqlite3_prepare_v2(store->db, "PRAGMA integrity_check(100)", -1, &statement, NULL);

  if (rc == SQLITE_OK) {
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
      const char *message = (const char *)sqlite3_column_text(statement, 0);
      if (message == NULL || strcmp(message, "ok") == 0) continue;
      bool index = strstr(message, " index ") != NULL && strncmp(message, "***", 3) != 0;
      finding(data, index ? "index" : "page", 0, message);
    }
  }
  if (rc != SQLITE_DONE) report_failure(finding, data, "the pages", rc);
  sqlite3_finalize(statement);
}

es_status es__sqlite_check(es_store *base, es_store_finding finding, void *data, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;

  if (store->in_group)
    return es__fail(err, ES_ERR_USAGE, "transaction_open", "a transaction is open");
  es__sqlite_forget_names(store); /* so that reads from here on see what the file says */
  es_status status = es__sqlite_check_schema(store, finding, data, err);
  if (status == ES_OK) status = es__sqlite_check_identity(store, finding, data, err);
  if (status != ES_OK) return status;
  for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
    run_rule(store, i, finding, data);
  run_integrity_check(store, finding, data);
  status = es__sqlite_check_replies(store, finding, data, err);
  if (status == ES_OK) status = es__sqlite_check_checkpoints(store, finding, data, err);
  if (status == ES_OK) status = es__sqlite_check_tile_count(store, finding, data, err);
  return status == ES_OK ? es__tree_check(base, finding, data, err) : status;
}
