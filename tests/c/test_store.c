/* test_store: the contract of store.h, run against every kind of store. What only SQLite can get wrong is in
 * test_store_sqlite.c. */
#include "store_fixture.h"

static bool use_memory; /* set for each group of tests */

static int setup(void **state) {
  fixture *f = malloc(sizeof *f);
  fixture_make(f);
  es_status status =
      use_memory ? es__store_open_memory(&f->store, &f->ids, &f->err) : fixture_open(f);
  if (status != ES_OK) fail_msg("open: %s", f->err.message);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  assert_sound(f->store,
               head_position(f)); /* whatever a test did, the store must be sound after it */
  fixture_remove(f);
  free(f);
  return 0;
}

/* Reads with a filter and writes the positions found: "1 3 4". */
static const char *positions(fixture *f, const es_filter *filter) {
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

static int64_t version_of(fixture *f, es_stream_name name) {
  int64_t version = -1;
  assert_int_equal(es__store_stream_version(&version, f->store, &name, &f->err), ES_OK);
  return version;
}

/* ---- Appending ---- */

/* covers E4 */
static void an_append_stamps_position_version_time_and_hashes(void **state) {
  fixture *f = *state;
  es_event events[2] = {make_event(f, "Document", "doc-1", "DocumentCreated"),
                        make_event(f, "Document", "doc-1", "DocumentEdited")};
  uint8_t zero[ES_HASH_SIZE] = {0};
  es_store_head head;

  f->clock += 5;
  assert_int_equal(append_events(f, events, 2), ES_OK);
  assert_int_equal(events[0].position, 1);
  assert_int_equal(events[1].position, 2);
  assert_int_equal(events[0].version, 1);
  assert_int_equal(events[1].version, 2);
  assert_true(events[1].recorded_at == T0 + 5);
  assert_memory_equal(events[0].previous_hash, zero, ES_HASH_SIZE);
  assert_memory_equal(events[1].previous_hash, events[0].hash, ES_HASH_SIZE);
  assert_int_equal(es__store_head_of(&head, f->store, &f->err), ES_OK);
  assert_int_equal(head.position, 2);
  assert_true(head.recorded_at == T0 + 5);
  assert_memory_equal(head.hash, events[1].hash, ES_HASH_SIZE);
  assert_int_equal(version_of(f, doc_1), 2);
}

static void an_empty_store_has_a_zero_head_and_no_events(void **state) {
  fixture *f = *state;
  es_store_head head;
  uint8_t zero[ES_HASH_SIZE] = {0};

  assert_int_equal(es__store_head_of(&head, f->store, &f->err), ES_OK);
  assert_int_equal(head.position, 0);
  assert_memory_equal(head.hash, zero, ES_HASH_SIZE);
  assert_string_equal(positions(f, NULL), "");
  assert_int_equal(version_of(f, doc_1), 0);
}

/* covers E8, E15 */
static void every_field_comes_back_as_it_was_stored(void **state) {
  fixture *f = *state;
  es_event event = make_event(f, "Document", "doc-1", "DocumentCreated");
  es_store_cursor *cursor;
  const es_event *read;

  event.tenant_id = es__text("acme");
  event.actor_id = es__text("user:Zo\xc3\xab");
  event.schema_version = 7;
  event.has_causation = true;
  es__id_new(&f->ids, event.causation_id);
  event.occurred_at = -1;
  event.data = es__text("{\"z\":\"\xf0\x9f\x98\x80\"}");
  event.metadata = es__text("{\"request_id\":\"r1\"}");
  assert_int_equal(append_events(f, &event, 1), ES_OK);
  assert_int_equal(es__store_read(&cursor, f->store, NULL, &f->err), ES_OK);
  assert_int_equal(es__store_next(&read, cursor, &f->err), ES_OK);
  assert_non_null(read);
  assert_int_equal(read->position, 1);
  assert_memory_equal(read->event_id, event.event_id, ES_ID_SIZE);
  assert_true(es__text_equal(read->tenant_id, event.tenant_id));
  assert_true(es__text_equal(read->aggregate_type, event.aggregate_type));
  assert_true(es__text_equal(read->aggregate_id, event.aggregate_id));
  assert_int_equal(read->version, 1);
  assert_true(es__text_equal(read->event_type, event.event_type));
  assert_int_equal(read->schema_version, 7);
  assert_true(es__text_equal(read->actor_id, event.actor_id));
  assert_memory_equal(read->correlation_id, event.correlation_id, ES_ID_SIZE);
  assert_true(read->has_causation);
  assert_memory_equal(read->causation_id, event.causation_id, ES_ID_SIZE);
  assert_true(read->occurred_at == -1);
  assert_true(read->recorded_at == T0);
  assert_true(es__text_equal(read->data, event.data));
  assert_true(es__text_equal(read->metadata, event.metadata));
  assert_memory_equal(read->hash, event.hash, ES_HASH_SIZE);
  assert_int_equal(es__store_next(&read, cursor, &f->err), ES_OK);
  assert_null(read);
  es__store_cursor_close(cursor);
}

static void events_of_several_streams_commit_together_or_not_at_all(void **state) {
  fixture *f = *state;
  es_event events[3] = {make_event(f, "Order", "o-1", "OrderCreated"),
                        make_event(f, "Stock", "s-1", "StockReserved"),
                        make_event(f, "Order", "o-1", "OrderConfirmed")};

  assert_int_equal(append_events(f, events, 3), ES_OK);
  assert_int_equal(events[2].version, 2);
  assert_int_equal(events[1].version, 1);
  for (int i = 0; i < 3; i++)
    es__id_new(&f->ids, events[i].event_id);
  events[0].aggregate_id = es__text("o-2"); /* a new stream, which must not stay behind either */
  memcpy(events[2].event_id, events[1].event_id, ES_ID_SIZE);
  assert_int_equal(append_events(f, events, 3), ES_ERR_CONFLICT);
  assert_int_equal(head_position(f), 3);
  assert_int_equal(version_of(f, (es_stream_name){{NULL, 0}, {"Order", 5}, {"o-2", 3}}), 0);
  es__id_new(&f->ids, events[2].event_id);
  assert_int_equal(append_events(f, events, 3), ES_OK);
  assert_int_equal(events[0].position, 4);
}

static void a_stream_at_another_version_is_a_conflict_with_both_versions(void **state) {
  fixture *f = *state;
  es_condition condition = {doc_1, 0};
  es_event event = make_event(f, "Document", "doc-1", "DocumentCreated");
  es_commit commit = {.events = &event,
                      .event_count = 1,
                      .conditions = &condition,
                      .condition_count = 1,
                      .now = T0};

  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  es__id_new(&f->ids, event.event_id);
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_ERR_CONFLICT);
  assert_string_equal(f->err.code, "version_conflict");
  assert_int_equal(f->err.expected_version, 0);
  assert_int_equal(f->err.actual_version, 1);
  assert_non_null(strstr(f->err.message, "Document/doc-1"));
  condition.expected_version = 1;
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  assert_int_equal(head_position(f), 2);
}

static void one_failed_condition_of_several_stores_nothing(void **state) {
  fixture *f = *state;
  es_condition conditions[2] = {{doc_1, 0}, {{{NULL, 0}, {"Document", 8}, {"doc-2", 5}}, 4}};
  es_event event = make_event(f, "Document", "doc-1", "DocumentCreated");
  es_commit commit = {.events = &event,
                      .event_count = 1,
                      .conditions = conditions,
                      .condition_count = 2,
                      .now = T0};

  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_ERR_CONFLICT);
  assert_int_equal(f->err.expected_version, 4);
  assert_int_equal(head_position(f), 0);
}

/* covers E1 */
static void an_event_id_is_stored_once(void **state) {
  fixture *f = *state;
  es_event event = make_event(f, "Document", "doc-1", "DocumentCreated");

  assert_int_equal(append_events(f, &event, 1), ES_OK);
  event.aggregate_id = es__text("doc-2");
  assert_int_equal(append_events(f, &event, 1), ES_ERR_CONFLICT);
  assert_string_equal(f->err.code, "duplicate_event_id");
  assert_int_equal(head_position(f), 1);
}

static void tenants_types_and_ids_name_streams_apart(void **state) {
  fixture *f = *state;
  es_event events[4] = {make_event(f, "Document", "x", "E"), make_event(f, "Document", "x", "E"),
                        make_event(f, "Order", "x", "E"), make_event(f, "Document", "x", "E")};

  events[1].tenant_id = es__text("acme");
  events[3].tenant_id = es__text("globex");
  assert_int_equal(append_events(f, events, 4), ES_OK);
  for (int i = 0; i < 4; i++)
    assert_int_equal(events[i].version, 1);
}

/* ---- Time ---- */

static void recorded_at_never_decreases_when_the_clock_steps_back(void **state) {
  fixture *f = *state;
  es_event first = make_event(f, "Document", "doc-1", "E"), second;

  assert_int_equal(append_events(f, &first, 1), ES_OK);
  f->clock = T0 - 3600000000;
  second = make_event(f, "Document", "doc-1", "E");
  assert_int_equal(append_events(f, &second, 1), ES_OK);
  assert_true(second.recorded_at == T0);
  assert_true(second.occurred_at == T0 - 3600000000);
}

static void an_import_keeps_its_times_and_cannot_go_back(void **state) {
  fixture *f = *state;
  es_event events[2] = {make_event(f, "Document", "doc-1", "E"),
                        make_event(f, "Document", "doc-1", "E")};
  es_commit commit = {.events = events, .event_count = 2, .now = T0, .keep_recorded_at = true};

  events[0].recorded_at = -5; /* before 1970 is a time like any other, in an empty store too */
  events[1].recorded_at = 20;
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  assert_true(events[0].recorded_at == -5);
  assert_true(events[1].recorded_at == 20);
  for (int i = 0; i < 2; i++)
    es__id_new(&f->ids, events[i].event_id);
  events[0].recorded_at = 20;
  events[1].recorded_at = 19;
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_ERR_USAGE);
  assert_string_equal(f->err.code, "time_order");
  assert_int_equal(head_position(f), 2);
}

/* ---- Reading ---- */

/* Ten events over tenants, actors, types, streams, correlations and times:
 *   position  1    2    3    4    5    6    7    8    9    10
 *   tenant    -    -    acme acme -    glob -    acme -    -
 *   stream    D/1  D/1  D/1  D/2  O/1  D/1  D/1  O/1  D/2  D/1
 *   actor     al   bob  -    anon al   al   -    bob  anon al
 *   type      C    E    C    C    O    C    E    O    C    E            time T0 + position seconds */
static uint8_t correlations[2][ES_ID_SIZE];
static uint8_t causes[ES_ID_SIZE];

static void fill_ten(fixture *f) {
  static const char *const tenants[] = {NULL,     NULL, "acme", "acme", NULL,
                                        "globex", NULL, "acme", NULL,   NULL};
  static const char *const types[] = {"Document", "Document", "Document", "Document", "Order",
                                      "Document", "Document", "Order",    "Document", "Document"};
  static const char *const ids[] = {"1", "1", "1", "2", "1", "1", "1", "1", "2", "1"};
  static const char *const actors[] = {"user:alice", "user:bob",   NULL, "anonymous",
                                       "user:alice", "user:alice", NULL, "user:bob",
                                       "anonymous",  "user:alice"};
  static const char *const events[] = {"C", "E", "C", "C", "O", "C", "E", "O", "C", "E"};

  es__id_new(&f->ids, correlations[0]);
  es__id_new(&f->ids, correlations[1]);
  for (int i = 0; i < 10; i++) {
    f->clock = T0 + (i + 1) * INT64_C(1000000);
    es_event event = make_event(f, types[i], ids[i], events[i]);
    event.tenant_id = es__text(tenants[i]);
    event.actor_id = es__text(actors[i]);
    memcpy(event.correlation_id, correlations[i % 2], ES_ID_SIZE);
    event.has_causation = i == 4 || i == 7;
    if (i == 0) memcpy(causes, event.event_id, ES_ID_SIZE);
    if (event.has_causation) memcpy(event.causation_id, causes, ES_ID_SIZE);
    must_append(f, event);
  }
}

#define EXPECT(expected, ...)                                                                      \
  do {                                                                                             \
    es_filter filter = {.size = sizeof filter, __VA_ARGS__};                                       \
    assert_string_equal(positions(f, &filter), expected);                                          \
  } while (0)

static void reads_go_both_ways_from_any_position(void **state) {
  fixture *f = *state;
  fill_ten(f);
  assert_string_equal(positions(f, NULL), "1 2 3 4 5 6 7 8 9 10");
  EXPECT("10 9 8 7 6 5 4 3 2 1", .reverse = true);
  EXPECT("8 9 10", .after_position = 7);
  EXPECT("6 5 4 3 2 1", .after_position = 7, .reverse = true);
  EXPECT("", .after_position = 10);
  EXPECT("", .after_position = INT64_MAX);
  EXPECT("", .after_position = 1, .reverse = true);
  EXPECT("1 2 3", .limit = 3);
  EXPECT("10 9", .limit = 2, .reverse = true);
}

/* covers E10, E15 */
static void each_filter_alone_finds_its_events(void **state) {
  fixture *f = *state;
  char event_id[ES_ID_TEXT_SIZE], correlation[ES_ID_TEXT_SIZE];

  fill_ten(f);
  es_id_text(event_id, causes);
  es_id_text(correlation, correlations[1]);
  EXPECT("3 4 8", .tenant_id = "acme");
  EXPECT("1 2 5 7 9 10", .tenant_id = ES_NONE);
  EXPECT("", .tenant_id = "nobody");
  EXPECT("1 5 6 10", .actor_id = "user:alice");
  EXPECT("3 7", .actor_id = ES_NONE);
  EXPECT("4 9", .actor_id = "anonymous");
  EXPECT("", .actor_id = "user:eve");
  EXPECT("2 7 10", .event_type = "E");
  EXPECT("", .event_type = "user:alice"); /* a name, but of another kind */
  EXPECT("5 8", .aggregate_type = "Order");
  EXPECT("4 9", .aggregate_id = "2");
  EXPECT("1", .event_id = event_id);
  EXPECT("2 4 6 8 10", .correlation_id = correlation);
  EXPECT("5 8", .causation_id = event_id);
  EXPECT("1 2 3 4 6 7 9 10", .causation_id = ES_NONE);
  EXPECT("5 6 7 8 9 10", .from_time = T0 + 5000000);
  EXPECT("5 6 7 8 9 10", .from_time = T0 + 4000001);
  EXPECT("1 2 3 4", .to_time = T0 + 5000000);
  EXPECT("4 5 6", .from_time = T0 + 4000000, .to_time = T0 + 7000000);
  EXPECT("6 5 4", .from_time = T0 + 4000000, .to_time = T0 + 7000000, .reverse = true);
  EXPECT("", .from_time = T0 + 11000000);
  EXPECT("", .to_time = T0);
  EXPECT("1 2 3 4 5 6 7 8 9 10", .to_time = T0 + 99000000);
  EXPECT("1 2 3 4 5 6 8 9", .to_version = 2);
  EXPECT("7 10", .from_version = 3);
}

static void filters_combine(void **state) {
  fixture *f = *state;
  char correlation[ES_ID_TEXT_SIZE], cause[ES_ID_TEXT_SIZE];

  fill_ten(f);
  es_id_text(correlation, correlations[1]);
  es_id_text(cause, causes);
  EXPECT("1 2 7 10", .tenant_id = ES_NONE, .aggregate_type = "Document", .aggregate_id = "1");
  EXPECT("10 7 2 1", .tenant_id = ES_NONE, .aggregate_type = "Document", .aggregate_id = "1",
         .reverse = true);
  EXPECT("1 2", .tenant_id = ES_NONE, .aggregate_type = "Document", .aggregate_id = "1",
         .to_version = 2);
  EXPECT("7", .tenant_id = ES_NONE, .aggregate_type = "Document", .aggregate_id = "1",
         .after_position = 2, .limit = 1);
  EXPECT("2 1", .tenant_id = ES_NONE, .aggregate_type = "Document", .aggregate_id = "1",
         .after_position = 7, .reverse = true);
  EXPECT("2 7", .tenant_id = ES_NONE, .aggregate_type = "Document", .aggregate_id = "1",
         .from_time = T0 + 2000000, .to_time = T0 + 8000000);
  EXPECT("3", .tenant_id = "acme", .aggregate_type = "Document", .aggregate_id = "1");
  EXPECT("1 2 3 6 7 10", .aggregate_type = "Document", .aggregate_id = "1");
  EXPECT("10 7 6 3", .aggregate_type = "Document", .aggregate_id = "1", .reverse = true,
         .limit = 4);
  EXPECT("8", .tenant_id = "acme", .aggregate_id = "1", .aggregate_type = "Order");
  EXPECT("1 10", .actor_id = "user:alice", .tenant_id = ES_NONE, .aggregate_type = "Document");
  EXPECT("10", .actor_id = "user:alice", .correlation_id = correlation, .tenant_id = ES_NONE);
  EXPECT("3", .actor_id = ES_NONE, .event_type = "C");
  EXPECT("8", .causation_id = cause, .actor_id = "user:bob");
  EXPECT("", .causation_id = cause, .actor_id = "anonymous");
  EXPECT("8", .event_type = "O", .from_time = T0 + 6000000);
  EXPECT("9 4", .actor_id = "anonymous", .reverse = true);
  EXPECT("4", .tenant_id = "acme", .actor_id = "anonymous", .event_type = "C", .limit = 5);
}

static void a_malformed_filter_is_refused(void **state) {
  fixture *f = *state;
  EXPECT("malformed_id", .event_id = "not-a-uuid");
  EXPECT("malformed_id", .causation_id = "");
  EXPECT("malformed_filter", .limit = -1);
}

static void a_reader_walks_every_page_while_others_append(void **state) {
  fixture *f = *state;
  es_event batch[100];
  es_store_cursor *cursor, *backward;
  const es_event *event;
  es_filter reverse = {.size = sizeof reverse, .reverse = true};
  int64_t read = 0;

  for (int i = 0; i < 14; i++) {
    for (int j = 0; j < 100; j++)
      batch[j] = make_event(f, "Document", j % 3 == 0 ? "a" : "b", "E");
    assert_int_equal(append_events(f, batch, 100), ES_OK);
  }
  assert_int_equal(es__store_read(&cursor, f->store, NULL, &f->err), ES_OK);
  assert_int_equal(es__store_read(&backward, f->store, &reverse, &f->err), ES_OK);
  for (;;) {
    assert_int_equal(es__store_next(&event, cursor, &f->err), ES_OK);
    if (event == NULL) break;
    assert_int_equal(event->position, ++read);
    if (read % 500 == 0) must_append(f, make_event(f, "Document", "late", "E"));
  }
  assert_int_equal(read, 1402);
  for (int64_t expected = 1400; expected >= 1; expected--) {
    assert_int_equal(es__store_next(&event, backward, &f->err), ES_OK);
    assert_non_null(event);
    if (expected == 1400)
      expected = event->position; /* where its first page begins is its own affair */
    assert_int_equal(event->position, expected);
  }
  assert_int_equal(es__store_next(&event, backward, &f->err), ES_OK);
  assert_null(event);
  es__store_cursor_close(cursor);
  es__store_cursor_close(backward);
}

static void one_long_stream_is_read_whole_in_both_directions(void **state) {
  fixture *f = *state;
  es_filter filter = {.size = sizeof filter,
                      .tenant_id = ES_NONE,
                      .aggregate_type = "Document",
                      .aggregate_id = "a"};
  es_event batch[100];

  for (int i = 0; i < 13; i++) {
    for (int j = 0; j < 100; j++)
      batch[j] = make_event(f, "Document", j % 10 == 0 ? "b" : "a", "E");
    assert_int_equal(append_events(f, batch, 100), ES_OK);
  }
  for (int direction = 0; direction < 2; direction++) {
    es_store_cursor *cursor;
    const es_event *event;
    int64_t read = 0;
    filter.reverse = direction == 1;
    assert_int_equal(es__store_read(&cursor, f->store, &filter, &f->err), ES_OK);
    while (es__store_next(&event, cursor, &f->err) == ES_OK && event != NULL) {
      read++;
      assert_int_equal(event->version, direction == 1 ? 1171 - read : read);
    }
    es__store_cursor_close(cursor);
    assert_int_equal(read, 1170);
  }
}

static void events_larger_than_a_page_are_read_whole(void **state) {
  fixture *f = *state;
  char *data = malloc(ES_DATA_MAX + 2);
  es_store_cursor *cursor;
  const es_event *event;

  memset(data, 'x', ES_DATA_MAX + 2);
  memcpy(data, "{\"a\":\"", 6);
  for (int i = 0; i < 3; i++) {
    size_t length = i == 1 ? ES_DATA_MAX : 200 * 1024;
    es_event big = make_event(f, "Document", "doc-1", "E");
    char kept[2] = {data[length - 2], data[length - 1]};
    memcpy(data + length - 2, "\"}", 2);
    big.data = (es_text){data, length};
    must_append(f, big);
    memcpy(data + length - 2, kept, 2);
  }
  assert_int_equal(es__store_read(&cursor, f->store, NULL, &f->err), ES_OK);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(es__store_next(&event, cursor, &f->err), ES_OK);
    assert_non_null(event);
    assert_int_equal(event->data.length, i == 1 ? ES_DATA_MAX : 200 * 1024);
    assert_memory_equal(event->data.data + event->data.length - 3, "x\"}", 3);
  }
  es__store_cursor_close(cursor);
  es_event too_big = make_event(f, "Document", "doc-1", "E");
  memcpy(data + ES_DATA_MAX - 1, "\"}", 2);
  too_big.data = (es_text){data, ES_DATA_MAX + 1};
  assert_int_equal(append_events(f, &too_big, 1), ES_ERR_USAGE);
  assert_string_equal(f->err.code, "event_too_large");
  free(data);
}

/* ---- Replies ---- */

static es_reply_record make_reply(uint8_t fill, int64_t event_count) {
  es_reply_record record = {.event_count = event_count, .created_at = T0};
  memset(record.key, fill, sizeof record.key);
  memset(record.params_hash, 0xAB, sizeof record.params_hash);
  record.body = es__text("{\"outcome\":\"ok\"}");
  return record;
}

static void a_second_commit_under_one_key_stores_nothing_and_returns_the_first_reply(void **state) {
  fixture *f = *state;
  es_reply_record reply = make_reply(1, 1), found;
  es_event events[2] = {make_event(f, "Document", "doc-1", "E"),
                        make_event(f, "$audit", "day", "$E")};
  es_commit commit = {.events = events, .event_count = 2, .reply = &reply, .now = T0};
  bool is_found;

  must_append(f, make_event(f, "Document", "doc-0", "E"));
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  assert_false(commit.duplicate);
  for (int i = 0; i < 2; i++)
    es__id_new(&f->ids, events[i].event_id);
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  assert_true(commit.duplicate);
  assert_int_equal(commit.existing.first_position, 2);
  assert_int_equal(commit.existing.event_count, 1);
  assert_true(es__text_equal(commit.existing.body, reply.body));
  es__reply_record_free(&commit.existing);
  assert_int_equal(head_position(f), 3);
  assert_int_equal(es__store_find_reply(&is_found, &found, f->store, reply.key, &f->err), ES_OK);
  assert_true(is_found);
  assert_true(found.created_at == T0);
  assert_memory_equal(found.params_hash, reply.params_hash, ES_STORE_KEY_SIZE);
  es__reply_record_free(&found);
  reply.key[0] = 2;
  assert_int_equal(es__store_find_reply(&is_found, &found, f->store, reply.key, &f->err), ES_OK);
  assert_false(is_found);
}

static void a_reply_without_events_is_kept(void **state) {
  fixture *f = *state;
  es_reply_record reply = make_reply(3, 0);
  es_commit commit = {.reply = &reply, .now = T0};

  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  assert_true(commit.duplicate);
  assert_int_equal(commit.existing.first_position, 0);
  es__reply_record_free(&commit.existing);
}

static void a_known_key_wins_over_a_failed_condition(void **state) {
  fixture *f = *state;
  es_reply_record reply = make_reply(4, 1);
  es_condition condition = {doc_1, 0};
  es_event event = make_event(f, "Document", "doc-1", "E");
  es_commit commit = {.events = &event,
                      .event_count = 1,
                      .conditions = &condition,
                      .condition_count = 1,
                      .reply = &reply,
                      .now = T0};

  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  assert_true(commit.duplicate);
  es__reply_record_free(&commit.existing);
}

static void a_failed_append_leaves_no_reply(void **state) {
  fixture *f = *state;
  es_reply_record reply = make_reply(5, 1), found;
  es_condition condition = {doc_1, 9};
  es_event event = make_event(f, "Document", "doc-1", "E");
  es_commit commit = {.events = &event,
                      .event_count = 1,
                      .conditions = &condition,
                      .condition_count = 1,
                      .reply = &reply,
                      .now = T0};
  bool is_found;

  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_ERR_CONFLICT);
  assert_int_equal(es__store_find_reply(&is_found, &found, f->store, reply.key, &f->err), ES_OK);
  assert_false(is_found);
  reply.event_count = 2;
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_ERR_USAGE);
  assert_string_equal(f->err.code, "malformed_reply");
}

/* ---- Transactions ---- */

static void a_failing_append_leaves_its_transactions_other_appends(void **state) {
  fixture *f = *state;
  es_event event = make_event(f, "Document", "doc-1", "E");

  assert_int_equal(es__store_begin(f->store, &f->err), ES_OK);
  assert_int_equal(append_events(f, &event, 1), ES_OK);
  es_event twice[2] = {make_event(f, "New", "n-1", "New"), event};
  twice[0].actor_id = es__text("user:new");
  assert_int_equal(append_events(f, twice, 2), ES_ERR_CONFLICT);
  must_append(f, make_event(f, "Other", "n-1", "Newer"));
  must_append(f, make_event(f, "Document", "doc-1", "E"));
  assert_int_equal(head_position(f), 3);
  assert_string_equal(positions(f, NULL), "1 2 3");
  assert_int_equal(version_of(f, doc_1), 2);
  assert_int_equal(es__store_commit(f->store, &f->err), ES_OK);
  assert_int_equal(head_position(f), 3);
  EXPECT("", .actor_id = "user:new");
  EXPECT("2", .aggregate_type = "Other");
}

static void a_rolled_back_transaction_leaves_nothing(void **state) {
  fixture *f = *state;
  es_reply_record reply = make_reply(6, 1), found;
  es_event event = make_event(f, "Document", "doc-1", "E");
  es_commit commit = {.events = &event, .event_count = 1, .reply = &reply, .now = T0};
  bool is_found;

  must_append(f, make_event(f, "Document", "doc-1", "E"));
  assert_int_equal(es__store_begin(f->store, &f->err), ES_OK);
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  must_append(f, make_event(f, "Brand", "new", "Stream"));
  es__store_rollback(f->store);
  assert_int_equal(head_position(f), 1);
  assert_int_equal(version_of(f, doc_1), 1);
  assert_int_equal(es__store_find_reply(&is_found, &found, f->store, reply.key, &f->err), ES_OK);
  assert_false(is_found);
  must_append(f, make_event(f, "Other", "x", "Kind")); /* reuses the ids that the rollback freed */
  EXPECT("", .event_type = "Stream");
  EXPECT("2", .event_type = "Kind");
}

static void transactions_do_not_nest_and_need_a_beginning(void **state) {
  fixture *f = *state;
  assert_int_equal(es__store_commit(f->store, &f->err), ES_ERR_USAGE);
  assert_int_equal(es__store_begin(f->store, &f->err), ES_OK);
  assert_int_equal(es__store_begin(f->store, &f->err), ES_ERR_USAGE);
  assert_int_equal(es__store_commit(f->store, &f->err), ES_OK);
  es__store_rollback(f->store); /* nothing to undo: harmless */
}

/* ---- Streams ---- */

static es_status write_stream(void *data, const es_stream_name *name, int64_t version,
                              es_error *err) {
  es_buf *out = data;
  (void)err;
  es__buf_format(out, "%.*s/%.*s/%.*s@%lld ", (int)name->tenant_id.length,
                 name->tenant_id.data == NULL ? "" : name->tenant_id.data,
                 (int)name->aggregate_type.length, name->aggregate_type.data,
                 (int)name->aggregate_id.length, name->aggregate_id.data, (long long)version);
  return ES_OK;
}

static es_status stop_at_once(void *data, const es_stream_name *name, int64_t version,
                              es_error *err) {
  (void)name, (void)version;
  ++*(int *)data;
  return es__fail(err, ES_ERR_OTHER, "stop", "enough");
}

static void streams_come_in_order_of_tenant_type_and_id(void **state) {
  fixture *f = *state;
  es_buf text = {0};
  int calls = 0;

  fill_ten(f);
  assert_int_equal(es__store_streams(f->store, NULL, write_stream, &text, &f->err), ES_OK);
  assert_string_equal(text.data, "/Document/1@4 /Document/2@1 /Order/1@1 acme/Document/1@1 "
                                 "acme/Document/2@1 acme/Order/1@1 globex/Document/1@1 ");
  es__buf_clear(&text);
  assert_int_equal(es__store_streams(f->store, "Order", write_stream, &text, &f->err), ES_OK);
  assert_string_equal(text.data, "/Order/1@1 acme/Order/1@1 ");
  es__buf_clear(&text);
  assert_int_equal(es__store_streams(f->store, "Nothing", write_stream, &text, &f->err), ES_OK);
  assert_string_equal(text.data, "");
  es__buf_free(&text);
  assert_int_equal(es__store_streams(f->store, NULL, stop_at_once, &calls, &f->err), ES_ERR_OTHER);
  assert_int_equal(calls, 1);
}

static es_status count_in_order(void *data, const es_stream_name *name, int64_t version,
                                es_error *err) {
  int *count = data;
  char expected[16];
  (void)version, (void)err;
  snprintf(expected, sizeof expected, "s%04d", *count);
  assert_memory_equal(name->aggregate_id.data, expected, name->aggregate_id.length);
  ++*count;
  return ES_OK;
}

static void more_streams_than_fit_a_page_are_all_listed(void **state) {
  fixture *f = *state;
  static char ids[600][8];
  static es_event events[600];
  int count = 0;

  for (int i = 0; i < 600; i++) {
    snprintf(ids[i], sizeof ids[i], "s%04d", (i * 7) % 600);
    events[i] = make_event(f, "Document", ids[i], "E");
  }
  assert_int_equal(append_events(f, events, 600), ES_OK);
  assert_int_equal(es__store_streams(f->store, "Document", count_in_order, &count, &f->err), ES_OK);
  assert_int_equal(count, 600);
}

/* ---- What is refused ---- */

static void refused(fixture *f, es_event event, const char *code, const char *words) {
  f->err = (es_error)ES_ERROR_INIT;
  assert_int_equal(append_events(f, &event, 1), ES_ERR_USAGE);
  assert_string_equal(f->err.code, code);
  if (strstr(f->err.message, words) == NULL) fail_msg("%s lacks %s", f->err.message, words);
  assert_int_equal(head_position(f), 0);
}

static void malformed_events_are_refused_by_field(void **state) {
  fixture *f = *state;
  char name[ES_ID_MAX + 2];
  es_event good = make_event(f, "Document", "doc-1", "E"), bad;

  memset(name, 'n', sizeof name);
  name[sizeof name - 1] = '\0';
  bad = good, bad.aggregate_id = es__text(name);
  refused(f, bad, "malformed_name", "aggregate id is 256 bytes long, at most 255");
  bad = good, bad.event_type = (es_text){name, ES_TYPE_MAX + 1};
  refused(f, bad, "malformed_name", "event type");
  bad = good, bad.aggregate_type = es__text("");
  refused(f, bad, "malformed_name", "aggregate type is empty");
  bad = good, bad.aggregate_type = es__text(NULL);
  refused(f, bad, "malformed_name", "aggregate type is missing");
  bad = good, bad.tenant_id = es__text("");
  refused(f, bad, "malformed_name", "tenant id is empty");
  bad = good, bad.tenant_id = es__text("a\nb");
  refused(f, bad, "malformed_name", "control character at byte 2");
  bad = good, bad.actor_id = es__text("user:\xff");
  refused(f, bad, "malformed_name", "UTF-8 at byte 6");
  bad = good, bad.schema_version = 0;
  refused(f, bad, "malformed_event", "schema version");
  bad = good, bad.occurred_at = INT64_MAX;
  refused(f, bad, "malformed_event", "occurred_at");
  bad = good, bad.data = es__text("[]");
  refused(f, bad, "malformed_event", "data is not a JSON object");
  bad = good, bad.data = es__text("{\"a\":\"\n\"}");
  refused(f, bad, "malformed_event", "control character at byte 7");
  bad = good, bad.metadata = es__text(NULL);
  refused(f, bad, "malformed_event", "metadata");
  bad = good, bad.metadata = es__text("{\"\xc0\x80\":1}");
  refused(f, bad, "malformed_event", "UTF-8 at byte 3");
}

static void names_of_full_length_are_kept(void **state) {
  fixture *f = *state;
  char name[ES_ID_MAX + 1];
  es_event event = make_event(f, "Document", "doc-1", "E");

  memset(name, 'n', ES_ID_MAX);
  name[ES_ID_MAX] = '\0';
  event.aggregate_id = event.tenant_id = event.actor_id = es__text(name);
  event.aggregate_type = event.event_type = (es_text){name, ES_TYPE_MAX};
  must_append(f, event);
  EXPECT("1", .actor_id = name, .tenant_id = name, .aggregate_id = name);
}

#define BOTH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static const struct CMUnitTest tests[] = {
    BOTH(an_append_stamps_position_version_time_and_hashes),
    BOTH(an_empty_store_has_a_zero_head_and_no_events),
    BOTH(every_field_comes_back_as_it_was_stored),
    BOTH(events_of_several_streams_commit_together_or_not_at_all),
    BOTH(a_stream_at_another_version_is_a_conflict_with_both_versions),
    BOTH(one_failed_condition_of_several_stores_nothing),
    BOTH(an_event_id_is_stored_once),
    BOTH(tenants_types_and_ids_name_streams_apart),
    BOTH(recorded_at_never_decreases_when_the_clock_steps_back),
    BOTH(an_import_keeps_its_times_and_cannot_go_back),
    BOTH(reads_go_both_ways_from_any_position),
    BOTH(each_filter_alone_finds_its_events),
    BOTH(filters_combine),
    BOTH(a_malformed_filter_is_refused),
    BOTH(a_reader_walks_every_page_while_others_append),
    BOTH(one_long_stream_is_read_whole_in_both_directions),
    BOTH(events_larger_than_a_page_are_read_whole),
    BOTH(a_second_commit_under_one_key_stores_nothing_and_returns_the_first_reply),
    BOTH(a_reply_without_events_is_kept),
    BOTH(a_known_key_wins_over_a_failed_condition),
    BOTH(a_failed_append_leaves_no_reply),
    BOTH(a_failing_append_leaves_its_transactions_other_appends),
    BOTH(a_rolled_back_transaction_leaves_nothing),
    BOTH(transactions_do_not_nest_and_need_a_beginning),
    BOTH(streams_come_in_order_of_tenant_type_and_id),
    BOTH(more_streams_than_fit_a_page_are_all_listed),
    BOTH(malformed_events_are_refused_by_field),
    BOTH(names_of_full_length_are_kept),
};

int main(void) {
  use_memory = true;
  int failed = cmocka_run_group_tests_name("memory", tests, NULL, NULL);
  use_memory = false;
  failed += cmocka_run_group_tests_name("sqlite", tests, NULL, NULL);
  return failed;
}
