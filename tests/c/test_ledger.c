/* The ledger through esrun.h: keys and their files, checkpoints and the signer's memory. */
#include <signal.h>
#include <sys/wait.h>

#include "engine/runtime.h"
#include "signed_ledger.h"

/* ---- Keys -------------------------------------------------------------------------------------------------- */

static void a_key_is_made_once_and_for_its_owner_alone(void **state) {
  ledger *self = *state;
  es_keygen_options options = ES_KEYGEN_INIT;
  es_signing_key key = {.path = self->key};
  struct stat facts;
  char *vkey;
  assert_int_equal(stat(self->key, &facts), 0);
  assert_int_equal(facts.st_mode & 0777, 0600);
  assert_int_equal(es_key_public(&vkey, &key, &self->e.err), ES_OK);
  assert_string_equal(vkey, self->vkey);
  es_free(vkey);
  options.name = "example.com/ledger";
  options.path = self->key;
  assert_int_equal(es_keygen(&vkey, &options, &self->e.err), ES_ERR_USAGE);
  assert_string_equal(self->e.err.code, "key_exists");
  options.name = "two words";
  assert_int_equal(es_keygen(&vkey, &options, &self->e.err), ES_ERR_USAGE);
}

static void a_key_that_others_can_read_is_refused_with_the_chmod_to_run(void **state) {
  ledger *self = *state;
  assert_int_equal(chmod(self->key, 0640), 0);
  refuses_to_sign(self, ES_ERR_USAGE, "key_readable");
  assert_non_null(strstr(self->e.err.hint, "chmod 600 /"));
  assert_int_equal(chmod(self->key, 0600), 0);
  es_free(sign(self));
}

static void an_encrypted_key_needs_its_passphrase(void **state) {
  ledger *self = *state;
  es_keygen_options options = ES_KEYGEN_INIT;
  es_signing_key key = {0};
  char path[128], *vkey, *again;
  place(path, self, "encrypted");
  options.name = "example.com/ledger";
  options.path = key.path = path;
  options.passphrase = "correct horse";
  assert_int_equal(es_keygen(&vkey, &options, &self->e.err), ES_OK);
  shell("grep -q 'ENCRYPTED PRIVATE KEY' %s && ! grep -q 'PRIVATE+KEY' %s", path, path);
  shell("openssl pkey -in %s -passin 'pass:correct horse' -noout",
        path); /* stock tools can read it */
  assert_int_equal(es_key_public(&again, &key, &self->e.err), ES_ERR_USAGE);
  assert_string_equal(self->e.err.code, "passphrase_needed");
  key.passphrase = "wrong";
  assert_int_equal(es_key_public(&again, &key, &self->e.err), ES_ERR_USAGE);
  assert_string_equal(self->e.err.code, "wrong_passphrase");
  key.passphrase = "correct horse";
  assert_int_equal(es_key_public(&again, &key, &self->e.err), ES_OK);
  assert_string_equal(again, vkey);
  es_free(again);
  es_free(vkey);
}

static void what_is_no_key_is_refused(void **state) {
  ledger *self = *state;
  char path[128], *note;
  place(path, self, "nothing");
  assert_int_equal(try_sign(self, &note, path), ES_ERR_USAGE); /* no such file */
  assert_non_null(strstr(self->e.err.hint, "keygen"));
  write_file(&self->e, "nothing", "");
  assert_int_equal(chmod(path, 0600), 0);
  assert_int_equal(try_sign(self, &note, path), ES_ERR_USAGE);
  write_file(&self->e, "nothing", "PRIVATE+KEY+x+00000000+BAAA\n");
  assert_int_equal(try_sign(self, &note, path), ES_ERR_USAGE);
  assert_string_equal(self->e.err.code, "unknown_key_type");
  write_file(&self->e, "nothing", self->vkey);
  assert_int_equal(try_sign(self, &note, path), ES_ERR_USAGE);
}

/* ---- Checkpoints ------------------------------------------------------------------------------------------- */

static void trees_of_no_and_one_event_are_signed(void **state) {
  ledger *self = *state;
  es_verify_report report;
  char *note = sign(self);
  assert_non_null(strstr(note, "\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"));
  es_free(note);
  pay(self, 1);
  note = sign(self);
  assert_non_null(strstr(note, "\n1\n"));
  es_free(note);
  assert_int_equal(verify(self, &report, NULL, 1), ES_OK);
  assert_int_equal(report.anchored_to, 1);
}

static void signing_again_without_new_events_gives_the_same(void **state) {
  ledger *self = *state;
  pay(self, 3);
  char *first = sign(self), *second = sign(self);
  assert_string_equal(first, second);
  es_free(first);
  es_free(second);
}

static void a_store_put_back_is_called_a_rollback(void **state) {
  ledger *self = *state;
  es_verify_report report;
  pay(self, 3);
  reopen(self);
  keep_copy(self);
  pay(self, 2);
  es_free(sign(self));
  put_copy_back(self);
  refuses_to_sign(self, ES_ERR_INTEGRITY, "rollback");
  assert_int_equal(verify(self, &report, NULL, 1), ES_ERR_INTEGRITY);
  assert_non_null(strstr(self->e.err.message, "rolled back"));
  pay(self, 2); /* as many as before, but others */
  refuses_to_sign(self, ES_ERR_INTEGRITY, "fork");
  assert_int_equal(verify(self, &report, NULL, 1), ES_ERR_INTEGRITY);
  assert_int_equal(report.anchored_to, 0);
}

static void another_store_in_its_place_is_called_foreign(void **state) {
  ledger *self = *state;
  es_verify_report report;
  pay(self, 1);
  es_free(sign(self));
  es_close(self->e.rt);
  shell("rm %s*", self->store);
  open_engine(&self->e, self->store);
  pay(self, 1);
  refuses_to_sign(self, ES_ERR_INTEGRITY, "foreign");
  assert_int_equal(verify(self, &report, NULL, 1), ES_ERR_INTEGRITY);
  assert_non_null(strstr(self->e.err.message, "another store"));
}

static void a_checkpoint_of_another_store_is_no_anchor(void **state) {
  ledger *self = *state;
  es_verify_report report;
  char *note, other[128];
  pay(self, 2);
  note = sign(self);
  place(other, self, "other.db");
  es_close(self->e.rt);
  open_engine(&self->e, other);
  pay(self, 2);
  assert_int_equal(verify(self, &report, note, 1), ES_ERR_INTEGRITY);
  assert_non_null(strstr(self->e.err.message, "two different stores"));
  es_free(note);
}

static void an_edited_event_is_never_signed(void **state) {
  ledger *self = *state;
  pay(self, 3);
  reopen(self);
  es_close(self->e.rt);
  shell("sqlite3 %s \"DROP TRIGGER events_no_update; UPDATE events SET data = '{\\\"cents\\\":6}' "
        "WHERE"
        " position = 2\"",
        self->store);
  open_engine(&self->e, self->store);
  refuses_to_sign(self, ES_ERR_INTEGRITY, "damaged");
}

static void a_damaged_memory_is_told_and_nothing_is_signed(void **state) {
  ledger *self = *state;
  es_verify_report report;
  pay(self, 1);
  es_free(sign(self));
  pay(self, 1);
  shell("sed -i s/^1$/0/ %s/*/*.checkpoint", self->memory);
  refuses_to_sign(self, ES_ERR_INTEGRITY, "bad_signature");
  assert_int_equal(verify(self, &report, NULL, 1), ES_ERR_INTEGRITY);
}

static void a_checkpoint_waits_for_the_end_of_a_transaction(void **state) {
  ledger *self = *state;
  assert_int_equal(es_transaction_begin(self->e.rt, &self->e.err), ES_OK);
  refuses_to_sign(self, ES_ERR_USAGE, "in_transaction");
  es_transaction_rollback(self->e.rt);
}

static void two_signers_at_once_take_turns(void **state) {
  ledger *self = *state;
  es_verify_report report;
  pid_t children[4];
  es_close(self->e.rt);
  self->e.rt = NULL;
  for (int i = 0; i < 4; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      es_options options = ES_OPTIONS_INIT;
      es_checkpoint_options signing = ES_CHECKPOINT_INIT;
      es_signing_key key = {.path = self->key};
      int failed = 0;
      options.project_path = self->e.folder;
      options.store_path = self->store;
      if (es_open(&self->e.rt, &options, &self->e.err) != ES_OK) _exit(1);
      signing.keys = &key;
      signing.key_count = 1;
      signing.memory_path = self->memory;
      for (int round = 0; round < 5 && !failed; round++) {
        char *note = NULL;
        failed = execute(&self->e, "Account", "a", "pay", "{\"cents\":1}") != ES_OK ||
                 es_checkpoint(&note, self->e.rt, &signing, &self->e.err) != ES_OK;
        if (failed) fprintf(stderr, "%s\n", self->e.err.message);
        es_free(note);
      }
      es_close(self->e.rt);
      _exit(failed);
    }
  }
  for (int i = 0; i < 4; i++) {
    int status;
    assert_int_equal(waitpid(children[i], &status, 0), children[i]);
    assert_int_equal(status, 0);
  }
  open_engine(&self->e, self->store);
  assert_int_equal(verify(self, &report, NULL, 1), ES_OK);
  assert_int_equal(report.event_count, 20);
  assert_int_equal(report.anchored_to, 20);
}

static void no_false_alarm_while_another_process_signs(void **state) {
  ledger *self = *state;
  es_verify_report report;
  int status, rounds = 0;
  pay(self, 1);
  es_close(self->e.rt);
  self->e.rt = NULL;
  pid_t child = fork();
  if (child == 0) {
    open_engine(&self->e, self->store);
    for (int round = 0; round < 300; round++) {
      pay(self, 1);
      es_free(sign(self));
    }
    es_close(self->e.rt);
    _exit(0);
  }
  open_engine(&self->e, self->store);
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (verify(self, &report, NULL, 1) != ES_OK) {
      kill(child, SIGKILL);
      fail_msg("%s", self->e.err.message);
    }
    rounds++;
  }
  assert_int_equal(status, 0);
  assert_true(rounds > 5); /* else nothing was verified meanwhile */
  assert_int_equal(verify(self, &report, NULL, 1), ES_OK);
  assert_int_equal(report.anchored_to, 301);
}

/* Everything in the row agrees with its checksum; only the size is not the note's. */
static void a_checkpoint_stored_under_another_size_is_damaged(void **state) {
  ledger *self = *state;
  es_store_checkpoint stored = {0};
  es_verify_report report;
  pay(self, 3);
  es_free(sign(self));
  assert_int_equal(es__store_checkpoint(&stored, self->e.rt->store, 3, &self->e.err), ES_OK);
  es_text note = {stored.note.data, stored.note.length};
  assert_int_equal(es__store_add_checkpoint(self->e.rt->store, 999999, note, &self->e.err), ES_OK);
  es__buf_free(&stored.note);
  assert_int_equal(verify(self, &report, NULL, 1), ES_ERR_INTEGRITY);
  assert_int_equal(report.finding_count, 1);
  assert_non_null(strstr(self->e.err.message,
                         "the store's checkpoint of 999999 events: its note is of 3 events"));
}

/* A good one of the same size stands behind it. */
static void a_damaged_checkpoint_is_found_behind_another_of_its_size(void **state) {
  ledger *self = *state;
  es_verify_report report;
  pay(self, 3);
  char *note = sign(self);
  es_store *store = self->e.rt->store;
  assert_int_equal(es__store_add_checkpoint(store, 3, es__text("junk"), &self->e.err), ES_OK);
  assert_int_equal(es__store_add_checkpoint(store, 3, es__text(note), &self->e.err), ES_OK);
  es_free(note);
  assert_int_equal(verify(self, &report, NULL, 1), ES_ERR_INTEGRITY);
  assert_int_equal(report.finding_count, 1);
  assert_non_null(strstr(self->e.err.message, "the store's checkpoint of 3 events: "));
}

static void while_a_key_is_replaced_both_sign(void **state) {
  ledger *self = *state;
  es_keygen_options options = ES_KEYGEN_INIT;
  es_checkpoint_options signing = ES_CHECKPOINT_INIT;
  es_verify_options checking = ES_VERIFY_INIT;
  es_signing_key keys[2] = {{.path = self->key}};
  es_verify_report report;
  char path[128], *vkey, *note;
  place(path, self, "key2");
  options.name = "example.com/ledger2";
  options.path = keys[1].path = path;
  assert_int_equal(es_keygen(&vkey, &options, &self->e.err), ES_OK);
  pay(self, 2);
  es_free(sign(self));
  pay(self, 2);
  signing.keys = keys;
  signing.key_count = 2;
  signing.memory_path = self->memory;
  assert_int_equal(es_checkpoint(&note, self->e.rt, &signing, &self->e.err), ES_OK);
  assert_non_null(strstr(note, "example.com/ledger "));
  assert_non_null(strstr(note, "example.com/ledger2 "));
  es_free(note);
  const char *const trusted[] = {vkey};
  checking.memory_path = "";
  checking.keys = trusted;
  checking.key_count = 1;
  assert_int_equal(es_verify(&report, self->e.rt, &checking, &self->e.err), ES_OK);
  assert_int_equal(report.unlinked_to, 0);
  assert_int_equal(report.signed_to, 5); /* the change is an event, and signed by both */
  assert_int_equal(count_events(&self->e, "$KeyRotated"), 1);
  es_free(sign(self)); /* the old key alone goes on signing: nothing new */
  assert_int_equal(count_events(&self->e, "$KeyRotated"), 1);
  es_free(vkey);
}

static void a_lost_key_is_replaced_when_told_so(void **state) {
  ledger *self = *state;
  es_keygen_options options = ES_KEYGEN_INIT;
  es_checkpoint_options signing = ES_CHECKPOINT_INIT;
  es_signing_key key = {0};
  es_verify_report report;
  char path[128], *vkey, *note;
  place(path, self, "key2");
  options.name = "example.com/ledger2";
  options.path = key.path = path;
  assert_int_equal(es_keygen(&vkey, &options, &self->e.err), ES_OK);
  es_free(vkey);
  pay(self, 2);
  es_free(sign(self));
  pay(self, 2);
  assert_int_equal(try_sign(self, &note, path), ES_ERR_USAGE);
  assert_string_equal(self->e.err.code, "lost_key");
  assert_non_null(strstr(self->e.err.message, "example.com/ledger (key"));
  signing.keys = &key;
  signing.key_count = 1;
  signing.memory_path = self->memory;
  signing.replace_lost_key = true;
  assert_int_equal(es_checkpoint(&note, self->e.rt, &signing, &self->e.err), ES_OK);
  es_free(note);
  assert_int_equal(count_events(&self->e, "$KeyReplaced"), 1);
  assert_int_equal(count_events(&self->e, "$KeyRotated"), 0);
  assert_int_equal(verify(self, &report, NULL, 1), ES_OK);
  assert_int_equal(report.unlinked_to, 2);
  assert_int_equal(report.anchored_to, 5);
  pay(self, 1);
  assert_int_equal(try_sign(self, &note, path), ES_OK); /* told once is enough */
  es_free(note);
  refuses_to_sign(self, ES_ERR_USAGE, "lost_key"); /* now the other one is not the last */
  assert_int_equal(verify(self, &report, NULL, 1), ES_OK);
  assert_int_equal(report.unlinked_to, 2);
}

static void a_rollback_that_is_accepted_covers_the_memory_and_not_the_store(void **state) {
  ledger *self = *state;
  char *note;
  pay(self, 3);
  keep_copy(self);
  pay(self, 2);
  es_free(sign(self));
  es_close(self->e.rt);
  shell("sqlite3 %s \"PRAGMA writable_schema = 1; DROP TRIGGER events_no_delete; DELETE FROM "
        "events WHERE"
        " position = 5\"",
        self->store);
  open_engine(&self->e, self->store);
  assert_int_equal(try_accepting(self, &note), ES_ERR_INTEGRITY);
  put_copy_back(self);
  refuses_to_sign(self, ES_ERR_INTEGRITY, "rollback");
  assert_int_equal(count_events(&self->e, "$RollbackAccepted"), 0);
  assert_int_equal(try_accepting(self, &note), ES_OK);
  es_free(note);
  assert_int_equal(count_events(&self->e, "$RollbackAccepted"), 1);
  assert_int_equal(try_accepting(self, &note), ES_OK);
  es_free(note);
  assert_int_equal(count_events(&self->e, "$RollbackAccepted"),
                   1); /* there is nothing more to accept */
  es_free(sign(self));
  shell("ls %s/*/*.rolled_back >/dev/null", self->memory);
}

static bool know_an_anchor(void *data, const char *store_id, es_verify_options *evidence) {
  (void)store_id;
  evidence->anchors = data;
  evidence->anchor_count = 1;
  return true;
}

static void an_anchor_that_keeps_what_is_gone_is_overruled_with_one_event(void **state) {
  ledger *self = *state;
  es_checkpoint_options signing = ES_CHECKPOINT_INIT;
  es_signing_key key = {.path = self->key};
  es_anchor anchor = {"that never forgets", NULL};
  char *note, *kept;
  signing.keys = &key;
  signing.key_count = 1;
  signing.memory_path = self->memory;
  signing.accept_rollback = true;
  signing.consult = know_an_anchor;
  signing.consult_data = &anchor;
  pay(self, 3);
  es_close(self->e.rt);
  shell("cp %s %s.old", self->store, self->store);
  open_engine(&self->e, self->store);
  pay(self, 2);
  anchor.note = kept = sign(self);
  es_close(self->e.rt);
  shell("cp %s.old %s && rm -f %s-wal %s-shm", self->store, self->store, self->store, self->store);
  open_engine(&self->e, self->store);
  for (int i = 0; i < 3; i++) {
    pay(self, 1);
    assert_int_equal(es_checkpoint(&note, self->e.rt, &signing, &self->e.err), ES_OK);
    es_free(note);
    assert_int_equal(count_events(&self->e, "$RollbackAccepted"), 1);
  }
  es_free(kept);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(a_key_is_made_once_and_for_its_owner_alone),
      T(a_key_that_others_can_read_is_refused_with_the_chmod_to_run),
      T(an_encrypted_key_needs_its_passphrase),
      T(what_is_no_key_is_refused),
      T(trees_of_no_and_one_event_are_signed),
      T(signing_again_without_new_events_gives_the_same),
      T(a_store_put_back_is_called_a_rollback),
      T(another_store_in_its_place_is_called_foreign),
      T(a_checkpoint_of_another_store_is_no_anchor),
      T(an_edited_event_is_never_signed),
      T(a_damaged_memory_is_told_and_nothing_is_signed),
      T(a_checkpoint_waits_for_the_end_of_a_transaction),
      T(two_signers_at_once_take_turns),
      T(no_false_alarm_while_another_process_signs),
      T(a_checkpoint_stored_under_another_size_is_damaged),
      T(a_damaged_checkpoint_is_found_behind_another_of_its_size),
      T(while_a_key_is_replaced_both_sign),
      T(a_lost_key_is_replaced_when_told_so),
      T(a_rollback_that_is_accepted_covers_the_memory_and_not_the_store),
      T(an_anchor_that_keeps_what_is_gone_is_overruled_with_one_event),
  };
  return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
