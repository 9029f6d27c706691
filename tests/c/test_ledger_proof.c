/* The ledger through esrun.h: verifying in threads and from a checkpoint on, proofs with and without the event. */
#include "engine/runtime.h"
#include "signed_ledger.h"

/* ---- Verification ------------------------------------------------------------------------------------------ */

static void threads_find_the_same_as_one(void **state) {
  ledger *self = *state;
  es_verify_report one, two;
  pay(self, 40);
  es_free(sign(self));
  assert_int_equal(verify(self, &one, NULL, 1), ES_OK);
  assert_int_equal(verify(self, &two, NULL, 3), ES_OK);
  assert_memory_equal(&one, &two, sizeof one);
  es_close(self->e.rt);
  shell("sqlite3 %s \"DROP TRIGGER events_no_update; UPDATE events SET data = '{\\\"cents\\\":6}' "
        "WHERE"
        " position IN (2, 39)\"",
        self->store);
  open_engine(&self->e, self->store);
  assert_int_equal(verify(self, &one, NULL, 1), ES_ERR_INTEGRITY);
  assert_int_equal(verify(self, &two, NULL, 3), ES_ERR_INTEGRITY);
  assert_memory_equal(&one, &two, sizeof one);
  assert_int_equal(one.finding_count, 3); /* two events and the schema */
}

static void only_what_follows_a_checkpoint_is_hashed_when_asked(void **state) {
  ledger *self = *state;
  es_verify_options options = ES_VERIFY_INIT;
  es_verify_report report;
  pay(self, 4);
  es_free(sign(self));
  pay(self, 3);
  options.memory_path = self->memory;
  options.since_checkpoint = true;
  assert_int_equal(es_verify(&report, self->e.rt, &options, &self->e.err), ES_OK);
  assert_int_equal(report.verified_from, 5);
  assert_int_equal(report.event_count, 7);
  assert_int_equal(report.hashes_only_to, 4);
  assert_int_equal(report.anchored_to, 0); /* nothing is assured of what was not looked at */
  assert_int_equal(report.signed_to, 0);
  options.memory_path = ""; /* no key is known, so no checkpoint counts */
  assert_int_equal(es_verify(&report, self->e.rt, &options, &self->e.err), ES_OK);
  assert_int_equal(report.verified_from, 1);
}

/* ---- Proofs ------------------------------------------------------------------------------------------------ */

/* The event at a position as a line of an export, and its id. */
static char *event_line(ledger *self, int64_t position, char id[ES_ID_TEXT_SIZE]) {
  es_filter filter = ES_FILTER_INIT;
  es_cursor *cursor;
  const es_event *event;
  char *line;
  filter.after_position = position - 1;
  assert_int_equal(es_read(&cursor, self->e.rt, &filter, &self->e.err), ES_OK);
  assert_int_equal(es_cursor_next(&event, cursor, &self->e.err), ES_OK);
  es_id_text(id, event->event_id);
  assert_int_equal(es_event_json(&line, NULL, event, ES_FORM_EXPORT, &self->e.err), ES_OK);
  es_cursor_close(cursor);
  return line;
}

static es_status check(ledger *self, const char *proof, const char *event, const char *older,
                       const char *key, char **result) {
  es_proof_check options = ES_PROOF_CHECK_INIT;
  options.proof = proof;
  options.proof_length = strlen(proof);
  options.keys = &key;
  options.key_count = 1;
  options.event_json = event;
  options.older = older;
  return es_verify_proof(result, &options, &self->e.err);
}

static void a_proof_convinces_without_the_store_and_only_of_its_event(void **state) {
  ledger *self = *state;
  es_prove_options options = ES_PROVE_INIT;
  char id[ES_ID_TEXT_SIZE], other_id[ES_ID_TEXT_SIZE], *proof, *result;
  pay(self, 9);
  es_free(sign(self));
  char *event = event_line(self, 4, id), *other = event_line(self, 5, other_id);
  options.event_id = id;
  assert_int_equal(es_prove(&proof, self->e.rt, &options, &self->e.err), ES_OK);
  assert_int_equal(check(self, proof, event, NULL, self->vkey, &result), ES_OK);
  assert_non_null(strstr(result, "\"content_checked\":true"));
  assert_non_null(strstr(result, "\"position\":4"));
  es_free(result);
  assert_int_equal(check(self, proof, NULL, NULL, self->vkey, &result), ES_OK);
  assert_non_null(strstr(result, "\"content_checked\":false"));
  assert_non_null(strstr(result, id));
  es_free(result);
  assert_int_equal(check(self, proof, other, NULL, self->vkey, &result), ES_ERR_INTEGRITY);
  assert_non_null(strstr(self->e.err.message, "another event"));
  char *hash = strstr(event, "\"hash\":\""); /* no part of the leaf, yet of what the line says */
  assert_non_null(hash);
  char own = hash[8];
  hash[8] = own == '0' ? '1' : '0';
  assert_int_equal(check(self, proof, event, NULL, self->vkey, &result), ES_ERR_INTEGRITY);
  assert_non_null(strstr(self->e.err.message, "the line names another hash"));
  hash[8] = own;
  char *cents = strstr(event, "cents\\\":5");
  assert_non_null(cents);
  cents[8] = '6';
  assert_int_equal(check(self, proof, event, NULL, self->vkey, &result), ES_ERR_INTEGRITY);
  assert_int_equal(check(self, proof, "{}", NULL, self->vkey, &result), ES_ERR_USAGE);
  assert_int_equal(check(self, proof, NULL, NULL, "nonsense", &result), ES_ERR_USAGE);
  assert_null(result);
  es_free(event);
  es_free(other);
  es_free(proof);
}

static void a_proof_cut_anywhere_proves_nothing(void **state) {
  ledger *self = *state;
  es_prove_options options = ES_PROVE_INIT;
  char id[ES_ID_TEXT_SIZE], *proof, *result;
  pay(self, 5);
  es_free(sign(self));
  es_free(event_line(self, 2, id));
  options.event_id = id;
  assert_int_equal(es_prove(&proof, self->e.rt, &options, &self->e.err), ES_OK);
  for (size_t length = strlen(proof) - 1; length > 0; length--) {
    proof[length] = '\0';
    assert_int_equal(check(self, proof, NULL, NULL, self->vkey, &result), ES_ERR_INTEGRITY);
    assert_true(self->e.err.message[0] != '\0');
  }
  es_free(proof);
}

static void a_tree_is_proved_to_continue_an_older_one(void **state) {
  ledger *self = *state;
  es_prove_options options = ES_PROVE_INIT;
  char *older, *proof, *result, *newer;
  pay(self, 3);
  older = sign(self);
  pay(self, 4);
  newer = sign(self);
  options.from = 3;
  assert_int_equal(es_prove(&proof, self->e.rt, &options, &self->e.err), ES_OK);
  assert_int_equal(check(self, proof, NULL, older, self->vkey, &result), ES_OK);
  assert_non_null(strstr(result, "\"old_size\":3"));
  es_free(result);
  assert_int_equal(check(self, proof, NULL, newer, self->vkey, &result), ES_ERR_INTEGRITY);
  assert_int_equal(check(self, proof, NULL, NULL, self->vkey, &result), ES_ERR_USAGE);
  assert_string_equal(self->e.err.code, "older_needed");
  es_free(proof);
  options.to = 5;
  assert_int_equal(es_prove(&proof, self->e.rt, &options, &self->e.err), ES_ERR_NOT_FOUND);
  es_free(older);
  es_free(newer);
}

static void what_was_not_signed_cannot_be_proved(void **state) {
  ledger *self = *state;
  es_prove_options options = ES_PROVE_INIT;
  char id[ES_ID_TEXT_SIZE], *proof;
  pay(self, 1);
  es_free(event_line(self, 1, id));
  options.event_id = id;
  assert_int_equal(es_prove(&proof, self->e.rt, &options, &self->e.err), ES_ERR_NOT_FOUND);
  assert_non_null(strstr(self->e.err.hint, "esrun checkpoint"));
  es_free(sign(self));
  assert_int_equal(es_prove(&proof, self->e.rt, &options, &self->e.err), ES_OK);
  es_free(proof);
  pay(self, 1);
  es_free(event_line(self, 2, id));
  assert_int_equal(es_prove(&proof, self->e.rt, &options, &self->e.err), ES_ERR_NOT_FOUND);
  assert_string_equal(self->e.err.code, "not_signed");
  options.event_id = "01890a5d-0000-7000-8000-000000000000";
  assert_int_equal(es_prove(&proof, self->e.rt, &options, &self->e.err), ES_ERR_NOT_FOUND);
  options.event_id = NULL;
  assert_int_equal(es_prove(&proof, self->e.rt, &options, &self->e.err), ES_ERR_USAGE);
}

/* Nobody is handed evidence that would not hold: neither of an edited event nor of one whose hash was made to fit it. */
static void an_event_that_was_changed_is_not_proved(void **state) {
  ledger *self = *state;
  es_prove_options options = ES_PROVE_INIT;
  char id[ES_ID_TEXT_SIZE], hex[2 * ES_HASH_SIZE + 1], *proof;
  uint8_t hash[ES_HASH_SIZE];
  es_filter filter = ES_FILTER_INIT;
  es_cursor *cursor;
  const es_event *event;
  pay(self, 5);
  es_free(sign(self));
  es_free(event_line(self, 2, id));
  options.event_id = id;
  es_close(self->e.rt);
  shell("sqlite3 %s \"DROP TRIGGER events_no_update; UPDATE events SET data = '{\\\"cents\\\":6}'"
        " WHERE position = 2\"",
        self->store);
  open_engine(&self->e, self->store);
  assert_int_equal(es_prove(&proof, self->e.rt, &options, &self->e.err), ES_ERR_INTEGRITY);
  assert_null(proof);
  assert_int_equal(self->e.err.position, 2);
  assert_non_null(strstr(self->e.err.message, "position 2"));
  assert_non_null(strstr(self->e.err.hint, "esrun verify"));
  filter.event_id = id;
  assert_int_equal(es_read(&cursor, self->e.rt, &filter, &self->e.err), ES_OK);
  assert_int_equal(es_cursor_next(&event, cursor, &self->e.err), ES_OK);
  assert_int_equal(es__chain_hash(self->e.rt->chain, hash, event, &self->e.err), ES_OK);
  es_cursor_close(cursor);
  es__hex(hex, hash, ES_HASH_SIZE);
  es_close(self->e.rt);
  shell("sqlite3 %s \"UPDATE events SET hash = X'%s' WHERE position = 2\"", self->store, hex);
  open_engine(&self->e, self->store);
  assert_int_equal(es_prove(&proof, self->e.rt, &options, &self->e.err), ES_ERR_INTEGRITY);
  assert_int_equal(self->e.err.position, 2);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(threads_find_the_same_as_one),
      T(only_what_follows_a_checkpoint_is_hashed_when_asked),
      T(a_proof_convinces_without_the_store_and_only_of_its_event),
      T(a_proof_cut_anywhere_proves_nothing),
      T(a_tree_is_proved_to_continue_an_older_one),
      T(an_event_that_was_changed_is_not_proved),
      T(what_was_not_signed_cannot_be_proved),
  };
  return cmocka_run_group_tests_name("ledger_proof", tests, NULL, NULL);
}
