/* sqlite_check: looks for damage in everything that is derived or that no event's hash covers. Hashes and links of the events
 * themselves are recomputed by whoever verifies, through an ordinary read, which also sees that each event's stream and names
 * are there and fit. Changes nothing. */
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
    {"position_gap", "SELECT position, 'it is the first event' FROM events"
                     " WHERE position = (SELECT min(position) FROM events) AND position > 1"},
    {"inserted",
     "SELECT 0, 'an event has position ' || position || ', before the first' FROM events"
     " WHERE position < 1"},
    {"stream",
     "SELECT 0, 'streams have ' || count(*) || ' rows up to id ' || max(stream_id) FROM streams"
     " HAVING count(*) > 0 AND (count(*) <> max(stream_id) OR min(stream_id) <> 1)"},
    {"name", "SELECT 0, 'names have ' || count(*) || ' rows up to id ' || max(name_id) FROM names"
             " HAVING count(*) > 0 AND (count(*) <> max(name_id) OR min(name_id) <> 1)"},
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

/* Runs the pragma and tells what it says; gives its last status. */
static int run_pragma(es_sqlite *store, const char *pragma, es_store_finding finding, void *data) {
  sqlite3_stmt *statement = NULL;
  int rc = sqlite3_prepare_v2(store->db, pragma, -1, &statement, NULL);

  if (rc == SQLITE_OK) {
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
      const char *message = (const char *)sqlite3_column_text(statement, 0);
      if (message == NULL || strcmp(message, "ok") == 0) continue;
      bool index = strstr(message, " index ") != NULL && strncmp(message, "***", 3) != 0;
      finding(data, index ? "index" : "page", 0, message);
    }
  }
  sqlite3_finalize(statement);
  return rc;
}

void es__sqlite_integrity_check(es_sqlite *store, const char *pragma, es_store_finding finding,
                                void *data) {
  int rc = run_pragma(store, pragma, finding, data);
  if (rc != SQLITE_DONE) report_failure(finding, data, "the pages", rc);
}

/* ---- Pages ------------------------------------------------------------------------------------------------- */

/* The check of all pages is one instruction of its program, among the first ten; a loop over every row of every table follows. */
enum { INSTRUCTIONS = 100, ASKED_AMID_PAGES = 3041000 };

static int stop(void *data) {
  *(bool *)data = true;
  return 1;
}

/* Of the whole file. The rows are others' to look at: events by whoever visits them, the other tables below. SQLite cannot leave
 * them out, but up to 3.40 it asks its progress handler between two instructions only, so not before all pages are checked. */
static void check_pages(es_sqlite *store, es_store_finding finding, void *data) {
  bool stopped = false;

  if (sqlite3_libversion_number() < ASKED_AMID_PAGES)
    sqlite3_progress_handler(store->db, INSTRUCTIONS, stop, &stopped);
  int rc = run_pragma(store, "PRAGMA quick_check(100)", finding, data);
  sqlite3_progress_handler(store->db, 0, NULL, NULL);
  if (rc != SQLITE_DONE && !(rc == SQLITE_INTERRUPT && stopped))
    report_failure(finding, data, "the pages", rc);
}

/* ---- Parts ------------------------------------------------------------------------------------------------- */

/* The longest first, so that whoever works beside it has the many small ones left. */
enum { PART_PAGES, PART_SMALL_TABLES, PART_REPLIES, PART_SNAPSHOTS, PART_INDEXES };

/* What is not many times the size of the events' names. */
static es_status check_small_tables(es_sqlite *store, es_store_finding finding, void *data,
                                    es_error *err) {
  static const char *const tables[] = {"store", "names", "streams", "checkpoints", "tiles"};
  char pragma[64];
  es_status status = es__sqlite_check_schema(store, finding, data, err);

  if (status == ES_OK) status = es__sqlite_check_identity(store, finding, data, err);
  if (status != ES_OK) return status;
  for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
    run_rule(store, i, finding, data);
  for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
    snprintf(pragma, sizeof pragma, "PRAGMA integrity_check(%s)", tables[i]);
    es__sqlite_integrity_check(store, pragma, finding, data);
  }
  status = es__sqlite_check_checkpoints(store, finding, data, err);
  if (status == ES_OK) status = es__sqlite_check_segments(store, finding, data, err);
  if (status == ES_OK) status = es__sqlite_check_tile_count(store, finding, data, err);
  return status == ES_OK ? es__tree_check_size(&store->base, finding, data, err) : status;
}

static es_status check_part(es_sqlite *store, int part, es_sums *sums, es_store_finding finding,
                            void *data, es_error *err) {
  es__sqlite_small_cache(store, part == PART_PAGES || part >= PART_INDEXES);
  switch (part) {
  case PART_PAGES:
    check_pages(store, finding, data);
    return ES_OK;
  case PART_SMALL_TABLES:
    return check_small_tables(store, finding, data, err);
  case PART_REPLIES:
    es__sqlite_integrity_check(store, "PRAGMA integrity_check(replies)", finding, data);
    return es__sqlite_check_replies(store, finding, data, err);
  case PART_SNAPSHOTS:
    es__sqlite_integrity_check(store, "PRAGMA integrity_check(snapshots)", finding, data);
    return es__sqlite_check_snapshots(store, finding, data, err);
  default:
    es__sqlite_check_index(store, part - PART_INDEXES, sums, finding, data);
    return ES_OK;
  }
}

/* A part's statements see one state of the store, whoever appends meanwhile. */
es_status es__sqlite_check(es_store *base, int part, es_sums *sums, es_store_finding finding,
                           void *data, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;

  if (store->in_group)
    return es__fail(err, ES_ERR_USAGE, "transaction_open", "a transaction is open");
  int rc = sqlite3_exec(store->db, "BEGIN", NULL, NULL, NULL);
  if (rc != SQLITE_OK) return es__sqlite_fail(store, rc, "checking", err);
  es_status status = check_part(store, part, sums, finding, data, err);
  es__sqlite_small_cache(store, false);
  sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
  return status;
}
