/* test_verify_rows: what verification finds beside the chain and the events' indexes, with one thread and with several: other
 * indexes, derived rows, pages, and values of another type than their column's. */
#include "verify_support.h"

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

static void write_all_tables(fixture *f) {
  es_event event = make_event(f, "Order", "z", "Opened");
  char body[128];
  es_reply_record reply = reply_with(body, &event, 1);
  es_commit commit = {.events = &event, .event_count = 1, .reply = &reply, .now = T0};
  int64_t size;

  append_some(f, EVENTS);
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  assert_int_equal(es__tree_grow(&size, f->store, &f->err), ES_OK);
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(damage_elsewhere_is_named),
      cmocka_unit_test(an_event_with_a_value_of_another_type_is_named),
  };
  return cmocka_run_group_tests_name("verify_rows", tests, NULL, NULL);
}
