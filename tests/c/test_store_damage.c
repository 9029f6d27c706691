/* test_store_damage: one changed bit anywhere is named. Damage is made through a raw connection or in the file's bytes, past
 * esrun. */
#include "sqlite_support.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "store/archive.h"

/* A copy of the damaged text or blob with one byte flipped in the middle; integers change in a low bit. */
static void flip_column(fixture *f, const char *table, const char *column, const char *which) {
  char sql[1024];
  sqlite3 *db;
  sqlite3_stmt *triggers, *change, *value;

  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  assert_int_equal(
      sqlite3_exec(db, "PRAGMA ignore_check_constraints = ON; PRAGMA synchronous = OFF", 0, 0, 0),
      SQLITE_OK);
  /* Take the update triggers out and put them back, so that only the byte differs. */
  snprintf(sql, sizeof sql,
           "SELECT coalesce((SELECT sql FROM sqlite_schema WHERE type = 'trigger'"
           " AND name = '%s_no_update'), '')",
           table);
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &triggers, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(triggers), SQLITE_ROW);
  char *trigger = strdup((const char *)sqlite3_column_text(triggers, 0));
  sqlite3_finalize(triggers);
  snprintf(sql, sizeof sql, "DROP TRIGGER IF EXISTS %s_no_update", table);
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  snprintf(sql, sizeof sql, "SELECT rowid, %s FROM %s ORDER BY rowid %s LIMIT 1", column, table,
           which);
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &value, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(value), SQLITE_ROW);
  snprintf(sql, sizeof sql, "UPDATE %s SET %s = ?1 WHERE rowid = %lld", table, column,
           (long long)sqlite3_column_int64(value, 0));
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &change, NULL), SQLITE_OK);
  int type = sqlite3_column_type(value, 1);
  if (type == SQLITE_INTEGER) {
    sqlite3_bind_int64(change, 1, sqlite3_column_int64(value, 1) ^ 64);
  } else {
    int length = sqlite3_column_bytes(value, 1);
    char *bytes = malloc((size_t)length);
    memcpy(bytes, sqlite3_column_blob(value, 1), (size_t)length);
    bytes[length / 2] ^= 1;
    if (type == SQLITE_TEXT) {
      sqlite3_bind_text(change, 1, bytes, length, free);
    } else {
      sqlite3_bind_blob(change, 1, bytes, length, free);
    }
  }
  sqlite3_finalize(value);
  if (sqlite3_step(change) != SQLITE_DONE) fail_msg("%s.%s: %s", table, column, sqlite3_errmsg(db));
  sqlite3_finalize(change);
  assert_int_equal(sqlite3_exec(db, trigger, NULL, NULL, NULL), SQLITE_OK);
  free(trigger);
  sqlite3_close(db);
}

static void add_snapshot(fixture *f, int64_t version) {
  es_snapshot_record record = {.stream = {{NULL, 0}, {"Document", 8}, {"b", 1}},
                               .version = version,
                               .created_at = f->clock,
                               .state = es__text("{\"lines\":[1]}"),
                               .lists = es__text("0")};
  es__id_new(&f->ids, record.snapshot_id);
  if (es__store_add_snapshot(f->store, &record, &f->err) != ES_OK)
    fail_msg("snapshot: %s", f->err.message);
}

/* Their files are not at hand: each row is told by its checksum alone. */
static void add_segments(fixture *f) {
  es_segment segment = {.first = 1, .last = 2, .folder = "/cold", .file_bytes = 9, .text_bytes = 9};

  snprintf(segment.name, sizeof segment.name, "segment");
  es__buf_add(&segment.frames, "\0\0\0\2\0\0\0\11", 8);
  assert_int_equal(es__store_begin(f->store, &f->err), ES_OK);
  assert_int_equal(es__archive_add(f->store, &segment, &f->err), ES_OK);
  segment.first = 3, segment.last = 3;
  assert_int_equal(es__archive_add(f->store, &segment, &f->err), ES_OK);
  assert_int_equal(es__archive_add(f->store, &segment, &f->err), ES_ERR_CONFLICT);
  assert_int_equal(es__store_commit(f->store, &f->err), ES_OK);
  es__buf_free(&segment.frames);
}

static void fill_rich_store(fixture *f) {
  es_reply_record reply;
  es_event event;
  char body[128];

  assert_int_equal(fixture_open(f), ES_OK);
  fill(f, 6);
  event = make_event(f, "Document", "c", "DocumentCreated");
  reply = reply_with(body, &event, 1);
  es_commit commit = {.events = &event, .event_count = 1, .reply = &reply, .now = T0};
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  event = make_event(f, "Order", "o", "OrderCreated");
  event.actor_id = es__text("user:bob");
  event.tenant_id = es__text("globex");
  event.has_causation = true;
  memcpy(event.causation_id, event.event_id, ES_ID_SIZE);
  must_append(f, event);
  add_snapshot(f, 1);
  add_snapshot(f, 2);
  add_segments(f);
  assert_sound(f->store, 8);
  es__store_close(f->store);
  f->store = NULL;
}

/* The rich store is written once and copied for each damage: a closed store is one file. */
static void make_rich_store(fixture *f) {
  static char bytes[1024 * 1024];
  static size_t length;

  if (length == 0) {
    fixture original;
    fixture_make(&original);
    fill_rich_store(&original);
    FILE *from = fopen(original.path, "r");
    assert_non_null(from);
    length = fread(bytes, 1, sizeof bytes, from);
    fclose(from);
    fixture_remove(&original);
    assert_in_range(length, 4096, sizeof bytes - 1);
  }
  FILE *to = fopen(f->path, "w");
  assert_non_null(to);
  assert_int_equal(fwrite(bytes, 1, length, to), length);
  fclose(to);
}

static void one_flipped_bit_in_any_column_of_any_table_is_named(void **state) {
  fixture *f = *state;
  static const struct {
    const char *table;
    const char *columns[20];
  } all[] = {
      {"store", {"one", "store_id", "created_at", "checksum"}},
      {"names", {"name_id", "kind", "name"}},
      {"streams", {"stream_id", "tenant", "type", "aggregate_id"}},
      {"events",
       {"position", "event_id", "stream_id", "version", "tenant", "aggregate_type", "event_type",
        "schema_version", "actor", "correlation_id", "causation_id", "occurred_at", "recorded_at",
        "previous_hash", "hash", "data", "metadata"}},
      {"replies",
       {"reply_id", "key", "params_hash", "first_position", "event_count", "created_at", "body",
        "checksum"}},
      {"snapshots",
       {"stream_id", "version", "snapshot_id", "position", "event_hash", "module_hash",
        "created_at", "state", "lists", "checksum"}},
      {"segments",
       {"first", "last", "file", "folder", "sha256", "file_bytes", "text_bytes", "created_at",
        "frames", "checksum"}},
  };
  int tried = 0;
  (void)f;

  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    for (int j = 0; all[i].columns[j] != NULL; j++) {
      for (int last = 0; last < 2; last++) {
        fixture one;
        damage found;
        fixture_make(&one);
        make_rich_store(&one);
        flip_column(&one, all[i].table, all[i].columns[j], last ? "DESC" : "ASC");
        if (fixture_open(&one) != ES_OK)
          fail_msg("%s.%s: %s", all[i].table, all[i].columns[j], one.err.message);
        verify_store(&found, one.store);
        if (found.count == 0)
          fail_msg("%s.%s (%s row) went unnoticed", all[i].table, all[i].columns[j],
                   last ? "last" : "first");
        fixture_remove(&one);
        tried++;
      }
    }
  }
  assert_int_equal(tried, 2 * (4 + 3 + 4 + 17 + 8 + 10 + 10));
}

/* The list above must hold every column there is, but for the tree's tables, which test_store_tree.c damages. */
static void the_list_of_columns_is_complete(void **state) {
  fixture *f = *state;
  sqlite3 *db;
  sqlite3_stmt *count;

  assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
  assert_int_equal(
      sqlite3_prepare_v2(db,
                         "SELECT count(*) FROM sqlite_schema s, pragma_table_info(s.name)"
                         " WHERE s.type = 'table' AND s.name NOT IN ('tiles', 'checkpoints')",
                         -1, &count, NULL),
      SQLITE_OK);
  assert_int_equal(sqlite3_step(count), SQLITE_ROW);
  assert_int_equal(sqlite3_column_int(count, 0), 4 + 3 + 4 + 17 + 8 + 10 + 10);
  sqlite3_finalize(count);
  sqlite3_close(db);
}

static void damage_is_named_by_kind_and_position(void **state) {
  fixture *f = *state;
  static const struct {
    const char *table, *column, *kind;
    int64_t position;
  } cases[] = {
      {"events", "data", "hash", 1},      {"events", "hash", "hash", 1},
      {"events", "tenant", "stream", 1},  {"events", "event_type", "name", 1},
      {"replies", "body", "reply", 0},    {"store", "created_at", "store", 0},
      {"streams", "tenant", "stream", 1}, {"names", "name_id", "name", 1},
  };
  (void)f;

  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    fixture one;
    damage found;
    fixture_make(&one);
    make_rich_store(&one);
    flip_column(&one, cases[i].table, cases[i].column, "ASC");
    assert_int_equal(fixture_open(&one), ES_OK);
    verify_store(&found, one.store);
    if (strcmp(found.kind, cases[i].kind) != 0 || found.position != cases[i].position)
      fail_msg("%s.%s: %s at %lld: %s", cases[i].table, cases[i].column, found.kind,
               (long long)found.position, found.message);
    fixture_remove(&one);
  }
}

static void an_event_under_another_tenant_is_not_read(void **state) {
  fixture *f = *state;
  damage found = {0};

  make_rich_store(f);
  flip_column(f, "events", "tenant", "ASC");
  assert_int_equal(fixture_open(f), ES_OK);
  verify_chain(&found, f->store); /* without the check, which would find it too */
  assert_int_equal(found.count, 1);
  assert_string_equal(found.kind, "stream");
  assert_int_equal(found.position, 1);
}

static void damaged_indexes_and_schemas_are_named(void **state) {
  fixture *f = *state;
  static const struct {
    const char *sql, *kind;
  } cases[] = {
      {"DROP TRIGGER events_no_delete", "schema"},
      {"DROP INDEX events_by_actor", "schema"},
      {"CREATE TABLE beside (a)", "schema"},
      {"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'append', 'upend')"
       " WHERE name = 'events_guard'",
       "schema"},
      {"CREATE TRIGGER sqliteXstat_h BEFORE INSERT ON events BEGIN SELECT raise(IGNORE); END",
       "schema"},
      {"CREATE TABLE sqliteXstat1 (a)", "schema"},
  };
  (void)f;

  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    fixture one;
    damage found;
    fixture_make(&one);
    make_rich_store(&one);
    assert_int_equal(raw(&one, cases[i].sql), SQLITE_OK);
    assert_int_equal(fixture_open(&one), ES_OK);
    verify_store(&found, one.store);
    if (found.count == 0 || strcmp(found.kind, cases[i].kind) != 0)
      fail_msg("%s: %s %s", cases[i].sql, found.kind, found.message);
    fixture_remove(&one);
  }
}

static void what_analyze_leaves_is_no_damage(void **state) {
  fixture *f = *state;
  make_rich_store(f);
  assert_int_equal(raw(f, "ANALYZE"), SQLITE_OK);
  assert_int_equal(fixture_open(f), ES_OK);
  assert_sound(f->store, 8);
}

/* Lays a trigger beside the store that drops rows of the table without an error. */
static void swallow(fixture *f, const char *table, const char *when) {
  char sql[256];
  es__store_close(f->store);
  f->store = NULL;
  snprintf(sql, sizeof sql,
           "CREATE TRIGGER swallow_%s BEFORE INSERT ON %s %s BEGIN SELECT raise(IGNORE); END",
           table, table, when);
  assert_int_equal(raw(f, sql), SQLITE_OK);
  assert_int_equal(fixture_open(f), ES_OK);
}

/* A commit of `count` events, perhaps with a reply, that must not be acknowledged, nor be there in part. */
static void refuses_to_append(fixture *f, size_t count, es_reply_record *reply) {
  es_event events[30];
  es_store_head before, after;
  assert_true(count <= sizeof events / sizeof events[0]);
  for (size_t i = 0; i < count; i++)
    events[i] = make_event(f, "Document", "a", "DocumentEdited");
  es_commit commit = {.events = events, .event_count = count, .reply = reply, .now = T0};
  assert_int_equal(es__store_head_of(&before, f->store, &f->err), ES_OK);
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_ERR_INTEGRITY);
  assert_string_equal(f->err.code, "not_stored");
  assert_non_null(strstr(f->err.hint, "esrun verify"));
  assert_int_equal(es__store_head_of(&after, f->store, &f->err), ES_OK);
  assert_int_equal(after.position, before.position);
}

static void rows_that_a_foreign_trigger_swallows_are_not_acknowledged(void **state) {
  fixture *f = *state;
  es_reply_record reply = {.event_count = 1, .created_at = T0, .body = {"{}", 2}};
  es_event stranger;
  fill(f, 3);
  swallow(f, "replies", "");
  refuses_to_append(f, 1, &reply);
  swallow(f, "checkpoints", "");
  assert_int_equal(es__store_add_checkpoint(f->store, 3, es__text("note"), &f->err),
                   ES_ERR_INTEGRITY);
  swallow(f, "events", "WHEN NEW.position = 23"); /* the last of twenty in one statement */
  refuses_to_append(f, 20, NULL);
  refuses_to_append(f, 30, NULL);
  must_append(f, make_event(f, "Document", "a", "DocumentEdited"));
  swallow(f, "names", "");
  stranger = make_event(f, "Document", "a", "NeverSeen");
  es_commit commit = {.events = &stranger, .event_count = 1, .now = T0};
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_ERR_INTEGRITY);
}

/* Bytes of the file itself: wherever an index keeps its copy of an event id, a change there must not go unnoticed. */
static void a_flipped_byte_in_an_index_page_is_named(void **state) {
  fixture *f = *state;
  uint8_t event_id[ES_ID_SIZE];
  struct stat found_file;
  int flips = 0;

  es_event event = make_event(f, "Document", "a", "E");
  memcpy(event_id, event.event_id, ES_ID_SIZE);
  must_append(f, event);
  fill(f, 3);
  es__store_close(f->store);
  f->store = NULL;
  assert_int_equal(stat(f->path, &found_file), 0);
  size_t size = (size_t)found_file.st_size;
  for (size_t from = 0;;) {
    int fd = open(f->path, O_RDWR);
    uint8_t *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    uint8_t *at = memmem(bytes + from, size - from, event_id, ES_ID_SIZE);
    if (at != NULL) at[9] ^= 4;
    munmap(bytes, size);
    if (at == NULL) break;
    from = (size_t)(at - bytes) + ES_ID_SIZE;
    damage found;
    assert_int_equal(fixture_open(f), ES_OK);
    verify_store(&found, f->store);
    assert_true(found.count > 0);
    es__store_close(f->store);
    f->store = NULL;
    fd = open(f->path, O_RDWR); /* mend it again */
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)(from - ES_ID_SIZE + 9)), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)(from - ES_ID_SIZE + 9)), 1);
    close(fd);
    flips++;
  }
  assert_true(flips >= 2); /* at least the row and the unique index */
  assert_int_equal(fixture_open(f), ES_OK);
  assert_sound(f->store, 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      CLOSED(one_flipped_bit_in_any_column_of_any_table_is_named),
      OPEN(the_list_of_columns_is_complete),
      CLOSED(damage_is_named_by_kind_and_position),
      CLOSED(an_event_under_another_tenant_is_not_read),
      CLOSED(damaged_indexes_and_schemas_are_named),
      CLOSED(what_analyze_leaves_is_no_damage),
      OPEN(rows_that_a_foreign_trigger_swallows_are_not_acknowledged),
      OPEN(a_flipped_byte_in_an_index_page_is_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
