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
static int sign_within(ledger *self, rlim_t bytes) {
  pid_t child = fork();
  int status;

  if (child == 0) {
    struct rlimit limit = {bytes, bytes};
    char *note = NULL;
    open_engine(&self->e, self->store);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    es_status outcome = try_sign(self, &note, self->key);
    if (outcome != ES_OK && (note != NULL || self->e.err.message[0] == '\0')) _exit(99);
    _exit((int)outcome);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
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

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(a_memory_that_cannot_be_written_blocks_nothing),
      T(a_store_that_cannot_grow_is_as_it_was),
  };
  return cmocka_run_group_tests_name("ledger_disk", tests, NULL, NULL);
}
