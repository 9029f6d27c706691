/* test_store_snapshots: kept states, by the contract of store.h, and what only a file can do to them. */
#include "store_contract.h"

#include <sqlite3.h>

static const uint8_t module_1[ES_HASH_SIZE] = {1}, module_2[ES_HASH_SIZE] = {2};

static void edit(fixture *f, const char *id, int count) {
  for (int i = 0; i < count; i++) {
    f->clock += 1000;
    must_append(f, make_event(f, "Document", id, "DocumentEdited"));
  }
}

static es_stream_name document(const char *id) {
  return (es_stream_name){{NULL, 0}, {"Document", 8}, es__text(id)};
}

static es_status try_add(fixture *f, const char *id, int64_t version, const uint8_t *module_hash) {
  static char state[64];
  es_snapshot_record record = {.stream = document(id), .version = version, .created_at = f->clock};

  snprintf(state, sizeof state, "{\"version\":%lld}", (long long)version);
  record.state = es__text(state);
  record.lists = es__text("");
  es__id_new(&f->ids, record.snapshot_id);
  memcpy(record.module_hash, module_hash, ES_HASH_SIZE);
  return es__store_add_snapshot(f->store, &record, &f->err);
}

static void add(fixture *f, const char *id, int64_t version) {
  if (try_add(f, id, version, module_1) != ES_OK) fail_msg("add: %s", f->err.message);
}

/* The version of the snapshot that a wish is answered with; 0: none. */
static int64_t found_version(fixture *f, const char *id, es_snapshot_wish wish) {
  es_stream_name stream = document(id);
  es_snapshot_record record;
  char expected[64];
  bool found;

  assert_int_equal(es__store_find_snapshot(&found, &record, f->store, &stream, &wish, &f->err),
                   ES_OK);
  int64_t version = found ? record.version : 0;
  if (found) {
    snprintf(expected, sizeof expected, "{\"version\":%lld}", (long long)version);
    assert_true(es__text_equal(record.state, es__text(expected)));
  }
  es__snapshot_record_free(&record);
  return version;
}

#define FOUND(id, ...) found_version(f, id, (es_snapshot_wish){__VA_ARGS__})

/* Every snapshot as "id:version", with "!" behind one that has a fault. */
static const char *listed(fixture *f, const es_stream_name *stream) {
  static char text[512];
  es_snapshot_record at = {0};
  size_t length = 0;
  bool found;

  text[0] = '\0';
  while (es__store_next_snapshot(&found, &at, f->store, stream, &f->err) == ES_OK && found)
    length += (size_t)sprintf(
        text + length, "%s%.*s:%lld%s", length == 0 ? "" : " ", (int)at.stream.aggregate_id.length,
        at.stream.aggregate_id.data == NULL ? "" : at.stream.aggregate_id.data,
        (long long)at.version, at.fault == NULL ? "" : "!");
  return text;
}

/* covers C12 */
static void the_newest_snapshot_up_to_a_version_is_found(void **state) {
  fixture *f = *state;

  edit(f, "a", 9);
  assert_int_equal(FOUND("a"), 0);
  add(f, "a", 3);
  add(f, "a", 6);
  assert_int_equal(FOUND("a"), 6);
  assert_int_equal(FOUND("a", .to_version = 6), 6);
  assert_int_equal(FOUND("a", .to_version = 5), 3);
  assert_int_equal(FOUND("a", .to_version = 2), 0);
  assert_int_equal(FOUND("b"), 0);
}

static void the_newest_up_to_a_time_goes_by_its_events_recording(void **state) {
  fixture *f = *state;

  edit(f, "a", 9); /* version n is recorded at T0 + n milliseconds */
  add(f, "a", 3);
  add(f, "a", 6);
  assert_int_equal(FOUND("a", .to_time = T0 + 6000), 6);
  assert_int_equal(FOUND("a", .to_time = T0 + 5999), 3);
  assert_int_equal(FOUND("a", .to_time = T0 + 2999), 0);
}

static void a_snapshot_of_another_module_is_passed_over(void **state) {
  fixture *f = *state;

  edit(f, "a", 9);
  assert_int_equal(try_add(f, "a", 3, module_2), ES_OK);
  add(f, "a", 6);
  assert_int_equal(FOUND("a", .module_hash = module_1), 6);
  assert_int_equal(FOUND("a", .module_hash = module_2), 3);
}

/* covers C18 */
static void a_snapshot_is_bound_to_the_event_that_it_ends_with(void **state) {
  fixture *f = *state;
  es_event last = make_event(f, "Document", "a", "DocumentEdited");
  es_stream_name stream = document("a");
  es_snapshot_wish wish = {0};
  es_snapshot_record record;
  bool found;

  edit(f, "b", 2);
  edit(f, "a", 1);
  assert_int_equal(append_events(f, &last, 1), ES_OK);
  add(f, "a", 2);
  assert_int_equal(es__store_find_snapshot(&found, &record, f->store, &stream, &wish, &f->err),
                   ES_OK);
  assert_true(found);
  assert_int_equal(record.position, 4);
  assert_memory_equal(record.event_id, last.event_id, ES_ID_SIZE);
  assert_memory_equal(record.event_hash, last.hash, ES_HASH_SIZE);
  assert_true(record.recorded_at == last.recorded_at);
  assert_memory_equal(record.module_hash, module_1, ES_HASH_SIZE);
  es__snapshot_record_free(&record);
}

static void a_version_that_the_stream_does_not_have_is_a_conflict(void **state) {
  fixture *f = *state;

  edit(f, "a", 2);
  assert_int_equal(try_add(f, "a", 3, module_1), ES_ERR_CONFLICT);
  assert_int_equal(f->err.actual_version, 2);
  assert_int_equal(try_add(f, "a", 0, module_1), ES_ERR_CONFLICT);
  assert_int_equal(try_add(f, "b", 1, module_1), ES_ERR_CONFLICT);
  assert_string_equal(listed(f, NULL), "");
}

static void the_newest_three_of_a_stream_are_kept(void **state) {
  fixture *f = *state;

  edit(f, "a", 9);
  edit(f, "b", 1);
  add(f, "b", 1);
  for (int version = 1; version <= 5; version++)
    add(f, "a", version);
  assert_string_equal(listed(f, NULL), "a:3 a:4 a:5 b:1");
}

static void one_of_the_same_version_takes_the_place_of_the_other(void **state) {
  fixture *f = *state;

  edit(f, "a", 2);
  add(f, "a", 2);
  assert_int_equal(try_add(f, "a", 2, module_2), ES_OK);
  assert_string_equal(listed(f, NULL), "a:2");
  assert_int_equal(FOUND("a", .module_hash = module_1), 0);
  assert_int_equal(FOUND("a", .module_hash = module_2), 2);
}

static void snapshots_are_listed_and_dropped_by_stream_or_all(void **state) {
  fixture *f = *state;
  es_stream_name a = document("a"), nowhere = document("nowhere");
  int64_t count;

  edit(f, "a", 3);
  edit(f, "b", 3);
  add(f, "a", 1);
  add(f, "a", 2);
  add(f, "b", 3);
  assert_string_equal(listed(f, &a), "a:1 a:2");
  assert_string_equal(listed(f, &nowhere), "");
  assert_int_equal(es__store_drop_snapshots(&count, f->store, &nowhere, &f->err), ES_OK);
  assert_int_equal(count, 0);
  assert_int_equal(es__store_drop_snapshots(&count, f->store, &a, &f->err), ES_OK);
  assert_int_equal(count, 2);
  assert_string_equal(listed(f, NULL), "b:3");
  add(f, "a", 3);
  assert_int_equal(es__store_drop_snapshots(&count, f->store, NULL, &f->err), ES_OK);
  assert_int_equal(count, 2);
  assert_string_equal(listed(f, NULL), "");
}

static void tenants_have_snapshots_of_their_own(void **state) {
  fixture *f = *state;
  es_event event = make_event(f, "Document", "a", "DocumentEdited");

  event.tenant_id = es__text("acme");
  must_append(f, event);
  edit(f, "a", 1);
  add(f, "a", 1);
  es_stream_name other = {es__text("acme"), {"Document", 8}, {"a", 1}};
  assert_string_equal(listed(f, &other), "");
}

static void a_snapshot_is_no_part_of_a_transaction(void **state) {
  fixture *f = *state;
  es_stream_name a = document("a");
  int64_t count;

  edit(f, "a", 1);
  assert_int_equal(es__store_begin(f->store, &f->err), ES_OK);
  assert_int_equal(try_add(f, "a", 1, module_1), ES_ERR_USAGE);
  assert_int_equal(es__store_drop_snapshots(&count, f->store, &a, &f->err), ES_ERR_USAGE);
  assert_int_equal(es__store_commit(f->store, &f->err), ES_OK);
}

/* ---- A file can be damaged ---- */

static int raw(fixture *f, const char *sql) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
  sqlite3_close(db);
  return rc;
}

static int setup_file(void **state) {
  use_memory = false;
  return setup(state);
}

static int teardown_damaged(void **state) {
  fixture *f = *state;
  fixture_remove(f);
  free(f);
  return 0;
}

/* covers C12 */
static void a_row_that_does_not_fit_is_passed_over_and_found_by_the_check(void **state) {
  static const struct {
    const char *sql, *message;
  } cases[] = {
      {"UPDATE snapshots SET state = '{\"version\":7}' WHERE version = 6", "checksum"},
      {"UPDATE snapshots SET version = 60 WHERE version = 6", "checksum"},
      {"UPDATE snapshots SET stream_id = 9 WHERE version = 6", "checksum"},
      {"UPDATE snapshots SET module_hash = zeroblob(32) WHERE version = 6", "checksum"},
      {"UPDATE snapshots SET lists = '0' WHERE version = 6", "checksum"},
      {"UPDATE snapshots SET checksum = zeroblob(32) WHERE version = 6", "checksum"},
      {"UPDATE snapshots SET state = '' WHERE version = 6", "checksum"},
  };
  (void)state;

  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    fixture one, *f = &one;
    damage found;
    fixture_make(f);
    assert_int_equal(fixture_open(f), ES_OK);
    edit(f, "a", 9);
    add(f, "a", 3);
    add(f, "a", 6);
    assert_int_equal(raw(f, cases[i].sql), SQLITE_OK);
    assert_int_equal(FOUND("a", .module_hash = module_1), 3);
    verify_store(&found, f->store);
    assert_int_equal(found.count, 1);
    assert_string_equal(found.kind, "snapshot");
    if (strstr(found.message, cases[i].message) == NULL) fail_msg("%s", found.message);
    fixture_remove(f);
  }
}

/* As whoever knows the format would write it: with a checksum that agrees. */
static void forge(fixture *f, es_snapshot_record record) {
  uint8_t checksum[ES_HASH_SIZE];
  sqlite3 *db;
  sqlite3_stmt *add;

  record.module_hash[0] = 1;
  assert_int_equal(es__snapshot_checksum(checksum, f->store, &record, &f->err), ES_OK);
  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  assert_int_equal(
      sqlite3_prepare_v2(db, "INSERT INTO snapshots VALUES (?,?,?,?,?,?,?,?,?,?)", -1, &add, NULL),
      SQLITE_OK);
  sqlite3_bind_int64(add, 1, record.key);
  sqlite3_bind_int64(add, 2, record.version);
  sqlite3_bind_blob(add, 3, record.snapshot_id, ES_ID_SIZE, SQLITE_STATIC);
  sqlite3_bind_int64(add, 4, record.position);
  sqlite3_bind_blob(add, 5, record.event_hash, ES_HASH_SIZE, SQLITE_STATIC);
  sqlite3_bind_blob(add, 6, record.module_hash, ES_HASH_SIZE, SQLITE_STATIC);
  sqlite3_bind_int64(add, 7, record.created_at);
  sqlite3_bind_text(add, 8, record.state.data, (int)record.state.length, SQLITE_STATIC);
  sqlite3_bind_text(add, 9, "", 0, SQLITE_STATIC);
  sqlite3_bind_blob(add, 10, checksum, ES_HASH_SIZE, SQLITE_STATIC);
  assert_int_equal(sqlite3_step(add), SQLITE_DONE);
  sqlite3_finalize(add);
  sqlite3_close(db);
}

/* Newer than the head, as if an older copy of the events had come back beside them; another stream's; of no stream. */
static void a_snapshot_that_ends_with_no_event_of_its_stream_is_damage(void **state) {
  fixture *f = *state;
  es_event last = make_event(f, "Document", "b", "DocumentEdited");
  es_snapshot_record forged = {.lists = es__text(""), .state = es__text("{\"version\":8}")};
  damage found;

  edit(f, "a", 2);
  assert_int_equal(append_events(f, &last, 1), ES_OK); /* stream 2 */
  forged.key = 1, forged.version = 8, forged.position = 8;
  memcpy(forged.event_hash, last.hash, ES_HASH_SIZE);
  forge(f, forged);
  assert_int_equal(FOUND("a", .module_hash = module_1), 0);
  verify_store(&found, f->store);
  assert_int_equal(found.count, 1);
  assert_non_null(strstr(found.message, "Document/a at version 8 ends with an event that is not"));
  add(f, "a", 1); /* which drops what is ahead of the stream */
  assert_string_equal(listed(f, NULL), "a:1");
  forged.version = 2, forged.position = 3;
  forge(f, forged);
  assert_int_equal(FOUND("a", .module_hash = module_1), 1);
  verify_store(&found, f->store);
  assert_non_null(strstr(found.message, "Document/a at version 2 ends with another event"));
  forged.position = 2; /* the right one, with another event's hash: the file was put together */
  assert_int_equal(raw(f, "DELETE FROM snapshots WHERE version = 2"), SQLITE_OK);
  forge(f, forged);
  assert_int_equal(FOUND("a", .module_hash = module_1), 1);
  verify_store(&found, f->store);
  assert_non_null(strstr(found.message, "Document/a at version 2 ends with another event"));
  assert_int_equal(raw(f, "DELETE FROM snapshots"), SQLITE_OK);
  forged.key = 7, forged.version = 1;
  forge(f, forged);
  verify_store(&found, f->store);
  assert_non_null(strstr(found.message, "ends with an event that is not there"));
  assert_string_equal(listed(f, NULL), ":1!");
}

static void a_forged_snapshot_that_holds_no_state_is_damage(void **state) {
  fixture *f = *state;
  es_event last = make_event(f, "Document", "a", "DocumentEdited");
  es_snapshot_record forged = {
      .key = 1, .version = 1, .position = 1, .lists = es__text(""), .state = es__text("{")};
  damage found;

  assert_int_equal(append_events(f, &last, 1), ES_OK);
  memcpy(forged.event_hash, last.hash, ES_HASH_SIZE);
  forge(f, forged);
  verify_store(&found, f->store);
  assert_int_equal(found.count, 1);
  assert_non_null(strstr(found.message, "holds no state"));
}

static void a_store_of_the_first_layout_gets_the_table(void **state) {
  fixture *f = *state;

  edit(f, "a", 2);
  es__store_close(f->store);
  f->store = NULL;
  assert_int_equal(raw(f, "DROP TABLE snapshots; DROP TABLE segments; PRAGMA user_version = 1"),
                   SQLITE_OK);
  fixture_reopen(f);
  assert_sound(f->store, 2);
  add(f, "a", 2);
  assert_int_equal(FOUND("a"), 2);
}

static void snapshots_outlive_closing_and_another_connection_sees_them(void **state) {
  fixture *f = *state;
  es_sqlite_options read_only = {.read_only = true};
  es_store *other = NULL, *own;

  edit(f, "a", 2);
  add(f, "a", 1);
  fixture_reopen(f);
  assert_int_equal(FOUND("a"), 1);
  assert_int_equal(es__store_open_sqlite(&other, f->path, &read_only, &f->ids, &f->err), ES_OK);
  add(f, "a", 2);
  own = f->store;
  f->store = other;
  assert_int_equal(FOUND("a"), 2);
  assert_int_equal(try_add(f, "a", 2, module_1), ES_ERR_STORE);
  assert_string_equal(f->err.code, "read_only");
  f->store = own;
  es__store_close(other);
}

static const struct CMUnitTest tests[] = {
    BOTH(the_newest_snapshot_up_to_a_version_is_found),
    BOTH(the_newest_up_to_a_time_goes_by_its_events_recording),
    BOTH(a_snapshot_of_another_module_is_passed_over),
    BOTH(a_snapshot_is_bound_to_the_event_that_it_ends_with),
    BOTH(a_version_that_the_stream_does_not_have_is_a_conflict),
    BOTH(the_newest_three_of_a_stream_are_kept),
    BOTH(one_of_the_same_version_takes_the_place_of_the_other),
    BOTH(snapshots_are_listed_and_dropped_by_stream_or_all),
    BOTH(tenants_have_snapshots_of_their_own),
    BOTH(a_snapshot_is_no_part_of_a_transaction),
};

#define FILE_ONLY(test) cmocka_unit_test_setup_teardown(test, setup_file, teardown)
#define DAMAGED(test) cmocka_unit_test_setup_teardown(test, setup_file, teardown_damaged)

int main(void) {
  static const struct CMUnitTest of_files[] = {
      FILE_ONLY(a_row_that_does_not_fit_is_passed_over_and_found_by_the_check),
      DAMAGED(a_snapshot_that_ends_with_no_event_of_its_stream_is_damage),
      DAMAGED(a_forged_snapshot_that_holds_no_state_is_damage),
      FILE_ONLY(a_store_of_the_first_layout_gets_the_table),
      FILE_ONLY(snapshots_outlive_closing_and_another_connection_sees_them),
  };

  int failed = run_for_every_kind(tests, sizeof tests / sizeof tests[0]);
  return failed + cmocka_run_group_tests(of_files, NULL, NULL);
}
