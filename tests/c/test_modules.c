/* test_modules: what a project's modules and settings may say, how they fail, and that replay tells pure ones from others. */
#include "engine_support.h"

static const char counter_head[] =
    "local es = require 'es'\n"
    "local rule = require 'es.rule'\n"
    "local Counter = es.aggregate 'Counter'\n"
    "Counter.events = { Counted = { by = 'integer' } }\n"
    "function Counter.initial() return { total = 0 } end\n"
    "Counter.commands = { count = { params = { by = 'integer' }, allow = rule.anyone,\n"
    "  decide = function(_, cmd) return es.event('Counted', { by = cmd.by }) end } }\n";

static void write_counter(engine *self, const char *rest) {
  char text[4096];
  snprintf(text, sizeof text, "%s%s\nreturn Counter\n", counter_head, rest);
  write_file(self, "aggregates/counter.lua", text);
}

static int set_up(void **state) {
  static engine self;
  new_project(&self);
  *state = &self;
  return 0;
}

static int tear_down(void **state) {
  remove_project(*state);
  return 0;
}

static void fails_to_open(engine *self, es_status status, const char *part) {
  assert_int_equal(try_open(self, ":memory:"), status);
  assert_null(self->rt);
  if (strstr(self->err.message, part) == NULL)
    fail_msg("expected '%s' in: %s", part, self->err.message);
}

/* covers E2 */
static void a_faulty_module_is_named_by_file_and_line(void **state) {
  engine *self = *state;
  static const struct {
    const char *text, *part;
  } bad[] = {
      {"local x = = 1", "aggregates/bad.lua:1:"},
      {"\n\nerror 'no'", "aggregates/bad.lua:3:"},
      {"\nreturn 1", "aggregates/bad.lua:2: the module must return"},
      {"local x = 1\n\nx = 2\n", "aggregates/bad.lua:3: the module must return"},
      {"x = 1", "aggregates/bad.lua:1:"},
      {"return os.time()", "aggregates/bad.lua:1:"},
      {"local es = require 'es' local A = es.aggregate 'A' A.event = {} return A",
       "unknown field 'event'"},
      {"local es = require 'es' local A = es.aggregate 'A' A.events = { X = { a = 'strng' } } "
       "return A",
       "strng"},
      {"local es = require 'es' local A = es.aggregate 'A' A.apply = { X = function() end } return "
       "A",
       "apply.X"},
      {"local es = require 'es' local A = es.aggregate 'A' A.commands = { c = {} } return A",
       "commands.c: decide"},
      {"local es = require 'es' local A = es.aggregate 'A' A.commands = { c = { decide = "
       "function() end,\n"
       "params = { actor_id = 'string' } } } return A",
       "actor_id"},
      {"return require 'lib.missing'", "lib.missing"},
  };

  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    write_file(self, "aggregates/bad.lua", bad[i].text);
    fails_to_open(self, ES_ERR_LUA, bad[i].part);
  }
}

static void note_failure(void *data, const char *path, const es_error *err) {
  char *told = data;
  snprintf(told + strlen(told), 2048 - strlen(told), "%s %s; ", path, err->message);
}

static void who_asks_is_told_of_each_module_that_fails(void **state) {
  engine *self = *state;
  es_options options = ES_OPTIONS_INIT;
  char told[2048] = "";
  es_replay_report report;
  bool changed;

  write_counter(self, "");
  write_file(self, "aggregates/bad.lua", "local x = = 1");
  write_file(self, "aggregates/needs.lua", "return require 'gone'");
  write_file(self, "lib/unused.lua", "return {");
  write_file(self, "projections/none.lua", "\nreturn 1");
  options.project_path = self->folder;
  options.store_path = ":memory:";
  options.failed_module = note_failure;
  options.failed_module_data = told;
  assert_int_equal(es_open(&self->rt, &options, NULL), ES_OK);
  assert_string_equal(
      told,
      "lib/unused.lua lib/unused.lua:1: unexpected symbol near <eof>; "
      "aggregates/bad.lua aggregates/bad.lua:1: unexpected symbol near '='; "
      "aggregates/needs.lua aggregates/needs.lua:1: module 'gone' not found: no library "
      "folder (lib/) has gone.lua; "
      "projections/none.lua projections/none.lua:2: the module must return what es.aggregate or "
      "es.projection made, not a number; ");
  told[0] = '\0';
  succeeds(self, "Counter", "1", "count", "{\"by\":2}"); /* the others do what they always did */
  assert_int_equal(es_replay(&report, self->rt, NULL, &self->err), ES_OK);
  write_counter(self, "-- changed");
  assert_int_equal(es_reload(&changed, self->rt, &self->err), ES_ERR_LUA); /* nobody asked there */
  assert_string_equal(told, "");
}

static void two_modules_cannot_declare_one_event_type(void **state) {
  engine *self = *state;

  write_counter(self, "");
  write_file(self, "aggregates/other.lua",
             "local es = require 'es' local A = es.aggregate 'Other' A.events = { Counted = {} } "
             "return A");
  fails_to_open(self, ES_ERR_LUA, "Counted is already declared by aggregates/counter.lua");
  write_file(self, "aggregates/other.lua", "local es = require 'es' return es.aggregate 'Counter'");
  fails_to_open(self, ES_ERR_LUA, "already declared by aggregates/counter.lua");
}

static void library_modules_are_required_by_name(void **state) {
  engine *self = *state;
  char path[128];

  snprintf(path, sizeof path, "%s/lib/shared", self->folder);
  assert_int_equal(mkdir(path, 0700), 0);
  write_file(self, "lib/shared/sum.lua", "return function(a, b) return a + b end");
  write_counter(
      self, "local sum = require 'shared.sum'\n"
            "Counter.apply = { Counted = function(s, e) s.total = sum(s.total, e.data.by) end }");
  open_engine(self, ":memory:");
  succeeds(self, "Counter", "1", "count", "{\"by\":2}");
  succeeds(self, "Counter", "1", "count", "{\"by\":3}");
  char *json = NULL;
  assert_int_equal(es_load(&json, self->rt, "Counter", "1", NULL, &self->err), ES_OK);
  assert_non_null(strstr(json, "\"total\":5"));
  es_free(json);
}

static void settings_are_data(void **state) {
  engine *self = *state;
  static const struct {
    const char *text, *part;
  } bad[] = {
      {"return 1", "must return a table"},
      {"return { stoer = 'x' }", "unknown setting stoer"},
      {"return { store = 7 }", "store must be"},
      {"return { limits = { time_ms = -1 } }", "limits.time_ms"},
      {"return { store = os.getenv 'HOME' }", "esrun.lua:1:"},
      {"return { limits = { time_ms = function() end } }", "limits.time_ms"},
      {"while true do end", "too long"},
      {"return {", "esrun.lua:1:"},
      {"\x1bLua", "esrun.lua"},
      {"return { actors = { prefixes = { 1 } } }", "actors.prefixes"},
      {"return { limits = { memory_mb = 9223372036854775807 } }", "limits.memory_mb must be"},
      {"return { limits = 3 }", "limits must be a table with names"},
      {"return { actors = { 3 } }", "actors must be a table with names"},
      {"return { aggregates = { x = 'aggregates' } }", "aggregates must be a list"},
      {"return { library = { 'lib', [3] = 'more' } }", "library must be a list"},
      {"return { aggregates = { 'a\\0b' } }", "aggregates must be a list of strings without NUL"},
      {"return { store = 'a\\0b' }", "store must be a path"},
      {"return { store = '' }", "store must be a path"},
      {"return { ['store\\0x'] = 'a' }", "settings must be a table with names"},
      {"return {}, 3", "must return a table, not several values"},
      {"", "must return a table"},
  };

  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    write_file(self, "esrun.lua", bad[i].text);
    fails_to_open(self, ES_ERR_USAGE, bad[i].part);
  }
}

static void folders_that_the_settings_name_must_be_there(void **state) {
  engine *self = *state;
  static const struct {
    const char *text, *part;
  } bad[] = {
      {"return { aggregates = { 'aggregates', 'agregates' } }", "aggregates names the folder"},
      {"return { aggregates = { 'agregates' } }", "/agregates, which is not there"},
      {"return { projections = { 'nope' } }", "projections names the folder"},
      {"return { library = { 'nope' } }", "library names the folder"},
  };

  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    write_file(self, "esrun.lua", bad[i].text);
    fails_to_open(self, ES_ERR_USAGE, bad[i].part);
    assert_string_equal(self->err.code, "no_folder");
  }
  char path[128];
  snprintf(path, sizeof path, "%s/lib", self->folder);
  assert_int_equal(rmdir(path), 0);
  static const char *const usual[] = {"return {}", "return { library = { 'lib' } }"};
  for (size_t i = 0; i < 2; i++) { /* the defaults may be missing */
    write_file(self, "esrun.lua", usual[i]);
    assert_int_equal(try_open(self, ":memory:"), ES_OK);
    es_close(self->rt);
    self->rt = NULL;
  }
}

static void folders_nest_eight_deep_and_no_deeper(void **state) {
  engine *self = *state;
  char path[128];
  int length = snprintf(path, sizeof path, "%s/lib", self->folder);

  for (int depth = 1; depth <= 8; depth++) {
    length += snprintf(path + length, sizeof path - (size_t)length, "/d");
    assert_int_equal(mkdir(path, 0700), 0);
  }
  assert_int_equal(try_open(self, ":memory:"), ES_OK);
  es_close(self->rt);
  self->rt = NULL;
  snprintf(path + length, sizeof path - (size_t)length, "/again");
  assert_int_equal(symlink(".", path), 0); /* would go on for ever */
  fails_to_open(self, ES_ERR_USAGE, "there are more than 8 folders below another");
  assert_string_equal(self->err.code, "path_too_deep");
}

static void settings_of_another_user_are_refused(void **state) {
  engine *self = *state;
  char path[128];

  if (geteuid() != 0) {
    print_message("only root can give a file to another user\n");
    skip();
  }
  snprintf(path, sizeof path, "%s/esrun.lua", self->folder);
  assert_int_equal(chown(path, 65534, 65534), 0);
  fails_to_open(self, ES_ERR_USAGE, "belongs to another user");
}

static void required_actors_are_a_setting(void **state) {
  engine *self = *state;

  write_file(self, "esrun.lua", "return { actors = { required = true, prefixes = { 'robot' } } }");
  write_counter(self, "");
  open_engine(self, ":memory:");
  assert_int_equal(execute(self, "Counter", "1", "count", "{\"by\":1}"), ES_ERR_DENIED);
  assert_string_equal(self->err.message, "Authentication required");
  es_token token = enter(self, "robot:r2", NULL);
  succeeds(self, "Counter", "1", "count", "{\"by\":1}");
  leave(self, token);
}

/* An event stored under version 1 is read as the newest. */
static void old_events_are_upcast(void **state) {
  engine *self = *state;
  char path[128], *json = NULL;

  snprintf(path, sizeof path, "%s/x.db", self->folder);
  write_counter(self,
                "Counter.apply = { Counted = function(s, e) s.total = s.total + e.data.by end }");
  open_engine(self, path);
  succeeds(self, "Counter", "1", "count", "{\"by\":2}");
  es_close(self->rt);
  write_counter(self, "Counter.events = { Counted = { amount = 'integer', unit = 'string' } }\n"
                      "Counter.upcast = { Counted = { function(d) return { amount = d.by } end,\n"
                      "  function(d) d.unit = 'piece' return d end } }\n"
                      "Counter.apply = { Counted = function(s, e)\n"
                      "  s.total, s.unit = s.total + e.data.amount, e.data.unit end }\n"
                      "Counter.commands.count.decide = function(_, cmd)\n"
                      "  return es.event('Counted', { amount = cmd.by, unit = 'box' }) end");
  open_engine(self, path);
  assert_int_equal(es_load(&json, self->rt, "Counter", "1", NULL, &self->err), ES_OK);
  assert_non_null(strstr(json, "{\"total\":2,\"unit\":\"piece\"}"));
  es_free(json);
  succeeds(self, "Counter", "1", "count", "{\"by\":5}");
  assert_int_equal(es_load(&json, self->rt, "Counter", "1", NULL, &self->err), ES_OK);
  assert_non_null(strstr(json, "{\"total\":7,\"unit\":\"box\"}"));
  es_free(json);
  es_close(self->rt);
  write_counter(self, ""); /* back to the old module: version 3 is news to it */
  open_engine(self, path);
  assert_int_equal(es_load(&json, self->rt, "Counter", "1", NULL, &self->err), ES_OK);
  es_free(json);
  es_close(self->rt);
  write_counter(self, "Counter.apply = { Counted = function() end }");
  open_engine(self, path);
  assert_int_equal(es_load(&json, self->rt, "Counter", "1", NULL, &self->err), ES_ERR_LUA);
  assert_string_equal(self->err.code, "newer_event");
}

static void an_undeclared_event_is_named(void **state) {
  engine *self = *state;
  char path[128], *json = NULL;

  snprintf(path, sizeof path, "%s/x.db", self->folder);
  write_counter(self, "");
  open_engine(self, path);
  succeeds(self, "Counter", "1", "count", "{\"by\":2}");
  es_close(self->rt);
  write_counter(self, "Counter.events = { Tallied = { by = 'integer' } }");
  open_engine(self, path);
  assert_int_equal(es_load(&json, self->rt, "Counter", "1", NULL, &self->err), ES_ERR_LUA);
  assert_string_equal(self->err.code, "unknown_event");
  assert_non_null(strstr(self->err.message, "Counted"));
  assert_non_null(strstr(self->err.message, "aggregates/counter.lua"));
}

static es_status check_replay(engine *self, bool nondeterminism) {
  es_options options = ES_OPTIONS_INIT;
  es_replay_options how = ES_REPLAY_INIT;
  es_replay_report report;

  options.project_path = self->folder;
  options.store_path = ":memory:";
  options.allow_nondeterminism = nondeterminism;
  if (es_open(&self->rt, &options, &self->err) != ES_OK) fail_msg("%s", self->err.message);
  for (int i = 0; i < 40; i++)
    succeeds(self, "Counter", i % 3 ? "a" : "b", "count", "{\"by\":1}");
  how.check = true;
  es_status status = es_replay(&report, self->rt, &how, &self->err);
  es_close(self->rt);
  self->rt = NULL;
  return status;
}

static void replay_catches_what_is_not_pure(void **state) {
  engine *self = *state;

  write_counter(self,
                "Counter.apply = { Counted = function(s, e) s.total = s.total + e.data.by end }");
  assert_int_equal(check_replay(self, false), ES_OK);
  write_counter(self, "local calls = 0\nCounter.apply = { Counted = function(s, e)\n"
                      "  calls = calls + 1 s.inner = { { calls = calls } } end }");
  assert_int_equal(check_replay(self, false), ES_ERR_INTEGRITY);
  assert_string_equal(self->err.code, "not_deterministic");
  assert_non_null(strstr(self->err.message, "version 1, at state.inner[1].calls"));
  write_counter(
      self,
      "Counter.apply = { Counted = function(s, e)\n"
      "  s.total = s.total + e.data.by if s.total == 5 then s.dice = es.test_random() end end }");
  assert_int_equal(check_replay(self, true), ES_ERR_INTEGRITY);
  assert_non_null(
      strstr(self->err.message, "Counter/a: two replays differ first at version 5, at state.dice"));
}

static void pairs_and_sort_do_not_depend_on_history(void **state) {
  engine *self = *state;

  write_counter(self, "Counter.apply = { Counted = function(s, e)\n"
                      "  s.seen = s.seen or {}\n"
                      "  for i = 1, 20 do s.seen['k' .. (i * 7 % 20)] = i end\n"
                      "  local order = es.array {}\n"
                      "  for k in pairs(s.seen) do order[#order + 1] = k end\n"
                      "  local items = {}\n"
                      "  for i, k in ipairs(order) do items[i] = { k = k, rank = i % 2 } end\n"
                      "  table.sort(items, function(a, b) return a.rank < b.rank end)\n"
                      "  s.order, s.items = order, items end }");
  assert_int_equal(check_replay(self, false), ES_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_faulty_module_is_named_by_file_and_line, set_up, tear_down),
      cmocka_unit_test_setup_teardown(who_asks_is_told_of_each_module_that_fails, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(two_modules_cannot_declare_one_event_type, set_up, tear_down),
      cmocka_unit_test_setup_teardown(library_modules_are_required_by_name, set_up, tear_down),
      cmocka_unit_test_setup_teardown(settings_are_data, set_up, tear_down),
      cmocka_unit_test_setup_teardown(folders_that_the_settings_name_must_be_there, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(folders_nest_eight_deep_and_no_deeper, set_up, tear_down),
      cmocka_unit_test_setup_teardown(settings_of_another_user_are_refused, set_up, tear_down),
      cmocka_unit_test_setup_teardown(required_actors_are_a_setting, set_up, tear_down),
      cmocka_unit_test_setup_teardown(old_events_are_upcast, set_up, tear_down),
      cmocka_unit_test_setup_teardown(an_undeclared_event_is_named, set_up, tear_down),
      cmocka_unit_test_setup_teardown(replay_catches_what_is_not_pure, set_up, tear_down),
      cmocka_unit_test_setup_teardown(pairs_and_sort_do_not_depend_on_history, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
