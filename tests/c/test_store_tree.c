/* The tree beside the events, in both stores: caught up in transactions, refused where it would shrink, compared leaf by leaf. */
#include "store_fixture.h"

#include <sqlite3.h>

#include "store/tree.h"

static int setup_memory(void **state) {
  fixture *f = malloc(sizeof *f);
  fixture_make(f);
  assert_int_equal(es__store_open_memory(&f->store, &f->ids, &f->err), ES_OK);
  *state = f;
  return 0;
}

static int setup_sqlite(void **state) {
  fixture *f = malloc(sizeof *f);
  fixture_make(f);
  if (fixture_open(f) != ES_OK) fail_msg("open: %s", f->err.message);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  fixture_remove(f);
  free(f);
  return 0;
}

static void fill(fixture *f, int count) {
  enum { AT_ONCE = 500 };
  es_event events[AT_ONCE];
  while (count > 0) {
    int some = count < AT_ONCE ? count : AT_ONCE;
    for (int i = 0; i < some; i++)
      events[i] = make_event(f, "Document", i % 2 == 0 ? "a" : "b", "DocumentEdited");
    if (append_events(f, events, (size_t)some) != ES_OK) fail_msg("append: %s", f->err.message);
    count -= some;
  }
}

static int64_t grow(fixture *f) {
  int64_t size;
  if (es__tree_grow(&size, INT64_MAX, f->store, &f->err) != ES_OK)
    fail_msg("grow: %s", f->err.message);
  return size;
}

/* The root, from the events alone. */
static es_hash root_of_events(fixture *f, int64_t size) {
  es_store_cursor *cursor;
  const es_event *event;
  es_tree tree = {0};
  es_hash root, leaf;
  assert_int_equal(es__store_read(&cursor, f->store, NULL, &f->err), ES_OK);
  while (tree.size < size) {
    assert_int_equal(es__store_next(&event, cursor, &f->err), ES_OK);
    memcpy(leaf.bytes, event->hash, ES_HASH_SIZE);
    assert_int_equal(es__tree_append(&tree, f->store->chain, &leaf, NULL, NULL, &f->err), ES_OK);
  }
  es__store_cursor_close(cursor);
  assert_int_equal(es__tree_root(&root, &tree, f->store->chain, &f->err), ES_OK);
  return root;
}

static void assert_root(fixture *f, int64_t size) {
  es_hash expected = root_of_events(f, size), root;
  if (es__tree_root_at(&root, size, f->store, &f->err) != ES_OK) fail_msg("%s", f->err.message);
  assert_memory_equal(&root, &expected, sizeof root);
}

static damage check(fixture *f) {
  damage found = {0};
  assert_int_equal(es__store_check(f->store, note_damage, &found, &f->err), ES_OK);
  return found;
}

static void the_tree_is_caught_up_and_covers_the_events(void **state) {
  fixture *f = *state;
  int64_t size;
  assert_int_equal(grow(f), 0);
  fill(f, 1);
  assert_root(f, 1);
  fill(f, 2);
  assert_int_equal(es__tree_size(&size, f->store, &f->err), ES_OK);
  assert_int_equal(size, 0); /* appending leaves it alone */
  assert_root(f, 3);         /* which hinders nobody */
  assert_int_equal(grow(f), 3);
  assert_int_equal(grow(f), 3);
  fill(f, 597);
  assert_root(f, 600);
  assert_int_equal(grow(f), 600);
  assert_root(f, 3);
  assert_root(f, 257);
  assert_root(f, 600);
  assert_int_equal(check(f).count, 0);
}

static void the_tree_grows_by_one_event_as_by_many(void **state) {
  fixture *f = *state;
  for (int64_t size = 1; size <= 6; size++) {
    fill(f, 1);
    assert_int_equal(grow(f), size);
    assert_root(f, size);
  }
  assert_int_equal(check(f).count, 0);
}

static void a_large_tree_is_caught_up_in_several_transactions(void **state) {
  fixture *f = *state;
  fill(f, 66100);
  assert_int_equal(grow(f), 66100);
  assert_root(f, 65536);
  assert_root(f, 66100);
  assert_int_equal(check(f).count, 0);
}

static void the_tree_is_not_caught_up_inside_a_transaction(void **state) {
  fixture *f = *state;
  int64_t size;
  fill(f, 1);
  assert_int_equal(es__store_begin(f->store, &f->err), ES_OK);
  assert_int_equal(es__tree_grow(&size, INT64_MAX, f->store, &f->err), ES_ERR_USAGE);
  es__store_rollback(f->store);
  assert_int_equal(grow(f), 1);
}

static void roots_of_more_events_than_there_are_do_not_exist(void **state) {
  fixture *f = *state;
  es_hash root;
  fill(f, 2);
  assert_int_equal(es__tree_root_at(&root, 3, f->store, &f->err), ES_ERR_INTEGRITY);
  assert_string_equal(f->err.code, "truncated");
}

static void checkpoints_are_kept_and_found_by_size(void **state) {
  fixture *f = *state;
  es_store_checkpoint found = {0};
  static const int64_t sizes[] = {0, 5, 5, 9};
  static const char *const notes[] = {"zero", "five", "five again", "nine"};
  assert_int_equal(es__store_checkpoint(&found, f->store, INT64_MAX, &f->err), ES_OK);
  assert_int_equal(found.size, -1);
  for (int i = 0; i < 4; i++) {
    assert_int_equal(es__store_add_checkpoint(f->store, sizes[i], es__text(notes[i]), &f->err),
                     ES_OK);
  }
  static const struct {
    int64_t up_to, size;
    const char *note;
  } expected[] = {{INT64_MAX, 9, "nine"}, {9, 9, "nine"}, {8, 5, "five again"}, {4, 0, "zero"}};
  for (int i = 0; i < 4; i++) {
    assert_int_equal(es__store_checkpoint(&found, f->store, expected[i].up_to, &f->err), ES_OK);
    assert_int_equal(found.size, expected[i].size);
    assert_string_equal(found.note.data, expected[i].note);
  }
  assert_int_equal(es__store_checkpoint(&found, f->store, INT64_MAX, &f->err), ES_OK);
  for (int i = 3; i >= 0; i--) {
    assert_int_equal(found.size, sizes[i]);
    assert_string_equal(found.note.data, notes[i]);
    assert_int_equal(es__store_checkpoint_before(&found, f->store, &f->err), ES_OK);
  }
  assert_int_equal(found.size, -1);
  es__buf_free(&found.note);
  assert_int_equal(check(f).count, 0);
}

/* ---- The file ---- */

/* Runs SQL on the file from outside, where no trigger is left in the way; the triggers are put back. */
static void tamper(fixture *f, const char *sql) {
  enum { TRIGGERS = 6 };
  static const char *const triggers[] = {"tiles_no_change",  "tiles_no_delete",
                                         "tiles_guard",      "events_no_delete",
                                         "events_no_update", "checkpoints_no_update"};
  char kept[8][1024], drop[64];
  sqlite3 *db;
  char *why = NULL;
  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  for (int i = 0; i < TRIGGERS; i++) {
    sqlite3_stmt *get;
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT sql FROM sqlite_schema WHERE name = ?1", -1, &get, NULL),
        SQLITE_OK);
    sqlite3_bind_text(get, 1, triggers[i], -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(get), SQLITE_ROW);
    snprintf(kept[i], sizeof kept[i], "%s", (const char *)sqlite3_column_text(get, 0));
    sqlite3_finalize(get);
    snprintf(drop, sizeof drop, "DROP TRIGGER %s", triggers[i]);
    assert_int_equal(sqlite3_exec(db, drop, NULL, NULL, NULL), SQLITE_OK);
  }
  if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s", why);
  for (int i = 0; i < TRIGGERS; i++)
    assert_int_equal(sqlite3_exec(db, kept[i], NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}

static void finds(fixture *f, const char *sql, const char *kind, const char *words) {
  tamper(f, sql);
  damage found = check(f);
  assert_int_not_equal(found.count, 0);
  assert_string_equal(found.kind, kind);
  if (strstr(found.message, words) == NULL) fail_msg("%s", found.message);
}

static void a_leaf_that_differs_is_named_by_its_position(void **state) {
  fixture *f = *state;
  fill(f, 600);
  grow(f);
  finds(f,
        "UPDATE tiles SET hashes = CAST(substr(hashes, 1, 320) || zeroblob(32) || substr(hashes, "
        "353) AS BLOB)"
        " WHERE tile = 1",
        "tree", "position 267");
}

static void a_node_that_differs_is_named_by_its_level(void **state) {
  fixture *f = *state;
  fill(f, 600);
  grow(f);
  finds(f,
        "UPDATE tiles SET hashes = CAST(zeroblob(32) || substr(hashes, 33) AS BLOB) WHERE tile = "
        "(1 << 48)",
        "tree", "level 1");
}

static void a_missing_tile_is_found(void **state) {
  fixture *f = *state;
  fill(f, 600);
  grow(f);
  finds(f, "DELETE FROM tiles WHERE tile = 0", "tree", "tile 0 of the tree's level 0 is missing");
}

static void a_tile_too_many_is_found(void **state) {
  fixture *f = *state;
  fill(f, 600);
  grow(f);
  finds(f, "INSERT INTO tiles VALUES ((2 << 48), zeroblob(32))", "tree", "are stored");
}

static void a_tail_cut_off_is_found_by_the_tree(void **state) {
  fixture *f = *state;
  int64_t size;
  fill(f, 600);
  grow(f);
  tamper(f, "DELETE FROM events WHERE position > 590");
  assert_int_equal(es__tree_grow(&size, INT64_MAX, f->store, &f->err), ES_ERR_INTEGRITY);
  assert_string_equal(f->err.code, "truncated");
  damage found = check(f);
  assert_string_equal(found.kind, "truncated");
  assert_non_null(strstr(found.message, "cut off"));
}

/* The tree could not grow any more: a tile never shrinks. */
static void a_hash_too_many_is_found_in_any_level(void **state) {
  fixture *f = *state;
  int64_t size;
  fill(f, 600);
  grow(f);
  finds(f, "UPDATE tiles SET hashes = CAST(hashes || zeroblob(32) AS BLOB) WHERE tile = (1 << 48)",
        "tree", "tile 0 of level 1 has 3 hashes, not 2");
  fill(f, 300);
  assert_int_equal(es__tree_grow(&size, INT64_MAX, f->store, &f->err), ES_ERR_INTEGRITY);
  assert_string_equal(f->err.code, "tree");
}

static int64_t stored_tiles(fixture *f) {
  sqlite3 *db;
  sqlite3_stmt *statement;
  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM tiles", -1, &statement, NULL),
                   SQLITE_OK);
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  int64_t count = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return count;
}

/* The tree keeps what it once has: leaves of events that are not there could never be taken back. */
static void a_tree_does_not_grow_over_a_gap(void **state) {
  fixture *f = *state;
  int64_t size;
  es_hash root;
  fill(f, 600);
  tamper(f, "UPDATE events SET position = 1000 WHERE position = 599");
  alarm(60); /* instead of filling the disk */
  assert_int_equal(es__tree_grow(&size, INT64_MAX, f->store, &f->err), ES_ERR_INTEGRITY);
  assert_string_equal(f->err.code, "position_gap");
  assert_int_equal(f->err.position, 599);
  assert_int_equal(stored_tiles(f), 0);
  assert_int_equal(es__tree_root_at(&root, 600, f->store, &f->err), ES_ERR_INTEGRITY);
  tamper(f, "UPDATE events SET position = 9223372036854775807 WHERE position = 1000");
  assert_int_equal(es__tree_grow(&size, INT64_MAX, f->store, &f->err), ES_ERR_INTEGRITY);
  alarm(0);
  assert_int_equal(stored_tiles(f), 0);
  tamper(f, "UPDATE events SET position = 599 WHERE position > 1000");
  assert_int_equal(grow(f), 600);
  assert_int_equal(check(f).count, 0);
}

static void a_changed_checkpoint_is_found(void **state) {
  fixture *f = *state;
  assert_int_equal(es__store_add_checkpoint(f->store, 0, es__text("note"), &f->err), ES_OK);
  finds(f, "UPDATE checkpoints SET note = 'Note'", "checkpoint", "checksum");
}

static int raw(fixture *f, const char *sql) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
  sqlite3_close(db);
  return rc;
}

static void the_schema_lets_tiles_grow_and_nothing_else(void **state) {
  fixture *f = *state;
  fill(f, 300);
  grow(f);
  assert_int_equal(es__store_add_checkpoint(f->store, 300, es__text("note"), &f->err), ES_OK);
  static const char *const refused[] = {
      "UPDATE tiles SET hashes = zeroblob(32) WHERE tile = 1",
      "UPDATE tiles SET hashes = zeroblob(8192) WHERE tile = 1",
      "UPDATE tiles SET tile = 7 WHERE tile = 1",
      "DELETE FROM tiles WHERE tile = 1",
      "INSERT OR REPLACE INTO tiles VALUES (1, zeroblob(8192))",
      "INSERT INTO tiles VALUES (2, zeroblob(32))", /* the one before it is not full */
      "INSERT INTO tiles VALUES (9, zeroblob(33))",
      "UPDATE checkpoints SET size = 1",
      "DELETE FROM checkpoints",
      "INSERT OR REPLACE INTO checkpoints VALUES (1, 300, 'x', zeroblob(32))",
      "INSERT INTO checkpoints VALUES (2, 299, 'x', zeroblob(32))",
  };
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    if (raw(f, refused[i]) != SQLITE_CONSTRAINT) fail_msg("accepted: %s", refused[i]);
  }
  assert_int_equal(
      raw(f, "UPDATE tiles SET hashes = CAST(hashes || zeroblob(32) AS BLOB) WHERE tile = 1"),
      SQLITE_OK);
}

static int64_t page_count(fixture *f) {
  sqlite3 *db;
  sqlite3_stmt *statement;
  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA page_count", -1, &statement, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  int64_t pages = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return pages;
}

/* A writer that dies while it catches up leaves the tree before or after, as does a full disk. */
static void a_full_disk_leaves_a_whole_tree(void **state) {
  fixture *f = *state;
  es_sqlite_options options = {0};
  int64_t size;
  fill(f, 66000);
  es__store_close(f->store);
  f->store = NULL;
  options.max_page_count = page_count(f) + 20; /* room for some of the tiles of one transaction */
  assert_int_equal(es__store_open_sqlite(&f->store, f->path, &options, &f->ids, &f->err), ES_OK);
  assert_int_equal(es__tree_grow(&size, INT64_MAX, f->store, &f->err), ES_ERR_STORE);
  assert_string_equal(f->err.code, "disk_full");
  assert_int_equal(es__tree_size(&size, f->store, &f->err), ES_OK);
  assert_int_equal(size, 0);
  fixture_reopen(f);
  assert_int_equal(check(f).count, 0);
  assert_int_equal(grow(f), 66000);
  assert_int_equal(check(f).count, 0);
}

int main(void) {
#define M(name) cmocka_unit_test_setup_teardown(name, setup_memory, teardown)
#define S(name) cmocka_unit_test_setup_teardown(name, setup_sqlite, teardown)
  const struct CMUnitTest tests[] = {
      M(the_tree_is_caught_up_and_covers_the_events),
      S(the_tree_is_caught_up_and_covers_the_events),
      M(the_tree_grows_by_one_event_as_by_many),
      S(the_tree_grows_by_one_event_as_by_many),
      M(a_large_tree_is_caught_up_in_several_transactions),
      S(a_large_tree_is_caught_up_in_several_transactions),
      M(the_tree_is_not_caught_up_inside_a_transaction),
      S(the_tree_is_not_caught_up_inside_a_transaction),
      M(roots_of_more_events_than_there_are_do_not_exist),
      S(roots_of_more_events_than_there_are_do_not_exist),
      M(checkpoints_are_kept_and_found_by_size),
      S(checkpoints_are_kept_and_found_by_size),
      S(a_leaf_that_differs_is_named_by_its_position),
      S(a_node_that_differs_is_named_by_its_level),
      S(a_missing_tile_is_found),
      S(a_tile_too_many_is_found),
      S(a_tail_cut_off_is_found_by_the_tree),
      S(a_hash_too_many_is_found_in_any_level),
      S(a_tree_does_not_grow_over_a_gap),
      S(a_changed_checkpoint_is_found),
      S(the_schema_lets_tiles_grow_and_nothing_else),
      S(a_full_disk_leaves_a_whole_tree),
  };
  return cmocka_run_group_tests_name("store_tree", tests, NULL, NULL);
}
