/* Checkpoints that come by themselves: by number, by time, at the end; what a failing signer may and may not do. */
#include <sys/wait.h>

#include "signed_ledger.h"

typedef struct witness {
  ledger l; /* first, so that set_up() and tear_down() serve */
  int delivered, refuse, failures;
  char last_note[2048], last_record[2048];
  es_log_level last_level;
} witness;

static bool deliver(void *data, const char *note) {
  witness *self = data;
  self->delivered++;
  snprintf(self->last_note, sizeof self->last_note, "%s", note);
  return self->refuse == 0;
}

static void take_record(void *data, es_log_level level, const char *json, size_t length) {
  witness *self = data;
  if (strstr(json, "\"checkpoint_") == NULL) return;
  self->failures++;
  self->last_level = level;
  snprintf(self->last_record, sizeof self->last_record, "%.*s", (int)length, json);
}

static void open_witness(witness *self) {
  es_options options = ES_OPTIONS_INIT;
  options.project_path = self->l.e.folder;
  options.store_path = self->l.store;
  options.clock = test_clock;
  options.clock_data = &self->l.e.now;
  options.log = take_record;
  options.log_data = self;
  if (es_open(&self->l.e.rt, &options, &self->l.e.err) != ES_OK)
    fail_msg("%s", self->l.e.err.message);
}

static es_status try_every(witness *self, int64_t events, int64_t seconds) {
  es_checkpoint_policy policy = ES_CHECKPOINT_POLICY_INIT;
  es_signing_key key = {.path = self->l.key};
  policy.events = events;
  policy.seconds = seconds;
  policy.keys = &key;
  policy.key_count = 1;
  policy.memory_path = self->l.memory;
  policy.deliver = deliver;
  policy.deliver_data = self;
  return es_checkpoint_every(self->l.e.rt, &policy, &self->l.e.err);
}

static void every(witness *self, int64_t events, int64_t seconds) {
  if (try_every(self, events, seconds) != ES_OK) fail_msg("%s", self->l.e.err.message);
}

static int start(void **state) {
  ledger *l;
  set_up((void **)&l);
  witness *self = calloc(1, sizeof *self);
  self->l = *l;
  free(l);
  es_close(self->l.e.rt);
  open_witness(self);
  *state = self;
  return 0;
}

static void close_it(witness *self) {
  es_close(self->l.e.rt);
  self->l.e.rt = NULL;
}

/* The sizes of the checkpoints in the store, in order, are these. */
static void signed_are(witness *self, const char *sizes) {
  shell("test \"$(sqlite3 %s \"SELECT group_concat(size) FROM checkpoints\")\" = '%s'",
        self->l.store, sizes);
}

static void every_so_many_events_one_is_signed(void **state) {
  witness *self = *state;
  es_verify_report report;
  every(self, 3, 0);
  pay(&self->l, 2);
  signed_are(self, "");
  pay(&self->l, 1);
  signed_are(self, "3");
  assert_non_null(strstr(self->last_note, "\n3\n"));
  pay(&self->l, 7);
  signed_are(self, "3,6,9");
  assert_int_equal(self->delivered, 3);
  assert_int_equal(verify(&self->l, &report, NULL, 1), ES_OK);
  assert_int_equal(report.anchored_to, 9);
  close_it(self);
  signed_are(self, "3,6,9,10");
  assert_int_equal(self->failures, 0);
}

static void after_so_many_seconds_one_is_signed_with_the_next_commit(void **state) {
  witness *self = *state;
  every(self, 0, 60);
  pay(&self->l, 2);
  self->l.e.now += 59 * 1000000;
  pay(&self->l, 1);
  signed_are(self, "");
  self->l.e.now += 1000000;
  pay(&self->l, 1);
  signed_are(self, "4");
  self->l.e.now += 3600 * INT64_C(1000000); /* nothing is unsigned, so nothing grows old */
  pay(&self->l, 1);
  signed_are(self, "4");
  self->l.e.now += 60 * 1000000;
  pay(&self->l, 1);
  signed_are(self, "4,6");
}

static void a_clock_that_goes_back_does_not_put_the_next_one_off(void **state) {
  witness *self = *state;
  every(self, 0, 60);
  pay(&self->l, 1);
  self->l.e.now -= 3600 * INT64_C(1000000);
  pay(&self->l, 1);
  signed_are(self, "2");
  pay(&self->l, 1); /* recorded in what is now the future */
  signed_are(self, "2");
  self->l.e.now += 61 * 1000000;
  pay(&self->l, 1);
  signed_are(self, "2,4");
}

static void what_was_left_unsigned_before_counts_too(void **state) {
  witness *self = *state;
  pay(&self->l, 4);
  close_it(self);
  open_witness(self);
  every(self, 5, 0);
  signed_are(self, "");
  pay(&self->l, 1);
  signed_are(self, "5");
  pay(&self->l, 2);
  es_free(sign(&self->l)); /* by hand, or by another process */
  pay(&self->l, 4);
  signed_are(self, "5,7");
  pay(&self->l, 1);
  signed_are(self, "5,7,12");
}

static void closing_signs_what_this_runtime_appended_and_nothing_else(void **state) {
  witness *self = *state;
  pay(&self->l, 2);
  close_it(self);
  open_witness(self);
  every(self, 0, 0);
  close_it(self);
  signed_are(self, "");
  open_witness(self);
  every(self, 0, 0);
  assert_int_equal(es_transaction_begin(self->l.e.rt, &self->l.e.err), ES_OK);
  pay(&self->l, 1);
  assert_int_equal(es_transaction_commit(self->l.e.rt, &self->l.e.err), ES_OK);
  assert_int_equal(es_transaction_begin(self->l.e.rt, &self->l.e.err), ES_OK);
  pay(&self->l, 1); /* never committed */
  close_it(self);
  signed_are(self, "3");
  assert_int_equal(self->delivered, 1);
}

static void a_group_a_transaction_and_an_append_count_when_they_are_durable(void **state) {
  witness *self = *state;
  es_event events[2] = {{.aggregate_type = {"Account", 7},
                         .aggregate_id = {"a", 1},
                         .event_type = {"Paid", 4},
                         .data = {"{\"cents\":1}", 11}}};
  events[1] = events[0];
  every(self, 2, 0);
  assert_int_equal(es_transaction_begin(self->l.e.rt, &self->l.e.err), ES_OK);
  pay(&self->l, 5);
  signed_are(self, "");
  assert_int_equal(es_transaction_commit(self->l.e.rt, &self->l.e.err), ES_OK);
  signed_are(self, "5");
  assert_int_equal(es_append(self->l.e.rt, events, 2, 0, &self->l.e.err), ES_OK);
  signed_are(self, "5,7");
  assert_int_equal(execute(&self->l.e, "Account", "a", "unknown", "{}"), ES_ERR_USAGE);
  assert_int_equal(self->delivered, 2);
}

static void a_signer_that_fails_takes_nothing_back_and_tries_again(void **state) {
  witness *self = *state;
  every(self, 2, 0);
  pay(&self->l, 2);
  shell("mv %s %s.away", self->l.key, self->l.key);
  pay(&self->l, 3);
  assert_int_equal(self->failures, 1);
  assert_int_equal(self->last_level, ES_LOG_WARNING);
  assert_non_null(strstr(self->last_record, "no checkpoint was signed: cannot read the key"));
  shell("mv %s.away %s", self->l.key, self->l.key);
  signed_are(self, "2");
  pay(&self->l, 1);
  signed_are(self, "2,6");
  shell("chmod 644 %s", self->l.key);
  pay(&self->l, 1);
  close_it(self);
  assert_int_equal(self->failures, 2);
  assert_non_null(strstr(self->last_record, "chmod 600"));
  open_witness(self);
  assert_int_equal(count_events(&self->l.e, NULL), 7);
  assert_int_equal(try_every(self, 2, 0), ES_ERR_USAGE);
  assert_string_equal(self->l.e.err.code, "key_readable");
}

static void a_refused_checkpoint_is_told_as_an_error(void **state) {
  witness *self = *state;
  pay(&self->l, 3);
  close_it(self);
  shell("cp %s %s.old", self->l.store, self->l.store);
  open_witness(self);
  every(self, 1, 0);
  pay(&self->l, 2);
  close_it(self);
  shell("cp %s.old %s && rm -f %s-wal %s-shm", self->l.store, self->l.store, self->l.store,
        self->l.store);
  open_witness(self);
  every(self, 1, 0);
  pay(&self->l, 1);
  assert_int_equal(self->failures, 1);
  assert_int_equal(self->last_level, ES_LOG_ERROR);
  assert_non_null(strstr(self->last_record, "rolled back: it had 5 events and has 4"));
  assert_int_equal(count_events(&self->l.e, NULL), 4);
  assert_int_equal(self->delivered, 2);
}

static void what_could_not_be_handed_on_is_handed_on_at_the_end(void **state) {
  witness *self = *state;
  every(self, 2, 0);
  self->refuse = 1;
  pay(&self->l, 2);
  assert_int_equal(self->failures, 1);
  assert_non_null(strstr(self->last_record, "checkpoint_undelivered"));
  self->refuse = 0;
  close_it(self);
  assert_int_equal(self->delivered, 2);
  assert_non_null(strstr(self->last_note, "\n2\n"));
  signed_are(self, "2");
}

static void a_key_is_never_changed_by_itself(void **state) {
  witness *self = *state;
  es_keygen_options options = ES_KEYGEN_INIT;
  char *vkey;
  pay(&self->l, 1);
  es_free(sign(&self->l));
  shell("mv %s %s.old", self->l.key, self->l.key);
  options.name = "example.com/new";
  options.path = self->l.key;
  assert_int_equal(es_keygen(&vkey, &options, &self->l.e.err), ES_OK);
  es_free(vkey);
  every(self, 1, 0);
  pay(&self->l, 1);
  assert_int_equal(self->failures, 1);
  assert_non_null(strstr(self->last_record, "example.com/new"));
  assert_int_equal(count_events(&self->l.e, "$KeyRotated"), 0);
  signed_are(self, "1");
}

static void a_policy_can_be_replaced_and_ended(void **state) {
  witness *self = *state;
  every(self, 1, 0);
  every(self, 3, 0);
  pay(&self->l, 2);
  signed_are(self, "");
  assert_int_equal(es_checkpoint_every(self->l.e.rt, NULL, &self->l.e.err), ES_OK);
  pay(&self->l, 3);
  close_it(self);
  signed_are(self, "");
}

static void a_policy_that_makes_no_sense_is_refused(void **state) {
  witness *self = *state;
  es_options options = ES_OPTIONS_INIT;
  es_checkpoint_policy policy = ES_CHECKPOINT_POLICY_INIT;
  assert_int_equal(es_checkpoint_every(self->l.e.rt, &policy, &self->l.e.err), ES_ERR_USAGE);
  assert_string_equal(self->l.e.err.code, "no_key");
  assert_int_equal(try_every(self, -1, 0), ES_ERR_USAGE);
  assert_int_equal(try_every(self, 0, -1), ES_ERR_USAGE);
  assert_string_equal(self->l.e.err.code, "bad_policy");
  pay(&self->l, 1);
  close_it(self);
  options.project_path = self->l.e.folder;
  options.store_path = self->l.store;
  options.read_only = true;
  assert_int_equal(es_open(&self->l.e.rt, &options, &self->l.e.err), ES_OK);
  assert_int_equal(try_every(self, 1, 0), ES_ERR_STORE);
}

static void two_processes_share_the_work(void **state) {
  witness *self = *state;
  es_verify_report report;
  pid_t children[2];
  close_it(self);
  for (int i = 0; i < 2; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      open_witness(self);
      every(self, 10, 0);
      pay(&self->l, 100);
      close_it(self);
      _exit(self->failures);
    }
  }
  for (int i = 0; i < 2; i++) {
    int status;
    assert_int_equal(waitpid(children[i], &status, 0), children[i]);
    assert_int_equal(status, 0);
  }
  /* As if one process had done it: never more often than every 10 events, but for the two ends. */
  shell("test $(sqlite3 %s 'SELECT count(*) FROM checkpoints') -le 22", self->l.store);
  open_witness(self);
  assert_int_equal(verify(&self->l, &report, NULL, 1), ES_OK);
  assert_int_equal(report.event_count, 200);
  assert_int_equal(report.anchored_to, 200);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, start, tear_down)
  const struct CMUnitTest tests[] = {
      T(every_so_many_events_one_is_signed),
      T(after_so_many_seconds_one_is_signed_with_the_next_commit),
      T(a_clock_that_goes_back_does_not_put_the_next_one_off),
      T(what_was_left_unsigned_before_counts_too),
      T(closing_signs_what_this_runtime_appended_and_nothing_else),
      T(a_group_a_transaction_and_an_append_count_when_they_are_durable),
      T(a_signer_that_fails_takes_nothing_back_and_tries_again),
      T(a_refused_checkpoint_is_told_as_an_error),
      T(what_could_not_be_handed_on_is_handed_on_at_the_end),
      T(a_key_is_never_changed_by_itself),
      T(a_policy_can_be_replaced_and_ended),
      T(a_policy_that_makes_no_sense_is_refused),
      T(two_processes_share_the_work),
  };
  return cmocka_run_group_tests_name("auto_checkpoint", tests, NULL, NULL);
}
