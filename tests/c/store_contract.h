/* store_contract: what the two halves of the contract's suite share: a store of the kind at hand for each test, reads written
 * as positions, and running every test for every kind. */
#ifndef STORE_CONTRACT_H
#define STORE_CONTRACT_H

#include "store_fixture.h"

static bool use_memory; /* set for each group of tests */

static inline int setup(void **state) {
  fixture *f = malloc(sizeof *f);
  fixture_make(f);
  es_status status =
      use_memory ? es__store_open_memory(&f->store, &f->ids, &f->err) : fixture_open(f);
  if (status != ES_OK) fail_msg("open: %s", f->err.message);
  *state = f;
  return 0;
}

static inline int teardown(void **state) {
  fixture *f = *state;
  assert_sound(f->store,
               head_position(f)); /* whatever a test did, the store must be sound after it */
  fixture_remove(f);
  free(f);
  return 0;
}

/* Reads with a filter and writes the positions found: "1 3 4". */
static inline const char *positions(fixture *f, const es_filter *filter) {
  static char text[4096];
  es_store_cursor *cursor = NULL;
  const es_event *event = NULL;
  size_t length = 0;

  text[0] = '\0';
  if (es__store_read(&cursor, f->store, filter, &f->err) != ES_OK) return f->err.code;
  while (es__store_next(&event, cursor, &f->err) == ES_OK && event != NULL && length < 4000)
    length +=
        (size_t)sprintf(text + length, length == 0 ? "%lld" : " %lld", (long long)event->position);
  es__store_cursor_close(cursor);
  return text;
}

static const es_stream_name doc_1 = {{NULL, 0}, {"Document", 8}, {"doc-1", 5}};

static inline int64_t version_of(fixture *f, es_stream_name name) {
  int64_t version = -1;
  assert_int_equal(es__store_stream_version(&version, f->store, &name, &f->err), ES_OK);
  return version;
}

#define EXPECT(expected, ...)                                                                      \
  do {                                                                                             \
    es_filter filter = {.size = sizeof filter, __VA_ARGS__};                                       \
    assert_string_equal(positions(f, &filter), expected);                                          \
  } while (0)

#define BOTH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* Runs a group of tests for each kind of store. */
static inline int run_group(const char *kind, const struct CMUnitTest *tests, size_t count) {
  return _cmocka_run_group_tests(kind, tests, count, NULL, NULL);
}

static inline int run_for_every_kind(const struct CMUnitTest *tests, size_t count) {
  use_memory = true;
  int failed = run_group("memory", tests, count);
  use_memory = false;
  return failed + run_group("sqlite", tests, count);
}

#endif
