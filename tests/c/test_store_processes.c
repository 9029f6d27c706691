/* test_store_processes: many processes on one file: nothing lost, no gap, no fork of the chain, no raw "database is locked";
 * and writers killed at any moment: nothing acknowledged lost, a retry under the same key never doubles.
 * ESRUN_TEST_KILLS and ESRUN_TEST_EVENTS ask for the long form (200 and more). */
#include "store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

enum { WRITERS = 8 };

static int setting(const char *name, int short_form) {
  const char *text = getenv(name);
  return text == NULL ? short_form : atoi(text);
}

static es_event numbered(fixture *f, char *id, size_t size, int writer) {
  snprintf(id, size, "doc-%d", writer);
  es_event event = make_event(f, "Document", id, "DocumentEdited");
  return event;
}

/* One writer: appends to a stream of its own and to one shared by all, with an expected version that others spoil. */
static int write_events(fixture *f, int writer, int count) {
  char own[16];

  f->ids = (es_id_source){.clock = es__clock_system};
  if (fixture_open(f) != ES_OK) goto failed;
  for (int i = 0; i < count; i++) {
    es_stream_name shared = {{NULL, 0}, {"Document", 8}, {"shared", 6}};
    es_status status;
    do {
      es_event events[2] = {numbered(f, own, sizeof own, writer),
                            make_event(f, "Document", "shared", "DocumentEdited")};
      es_condition condition = {shared, 0};
      es_commit commit = {.events = events,
                          .event_count = 2,
                          .conditions = &condition,
                          .condition_count = 1,
                          .now = es__clock_system(NULL)};
      status = es__store_stream_version(&condition.expected_version, f->store, &shared, &f->err);
      if (status == ES_OK) status = es__store_append(f->store, &commit, &f->err);
    } while (status == ES_ERR_CONFLICT && strcmp(f->err.code, "version_conflict") == 0);
    if (status != ES_OK) goto failed;
  }
  es__store_close(f->store);
  return 0;
failed:
  fprintf(stderr, "writer %d: %s: %s\n", writer, f->err.code, f->err.message);
  return 1;
}

static int64_t version_of(fixture *f, const char *id) {
  es_stream_name name = {{NULL, 0}, {"Document", 8}, es__text(id)};
  int64_t version = -1;
  assert_int_equal(es__store_stream_version(&version, f->store, &name, &f->err), ES_OK);
  return version;
}

static void wait_for(pid_t child) {
  int result = -1;

  assert_int_equal(waitpid(child, &result, 0), child);
  assert_true(WIFEXITED(result));
  assert_int_equal(WEXITSTATUS(result), 0);
}

static void eight_processes_append_to_one_file_without_loss_gap_or_fork(void **state) {
  (void)state;
  fixture f;
  pid_t writers[WRITERS];
  int count = setting("ESRUN_TEST_EVENTS", 60);

  fixture_make(&f);
  for (int i = 0; i < WRITERS; i++) { /* they also race to create the file */
    writers[i] = fork();
    if (writers[i] == 0) _exit(write_events(&f, i, count));
  }
  for (int i = 0; i < WRITERS; i++)
    wait_for(writers[i]);
  assert_int_equal(fixture_open(&f), ES_OK);
  assert_sound(f.store, 2 * WRITERS * count);
  assert_int_equal(version_of(&f, "shared"), WRITERS * count);
  for (int i = 0; i < WRITERS; i++) {
    char id[16];
    snprintf(id, sizeof id, "doc-%d", i);
    assert_int_equal(version_of(&f, id), count);
  }
  fixture_remove(&f);
}

/* Each looks what the file is while the others fill it: half of what one sees may be of before and half of after. */
static void several_processes_may_make_the_file_at_once(void **state) {
  (void)state;
  for (int round = 0; round < setting("ESRUN_TEST_KILLS", 40); round++) {
    pid_t makers[WRITERS];
    int gate[2];
    fixture f;

    fixture_make(&f);
    assert_int_equal(pipe(gate), 0);
    for (int i = 0; i < WRITERS; i++) {
      char byte;
      makers[i] = fork();
      if (makers[i] != 0) continue;
      close(gate[1]);
      (void)!read(gate[0], &byte, 1); /* until the gate opens: its last writer is gone */
      for (int k = 0; k < 3; k++) {
        if (fixture_open(&f) != ES_OK) {
          fprintf(stderr, "maker %d: %s: %s\n", i, f.err.code, f.err.message);
          _exit(1);
        }
        es__store_close(f.store);
      }
      _exit(0);
    }
    close(gate[0]);
    close(gate[1]);
    for (int i = 0; i < WRITERS; i++)
      wait_for(makers[i]);
    f.store = NULL;
    fixture_remove(&f);
  }
}

/* ---- Kills ---- */

/* Shared with the child that is going to die. */
typedef struct acknowledged {
  volatile int64_t count; /* commands whose commit returned ES_OK */
} acknowledged;

static void key_of(uint8_t key[ES_STORE_KEY_SIZE], int64_t number) {
  memset(key, 0, ES_STORE_KEY_SIZE);
  memcpy(key, &number, sizeof number);
}

/* Command `number` under its idempotency key: one event whose data holds the number. */
static es_status command(bool *duplicate, fixture *f, int64_t number) {
  char data[32], body[128];
  es_event event = make_event(f, "Document", "killed", "DocumentEdited");
  es_reply_record reply = reply_with(body, &event, number);
  es_commit commit = {
      .events = &event, .event_count = 1, .reply = &reply, .now = es__clock_system(NULL)};

  snprintf(data, sizeof data, "{\"n\":%lld}", (long long)number);
  event.data = es__text(data);
  key_of(reply.key, number);
  es_status status = es__store_append(f->store, &commit, &f->err);
  *duplicate = commit.duplicate;
  es__reply_record_free(&commit.existing);
  return status;
}

/* Starts at the first command that nobody acknowledged, as a client that retries does, and goes on until it is killed. */
static void write_until_killed(fixture *f, acknowledged *shared, int ready) {
  bool duplicate;

  f->ids = (es_id_source){.clock = es__clock_system};
  if (fixture_open(f) != ES_OK) _exit(1);
  for (bool told = false;;) {
    if (command(&duplicate, f, shared->count + 1) != ES_OK) _exit(1);
    shared->count++;
    if (!told && write(ready, "x", 1) != 1) _exit(1);
    told = true;
  }
}

static void expect_each_number_once(fixture *f, int64_t acknowledged_count) {
  es_store_cursor *cursor;
  const es_event *event;
  int64_t number = 0;

  assert_int_equal(es__store_read(&cursor, f->store, NULL, &f->err), ES_OK);
  while (es__store_next(&event, cursor, &f->err) == ES_OK && event != NULL) {
    char expected[32];
    snprintf(expected, sizeof expected, "{\"n\":%lld}", (long long)++number);
    assert_int_equal(event->data.length, strlen(expected));
    assert_memory_equal(event->data.data, expected, event->data.length);
  }
  es__store_cursor_close(cursor);
  /* At most one commit can be stored without its acknowledgement having been noted. */
  assert_in_range(number - acknowledged_count, 0, 1);
}

static void writers_killed_at_any_moment_lose_and_double_nothing(void **state) {
  (void)state;
  fixture f;
  int kills = setting("ESRUN_TEST_KILLS", 25);
  unsigned seed = (unsigned)getpid();
  acknowledged *shared =
      mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

  fixture_make(&f);
  for (int i = 0; i < kills; i++) {
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) write_until_killed(&f, shared, ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1); /* alive and writing */
    seed = seed * 1103515245u + 12345u;
    int64_t target =
        shared->count + seed / 65536 % 20; /* a random moment, told in commands and spins */
    while (shared->count < target)
      ;
    for (unsigned spin = seed % 200000; spin > 0; spin--)
      __asm__ volatile("");
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ready[0]);
    if (i % 8 == 7 || i == kills - 1) {
      assert_int_equal(fixture_open(&f), ES_OK);
      expect_each_number_once(&f, shared->count);
      assert_sound(f.store, head_position(&f));
      es__store_close(f.store);
      f.store = NULL;
    }
  }
  munmap(shared, sizeof *shared);
  fixture_remove(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(eight_processes_append_to_one_file_without_loss_gap_or_fork),
      cmocka_unit_test(several_processes_may_make_the_file_at_once),
      cmocka_unit_test(writers_killed_at_any_moment_lose_and_double_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
