/* test_snapshot: loading from snapshots, and taking them by hand. Policies are in test_snapshot_policy.c, the store's side in
 * test_store_snapshots.c. */
#include "snapshot_support.h"

#include "store/store.h"

/* covers C12, C18 */
static void loading_begins_with_the_newest_snapshot_and_folds_the_tail(void **state) {
  engine *self = *state;

  add_many(self, "1", 9);
  es_snapshot_report report = take(self, "1");
  assert_int_equal(report.version, 9);
  assert_int_equal(report.position, 9);
  assert_true(report.byte_count > 100);
  add_many(self, "1", 3);
  char *before = load_at(self, "1", 0);
  lose_events_up_to(self, 8); /* only the snapshot tells of them now */
  reopen(self);
  char *after = load_at(self, "1", 0);
  assert_string_equal(before, after);
  add(self, "1", 5); /* commands begin there too */
  es_free(before);
  es_free(after);
}

static void the_past_is_loaded_from_the_snapshot_before_it(void **state) {
  engine *self = *state;

  add_many(self, "1", 4);
  take(self, "1");
  add_many(self, "1", 4);
  take(self, "1");
  char *at_6 = load_at(self, "1", 6), *at_4 = load_at(self, "1", 4);
  lose_events_up_to(self, 3);
  reopen(self);
  char *again_6 = load_at(self, "1", 6), *again_4 = load_at(self, "1", 4);
  assert_string_equal(at_6, again_6);
  assert_string_equal(at_4, again_4);
  es_free(at_6), es_free(at_4), es_free(again_6), es_free(again_4);
}

/* Thousands of random steps; the two streams differ only in that one is loaded from snapshots. covers C12 */
static void random_streams_have_the_same_state_with_and_without_snapshots(void **state) {
  engine *self = *state;
  unsigned seed = 1;

  for (int stream = 0; stream < 12; stream++) {
    char id[16];
    snprintf(id, sizeof id, "s%d", stream);
    for (int i = 0; i < 60; i++) {
      seed = seed * 1103515245u + 12345u;
      if ((seed >> 16) % 5 < 3) {
        add(self, id, (int)((seed >> 8) % 1000));
      } else {
        succeeds(self, "Basket", id, "remove", NULL);
      }
      if ((seed >> 20) % 7 == 0) {
        take(self, id);
        reopen(self); /* what is kept in memory goes */
      }
    }
    char *with = load_at(self, id, 0);
    reopen(self);
    char *begun = load_at(self, id, 0);
    assert_int_equal(raw(self, "DELETE FROM snapshots"), SQLITE_OK);
    reopen(self);
    char *without = load_at(self, id, 0);
    assert_string_equal(with, without);
    assert_string_equal(begun, without);
    es_free(with), es_free(begun), es_free(without);
  }
  assert_int_equal(replays(self), ES_OK);
}

/* A plain list that empties becomes an object, one of es.array stays a list: canonical JSON does not tell which a full one was. */
static void lists_that_are_emptied_behind_a_snapshot_end_as_without_one(void **state) {
  engine *self = *state;

  add_many(self, "1", 8);
  take(self, "1");
  reopen(self);
  for (int i = 0; i < 8; i++)
    succeeds(self, "Basket", "1", "remove", NULL);
  char *with = load_at(self, "1", 0);
  assert_non_null(strstr(with, "\"plain\":{}"));
  assert_non_null(strstr(with, "\"marked\":[]"));
  assert_int_equal(replays(self), ES_OK); /* which writes and reads states between batches too */
  es_free(with);
}

static void a_changed_module_makes_a_snapshot_unfit_until_it_comes_back(void **state) {
  engine *self = *state;
  const char other[] = "local old = Basket.apply.Added\n"
                       "Basket.apply.Added = function(b, e) old(b, e) b.sum = b.sum + 1000 end";

  add_many(self, "1", 4);
  take(self, "1");
  char *before = load_at(self, "1", 0);
  write_basket(self, other);
  reopen(self);
  char *changed = load_at(self, "1", 0);
  assert_non_null(strstr(changed, "\"sum\":4006"));
  assert_non_null(strstr(list(self, "1"), "\"unfit\":\"was folded by another module\""));
  assert_int_equal(replays(self), ES_OK); /* stale is no fault */
  write_basket(self, "");
  reopen(self);
  char *again = load_at(self, "1", 0);
  assert_string_equal(before, again);
  assert_non_null(strstr(list(self, "1"), "\"unfit\":null"));
  es_free(before), es_free(changed), es_free(again);
}

static void a_damaged_snapshot_is_passed_over_and_verify_tells_of_it(void **state) {
  engine *self = *state;
  es_verify_options options = ES_VERIFY_INIT;
  es_verify_report report;

  options.memory_path = "";
  add_many(self, "1", 4);
  take(self, "1");
  char *before = load_at(self, "1", 0);
  assert_int_equal(es_verify(&report, self->rt, &options, &self->err), ES_OK);
  assert_int_equal(
      raw(self, "UPDATE snapshots SET state = replace(state, '\"sum\":6', '\"sum\":7')"),
      SQLITE_OK);
  reopen(self);
  char *after = load_at(self, "1", 0);
  assert_string_equal(before, after);
  assert_int_equal(es_verify(&report, self->rt, &options, &self->err), ES_ERR_INTEGRITY);
  assert_string_equal(self->err.code, "snapshot");
  assert_non_null(strstr(self->err.message, "Basket/1 at version 4 does not agree"));
  assert_int_equal(es_snapshots_drop(NULL, self->rt, "Basket", "1", &self->err), ES_OK);
  assert_int_equal(es_verify(&report, self->rt, &options, &self->err), ES_OK);
  es_free(before), es_free(after);
}

/* Gives the newest snapshot another state, and the checksum that agrees with it: what somebody can do who writes the file. */
static void forge(engine *self, const char *state_json) {
  es_id_source ids = {.clock = test_clock, .clock_data = &self->now};
  es_snapshot_record record = {0};
  uint8_t checksum[ES_HASH_SIZE];
  es_store *store = NULL;
  sqlite3_stmt *update;
  sqlite3 *db;
  bool found;

  assert_int_equal(es__store_open_sqlite(&store, store_of(self), NULL, &ids, &self->err), ES_OK);
  assert_int_equal(es__store_next_snapshot(&found, &record, store, NULL, &self->err), ES_OK);
  assert_true(found);
  record.state = es__text(state_json);
  assert_int_equal(es__snapshot_checksum(checksum, store, &record, &self->err), ES_OK);
  es__snapshot_record_free(&record);
  es__store_close(store);
  assert_int_equal(sqlite3_open(store_of(self), &db), SQLITE_OK);
  assert_int_equal(
      sqlite3_prepare_v2(db, "UPDATE snapshots SET state = ?, checksum = ?", -1, &update, NULL),
      SQLITE_OK);
  sqlite3_bind_text(update, 1, state_json, -1, SQLITE_STATIC);
  sqlite3_bind_blob(update, 2, checksum, ES_HASH_SIZE, SQLITE_STATIC);
  assert_int_equal(sqlite3_step(update), SQLITE_DONE);
  sqlite3_finalize(update);
  sqlite3_close(db);
}

static void a_forged_state_with_a_right_checksum_is_found_by_replay_alone(void **state) {
  engine *self = *state;
  es_verify_options options = ES_VERIFY_INIT;
  es_verify_report report;

  options.memory_path = "";
  add_many(self, "1", 4);
  take(self, "1");
  assert_int_equal(replays(self), ES_OK);
  forge(self, "{\"by_name\":{},\"marked\":[],\"plain\":{},\"sum\":1000000}");
  reopen(self);
  char *loaded = load_at(self, "1", 0);
  assert_non_null(strstr(loaded, "\"sum\":1000000")); /* the honest limit of checksums */
  es_free(loaded);
  assert_int_equal(es_verify(&report, self->rt, &options, &self->err), ES_OK);
  assert_int_equal(replays(self), ES_ERR_INTEGRITY);
  assert_string_equal(self->err.code, "snapshot");
  assert_non_null(strstr(self->err.message, "Basket/1: the snapshot at version 4 is not what"));
  assert_non_null(strstr(self->err.hint, "--drop"));
  assert_int_equal(es_snapshots_drop(NULL, self->rt, "Basket", "1", &self->err), ES_OK);
  assert_int_equal(replays(self), ES_OK);
}

static void a_snapshot_that_holds_no_state_is_passed_over(void **state) {
  static const char *const states[] = {"", "{", "7", "null", "{\"a\":1,\"a\":2}", "{\"a\":1e999}"};
  engine *self = *state;

  add_many(self, "1", 4);
  char *before = load_at(self, "1", 0);
  for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
    take(self, "1");
    forge(self, states[i]);
    reopen(self);
    char *after = load_at(self, "1", 0);
    assert_string_equal(before, after);
    es_free(after);
  }
  es_free(before);
}

static void a_state_that_cannot_come_back_is_refused_with_its_path(void **state) {
  engine *self = *state;
  es_snapshot_report report;

  add_many(self, "1", 2);
  succeeds(self, "Basket", "1", "mark", "{\"n\":13}");
  assert_int_equal(es_snapshot(&report, self->rt, "Basket", "1", &self->err), ES_ERR_LUA);
  assert_string_equal(self->err.code, "shared_table");
  assert_non_null(strstr(self->err.message, "Basket/1: state."));
  add_many(self, "2", 2);
  succeeds(self, "Basket", "2", "mark", "{\"n\":1}");
  assert_int_equal(es_snapshot(&report, self->rt, "Basket", "2", &self->err), ES_ERR_LUA);
  assert_string_equal(self->err.code, "not_json");
  assert_non_null(strstr(self->err.message, "Basket/2: state.nan"));
  assert_string_equal(list(self, NULL), "");
}

static void nothing_is_taken_of_what_is_not_there(void **state) {
  engine *self = *state;
  es_snapshot_report report;

  assert_int_equal(es_snapshot(&report, self->rt, "Basket", "1", &self->err), ES_ERR_NOT_FOUND);
  assert_int_equal(es_snapshot(&report, self->rt, "Bucket", "1", &self->err), ES_ERR_USAGE);
  assert_string_equal(self->err.code, "unknown_aggregate");
  assert_int_equal(es_snapshot(&report, self->rt, NULL, "1", &self->err), ES_ERR_USAGE);
  assert_int_equal(es_snapshot(NULL, self->rt, "Basket", "1", &self->err), ES_ERR_USAGE);
  assert_int_equal(es_snapshots(self->rt, "Basket", NULL, take_row, NULL, &self->err),
                   ES_ERR_USAGE);
}

static void a_transaction_takes_none(void **state) {
  engine *self = *state;
  es_snapshot_report report;

  assert_int_equal(es_transaction_begin(self->rt, &self->err), ES_OK);
  add(self, "1", 1);
  assert_int_equal(es_snapshot(&report, self->rt, "Basket", "1", &self->err), ES_ERR_USAGE);
  assert_string_equal(self->err.code, "in_transaction");
  es_transaction_rollback(self->rt);
}

static void a_read_only_runtime_uses_snapshots_and_takes_none(void **state) {
  engine *self = *state;
  es_options options = ES_OPTIONS_INIT;
  es_snapshot_report report;

  add_many(self, "1", 4);
  take(self, "1");
  lose_events_up_to(self, 3);
  es_close(self->rt);
  options.project_path = self->folder;
  options.store_path = store_of(self);
  options.read_only = true;
  assert_int_equal(es_open(&self->rt, &options, &self->err), ES_OK);
  es_free(load_at(self, "1", 0));
  assert_int_equal(es_snapshot(&report, self->rt, "Basket", "1", &self->err), ES_ERR_STORE);
  assert_string_equal(self->err.code, "read_only");
  assert_int_equal(es_snapshots_drop(NULL, self->rt, "Basket", "1", &self->err), ES_ERR_STORE);
}

static es_token enter_tenant(engine *self, const char *tenant, bool operator_scope) {
  es_frame frame = ES_FRAME_INIT;
  es_token token;
  frame.tenant_id = tenant;
  frame.operator_scope = operator_scope;
  assert_int_equal(es_context_enter(&token, self->rt, &frame, &self->err), ES_OK);
  return token;
}

static void tenants_see_and_drop_their_own_alone(void **state) {
  engine *self = *state;
  es_snapshots_report report;

  for (int i = 0; i < 2; i++) {
    es_token token = enter_tenant(self, i == 0 ? "acme" : "globex", false);
    add_many(self, "1", i + 2);
    take(self, "1");
    leave(self, token);
  }
  add_many(self, "1", 1);
  es_token acme = enter_tenant(self, "acme", false);
  assert_int_equal(count_of(list(self, NULL), "\n"), 1);
  assert_non_null(strstr(list(self, "1"), "\"version\":2"));
  assert_int_equal(es_snapshots_drop(NULL, self->rt, NULL, NULL, &self->err), ES_ERR_DENIED);
  assert_int_equal(es_snapshots_drop(NULL, self->rt, "Basket", "1", &self->err), ES_OK);
  assert_string_equal(list(self, NULL), "");
  assert_int_equal(es_snapshot_all(&report, self->rt, NULL, &self->err), ES_OK);
  assert_int_equal(report.stream_count, 1);
  assert_int_equal(report.taken_count, 1);
  leave(self, acme);
  es_token operator_token = enter_tenant(self, NULL, true);
  assert_int_equal(count_of(list(self, NULL), "\n"), 2);
  assert_int_equal(es_snapshot_all(&report, self->rt, NULL, &self->err), ES_OK);
  assert_int_equal(report.stream_count, 3);
  assert_int_equal(report.taken_count, 1); /* the others have not grown */
  leave(self, operator_token);
}

static void count_failure(void *data, const char *tenant, const char *type, const char *id,
                          const es_error *err) {
  assert_null(tenant);
  assert_string_equal(type, "Basket");
  snprintf(data, 256, "%s %s", id, err->code);
}

static void all_streams_that_grew_enough_are_taken_and_failures_told(void **state) {
  engine *self = *state;
  es_snapshot_options options = ES_SNAPSHOT_INIT;
  es_snapshots_report report;
  char told[256] = "";

  add_many(self, "a", 3);
  add_many(self, "b", 5);
  options.min_events = 4;
  assert_int_equal(es_snapshot_all(&report, self->rt, &options, &self->err), ES_OK);
  assert_int_equal(report.stream_count, 2);
  assert_int_equal(report.taken_count, 1);
  add_many(self, "b", 3);
  succeeds(self, "Basket", "a", "mark", "{\"n\":1}");
  options.failed = count_failure;
  options.failed_data = told;
  assert_int_equal(es_snapshot_all(&report, self->rt, &options, &self->err), ES_ERR_LUA);
  assert_string_equal(self->err.code, "not_json");
  assert_string_equal(told, "a not_json");
  assert_int_equal(report.taken_count, 0);
  assert_int_equal(report.failed_count, 1);
  add_many(self, "b", 1);
  assert_int_equal(es_snapshot_all(&report, self->rt, &options, &self->err), ES_ERR_LUA);
  assert_int_equal(report.taken_count, 1); /* the failure of one keeps no other back */
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      WITH(setup, loading_begins_with_the_newest_snapshot_and_folds_the_tail),
      WITH(setup, the_past_is_loaded_from_the_snapshot_before_it),
      WITH(setup, random_streams_have_the_same_state_with_and_without_snapshots),
      WITH(setup, lists_that_are_emptied_behind_a_snapshot_end_as_without_one),
      WITH(setup, a_changed_module_makes_a_snapshot_unfit_until_it_comes_back),
      WITH(setup, a_damaged_snapshot_is_passed_over_and_verify_tells_of_it),
      WITH(setup, a_forged_state_with_a_right_checksum_is_found_by_replay_alone),
      WITH(setup, a_snapshot_that_holds_no_state_is_passed_over),
      WITH(setup, a_state_that_cannot_come_back_is_refused_with_its_path),
      WITH(setup, nothing_is_taken_of_what_is_not_there),
      WITH(setup, a_transaction_takes_none),
      WITH(setup, a_read_only_runtime_uses_snapshots_and_takes_none),
      WITH(setup, tenants_see_and_drop_their_own_alone),
      WITH(setup, all_streams_that_grew_enough_are_taken_and_failures_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
