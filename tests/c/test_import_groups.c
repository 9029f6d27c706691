/* test_import_groups: what a group of an import is, while one is stored and the next is made. */
#include "engine_support.h"

#include "base/buf.h"

static const char things[] = "local es = require 'es'\n"
                             "local Thing = es.aggregate 'Thing'\n"
                             "Thing.events = { Seen = { n = 'integer' } }\n"
                             "function Thing.initial() return {} end\n"
                             "Thing.apply = {}\n"
                             "Thing.commands = {}\n"
                             "return Thing\n";

/* A row is { id, n, count, skip, bad }. */
static const char mapping[] =
    "return function(row)\n"
    "  if row.bad then error('a bad row', 0) end\n"
    "  if row.skip then return nil end\n"
    "  local events = {}\n"
    "  for i = 1, row.count or 1 do\n"
    "    events[i] = { aggregate_type = 'Thing', aggregate_id = 't', event_type = 'Seen',\n"
    "      data = { n = row.n or 0 }, id = row.id }\n"
    "  end\n"
    "  return events\n"
    "end\n";

typedef struct fixture {
  engine engine;
  es_import *import;
  es_import_report report;
  es_buf rows;
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  *state = f;
  new_project(&f->engine);
  write_file(&f->engine, "aggregates/thing.lua", things);
  open_engine(&f->engine, ":memory:");
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  es_import_close(f->import);
  es__buf_free(&f->rows);
  remove_project(&f->engine);
  free(f);
  return 0;
}

static void begin(fixture *f, int64_t group) {
  es_import_options options = ES_IMPORT_INIT;

  options.form = ES_IMPORT_JSONL;
  options.name = "things";
  options.mapping = mapping;
  options.group = group;
  es_import_close(f->import);
  es__buf_clear(&f->rows);
  if (es_import_open(&f->import, f->engine.rt, &options, &f->engine.err) != ES_OK)
    fail_msg("%s", f->engine.err.message);
}

static void row(fixture *f, const char *text) {
  es__buf_text(&f->rows, text);
  es__buf_byte(&f->rows, '\n');
}

/* All rows in one piece. */
static es_status feed(fixture *f) {
  es_status status = es_import_feed(f->import, f->rows.data, f->rows.length, &f->engine.err);
  if (status == ES_OK) status = es_import_finish(f->import, &f->engine.err);
  es_import_report_get(&f->report, f->import);
  return status;
}

static void counts(const fixture *f, int lines, int imported, int skipped, int ignored) {
  assert_int_equal(f->report.line_count, lines);
  assert_int_equal(f->report.imported_count, imported);
  assert_int_equal(f->report.skipped_count, skipped);
  assert_int_equal(f->report.ignored_count, ignored);
  assert_int_equal(count_events((engine *)&f->engine, "Seen"), imported + skipped);
}

static void groups_are_stored_in_order(void **state) {
  fixture *f = *state;
  char text[32];
  begin(f, 3);
  for (int i = 1; i <= 20; i++) {
    snprintf(text, sizeof text, "{\"id\":\"%d\",\"n\":%d}", i, i);
    row(f, text);
  }
  assert_int_equal(feed(f), ES_OK);
  counts(f, 20, 20, 0, 0);
  es_cursor *cursor = NULL;
  const es_event *event = NULL;
  assert_int_equal(es_read(&cursor, f->engine.rt, NULL, &f->engine.err), ES_OK);
  for (int i = 1; i <= 20; i++) {
    assert_int_equal(es_cursor_next(&event, cursor, &f->engine.err), ES_OK);
    snprintf(text, sizeof text, "{\"n\":%d}", i);
    assert_int_equal(event->data.length, strlen(text));
    assert_memory_equal(event->data.data, text, strlen(text));
  }
  es_cursor_close(cursor);
}

/* The store finds fault with line 4 while line 6, which is no JSON, is looked at. */
static void of_two_failures_the_first_line_is_told(void **state) { /* covers E1 */
  fixture *f = *state;
  begin(f, 2);
  row(f, "{\"id\":\"a\",\"n\":1}");
  row(f, "{\"id\":\"b\",\"n\":1}");
  row(f, "{\"skip\":true}");
  row(f, "{\"id\":\"a\",\"n\":2}");
  row(f, "{\"skip\":true}");
  row(f, "{\"id\":");
  assert_int_equal(feed(f), ES_ERR_CONFLICT);
  assert_string_equal(f->engine.err.code, "duplicate_event_id");
  assert_non_null(strstr(f->engine.err.message, "line 4"));
  counts(f, 4, 2, 0, 0);
  assert_int_equal(es_import_finish(f->import, &f->engine.err), ES_ERR_CONFLICT);
  assert_non_null(strstr(f->engine.err.message, "line 4"));
}

static void what_comes_before_a_bad_row_is_stored(void **state) {
  fixture *f = *state;
  begin(f, 2);
  row(f, "{\"id\":\"a\"}");
  row(f, "{\"skip\":true}");
  row(f, "{\"id\":\"b\"}");
  row(f, "{\"bad\":true}");
  assert_int_equal(feed(f), ES_ERR_LUA);
  assert_non_null(strstr(f->engine.err.message, "line 4"));
  counts(f, 4, 1, 0, 1);
  begin(f, 2); /* mended, it goes on */
  row(f, "{\"id\":\"a\"}");
  row(f, "{\"skip\":true}");
  row(f, "{\"id\":\"b\"}");
  assert_int_equal(feed(f), ES_OK);
  assert_int_equal(f->report.imported_count, 1);
  assert_int_equal(f->report.skipped_count, 1);
  assert_int_equal(count_events(&f->engine, "Seen"), 2);
}

/* 64 rows are mapped at a time: where they make more events than a group has they are one. */
static void rows_that_make_many_events_do_not_wait_for_a_whole_group(void **state) {
  fixture *f = *state;
  begin(f, 100);
  for (int i = 0; i < 64; i++)
    row(f, "{\"count\":10}");
  row(f, "{\"bad\":true}");
  assert_int_equal(feed(f), ES_ERR_LUA);
  counts(f, 65, 640, 0, 0);
}

static void an_import_that_is_closed_in_the_middle_keeps_whole_groups(void **state) {
  fixture *f = *state;
  begin(f, 2);
  for (int i = 0; i < 5; i++)
    row(f, "{}");
  assert_int_equal(es_import_feed(f->import, f->rows.data, f->rows.length, &f->engine.err), ES_OK);
  es_import_report_get(&f->report, f->import);
  es_import_close(f->import);
  f->import = NULL;
  counts(f, 5, 4, 0, 0);
}

/* Nothing is being stored behind a call: the runtime is the caller's again. */
static void between_two_pieces_the_runtime_is_free(void **state) {
  fixture *f = *state;
  es_verify_report report;
  begin(f, 2);
  for (int i = 0; i < 4; i++)
    row(f, "{}");
  for (int i = 1; i <= 3; i++) {
    assert_int_equal(es_import_feed(f->import, f->rows.data, f->rows.length, &f->engine.err),
                     ES_OK);
    assert_int_equal(es_verify(&report, f->engine.rt, NULL, &f->engine.err), ES_OK);
    assert_int_equal(report.event_count, 4 * i);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(groups_are_stored_in_order),
      TEST(of_two_failures_the_first_line_is_told),
      TEST(what_comes_before_a_bad_row_is_stored),
      TEST(rows_that_make_many_events_do_not_wait_for_a_whole_group),
      TEST(an_import_that_is_closed_in_the_middle_keeps_whole_groups),
      TEST(between_two_pieces_the_runtime_is_free),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
