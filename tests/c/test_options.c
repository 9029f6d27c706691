/* test_options: what a program may replace or give when it opens a runtime: modules, allocator, clock, log, the limit's signal. */
#include "engine_support.h"

#include <signal.h>

static const char note_text[] =
    "local es = require 'es'\n"
    "local rule = require 'es.rule'\n"
    "local greeting = require 'greeting'\n"
    "local Note = es.aggregate 'Note'\n"
    "Note.events = { Noted = { text = 'string', at = 'string' } }\n"
    "function Note.initial() return {} end\n"
    "Note.apply = { Noted = function(n, e) n.text, n.at = e.data.text, e.data.at end }\n"
    "Note.commands = {\n"
    "  note = { params = { name = 'string' }, allow = rule.authenticated,\n"
    "    decide = function(_, cmd, ctx)\n"
    "      return es.event('Noted', { text = greeting(cmd.name), at = ctx.now })\n"
    "    end },\n"
    "  refuse = { params = {}, allow = rule.authenticated,\n"
    "    decide = function() return es.reject('no', 'Not today') end },\n"
    "  spin = { params = {}, allow = rule.authenticated, decide = function() while true do end end "
    "},\n"
    "  grow = { params = {}, allow = rule.authenticated,\n"
    "    decide = function() local t = {} for i = 1, 1e9 do t[i] = i end end },\n"
    "}\n"
    "return Note\n";
static const char greeting_text[] = "return function(name) return 'Hello ' .. name end\n";

static const es_module_source sources[] = {{"lib/greeting.lua", greeting_text, 0},
                                           {"aggregates/note.lua", note_text, 0}};

static es_options with_modules(void) {
  es_options options = ES_OPTIONS_INIT;
  options.store_path = ":memory:";
  options.modules = sources;
  options.module_count = 2;
  return options;
}

static void open_with(engine *self, const es_options *options) {
  *self = (engine){.err = ES_ERROR_INIT};
  if (es_open(&self->rt, options, &self->err) != ES_OK)
    fail_msg("es_open: %s (%s)", self->err.message, self->err.hint);
}

static char *state_of(engine *self, const char *id) {
  char *json = NULL;
  if (es_load(&json, self->rt, "Note", id, NULL, &self->err) != ES_OK)
    fail_msg("es_load: %s", self->err.message);
  return json;
}

/* ---- Modules given as texts ---- */

static void modules_given_as_texts_run_without_any_file(void **state) {
  es_options options = with_modules();
  engine self;
  (void)state;
  open_with(&self, &options);
  es_token token = enter(&self, "user:jane", NULL);
  succeeds(&self, "Note", "a", "note", "{\"name\": \"Jane\"}");
  char *json = state_of(&self, "a");
  assert_non_null(strstr(json, "Hello Jane"));
  es_free(json);
  assert_int_equal(execute(&self, "Document", "d", "create", "{}"), ES_ERR_USAGE); /* not shipped */
  leave(&self, token);
  es_close(self.rt);
}

static void modules_given_as_texts_stand_beside_a_project(void **state) {
  static const char path[] = "aggregates/note.lua";
  es_options options = with_modules();
  engine self;
  bool changed = true;
  (void)state;
  new_project(&self);
  write_file(&self, "lib/greeting.lua", "return function(name) return 'Ave ' .. name end\n");
  options.project_path = self.folder;
  options.modules = &sources[1];
  options.module_count = 1;
  assert_int_equal(es_open(&self.rt, &options, &self.err), ES_OK);
  es_token token = enter(&self, "user:jane", NULL);
  succeeds(&self, "Note", "a", "note", "{\"name\": \"Jane\"}");
  char *json = state_of(&self, "a");
  assert_non_null(strstr(json, "Ave Jane"));
  es_free(json);

  write_file(&self, "lib/greeting.lua", "return function(name) return 'Salve ' .. name end\n");
  assert_int_equal(es_reload(&changed, self.rt, &self.err), ES_OK);
  assert_true(changed);
  succeeds(&self, "Note", "a", "note", "{\"name\": \"Jane\"}");
  json = state_of(&self, "a");
  assert_non_null(strstr(json, "Salve Jane"));
  es_free(json);
  leave(&self, token);
  es_close(self.rt);
  self.rt = NULL;

  write_file(&self, path, note_text);
  assert_int_equal(es_open(&self.rt, &options, &self.err), ES_ERR_USAGE);
  assert_string_equal(self.err.code, "duplicate_module");
  assert_non_null(strstr(self.err.message, path));
  remove_project(&self);
}

static void a_text_that_does_not_compile_is_named_with_its_line(void **state) {
  es_module_source wrong = {"aggregates/wrong.lua",
                            "local es = require 'es'\n\nreturn es.aggregate(\n", 0};
  es_options options = ES_OPTIONS_INIT;
  engine self = {.err = ES_ERROR_INIT};
  (void)state;
  options.store_path = ":memory:";
  options.modules = &wrong;
  options.module_count = 1;
  assert_int_equal(es_open(&self.rt, &options, &self.err), ES_ERR_LUA);
  assert_null(self.rt);
  if (strncmp(self.err.message, "aggregates/wrong.lua:", 21) != 0 || self.err.message[21] < '3')
    fail_msg("%s", self.err.message);
}

static void fails_to_open(const es_options *options, es_status status, const char *part) {
  engine self = {.err = ES_ERROR_INIT};

  assert_int_equal(es_open(&self.rt, options, &self.err), status);
  assert_null(self.rt);
  if (strstr(self.err.message, part) == NULL) fail_msg("%s", self.err.message);
}

static void a_library_text_that_nobody_requires_must_compile(void **state) {
  es_module_source wrong[] = {sources[0], sources[1], {"lib/more.lua", "return {\n", 0}};
  es_options options = with_modules();
  (void)state;
  options.modules = wrong;
  options.module_count = 3;
  fails_to_open(&options, ES_ERR_LUA, "lib/more.lua:");
  wrong[2].text = "\033Lua";
  fails_to_open(&options, ES_ERR_LUA, "lib/more.lua: bytecode is refused");
}

static void options_that_cannot_be_meant_are_refused(void **state) {
  static const es_options none = ES_OPTIONS_INIT;
  es_options options = with_modules();
  es_layout layout;
  es_error err = ES_ERROR_INIT;
  (void)state;
  fails_to_open(NULL, ES_ERR_USAGE, "options are needed");
  assert_int_equal(es_store_layout(&layout, NULL, &err), ES_ERR_USAGE);
  options.modules = NULL;
  fails_to_open(&options, ES_ERR_USAGE, "module_count is 2, and modules is NULL");
  options = none;
  options.store_path = ":memory:";
  options.time_limit_ms = -5;
  fails_to_open(&options, ES_ERR_USAGE, "time_limit_ms: -5 is no limit");
  options.time_limit_ms = INT64_MAX;
  fails_to_open(&options, ES_ERR_USAGE, "time_limit_ms: 9223372036854775807 is no limit");
  options.time_limit_ms = 0;
  options.memory_limit_bytes = -1;
  fails_to_open(&options, ES_ERR_USAGE, "memory_limit_bytes: -1 is no limit");
  options.memory_limit_bytes = 10;
  fails_to_open(&options, ES_ERR_LUA, "the limit is 10 bytes");
}

static void bytecode_is_no_text(void **state) {
  es_module_source wrong = {"aggregates/wrong.lua", "\033Lua", 4};
  es_options options = ES_OPTIONS_INIT;
  engine self = {.err = ES_ERROR_INIT};
  (void)state;
  options.store_path = ":memory:";
  options.modules = &wrong;
  options.module_count = 1;
  assert_int_equal(es_open(&self.rt, &options, &self.err), ES_ERR_LUA);
  assert_non_null(strstr(self.err.message, "aggregates/wrong.lua"));
}

static void a_text_needs_the_path_of_a_module(void **state) {
  static const char *const paths[] = {NULL,         "",         "note.lua",   "aggregates/note",
                                      "/etc/x.lua", "lib/.lua", "aggregates/"};
  (void)state;
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
    es_module_source wrong = {paths[i], note_text, 0};
    es_options options = ES_OPTIONS_INIT;
    engine self = {.err = ES_ERROR_INIT};
    options.store_path = ":memory:";
    options.modules = &wrong;
    options.module_count = 1;
    if (es_open(&self.rt, &options, &self.err) != ES_ERR_USAGE)
      fail_msg("%s: %s", paths[i] == NULL ? "NULL" : paths[i], self.err.message);
    assert_string_equal(self.err.code, "bad_module");
    assert_non_null(strstr(self.err.hint, "aggregates/NAME.lua"));
  }
}

/* ---- Allocator ---- */

typedef struct account {
  size_t used;
  size_t calls;
  size_t limit; /* 0: none */
} account;

static void *counting(void *data, void *block, size_t old_size, size_t new_size) {
  account *self = data;
  size_t was = block == NULL ? 0 : old_size;

  self->calls++;
  if (new_size == 0) {
    self->used -= was;
    free(block);
    return NULL;
  }
  if (self->limit > 0 && self->used - was + new_size > self->limit && new_size > was) return NULL;
  void *out = realloc(block, new_size);
  if (out != NULL) self->used = self->used - was + new_size;
  return out;
}

static void the_memory_of_domain_states_comes_from_the_allocator(void **state) {
  es_options options = with_modules();
  account memory = {0};
  engine self;
  (void)state;
  options.allocate = counting;
  options.allocate_data = &memory;
  open_with(&self, &options);
  assert_true(memory.used > 50 * 1024);
  es_token token = enter(&self, "user:jane", NULL);
  succeeds(&self, "Note", "a", "note", "{\"name\": \"Jane\"}");
  leave(&self, token);
  es_close(self.rt);
  assert_int_equal(memory.used, 0);
}

static void an_allocator_that_has_no_more_fails_the_command_only(void **state) {
  es_options options = with_modules();
  account memory = {0};
  engine self;
  (void)state;
  options.allocate = counting;
  options.allocate_data = &memory;
  open_with(&self, &options);
  memory.limit = memory.used + 256 * 1024;
  es_token token = enter(&self, "user:jane", NULL);
  assert_int_equal(execute(&self, "Note", "a", "grow", NULL), ES_ERR_LUA);
  assert_string_equal(self.err.code, "memory_limit");
  succeeds(&self, "Note", "a", "note", "{\"name\": \"Jane\"}");
  leave(&self, token);
  es_close(self.rt);
  assert_int_equal(memory.used, 0);
}

/* ---- Clock ---- */

static void the_clock_is_the_only_source_of_time(void **state) {
  es_options options = with_modules();
  engine self;
  int64_t now = INT64_C(1705314600000000); /* 2024-01-15T10:30:00Z */
  (void)state;
  options.clock = test_clock;
  options.clock_data = &now;
  open_with(&self, &options);
  es_token token = enter(&self, "user:jane", NULL);
  succeeds(&self, "Note", "a", "note", "{\"name\": \"Jane\"}");
  char *json = state_of(&self, "a");
  assert_non_null(strstr(json, "\"at\":\"2024-01-15T10:30:00."));
  assert_non_null(strstr(json, "\"last_event_at\":\"2024-01-15T10:30:00."));
  es_free(json);
  leave(&self, token);
  es_close(self.rt);
}

/* ---- Log ---- */

typedef struct log_book {
  int count;
  es_log_level level;
  char last[2048];
} log_book;

static void keep_record(void *data, es_log_level level, const char *json, size_t length) {
  log_book *book = data;
  book->count++;
  book->level = level;
  snprintf(book->last, sizeof book->last, "%.*s", (int)length, json);
}

static void has(const log_book *book, const char *part) {
  if (strstr(book->last, part) == NULL) fail_msg("no %s in %s", part, book->last);
}

/* covers E62 */
static void a_log_record_says_who_acts_for_whom_in_which_request(void **state) {
  es_options options = with_modules();
  es_frame frame = ES_FRAME_INIT;
  log_book book = {0};
  engine self;
  es_token token;
  (void)state;
  options.log = keep_record;
  options.log_data = &book;
  open_with(&self, &options);
  frame.actor_id = "user:jane";
  frame.tenant_id = "acme";
  frame.request_id = "req-7";
  frame.correlation_id = "0190a3c4-7f2e-7c11-8a53-0123456789ab";
  assert_int_equal(es_context_enter(&token, self.rt, &frame, &self.err), ES_OK);
  assert_int_equal(execute(&self, "Note", "a", "refuse", NULL), ES_ERR_REJECTED);
  assert_int_equal(book.count, 1);
  assert_int_equal(book.level, ES_LOG_INFO);
  has(&book, "\"level\":\"info\"");
  has(&book, "\"code\":\"no\"");
  has(&book, "\"message\":\"Note/a refuse: Not today\"");
  has(&book, "\"actor_id\":\"user:jane\"");
  has(&book, "\"tenant_id\":\"acme\"");
  has(&book, "\"request_id\":\"req-7\"");
  has(&book, "\"correlation_id\":\"0190a3c4-7f2e-7c11-8a53-0123456789ab\"");

  es_command unwatched = ES_COMMAND_INIT; /* the caller does not want to know: the log does */
  es_reply *reply = NULL;
  unwatched.aggregate_type = "Note";
  unwatched.aggregate_id = "a";
  unwatched.command = "refuse";
  assert_int_equal(es_execute(&reply, self.rt, &unwatched, NULL), ES_ERR_REJECTED);
  assert_int_equal(book.count, 2);
  has(&book, "\"message\":\"Note/a refuse: Not today\"");
  leave(&self, token);

  assert_int_equal(execute(&self, "Note", "a", "refuse", NULL), ES_ERR_DENIED);
  assert_int_equal(book.count, 3);
  assert_null(strstr(book.last, "user:jane")); /* the frame was left */
  assert_null(strstr(book.last, "acme"));
  es_close(self.rt);
}

/* ---- The signal of the time limit ---- */

static bool is_handled(int number) {
  struct sigaction action;
  assert_int_equal(sigaction(number, NULL, &action), 0);
  return action.sa_handler != SIG_DFL;
}

static void spin_is_stopped(int limit_signal) {
  es_options options = with_modules();
  engine self;
  options.limit_signal = limit_signal;
  options.time_limit_ms = 20;
  open_with(&self, &options);
  es_token token = enter(&self, "user:jane", NULL);
  assert_int_equal(execute(&self, "Note", "a", "spin", NULL), ES_ERR_LUA);
  assert_string_equal(self.err.code, "time_limit");
  assert_non_null(strstr(self.err.message, "aggregates/note.lua:"));
  succeeds(&self, "Note", "a", "note", "{\"name\": \"Jane\"}");
  leave(&self, token);
  es_close(self.rt);
}

static void the_time_limit_needs_no_signal(void **state) {
  (void)state;
  assert_false(
      is_handled(SIGRTMIN + 3)); /* the first test of this program that could install it is below */
  spin_is_stopped(-1);
  assert_false(is_handled(SIGRTMIN + 3));
}

static void the_time_limit_takes_the_signal_that_it_is_given(void **state) {
  (void)state;
  assert_false(is_handled(SIGRTMIN + 5));
  spin_is_stopped(SIGRTMIN + 5);
  assert_true(is_handled(SIGRTMIN + 5));
  assert_false(is_handled(SIGRTMIN + 3));
}

static void a_signal_that_cannot_be_handled_is_refused(void **state) {
  es_options options = with_modules();
  engine self = {.err = ES_ERROR_INIT};
  (void)state;
  options.limit_signal = SIGKILL;
  assert_int_equal(es_open(&self.rt, &options, &self.err), ES_ERR_USAGE);
  assert_string_equal(self.err.code, "limit_signal");
}

/* ---- An older program ---- */

static void members_that_an_older_program_does_not_know_keep_their_defaults(void **state) {
  es_options options = with_modules();
  engine self;
  (void)state;
  options.size = offsetof(es_options, modules);
  open_with(&self, &options);
  assert_int_equal(execute(&self, "Note", "a", "note", "{\"name\": \"x\"}"), ES_ERR_USAGE);
  assert_string_equal(self.err.code, "unknown_aggregate");
  es_close(self.rt);
}

/* The same where no runtime is opened: behind the members of its time an older program has anything. */
static void looking_and_restoring_take_an_older_program_s_options_too(void **state) {
  es_options options = ES_OPTIONS_INIT;
  es_layout layout;
  engine self;
  char backup[128];
  (void)state;
  new_project(&self);
  snprintf(backup, sizeof backup, "%s/backup.db", self.folder);
  open_engine(&self, NULL);
  assert_int_equal(es_backup(NULL, self.rt, backup, NULL, NULL, &self.err), ES_OK);
  es_close(self.rt);
  self.rt = NULL;
  options.size = offsetof(es_options, store_path);
  options.project_path = self.folder;
  options.store_path = "/nowhere/behind/the/end";
  assert_int_equal(es_store_layout(&layout, &options, &self.err), ES_OK);
  assert_int_equal(layout.version, layout.known);
  assert_int_equal(es_restore(NULL, backup, &options, NULL, &self.err), ES_ERR_USAGE);
  assert_string_equal(self.err.code, "store_exists"); /* the project's */
  remove_project(&self);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_time_limit_needs_no_signal),
      cmocka_unit_test(the_time_limit_takes_the_signal_that_it_is_given),
      cmocka_unit_test(a_signal_that_cannot_be_handled_is_refused),
      cmocka_unit_test(modules_given_as_texts_run_without_any_file),
      cmocka_unit_test(modules_given_as_texts_stand_beside_a_project),
      cmocka_unit_test(a_text_that_does_not_compile_is_named_with_its_line),
      cmocka_unit_test(a_library_text_that_nobody_requires_must_compile),
      cmocka_unit_test(options_that_cannot_be_meant_are_refused),
      cmocka_unit_test(bytecode_is_no_text),
      cmocka_unit_test(a_text_needs_the_path_of_a_module),
      cmocka_unit_test(the_memory_of_domain_states_comes_from_the_allocator),
      cmocka_unit_test(an_allocator_that_has_no_more_fails_the_command_only),
      cmocka_unit_test(the_clock_is_the_only_source_of_time),
      cmocka_unit_test(a_log_record_says_who_acts_for_whom_in_which_request),
      cmocka_unit_test(members_that_an_older_program_does_not_know_keep_their_defaults),
      cmocka_unit_test(looking_and_restoring_take_an_older_program_s_options_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
