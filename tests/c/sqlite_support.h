/* sqlite_support: what the tests of the SQLite file share: opened and closed fixtures, SQL from outside, some events. */
#ifndef SQLITE_SUPPORT_H
#define SQLITE_SUPPORT_H

#include "store_fixture.h"

#include <sqlite3.h>

static inline int setup(void **state) {
  fixture *f = malloc(sizeof *f);
  fixture_make(f);
  if (fixture_open(f) != ES_OK) fail_msg("open: %s", f->err.message);
  *state = f;
  return 0;
}

static inline int setup_closed(void **state) {
  fixture *f = malloc(sizeof *f);
  fixture_make(f);
  *state = f;
  return 0;
}

static inline int teardown(void **state) {
  fixture *f = *state;
  fixture_remove(f);
  free(f);
  return 0;
}

/* Runs SQL on the file from outside. */
static inline int raw(fixture *f, const char *sql) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
  sqlite3_close(db);
  return rc;
}

static inline void fill(fixture *f, int count) {
  for (int i = 0; i < count; i++) {
    es_event event = make_event(f, "Document", i % 2 == 0 ? "a" : "b", "DocumentEdited");
    event.has_causation = true;
    memcpy(event.causation_id, event.event_id, ES_ID_SIZE);
    if (i % 3 == 0) event.tenant_id = es__text("acme");
    must_append(f, event);
  }
}

#define OPEN(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define CLOSED(test) cmocka_unit_test_setup_teardown(test, setup_closed, teardown)

#endif
