/* test_append: events that trusted code appends without a command, and modules reloaded while the runtime stays open. */
#include "engine_support.h"

static const char DOCUMENT[] =
    "local es = require 'es'\n"
    "local rule = require 'es.rule'\n"
    "local D = es.aggregate 'Document'\n"
    "D.events = { Created = { title = 'string', tags = 'list' }, Edited = { text = 'string' } }\n"
    "D.upcast = { Edited = { function(data) return { text = data.body } end } }\n"
    "D.apply = { Created = function(d, e) d.title, d.by = e.data.title, e.actor_id end,\n"
    "  Edited = function(d, e) d.text = e.data.text end }\n"
    "D.commands = { edit = { params = { text = 'string' }, exists = true, allow = rule.anyone,\n"
    "  decide = function(_, cmd) return es.event('Edited', { text = cmd.text }) end } }\n"
    "return D\n";

static es_event event_of(const char *type, const char *data) {
  es_event event = {0};
  event.aggregate_type = (es_text){"Document", 8};
  event.aggregate_id = (es_text){"1", 1};
  event.event_type = (es_text){type, strlen(type)};
  event.data = (es_text){data, strlen(data)};
  return event;
}

static int setup(void **state) {
  engine *self = calloc(1, sizeof *self);
  new_project(self);
  write_file(self, "aggregates/document.lua", DOCUMENT);
  *state = self;
  return 0;
}

static int teardown(void **state) {
  remove_project(*state);
  free(*state);
  return 0;
}

static void fails(engine *self, es_event *event, size_t count, unsigned flags, es_status status,
                  const char *code, const char *part) {
  self->err = (es_error)ES_ERROR_INIT;
  assert_int_equal(es_append(self->rt, event, count, flags, &self->err), status);
  assert_string_equal(self->err.code, code);
  if (strstr(self->err.message, part) == NULL) fail_msg("%s", self->err.message);
}

static void expect_state(engine *self, const char *part) {
  char *loaded = NULL;
  assert_int_equal(es_load(&loaded, self->rt, "Document", "1", NULL, &self->err), ES_OK);
  if (strstr(loaded, part) == NULL) fail_msg("%s", loaded);
  es_free(loaded);
}

static void fills_in_what_an_event_does_not_say(void **state) {
  engine *self = *state;
  es_event events[2] = {event_of("Created", "{ \"title\" : \"A\", \"tags\" : {} }"),
                        event_of("Edited", "{\"text\":\"x\"}")};
  es_token token;

  open_engine(self, ":memory:");
  token = enter(self, "user:alice", NULL);
  assert_int_equal(es_append(self->rt, events, 2, 0, &self->err), ES_OK);
  assert_memory_equal(events[0].actor_id.data, "user:alice", 10);
  leave(self, token);
  assert_int_equal(events[0].position, 1);
  assert_int_equal(events[1].version, 2);
  assert_int_equal(events[0].schema_version, 1);
  assert_int_equal(events[1].schema_version, 2);
  assert_true(events[0].occurred_at > 0);
  assert_memory_equal(events[0].correlation_id, events[1].correlation_id, ES_ID_SIZE);
  assert_memory_not_equal(events[0].event_id, events[1].event_id, ES_ID_SIZE);
  assert_int_equal(events[0].data.length, strlen("{\"tags\":[],\"title\":\"A\"}"));
  assert_memory_equal(events[0].data.data, "{\"tags\":[],\"title\":\"A\"}", events[0].data.length);
  expect_state(self, "\"by\":\"user:alice\"");
  succeeds(self, "Document", "1", "edit", "{\"text\":\"y\"}");
}

static void brings_old_data_up_to_date_only_to_check_it(void **state) {
  engine *self = *state;
  es_event events[2] = {event_of("Created", "{\"title\":\"A\",\"tags\":[]}"),
                        event_of("Edited", "{\"body\":\"old\"}")};

  open_engine(self, ":memory:");
  events[1].schema_version = 1;
  assert_int_equal(es_append(self->rt, events, 2, 0, &self->err), ES_OK);
  assert_memory_equal(events[1].data.data, "{\"body\":\"old\"}", events[1].data.length);
  expect_state(self, "\"text\":\"old\"");
}

static void refuses_what_no_module_declares_and_stores_nothing(void **state) {
  engine *self = *state;
  es_event events[2] = {event_of("Created", "{\"title\":\"A\",\"tags\":[]}"),
                        event_of("Creatd", "{}")};

  open_engine(self, ":memory:");
  fails(self, events, 2, 0, ES_ERR_USAGE, "undeclared_event",
        "event 2 (Creatd of Document/1): Document does not declare an event Creatd");
  events[1] = event_of("Edited", "{\"text\":1}");
  fails(self, events, 2, 0, ES_ERR_USAGE, "bad_event", "event 2 (Edited of Document/1): data.text");
  events[1] = event_of("Edited", "[]");
  fails(self, events, 2, 0, ES_ERR_USAGE, "bad_event", "expected a JSON object");
  events[1].data = (es_text){"{\"text\":", 8};
  fails(self, events, 2, 0, ES_ERR_USAGE, "malformed_json", "event 2");
  events[1] = event_of("Edited", "{\"text\":\"a\"}");
  events[1].aggregate_type = (es_text){"Nothing", 7};
  fails(self, events, 2, 0, ES_ERR_USAGE, "unknown_aggregate", "event 2");
  events[1] = event_of("Edited", "{\"text\":\"a\"}");
  events[1].actor_id = (es_text){"alice@example.org", 17};
  self->err = (es_error)ES_ERROR_INIT;
  assert_int_equal(es_append(self->rt, events, 2, 0, &self->err), ES_ERR_USAGE);
  assert_int_equal(count_events(self, NULL), 0);
}

static void checks_versions_and_ids_that_come_with_events(void **state) {
  engine *self = *state;
  const char *stores[] = {":memory:", NULL};

  for (size_t i = 0; i < 2; i++) {
    es_event first = event_of("Created", "{\"title\":\"A\",\"tags\":[]}");
    es_event again;

    open_engine(self, stores[i]);
    first.version = 2;
    fails(self, &first, 1, 0, ES_ERR_CONFLICT, "version_conflict", "at version 0, expected 1");
    first.version = 1;
    assert_int_equal(es_append(self->rt, &first, 1, 0, &self->err), ES_OK);
    again = event_of("Edited", "{\"text\":\"a\"}");
    memcpy(again.event_id, first.event_id, ES_ID_SIZE);
    fails(self, &again, 1, 0, ES_ERR_CONFLICT, "duplicate_event_id", "is stored already");
    assert_int_equal(count_events(self, NULL), 1);
    es_close(self->rt);
    self->rt = NULL;
  }
}

static void keeps_an_import_as_it_was_so_that_the_hash_is_the_same(void **state) {
  engine *self = *state;
  es_event first = event_of("Created", "{\"tags\":[],\"title\":\"A\"}"), copy;

  open_engine(self, ":memory:");
  first.recorded_at = 1000;
  assert_int_equal(es_append(self->rt, &first, 1, 0, &self->err), ES_OK);
  copy = first;
  copy.data = (es_text){"{\"tags\":[],\"title\":\"A\"}", 23};
  copy.metadata = (es_text){"{}", 2};
  es_close(self->rt);
  open_engine(self, ":memory:");
  assert_int_equal(es_append(self->rt, &copy, 1, ES_APPEND_KEEP | ES_APPEND_UNCHECKED, &self->err),
                   ES_OK);
  assert_int_equal(copy.recorded_at, first.recorded_at);
  assert_memory_equal(copy.hash, first.hash, ES_HASH_SIZE);
  copy = event_of("Nonsense", "{}");
  copy.recorded_at = first.recorded_at - 1;
  copy.occurred_at = 1;
  fails(self, &copy, 1, ES_APPEND_KEEP | ES_APPEND_UNCHECKED, ES_ERR_USAGE, "time_order",
        "cannot be recorded");
}

static void keeps_tenants_apart(void **state) {
  engine *self = *state;
  es_event event = event_of("Created", "{\"tags\":[],\"title\":\"A\"}");
  es_frame frame = ES_FRAME_INIT;
  es_token token;

  open_engine(self, ":memory:");
  event.tenant_id = (es_text){"acme", 4};
  fails(self, &event, 1, 0, ES_ERR_DENIED, "other_tenant", "another tenant");
  frame.operator_scope = true;
  assert_int_equal(es_context_enter(&token, self->rt, &frame, &self->err), ES_OK);
  assert_int_equal(es_append(self->rt, &event, 1, 0, &self->err), ES_OK);
  leave(self, token);
}

static void goes_with_the_transaction(void **state) {
  engine *self = *state;
  es_event event = event_of("Created", "{\"tags\":[],\"title\":\"A\"}");

  open_engine(self, NULL);
  assert_int_equal(es_transaction_begin(self->rt, &self->err), ES_OK);
  assert_int_equal(es_append(self->rt, &event, 1, 0, &self->err), ES_OK);
  es_transaction_rollback(self->rt);
  assert_int_equal(count_events(self, NULL), 0);
}

/* ---- reload ---- */

static void reload_puts_changed_modules_in_force(void **state) {
  engine *self = *state;
  es_event event = event_of("Created", "{\"tags\":[],\"title\":\"A\"}");
  bool changed = true;

  open_engine(self, ":memory:");
  assert_int_equal(es_append(self->rt, &event, 1, 0, &self->err), ES_OK);
  assert_int_equal(es_reload(&changed, self->rt, &self->err), ES_OK);
  assert_false(changed);
  write_file(self, "lib/words.lua", "return { loud = function(s) return s:upper() end }");
  write_file(self, "aggregates/document.lua",
             "local es = require 'es'\n"
             "local D = es.aggregate 'Document'\n"
             "D.events = { Created = { title = 'string', tags = 'list' } }\n"
             "D.apply = { Created = function(d, e)\n"
             "  d.title = require 'words'.loud(e.data.title) .. '!' end }\n"
             "return D\n");
  assert_int_equal(es_reload(&changed, self->rt, &self->err), ES_OK);
  assert_true(changed);
  expect_state(self, "\"title\":\"A!\"");
}

static void reload_leaves_the_old_modules_in_force_when_the_new_ones_fail(void **state) {
  static const char *const bad[][2] = {
      {"aggregates/document.lua", "local es = require 'es' return nonsense"},
      {"aggregates/document.lua", "this is no Lua"},
      {"projections/rows.lua", "local P = require 'es'.projection 'rows'\n"
                               "P.tables = { rows = { id = 'string', key = { 'id' } } }\n"
                               "P.on = { Created = function() end }\n"
                               "P.queries = { all = { sql = 'SELECT nothing FROM rows' } }\n"
                               "return P"},
  };
  engine *self = *state;
  es_event event = event_of("Created", "{\"tags\":[],\"title\":\"A\"}");

  open_engine(self, NULL);
  assert_int_equal(es_append(self->rt, &event, 1, 0, &self->err), ES_OK);
  assert_int_equal(es_project(self->rt, NULL, NULL, NULL, &self->err), ES_OK);
  for (size_t i = 0; i < 3; i++) {
    bool changed = true;
    write_file(self, "aggregates/document.lua", DOCUMENT);
    write_file(self, bad[i][0], bad[i][1]);
    assert_int_equal(es_reload(&changed, self->rt, &self->err), ES_ERR_LUA);
    assert_false(changed);
    succeeds(self, "Document", "1", "edit", "{\"text\":\"y\"}");
    assert_int_equal(es_project(self->rt, NULL, NULL, NULL, &self->err), ES_OK);
  }
}

static void reload_waits_for_the_end_of_a_transaction(void **state) {
  engine *self = *state;

  open_engine(self, ":memory:");
  assert_int_equal(es_transaction_begin(self->rt, &self->err), ES_OK);
  assert_int_equal(es_reload(NULL, self->rt, &self->err), ES_ERR_USAGE);
  es_transaction_rollback(self->rt);
  assert_int_equal(es_reload(NULL, self->rt, &self->err), ES_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(fills_in_what_an_event_does_not_say),
      TEST(brings_old_data_up_to_date_only_to_check_it),
      TEST(refuses_what_no_module_declares_and_stores_nothing),
      TEST(checks_versions_and_ids_that_come_with_events),
      TEST(keeps_an_import_as_it_was_so_that_the_hash_is_the_same),
      TEST(keeps_tenants_apart),
      TEST(goes_with_the_transaction),
      TEST(reload_puts_changed_modules_in_force),
      TEST(reload_leaves_the_old_modules_in_force_when_the_new_ones_fail),
      TEST(reload_waits_for_the_end_of_a_transaction),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
