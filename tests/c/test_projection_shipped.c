/* test_projection_shipped: the audit log and the user activity, as documented. */
#include "projection_support.h"

#include <jansson.h>

static const int64_t noon = INT64_C(1767268800000000); /* 2026-01-01T12:00:00Z */

static void tell_a_story(world *w) {
  happen(w, (happening){.actor = "user:alice",
                        .aggregate_type = "Document",
                        .aggregate_id = "d1",
                        .event_type = "DocumentCreated",
                        .data = "{\"title\":\"Notes\"}",
                        .occurred_at = noon});
  happen(w, (happening){.aggregate_type = "Document",
                        .aggregate_id = "d1",
                        .event_type = "DocumentEdited",
                        .occurred_at = noon + 1});
  happen(w, (happening){.actor = "anonymous",
                        .aggregate_type = "Document",
                        .aggregate_id = "d2",
                        .event_type = "DocumentCreated",
                        .occurred_at = noon + 2});
  happen(w, (happening){.actor = "user:mallory",
                        .aggregate_type = "$audit",
                        .aggregate_id = "2026-01-01",
                        .event_type = "$CommandDenied",
                        .occurred_at = noon + 3,
                        .data = "{\"aggregate_id\":\"d1\",\"aggregate_type\":\"Document\",\"code\":"
                                "\"denied\",\"command\":\"edit\"}"});
}

/* Member `name` of row `index` (0: the first) of a query's rows; a new reference. */
static json_t *member(world *w, const char *projection, const char *query, const char *params,
                      int index, const char *name) {
  char *rows = rows_of(w, projection, query, NULL, params), *row, *save = NULL;
  json_t *object, *value;

  if (rows == NULL) fail_msg("%s", w->err.message);
  row = strtok_r(rows, "\n", &save);
  while (index-- > 0 && row != NULL)
    row = strtok_r(NULL, "\n", &save);
  if (row == NULL) fail_msg("%s.%s has too few rows", projection, query);
  object = json_loads(row, JSON_DECODE_ANY, NULL);
  value = json_incref(json_object_get(object, name));
  json_decref(object);
  free(rows);
  return value;
}

static void assert_member(world *w, const char *projection, const char *query, const char *params,
                          int index, const char *name, const char *expected) {
  json_t *value = member(w, projection, query, params, index, name);

  if (expected == NULL)
    assert_true(json_is_null(value));
  else
    assert_string_equal(json_string_value(value), expected);
  json_decref(value);
}

static int count_rows(world *w, const char *projection, const char *query, const char *params) {
  char *rows = rows_of(w, projection, query, NULL, params);
  int count = 0;

  if (rows == NULL) fail_msg("%s", w->err.message);
  for (const char *at = rows; *at != '\0'; at++)
    count += *at == '\n' || at[1] == '\0';
  free(rows);
  return count;
}

/* covers E42, E43, E44, E45, C5 */
static void the_audit_log_says_who_did_what_with_which_outcome(void **state) {
  static const char alice[] = "{\"actor_id\":\"user:alice\"}",
                    document[] = "{\"aggregate_type\":\"Document\",\"aggregate_id\":\"d1\"}";
  world w;

  (void)state;
  world_open(&w, NULL);
  declare_shipped(&w, "projections/audit_log.lua");
  tell_a_story(&w);
  must_run(&w, NULL);
  assert_member(&w, "audit_log", "by_actor", alice, 0, "description",
                "user:alice triggered DocumentCreated on Document");
  assert_member(&w, "audit_log", "by_actor", alice, 0, "timestamp", "2026-01-01T12:00:00.000000Z");
  assert_member(&w, "audit_log", "by_actor", alice, 0, "outcome", "success");
  /* nobody and "anonymous" differ (E15) */
  assert_int_equal(count_rows(&w, "audit_log", "by_actor", NULL), 1);
  assert_member(&w, "audit_log", "by_actor", NULL, 0, "description",
                "System triggered DocumentEdited on Document");
  assert_member(&w, "audit_log", "by_actor", NULL, 0, "actor_id", NULL);
  assert_int_equal(count_rows(&w, "audit_log", "by_actor", "{\"actor_id\":\"anonymous\"}"), 1);
  assert_int_equal(count_rows(&w, "audit_log", "by_actor", "{\"actor_id\":\"user:nobody\"}"), 0);
  /* newest first, refused attempts included */
  assert_int_equal(count_rows(&w, "audit_log", "by_aggregate", document), 3);
  assert_member(&w, "audit_log", "by_aggregate", document, 0, "outcome", "denied");
  assert_member(&w, "audit_log", "by_aggregate", document, 0, "description",
                "user:mallory triggered $CommandDenied on Document");
  assert_member(&w, "audit_log", "by_aggregate", document, 2, "event_type", "DocumentCreated");
  assert_int_equal(count_rows(&w, "audit_log", "recent", "{\"limit\":2}"), 2);
  assert_member(&w, "audit_log", "recent", NULL, 3, "event_type", "DocumentCreated");
  assert_int_equal(count_rows(&w, "audit_log", "entries", NULL), 4);
  world_close(&w);
}

/* covers E42, E45 */
static void the_audit_log_has_exactly_the_documented_columns(void **state) {
  static const char *const fields[] = {"id",          "timestamp",      "actor_id",
                                       "event_type",  "aggregate_type", "aggregate_id",
                                       "description", "metadata"};
  es_projection *found;
  json_t *payload;
  world w;

  (void)state;
  world_open(&w, NULL);
  declare_shipped(&w, "projections/audit_log.lua");
  tell_a_story(&w);
  must_run(&w, NULL);
  assert_int_equal(es__projections_find(&found, w.projections, "audit_log", &w.err), ES_OK);
  assert_int_equal(found->table_count, 1);
  assert_string_equal(found->tables[0].name, "audit_log");
  assert_int_equal(found->tables[0].column_count, 10);
  assert_contains(found->session_sql,
                  "SELECT \"event_id\", \"actor_id\", \"aggregate_id\", \"aggregate_type\", "
                  "\"causation_id\", \"correlation_id\","
                  " \"event_type\", \"metadata\", \"occurred_at\", \"payload\" FROM");
  payload = member(&w, "audit_log", "rows", NULL, 0, "payload");
  assert_string_equal(json_string_value(json_object_get(payload, "title")), "Notes");
  json_decref(payload);
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
    json_t *value = member(&w, "audit_log", "entries", NULL, 0, fields[i]);
    if (value == NULL) fail_msg("an entry has no %s", fields[i]);
    json_decref(value);
  }
  world_close(&w);
}

/* covers E46, E47, E48 */
static void user_activity_lists_what_each_actor_did(void **state) {
  static const char alice[] = "{\"actor\":\"user:alice\"}", nobody[] = "{\"actor\":\"anonymous\"}";
  char *rows, *end;
  json_t *row;
  world w;

  (void)state;
  world_open(&w, NULL);
  declare_shipped(&w, "projections/user_activity.lua");
  tell_a_story(&w);
  happen(&w, (happening){.actor = "user:alice",
                         .aggregate_type = "Document",
                         .aggregate_id = "d1",
                         .event_type = "DocumentEdited",
                         .occurred_at = noon + 60});
  must_run(&w, NULL);
  rows = rows_of(&w, "user_activity", "activity", NULL, alice);
  end = strchr(rows, '\n');
  assert_non_null(end);
  *end = '\0';
  row = json_loads(rows, 0, NULL);
  assert_int_equal(json_object_size(row), 6);
  assert_string_equal(json_string_value(json_object_get(row, "event_type")), "DocumentEdited");
  assert_string_equal(json_string_value(json_object_get(row, "timestamp")),
                      "2026-01-01T12:00:00.000060Z");
  assert_non_null(json_object_get(row, "event_id"));
  assert_non_null(json_object_get(row, "aggregate_type"));
  assert_non_null(json_object_get(row, "aggregate_id"));
  assert_non_null(json_object_get(row, "correlation_id"));
  json_decref(row);
  free(rows);
  assert_int_equal(
      count_rows(&w, "user_activity", "activity", "{\"actor\":\"user:alice\",\"limit\":1}"), 1);
  assert_int_equal(count_rows(&w, "user_activity", "activity", nobody), 2);
  assert_int_equal(count_rows(&w, "user_activity", "activity", "{\"actor\":\"user:nobody\"}"), 0);
  /* strictly after, each once; the runtime's own events are nobody's activity */
  assert_rows(&w, "user_activity", "active_users", NULL,
              "{\"since\":\"2026-01-01T12:00:00.000001Z\"}",
              "{\"actor_id\":\"anonymous\",\"last_active\":\"2026-01-01T12:00:00.000002Z\"}\n"
              "{\"actor_id\":\"user:alice\",\"last_active\":\"2026-01-01T12:00:00.000060Z\"}");
  assert_rows(&w, "user_activity", "active_users", NULL,
              "{\"since\":\"2026-01-01T12:00:00.000002Z\"}",
              "{\"actor_id\":\"user:alice\",\"last_active\":\"2026-01-01T12:00:00.000060Z\"}");
  world_close(&w);
}

/* Puts the cursor back to the start, as if every event came again. */
static void deliver_again(world *w, const char *projection) {
  es_projection_cursor cursor;
  es_projection *found;

  assert_int_equal(es__projections_find(&found, w->projections, projection, &w->err), ES_OK);
  assert_int_equal(es__projection_file_load(&cursor, found->file, &w->err), ES_OK);
  cursor.position = 0;
  assert_int_equal(es__projection_file_save(found->file, &cursor, &w->err), ES_OK);
  must_run(w, projection);
}

/* covers E45, E49 */
static void redelivery_changes_nothing_in_the_shipped_projections(void **state) {
  static const char *const queries[][2] = {{"audit_log", "rows"},
                                           {"audit_log", "entries"},
                                           {"user_activity", "activity"},
                                           {"user_activity", "active_users"}};
  static const char *const params[] = {NULL, NULL, "{\"actor\":\"anonymous\"}",
                                       "{\"since\":\"2000-01-01\"}"};
  char *before[4];
  world w;

  (void)state;
  world_open(&w, NULL);
  declare_shipped(&w, "projections/audit_log.lua");
  declare_shipped(&w, "projections/user_activity.lua");
  tell_a_story(&w);
  must_run(&w, NULL);
  for (int i = 0; i < 4; i++)
    before[i] = rows_of(&w, queries[i][0], queries[i][1], NULL, params[i]);
  deliver_again(&w, "audit_log");
  deliver_again(&w, "user_activity");
  for (int i = 0; i < 4; i++) {
    assert_true(strlen(before[i]) > 0);
    assert_rows(&w, queries[i][0], queries[i][1], NULL, params[i], before[i]);
    free(before[i]);
  }
  world_close(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_audit_log_says_who_did_what_with_which_outcome),
      cmocka_unit_test(the_audit_log_has_exactly_the_documented_columns),
      cmocka_unit_test(user_activity_lists_what_each_actor_did),
      cmocka_unit_test(redelivery_changes_nothing_in_the_shipped_projections),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
