/* test_engine_processes: commands of several processes on one store file, and damage as es_verify names it. */
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "engine_support.h"

enum { WRITERS = 4, COMMANDS = 40 };

static void write_counter(engine *self) {
  write_file(self, "aggregates/counter.lua",
             "local es = require 'es'\n"
             "local rule = require 'es.rule'\n"
             "local Counter = es.aggregate 'Counter'\n"
             "Counter.events = { Counted = { by = 'integer', total = 'integer' } }\n"
             "function Counter.initial() return { total = 0 } end\n"
             "Counter.apply = { Counted = function(s, e) s.total = s.total + e.data.by end }\n"
             "Counter.commands = { count = { params = { by = 'integer' }, allow = rule.anyone,\n"
             "  decide = function(s, cmd)\n"
             "    return es.event('Counted', { by = cmd.by, total = s.total + cmd.by }) end } }\n"
             "return Counter\n");
}

static int set_up(void **state) {
  static engine self;
  new_project(&self);
  write_counter(&self);
  *state = &self;
  return 0;
}

static int tear_down(void **state) {
  remove_project(*state);
  return 0;
}

/* In a process of its own: exits with 0 when every command was acknowledged. */
static void count_in_child(const engine *self, const char *store) {
  engine own = *self;
  es_options options = ES_OPTIONS_INIT;

  options.project_path = own.folder;
  options.store_path = store;
  options.conflict_retries = 1; /* the one retry takes its turn, so that it cannot lose again */
  if (es_open(&own.rt, &options, &own.err) != ES_OK) _exit(1);
  for (int i = 0; i < COMMANDS; i++) {
    if (execute(&own, "Counter", "shared", "count", "{\"by\":1}") != ES_OK) {
      fprintf(stderr, "%s\n", own.err.message);
      _exit(2);
    }
  }
  es_close(own.rt);
  _exit(0);
}

/* Every decision saw the state it was appended to: the totals in the events have no gap and no repetition. */
static void racing_commands_are_decided_again(void **state) {
  engine *self = *state;
  char store[128], *json = NULL;
  pid_t children[WRITERS];
  es_verify_report report;
  int64_t total = 0;

  snprintf(store, sizeof store, "%s/x.db", self->folder);
  for (int i = 0; i < WRITERS; i++) {
    children[i] = fork();
    assert_true(children[i] >= 0);
    if (children[i] == 0) count_in_child(self, store);
  }
  for (int i = 0; i < WRITERS; i++) {
    int status;
    assert_int_equal(waitpid(children[i], &status, 0), children[i]);
    assert_int_equal(status, 0);
  }
  open_engine(self, store);
  es_cursor *cursor = NULL;
  const es_event *event = NULL;
  assert_int_equal(es_read(&cursor, self->rt, NULL, &self->err), ES_OK);
  while (es_cursor_next(&event, cursor, &self->err) == ES_OK && event != NULL) {
    char expected[64];
    snprintf(expected, sizeof expected, "{\"by\":1,\"total\":%lld}", (long long)++total);
    assert_int_equal(event->data.length, strlen(expected));
    assert_memory_equal(event->data.data, expected, event->data.length);
  }
  es_cursor_close(cursor);
  assert_int_equal(total, WRITERS * COMMANDS);
  assert_int_equal(es_load(&json, self->rt, "Counter", "shared", NULL, &self->err), ES_OK);
  assert_non_null(strstr(json, "\"total\":160"));
  es_free(json);
  assert_int_equal(es_verify(&report, self->rt, NULL, &self->err), ES_OK);
  assert_int_equal(report.event_count, WRITERS * COMMANDS);
}

/* A kept state is brought up to date with what another process appended. */
static void a_kept_state_sees_what_others_append(void **state) {
  engine *self = *state;
  engine other;
  char store[128], *json = NULL;

  snprintf(store, sizeof store, "%s/x.db", self->folder);
  open_engine(self, store);
  other = *self;
  open_engine(&other, store);
  for (int i = 0; i < 5; i++) {
    succeeds(self, "Counter", "a", "count", "{\"by\":1}");
    succeeds(&other, "Counter", "a", "count", "{\"by\":10}");
  }
  es_close(other.rt);
  assert_int_equal(es_load(&json, self->rt, "Counter", "a", NULL, &self->err), ES_OK);
  assert_non_null(strstr(json, "\"total\":55"));
  es_free(json);
}

static void undone_events_leave_no_kept_state(void **state) {
  engine *self = *state;
  char *json = NULL;

  open_engine(self, ":memory:");
  succeeds(self, "Counter", "a", "count", "{\"by\":1}");
  assert_int_equal(es_transaction_begin(self->rt, &self->err), ES_OK);
  succeeds(self, "Counter", "a", "count", "{\"by\":10}");
  succeeds(self, "Counter", "a", "count", "{\"by\":10}");
  es_transaction_rollback(self->rt);
  succeeds(self, "Counter", "a", "count", "{\"by\":2}");
  assert_int_equal(es_load(&json, self->rt, "Counter", "a", NULL, &self->err), ES_OK);
  assert_non_null(strstr(json, "\"total\":3"));
  es_free(json);
}

typedef struct findings {
  const char *kind; /* the one to be found, and where */
  int64_t position;
  bool found;
  int count;
} findings;

static void note(void *data, const es_finding *finding) {
  findings *self = data;
  self->count++;
  if (strcmp(finding->kind, self->kind) == 0 && finding->position == self->position) {
    self->found = true;
  }
}

/* Changes the file behind the runtime's back, past the triggers that would refuse it. */
static void damage(const char *store, const char *sql) {
  sqlite3 *db = NULL;
  sqlite3_stmt *statement = NULL;
  char *triggers[32] = {NULL};
  int count = 0;

  assert_int_equal(sqlite3_open(store, &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db,
                                      "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'",
                                      -1, &statement, NULL),
                   SQLITE_OK);
  char drops[4096] = "";
  while (sqlite3_step(statement) == SQLITE_ROW && count < 32) {
    snprintf(drops + strlen(drops), sizeof drops - strlen(drops), "DROP TRIGGER %s;",
             (const char *)sqlite3_column_text(statement, 0));
    triggers[count++] = sqlite3_mprintf("%s", sqlite3_column_text(statement, 1));
  }
  sqlite3_finalize(statement);
  assert_int_equal(sqlite3_exec(db, drops, NULL, NULL, NULL), SQLITE_OK);
  if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
    fail_msg("%s: %s", sql, sqlite3_errmsg(db));
  for (int i = 0; i < count; i++) {
    assert_int_equal(sqlite3_exec(db, triggers[i], NULL, NULL, NULL), SQLITE_OK);
    sqlite3_free(triggers[i]);
  }
  sqlite3_close(db);
}

/* covers C10, D1 */
static void verify_names_position_and_kind(void **state) {
  engine *self = *state;
  static const struct {
    const char *sql, *kind;
    int64_t position;
  } cases[] = {
      {"UPDATE events SET data = replace(data, '1', '2') WHERE position = 3", "hash", 3},
      {"UPDATE events SET occurred_at = occurred_at + 1 WHERE position = 2", "hash", 2},
      {"UPDATE events SET hash = zeroblob(32) WHERE position = 4", "hash", 4},
      {"UPDATE events SET previous_hash = zeroblob(32) WHERE position = 4", "hash", 4},
      {"UPDATE events SET actor = (SELECT max(actor) FROM events) + 1 WHERE position = 2", "name",
       2},
      {"DELETE FROM events WHERE position = 3", "position_gap", 4},
  };

  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char store[128];
    findings found = {.kind = cases[i].kind, .position = cases[i].position};
    es_verify_options options = ES_VERIFY_INIT;
    es_verify_report report;

    snprintf(store, sizeof store, "%s/damaged%zu.db", self->folder, i);
    open_engine(self, store);
    for (int j = 0; j < 5; j++)
      succeeds(self, "Counter", "a", "count", "{\"by\":1}");
    es_close(self->rt);
    damage(store, cases[i].sql);
    open_engine(self, store);
    options.finding = note;
    options.finding_data = &found;
    assert_int_equal(es_verify(&report, self->rt, &options, &self->err), ES_ERR_INTEGRITY);
    assert_int_equal(report.finding_count, found.count);
    if (!found.found) fail_msg("%s: not named, first %s", cases[i].sql, self->err.message);
    es_close(self->rt);
    self->rt = NULL;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(racing_commands_are_decided_again, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_kept_state_sees_what_others_append, set_up, tear_down),
      cmocka_unit_test_setup_teardown(undone_events_leave_no_kept_state, set_up, tear_down),
      cmocka_unit_test_setup_teardown(verify_names_position_and_kind, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
