/* test_store: the contract of store.h, run against every kind of store: appending, replies, transactions, refusals. Reading
 * is in test_store_read.c; what only SQLite can get wrong in test_store_sqlite.c. */
#include "store_contract.h"

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

/* More events than one statement inserts, and more streams than are remembered. */
static void a_long_commit_counts_the_versions_of_each_of_its_streams(void **state) {
  enum { EVENTS = 1013, STREAMS = 290 };
  static es_event events[EVENTS];
  static char names[STREAMS][16];
  int64_t versions[STREAMS] = {0};
  fixture *f = *state;

  for (int i = 0; i < EVENTS; i++) {
    int stream = i % 3 == 0 ? i * 7 % STREAMS : i / 5 % STREAMS; /* in runs, and here and there */
    snprintf(names[stream], sizeof names[stream], "doc-%d", stream);
    events[i] = make_event(f, "Document", names[stream], "E");
  }
  assert_int_equal(append_events(f, events, EVENTS), ES_OK);
  for (int i = 0; i < EVENTS; i++)
    assert_int_equal(events[i].version, ++versions[atoi(events[i].aggregate_id.data + 4)]);
  assert_int_equal(events[EVENTS - 1].position, EVENTS);
  assert_sound(f->store, EVENTS);
}

static void the_event_of_a_long_commit_that_is_refused_is_named(void **state) {
  enum { EVENTS = 50 };
  static const int duplicates[] = {1, 18, 19, 20, 21, 39, 40, 48, 49};
  fixture *f = *state;
  es_event stored = make_event(f, "Document", "doc-1", "E"), events[EVENTS];
  char id[ES_ID_TEXT_SIZE];

  must_append(f, stored);
  for (int i = 0; i < EVENTS; i++)
    events[i] = make_event(f, "Document", i % 2 == 0 ? "doc-1" : "doc-2", "E");
  for (size_t i = 0; i < sizeof duplicates / sizeof duplicates[0]; i++) {
    es_event *event = &events[duplicates[i]], was = *event;
    for (int with_stored = 0; with_stored < 2;
         with_stored++) { /* or with the first of this commit */
      memcpy(event->event_id, with_stored ? stored.event_id : events[0].event_id, ES_ID_SIZE);
      assert_int_equal(append_events(f, events, EVENTS), ES_ERR_CONFLICT);
      assert_string_equal(f->err.code, "duplicate_event_id");
      es_id_text(id, event->event_id);
      assert_non_null(strstr(f->err.message, id));
      assert_int_equal(head_position(f), 1);
    }
    *event = was;
  }
  assert_int_equal(append_events(f, events, EVENTS), ES_OK);
  assert_int_equal(events[48].version, 26); /* doc-1 had one */
  assert_sound(f->store, EVENTS + 1);
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

/* ---- Replies ---- */

/* To a command that led to the event, the first of its stream; NULL: to none. */
static es_reply_record make_reply(uint8_t fill, const es_event *event) {
  static char body[128];
  es_event nothing = {.occurred_at = T0};
  es_reply_record record = reply_with(body, event == NULL ? &nothing : event, 1);
  if (event == NULL) record.event_count = 0;
  memset(record.key, fill, sizeof record.key);
  memset(record.params_hash, 0xAB, sizeof record.params_hash);
  return record;
}

static void a_hash_that_an_event_comes_with_counts_at_its_place_alone(void **state) {
  fixture *f = *state;
  es_event events[3] = {make_event(f, "Document", "doc-1", "E"),
                        make_event(f, "Document", "doc-1", "E"),
                        make_event(f, "Document", "doc-1", "E")};
  es_commit commit = {.events = events, .event_count = 3, .keep_recorded_at = true, .hashed = true};

  for (int i = 0; i < 3; i++) {
    events[i].recorded_at = T0;
    events[i].position = i == 0 ? 2 : i + 1;
    events[i].version = i == 1 ? 1 : i + 1;
    memset(events[i].hash, 7,
           ES_HASH_SIZE); /* of the last the place is right but for previous_hash */
  }
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  assert_sound(f->store, 3);
}

static void a_second_commit_under_one_key_stores_nothing_and_returns_the_first_reply(void **state) {
  fixture *f = *state;
  es_event events[2] = {make_event(f, "Document", "doc-1", "E"),
                        make_event(f, "$audit", "day", "$E")};
  es_reply_record reply = make_reply(1, &events[0]), found;
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
  es_reply_record reply = make_reply(3, NULL);
  es_commit commit = {.reply = &reply, .now = T0};

  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  assert_int_equal(es__store_append(f->store, &commit, &f->err), ES_OK);
  assert_true(commit.duplicate);
  assert_int_equal(commit.existing.first_position, 0);
  es__reply_record_free(&commit.existing);
}

static void a_known_key_wins_over_a_failed_condition(void **state) {
  fixture *f = *state;
  es_condition condition = {doc_1, 0};
  es_event event = make_event(f, "Document", "doc-1", "E");
  es_reply_record reply = make_reply(4, &event);
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
  es_condition condition = {doc_1, 9};
  es_event event = make_event(f, "Document", "doc-1", "E");
  es_reply_record reply = make_reply(5, &event), found;
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
  es_event event = make_event(f, "Document", "doc-1", "E");
  es_reply_record reply = make_reply(6, &event), found;
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
  bad = good, bad.data = es__text("{\"abcdefghijklmnop\":\"\x1f\"}");
  refused(f, bad, "malformed_event", "control character at byte 22");
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

static const struct CMUnitTest tests[] = {
    BOTH(an_append_stamps_position_version_time_and_hashes),
    BOTH(an_empty_store_has_a_zero_head_and_no_events),
    BOTH(every_field_comes_back_as_it_was_stored),
    BOTH(events_of_several_streams_commit_together_or_not_at_all),
    BOTH(a_long_commit_counts_the_versions_of_each_of_its_streams),
    BOTH(the_event_of_a_long_commit_that_is_refused_is_named),
    BOTH(a_stream_at_another_version_is_a_conflict_with_both_versions),
    BOTH(one_failed_condition_of_several_stores_nothing),
    BOTH(an_event_id_is_stored_once),
    BOTH(tenants_types_and_ids_name_streams_apart),
    BOTH(recorded_at_never_decreases_when_the_clock_steps_back),
    BOTH(an_import_keeps_its_times_and_cannot_go_back),
    BOTH(a_hash_that_an_event_comes_with_counts_at_its_place_alone),
    BOTH(a_second_commit_under_one_key_stores_nothing_and_returns_the_first_reply),
    BOTH(a_reply_without_events_is_kept),
    BOTH(a_known_key_wins_over_a_failed_condition),
    BOTH(a_failed_append_leaves_no_reply),
    BOTH(a_failing_append_leaves_its_transactions_other_appends),
    BOTH(a_rolled_back_transaction_leaves_nothing),
    BOTH(transactions_do_not_nest_and_need_a_beginning),
    BOTH(malformed_events_are_refused_by_field),
    BOTH(names_of_full_length_are_kept),
};

/* Every kind of store keeps the same contract. covers D2 */
int main(void) { return run_for_every_kind(tests, sizeof tests / sizeof tests[0]); }
