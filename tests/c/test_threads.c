/* test_threads: several runtimes on several threads of one process, one runtime handed from thread to thread, imports with their
 * own thread. Also built with
 * ThreadSanitizer, which is what proves that runtimes share nothing. */
#include "engine_support.h"

#include <assert.h>
#include <pthread.h>

#ifdef __SANITIZE_THREAD__
/* ThreadSanitizer hands signals on only where the program makes a call that it knows, so never out of a loop in Lua. */
static const int limit_signal = -1;

/* It does not know pthread_mutex_clocklock, only the unlocking that follows. */
ES_API const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void) { return "mutex:es__queue_\n"; }
#else
static const int limit_signal = 0;
#endif

enum { THREADS = 4, COMMANDS = 25, IMPORTED = 22 };

static const char counter_text[] =
    "local es = require 'es'\n"
    "local rule = require 'es.rule'\n"
    "local Counter = es.aggregate 'Counter'\n"
    "Counter.events = { Counted = { by = 'integer' } }\n"
    "function Counter.initial() return { total = 0 } end\n"
    "Counter.apply = { Counted = function(c, e) c.total = c.total + e.data.by end }\n"
    "Counter.commands = {\n"
    "  count = { params = { by = 'integer' }, allow = rule.authenticated,\n"
    "    decide = function(_, cmd) return es.event('Counted', { by = cmd.by }) end },\n"
    "  spin = { params = {}, allow = rule.authenticated, decide = function() while true do end end "
    "},\n"
    "}\n"
    "return Counter\n";

static const char totals_text[] =
    "local es = require 'es'\n"
    "local Totals = es.projection 'totals'\n"
    "Totals.tables = { totals = { id = 'string', total = 'integer', key = { 'id' } } }\n"
    "Totals.on = { Counted = function(t, e)\n"
    "  t.totals:add({ id = e.aggregate_id }, { total = e.data.by })\n"
    "end }\n"
    "Totals.queries = { sum = { sql = 'SELECT sum(total) AS sum FROM totals' } }\n"
    "return Totals\n";

/* What one thread does. cmocka's assertions belong to the main thread, so that a thread only reports. */
typedef struct worker {
  pthread_t thread;
  int number;
  char store[96];
  bool spins; /* runs into the time limit between its commands */
  int limits_hit;
  char sum[64];
  es_status status;
  es_error err;
} worker;

enum { RECORDS_SIZE = 4096 };

static void keep_record(void *records, es_log_level level, const char *json, size_t length) {
  if (records == NULL || level != ES_LOG_ERROR) return;
  assert(strlen(records) + length < RECORDS_SIZE);
  strcat(records, json);
}

static es_status open_logged(es_runtime **rt, const char *store, char *records, es_error *err) {
  static const es_module_source sources[] = {{"aggregates/counter.lua", counter_text, 0},
                                             {"projections/totals.lua", totals_text, 0}};
  es_options options = ES_OPTIONS_INIT;

  options.store_path = store;
  options.modules = sources;
  options.module_count = 2;
  options.time_limit_ms = 50;
  options.limit_signal = limit_signal;
  options.log = keep_record;
  options.log_data = records;
  return es_open(rt, &options, err);
}

static es_status open_counter(es_runtime **rt, const char *store, es_error *err) {
  return open_logged(rt, store, NULL, err);
}

static es_status count(es_runtime *rt, const char *id, const char *name, es_error *err) {
  es_command command = ES_COMMAND_INIT;
  es_reply *reply = NULL;

  command.aggregate_type = "Counter";
  command.aggregate_id = id;
  command.command = name;
  command.params_json = strcmp(name, "count") == 0 ? "{\"by\": 2}" : NULL;
  es_status status = es_execute(&reply, rt, &command, err);
  es_reply_free(reply);
  return status;
}

static bool keep_row(void *data, const char *row, size_t length) {
  worker *self = data;
  snprintf(self->sum, sizeof self->sum, "%.*s", (int)length, row);
  return true;
}

static es_status enter_as(es_token *token, es_runtime *rt, const char *actor, es_error *err) {
  es_frame frame = ES_FRAME_INIT;
  frame.actor_id = actor;
  return es_context_enter(token, rt, &frame, err);
}

static const char mapping[] =
    "return function(row, ctx)\n"
    "  return { aggregate_type = 'Counter', aggregate_id = row.to, event_type = 'Counted',\n"
    "    data = { by = row.by }, id = ctx.name .. ctx.row }\n"
    "end\n";

/* Rows in one piece, so that groups are stored by the import's own thread while the next are made. */
static es_status import(es_runtime *rt, const worker *self, es_error *err) {
  es_import_options options = ES_IMPORT_INIT;
  es_import *import = NULL;
  char rows[IMPORTED * 32], name[16], *at = rows;

  snprintf(name, sizeof name, "file-%d", self->number);
  options.form = ES_IMPORT_JSONL;
  options.name = name;
  options.mapping = mapping;
  options.group = 4;
  for (int i = 0; i < IMPORTED; i++)
    at += sprintf(at, "{\"to\":\"file-%d\",\"by\":1}\n", self->number);
  es_status status = es_import_open(&import, rt, &options, err);
  if (status == ES_OK) status = es_import_feed(import, rows, (size_t)(at - rows), err);
  if (status == ES_OK) status = es_import_finish(import, err);
  es_import_close(import);
  return status;
}

/* Half of the commands go to a stream of the thread's own, the others to one that all threads race for. */
static void *work(void *data) {
  worker *self = data;
  es_runtime *rt = NULL;
  es_token token;
  char actor[32], own[32];

  snprintf(actor, sizeof actor, "user:thread-%d", self->number);
  snprintf(own, sizeof own, "own-%d", self->number);
  self->status = open_counter(&rt, self->store, &self->err);
  if (self->status == ES_OK) self->status = enter_as(&token, rt, actor, &self->err);
  for (int i = 0; i < COMMANDS && self->status == ES_OK; i++) {
    es_error problem = ES_ERROR_INIT;
    if (self->spins && i % 10 == 0) {
      self->limits_hit +=
          count(rt, own, "spin", &problem) == ES_ERR_LUA && strcmp(problem.code, "time_limit") == 0;
    }
    self->status = count(rt, i % 2 == 0 ? "shared" : own, "count", &self->err);
  }
  if (self->status == ES_OK) self->status = import(rt, self, &self->err);
  if (self->status == ES_OK) self->status = es_project(rt, NULL, NULL, NULL, &self->err);
  if (self->status == ES_OK)
    self->status = es_query(rt, "totals", "sum", NULL, keep_row, self, &self->err);
  if (self->status == ES_OK) self->status = es_context_leave(rt, token, &self->err);
  es_close(rt);
  return NULL;
}

static void run_all(worker workers[THREADS]) {
  for (int i = 0; i < THREADS; i++) {
    workers[i].number = i;
    assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
  }
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
  for (int i = 0; i < THREADS; i++) {
    if (workers[i].status != ES_OK)
      fail_msg("thread %d: %s (%s)", i, workers[i].err.message, workers[i].err.hint);
    assert_int_equal(workers[i].err.status,
                     ES_OK); /* no conflict of an attempt that was repeated */
  }
}

static void threads_with_a_store_each_do_not_meet(void **state) {
  engine self;
  worker workers[THREADS] = {0};
  (void)state;
  new_project(&self);
  for (int i = 0; i < THREADS; i++)
    snprintf(workers[i].store, sizeof workers[i].store, "%s/%d.db", self.folder, i);
  run_all(workers);
  for (int i = 0; i < THREADS; i++)
    assert_string_equal(workers[i].sum, "{\"sum\":72}");
  remove_project(&self);
}

/* covers C16 */
static void threads_with_one_store_lose_no_event(void **state) {
  engine self;
  worker workers[THREADS] = {0};
  es_verify_report report;
  (void)state;
  new_project(&self);
  for (int i = 0; i < THREADS; i++)
    snprintf(workers[i].store, sizeof workers[i].store, "%s/shared.db", self.folder);
  run_all(workers);
  assert_int_equal(open_counter(&self.rt, workers[0].store, &self.err), ES_OK);
  assert_int_equal(count_events(&self, "Counted"), THREADS * (COMMANDS + IMPORTED));
  assert_int_equal(es_verify(&report, self.rt, NULL, &self.err), ES_OK);
  assert_int_equal(report.event_count, THREADS * (COMMANDS + IMPORTED));
  remove_project(&self);
}

static void the_time_limit_stops_the_thread_that_spins_and_no_other(void **state) {
  worker workers[THREADS] = {0};
  (void)state;
  for (int i = 0; i < THREADS; i++) {
    strcpy(workers[i].store, ":memory:");
    workers[i].spins = i % 2 == 0;
  }
  run_all(workers);
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(workers[i].limits_hit, i % 2 == 0 ? 3 : 0);
}

/* ---- One runtime, two threads ---- */

/* A clock that asks the runtime for a state, as a host may; `rt` is NULL until it shall. */
typedef struct asking_clock {
  es_runtime *rt;
  int asked;
  es_status status;
} asking_clock;

static int64_t ask(void *data) {
  asking_clock *self = data;
  es_runtime *rt = self->rt;
  char *json = NULL;

  if (rt != NULL) {
    self->rt = NULL; /* not while it asks */
    self->status = es_load(&json, rt, "Counter", "file-0", NULL, NULL);
    es_free(json);
    self->asked++;
    self->rt = rt;
  }
  return INT64_C(1767225600000000);
}

static void an_import_stores_nothing_while_the_host_is_asked_for_the_time(void **state) {
  static const es_module_source sources[] = {{"aggregates/counter.lua", counter_text, 0}};
  es_options options = ES_OPTIONS_INIT;
  asking_clock clock = {.status = ES_OK};
  es_runtime *rt = NULL;
  worker self = {.number = 0, .err = ES_ERROR_INIT};
  (void)state;
  options.store_path = ":memory:";
  options.modules = sources;
  options.module_count = 1;
  options.limit_signal = limit_signal;
  options.clock = ask;
  options.clock_data = &clock;
  assert_int_equal(es_open(&rt, &options, &self.err), ES_OK);
  clock.rt = rt;
  if (import(rt, &self, &self.err) != ES_OK) fail_msg("%s", self.err.message);
  assert_int_equal(clock.status, ES_OK);
  assert_true(clock.asked > IMPORTED / 4); /* for each group */
  clock.rt = NULL;
  es_close(rt);
}

typedef struct visit {
  es_runtime *rt;
  bool adopts;
  es_status executed, entered, loaded, configured, described;
  es_error err;
  es_cursor *cursor;
  es_import *import;
  size_t depth;
} visit;

static void *use_elsewhere(void *data) {
  visit *self = data;
  es_token token;
  char *json = NULL;

  if (self->adopts) es_adopt(self->rt);
  self->executed = count(self->rt, "x", "count", &self->err);
  self->entered = enter_as(&token, self->rt, "user:other", NULL);
  if (self->entered == ES_OK) es_context_leave(self->rt, token, NULL);
  self->loaded = es_load(&json, self->rt, "Counter", "x", NULL, NULL);
  es_free(json);
  self->configured = es_config(&json, self->rt, NULL);
  es_free(json);
  self->described = es_context_json(&json, self->rt, NULL);
  es_free(json);
  if (self->adopts) return NULL;
  es_transaction_rollback(self->rt);
  es_context_swap(NULL, self->rt, NULL);
  es_context_release(es_context_capture(self->rt));
  self->depth = es_context_depth(self->rt);
  es_cursor_close(self->cursor);
  es_import_close(self->import);
  es_close(self->rt);
  return NULL;
}

static void visit_from_another_thread(visit *self) {
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, use_elsewhere, self), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
}

static void a_runtime_that_was_handed_over_works(void **state) {
  visit self = {.adopts = true, .err = ES_ERROR_INIT};
  es_token token;
  (void)state;
  assert_int_equal(open_counter(&self.rt, ":memory:", &self.err), ES_OK);
  assert_int_equal(enter_as(&token, self.rt, "user:jane", &self.err), ES_OK);
  assert_int_equal(count(self.rt, "x", "count", &self.err), ES_OK);
  visit_from_another_thread(&self);
  assert_int_equal(self.executed, ES_OK);
  assert_int_equal(self.entered, ES_OK);
  assert_int_equal(self.loaded, ES_OK);
  es_adopt(self.rt);
  assert_int_equal(count(self.rt, "x", "count", &self.err), ES_OK);
  assert_int_equal(es_context_leave(self.rt, token, &self.err), ES_OK);
  es_close(self.rt);
}

#ifdef ES__CHECKS
static void a_runtime_of_another_thread_says_so(void **state) {
  static const char *const silent[] = {"es_transaction_rollback",
                                       "es_context_swap",
                                       "es_context_capture",
                                       "es_context_depth",
                                       "es_cursor_close",
                                       "es_import_close",
                                       "es_close"};
  visit self = {.err = ES_ERROR_INIT};
  es_import_options options = ES_IMPORT_INIT;
  char records[RECORDS_SIZE] = "", said[128];
  const es_event *event;
  es_token token;
  (void)state;
  assert_int_equal(open_logged(&self.rt, ":memory:", records, &self.err), ES_OK);
  assert_int_equal(enter_as(&token, self.rt, "user:jane", &self.err), ES_OK);
  assert_int_equal(es_read(&self.cursor, self.rt, NULL, &self.err), ES_OK);
  assert_int_equal(es_import_open(&self.import, self.rt, &options, &self.err), ES_OK);
  assert_int_equal(es_transaction_begin(self.rt, &self.err), ES_OK);
  visit_from_another_thread(&self);
  for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
    snprintf(said, sizeof said, "\"%s: this runtime belongs to another thread; nothing is done\"",
             silent[i]);
    if (strstr(records, said) == NULL) fail_msg("%s is not in %s", said, records);
  }
  assert_non_null(strstr(records, "\"code\":\"wrong_thread\""));
  assert_null(strstr(records, "user:jane"));
  assert_int_equal(self.depth, 0);
  assert_int_equal(es_cursor_next(&event, self.cursor, &self.err), ES_OK);
  es_cursor_close(self.cursor);
  es_import_close(self.import);
  assert_int_equal(es_context_depth(self.rt), 1);
  assert_int_equal(es_transaction_commit(self.rt, NULL), ES_OK);
  assert_int_equal(self.configured, ES_ERR_USAGE);
  assert_int_equal(self.described, ES_ERR_USAGE);
  assert_int_equal(self.executed, ES_ERR_USAGE);
  assert_string_equal(self.err.code, "wrong_thread");
  assert_string_equal(self.err.message, "this runtime belongs to another thread");
  assert_non_null(strstr(self.err.hint, "es_adopt()"));
  assert_int_equal(self.entered, ES_ERR_USAGE);
  assert_int_equal(self.loaded, ES_ERR_USAGE);
  assert_int_equal(count(self.rt, "x", "count", &self.err), ES_OK); /* and harmed nothing */
  es_close(self.rt);
}
#endif

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(threads_with_a_store_each_do_not_meet),
      cmocka_unit_test(threads_with_one_store_lose_no_event),
      cmocka_unit_test(the_time_limit_stops_the_thread_that_spins_and_no_other),
      cmocka_unit_test(an_import_stores_nothing_while_the_host_is_asked_for_the_time),
      cmocka_unit_test(a_runtime_that_was_handed_over_works),
#ifdef ES__CHECKS
      cmocka_unit_test(a_runtime_of_another_thread_says_so),
#endif
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
