/* test_store_sqlite: what only a SQLite file can get wrong: pragmas, triggers, foreign and damaged files, permissions, a full
 * disk, a dead writer's turn. Damage is in test_store_damage.c. */
#include "sqlite_support.h"

#include <signal.h>
#include <sys/wait.h>

static void write_file(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static void refuses(fixture *f, const es_sqlite_options *options, const char *code) {
  f->err = (es_error)ES_ERROR_INIT;
  assert_int_equal(es__store_open_sqlite(&f->store, f->path, options, &f->ids, &f->err),
                   ES_ERR_STORE);
  assert_null(f->store);
  if (strcmp(f->err.code, code) != 0)
    fail_msg("%s instead of %s: %s", f->err.code, code, f->err.message);
  assert_memory_equal(f->err.message, f->path, strlen(f->path)); /* names the file first */
}

/* ---- The file ---- */

static void a_store_opens_with_every_promised_pragma(void **state) {
  fixture *f = *state;
  es_buf json = {0};

  assert_int_equal(es__store_info(&json, f->store, &f->err), ES_OK);
  static const char *const facts[] = {"\"journal_mode\":\"wal\"",
                                      "\"synchronous\":\"2\"",
                                      "\"trusted_schema\":\"0\"",
                                      "\"cell_size_check\":\"1\"",
                                      "\"application_id\":\"1702064750\"",
                                      "\"user_version\":\"3\"",
                                      "\"events\":0",
                                      "\"kind\":\"sqlite\""};
  for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
    if (strstr(json.data, facts[i]) == NULL) fail_msg("%s lacks %s", json.data, facts[i]);
  }
  es__buf_free(&json);
}

static void a_reopened_store_is_the_same_store(void **state) {
  fixture *f = *state;
  uint8_t store_id[ES_ID_SIZE];

  memcpy(store_id, f->store->store_id, ES_ID_SIZE);
  fill(f, 5);
  fixture_reopen(f);
  assert_memory_equal(f->store->store_id, store_id, ES_ID_SIZE);
  assert_sound(f->store, 5);
  fill(f, 2);
  assert_sound(f->store, 7);
}

static void two_connections_see_each_others_commits(void **state) {
  fixture *f = *state;
  es_store *first = f->store;

  f->store = NULL;
  assert_int_equal(fixture_open(f), ES_OK);
  fill(f, 2);
  es_store *second = f->store;
  f->store = first;
  fill(f, 2);
  assert_sound(second, 4);
  assert_sound(first, 4);
  es__store_close(second);
}

/* covers C1 */
static void no_statement_changes_what_was_appended(void **state) {
  fixture *f = *state;
  static const char *const attempts[] = {
      "UPDATE events SET data = '{}' WHERE position = 1",
      "DELETE FROM events WHERE position = 3",
      "DELETE FROM events",
      "INSERT OR REPLACE INTO events SELECT * FROM events WHERE position = 2",
      "REPLACE INTO events SELECT 4, event_id, stream_id, version + 2, tenant, aggregate_type, "
      "event_type, 9,"
      " actor, correlation_id, causation_id, 0, 0, hash, hash, '{}', '{}' FROM events WHERE "
      "position = 1",
      "REPLACE INTO events SELECT 4, randomblob(16), stream_id, version, tenant, aggregate_type, "
      "event_type, 9,"
      " actor, correlation_id, causation_id, 0, 0, hash, hash, '{}', '{}' FROM events WHERE "
      "position = 1",
      "INSERT INTO events SELECT 9, randomblob(16), stream_id, version + 2, tenant, "
      "aggregate_type, event_type, 9,"
      " actor, correlation_id, causation_id, 0, 0, hash, hash, '{}', '{}' FROM events WHERE "
      "position = 1",
      "UPDATE names SET name = 'user:eve' WHERE kind = 4",
      "REPLACE INTO names SELECT name_id, kind, 'user:eve' FROM names WHERE kind = 4",
      "REPLACE INTO names SELECT 99, kind, name FROM names WHERE kind = 4",
      "DELETE FROM names",
      "UPDATE streams SET tenant = 0",
      "REPLACE INTO streams SELECT stream_id, 0, type, 'z' FROM streams",
      "DELETE FROM streams",
      "UPDATE replies SET body = '{}'",
      "DELETE FROM replies",
      "REPLACE INTO replies SELECT reply_id + 1, key, params_hash, 1, 1, 0, '{}', checksum FROM "
      "replies",
      "UPDATE store SET created_at = 0",
      "DELETE FROM store",
      "REPLACE INTO store SELECT 1, store_id, 0, checksum FROM store",
  };
  es_event event = make_event(f, "Document", "c", "DocumentEdited");
  char body[128];
  es_reply_record reply = reply_with(body, &event, 1);
  es_commit commit = {.reply = &reply, .now = T0};

  reply.event_count = 0;
  fill(f, 3);
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
    int rc = raw(f, attempts[i]);
    if (rc != SQLITE_CONSTRAINT) fail_msg("%s gave %d", attempts[i], rc);
  }
  assert_sound(f->store, 3);
}

static void a_store_from_the_future_is_refused(void **state) {
  fixture *f = *state;
  es__store_close(f->store);
  f->store = NULL;
  assert_int_equal(raw(f, "PRAGMA user_version = 99"), SQLITE_OK);
  refuses(f, NULL, "future_store");
  assert_non_null(strstr(f->err.message, "future"));
  assert_true(f->err.hint[0] != '\0');
}

static void a_version_set_back_is_damage_and_not_a_new_store(void **state) {
  fixture *f = *state;
  es__store_close(f->store);
  f->store = NULL;
  assert_int_equal(raw(f, "PRAGMA user_version = 0"), SQLITE_OK);
  refuses(f, NULL, "corrupt");
}

static void another_applications_database_is_refused_and_untouched(void **state) {
  fixture *f = *state;
  char beside[160];
  assert_int_equal(raw(f, "CREATE TABLE t (a); INSERT INTO t VALUES (1)"), SQLITE_OK);
  refuses(f, NULL, "foreign_store");
  assert_int_equal(raw(f, "PRAGMA application_id = 7"), SQLITE_OK);
  refuses(f, NULL, "foreign_store");
  snprintf(beside, sizeof beside, "%s-queue", f->path);
  assert_int_not_equal(access(beside, F_OK), 0);
}

static void what_is_no_database_is_refused(void **state) {
  fixture *f = *state;
  const es_sqlite_options existing = {.must_exist = true}, reading = {.read_only = true};

  refuses(f, &existing, "no_store");
  refuses(f, &reading, "no_store");
  assert_int_not_equal(access(f->path, F_OK), 0);
  write_file(
      f->path,
      "this is a letter, not a database, and long enough to be looked at as one: dear reader, "
      "nothing in here is a page, a cell or a header; it goes on until a hundred bytes are full.");
  refuses(f, NULL, "not_a_store");
  refuses(f, &existing, "not_a_store");
  write_file(f->path, "");
  refuses(f, &existing, "not_a_store");
  refuses(f, &reading, "not_a_store");
  unlink(f->path);
  mkdir(f->path, 0755);
  refuses(f, NULL, "not_a_store");
  rmdir(f->path);
  snprintf(f->path, sizeof f->path, "%s/no/such/folder.db", f->folder);
  refuses(f, NULL, "no_folder");
}

static void an_empty_file_becomes_a_store(void **state) {
  fixture *f = *state;
  write_file(f->path, "");
  assert_int_equal(fixture_open(f), ES_OK);
  fill(f, 1);
  assert_sound(f->store, 1);
}

static void a_truncated_store_is_refused(void **state) {
  fixture *f = *state;
  struct stat found;

  fill(f, 200);
  es__store_close(f->store);
  f->store = NULL;
  assert_int_equal(stat(f->path, &found), 0);
  assert_int_equal(truncate(f->path, found.st_size / 2 / 4096 * 4096), 0);
  refuses(f, NULL, "corrupt");
  assert_int_equal(truncate(f->path, 1000), 0);
  refuses(f, NULL, "corrupt");
  assert_int_equal(truncate(f->path, 50), 0);
  refuses(f, NULL, "corrupt");
}

static void a_name_that_looks_like_a_uri_is_a_file_name(void **state) {
  fixture *f = *state;
  char was[256];

  assert_non_null(getcwd(was, sizeof was));
  assert_int_equal(chdir(f->folder), 0);
  assert_int_equal(es__store_open_sqlite(&f->store, ":memory:", NULL, &f->ids, &f->err), ES_OK);
  assert_int_equal(access(":memory:", F_OK), 0);
  assert_int_equal(chdir(was), 0);
}

static void a_read_only_store_reads_and_refuses_to_write(void **state) {
  fixture *f = *state;
  const es_sqlite_options reading = {.read_only = true};
  es_store *writer = f->store;

  fill(f, 3);
  assert_int_equal(es__store_open_sqlite(&f->store, f->path, &reading, &f->ids, &f->err), ES_OK);
  assert_sound(f->store, 3);
  es_event event = make_event(f, "Document", "a", "E");
  assert_int_equal(append_events(f, &event, 1), ES_ERR_STORE);
  assert_string_equal(f->err.code, "read_only");
  assert_int_equal(es__store_begin(f->store, &f->err), ES_ERR_STORE);
  es__store_close(writer);
}

/* ---- Permissions: root ignores them, so an ordinary user tries ---- */

static int as_ordinary_user(fixture *f, const char *code) {
  pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(90);
    f->err = (es_error)ES_ERROR_INIT;
    es_status status = fixture_open(f);
    if (code == NULL) _exit(status == ES_OK ? 0 : 1);
    bool told = status == ES_ERR_STORE && strcmp(f->err.code, code) == 0 &&
                strstr(f->err.message, f->path) == f->err.message && f->err.hint[0] != '\0';
    if (!told) fprintf(stderr, "%s: %s\n", f->err.code, f->err.message);
    _exit(told ? 0 : 1);
  }
  int result = -1;
  assert_int_equal(waitpid(child, &result, 0), child);
  return WIFEXITED(result) ? WEXITSTATUS(result) : -1;
}

static void an_ordinary_user_is_told_what_may_not_be_written(void **state) {
  fixture *f = *state;
  bool root = geteuid() == 0;

  assert_int_equal(chmod(f->folder, 0555), 0);
  assert_int_equal(as_ordinary_user(f, "permission"), 0); /* no file yet, and none can be made */
  assert_int_equal(chmod(f->folder, 0755), 0);
  assert_int_equal(fixture_open(f), ES_OK);
  fill(f, 1);
  es__store_close(f->store);
  f->store = NULL;
  assert_int_equal(chmod(f->path, 0444), 0);
  assert_int_equal(as_ordinary_user(f, "permission"), 0); /* a file that may only be read */
  assert_int_equal(chmod(f->path, 0666), 0);
  assert_int_equal(chmod(f->folder, 0555), 0);
  assert_int_equal(as_ordinary_user(f, "permission"),
                   0); /* a folder in which no -wal can be made */
  assert_int_equal(chmod(f->folder, 0777), 0);
  if (root) {
    char queue[160];
    snprintf(queue, sizeof queue, "%s-queue", f->path);
    assert_int_equal(chmod(queue, 0666), 0);
  }
  assert_int_equal(as_ordinary_user(f, NULL), 0); /* and all is well when all may be written */
}

/* ---- A full disk ---- */

static void a_full_disk_stores_nothing_and_leaves_the_store_usable(void **state) {
  fixture *f = *state;
  es_sqlite_options small = {.max_page_count = 60};
  es_status status = ES_OK;
  char *data = malloc(2001);

  memset(data, 'x', 2000);
  data[2000] = '\0';
  memcpy(data, "{\"a\":\"", 6);
  memcpy(data + 1998, "\"}", 2);
  assert_int_equal(es__store_open_sqlite(&f->store, f->path, &small, &f->ids, &f->err), ES_OK);
  int64_t stored = 0;
  while (status == ES_OK && stored < 1000) {
    es_event pair[2] = {make_event(f, "Document", "a", "E"), make_event(f, "Document", "b", "E")};
    pair[0].data = pair[1].data = es__text(data);
    status = append_events(f, pair, 2);
    if (status == ES_OK) stored += 2;
  }
  assert_int_equal(status, ES_ERR_STORE);
  assert_string_equal(f->err.code, "disk_full");
  assert_true(f->err.hint[0] != '\0');
  assert_true(stored > 10);
  assert_sound(f->store, stored);
  /* In a transaction: what was before the failure can still be committed, or the whole is told to be lost. */
  assert_int_equal(es__store_begin(f->store, &f->err), ES_OK);
  es_event big[40];
  for (int i = 0; i < 40; i++) {
    big[i] = make_event(f, "Document", "c", "E");
    big[i].data = es__text(data);
  }
  assert_int_equal(append_events(f, big, 40), ES_ERR_STORE);
  status = es__store_commit(f->store, &f->err);
  assert_true(status == ES_OK || strcmp(f->err.code, "transaction_lost") == 0);
  assert_sound(f->store, stored);
  fixture_reopen(f); /* without the limit */
  fill(f, 3);
  assert_sound(f->store, stored + 3);
  free(data);
}

/* ---- The queue ---- */

static void a_writer_without_a_turn_is_told_busy(void **state) {
  fixture *f = *state;
  const es_sqlite_options impatient = {.lock_timeout_ms = 30};
  es_store *holder = f->store;

  f->store = NULL;
  assert_int_equal(es__store_open_sqlite(&f->store, f->path, &impatient, &f->ids, &f->err), ES_OK);
  assert_int_equal(es__store_begin(holder, &f->err), ES_OK);
  es_event event = make_event(f, "Document", "a", "E");
  assert_int_equal(append_events(f, &event, 1), ES_ERR_STORE);
  assert_string_equal(f->err.code, "busy");
  assert_null(strstr(f->err.message, "database is locked"));
  es__store_rollback(holder);
  assert_int_equal(append_events(f, &event, 1), ES_OK);
  es__store_close(holder);
}

static void a_program_that_ignores_the_queue_is_waited_for_and_then_named(void **state) {
  fixture *f = *state;
  const es_sqlite_options impatient = {.lock_timeout_ms = 30};
  sqlite3 *stranger;

  es__store_close(f->store);
  assert_int_equal(es__store_open_sqlite(&f->store, f->path, &impatient, &f->ids, &f->err), ES_OK);
  assert_int_equal(sqlite3_open(f->path, &stranger), SQLITE_OK);
  assert_int_equal(sqlite3_exec(stranger, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  es_event event = make_event(f, "Document", "a", "E");
  assert_int_equal(append_events(f, &event, 1), ES_ERR_STORE);
  assert_string_equal(f->err.code, "busy");
  assert_null(strstr(f->err.message, "database is locked"));
  sqlite3_close(stranger);
  assert_int_equal(append_events(f, &event, 1), ES_OK);
}

static void a_dead_writers_turn_and_half_done_work_are_recovered(void **state) {
  fixture *f = *state;
  int ready[2];
  char byte;

  fill(f, 2);
  es__store_close(f->store);
  f->store = NULL;
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    if (fixture_open(f) != ES_OK || es__store_begin(f->store, &f->err) != ES_OK) _exit(1);
    fill(f, 3);
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;)
      pause();
  }
  assert_int_equal(read(ready[0], &byte, 1), 1);
  assert_int_equal(kill(child, SIGKILL), 0);
  assert_int_equal(waitpid(child, NULL, 0), child);
  close(ready[0]);
  close(ready[1]);
  assert_int_equal(fixture_open(f), ES_OK);
  fill(f, 1);
  assert_sound(f->store, 3);
}

/* A power cut may leave the mutex locked in the file by an owner that no kernel will report dead. */
static void a_queue_of_another_boot_is_made_anew(void **state) {
  fixture *f = *state;
  char queue[160];

  assert_int_equal(es__store_begin(f->store, &f->err), ES_OK);
  snprintf(queue, sizeof queue, "%s-queue", f->path);
  FILE *file = fopen(queue, "r");
  char bytes[512];
  size_t length = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  es__store_rollback(f->store);
  es__store_close(f->store);
  f->store = NULL;
  bytes[16] = bytes[16] == '0' ? '1' : '0'; /* the boot id; the mutex as it was: locked */
  file = fopen(queue, "r+");
  assert_int_equal(fwrite(bytes, 1, length, file), length);
  fclose(file);
  const es_sqlite_options impatient = {.lock_timeout_ms = 200};
  assert_int_equal(es__store_open_sqlite(&f->store, f->path, &impatient, &f->ids, &f->err), ES_OK);
  fill(f, 1);
}

static void fresh_events_end_their_group_only_behind_a_row(void **state) {
  fixture *f = *state;
  es_event event = make_event(f, "Document", "doc-1", "E"), other;
  es_condition condition = {{{NULL, 0}, es__text("Document"), es__text("doc-1")}, 7};
  es_commit commit = {.events = &event, .event_count = 1, .now = T0, .fresh_ids = true};

  assert_int_equal(es__store_begin(f->store, &f->err), ES_OK);
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  commit.conditions = &condition, commit.condition_count = 1, commit.events = &other;
  other = make_event(f, "Brand", "new", "E");
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_ERR_CONFLICT);
  must_append(f, other); /* nothing was written: the group goes on */
  commit.condition_count = 0;
  memcpy(other.event_id, event.event_id, ES_ID_SIZE); /* not fresh at all */
  other.actor_id = es__text("user:new");
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_ERR_CONFLICT);
  assert_int_equal(es__store_commit(f->store, &f->err), ES_ERR_STORE);
  assert_int_equal(head_position(f), 0);
}

static void every_filter_is_served_by_its_index(void **state) {
  fixture *f = *state;
  static const struct {
    es_filter filter;
    const char *expected;
  } cases[] = {
      {{.actor_id = "user:alice"}, "5"},
      {{.event_type = "DocumentEdited"}, "5"},
      {{.aggregate_type = "Document"}, "5"},
      {{.tenant_id = "acme"}, "2"},
  };
  /* Dropping the index makes the very read fail: INDEXED BY is the proof that it was used. */
  static const char *const drops[] = {
      "DROP INDEX events_by_actor", "DROP INDEX events_by_event_type",
      "DROP INDEX events_by_aggregate_type", "DROP INDEX events_by_tenant"};
  fill(f, 5);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    es_store_cursor *cursor;
    const es_event *event;
    char count[16];
    int read = 0;
    assert_int_equal(es__store_read(&cursor, f->store, &cases[i].filter, &f->err), ES_OK);
    while (es__store_next(&event, cursor, &f->err) == ES_OK && event != NULL)
      read++;
    es__store_cursor_close(cursor);
    snprintf(count, sizeof count, "%d", read);
    assert_string_equal(count, cases[i].expected);
    assert_int_equal(raw(f, drops[i]), SQLITE_OK);
    assert_int_equal(es__store_read(&cursor, f->store, &cases[i].filter, &f->err), ES_OK);
    assert_int_equal(es__store_next(&event, cursor, &f->err), ES_ERR_STORE);
    es__store_cursor_close(cursor);
  }
}

static void a_cursor_keeps_no_snapshot_between_pages(void **state) {
  fixture *f = *state;
  es_store_cursor *cursor;
  const es_event *event;
  char wal[160];
  struct stat found;

  fill(f, 3);
  assert_int_equal(es__store_read(&cursor, f->store, NULL, &f->err), ES_OK);
  assert_int_equal(es__store_next(&event, cursor, &f->err), ES_OK);
  /* With a snapshot open this would answer busy, and the -wal would keep its size. */
  assert_int_equal(raw(f, "PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
  snprintf(wal, sizeof wal, "%s-wal", f->path);
  assert_int_equal(stat(wal, &found), 0);
  assert_int_equal(found.st_size, 0);
  es__store_cursor_close(cursor);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      OPEN(a_store_opens_with_every_promised_pragma),
      OPEN(a_reopened_store_is_the_same_store),
      OPEN(two_connections_see_each_others_commits),
      OPEN(no_statement_changes_what_was_appended),
      OPEN(a_store_from_the_future_is_refused),
      OPEN(a_version_set_back_is_damage_and_not_a_new_store),
      CLOSED(another_applications_database_is_refused_and_untouched),
      CLOSED(what_is_no_database_is_refused),
      CLOSED(an_empty_file_becomes_a_store),
      OPEN(a_truncated_store_is_refused),
      CLOSED(a_name_that_looks_like_a_uri_is_a_file_name),
      OPEN(a_read_only_store_reads_and_refuses_to_write),
      CLOSED(an_ordinary_user_is_told_what_may_not_be_written),
      CLOSED(a_full_disk_stores_nothing_and_leaves_the_store_usable),
      OPEN(a_writer_without_a_turn_is_told_busy),
      OPEN(a_program_that_ignores_the_queue_is_waited_for_and_then_named),
      OPEN(a_dead_writers_turn_and_half_done_work_are_recovered),
      OPEN(a_queue_of_another_boot_is_made_anew),
      OPEN(fresh_events_end_their_group_only_behind_a_row),
      OPEN(every_filter_is_served_by_its_index),
      OPEN(a_cursor_keeps_no_snapshot_between_pages),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
