/* test_snapshot_policy: snapshots that an aggregate has taken by itself. covers C13 */
#include "snapshot_support.h"

/* covers C13 */
static void every_n_versions_a_snapshot_is_taken(void **state) {
  engine *self = *state;

  add_many(self, "1", 3);
  assert_string_equal(list(self, "1"), "");
  add_many(self, "1", 6);
  assert_int_equal(count_of(list(self, "1"), "\n"), 2);
  assert_non_null(strstr(list(self, "1"), "\"version\":4,"));
  assert_non_null(strstr(list(self, "1"), "\"version\":8,"));
}

static void what_stores_nothing_makes_none_due(void **state) {
  engine *self = *state;
  es_command command = ES_COMMAND_INIT;

  command.aggregate_type = "Basket";
  command.aggregate_id = "1";
  command.command = "add";
  command.params_json = "{\"n\":1}";
  add_many(self, "1", 3);
  command.dry_run = true;
  assert_int_equal(run_command(self, &command, NULL), ES_OK);
  assert_string_equal(list(self, "1"), "");
  command.dry_run = false;
  command.idempotency_key = "once";
  assert_int_equal(run_command(self, &command, NULL), ES_OK); /* version 4 */
  assert_int_equal(es_snapshots_drop(NULL, self->rt, "Basket", "1", &self->err), ES_OK);
  assert_int_equal(run_command(self, &command, NULL), ES_OK); /* the same reply again */
  assert_string_equal(list(self, "1"), "");
}

static void a_transaction_takes_those_due_when_it_is_committed(void **state) {
  engine *self = *state;

  assert_int_equal(es_transaction_begin(self->rt, &self->err), ES_OK);
  add_many(self, "1", 9);
  add_many(self, "2", 4);
  add_many(self, "3", 2);
  assert_int_equal(es_transaction_commit(self->rt, &self->err), ES_OK);
  assert_int_equal(count_of(list(self, NULL), "\n"), 2);
  assert_non_null(strstr(list(self, "1"), "\"version\":9,"));
  assert_int_equal(es_transaction_begin(self->rt, &self->err), ES_OK);
  add_many(self, "4", 4);
  es_transaction_rollback(self->rt);
  add(self, "4", 1); /* not due, and what was due before is forgotten */
  assert_int_equal(es_transaction_begin(self->rt, &self->err), ES_OK);
  assert_int_equal(es_transaction_commit(self->rt, &self->err), ES_OK);
  assert_int_equal(count_of(list(self, NULL), "\n"), 2);
}

static void what_fails_in_a_policy_leaves_the_command_as_it_is(void **state) {
  engine *self = *state;

  add_many(self, "1", 3);
  succeeds(self, "Basket", "1", "mark", "{\"n\":13}"); /* version 4: due, and not to be kept */
  assert_string_equal(list(self, "1"), "");
  add(self, "1", 1);
}

static void daily_one_is_taken_with_the_first_commit_of_a_day(void **state) {
  engine *self = *state;

  add_many(self, "1", 3);
  assert_string_equal(list(self, "1"), "");
  self->now += INT64_C(86400) * 1000000;
  add_many(self, "1", 3);
  assert_int_equal(count_of(list(self, "1"), "\n"), 1);
  assert_non_null(strstr(list(self, "1"), "\"version\":4,"));
}

/* An event's data {"n":N} has 7 bytes here, so that the fifth makes 35. */
static void a_number_of_bytes_makes_one_due_and_the_count_starts_again(void **state) {
  engine *self = *state;

  add_many(self, "1", 4);
  assert_string_equal(list(self, "1"), "");
  add(self, "1", 5);
  assert_non_null(strstr(list(self, "1"), "\"version\":5,"));
  add_many(self, "1", 2);
  reopen(self); /* who begins with the snapshot counts from there */
  add_many(self, "1", 2);
  assert_int_equal(count_of(list(self, "1"), "\n"), 1);
  add(self, "1", 5);
  assert_non_null(strstr(list(self, "1"), "\"version\":10,"));
}

static void two_writers_take_them_of_one_stream(void **state) {
  engine *self = *state, other = *self;

  open_engine(&other, store_of(self));
  for (int i = 0; i < 12; i++)
    add(i % 2 == 0 ? self : &other, "1", i);
  take(self, "1");
  take(&other, "1"); /* of the same version: it takes the place of the other */
  assert_non_null(strstr(list(self, "1"), "\"version\":12,"));
  assert_int_equal(count_of(list(self, "1"), "\n"), 3);
  assert_int_equal(replays(self), ES_OK);
  es_close(other.rt);
}

static void bad_policies_are_refused_where_they_stand(void **state) {
  static const char *const cases[][2] = {
      {"{ evry = 4 }", "unknown field 'evry' (did you mean every?"},
      {"{ every = 0 }", "snapshot.every must be a whole number"},
      {"{ every = 1.5 }", "snapshot.every must be a whole number"},
      {"{ bytes = '9' }", "snapshot.bytes must be a whole number"},
      {"{ daily = false }", "snapshot.daily must be true"},
      {"{}", "snapshot must say when"},
      {"1000", "snapshot must be a table"},
  };
  engine *self = *state;
  char more[128];

  es_close(self->rt);
  self->rt = NULL;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    snprintf(more, sizeof more, "Basket.snapshot = %s", cases[i][0]);
    write_basket(self, more);
    assert_int_equal(try_open(self, ":memory:"), ES_ERR_LUA);
    if (strstr(self->err.message, cases[i][1]) == NULL) fail_msg("%s", self->err.message);
    if (strstr(self->err.message, "aggregates/basket.lua:24: ") == NULL)
      fail_msg("%s", self->err.message);
  }
}

int main(void) {
  static const struct CMUnitTest tests[] = {
      WITH(setup_every_4, every_n_versions_a_snapshot_is_taken),
      WITH(setup_every_4, what_stores_nothing_makes_none_due),
      WITH(setup_every_4, a_transaction_takes_those_due_when_it_is_committed),
      WITH(setup_every_4, what_fails_in_a_policy_leaves_the_command_as_it_is),
      WITH(setup_daily, daily_one_is_taken_with_the_first_commit_of_a_day),
      WITH(setup_bytes, a_number_of_bytes_makes_one_due_and_the_count_starts_again),
      WITH(setup_every_4, two_writers_take_them_of_one_stream),
      WITH(setup, bad_policies_are_refused_where_they_stand),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
