/* test_archive: archived events through esrun.h: what moves by time and number, reading across frames and segments in any order,
 * and stopping. */
#include "engine_support.h"

enum { EVENTS = 2500, LARGE = 1501 };

static const char NOTE[] =
    "local es = require 'es'\n"
    "local N = es.aggregate 'Note'\n"
    "N.events = { NoteTaken = { text = 'string', number = 'integer' } }\n"
    "function N.initial() return { sum = 0 } end\n"
    "N.apply = { NoteTaken = function(n, e) n.sum = n.sum + e.data.number end }\n"
    "N.commands = {}\n"
    "return N\n";

/* Events of seven streams; one of them is larger than a frame wants to be. */
static void take_notes(engine *self, int count) {
  char *text = malloc(3 * 1024 * 1024 + 1), *data = malloc(4 * 1024 * 1024);

  memset(text, 'x', 3 * 1024 * 1024);
  for (int number = 1; number <= count; number++) {
    char id[2] = {(char)('a' + number % 7), '\0'};
    int length = number == LARGE ? 3 * 1024 * 1024 : 100;
    es_event event = {
        .aggregate_type = {"Note", 4}, .aggregate_id = {id, 1}, .event_type = {"NoteTaken", 9}};
    int written = sprintf(data, "{\"number\":%d,\"text\":\"%.*s\"}", number, length, text);
    event.data = (es_text){data, (size_t)written};
    if (es_append(self->rt, &event, 1, 0, &self->err) != ES_OK) fail_msg("%s", self->err.message);
  }
  free(text);
  free(data);
}

static int setup(void **state) {
  char store[128];
  engine *self = calloc(1, sizeof *self);

  new_project(self);
  write_file(self, "aggregates/note.lua", NOTE);
  snprintf(store, sizeof store, "%s/store.db", self->folder);
  open_engine(self, store);
  *state = self;
  return 0;
}

static int teardown(void **state) {
  remove_project(*state);
  free(*state);
  return 0;
}

static es_archive_report archive(engine *self, es_archive_options options) {
  es_archive_report report;

  if (es_archive(&report, self->rt, &options, &self->err) != ES_OK)
    fail_msg("%s (%s)", self->err.message, self->err.hint);
  return report;
}

static void is_sound(engine *self, int64_t archived) {
  es_verify_options options = ES_VERIFY_INIT;
  es_verify_report report;

  options.memory_path = "";
  if (es_verify(&report, self->rt, &options, &self->err) != ES_OK)
    fail_msg("%s", self->err.message);
  assert_int_equal(report.archived_count, archived);
  assert_int_equal(report.unseen_count, 0);
}

/* The numbers that events of this filter have must rise by `step` from `first` on, `count` of them. */
static void reads(engine *self, es_filter filter, int first, int step, int count) {
  es_cursor *cursor;
  const es_event *event;
  char part[32];

  filter.event_type = "NoteTaken";
  assert_int_equal(es_read(&cursor, self->rt, &filter, &self->err), ES_OK);
  for (int i = 0; i < count; i++) {
    if (es_cursor_next(&event, cursor, &self->err) != ES_OK) fail_msg("%s", self->err.message);
    assert_non_null(event);
    int length = snprintf(part, sizeof part, "{\"number\":%d,", first + i * step);
    if (event->data.length < 100 || strncmp(event->data.data, part, (size_t)length) != 0)
      fail_msg("position %d: %.40s", (int)event->position, event->data.data);
    assert_in_range(event->metadata.length, 2, 1000);
  }
  assert_int_equal(es_cursor_next(&event, cursor, &self->err), ES_OK);
  assert_null(event);
  es_cursor_close(cursor);
}

static void events_are_read_in_any_order_across_frames_and_segments(void **state) {
  engine *self = *state;
  es_archive_options options = ES_ARCHIVE_INIT;
  es_filter all = ES_FILTER_INIT, back = ES_FILTER_INIT, one = ES_FILTER_INIT;
  char *state_of_b, *again;

  take_notes(self, EVENTS);
  assert_int_equal(es_load(&state_of_b, self->rt, "Note", "b", NULL, &self->err), ES_OK);
  options.keep_events = 100;
  options.segment_events = 1700;
  es_archive_report report = archive(self, options);
  assert_int_equal(report.event_count, EVENTS - 100);
  assert_int_equal(report.segment_count, 2);
  assert_true(report.file_bytes < report.text_bytes / 10);
  reads(self, all, 1, 1, EVENTS);
  back.reverse = true;
  reads(self, back, EVENTS, -1, EVENTS);
  one.aggregate_type = "Note";
  one.aggregate_id = "b";
  reads(self, one, 1, 7, EVENTS / 7 + 1);
  assert_int_equal(es_load(&again, self->rt, "Note", "b", NULL, &self->err), ES_OK);
  assert_string_equal(state_of_b, again);
  es_free(state_of_b);
  es_free(again);
  is_sound(self, EVENTS - 100);
}

static void what_was_recorded_before_a_time_moves(void **state) {
  engine *self = *state;
  es_archive_options options = ES_ARCHIVE_INIT;

  take_notes(self, 20);
  int64_t then = self->now + 1;
  self->now += INT64_C(30) * 24 * 3600 * 1000000;
  take_notes(self, 10);
  options.dry_run = true;
  options.before_time = then;
  assert_int_equal(archive(self, options).last, 20);
  is_sound(self, 0);
  options.dry_run = false;
  es_archive_report report = archive(self, options);
  assert_int_equal(report.event_count, 20);
  assert_int_equal(report.first, 1);
  assert_int_equal(report.last, 20);
  assert_int_equal(archive(self, options).event_count, 0);
  options.before_time = 0;
  options.before_position = INT64_MAX;
  assert_int_equal(archive(self, options).event_count, 11); /* and the record of the first run */
}

static bool stop(void *data, int64_t done, int64_t total) {
  (void)total;
  return done < *(int64_t *)data;
}

static void what_is_stopped_leaves_whole_segments_and_goes_on_later(void **state) {
  engine *self = *state;
  es_archive_options options = ES_ARCHIVE_INIT;
  es_archive_report report;
  es_filter all = ES_FILTER_INIT;
  int64_t most = 2048;

  take_notes(self, EVENTS);
  options.keep_events = 0;
  options.segment_events = 1000;
  options.progress = stop;
  options.progress_data = &most;
  assert_int_equal(es_archive(&report, self->rt, &options, &self->err), ES_ERR_OTHER);
  assert_string_equal(self->err.code, "stopped");
  assert_int_equal(report.event_count, 2000);
  assert_int_equal(report.segment_count, 2);
  is_sound(self, 2000);
  options.progress = NULL;
  assert_int_equal(archive(self, options).first, 2001);
  reads(self, all, 1, 1, EVENTS);
}

static void what_came_back_is_compared_with_its_hash(void **state) {
  engine *self = *state;
  es_archive_options options = ES_ARCHIVE_INIT;
  es_unarchive_options back = ES_UNARCHIVE_INIT;
  es_archive_report report;
  es_filter all = ES_FILTER_INIT;

  take_notes(self, EVENTS);
  options.before_position = EVENTS + 1;
  archive(self, options);
  back.from = 11;
  back.to = 2020;
  assert_int_equal(es_unarchive(&report, self->rt, &back, &self->err), ES_OK);
  assert_int_equal(report.event_count, 2010);
  assert_int_equal(report.first, 11);
  assert_int_equal(report.last, 2020);
  is_sound(self, EVENTS - 2010);
  reads(self, all, 1, 1, EVENTS);
  assert_int_equal(es_unarchive(&report, self->rt, &back, &self->err), ES_OK);
  assert_int_equal(report.event_count, 0);
  assert_int_equal(es_unarchive(NULL, self->rt, NULL, &self->err), ES_OK);
  is_sound(self, 0);
}

static void options_that_contradict_are_refused(void **state) {
  engine *self = *state;
  es_archive_options options[4] = {ES_ARCHIVE_INIT, ES_ARCHIVE_INIT, ES_ARCHIVE_INIT,
                                   ES_ARCHIVE_INIT};
  static const char *const codes[] = {"bad_choice", "bad_choice", "bad_number", "no_name"};

  options[1].keep_events = options[1].keep_bytes = 1;
  options[2].before_position = -1;
  options[3].keep_events = 1;
  options[3].folder = "";
  for (int i = 0; i < 4; i++) {
    assert_int_equal(es_archive(NULL, self->rt, &options[i], &self->err), ES_ERR_USAGE);
    assert_string_equal(self->err.code, codes[i]);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(events_are_read_in_any_order_across_frames_and_segments),
      TEST(what_was_recorded_before_a_time_moves),
      TEST(what_is_stopped_leaves_whole_segments_and_goes_on_later),
      TEST(what_came_back_is_compared_with_its_hash),
      TEST(options_that_contradict_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
