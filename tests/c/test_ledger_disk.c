/* Checkpoints on a full disk, wherever it runs full: nothing is half done, the error says so, and with room again it works. */
#include <sys/resource.h>
#include <sys/wait.h>

#include <signal.h>

#include "signed_ledger.h"

/* The next file that the signer's memory writes under this ending goes to a full disk, once. */
static void fill_disk_under(ledger *self, const char *ending) {
  shell("for f in %s/*/*.%s; do ln -s /dev/full $f.part; done", self->memory, ending);
}

static void intact(ledger *self, int64_t events) {
  es_verify_report report;
  if (verify(self, &report, NULL, 1) != ES_OK) fail_msg("%s", self->e.err.message);
  assert_int_equal(report.event_count, events);
}

static void a_memory_that_cannot_be_written_blocks_nothing(void **state) {
  static const char *const endings[] = {"vkey", "checkpoint"};
  ledger *self = *state;
  es_verify_report report;
  pay(self, 2);
  es_free(sign(self));
  for (int i = 0; i < 2; i++) {
    pay(self, 1);
    fill_disk_under(self, endings[i]);
    refuses_to_sign(self, ES_ERR_OTHER, "signer_memory");
    assert_non_null(strstr(self->e.err.message, "cannot write"));
    assert_non_null(strstr(self->e.err.message, "No space left on device"));
    shell("test -z \"$(find %s -name '*.part')\"", self->memory);
    intact(self, 3 + i);
    es_free(sign(self)); /* with room again */
    assert_int_equal(verify(self, &report, NULL, 1), ES_OK);
    assert_int_equal(report.anchored_to, 3 + i);
  }
  /* Events that come between the failure and the next attempt change nothing. */
  fill_disk_under(self, "checkpoint");
  pay(self, 1);
  refuses_to_sign(self, ES_ERR_OTHER, "signer_memory");
  pay(self, 1);
  es_free(sign(self));
  assert_int_equal(verify(self, &report, NULL, 1), ES_OK);
  assert_int_equal(report.anchored_to, 6);
}

/* Signs in a process whose files may not grow beyond so many bytes; its exit status is es_checkpoint's. */
static int sign_so_within(ledger *self, const es_checkpoint_options *how, rlim_t bytes) {
  pid_t child = fork();
  int status;

  if (child == 0) {
    struct rlimit limit = {bytes, bytes};
    char *note = NULL;
    open_engine(&self->e, self->store);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    es_status outcome = es_checkpoint(&note, self->e.rt, how, &self->e.err);
    if (outcome != ES_OK && (note != NULL || self->e.err.message[0] == '\0')) _exit(99);
    _exit((int)outcome);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static int sign_within(ledger *self, rlim_t bytes) {
  es_checkpoint_options how = ES_CHECKPOINT_INIT;
  es_signing_key key = {.path = self->key};
  how.keys = &key;
  how.key_count = 1;
  how.memory_path = self->memory;
  return sign_so_within(self, &how, bytes);
}

static void a_store_that_cannot_grow_is_as_it_was(void **state) {
  ledger *self = *state;
  int full = 0, signed_at_last = 0;
  pay(self, 300); /* a tile and some */
  for (rlim_t bytes = 0; bytes <= 20 * 4096; bytes += 4096) {
    pay(self, 1);
    int64_t events = count_events(&self->e, NULL);
    es_close(self->e.rt);
    self->e.rt = NULL;
    int outcome = sign_within(self, bytes);
    if (outcome != ES_OK && outcome != ES_ERR_STORE && outcome != ES_ERR_OTHER)
      fail_msg("within %d bytes: %d", (int)bytes, outcome);
    full += outcome != ES_OK;
    signed_at_last = outcome == ES_OK;
    open_engine(&self->e, self->store);
    intact(self, events);
    es_free(sign(self));
    intact(self, events);
  }
  assert_true(full >= 2);
  assert_true(signed_at_last);
}

static void close_store(ledger *self) {
  es_close(self->e.rt);
  self->e.rt = NULL;
}

/* Signs with however little room, then with enough: the event is there once, though some attempts left it behind alone. */
static void records_once(ledger *self, const es_checkpoint_options *how, const char *type) {
  int left_behind = 0;
  close_store(self);
  shell("cd %s; cp store.db kept.db; rm -rf kept; cp -r memory kept", self->e.folder);
  for (rlim_t bytes = 4096; left_behind == 0 && bytes <= 60 * 4096; bytes += 4096) {
    shell("cd %s; rm -rf store.db* memory; cp kept.db store.db; cp -r kept memory", self->e.folder);
    int outcome = sign_so_within(self, how, bytes);
    char *note = NULL;
    open_engine(&self->e, self->store);
    left_behind += outcome != ES_OK && count_events(&self->e, type) == 1;
    assert_int_equal(es_checkpoint(&note, self->e.rt, how, &self->e.err), ES_OK);
    es_free(note);
    assert_int_equal(count_events(&self->e, type), 1);
    close_store(self);
  }
  assert_true(left_behind > 0);
  open_engine(&self->e, self->store);
}

static void what_a_checkpoint_records_is_not_recorded_again(void **state) {
  ledger *self = *state;
  es_keygen_options options = ES_KEYGEN_INIT;
  es_checkpoint_options how = ES_CHECKPOINT_INIT;
  char path[128], *vkey;
  es_signing_key keys[] = {{.path = self->key}, {.path = path}};
  place(path, self, "key2");
  options.name = "example.com/ledger2";
  options.path = path;
  assert_int_equal(es_keygen(&vkey, &options, &self->e.err), ES_OK);
  es_free(vkey);
  pay(self, 2);
  es_free(sign(self));
  pay(self, 1);
  how.keys = keys;
  how.key_count = 2;
  how.memory_path = self->memory;
  records_once(self, &how, "$KeyRotated");
  close_store(self);
  shell("cd %s; rm -rf store.db* memory; cp kept.db store.db; cp -r kept memory", self->e.folder);
  open_engine(&self->e, self->store);
  how.keys = &keys[1];
  how.key_count = 1;
  how.replace_lost_key = true;
  records_once(self, &how, "$KeyReplaced");
  close_store(self);
  shell("cd %s; rm -rf store.db*; cp kept.db store.db", self->e.folder); /* memory: one more */
  open_engine(&self->e, self->store);
  how.accept_rollback = true;
  records_once(self, &how, "$RollbackAccepted");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(a_memory_that_cannot_be_written_blocks_nothing),
      T(a_store_that_cannot_grow_is_as_it_was),
      T(what_a_checkpoint_records_is_not_recorded_again),
  };
  return cmocka_run_group_tests_name("ledger_disk", tests, NULL, NULL);
}
