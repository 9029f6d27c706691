/* test_import: an export's lines into an empty store, beside other events, cut short, damaged, twice; covers E1, C6. */
#include "engine_support.h"

#include "ledger/chain.h"

static const char ledger[] =
    "local es = require 'es'\n"
    "local Account = es.aggregate 'Account'\n"
    "Account.events = { Opened = { owner = 'string' }, Moved = { cents = 'integer' } }\n"
    "function Account.initial() return { cents = 0 } end\n"
    "Account.apply = { Moved = function(a, e) a.cents = a.cents + e.data.cents end }\n"
    "Account.commands = {\n"
    "  open = { params = { owner = 'string' }, allow = function() return true end,\n"
    "    decide = function(_, cmd) return es.event('Opened', cmd) end },\n"
    "  move = { params = { cents = 'integer' }, allow = function() return true end,\n"
    "    decide = function(_, cmd) return es.event('Moved', cmd) end },\n"
    "}\n"
    "return Account\n";

enum { LINES_MAX = 16 };

/* A project, a store in memory with five events, and their export. */
typedef struct fixture {
  engine from, to;
  char *lines[LINES_MAX];
  int count;
  es_import *import;
  es_import_report report;
  uint8_t head[ES_HASH_SIZE];
} fixture;

static void start_engine(engine *self) {
  new_project(self);
  write_file(self, "aggregates/account.lua", ledger);
  open_engine(self, ":memory:");
}

static void read_export(fixture *f) {
  es_frame frame = ES_FRAME_INIT;
  es_cursor *cursor = NULL;
  const es_event *event = NULL;
  es_token token;

  frame.operator_scope = true;
  assert_int_equal(es_context_enter(&token, f->from.rt, &frame, &f->from.err), ES_OK);
  assert_int_equal(es_read(&cursor, f->from.rt, NULL, &f->from.err), ES_OK);
  while (es_cursor_next(&event, cursor, &f->from.err) == ES_OK && event != NULL) {
    memcpy(f->head, event->hash, ES_HASH_SIZE);
    assert_int_equal(es_event_json(&f->lines[f->count++], NULL, event, ES_FORM_EXPORT, NULL),
                     ES_OK);
  }
  es_cursor_close(cursor);
  leave(&f->from, token);
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  *state = f;
  start_engine(&f->from);
  start_engine(&f->to);
  es_token token = enter(&f->from, "user:jane", NULL);
  succeeds(&f->from, "Account", "a", "open", "{\"owner\":\"Zo\xC3\xAB \\\"q\\\"\"}");
  succeeds(&f->from, "Account", "b", "open", "{\"owner\":\"b\"}");
  succeeds(&f->from, "Account", "a", "move", "{\"cents\":5}");
  succeeds(&f->from, "Account", "b", "move", "{\"cents\":-7}");
  leave(&f->from, token);
  succeeds(&f->from, "Account", "a", "move", "{\"cents\":1}");
  read_export(f);
  assert_int_equal(f->count, 5);
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  es_import_close(f->import);
  for (int i = 0; i < f->count; i++)
    es_free(f->lines[i]);
  remove_project(&f->from);
  remove_project(&f->to);
  free(f);
  return 0;
}

static void begin(fixture *f, bool append, int64_t group) {
  es_import_options options = ES_IMPORT_INIT;
  options.append = append;
  options.name = "elsewhere";
  options.group = group;
  es_import_close(f->import);
  if (es_import_open(&f->import, f->to.rt, &options, &f->to.err) != ES_OK)
    fail_msg("%s", f->to.err.message);
}

static es_status feed(fixture *f, const char *text) {
  return es_import_feed(f->import, text, strlen(text), &f->to.err);
}

static es_status feed_line(fixture *f, int number) {
  es_status status = feed(f, f->lines[number - 1]);
  return status == ES_OK ? feed(f, "\n") : status;
}

static es_status finish(fixture *f) {
  es_status status = es_import_finish(f->import, &f->to.err);
  es_import_report_get(&f->report, f->import);
  return status;
}

/* Lines first..last, until something is wrong. */
static es_status import_lines(fixture *f, int first, int last) {
  for (int i = first; i <= last; i++) {
    es_status status = feed_line(f, i);
    if (status != ES_OK) {
      es_import_report_get(&f->report, f->import);
      return status;
    }
  }
  return finish(f);
}

static void counts(const fixture *f, int imported, int skipped) {
  assert_int_equal(f->report.imported_count, imported);
  assert_int_equal(f->report.skipped_count, skipped);
}

static void same_head(fixture *f) {
  es_verify_report report;
  assert_int_equal(es_verify(&report, f->to.rt, NULL, &f->to.err), ES_OK);
  assert_memory_equal(report.head_hash, f->head, ES_HASH_SIZE);
}

/* Replaces the first `old` in a line. */
static void change(fixture *f, int number, const char *old, const char *new_text) {
  char *line = f->lines[number - 1], *at = strstr(line, old);
  assert_non_null(at);
  char *changed = malloc(strlen(line) + strlen(new_text) + 1);
  sprintf(changed, "%.*s%s%s", (int)(at - line), line, new_text, at + strlen(old));
  es_free(line);
  f->lines[number - 1] = changed;
}

static void refused(fixture *f, es_status status, const char *code, const char *part) {
  assert_int_equal(f->to.err.status, status);
  assert_string_equal(f->to.err.code, code);
  if (strstr(f->to.err.message, part) == NULL)
    fail_msg("'%s' does not say '%s'", f->to.err.message, part);
}

/* ---- into an empty store ---- */

static void an_empty_store_becomes_the_same_store(void **state) { /* covers C6 */
  fixture *f = *state;
  begin(f, false, 2);
  assert_int_equal(import_lines(f, 1, 5), ES_OK);
  counts(f, 5, 0);
  same_head(f);
  assert_int_equal(f->report.line_count, 5);
}

static void input_may_be_cut_anywhere(void **state) {
  fixture *f = *state;
  begin(f, false, 3);
  for (int i = 1; i <= 5; i++) {
    for (const char *at = f->lines[i - 1]; *at != '\0'; at++)
      assert_int_equal(es_import_feed(f->import, at, 1, &f->to.err), ES_OK);
    assert_int_equal(feed(f, i == 5 ? "" : "\r\n\n"), ES_OK);
  }
  assert_int_equal(finish(f), ES_OK);
  counts(f, 5, 0);
  same_head(f);
}

static void a_second_run_goes_on_where_the_first_ended(void **state) { /* covers E1 */
  fixture *f = *state;
  begin(f, false, 0);
  assert_int_equal(import_lines(f, 1, 3), ES_OK);
  begin(f, false, 0);
  assert_int_equal(import_lines(f, 1, 5), ES_OK);
  counts(f, 2, 3);
  begin(f, false, 0);
  assert_int_equal(import_lines(f, 1, 5), ES_OK);
  counts(f, 0, 5);
  begin(f, false, 0);
  assert_int_equal(import_lines(f, 4, 5), ES_OK);
  counts(f, 0, 2);
  same_head(f);
}

static void another_store_is_not_continued(void **state) {
  fixture *f = *state;
  succeeds(&f->to, "Account", "mine", "open", "{\"owner\":\"me\"}");
  begin(f, false, 0);
  assert_int_equal(import_lines(f, 1, 5), ES_ERR_CONFLICT);
  refused(f, ES_ERR_CONFLICT, "other_store", "line 1, position 1: ");
  assert_int_equal(count_events(&f->to, NULL), 1);
}

static void writing_meanwhile_is_a_conflict(void **state) {
  fixture *f = *state;
  begin(f, false, 0);
  assert_int_equal(feed_line(f, 1), ES_OK);
  succeeds(&f->to, "Account", "mine", "open", "{\"owner\":\"me\"}");
  assert_int_equal(finish(f), ES_ERR_CONFLICT);
  refused(f, ES_ERR_CONFLICT, "store_moved", "line 1, position 1: ");
  assert_int_equal(count_events(&f->to, NULL), 1);
}

/* ---- what bad input gets ---- */

/* The first group of two is stored, of the second nothing; mended, the import goes on. */
static void damaged(fixture *f, es_status status, const char *code, const char *part) {
  begin(f, false, 2);
  assert_int_equal(import_lines(f, 1, f->count), status);
  refused(f, status, code, part);
  counts(f, 2, 0);
  assert_int_equal(count_events(&f->to, NULL), 2);
  assert_int_equal(feed(f, "anything"), status); /* it stays in that error */
  refused(f, status, code, part);
}

static void a_wrong_hash_is_refused(void **state) {
  fixture *f = *state;
  char *at = strstr(f->lines[3], "\"hash\":\"") + 8;
  *at = *at == '0' ? '1' : '0';
  damaged(f, ES_ERR_INTEGRITY, "hash", "line 4, position 4: the hash is wrong");
  assert_int_equal(f->to.err.position, 4);
}

static void changed_content_is_refused(void **state) {
  fixture *f = *state;
  change(f, 4, ":-7", ":-8");
  damaged(f, ES_ERR_INTEGRITY, "hash", "line 4, position 4: ");
}

static void a_gap_is_refused(void **state) {
  fixture *f = *state;
  es_free(f->lines[3]);
  f->lines[3] = f->lines[4];
  f->count = 4;
  damaged(f, ES_ERR_INTEGRITY, "position_gap", "line 4, position 5: it does not follow position 3");
}

static void a_duplicate_is_refused(void **state) {
  fixture *f = *state;
  es_free(f->lines[3]);
  f->lines[3] = strdup(f->lines[2]);
  damaged(f, ES_ERR_INTEGRITY, "position_gap", "line 4, position 3: ");
}

/* Line `number` with another id or version, and the hash that goes with it: a forgery that hashes cannot show. */
static void forge(fixture *f, int number, const char *event_id, int64_t version) {
  char *line = f->lines[number - 1], *texts = malloc(strlen(line) + 1);
  es_buf scratch = {0};
  es_chain *chain = NULL;
  es_event event;

  assert_int_equal(es__event_parse(&event, texts, &scratch, line, strlen(line), NULL), ES_OK);
  if (event_id != NULL) assert_true(es_id_parse(event.event_id, event_id));
  if (version > 0) event.version = version;
  assert_int_equal(es__chain_new(&chain, NULL), ES_OK);
  assert_int_equal(es__chain_hash(chain, event.hash, &event, NULL), ES_OK);
  es_free(line);
  assert_int_equal(es_event_json(&f->lines[number - 1], NULL, &event, ES_FORM_EXPORT, NULL), ES_OK);
  es__chain_free(chain);
  es__buf_free(&scratch);
  free(texts);
}

static void take_id_of(const fixture *f, int number, char id[ES_ID_TEXT_SIZE]) {
  const char *at = strstr(f->lines[number - 1], "\"event_id\":\"") + strlen("\"event_id\":\"");
  memcpy(id, at, ES_ID_TEXT_SIZE - 1);
  id[ES_ID_TEXT_SIZE - 1] = '\0';
}

static void a_duplicate_id_is_refused(void **state) { /* covers E1 */
  fixture *f = *state;
  char id[ES_ID_TEXT_SIZE];

  take_id_of(f, 2, id);
  forge(f, 4, id, 0);
  begin(f, false, 4); /* in one group */
  assert_int_equal(import_lines(f, 1, 4), ES_ERR_CONFLICT);
  refused(f, ES_ERR_CONFLICT, "duplicate_event_id", "line 4, position 4: event id ");
  refused(f, ES_ERR_CONFLICT, "duplicate_event_id", "comes twice in the input");
  assert_int_equal(count_events(&f->to, NULL), 0);
  damaged(f, ES_ERR_CONFLICT, "duplicate_event_id", "is stored already, at another position");
}

static void a_version_out_of_order_is_refused(void **state) {
  fixture *f = *state;
  forge(f, 4, NULL, 7);
  damaged(f, ES_ERR_INTEGRITY, "version_order",
          "line 4, position 4: version 7 of Account/b is out of order: the next one here is 2");
}

static void half_a_line_is_refused(void **state) {
  fixture *f = *state;
  f->lines[3][40] = '\0';
  damaged(f, ES_ERR_USAGE, "malformed_json", "line 4, position 4: column 41, at $.event_id: ");
}

static void half_a_last_line_is_refused(void **state) {
  fixture *f = *state;
  begin(f, false, 0);
  assert_int_equal(feed_line(f, 1), ES_OK);
  f->lines[1][60] = '\0';
  assert_int_equal(feed(f, f->lines[1]), ES_OK);
  assert_int_equal(finish(f), ES_ERR_USAGE);
  refused(f, ES_ERR_USAGE, "malformed_json", "line 2, position 2: ");
  assert_int_equal(count_events(&f->to, NULL), 0);
}

static void bad_utf8_is_refused(void **state) {
  fixture *f = *state;
  change(f, 4, "cents", "c\xFFnts");
  damaged(f, ES_ERR_USAGE, "json_utf8", "line 4, position 4: ");
}

static void unknown_missing_and_mistyped_members_are_refused(void **state) {
  static const struct {
    const char *old, *new_text, *part;
  } rows[] = {
      {"\"version\":", "\"versions\":", "an event has no such member"},
      {"\"actor_id\":\"user:jane\",", "", "the member actor_id is missing"},
      {"\"version\":2", "\"version\":2,\"version\":2", "this member was given before"},
      {"\"version\":2", "\"version\":2.0", "a whole number of at least 1 is expected"},
      {"\"version\":2", "\"version\":-2", "a whole number of at least 1 is expected"},
      {"\"actor_id\":\"user:jane\"", "\"actor_id\":7", "a string is expected"},
      {".", "", "a time such as"},
      {"\\\"cents\\\":-7", "\\\"cents\\\":-7.00", "data is not canonical JSON"},
      {"\"metadata\":\"{", "\"metadata\":\"", "metadata is not a JSON object"},
      {"{\"position\"", "[{\"position\"", "one a line, and this is a list: was it exported with"},
      {"{\"position\"", "7 {\"position\"", "an event is a JSON object"},
      {"\"hash\":\"", "\"hash\":\"g", "64 hexadecimal digits are expected"},
      {"\"event_id\":\"", "\"event_id\":\"g", "a UUID is expected"},
  };
  fixture *f = *state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char *good = strdup(f->lines[3]);
    change(f, 4, rows[i].old, rows[i].new_text);
    begin(f, false, 100);
    assert_int_equal(import_lines(f, 1, 4), ES_ERR_USAGE);
    if (strstr(f->to.err.message, rows[i].part) == NULL)
      fail_msg("%s: '%s'", rows[i].new_text, f->to.err.message);
    assert_int_equal(strncmp(f->to.err.message, "line 4", 6), 0);
    assert_int_equal(count_events(&f->to, NULL), 0);
    es_free(f->lines[3]);
    f->lines[3] = good;
  }
}

/* ---- appending ---- */

static void appended_events_keep_where_they_came_from(void **state) {
  fixture *f = *state;
  es_filter filter = ES_FILTER_INIT;
  es_cursor *cursor = NULL;
  const es_event *event = NULL;
  char *line = NULL;

  succeeds(&f->to, "Account", "mine", "open", "{\"owner\":\"me\"}");
  begin(f, true, 2);
  if (import_lines(f, 1, 5) != ES_OK) fail_msg("%s", f->to.err.message);
  counts(f, 5, 0);
  filter.after_position = 1;
  assert_int_equal(es_read(&cursor, f->to.rt, &filter, &f->to.err), ES_OK);
  assert_int_equal(es_cursor_next(&event, cursor, &f->to.err), ES_OK);
  assert_int_equal(event->position, 2);
  assert_int_equal(event->version, 1);
  assert_int_equal(es_event_json(&line, NULL, event, ES_FORM_LOG, NULL), ES_OK);
  assert_non_null(strstr(line, "\"import\":{\"hash\":\""));
  assert_non_null(strstr(line, "\"position\":1,\"recorded_at\":\"2024-"));
  assert_non_null(strstr(line, "\"source\":\"elsewhere\"}"));
  assert_non_null(strstr(line, "\"request_id\"")); /* what was there stays */
  es_free(line);
  es_cursor_close(cursor);
  es_verify_report report;
  assert_int_equal(es_verify(&report, f->to.rt, NULL, &f->to.err), ES_OK);
  assert_int_equal(report.event_count, 6);
}

static void appending_again_skips_what_is_there(void **state) { /* covers E1 */
  fixture *f = *state;
  begin(f, true, 2);
  assert_int_equal(import_lines(f, 1, 3), ES_OK);
  begin(f, true, 2);
  assert_int_equal(import_lines(f, 1, 5), ES_OK);
  counts(f, 2, 3);
  begin(f, true, 0);
  assert_int_equal(import_lines(f, 1, 5), ES_OK);
  counts(f, 0, 5);
  assert_int_equal(count_events(&f->to, NULL), 5);
}

static void a_stream_with_other_content_is_a_conflict(void **state) {
  fixture *f = *state;
  succeeds(&f->to, "Account", "b", "open", "{\"owner\":\"me\"}");
  begin(f, true, 0);
  assert_int_equal(import_lines(f, 1, 5), ES_ERR_CONFLICT);
  refused(f, ES_ERR_CONFLICT, "version_order", "line 2, position 2: version 1 of Account/b");
  assert_int_equal(count_events(&f->to, NULL), 1);
}

static void a_version_that_is_missing_is_a_conflict(void **state) {
  fixture *f = *state;
  begin(f, true, 0);
  assert_int_equal(feed_line(f, 1), ES_OK);
  assert_int_equal(feed_line(f, 5), ES_OK);
  assert_int_equal(finish(f), ES_ERR_CONFLICT);
  refused(f, ES_ERR_CONFLICT, "version_order", "line 2, position 5: version 3 of Account/a");
}

static void positions_that_fall_are_refused(void **state) {
  fixture *f = *state;
  begin(f, true, 0);
  assert_int_equal(feed_line(f, 2), ES_OK);
  assert_int_equal(feed_line(f, 1), ES_ERR_INTEGRITY);
  refused(f, ES_ERR_INTEGRITY, "position_order", "line 2, position 1: ");
}

/* ---- misuse ---- */

static void a_store_in_memory_is_not_backed_up(void **state) {
  fixture *f = *state;
  char path[128];
  snprintf(path, sizeof path, "%s/copy.db", f->from.folder);
  assert_int_equal(es_backup(NULL, f->from.rt, path, NULL, NULL, &f->to.err), ES_ERR_USAGE);
  refused(f, ES_ERR_USAGE, "in_memory", "there is no file to copy");
  assert_int_not_equal(access(path, F_OK), 0);
}

static void misuse_is_refused(void **state) {
  fixture *f = *state;
  es_import_options options = ES_IMPORT_INIT;
  options.form = ES_IMPORT_CSV;
  assert_int_equal(es_import_open(&f->import, f->to.rt, &options, &f->to.err), ES_ERR_USAGE);
  assert_null(f->import);
  options.form = ES_IMPORT_EXPORT;
  options.group = 10001;
  assert_int_equal(es_import_open(&f->import, f->to.rt, &options, &f->to.err), ES_ERR_USAGE);
  options.group = 0;
  options.name = "jane@example.org";
  assert_int_equal(es_import_open(&f->import, f->to.rt, &options, &f->to.err), ES_ERR_USAGE);
  assert_int_equal(es_transaction_begin(f->to.rt, &f->to.err), ES_OK);
  options.name = NULL;
  assert_int_equal(es_import_open(&f->import, f->to.rt, &options, &f->to.err), ES_ERR_USAGE);
  es_transaction_rollback(f->to.rt);
  begin(f, false, 0);
  assert_int_equal(finish(f), ES_OK);
  assert_int_equal(feed(f, "x"), ES_ERR_USAGE);
  refused(f, ES_ERR_USAGE, "import_over", "finished");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(an_empty_store_becomes_the_same_store),
      TEST(input_may_be_cut_anywhere),
      TEST(a_second_run_goes_on_where_the_first_ended),
      TEST(another_store_is_not_continued),
      TEST(writing_meanwhile_is_a_conflict),
      TEST(a_wrong_hash_is_refused),
      TEST(changed_content_is_refused),
      TEST(a_gap_is_refused),
      TEST(a_duplicate_is_refused),
      TEST(a_duplicate_id_is_refused),
      TEST(a_version_out_of_order_is_refused),
      TEST(half_a_line_is_refused),
      TEST(half_a_last_line_is_refused),
      TEST(bad_utf8_is_refused),
      TEST(unknown_missing_and_mistyped_members_are_refused),
      TEST(appended_events_keep_where_they_came_from),
      TEST(appending_again_skips_what_is_there),
      TEST(a_stream_with_other_content_is_a_conflict),
      TEST(a_version_that_is_missing_is_a_conflict),
      TEST(positions_that_fall_are_refused),
      TEST(a_store_in_memory_is_not_backed_up),
      TEST(misuse_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
