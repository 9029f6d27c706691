/* test_verify_rows: what verification finds beside the chain and the events' indexes, with one thread and with several: other
 * indexes, derived rows, pages, and values of another type than their column's. */
#include "verify_support.h"

#include "engine/scan_jobs.h"
#include "store/tree.h"

/* Fills an index of another table without its row of id 1. */
static void leave_out_row_one(const fixture *f, const char *index, const char *id) {
  char *sql = ask(f, "SELECT sql FROM sqlite_schema WHERE name = '%s'", index);
  raw(f, "UPDATE sqlite_schema SET sql = sql || ' WHERE %s <> 1' WHERE name = '%s'", id, index);
  raw(f, "REINDEX %s", index);
  raw(f, "UPDATE sqlite_schema SET sql = '%q' WHERE name = '%s'", sql, index);
  free(sql);
}

static void hide_a_stream(fixture *f) { leave_out_row_one(f, "streams_by_name", "stream_id"); }
static void hide_a_name(fixture *f) { leave_out_row_one(f, "names_by_name", "name_id"); }
static void hide_a_reply(fixture *f) { leave_out_row_one(f, "replies_by_key", "reply_id"); }
static void hide_a_checkpoint(fixture *f) {
  leave_out_row_one(f, "checkpoints_by_size", "checkpoint_id");
}

static void add_a_stream(fixture *f) {
  raw(f, "INSERT INTO streams SELECT max(stream_id) + 1, tenant, type, 'empty' FROM streams");
}

/* With its trigger out of the way. */
static void update(const fixture *f, const char *table, const char *trigger, const char *change) {
  char *sql = ask(f, "SELECT sql FROM sqlite_schema WHERE name = '%s'", trigger);
  raw(f, "DROP TRIGGER %s; UPDATE %s SET %s; %s", trigger, table, change, sql);
  free(sql);
}

/* Makes the table one of the columns alone, without types and conditions, for the one change. */
static void update_untyped(const fixture *f, const char *table, const char *columns,
                           const char *trigger, const char *change) {
  char *sql = ask(f, "SELECT sql FROM sqlite_schema WHERE name = '%s'", table);
  raw(f, "UPDATE sqlite_schema SET sql = 'CREATE TABLE %s (%s)' WHERE name = '%s'", table, columns,
      table);
  update(f, table, trigger, change);
  raw(f, "UPDATE sqlite_schema SET sql = '%q' WHERE name = '%s'", sql, table);
  free(sql);
}

static void write_a_number_as_text(fixture *f) {
  update_untyped(f, "store", "one INTEGER PRIMARY KEY, store_id, created_at, checksum",
                 "store_no_update", "created_at = CAST(created_at AS TEXT)");
}

static void write_a_tile_as_text(fixture *f) {
  update_untyped(f, "tiles", "tile INTEGER PRIMARY KEY, hashes", "tiles_no_change",
                 "hashes = CAST(hashes AS TEXT)");
}

static void skip_a_version(fixture *f) {
  update(f, "events", "events_no_update", "version = version + 1 WHERE position > 9");
}

static void take_the_first_event(fixture *f) {
  char *trigger = ask(f, "SELECT sql FROM sqlite_schema WHERE name = 'events_no_delete'");
  raw(f, "DROP TRIGGER events_no_delete; DELETE FROM events WHERE position = 1; %s", trigger);
  free(trigger);
}

static void change_a_leaf(fixture *f) {
  update(f, "tiles", "tiles_no_change",
         "hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB) WHERE tile = 0");
}

static void change_the_freelist(fixture *f) {
  FILE *file = fopen(f->path, "r+b");
  assert_non_null(file);
  assert_int_equal(fseek(file, 39, SEEK_SET),
                   0); /* how many pages are free, in the file's header */
  fputc(7, file);
  fclose(file);
}

/* Edits an event, and adds a row so far behind the others that counting up to it would never end, or run over. */
static void edit_before_a_row_at(fixture *f, const char *position) {
  char *guard = ask(f, "SELECT sql FROM sqlite_schema WHERE name = 'events_guard'");

  update(f, "events", "events_no_update", "data = '{\"forged\":1}' WHERE position = 3");
  raw(f,
      "DROP TRIGGER events_guard; INSERT INTO events SELECT %s, randomblob(16), stream_id,"
      " version + 1, tenant, aggregate_type, event_type, schema_version, actor, correlation_id,"
      " causation_id, occurred_at, recorded_at, previous_hash, hash, data, metadata FROM events"
      " WHERE position = (SELECT max(position) FROM events); %s",
      position, guard);
  free(guard);
}

static void edit_before_a_far_row(fixture *f) { edit_before_a_row_at(f, "1 << 40"); }
static void edit_before_the_last_possible_row(fixture *f) {
  edit_before_a_row_at(f, "9223372036854775807");
}
static void insert_before_the_first(fixture *f) { edit_before_a_row_at(f, "-5"); }

static void write_all_tables(fixture *f) {
  es_event event = make_event(f, "Order", "z", "Opened");
  char body[128];
  es_reply_record reply = reply_with(body, &event, 1);
  es_commit commit = {.events = &event, .event_count = 1, .reply = &reply, .now = T0};
  int64_t size;

  append_some(f, EVENTS);
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  assert_int_equal(es__tree_grow(&size, INT64_MAX, f->store, &f->err), ES_OK);
  for (int i = 3; i < 9; i++)
    assert_int_equal(es__store_add_checkpoint(f->store, i, es__text("note"), &f->err), ES_OK);
  es__store_close(f->store);
  f->store = NULL;
}

static void damage_elsewhere_is_named(void **state) {
  static const struct {
    void (*harm)(fixture *f);
    const char *words;
  } harms[] = {{hide_a_stream, "missing from index streams_by_name"},
               {hide_a_name, "missing from index names_by_name"},
               {hide_a_reply, "missing from index replies_by_key"},
               {hide_a_checkpoint, "missing from index checkpoints_by_size"},
               {add_a_stream, "there are streams up to 8, and events of streams up to 7"},
               {skip_a_version, "goes on from version"},
               {take_the_first_event, "position_gap: it is the first event"},
               {edit_before_a_far_row, "version 1: its content is not what was hashed"},
               {edit_before_a_far_row, "the events from position 14 to 8192 are missing"},
               {edit_before_the_last_possible_row, "version 1: its content is not what was hashed"},
               {edit_before_the_last_possible_row, "position 9223372036854775807, "},
               {insert_before_the_first, "inserted: an event has position -5, before the first"},
               {change_a_leaf, "position 1: the tree has another hash of it than the chain"},
               {write_a_number_as_text, "non-INTEGER value in store.created_at"},
               {write_a_tile_as_text, "non-BLOB value in tiles.hashes"},
               {change_the_freelist, "reelist"}};
  (void)state;

  for (size_t i = 0; i < sizeof harms / sizeof harms[0]; i++) {
    fixture f;
    fixture_make(&f);
    assert_int_equal(fixture_open(&f), ES_OK);
    write_all_tables(&f);
    harms[i].harm(&f);
    for (int jobs = 1; jobs <= 3; jobs++) {
      es_error err = ES_ERROR_INIT;
      notes said = {0};
      if (verify(&said, f.path, jobs, &err) != ES_ERR_INTEGRITY ||
          strstr(said.all, harms[i].words) == NULL)
        fail_msg("%s, %d jobs: %s", harms[i].words, jobs, said.all);
    }
    fixture_remove(&f);
  }
}

/* The bytes are the same, and so is what an event's hash covers. */
static void an_event_with_a_value_of_another_type_is_named(void **state) {
  static const char *const columns[] = {
      "event_id",       "stream_id",    "version",     "tenant",
      "aggregate_type", "event_type",   "actor",       "schema_version",
      "correlation_id", "causation_id", "occurred_at", "recorded_at",
      "previous_hash",  "hash",         "data",        "metadata"};
  (void)state;

  for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
    const char *column = columns[i];
    char change[128], words[64];
    bool text = strcmp(column, "data") == 0 || strcmp(column, "metadata") == 0;
    fixture f;
    fixture_make(&f);
    assert_int_equal(fixture_open(&f), ES_OK);
    write_all_tables(&f);
    snprintf(change, sizeof change, "%s = CAST(%s AS %s) WHERE position = 2", column, column,
             text ? "BLOB" : "TEXT");
    update_untyped(&f, "events",
                   "position INTEGER PRIMARY KEY, event_id, stream_id, version, tenant,"
                   " aggregate_type, event_type, schema_version, actor, correlation_id,"
                   " causation_id, occurred_at, recorded_at, previous_hash, hash, data, metadata",
                   "events_no_update", change);
    snprintf(words, sizeof words, "its %s is malformed", column);
    for (int jobs = 1; jobs <= 2; jobs++) {
      es_error err = ES_ERROR_INIT;
      notes said = {0};
      if (verify(&said, f.path, jobs, &err) != ES_ERR_INTEGRITY || strstr(said.all, words) == NULL)
        fail_msg("%s, %d jobs: %s", words, jobs, said.all);
    }
    fixture_remove(&f);
  }
}

/* ---- Many findings ---- */

enum { MANY = 24000, FORGED_FROM = 5000 };

typedef struct tally {
  int64_t count, lowest;
} tally;

static void add_finding(void *data, const char *kind, int64_t position, const char *fault,
                        const char *message) {
  tally *self = data;
  (void)kind, (void)fault, (void)message;
  if (self->count++ == 0 || position < self->lowest) self->lowest = position;
}

static void add_store_finding(void *data, const char *kind, int64_t position, const char *message) {
  add_finding(data, kind, position, "", message);
}

/* Threads keep so many and no more; what an assurance reaches to must not depend on which they were. */
static void findings_that_are_not_told_are_counted(void **state) {
  enum { BATCH = 1000 };
  static es_event events[BATCH];
  fixture f;
  (void)state;

  fixture_make(&f);
  assert_int_equal(fixture_open(&f), ES_OK);
  for (int i = 0; i < MANY / BATCH; i++) {
    es_commit commit = {.events = events, .event_count = BATCH, .now = T0};
    for (int k = 0; k < BATCH; k++)
      events[k] = make_event(&f, "Order", "many", "Opened");
    assert_int_equal(es__store_append(f.store, &commit, &f.err), ES_OK);
  }
  update(&f, "events", "events_no_update", "data = '{\"forged\":1}' WHERE position >= 5000");
  for (int jobs = 1; jobs <= 8; jobs *= 2) {
    tally told = {0};
    es_scan scan = {.store = f.store, .to = MANY, .finding = add_finding, .finding_data = &told};
    assert_int_equal(
        es__scan_in_jobs(&scan, jobs, f.path, &f.ids, add_store_finding, &told, &f.err), ES_OK);
    assert_true(scan.untold_count > 0);
    assert_int_equal(told.count + scan.untold_count, MANY - FORGED_FROM + 1);
    assert_int_equal(told.lowest < scan.untold_lowest ? told.lowest : scan.untold_lowest,
                     FORGED_FROM);
  }
  fixture_remove(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(damage_elsewhere_is_named),
      cmocka_unit_test(findings_that_are_not_told_are_counted),
      cmocka_unit_test(an_event_with_a_value_of_another_type_is_named),
  };
  return cmocka_run_group_tests_name("verify_rows", tests, NULL, NULL);
}
