/* test_engine: the life of a command on an in-memory store: outcomes, what is recorded, what is never stored. */
#include "engine_support.h"

static const char note_module[] =
    "local es = require 'es'\n"
    "local rule = require 'es.rule'\n"
    "local Note = es.aggregate 'Note'\n"
    "Note.events = {\n"
    "  NoteWritten = { text = 'string', words = 'integer?' },\n"
    "  NoteSigned = { by = 'string', require_actor = true },\n"
    "}\n"
    "function Note.initial() return { text = '', edits = 0 } end\n"
    "Note.apply = {\n"
    "  NoteWritten = function(note, e) note.text, note.by, note.edits = e.data.text, e.actor_id, "
    "note.edits + 1 end,\n"
    "}\n"
    "Note.view = rule.any(rule.role 'auditor', rule.owner 'by')\n"
    "Note.commands = {\n"
    "  write = { params = { text = 'string' }, allow = rule.authenticated,\n"
    "    decide = function(note, cmd, ctx)\n"
    "      if cmd.text == note.text then return es.reject('unchanged', 'Nothing changed') end\n"
    "      return es.event('NoteWritten', { text = cmd.text }):with_metadata { channel = 'test' }\n"
    "    end },\n"
    "  twice = { params = {}, allow = rule.anyone, exists = true, decide = function()\n"
    "      return { es.event('NoteWritten', { text = 'a' }), es.event('NoteWritten', { text = 'b' "
    "}) } end },\n"
    "  nothing = { params = {}, allow = rule.anyone, decide = function() end },\n"
    "  locked = { params = {}, decide = function() return es.event('NoteWritten', { text = 'x' }) "
    "end },\n"
    "  broken_rule = { params = {}, allow = function() error 'oops' end, decide = function() end "
    "},\n"
    "  slow_rule = { params = {}, allow = function() while true do end end, decide = function() "
    "end },\n"
    "  broken = { params = {}, allow = rule.anyone, decide = function(note) return "
    "note.missing.field end },\n"
    "  endless = { params = {}, allow = rule.anyone, decide = function() while true do end end },\n"
    "  undeclared = { params = {}, allow = rule.anyone, decide = function() return es.event "
    "'NoteBurnt' end },\n"
    "  mistyped = { params = {}, allow = rule.anyone,\n"
    "    decide = function() return es.event('NoteWritten', { text = 1 }) end },\n"
    "  half = { params = {}, allow = rule.anyone, decide = function()\n"
    "    return { es.event('NoteWritten', { text = 'good' }), es.event('NoteWritten', { text = 2 "
    "}) } end },\n"
    "  forge = { params = {}, allow = rule.anyone, decide = function()\n"
    "    return es.event('NoteWritten', { text = 'x' }):with_metadata { request_id = 'forged' } "
    "end },\n"
    "  sign = { params = {}, allow = rule.anyone, decide = function()\n"
    "    return es.event('NoteSigned', { by = 'me' }) end },\n"
    "  assign = { params = {}, allow = rule.anyone, decide = function(note) note.text = 'changed' "
    "end },\n"
    "  ids = { params = {}, allow = rule.anyone, decide = function(_, _, ctx)\n"
    "    return es.event('NoteWritten', { text = ctx.new_id() .. ' ' .. ctx.now }) end },\n"
    "}\n"
    "return Note\n";

static int set_up(void **state) {
  static engine self;
  new_project(&self);
  write_file(&self, "aggregates/note.lua", note_module);
  open_engine(&self, ":memory:");
  *state = &self;
  return 0;
}

static int tear_down(void **state) {
  remove_project(*state);
  return 0;
}

/* covers E20, E33, E34, E38 */
static void appends_and_loads(void **state) {
  engine *self = *state;
  es_token token = enter(self, "user:jane", NULL);
  char *json = NULL;

  succeeds(self, "Note", "1", "write", "{\"text\":\"hello\"}");
  succeeds(self, "Note", "1", "write", "{\"text\":\"again\"}");
  assert_int_equal(es_load(&json, self->rt, "Note", "1", NULL, &self->err), ES_OK);
  assert_non_null(strstr(json, "\"version\":2"));
  assert_non_null(strstr(json, "\"state\":{\"by\":\"user:jane\",\"edits\":2,\"text\":\"again\"}"));
  es_free(json);
  es_load_options past = ES_LOAD_INIT;
  past.at_version = 1;
  assert_int_equal(es_load(&json, self->rt, "Note", "1", &past, &self->err), ES_OK);
  assert_non_null(strstr(json, "\"text\":\"hello\""));
  es_free(json);
  leave(self, token);
}

/* covers E22, E27 */
static void denies_a_command_without_an_actor(void **state) {
  engine *self = *state;

  assert_int_equal(execute(self, "Note", "1", "write", "{\"text\":\"x\"}"), ES_ERR_DENIED);
  assert_string_equal(self->err.code, "unauthenticated");
  assert_string_equal(self->err.message, "Authentication required");
  assert_int_equal(count_events(self, "NoteWritten"), 0);
  assert_int_equal(count_events(self, "$CommandDenied"), 1);
}

/* covers E58 */
static void denies_what_no_rule_allows(void **state) {
  engine *self = *state;

  assert_int_equal(execute(self, "Note", "1", "locked", NULL), ES_ERR_DENIED);
  assert_string_equal(self->err.code, "no_rule");
  assert_int_equal(execute(self, "Note", "1", "broken_rule", NULL), ES_ERR_DENIED);
  assert_string_equal(self->err.code, "rule_failed");
  assert_non_null(strstr(self->err.hint, "note.lua:"));
  assert_int_equal(execute(self, "Note", "1", "slow_rule", NULL), ES_ERR_DENIED);
  assert_string_equal(self->err.code, "rule_failed");
  assert_int_equal(count_events(self, NULL), 3);
  assert_int_equal(count_events(self, "$CommandDenied"), 3);
}

/* covers D3, C5 */
static void rejections_are_values_and_recorded(void **state) {
  engine *self = *state;
  es_token token = enter(self, "user:jane", NULL);

  succeeds(self, "Note", "1", "write", "{\"text\":\"hello\"}");
  assert_int_equal(execute(self, "Note", "1", "write", "{\"text\":\"hello\"}"), ES_ERR_REJECTED);
  assert_string_equal(self->err.code, "unchanged");
  assert_string_equal(self->err.message, "Nothing changed");
  leave(self, token);
  assert_int_equal(count_events(self, "$CommandRejected"), 1);
}

static void missing_aggregates_are_not_found(void **state) {
  engine *self = *state;
  char *json = NULL;

  assert_int_equal(execute(self, "Note", "none", "twice", NULL), ES_ERR_NOT_FOUND);
  assert_string_equal(self->err.message, "Note not found");
  assert_int_equal(es_load(&json, self->rt, "Note", "none", NULL, &self->err), ES_ERR_NOT_FOUND);
  assert_string_equal(self->err.message, "Note not found");
  assert_null(json);
}

static void unknown_names_offer_the_nearest(void **state) {
  engine *self = *state;
  char *json = NULL;

  assert_int_equal(execute(self, "Notes", "1", "write", NULL), ES_ERR_USAGE);
  assert_string_equal(self->err.code, "unknown_aggregate");
  assert_non_null(strstr(self->err.hint, "did you mean Note?"));
  assert_int_equal(execute(self, "Note", "1", "wrte", NULL), ES_ERR_USAGE);
  assert_string_equal(self->err.code, "unknown_command");
  assert_non_null(strstr(self->err.hint, "did you mean write?"));
  assert_int_equal(es_load(&json, self->rt, "Notes", "1", NULL, &self->err), ES_ERR_USAGE);
}

/* covers E18 */
static void parameters_are_checked_before_anything_runs(void **state) {
  engine *self = *state;
  static const struct {
    const char *params, *part;
  } bad[] = {
      {"{}", "params.text"},
      {"{\"text\":1}", "params.text"},
      {"{\"text\":\"x\",\"more\":1}", "params.more"},
      {"{\"text\":\"x\",\"actor_id\":\"user:root\"}", "params.actor_id"},
      {"[]", "expected an object"},
      {"7", "expected an object"},
      {"{\"text\":", "line 1"},
      {"{\"text\":\"a\",\"text\":\"b\"}", "text"},
      {"{\"text\":9223372036854775808}", "line 1"},
      {"{\"text\":1e400}", "line 1"},
      {"{\"text\":NaN}", "line 1"},
      {"{\"text\":\"\xff\"}", "line 1"},
  };

  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(execute(self, "Note", "1", "write", bad[i].params), ES_ERR_USAGE);
    if (strstr(self->err.message, bad[i].part) == NULL)
      fail_msg("%s: %s", bad[i].params, self->err.message);
  }
  assert_int_equal(count_events(self, NULL), 0);
}

static void several_events_or_none_at_all(void **state) {
  engine *self = *state;
  es_token token = enter(self, "user:jane", NULL);
  es_command command = ES_COMMAND_INIT;
  int64_t version;

  succeeds(self, "Note", "1", "write", "{\"text\":\"x\"}");
  command.aggregate_type = "Note";
  command.aggregate_id = "1";
  command.command = "twice";
  assert_int_equal(run_command(self, &command, &version), ES_OK);
  assert_int_equal(version, 3);
  command.command = "nothing";
  assert_int_equal(run_command(self, &command, &version), ES_OK);
  assert_int_equal(version, 3);
  assert_int_equal(execute(self, "Note", "1", "half", NULL), ES_ERR_LUA);
  assert_int_equal(count_events(self, "NoteWritten"), 3);
  leave(self, token);
}

static void faulty_domain_code_stores_no_event(void **state) {
  engine *self = *state;
  static const struct {
    const char *command, *code, *part;
  } bad[] = {
      {"broken", "runtime_error", "aggregates/note.lua:"},
      {"endless", "time_limit", "aggregates/note.lua:"},
      {"undeclared", "undeclared_event", "NoteBurnt"},
      {"mistyped", "bad_event", "data.text"},
      {"forge", "reserved_metadata", "request_id"},
      {"assign", "runtime_error", "read-only"},
  };

  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    assert_int_equal(execute(self, "Note", "1", bad[i].command, NULL), ES_ERR_LUA);
    assert_string_equal(self->err.code, bad[i].code);
    if (strstr(self->err.message, bad[i].part) == NULL)
      fail_msg("%s: %s", bad[i].command, self->err.message);
    if (strstr(self->err.message, "Note/1") == NULL)
      fail_msg("%s: %s", bad[i].command, self->err.message);
  }
  assert_int_equal(count_events(self, "NoteWritten"), 0);
  assert_int_equal(count_events(self, "$CommandFailed"), 6);
}

/* covers E19 */
static void an_event_type_may_require_an_actor(void **state) {
  engine *self = *state;

  assert_int_equal(execute(self, "Note", "1", "sign", NULL), ES_ERR_USAGE);
  assert_string_equal(self->err.code, "actor_required");
  es_token token = enter(self, "user:jane", NULL);
  succeeds(self, "Note", "1", "sign", NULL);
  leave(self, token);
}

static void expected_versions_conflict(void **state) {
  engine *self = *state;
  es_token token = enter(self, "user:jane", NULL);
  es_command command = ES_COMMAND_INIT;

  succeeds(self, "Note", "1", "write", "{\"text\":\"x\"}");
  command.aggregate_type = "Note";
  command.aggregate_id = "1";
  command.command = "write";
  command.params_json = "{\"text\":\"y\"}";
  command.expected_version = 0;
  assert_int_equal(run_command(self, &command, NULL), ES_ERR_CONFLICT);
  assert_int_equal(self->err.expected_version, 0);
  assert_int_equal(self->err.actual_version, 1);
  command.expected_version = 1;
  assert_int_equal(run_command(self, &command, NULL), ES_OK);
  leave(self, token);
}

static void idempotency_keys_are_scoped(void **state) {
  engine *self = *state;
  es_token token = enter(self, "user:jane", NULL);
  es_command command = ES_COMMAND_INIT;
  es_reply *reply = NULL;

  command.aggregate_type = "Note";
  command.aggregate_id = "1";
  command.command = "write";
  command.params_json = "{\"text\":\"x\"}";
  command.idempotency_key = "k1";
  assert_int_equal(run_command(self, &command, NULL), ES_OK);
  assert_int_equal(es_execute(&reply, self->rt, &command, &self->err), ES_OK);
  assert_true(es_reply_replayed(reply));
  assert_int_equal(es_reply_count(reply), 1);
  assert_int_equal(es_reply_event(reply, 0)->position, 1);
  assert_int_equal(es_reply_version(reply), 1);
  es_reply_free(reply);

  command.params_json = "{\"text\":\"other\"}"; /* other parameters */
  assert_int_equal(run_command(self, &command, NULL), ES_ERR_USAGE);
  assert_string_equal(self->err.code, "idempotency_key_reused");
  command.aggregate_id = "2"; /* another target */
  assert_int_equal(run_command(self, &command, NULL), ES_OK);
  leave(self, token);
  token = enter(self, "user:joe", NULL); /* another actor */
  assert_int_equal(run_command(self, &command, NULL), ES_ERR_REJECTED);
  assert_int_equal(run_command(self, &command, NULL),
                   ES_ERR_REJECTED); /* replied again, not recorded again */
  leave(self, token);
  assert_int_equal(count_events(self, "NoteWritten"), 2);
  assert_int_equal(count_events(self, "$CommandRejected"), 1);
}

static void a_dry_run_stores_nothing(void **state) {
  engine *self = *state;
  es_token token = enter(self, "user:jane", NULL);
  es_command command = ES_COMMAND_INIT;
  int64_t version;

  command.aggregate_type = "Note";
  command.aggregate_id = "1";
  command.command = "write";
  command.params_json = "{\"text\":\"x\"}";
  command.dry_run = true;
  assert_int_equal(run_command(self, &command, &version), ES_OK);
  assert_int_equal(version, 1);
  es_reply *reply = NULL;
  char *json = NULL;
  assert_int_equal(es_execute(&reply, self->rt, &command, &self->err), ES_OK);
  assert_int_equal(es_reply_json(&json, reply, &self->err), ES_OK);
  assert_non_null(strstr(json, "\"positions\":[]"));
  es_free(json);
  es_reply_free(reply);
  command.command = "locked";
  command.params_json = NULL;
  assert_int_equal(run_command(self, &command, NULL), ES_ERR_DENIED);
  leave(self, token);
  assert_int_equal(count_events(self, NULL), 0);
}

/* covers E55 */
static void a_view_rule_guards_the_state(void **state) {
  engine *self = *state;
  es_token token = enter(self, "user:jane", NULL);
  char *json = NULL;

  succeeds(self, "Note", "1", "write", "{\"text\":\"mine\"}");
  leave(self, token);
  token = enter(self, "user:joe", NULL);
  assert_int_equal(es_load(&json, self->rt, "Note", "1", NULL, &self->err), ES_ERR_DENIED);
  leave(self, token);
  token = enter(self, "user:joe", "auditor");
  assert_int_equal(es_load(&json, self->rt, "Note", "1", NULL, &self->err), ES_OK);
  es_free(json);
  leave(self, token);
}

/* covers E10, E57 */
static void tenants_fail_closed(void **state) {
  engine *self = *state;
  es_frame frame = ES_FRAME_INIT;
  es_cursor *cursor = NULL;
  const es_event *event = NULL;
  es_token token;
  char *json = NULL;

  frame.actor_id = "user:jane";
  frame.tenant_id = "acme";
  assert_int_equal(es_context_enter(&token, self->rt, &frame, &self->err), ES_OK);
  succeeds(self, "Note", "1", "write", "{\"text\":\"acme's\"}");
  leave(self, token);
  token = enter(self, "user:jane", NULL);
  assert_int_equal(es_load(&json, self->rt, "Note", "1", NULL, &self->err), ES_ERR_NOT_FOUND);
  es_filter filter = ES_FILTER_INIT;
  filter.tenant_id = "acme"; /* asking is not enough */
  assert_int_equal(es_read(&cursor, self->rt, &filter, &self->err), ES_OK);
  assert_int_equal(es_cursor_next(&event, cursor, &self->err), ES_OK);
  assert_null(event);
  es_cursor_close(cursor);
  leave(self, token);
  assert_int_equal(count_events(self, NULL), 1);
}

/* covers E24, E29, E31, E36 */
static void events_carry_the_context(void **state) {
  engine *self = *state;
  es_frame frame = ES_FRAME_INIT;
  es_command command = ES_COMMAND_INIT;
  es_reply *reply = NULL;
  es_token outer = enter(self, "user:jane", NULL), token;

  frame.actor_id = "system:mailer";
  frame.metadata_json = "{\"ip_address\":\"10.0.0.1\",\"mfa_verified\":true}";
  frame.causation_id = "0190a3c4-7f2e-7c11-8a53-0123456789ab";
  assert_int_equal(es_context_enter(&token, self->rt, &frame, &self->err), ES_OK);
  command.aggregate_type = "Note";
  command.aggregate_id = "1";
  command.command = "write";
  command.params_json = "{\"text\":\"x\"}";
  assert_int_equal(es_execute(&reply, self->rt, &command, &self->err), ES_OK);
  const es_event *event = es_reply_event(reply, 0);
  assert_memory_equal(event->actor_id.data, "system:mailer", event->actor_id.length);
  assert_true(event->has_causation);
  const char *metadata = event->metadata.data;
  assert_non_null(strstr(metadata, "\"acting_for\":[\"user:jane\"]"));
  assert_non_null(strstr(metadata, "\"channel\":\"test\""));
  assert_non_null(strstr(metadata, "\"ip_address\":\"10.0.0.1\""));
  assert_non_null(strstr(metadata, "\"mfa_verified\":true"));
  assert_non_null(strstr(metadata, "\"request_id\":\""));
  assert_non_null(strstr(metadata, "\"command\":\"write\""));
  assert_memory_equal(metadata, "{\"$\":{\"acting_for\"", 18);
  es_reply_free(reply);
  leave(self, token);
  leave(self, outer);
}

static void new_ids_and_times_are_the_commands(void **state) {
  engine *self = *state;

  succeeds(self, "Note", "1", "ids", NULL);
  assert_int_equal(count_events(self, "NoteWritten"), 1);
}

/* covers C10 */
static void verify_and_replay_agree(void **state) {
  engine *self = *state;
  es_token token = enter(self, "user:jane", NULL);
  es_verify_report report;
  es_replay_report replay;
  es_replay_options options = ES_REPLAY_INIT;
  char text[64];

  for (int i = 0; i < 50; i++) {
    snprintf(text, sizeof text, "{\"text\":\"%d\"}", i);
    succeeds(self, "Note", i % 2 ? "odd" : "even", "write", text);
  }
  leave(self, token);
  assert_int_equal(es_verify(&report, self->rt, NULL, &self->err), ES_OK);
  assert_int_equal(report.event_count, 50);
  options.check = true;
  if (es_replay(&replay, self->rt, &options, &self->err) != ES_OK)
    fail_msg("%s", self->err.message);
  assert_int_equal(replay.stream_count, 2);
  assert_int_equal(replay.event_count, 50);
}

static void a_transaction_groups_commands(void **state) {
  engine *self = *state;
  es_token token = enter(self, "user:jane", NULL);

  assert_int_equal(es_transaction_begin(self->rt, &self->err), ES_OK);
  succeeds(self, "Note", "1", "write", "{\"text\":\"a\"}");
  assert_int_equal(execute(self, "Note", "1", "write", "{\"text\":\"a\"}"), ES_ERR_REJECTED);
  succeeds(self, "Note", "1", "write", "{\"text\":\"b\"}");
  assert_int_equal(es_project(self->rt, NULL, NULL, NULL, &self->err), ES_ERR_USAGE);
  assert_int_equal(es_transaction_commit(self->rt, &self->err), ES_OK);
  assert_int_equal(count_events(self, NULL), 3);
  assert_int_equal(es_transaction_begin(self->rt, &self->err), ES_OK);
  succeeds(self, "Note", "1", "write", "{\"text\":\"c\"}");
  es_transaction_rollback(self->rt);
  assert_int_equal(count_events(self, NULL), 3);
  leave(self, token);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(appends_and_loads, set_up, tear_down),
      cmocka_unit_test_setup_teardown(denies_a_command_without_an_actor, set_up, tear_down),
      cmocka_unit_test_setup_teardown(denies_what_no_rule_allows, set_up, tear_down),
      cmocka_unit_test_setup_teardown(rejections_are_values_and_recorded, set_up, tear_down),
      cmocka_unit_test_setup_teardown(missing_aggregates_are_not_found, set_up, tear_down),
      cmocka_unit_test_setup_teardown(unknown_names_offer_the_nearest, set_up, tear_down),
      cmocka_unit_test_setup_teardown(parameters_are_checked_before_anything_runs, set_up,
                                      tear_down),
      cmocka_unit_test_setup_teardown(several_events_or_none_at_all, set_up, tear_down),
      cmocka_unit_test_setup_teardown(faulty_domain_code_stores_no_event, set_up, tear_down),
      cmocka_unit_test_setup_teardown(an_event_type_may_require_an_actor, set_up, tear_down),
      cmocka_unit_test_setup_teardown(expected_versions_conflict, set_up, tear_down),
      cmocka_unit_test_setup_teardown(idempotency_keys_are_scoped, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_dry_run_stores_nothing, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_view_rule_guards_the_state, set_up, tear_down),
      cmocka_unit_test_setup_teardown(tenants_fail_closed, set_up, tear_down),
      cmocka_unit_test_setup_teardown(events_carry_the_context, set_up, tear_down),
      cmocka_unit_test_setup_teardown(new_ids_and_times_are_the_commands, set_up, tear_down),
      cmocka_unit_test_setup_teardown(verify_and_replay_agree, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_transaction_groups_commands, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
