/* test_verify: what verification finds beside the chain, with one thread and with several. Each index of the events is damaged in
 * every way that hides an event, shows another or breaks its order, behind an unchanged schema (test_verify_rows.c damages the
 * rest). And verification raises no false alarm while others append. */
#include "verify_support.h"

#include <pthread.h>
#include <stdatomic.h>

#include "engine/scan.h"
#include "store/tree.h"

static const struct {
  const char *name;
  const char *columns, *first; /* what it is over, and the first of it */
  const char *condition;       /* "": none */
} indexes[] = {
    {"events_by_id", "event_id", "event_id", ""},
    {"events_by_stream", "stream_id, version", "stream_id", ""},
    {"events_by_tenant", "tenant", "tenant", "tenant <> 0"},
    {"events_by_aggregate_type", "aggregate_type", "aggregate_type", ""},
    {"events_by_event_type", "event_type", "event_type", ""},
    {"events_by_actor", "actor", "actor", ""},
    {"events_by_correlation", "correlation_id", "correlation_id", ""},
    {"events_by_causation", "causation_id", "causation_id", "causation_id IS NOT NULL"},
};
enum { INDEXES = sizeof indexes / sizeof indexes[0] };

/* ---- Damage ------------------------------------------------------------------------------------------------ */

/* Fills the index as `columns` and `condition` say and puts its true definition back. */
static void rebuild(const fixture *f, int index, const char *columns, const char *condition) {
  const char *name = indexes[index].name;
  char *sql = ask(f, "SELECT sql FROM sqlite_schema WHERE name = '%s'", name);

  raw(f, "UPDATE sqlite_schema SET sql = 'CREATE INDEX %s ON events (%q) %s%q' WHERE name = '%s'",
      name, columns, condition[0] == '\0' ? "" : "WHERE ", condition, name);
  raw(f, "REINDEX %s", name);
  raw(f, "UPDATE sqlite_schema SET sql = '%q' WHERE name = '%s'", sql, name);
  free(sql);
}

static char *value_at(const fixture *f, int index, int position) {
  return ask(f, "SELECT quote(%s) FROM events WHERE position = %d", indexes[index].first, position);
}

static void rebuild_with(const fixture *f, int index, const char *format, ...) ES_PRINTF(3, 4);

static void rebuild_with(const fixture *f, int index, const char *format, ...) {
  const char *rest = strchr(indexes[index].columns, ',');
  char columns[512], value[400];
  va_list args;

  va_start(args, format);
  vsnprintf(value, sizeof value, format, args);
  va_end(args);
  snprintf(columns, sizeof columns, "%s%s", value, rest == NULL ? "" : rest);
  rebuild(f, index, columns, indexes[index].condition);
}

/* Positions 2 and 3 have a tenant and a cause; the first one behind that has them too and another key. */
static int another(const fixture *f, int index, int at, char *keys[2]) {
  keys[0] = value_at(f, index, at);
  for (int other = at + 1; other <= EVENTS; other++) {
    keys[1] = value_at(f, index, other);
    if (strcmp(keys[0], keys[1]) != 0 && strcmp(keys[1], "NULL") != 0 && strcmp(keys[1], "0") != 0)
      return other;
    free(keys[1]);
  }
  fail_msg("%s: all keys are the same", indexes[index].name);
  return 0;
}

static void leave_an_entry_out(fixture *f, int index) {
  char condition[128];
  snprintf(condition, sizeof condition, "position <> 3%s%s",
           indexes[index].condition[0] == '\0' ? "" : " AND ", indexes[index].condition);
  rebuild(f, index, indexes[index].columns, condition);
}

static void change_a_key(fixture *f, int index) {
  char *keys[2];
  another(f, index, 3, keys);
  rebuild_with(f, index, "CASE position WHEN 3 THEN %s ELSE %s END", keys[1], indexes[index].first);
  free(keys[0]);
  free(keys[1]);
}

/* The same keys and the same positions, but not together. */
static void exchange_two_keys(fixture *f, int index) {
  char *keys[2];
  int other = another(f, index, 2, keys);
  rebuild_with(f, index, "CASE position WHEN 2 THEN %s WHEN %d THEN %s ELSE %s END", keys[1], other,
               keys[0], indexes[index].first);
  free(keys[0]);
  free(keys[1]);
}

static void turn_it_round(fixture *f, int index) {
  char columns[128];
  snprintf(columns, sizeof columns, "%s DESC", indexes[index].columns);
  rebuild(f, index, columns, indexes[index].condition);
}

/* A text where a number or an id belongs. */
static void change_a_type(fixture *f, int index) {
  rebuild_with(f, index, "CASE position WHEN 3 THEN 'x' ELSE %s END", indexes[index].first);
}

/* The last event goes, and its entry stays. */
static void keep_the_entry_of_a_lost_event(fixture *f, int index) {
  const char *name = indexes[index].name;
  char *sql = ask(f, "SELECT sql FROM sqlite_schema WHERE name = '%s'", name);
  char *root = ask(f, "SELECT rootpage FROM sqlite_schema WHERE name = '%s'", name);
  char *trigger = ask(f, "SELECT sql FROM sqlite_schema WHERE name = 'events_no_delete'");

  raw(f, "DELETE FROM sqlite_schema WHERE name = '%s'", name);
  raw(f, "DROP TRIGGER events_no_delete; DELETE FROM events WHERE position = %d; %s", EVENTS,
      trigger);
  raw(f, "INSERT INTO sqlite_schema VALUES ('index', '%s', 'events', %s, '%q')", name, root, sql);
  free(sql);
  free(root);
  free(trigger);
}

static void names_it(const fixture *f, int index, const char *what) {
  static const int jobs[] = {1, 3};

  for (int i = 0; i < 2; i++) {
    es_error err = ES_ERROR_INIT;
    notes said = {.index = indexes[index].name};
    es_status status = verify(&said, f->path, jobs[i], &err);
    if (status != ES_ERR_INTEGRITY || !said.named)
      fail_msg("%s, %s, %d jobs: %s", what, indexes[index].name, jobs[i], said.all);
  }
}

static void damage_in_each_index_is_named(void **state) {
  static const struct {
    const char *name;
    void (*harm)(fixture *f, int index);
  } harms[] = {{"an entry left out", leave_an_entry_out},
               {"a changed key", change_a_key},
               {"two keys exchanged", exchange_two_keys},
               {"the order turned round", turn_it_round},
               {"a key of another type", change_a_type},
               {"an entry of a lost event", keep_the_entry_of_a_lost_event}};
  (void)state;

  for (size_t harm = 0; harm < sizeof harms / sizeof harms[0]; harm++) {
    for (int index = 0; index < INDEXES; index++) {
      fixture f;
      fixture_make(&f);
      assert_int_equal(fixture_open(&f), ES_OK);
      append_some(&f, EVENTS);
      es__store_close(f.store);
      f.store = NULL;
      harms[harm].harm(&f, index);
      names_it(&f, index, harms[harm].name);
      fixture_remove(&f);
    }
  }
}

/* No query reads entries that a partial index should not have, but they are damage. */
static void entries_outside_a_partial_index_are_named(void **state) {
  enum { BY_TENANT = 2 };
  fixture *f = *state;

  append_some(f, EVENTS);
  es__store_close(f->store);
  f->store = NULL;
  rebuild(f, BY_TENANT, indexes[BY_TENANT].columns, "");
  names_it(f, BY_TENANT, "entries too many");
}

static void a_rebuilt_index_is_sound(void **state) {
  fixture *f = *state;
  es_error err = ES_ERROR_INIT;

  append_some(f, EVENTS);
  es__store_close(f->store);
  f->store = NULL;
  for (int index = 0; index < INDEXES; index++)
    rebuild(f, index, indexes[index].columns, indexes[index].condition);
  for (int jobs = 1; jobs <= 3; jobs++) {
    notes said = {0};
    if (verify(&said, f->path, jobs, &err) != ES_OK) fail_msg("%s", said.all);
  }
}

static void fail_scan(void *data, const char *kind, int64_t position, const char *fault,
                      const char *message) {
  (void)data;
  fail_msg("%s %lld %s: %s", kind, (long long)position, fault, message);
}

/* covers C17: a run begins behind the end of another, which lacks its last event. */
static void an_event_behind_a_missing_one_is_not_blamed(void **state) {
  fixture *f = *state;
  es_sums sums;
  append_some(f, 260);
  raw(f, "DROP TRIGGER events_no_delete; DELETE FROM events WHERE position = 256");
  es_scan scan = {.store = f->store, .after = 256, .to = 260, .sums = &sums, .finding = fail_scan};
  assert_int_equal(es__sums_init(&sums, 260, &f->err), ES_OK);
  assert_int_equal(es__scan(&scan, &f->err), ES_OK);
}

/* ---- While others append ----------------------------------------------------------------------------------- */

typedef struct appender {
  fixture *f;
  atomic_bool stop;
  atomic_int appended;
  atomic_int status;
  es_error err;
} appender;

/* Events in new streams and old ones, under new names; replies; and the tree, caught up now and then. */
static void *append_on(void *data) {
  appender *self = data;
  fixture *f = self->f;
  char id[32], actor[32], body[128];
  int64_t size, version;

  for (int i = 0; !self->stop && self->status == ES_OK; i++) {
    snprintf(id, sizeof id, "%d", i % 7 == 0 ? i : i % 5);
    snprintf(actor, sizeof actor, "user:%d", i / 3);
    es_event event = make_event(f, i % 11 == 0 ? id : "Order", id, "Opened");
    event.actor_id = es__text(actor);
    event.tenant_id = es__text(i % 2 == 0 ? id : NULL);
    event.has_causation = i % 3 != 0;
    const es_stream_name stream = {event.tenant_id, event.aggregate_type, event.aggregate_id};
    self->status = es__store_stream_version(&version, f->store, &stream, &self->err);
    es_reply_record reply = reply_with(body, &event, version + 1);
    memcpy(reply.key, event.event_id, ES_ID_SIZE);
    es_commit commit = {.events = &event, .event_count = 1, .reply = &reply, .now = T0};
    if (self->status == ES_OK) self->status = es__store_append(f->store, &commit, &self->err);
    if (self->status == ES_OK && i % 50 == 0)
      self->status = es__tree_grow(&size, INT64_MAX, f->store, &self->err);
    self->appended++;
  }
  return NULL;
}

static void no_false_alarm_while_others_append(void **state) {
  fixture *f = *state;
  appender other = {.f = f};
  pthread_t thread;
  es_error err = ES_ERROR_INIT;
  notes said = {0};
  int rounds = 0;

  append_some(f, 400);
  assert_int_equal(pthread_create(&thread, NULL, append_on, &other), 0);
  while (other.appended == 0 && other.status == ES_OK)
    sched_yield();
  while (rounds < 12 && other.status == ES_OK) {
    int before = other.appended;
    if (verify(&said, f->path, 1 + rounds % 3, &err) != ES_OK) break;
    rounds += other.appended > before; /* one that nothing was appended beside says nothing */
  }
  other.stop = true;
  pthread_join(thread, NULL);
  if (other.status != ES_OK) fail_msg("append: %s", other.err.message);
  if (rounds < 12) fail_msg("%s: %s", err.message, said.all);
}

static int make_open(void **state) {
  fixture *f = malloc(sizeof *f);
  fixture_make(f);
  assert_int_equal(fixture_open(f), ES_OK);
  *state = f;
  return 0;
}

static int remove_it(void **state) {
  fixture_remove(*state);
  free(*state);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(damage_in_each_index_is_named),
      cmocka_unit_test_setup_teardown(entries_outside_a_partial_index_are_named, make_open,
                                      remove_it),
      cmocka_unit_test_setup_teardown(an_event_behind_a_missing_one_is_not_blamed, make_open,
                                      remove_it),
      cmocka_unit_test_setup_teardown(a_rebuilt_index_is_sound, make_open, remove_it),
      cmocka_unit_test_setup_teardown(no_false_alarm_while_others_append, make_open, remove_it),
  };
  return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
