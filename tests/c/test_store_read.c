/* test_store_read: the contract of store.h, run against every kind of store: cursors, filters and the list of streams. */
#include "store_contract.h"

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

static const struct CMUnitTest tests[] = {
    BOTH(reads_go_both_ways_from_any_position),
    BOTH(each_filter_alone_finds_its_events),
    BOTH(filters_combine),
    BOTH(a_malformed_filter_is_refused),
    BOTH(a_reader_walks_every_page_while_others_append),
    BOTH(one_long_stream_is_read_whole_in_both_directions),
    BOTH(events_larger_than_a_page_are_read_whole),
    BOTH(streams_come_in_order_of_tenant_type_and_id),
    BOTH(more_streams_than_fit_a_page_are_all_listed),
};

int main(void) { return run_for_every_kind(tests, sizeof tests / sizeof tests[0]); }
