/* One domain state: what a run hands back, what its limits do, and that domains do not know of each other. */
#define _GNU_SOURCE
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "domain_help.h"

enum { MEMORY_BYTES = 32 * 1024 * 1024 };

static void a_run_returns_what_the_text_returned(void **state) {
  es_domain *domain = new_domain(0, 0, 0);
  (void)state;
  expect(domain, "return 1 + 1", "2");
  es__domain_free(domain);
}

static void errors_name_file_and_line(void **state) {
  es_domain *domain = new_domain(0, 0, 0);
  es_error err;

  (void)state;
  assert_int_equal(run_text(domain, "local a\nlocal b = a.c", NULL, &err), ES_ERR_LUA);
  assert_string_equal(err.code, "runtime_error");
  assert_string_equal(err.message, "aggregates/x.lua:2: attempt to index a nil value (local 'a')");
  expect_error(domain, "return (", "aggregates/x.lua:1: unexpected symbol near <eof>");
  expect_error(domain, "\n\nx = 1",
               "aggregates/x.lua:3: global 'x' cannot be assigned: declare it with 'local'");
  expect_error(
      domain, "return os.time()",
      "aggregates/x.lua:1: 'os' does not exist in domain code: take the time from ctx.now");
  expect_error(domain, "return totl", "'totl' is not defined");
  es__domain_free(domain);
}

static void error_values_of_every_type_become_messages(void **state) {
  es_domain *domain = new_domain(0, 0, 0);
  (void)state;
  expect_error(domain, "error('plain', 0)", "plain");
  expect_error(domain, "error(42)", "42");
  expect_error(domain, "error({ message = 'from a table' })", "from a table");
  expect_error(domain,
               "error(setmetatable({}, { __tostring = function() return 'by itself' end }))",
               "by itself");
  expect_error(domain, "error({})", "a table without __tostring");
  expect_error(domain, "error(nil)", "an error without a message");
  expect_error(domain, "error(true)", "true");
  expect_error(domain, "error(print_me)", "'print_me' is not defined");
  expect_error(domain, "error('bad \\xff byte', 0)", "bad ? byte");
  es__domain_free(domain);
}

static int raise_conflict(lua_State *L) {
  es_error err = ES_ERROR_INIT;
  (void)lua_touserdata(L, 1);
  es__fail(&err, ES_ERR_CONFLICT, "version_conflict", "expected 3, found 4");
  es__hint(&err, "load it again");
  err.expected_version = 3;
  err.actual_version = 4;
  es__domain_raise(L, &err);
}

static int raise_through_lua(lua_State *L) {
  static const char text[] = "return function(f)\n"
                             "  local ok, e = pcall(f)\n"
                             "  if ok or e.code ~= 'version_conflict' then error('lost') end\n"
                             "  error(e)\n"
                             "end";

  es__domain_load(L, text, sizeof text - 1, "aggregates/x.lua");
  lua_pushcfunction(L, raise_conflict);
  lua_call(L, 1, 0);
  return 0;
}

static void an_error_raised_in_c_arrives_unchanged_also_through_lua(void **state) {
  es_domain *domain = new_domain(0, 0, 0);
  lua_CFunction bodies[] = {raise_conflict, raise_through_lua};

  (void)state;
  for (int i = 0; i < 2; i++) {
    es_error err = ES_ERROR_INIT;
    assert_int_equal(es__domain_run(domain, bodies[i], NULL, &err), ES_ERR_CONFLICT);
    assert_string_equal(err.code, "version_conflict");
    assert_string_equal(err.message, "expected 3, found 4");
    assert_string_equal(err.hint, "load it again");
    assert_int_equal(err.expected_version, 3);
    assert_int_equal(err.actual_version, 4);
  }
  assert_int_equal(es__domain_run(domain, raise_conflict, NULL, NULL), ES_ERR_CONFLICT);
  es__domain_free(domain);
}

static void a_limit_names_the_line_where_it_ran_out(void **state) {
  es_domain *domain = new_domain(50, MEMORY_BYTES, 0);
  es_error err;

  (void)state;
  assert_int_equal(run_text(domain, "local n = 0\nwhile true do\n  n = n + 1\nend", NULL, &err),
                   ES_ERR_LUA);
  assert_string_equal(err.code, "time_limit");
  assert_non_null(strstr(err.message, "the limit"));
  assert_true(strncmp(err.message, "aggregates/x.lua:3: ", 20) == 0 ||
              strncmp(err.message, "aggregates/x.lua:2: ", 20) == 0);
  assert_int_equal(run_text(domain, "local t = {}\nlocal s = ('x'):rep(1e9)", NULL, &err),
                   ES_ERR_LUA);
  assert_string_equal(err.code, "memory_limit");
  assert_string_equal(err.message, "aggregates/x.lua:2: out of memory: the limit is 32 MiB");
  expect(domain, "return 'usable'", "usable");
  es__domain_free(domain);
}

static void honest_work_under_the_limit_is_left_alone(void **state) {
  es_domain *domain = new_domain(60000, MEMORY_BYTES, 0);
  (void)state;
  /* Much garbage, little of it alive: the cap is about what is alive. */
  expect(domain,
         "local n = 0 for i = 1, 300000 do local t = { i, i, i, i } n = n + #t end return n",
         "1200000");
  expect(domain, "local t = {} for i = 1, 20 do t = { ('x'):rep(1000000 + i) } end return #t[1]",
         "1000020");
  /* Twice what is alive would pass the cap: only collecting in time keeps this going. */
  expect(domain,
         "local live = ('x'):rep(20000000) "
         "for i = 1, 100 do local garbage = ('y'):rep(1000000 + i) end return #live",
         "20000000");
  es__domain_free(domain);
}

/* ---- nested runs ---- */

typedef struct nesting {
  es_domain *domain;
  const char *inner;
  es_status status;
  es_error err;
} nesting;

static int run_nested(lua_State *L) {
  nesting *job = lua_touserdata(L, 1);
  job->status = run_text(job->domain, job->inner, NULL, &job->err);
  es__domain_load(L, "return 1", 8, "aggregates/y.lua");
  return 0;
}

static void a_nested_run_reports_to_its_caller_who_goes_on(void **state) {
  es_domain *domain = new_domain(0, MEMORY_BYTES, 0);
  nesting job = {domain, "error('inner', 0)", ES_OK, ES_ERROR_INIT};
  es_error err = ES_ERROR_INIT;

  (void)state;
  assert_int_equal(es__domain_run(domain, run_nested, &job, &err), ES_OK);
  assert_int_equal(job.status, ES_ERR_LUA);
  assert_string_equal(job.err.message, "inner");
  job.inner = "local t = {} while true do t[#t + 1] = {} end";
  assert_int_equal(es__domain_run(domain, run_nested, &job, &err), ES_OK);
  assert_string_equal(job.err.code, "memory_limit");
  es__domain_free(domain);
}

static void nested_runs_share_the_outermost_ones_time(void **state) {
  es_domain *domain = new_domain(100, MEMORY_BYTES, 0);
  nesting job = {domain, "while true do end", ES_OK, ES_ERROR_INIT};
  es_error err = ES_ERROR_INIT;

  (void)state;
  assert_int_equal(es__domain_run(domain, run_nested, &job, &err), ES_ERR_LUA);
  assert_string_equal(job.err.code, "time_limit");
  assert_string_equal(err.code, "time_limit");
  expect(domain, "return 'usable'", "usable");
  es__domain_free(domain);
}

/* ---- several domains ---- */

static void *loop_in_a_thread(void *data) {
  int limit_signal = *(int *)data;
  for (int i = 0; i < 3; i++) {
    es_domain *domain = new_domain(60, MEMORY_BYTES, limit_signal);
    es_error err;
    if (run_text(domain, "while true do pcall(function() end) end", NULL, &err) != ES_ERR_LUA ||
        strcmp(err.code, "time_limit") != 0)
      return "not stopped";
    if (run_text(domain, "local n = 0 for i = 1, 100000 do n = n + i end return n", NULL, &err) !=
        ES_OK)
      return "stopped without reason";
    es__domain_free(domain);
  }
  return NULL;
}

static void two_threads_stop_their_own_domains(void **state) {
  (void)state;
  for (int hook = 0; hook <= 1; hook++) {
    pthread_t threads[2];
    int limit_signal = hook ? -1 : 0;
    for (int i = 0; i < 2; i++)
      assert_int_equal(pthread_create(&threads[i], NULL, loop_in_a_thread, &limit_signal), 0);
    for (int i = 0; i < 2; i++) {
      void *wrong = NULL;
      pthread_join(threads[i], &wrong);
      assert_null(wrong);
    }
  }
}

static void *run_in_this_thread(void *data) {
  es_error err;
  es_status status = run_text(data, "while true do end", NULL, &err);
  return status == ES_ERR_LUA && strcmp(err.code, "time_limit") == 0 ? NULL : "not stopped";
}

static void a_domain_may_move_to_another_thread(void **state) {
  es_domain *domain = new_domain(50, MEMORY_BYTES, 0);
  pthread_t thread;
  void *wrong = NULL;

  (void)state;
  assert_null(run_in_this_thread(domain));
  assert_int_equal(pthread_create(&thread, NULL, run_in_this_thread, domain), 0);
  pthread_join(thread, &wrong);
  assert_null(wrong);
  assert_null(run_in_this_thread(domain));
  es__domain_free(domain);
}

static void a_domain_works_in_the_child_of_a_fork(void **state) {
  es_domain *domain = new_domain(50, MEMORY_BYTES, 0), *other = new_domain(50, MEMORY_BYTES, 0);
  int child_status = -1;

  (void)state;
  assert_null(run_in_this_thread(domain));
  assert_null(run_in_this_thread(other));
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    void *wrong = run_in_this_thread(other);
    es__domain_free(domain); /* its timer is the parent's: it must not stop the other's */
    if (wrong == NULL) wrong = run_in_this_thread(other);
    _exit(wrong == NULL ? 0 : 1);
  }
  assert_int_equal(waitpid(child, &child_status, 0), child);
  assert_true(WIFEXITED(child_status) && WEXITSTATUS(child_status) == 0);
  es__domain_free(domain);
  es__domain_free(other);
}

static void another_signal_may_carry_the_limit(void **state) {
  es_domain *domain = new_domain(50, MEMORY_BYTES, SIGUSR2);
  es_domain_options options = {.limit_signal = SIGKILL};
  es_error err = ES_ERROR_INIT;
  es_domain *none = NULL;

  (void)state;
  assert_null(run_in_this_thread(domain));
  es__domain_free(domain);
  assert_int_equal(es__domain_new(&none, &options, &err), ES_ERR_USAGE);
  assert_string_equal(err.code, "limit_signal");
  assert_null(none);
}

static void no_limit_outlives_its_run(void **state) {
  es_domain *domain = new_domain(20, MEMORY_BYTES, 0);
  es_error err;
  double started;

  (void)state;
  assert_int_equal(run_text(domain, "return 1", NULL, &err), ES_OK);
  started = processor_ms();
  while (processor_ms() - started < 60)
    continue; /* the timer would have fired by now */
  expect(domain, "local n = 0 for i = 1, 1000 do n = n + 1 end return n", "1000");
  es__domain_free(domain);
}

static void burn(int ms) {
  double started = processor_ms();
  while (processor_ms() - started < ms)
    continue;
}

static int burn_then_run(lua_State *L) {
  burn(40);
  es__domain_load(L, "local n = 0 for i = 1, 1000 do n = n + i end", 44, "aggregates/y.lua");
  return 0;
}

static void watched_runs_have_the_whole_limit_each(void **state) {
  es_domain *domain = new_domain(60, MEMORY_BYTES, 0);
  es_error err;
  double started;

  (void)state;
  es__domain_watch(domain, true);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(es__domain_run(domain, burn_then_run, NULL, &err), ES_OK);
    burn(30); /* no run: it counts for none */
  }
  started = processor_ms();
  assert_int_equal(run_text(domain, "while true do end", NULL, &err), ES_ERR_LUA);
  assert_string_equal(err.code, "time_limit");
  assert_true(processor_ms() - started < 600);
  es__domain_watch(domain, false);
  expect(domain, "return 'usable'", "usable");
  es__domain_free(domain);
}

static volatile sig_atomic_t signal_count;
static void count_signal(int number) {
  (void)number;
  signal_count++;
}

static void signals_end_with_the_watch(void **state) {
  es_domain *domain = new_domain(60, MEMORY_BYTES, SIGRTMIN + 5);
  struct sigaction action = {.sa_handler = count_signal};
  es_error err;

  (void)state;
  assert_int_equal(sigaction(SIGRTMIN + 5, &action, NULL), 0);
  assert_int_equal(run_text(domain, "return 1", NULL, &err), ES_OK);
  burn(60);
  assert_int_equal(signal_count, 0);
  es__domain_watch(domain, true);
  assert_int_equal(run_text(domain, "return 1", NULL, &err), ES_OK);
  for (int i = 0; i < 50 && signal_count == 0; i++) /* a busy machine may deliver them late */
    burn(60);
  assert_true(signal_count > 0);
  es__domain_watch(domain, false);
  signal_count = 0;
  burn(60);
  assert_int_equal(signal_count, 0);
  es__domain_free(domain);
}

static int note_locale(lua_State *L) {
  *(locale_t *)lua_touserdata(L, 1) = uselocale((locale_t)0);
  return 0;
}

static void the_embedders_locale_is_put_aside_during_a_run(void **state) {
  locale_t embedders = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0), inside = (locale_t)0;
  es_domain *domain = new_domain(0, 0, 0);
  es_error err = ES_ERROR_INIT;

  (void)state;
  assert_true(embedders != (locale_t)0);
  locale_t before = uselocale(embedders);
  assert_int_equal(es__domain_run(domain, note_locale, &inside, &err), ES_OK);
  assert_true(inside != embedders);
  assert_true(uselocale((locale_t)0) == embedders);
  uselocale(before);
  freelocale(embedders);
  es__domain_free(domain);
}

/* ---- modules ---- */

static es_status find_in_table(void *data, const char *name, char **source, size_t *length,
                               char *chunk_name, size_t chunk_name_size, es_error *err) {
  static const char *const modules[][2] = {
      {"shared.money",
       "local Money = { calls = 0 } function Money.cents(n) return n * 100 end return Money"},
      {"shared.loop_a", "local b = require 'shared.loop_b' return {}"},
      {"shared.loop_b", "local a = require 'shared.loop_a' return {}"},
      {"shared.syntax", "local x = = 1"},
      {"shared.fails", "\nerror('at load')"},
      {"shared.nothing", "local x = 1"},
      {"shared.word", "return 'a word'"}};
  int *loads = data;

  for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
    if (strcmp(modules[i][0], name) != 0) continue;
    (*loads)++;
    *source = strdup(modules[i][1]);
    *length = strlen(modules[i][1]);
    snprintf(chunk_name, chunk_name_size, "aggregates/%s.lua", name + strlen("shared."));
    return ES_OK;
  }
  return es__fail(err, ES_ERR_NOT_FOUND, "no_module", "looked for aggregates/%s.lua", name);
}

static void modules_are_loaded_once_and_shared_read_only(void **state) {
  int loads = 0;
  es_domain_options options = {.find_module = find_in_table, .find_module_data = &loads};
  es_domain *domain = NULL;
  es_error err = ES_ERROR_INIT;

  (void)state;
  assert_int_equal(es__domain_new(&domain, &options, &err), ES_OK);
  expect(domain, "return require('shared.money').cents(3)", "300");
  expect(domain, "return tostring(require 'shared.money' == require 'shared.money')", "true");
  assert_int_equal(loads, 1);
  expect_error(domain, "require('shared.money').cents = nil", "'cents' is read-only here");
  expect(domain, "return require 'shared.word'", "a word");
  expect_error(domain, "require 'shared.loop_a'",
               "aggregates/loop_b.lua:1: module 'shared.loop_a' requires itself");
  expect_error(domain, "require 'shared.syntax'",
               "aggregates/syntax.lua:1: unexpected symbol near '='");
  expect_error(domain, "require 'shared.fails'", "aggregates/fails.lua:2: at load");
  expect_error(domain, "require 'shared.fails'", "aggregates/fails.lua:2: at load");
  expect_error(domain, "require 'shared.nothing'", "returned no value; end it with 'return'");
  expect_error(domain, "require 'shared.absent'",
               "aggregates/x.lua:1: module 'shared.absent' not found: looked for "
               "aggregates/shared.absent.lua");
  expect_error(domain, "require 'es.kernel'",
               "module 'es.kernel' does not exist in domain code; the built-in ones are: es, ");
  expect_error(domain, "require 'es.support'", "does not exist in domain code");
  expect_error(domain, "require 'es.absent'", "does not exist in domain code");
  es__domain_free(domain);
}

static int push_every_builtin(lua_State *L) {
  static const char *const names[] = {"es", "es.rule", "es.schema", "es.kernel", "es.support"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    es__domain_push_builtin(L, names[i]);
    luaL_checktype(L, -1, LUA_TTABLE);
    es__domain_push_builtin(L, names[i]);
    if (!lua_rawequal(L, -1, -2)) luaL_error(L, "%s was loaded twice", names[i]);
  }
  return 0;
}

static int push_absent_builtin(lua_State *L) {
  es__domain_push_builtin(L, "es.absent");
  return 0;
}

static void built_in_modules_load_once(void **state) {
  es_domain *domain = new_domain(0, 0, 0);
  es_error err = ES_ERROR_INIT;

  (void)state;
  if (es__domain_run(domain, push_every_builtin, NULL, &err) != ES_OK) fail_msg("%s", err.message);
  assert_int_equal(es__domain_run(domain, push_absent_builtin, NULL, &err), ES_ERR_LUA);
  assert_string_equal(err.message, "there is no built-in module 'es.absent'");
  es__domain_free(domain);
}

static void chance_exists_only_where_it_was_asked_for(void **state) {
  es_domain_options options = {.allow_nondeterminism = true};
  es_domain *domain = new_domain(0, 0, 0);
  es_error err = ES_ERROR_INIT;

  (void)state;
  expect(domain, "return tostring(require('es').test_random)", "nil");
  es__domain_free(domain);
  assert_int_equal(es__domain_new(&domain, &options, &err), ES_OK);
  expect(domain, "local r = require('es').test_random return tostring(r() ~= r() or r() ~= r())",
         "true");
  es__domain_free(domain);
}

/* Every allocation of making a domain may fail: nothing leaks (under the sanitizer), nothing crashes. */
static void a_domain_without_enough_memory_is_an_error(void **state) {
  (void)state;
  es_domain_options options = {.memory_limit_bytes = 1};
  es_error err = ES_ERROR_INIT;
  es_domain *domain = NULL;

  /* The credit covers the making; the first run finds the limit passed. */
  if (es__domain_new(&domain, &options, &err) == ES_OK) {
    assert_int_equal(run_text(domain, "local t = {} for i = 1, 10 do t[i] = {} end", NULL, &err),
                     ES_ERR_LUA);
    assert_string_equal(err.code, "memory_limit");
  }
  es__domain_free(domain);
  es__domain_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_run_returns_what_the_text_returned),
      cmocka_unit_test(errors_name_file_and_line),
      cmocka_unit_test(error_values_of_every_type_become_messages),
      cmocka_unit_test(an_error_raised_in_c_arrives_unchanged_also_through_lua),
      cmocka_unit_test(a_limit_names_the_line_where_it_ran_out),
      cmocka_unit_test(honest_work_under_the_limit_is_left_alone),
      cmocka_unit_test(a_nested_run_reports_to_its_caller_who_goes_on),
      cmocka_unit_test(nested_runs_share_the_outermost_ones_time),
      cmocka_unit_test(two_threads_stop_their_own_domains),
      cmocka_unit_test(a_domain_may_move_to_another_thread),
      cmocka_unit_test(a_domain_works_in_the_child_of_a_fork),
      cmocka_unit_test(another_signal_may_carry_the_limit),
      cmocka_unit_test(no_limit_outlives_its_run),
      cmocka_unit_test(watched_runs_have_the_whole_limit_each),
      cmocka_unit_test(signals_end_with_the_watch),
      cmocka_unit_test(the_embedders_locale_is_put_aside_during_a_run),
      cmocka_unit_test(modules_are_loaded_once_and_shared_read_only),
      cmocka_unit_test(built_in_modules_load_once),
      cmocka_unit_test(chance_exists_only_where_it_was_asked_for),
      cmocka_unit_test(a_domain_without_enough_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
