/* Who is acting: actor ids, frames, inheritance, order, snapshots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "base/clock.h"
#include "context/context.h"
#include "event/event.h"

typedef struct fixture {
  es_context *top;
  es_id_source ids;
  uint64_t serial;
  es_error err;
} fixture;

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);
  f->ids.clock = es__clock_system;
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  es__context_release(f->top);
  free(f);
  return 0;
}

static es_status push(fixture *f, const es_frame *frame) {
  return es__context_push(&f->top, ++f->serial, frame, NULL, &f->ids, &f->err);
}

static void must_push(fixture *f, const es_frame *frame) {
  if (push(f, frame) != ES_OK) fail_msg("%s", f->err.message);
}

/* Pushing `frame` fails with `code`, and the stack is what it was. */
static void refuses(fixture *f, const es_frame *frame, const char *code) {
  es_context *before = f->top;
  assert_int_equal(push(f, frame), ES_ERR_USAGE);
  assert_string_equal(f->err.code, code);
  assert_ptr_equal(f->top, before);
}

static void refuses_metadata(fixture *f, const char *metadata, const char *code) {
  es_frame frame = ES_FRAME_INIT;
  frame.metadata_json = metadata;
  refuses(f, &frame, code);
}

/* ---- actor ids ---- */

static void every_documented_kind_of_actor_is_accepted(void **state) { /* covers E14 */
  static const char *const ids[] = {"user:jane",       "user:2b1c7c4e-8f1a-4c43-9a59-2a2a9d0a6a01",
                                    "service:billing", "api:key_17",
                                    "system:backup",   "cron:nightly",
                                    "webhook:stripe",  "import:crm:2024"};
  es_text kind;
  (void)state;
  for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
    assert_int_equal(es_actor_parse(&kind, ids[i], NULL, NULL), ES_OK);
    assert_int_equal(kind.length, strcspn(ids[i], ":"));
    assert_ptr_equal(kind.data, ids[i]);
  }
}

static void anonymous_is_an_actor_of_its_own(void **state) { /* covers E15 */
  es_text kind;
  (void)state;
  assert_int_equal(es_actor_parse(&kind, "anonymous", NULL, NULL), ES_OK);
  assert_int_equal(kind.length, strlen("anonymous"));
}

static void
an_actor_of_an_unknown_kind_is_refused_unless_the_project_allows_it(void **state) { /* covers E16 */
  static const char *const prefixes[] = {"robot", NULL};
  es_actor_policy policy = {.prefixes = prefixes};
  es_error err;
  (void)state;
  assert_int_equal(es_actor_parse(NULL, "robot:r2", NULL, &err), ES_ERR_USAGE);
  assert_string_equal(err.code, "unknown_actor_kind");
  assert_non_null(strstr(err.message, "robot:r2"));
  assert_non_null(strstr(err.hint, "webhook"));
  assert_int_equal(es_actor_parse(NULL, "robot:r2", &policy, &err), ES_OK);
  assert_int_equal(es_actor_parse(NULL, "droid:r2", &policy, &err), ES_ERR_USAGE);
}

static void personal_data_in_an_actor_id_is_refused_unless_allowed(void **state) { /* covers E17 */
  es_actor_policy policy = {.allow_at_sign = true};
  es_error err;
  (void)state;
  assert_int_equal(es_actor_parse(NULL, "user:jane@example.org", NULL, &err), ES_ERR_USAGE);
  assert_string_equal(err.code, "personal_actor");
  assert_null(strstr(err.message, "jane"));
  assert_int_equal(es_actor_parse(NULL, "user:jane@example.org", &policy, &err), ES_OK);
}

static void malformed_actor_ids_are_refused(void **state) {
  static const char *const ids[] = {
      "",           "jane",      ":jane",     "user:",       "user:a b", "user:a\tb",
      "user:a\x7f", "user:\xc3", "Anonymous", "anonymous:x", "none"};
  char too_long[ES_ID_MAX + 2];
  es_error err;
  (void)state;
  for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
    assert_int_equal(es_actor_parse(NULL, ids[i], NULL, &err), ES_ERR_USAGE);
  assert_int_equal(es_actor_parse(NULL, NULL, NULL, NULL), ES_ERR_USAGE);
  memset(too_long, 'a', sizeof too_long - 1);
  memcpy(too_long, "user:", 5);
  too_long[sizeof too_long - 1] = '\0';
  assert_int_equal(es_actor_parse(NULL, too_long, NULL, &err), ES_ERR_USAGE);
  too_long[sizeof too_long - 2] = '\0';
  assert_int_equal(es_actor_parse(NULL, too_long, NULL, &err), ES_OK);
}

/* ---- frames ---- */

static void a_frame_inherits_what_it_does_not_name(void **state) { /* covers E21 A5 A8 */
  static const char *const roles[] = {"editor"};
  static const char *const permissions[] = {"ship_order"};
  fixture *f = *state;
  es_frame outer = ES_FRAME_INIT, inner = ES_FRAME_INIT;

  outer.actor_id = "user:jane";
  outer.tenant_id = "acme";
  outer.roles = roles;
  outer.role_count = 1;
  outer.permissions = permissions;
  outer.permission_count = 1;
  outer.metadata_json = "{\"ip_address\":\"10.0.0.1\",\"mfa_verified\":true,\"session_id\":\"s1\"}";
  must_push(f, &outer);
  inner.metadata_json = "{\"channel\":\"web\"}";
  must_push(f, &inner);
  assert_string_equal(f->top->actor_id, "user:jane");
  assert_string_equal(f->top->tenant_id, "acme");
  assert_string_equal(f->top->request_id, f->top->parent->request_id);
  assert_int_equal(f->top->role_count, 1);
  assert_string_equal(f->top->roles[0], "editor");
  assert_string_equal(f->top->permissions[0], "ship_order");
  assert_non_null(strstr(f->top->metadata, "\"mfa_verified\":true"));
  assert_non_null(strstr(f->top->metadata, "\"channel\":\"web\""));
  assert_int_equal(f->top->depth, 2);
}

static void no_privilege_survives_a_change_of_actor(void **state) { /* covers E21 E30 */
  static const char *const roles[] = {"admin"};
  static const char *const next[] = {"user:bob", ES_NONE, "user:jane", "anonymous"};
  fixture *f = *state;
  es_frame outer = ES_FRAME_INIT;

  outer.actor_id = "user:jane";
  outer.roles = outer.permissions = roles;
  outer.role_count = outer.permission_count = 1;
  outer.metadata_json = "{\"auth_method\":\"jwt\",\"token_id\":\"t\",\"session_id\":\"s\","
                        "\"mfa_verified\":true,\"os_user\":\"0\",\"ip_address\":\"::1\"}";
  for (size_t i = 0; i < sizeof next / sizeof next[0]; i++) {
    es_frame inner = ES_FRAME_INIT;
    char expected[128];
    must_push(f, &outer);
    inner.actor_id = next[i];
    inner.request_id = "r";
    must_push(f, &inner);
    assert_int_equal(f->top->role_count, 0);
    assert_int_equal(f->top->permission_count, 0);
    snprintf(expected, sizeof expected, "{\"ip_address\":\"::1\",\"request_id\":\"r\"}");
    assert_string_equal(f->top->metadata, expected);
  }
}

static void a_frame_that_names_an_actor_may_bring_its_own_authentication(void **state) {
  static const char *const roles[] = {"editor"};
  fixture *f = *state;
  es_frame frame = ES_FRAME_INIT;

  frame.actor_id = "user:bob";
  frame.roles = roles;
  frame.role_count = 1;
  frame.request_id = ES_NONE;
  frame.metadata_json = "{\"mfa_verified\":false,\"auth_method\":\"local\"}";
  must_push(f, &frame);
  assert_string_equal(f->top->roles[0], "editor");
  assert_string_equal(f->top->metadata, "{\"auth_method\":\"local\",\"mfa_verified\":false}");
}

static void operator_scope_is_never_inherited(void **state) {
  fixture *f = *state;
  es_frame outer = ES_FRAME_INIT, inner = ES_FRAME_INIT;

  outer.operator_scope = true;
  must_push(f, &outer);
  assert_true(f->top->operator_scope);
  must_push(f, &inner);
  assert_false(f->top->operator_scope);
}

static void none_ends_what_a_frame_would_inherit(void **state) {
  fixture *f = *state;
  es_frame outer = ES_FRAME_INIT, inner = ES_FRAME_INIT;

  outer.actor_id = "user:jane";
  outer.tenant_id = "acme";
  outer.correlation_id = "01890A5D-AC96-774B-BCCE-B302099A8057";
  outer.causation_id = "01890a5d-ac96-774b-bcce-b302099a8058";
  outer.metadata_json = "{\"channel\":\"web\"}";
  must_push(f, &outer);
  assert_string_equal(f->top->correlation_id, "01890a5d-ac96-774b-bcce-b302099a8057");
  inner.actor_id = inner.tenant_id = inner.request_id = ES_NONE;
  inner.correlation_id = inner.causation_id = inner.metadata_json = ES_NONE;
  must_push(f, &inner);
  assert_null(f->top->actor_id);
  assert_null(f->top->tenant_id);
  assert_null(f->top->request_id);
  assert_null(f->top->correlation_id);
  assert_null(f->top->causation_id);
  assert_string_equal(f->top->metadata, "{}");
}

static void the_outermost_frame_gets_a_request_id(void **state) { /* covers E24 E31 */
  fixture *f = *state;
  es_frame frame = ES_FRAME_INIT;
  char expected[128];
  uint8_t id[ES_ID_SIZE];

  must_push(f, &frame);
  assert_true(es_id_parse(id, f->top->request_id));
  snprintf(expected, sizeof expected, "{\"request_id\":\"%s\"}", f->top->request_id);
  assert_string_equal(f->top->metadata, expected);
}

static void a_request_id_in_the_metadata_is_the_request_id(void **state) {
  fixture *f = *state;
  es_frame frame = ES_FRAME_INIT;

  frame.metadata_json = "{\"zone\":1,\"request_id\":\"r-1\",\"app\":true}";
  must_push(f, &frame);
  assert_string_equal(f->top->request_id, "r-1");
  assert_string_equal(f->top->metadata, "{\"app\":true,\"request_id\":\"r-1\",\"zone\":1}");
  frame.request_id = "r-2";
  refuses(f, &frame, "malformed_metadata");
}

static void null_in_metadata_removes_what_was_inherited(void **state) {
  fixture *f = *state;
  es_frame outer = ES_FRAME_INIT, inner = ES_FRAME_INIT;

  outer.request_id = "r";
  outer.metadata_json = "{\"channel\":\"web\",\"referrer\":\"x\"}";
  must_push(f, &outer);
  inner.metadata_json = "{\"channel\":null,\"request_id\":null}";
  must_push(f, &inner);
  assert_string_equal(f->top->metadata, "{\"referrer\":\"x\"}");
  assert_null(f->top->request_id);
}

static void metadata_is_an_object_of_bounded_scalars(void **state) { /* covers E30 */
  fixture *f = *state;
  char text[ES_CONTEXT_METADATA_MAX + 64];

  refuses_metadata(f, "[]", "malformed_metadata");
  refuses_metadata(f, "{\"a\":{}}", "malformed_metadata");
  refuses_metadata(f, "{\"a\":[1]}", "malformed_metadata");
  refuses_metadata(f, "{\"$\":1}", "reserved_name");
  refuses_metadata(f, "{\"$actor\":1}", "reserved_name");
  refuses_metadata(f, "{\"\":1}", f->err.code);
  refuses_metadata(f, "{\"mfa_verified\":\"yes\"}", "malformed_metadata");
  refuses_metadata(f, "{\"ip_address\":1}", "malformed_metadata");
  refuses_metadata(f, "{\"a\":1,\"a\":2}", "json_duplicate_key");
  refuses_metadata(f, "{\"a\":", "malformed_json");
  refuses_metadata(f, "{\"request_id\":\"a\\u0000b\"}", f->err.code);
  snprintf(text, sizeof text, "{\"ip_address\":\"%046d\"}", 0);
  refuses_metadata(f, text, "malformed_metadata");
  snprintf(text, sizeof text, "{\"user_agent\":\"%0501d\"}", 0);
  refuses_metadata(f, text, "malformed_metadata");
  snprintf(text, sizeof text, "{\"request_id\":\"%0256d\"}", 0);
  refuses_metadata(f, text, "malformed_metadata");
  snprintf(text, sizeof text, "{\"note\":\"%0*d\"}", ES_CONTEXT_METADATA_MAX, 0);
  refuses_metadata(f, text, "malformed_metadata");
  snprintf(text, sizeof text, "{\"ip_address\":\"%045d\",\"user_agent\":\"%0500d\"}", 0, 0);
  es_frame frame = ES_FRAME_INIT;
  frame.metadata_json = text;
  must_push(f, &frame);
}

static void malformed_frames_are_refused_and_change_nothing(void **state) { /* covers E18 */
  static const char *const roles[] = {"ok", ""};
  fixture *f = *state;
  es_frame frame = ES_FRAME_INIT;

  frame.actor_id = "nobody in particular";
  refuses(f, &frame, "malformed_actor");
  frame = (es_frame)ES_FRAME_INIT;
  frame.correlation_id = "not-a-uuid";
  refuses(f, &frame, "malformed_id");
  frame = (es_frame)ES_FRAME_INIT;
  frame.causation_id = "";
  refuses(f, &frame, "malformed_id");
  frame = (es_frame)ES_FRAME_INIT;
  frame.tenant_id = "a\nb";
  refuses(f, &frame, f->err.code);
  frame = (es_frame)ES_FRAME_INIT;
  frame.request_id = "";
  refuses(f, &frame, f->err.code);
  frame = (es_frame)ES_FRAME_INIT;
  frame.roles = roles;
  frame.role_count = 2;
  refuses(f, &frame, f->err.code);
}

/* ---- order ---- */

static void leaving_in_the_wrong_order_is_an_error_and_changes_nothing(void **state) {
  fixture *f = *state; /* covers E21 E26 */
  es_frame frame = ES_FRAME_INIT;
  es_context *inner;

  must_push(f, &frame);
  must_push(f, &frame);
  inner = f->top;
  assert_int_equal(es__context_pop(&f->top, 1, &f->err), ES_ERR_USAGE);
  assert_string_equal(f->err.code, "context_order");
  assert_ptr_equal(f->top, inner);
  assert_int_equal(es__context_pop(&f->top, 99, &f->err), ES_ERR_USAGE);
  assert_ptr_equal(f->top, inner);
  assert_int_equal(es__context_pop(&f->top, 2, &f->err), ES_OK);
  assert_int_equal(es__context_pop(&f->top, 2, &f->err), ES_ERR_USAGE);
  assert_int_equal(es__context_pop(&f->top, 1, &f->err), ES_OK);
  assert_null(f->top);
  assert_int_equal(es__context_pop(&f->top, 1, &f->err), ES_ERR_USAGE);
}

static void a_captured_context_is_what_was_in_force_and_no_token_leaves_it(void **state) {
  static const char *const roles[] = {"editor", "reader"};
  fixture *f = *state;
  es_frame frame = ES_FRAME_INIT;
  es_context *copy;

  assert_null(es__context_capture(NULL));
  frame.actor_id = "user:jane";
  frame.roles = roles;
  frame.role_count = 2;
  frame.operator_scope = true;
  must_push(f, &frame);
  copy = es__context_capture(f->top);
  assert_string_equal(copy->actor_id, "user:jane");
  assert_string_equal(copy->roles[1], "reader");
  assert_string_equal(copy->metadata, f->top->metadata);
  assert_true(copy->operator_scope);
  assert_int_equal(copy->depth, 1);
  assert_int_equal(es__context_pop(&copy, f->top->serial, &f->err), ES_ERR_USAGE);
  assert_int_equal(es__context_pop(&copy, 0, &f->err), ES_ERR_USAGE);
  es__context_release(copy);
}

static void a_runaway_recursion_of_frames_is_told(void **state) {
  fixture *f = *state;
  es_frame frame = ES_FRAME_INIT;

  frame.request_id = "r";
  for (int i = 0; i < ES_CONTEXT_DEPTH_MAX; i++)
    must_push(f, &frame);
  refuses(f, &frame, "context_too_deep");
}

/* ---- reading ---- */

static json_t *as_json(const es_context *context) {
  es_buf out = {0};
  json_t *value;
  es__context_write(&out, context);
  value = json_loadb(out.data, out.length, JSON_REJECT_DUPLICATES, NULL);
  assert_non_null(value);
  es__buf_free(&out);
  return value;
}

static void the_context_reads_as_json(void **state) { /* covers A9 */
  static const char *const roles[] = {"ed\"itor"};
  fixture *f = *state;
  es_frame frame = ES_FRAME_INIT;
  json_t *value;

  value = as_json(NULL);
  assert_true(json_is_null(json_object_get(value, "actor_id")));
  assert_int_equal(json_integer_value(json_object_get(value, "depth")), 0);
  assert_int_equal(json_array_size(json_object_get(value, "roles")), 0);
  json_decref(value);
  frame.actor_id = "user:jane";
  frame.roles = roles;
  frame.role_count = 1;
  frame.metadata_json = "{\"mfa_verified\":true}";
  must_push(f, &frame);
  value = as_json(f->top);
  assert_string_equal(json_string_value(json_object_get(value, "actor_id")), "user:jane");
  assert_string_equal(json_string_value(json_array_get(json_object_get(value, "roles"), 0)),
                      "ed\"itor");
  assert_true(json_is_true(json_object_get(json_object_get(value, "metadata"), "mfa_verified")));
  assert_int_equal(json_integer_value(json_object_get(value, "depth")), 1);
  json_decref(value);
}

static void the_context_owns_the_request_trace_and_authentication_keys(void **state) {
  static const char *const owned[] = {"request_id", "ip_address",   "user_agent",  "trace_id",
                                      "span_id",    "trace_flags",  "auth_method", "token_id",
                                      "session_id", "mfa_verified", "os_user"};
  static const char *const free_keys[] = {"promotion_code", "channel", "referrer", "request", ""};
  (void)state;
  for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
    assert_true(es__context_owns(owned[i], strlen(owned[i])));
  for (size_t i = 0; i < sizeof free_keys / sizeof free_keys[0]; i++)
    assert_false(es__context_owns(free_keys[i], strlen(free_keys[i])));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(every_documented_kind_of_actor_is_accepted),
      TEST(anonymous_is_an_actor_of_its_own),
      TEST(an_actor_of_an_unknown_kind_is_refused_unless_the_project_allows_it),
      TEST(personal_data_in_an_actor_id_is_refused_unless_allowed),
      TEST(malformed_actor_ids_are_refused),
      TEST(a_frame_inherits_what_it_does_not_name),
      TEST(no_privilege_survives_a_change_of_actor),
      TEST(a_frame_that_names_an_actor_may_bring_its_own_authentication),
      TEST(operator_scope_is_never_inherited),
      TEST(none_ends_what_a_frame_would_inherit),
      TEST(the_outermost_frame_gets_a_request_id),
      TEST(a_request_id_in_the_metadata_is_the_request_id),
      TEST(null_in_metadata_removes_what_was_inherited),
      TEST(metadata_is_an_object_of_bounded_scalars),
      TEST(malformed_frames_are_refused_and_change_nothing),
      TEST(leaving_in_the_wrong_order_is_an_error_and_changes_nothing),
      TEST(a_captured_context_is_what_was_in_force_and_no_token_leaves_it),
      TEST(a_runaway_recursion_of_frames_is_told),
      TEST(the_context_reads_as_json),
      TEST(the_context_owns_the_request_trace_and_authentication_keys),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
