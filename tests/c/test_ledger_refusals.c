/* What a signer finds out by looking at the events and the tree itself, one check at a time: each attack here passes all the
 * others. */
#include "engine/runtime.h"
#include "signed_ledger.h"
#include "store/tree.h"

/* Runs SQL on the closed store and opens it again. */
static void tamper(ledger *self, const char *sql) {
  es_close(self->e.rt);
  self->e.rt = NULL;
  shell("sqlite3 %s \"DROP TRIGGER IF EXISTS events_no_update; %s\"", self->store, sql);
  open_engine(&self->e, self->store);
}

static void the_last_event_edited_has_not_its_hash(void **state) {
  ledger *self = *state;
  pay(self, 3);
  tamper(self, "UPDATE events SET data = '{\\\"cents\\\":6}' WHERE position = 3");
  refuses_to_sign(self, ES_ERR_INTEGRITY, "damaged");
  assert_non_null(strstr(self->e.err.message, "position 3"));
}

static void an_event_edited_with_its_hash_is_not_the_one_that_the_next_follows(void **state) {
  ledger *self = *state;
  es_filter filter = ES_FILTER_INIT;
  es_cursor *cursor;
  const es_event *event;
  uint8_t hash[ES_HASH_SIZE];
  char sql[256], hex[2 * ES_HASH_SIZE + 1];
  pay(self, 3);
  filter.after_position = 1;
  assert_int_equal(es_read(&cursor, self->e.rt, &filter, &self->e.err), ES_OK);
  assert_int_equal(es_cursor_next(&event, cursor, &self->e.err), ES_OK);
  es_event edited = *event;
  edited.data = (es_text){"{\"cents\":6}", 11};
  assert_int_equal(es__chain_hash(self->e.rt->chain, hash, &edited, &self->e.err), ES_OK);
  es_cursor_close(cursor);
  es__hex(hex, hash, ES_HASH_SIZE);
  snprintf(sql, sizeof sql,
           "UPDATE events SET data = '{\\\"cents\\\":6}', hash = X'%s' WHERE position = 2", hex);
  tamper(self, sql);
  refuses_to_sign(self, ES_ERR_INTEGRITY, "damaged");
  assert_non_null(strstr(self->e.err.message, "position 3"));
}

static void an_edited_hash_is_found_before_the_tree_takes_it(void **state) {
  ledger *self = *state;
  int64_t size;
  pay(self, 2);
  es_free(sign(self));
  pay(self, 2);
  tamper(self, "UPDATE events SET hash = zeroblob(32) WHERE position = 4");
  refuses_to_sign(self, ES_ERR_INTEGRITY, "damaged");
  assert_non_null(strstr(self->e.err.message, "position 4"));
  assert_int_equal(es__tree_size(&size, self->e.rt->store, &self->e.err), ES_OK);
  assert_int_equal(size, 2);
}

static void a_tree_that_is_not_that_of_the_events_is_not_signed(void **state) {
  ledger *self = *state;
  int64_t size;
  pay(self, 2);
  es_free(sign(self));
  pay(self, 2);
  assert_int_equal(es__tree_grow(&size, INT64_MAX, self->e.rt->store, &self->e.err), ES_OK);
  tamper(self, "DROP TRIGGER tiles_no_change; UPDATE tiles SET"
               " hashes = CAST(substr(hashes, 1, 96) || zeroblob(32) AS BLOB)");
  refuses_to_sign(self, ES_ERR_INTEGRITY, "tree");
}

static void a_checkpoint_in_the_store_cannot_be_accepted_away(void **state) {
  ledger *self = *state;
  char sql[256], *note;
  pay(self, 3);
  reopen(self);
  keep_copy(self);
  pay(self, 2);
  es_free(sign(self));
  es_close(self->e.rt);
  shell("mv %s %s.new && mv %s.old %s && rm -rf %s", self->store, self->store, self->store,
        self->store, self->memory);
  open_engine(&self->e, self->store);
  snprintf(sql, sizeof sql,
           "ATTACH '%s.new' AS newer; INSERT INTO checkpoints SELECT * FROM newer.checkpoints",
           self->store);
  tamper(self, sql);
  assert_int_equal(try_accepting(self, &note), ES_ERR_INTEGRITY);
  assert_string_equal(self->e.err.code, "rollback");
  assert_non_null(strstr(self->e.err.message, "the store's last checkpoint"));
}

static void a_key_that_belongs_to_another_user_is_refused(void **state) {
  ledger *self = *state;
  const char *path = "/etc/passwd"; /* root's */
  char *note;
  if (geteuid() == 0) {
    path = self->key;
    assert_int_equal(chown(path, 65534, (gid_t)-1), 0);
  }
  assert_int_equal(try_sign(self, &note, path), ES_ERR_USAGE);
  assert_string_equal(self->e.err.code, "key_of_another");
}

static void a_passphrase_that_no_key_can_be_opened_with_makes_none(void **state) {
  ledger *self = *state;
  es_keygen_options options = ES_KEYGEN_INIT;
  es_signing_key key = {0};
  char passphrase[1026], path[128], *vkey;
  memset(passphrase, 'p', sizeof passphrase);
  passphrase[1025] = '\0';
  place(path, self, "long");
  options.name = "example.com/long";
  options.path = key.path = path;
  options.passphrase = key.passphrase = passphrase;
  assert_int_equal(es_keygen(&vkey, &options, &self->e.err), ES_ERR_USAGE);
  assert_string_equal(self->e.err.code, "long_passphrase");
  assert_int_not_equal(access(path, F_OK), 0);
  passphrase[1024] = '\0';
  assert_int_equal(es_keygen(&vkey, &options, &self->e.err), ES_OK);
  es_free(vkey);
  assert_int_equal(es_key_public(&vkey, &key, &self->e.err), ES_OK);
  es_free(vkey);
}

static void a_pipe_for_a_key_is_refused_at_once(void **state) {
  ledger *self = *state;
  char path[128], *note;
  place(path, self, "pipe");
  assert_int_equal(mkfifo(path, 0600), 0);
  alarm(20); /* instead of waiting for ever */
  assert_int_equal(try_sign(self, &note, path), ES_ERR_USAGE);
  alarm(0);
  assert_non_null(strstr(self->e.err.message, "not a regular file"));
}

static void a_key_given_twice_signs_once(void **state) {
  ledger *self = *state;
  es_checkpoint_options options = ES_CHECKPOINT_INIT;
  es_signing_key keys[] = {{.path = self->key}, {.path = self->key}};
  char *note, *first;
  pay(self, 1);
  options.keys = keys;
  options.key_count = 2;
  options.memory_path = self->memory;
  assert_int_equal(es_checkpoint(&note, self->e.rt, &options, &self->e.err), ES_OK);
  first = strstr(note, "\xe2\x80\x94 example.com/ledger");
  assert_non_null(first);
  assert_null(strstr(first + 1, "\xe2\x80\x94 example.com/ledger"));
  es_free(note);
}

static void each_rollback_that_was_accepted_leaves_its_evidence(void **state) {
  ledger *self = *state;
  char *note;
  pay(self, 2);
  reopen(self);
  keep_copy(self);
  for (int round = 0; round < 2; round++) {
    pay(self, 3 - round);
    es_free(sign(self));
    put_copy_back(self);
    if (try_accepting(self, &note) != ES_OK) fail_msg("%s", self->e.err.message);
    es_free(note);
  }
  shell("test $(cat %s/*/*.rolled_back %s/*/*.rolled_back.2 | grep -c '^esrun/') = 2", self->memory,
        self->memory);
}

static void a_damaged_memory_says_how_it_is_mended(void **state) {
  ledger *self = *state;
  pay(self, 1);
  es_free(sign(self));
  shell("echo junk > $(ls %s/*/*.vkey)", self->memory);
  pay(self, 1);
  char *note;
  assert_int_equal(try_sign(self, &note, self->key), ES_ERR_INTEGRITY);
  assert_non_null(strstr(self->e.err.hint, "move the file away"));
}

static void a_store_with_a_far_event_is_not_signed(void **state) {
  ledger *self = *state;
  pay(self, 6);
  es_close(self->e.rt);
  self->e.rt = NULL;
  shell("sqlite3 %s \"DROP TRIGGER events_guard; INSERT INTO events SELECT 1 << 60, randomblob(16),"
        " stream_id, version + 9, tenant, aggregate_type, event_type, schema_version, actor,"
        " correlation_id, causation_id, occurred_at, recorded_at, previous_hash, hash, data,"
        " metadata FROM events WHERE position = 5\"",
        self->store);
  open_engine(&self->e, self->store);
  refuses_to_sign(self, ES_ERR_INTEGRITY, "position_gap");
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(the_last_event_edited_has_not_its_hash),
      T(an_event_edited_with_its_hash_is_not_the_one_that_the_next_follows),
      T(an_edited_hash_is_found_before_the_tree_takes_it),
      T(a_tree_that_is_not_that_of_the_events_is_not_signed),
      T(a_key_that_belongs_to_another_user_is_refused),
      T(a_checkpoint_in_the_store_cannot_be_accepted_away),
      T(a_passphrase_that_no_key_can_be_opened_with_makes_none),
      T(a_pipe_for_a_key_is_refused_at_once),
      T(a_key_given_twice_signs_once),
      T(each_rollback_that_was_accepted_leaves_its_evidence),
      T(a_damaged_memory_says_how_it_is_mended),
      T(a_store_with_a_far_event_is_not_signed),
  };
  return cmocka_run_group_tests_name("ledger_refusals", tests, NULL, NULL);
}
