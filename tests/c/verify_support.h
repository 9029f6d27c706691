/* verify_support: what the tests of verification share: a store with several values in every column, damage done to it past esrun,
 * and what verification says of it. */
#ifndef VERIFY_SUPPORT_H
#define VERIFY_SUPPORT_H

#include "store_fixture.h"

#include <sqlite3.h>

#include "engine/runtime.h"

enum { EVENTS = 12 };

/* Every column has several values; some events have no tenant, some no cause. */
static inline void append_some(fixture *f, int count) {
  static const char *const types[] = {"Order", "Invoice"}, *const ids[] = {"a", "b", "c"};
  static const char *const tenants[] = {NULL, "acme", "globex"}, *const actors[] = {"user:a", "b"};
  uint8_t before[ES_ID_SIZE] = {0};

  for (int i = 0; i < count; i++) {
    es_event event = make_event(f, types[i % 2], ids[i % 3], i % 4 == 0 ? "Opened" : "Closed");
    event.tenant_id = es__text(tenants[i % 3]);
    event.actor_id = es__text(actors[i / 2 % 2]);
    event.has_causation = i % 3 != 0;
    if (event.has_causation) memcpy(event.causation_id, before, ES_ID_SIZE);
    memcpy(before, event.event_id, ES_ID_SIZE);
    must_append(f, event);
  }
}

static sqlite3 *raw_open(const fixture *f) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, "PRAGMA writable_schema = ON", 0, 0, 0), SQLITE_OK);
  return db;
}

/* SQLite's own formats. Each in a connection of its own, which sees the schema that the one before left. */
static inline void raw(const fixture *f, const char *format, ...) {
  sqlite3 *db = raw_open(f);
  char *why = NULL;
  va_list args;

  va_start(args, format);
  char *sql = sqlite3_vmprintf(format, args);
  va_end(args);
  if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s in: %s", why, sql);
  sqlite3_free(sql);
  sqlite3_close(db);
}

static inline char *ask(const fixture *f, const char *format, ...) {
  sqlite3 *db = raw_open(f);
  sqlite3_stmt *statement;
  va_list args;

  va_start(args, format);
  char *sql = sqlite3_vmprintf(format, args);
  va_end(args);
  if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
    fail_msg("%s in: %s", sqlite3_errmsg(db), sql);
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  char *answer = strdup((const char *)sqlite3_column_text(statement, 0));
  sqlite3_finalize(statement);
  sqlite3_free(sql);
  sqlite3_close(db);
  return answer;
}

/* What verification says: whether it names the index that is looked for, and all of it. */
typedef struct notes {
  const char *index; /* NULL: none */
  bool named;
  char all[4096];
} notes;

/* Of the index by stream the order of streams and versions tells more than its name. */
static inline void note(void *data, const es_finding *finding) {
  notes *self = data;
  size_t length = strlen(self->all);

  snprintf(self->all + length, sizeof self->all - length, "%s: %s; ", finding->kind,
           finding->message);
  if (self->index == NULL) return;
  bool by_stream = strcmp(self->index, "events_by_stream") == 0;
  if ((strcmp(finding->kind, "index") == 0 && strstr(finding->message, self->index) != NULL) ||
      (by_stream && strcmp(finding->kind, "version_gap") == 0) ||
      (by_stream && strcmp(finding->kind, "stream") == 0))
    self->named = true;
}

static inline es_status verify(notes *said, const char *path, int jobs, es_error *err) {
  es_verify_options options = ES_VERIFY_INIT;
  es_options opening = ES_OPTIONS_INIT;
  es_verify_report report;
  es_runtime *rt = NULL;

  opening.store_path = path;
  options.memory_path = "";
  options.finding = note;
  options.finding_data = said;
  options.jobs = jobs;
  es_status status = es_open(&rt, &opening, err);
  if (status == ES_OK) status = es_verify(&report, rt, &options, err);
  es_close(rt);
  return status;
}

#endif
