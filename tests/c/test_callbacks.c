/* test_callbacks: what a clock or a log may do to the runtime that calls it: nothing that a call under way needs. */
#include "engine_support.h"

static const char NOTE[] =
    "local es = require 'es'\n"
    "local rule = require 'es.rule'\n"
    "local N = es.aggregate 'Note'\n"
    "N.events = { Written = { text = 'string' } }\n"
    "N.apply = { Written = function(n, e) n.text = e.data.text end }\n"
    "N.commands = {\n"
    "  write = { params = { text = 'string' }, allow = rule.authenticated,\n"
    "    decide = function(_, cmd) return es.event('Written', { text = cmd.text }) end },\n"
    "  refuse = { params = {}, allow = rule.authenticated,\n"
    "    decide = function() return es.reject('no', 'No') end },\n"
    "  fail = { params = {}, allow = rule.authenticated, decide = function() error('oops') end },\n"
    "}\n"
    "return N\n";

/* A clock that meddles with the context each time it is asked, while `armed`. */
typedef struct meddler {
  engine base;
  es_token token;
  bool armed;
  void (*meddle)(struct meddler *self);
  es_error entered, left;
  char logged[2048];
} meddler;

static int64_t meddling_clock(void *data) {
  meddler *self = data;
  if (self->armed) self->meddle(self);
  return test_clock(&self->base.now);
}

static void keep_record(void *data, es_log_level level, const char *json, size_t length) {
  meddler *self = data;
  (void)level;
  snprintf(self->logged, sizeof self->logged, "%.*s", (int)length, json);
}

static int setup(void **state) {
  meddler *self = calloc(1, sizeof *self);
  es_options options = ES_OPTIONS_INIT;
  es_frame frame = ES_FRAME_INIT;

  new_project(&self->base);
  write_file(&self->base, "aggregates/note.lua", NOTE);
  options.project_path = self->base.folder;
  options.store_path = ":memory:";
  options.clock = meddling_clock;
  options.clock_data = self;
  options.log = keep_record;
  options.log_data = self;
  if (es_open(&self->base.rt, &options, &self->base.err) != ES_OK)
    fail_msg("%s", self->base.err.message);
  frame.actor_id = "user:alice";
  frame.tenant_id = "acme";
  assert_int_equal(es_context_enter(&self->token, self->base.rt, &frame, &self->base.err), ES_OK);
  *state = self;
  return 0;
}

static int teardown(void **state) {
  meddler *self = *state;
  remove_project(&self->base);
  free(self);
  return 0;
}

static es_status give(meddler *self, const char *name, const char *params, es_reply **reply) {
  es_command command = ES_COMMAND_INIT;

  command.aggregate_type = "Note";
  command.aggregate_id = "1";
  command.command = name;
  command.params_json = params;
  self->armed = true;
  es_status status = es_execute(reply, self->base.rt, &command, &self->base.err);
  self->armed = false;
  return status;
}

static void is_by_alice(const es_event *event) {
  assert_int_equal(event->actor_id.length, strlen("user:alice"));
  assert_memory_equal(event->actor_id.data, "user:alice", event->actor_id.length);
  assert_int_equal(event->tenant_id.length, strlen("acme"));
  assert_memory_equal(event->tenant_id.data, "acme", event->tenant_id.length);
}

static void leave_and_enter(meddler *self) {
  es_frame frame = ES_FRAME_INIT;
  es_token token;

  frame.actor_id = "user:mallory";
  es_context_leave(self->base.rt, self->token, &self->left);
  es_context_enter(&token, self->base.rt, &frame, &self->entered);
}

static void take_away(meddler *self) { es_context_swap(NULL, self->base.rt, NULL); }

static void a_callback_of_a_command_cannot_leave_its_frame_or_enter_another(void **state) {
  meddler *self = *state;
  es_reply *reply = NULL;

  self->meddle = leave_and_enter;
  assert_int_equal(give(self, "write", "{\"text\":\"a\"}", &reply), ES_OK);
  is_by_alice(es_reply_event(reply, 0));
  assert_string_equal(self->left.code, "nested_command");
  assert_string_equal(self->entered.code, "nested_command");
  es_reply_free(reply);
}

static void a_command_keeps_the_context_that_it_began_with(void **state) {
  meddler *self = *state;
  es_reply *reply = NULL;

  self->meddle = take_away;
  assert_int_equal(give(self, "write", "{\"text\":\"a\"}", &reply), ES_OK);
  is_by_alice(es_reply_event(reply, 0));
  es_reply_free(reply);
}

static void so_do_events_that_are_appended(void **state) {
  meddler *self = *state;
  es_event event = {.aggregate_type = {"Note", 4},
                    .aggregate_id = {"1", 1},
                    .event_type = {"Written", 7},
                    .data = {"{\"text\":\"a\"}", 12}};
  es_frame operator_frame = ES_FRAME_INIT;
  const es_event *stored = NULL;
  es_cursor *cursor = NULL;
  es_token token;

  self->meddle = take_away;
  self->armed = true;
  es_status status = es_append(self->base.rt, &event, 1, 0, &self->base.err);
  self->armed = false;
  assert_int_equal(status, ES_OK);
  operator_frame.operator_scope = true;
  assert_int_equal(es_context_enter(&token, self->base.rt, &operator_frame, &self->base.err),
                   ES_OK);
  assert_int_equal(es_read(&cursor, self->base.rt, NULL, &self->base.err), ES_OK);
  assert_int_equal(es_cursor_next(&stored, cursor, &self->base.err), ES_OK);
  assert_non_null(stored);
  is_by_alice(stored);
  es_cursor_close(cursor);
}

static void so_do_the_rows_of_an_import(void **state) {
  static const char mapping[] =
      "return function(row) return { aggregate_type = 'Note', aggregate_id = row.id, event_type = "
      "'Written', actor_id = 'user:alice', data = { text = 'a' } } end";
  static const char rows[] = "{\"id\":\"1\"}\n{\"id\":\"2\"}\n{\"id\":\"3\"}";
  meddler *self = *state;
  es_import_options options = ES_IMPORT_INIT;
  es_frame frame = ES_FRAME_INIT;
  const es_event *stored = NULL;
  es_import *import = NULL;
  es_cursor *cursor = NULL;
  es_token token;

  options.form = ES_IMPORT_JSONL;
  options.name = "notes";
  options.mapping = mapping;
  options.group = 1;
  assert_int_equal(es_import_open(&import, self->base.rt, &options, &self->base.err), ES_OK);
  self->meddle = take_away;
  self->armed = true;
  es_status status = es_import_feed(import, rows, strlen(rows), &self->base.err);
  self->armed = false;
  assert_int_equal(status, ES_OK);
  assert_int_equal(es_context_depth(self->base.rt), 0);
  frame.tenant_id = "acme";
  assert_int_equal(es_context_enter(&token, self->base.rt, &frame, &self->base.err), ES_OK);
  self->armed = true;
  status = es_import_finish(import, &self->base.err);
  self->armed = false;
  assert_int_equal(status, ES_OK);
  es_import_close(import);
  frame.operator_scope = true;
  assert_int_equal(es_context_enter(&token, self->base.rt, &frame, &self->base.err), ES_OK);
  assert_int_equal(es_read(&cursor, self->base.rt, NULL, &self->base.err), ES_OK);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(es_cursor_next(&stored, cursor, &self->base.err), ES_OK);
    assert_non_null(stored);
    is_by_alice(stored);
  }
  es_cursor_close(cursor);
}

/* covers E62 */
static void records_of_a_command_carry_the_correlation_that_began_with_it(void **state) {
  meddler *self = *state;
  es_reply *reply = NULL;
  es_frame operator_frame = ES_FRAME_INIT;
  const es_event *event = NULL;
  es_cursor *cursor = NULL;
  es_token token;
  char id[ES_ID_TEXT_SIZE], member[80];

  self->meddle = leave_and_enter;
  assert_int_equal(give(self, "fail", NULL, &reply), ES_ERR_LUA);
  assert_int_equal(es_context_leave(self->base.rt, self->token, &self->base.err), ES_OK);
  operator_frame.operator_scope = true;
  assert_int_equal(es_context_enter(&token, self->base.rt, &operator_frame, &self->base.err),
                   ES_OK);
  assert_int_equal(es_read(&cursor, self->base.rt, NULL, &self->base.err), ES_OK);
  assert_int_equal(es_cursor_next(&event, cursor, &self->base.err), ES_OK);
  assert_non_null(event);
  es_id_text(id, event->correlation_id);
  es_cursor_close(cursor);
  snprintf(member, sizeof member, "\"correlation_id\":\"%s\"", id);
  if (strstr(self->logged, member) == NULL) fail_msg("%s has no %s", self->logged, member);
  assert_non_null(strstr(self->logged, "\"message\":\"Note/1 fail: aggregates/note.lua:"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(a_callback_of_a_command_cannot_leave_its_frame_or_enter_another),
      TEST(a_command_keeps_the_context_that_it_began_with),
      TEST(so_do_events_that_are_appended),
      TEST(so_do_the_rows_of_an_import),
      TEST(records_of_a_command_carry_the_correlation_that_began_with_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
