/* Event objects: what handlers read from them, and that nothing of them can be kept or changed. */
#include "one_domain.h"

#include "base/id.h"

static es_event event;

static int reset_event(void **state) {
  (void)state;
  memset(&event, 0, sizeof event);
  event.position = 1;
  memset(event.event_id, 0x11, ES_ID_SIZE);
  event.aggregate_type = es__text("Document");
  event.aggregate_id = es__text("d-1");
  event.version = 1;
  event.event_type = es__text("DocumentCreated");
  event.schema_version = 1;
  event.actor_id = es__text("user:jane");
  memset(event.correlation_id, 0x22, ES_ID_SIZE);
  event.occurred_at = INT64_C(1769860800000000);
  event.recorded_at = INT64_C(1769860800000001);
  event.data =
      es__text("{\"cents\":9007199254740993,\"empty\":{},\"lines\":[{\"price\":1},{\"price\":2}],"
               "\"none\":null,"
               "\"ok\":true,\"rate\":1.0,\"t\\u00e9l\\n\":\"esc\\\"aped\",\"title\":\"T\"}");
  event.metadata = es__text("{\"ip_address\":\"10.0.0.1\"}");
  memset(event.hash, 0xab, ES_HASH_SIZE);
  return 0;
}

typedef struct handling {
  const char *first, *second; /* bodies of function(e, keep) */
  const char *upcast;         /* JSON of the data to show instead, or NULL */
  char *result;
  bool by_c; /* the C copy instead of the object */
} handling;

static void push_handler(lua_State *L, const char *body) {
  char text[1024];
  snprintf(text, sizeof text, "return function(e, keep) %s end", body);
  es__domain_load(L, text, strlen(text), "aggregates/x.lua");
}

static int handle(lua_State *L) {
  handling *job = lua_touserdata(L, 1);

  lua_newtable(L); /* keep, at 2 */
  push_handler(L, job->first);
  if (job->by_c) {
    es__lua_push_event_copy(L, &event);
  } else if (job->upcast != NULL) {
    es__lua_push_json(L, job->upcast, strlen(job->upcast));
    es__lua_push_event(L, &event, -1);
    lua_remove(L, -2);
  } else {
    es__lua_push_event(L, &event, 0);
  }
  lua_pushvalue(L, 2);
  lua_call(L, 2, 1);
  es__lua_release_event(L);
  if (job->second != NULL) {
    push_handler(L, job->second);
    lua_pushnil(L);
    lua_pushvalue(L, 2);
    lua_call(L, 2, 1);
  }
  job->result = strdup(luaL_tolstring(L, -1, NULL));
  return 0;
}

static void expect_handled(handling job, const char *expected, const char *error_part) {
  es_error err = ES_ERROR_INIT;
  es_status status = es__domain_run(domain, handle, &job, &err);

  if (error_part != NULL) {
    if (status == ES_OK) fail_msg("%s\n  did not raise", job.first);
    if (strstr(err.message, error_part) == NULL)
      fail_msg("%s\n  raised: %s\n  not: %s", job.first, err.message, error_part);
  } else {
    if (status != ES_OK) fail_msg("%s\n  raised: %s", job.first, err.message);
    if (strcmp(job.result, expected) != 0)
      fail_msg("%s\n  gave: %s\n  not:  %s", job.first, job.result, expected);
  }
  free(job.result);
}

static void expect_of_event(const char *body, const char *expected) {
  expect_handled((handling){.first = body}, expected, NULL);
}

/* The envelope as domain code sees it. covers E1, E2, E3, E4, E5, E6, E7, E8, E9, E10, E11 */
static void every_member_can_be_read(void **state) {
  (void)state;
  expect_of_event("return e.event_id", "11111111-1111-1111-1111-111111111111");
  expect_of_event("return e.aggregate_type .. '/' .. e.aggregate_id .. ' ' .. e.event_type",
                  "Document/d-1 DocumentCreated");
  expect_of_event("return e.version .. e.schema_version .. e.position", "111");
  expect_of_event("return e.actor_id .. tostring(e.tenant_id) .. tostring(e.causation_id)",
                  "user:janenilnil");
  expect_of_event("return e.correlation_id", "22222222-2222-2222-2222-222222222222");
  expect_of_event("return e.occurred_at .. ' ' .. e.recorded_at",
                  "2026-01-31T12:00:00.000000Z 2026-01-31T12:00:00.000001Z");
  expect_of_event("return e.previous_hash .. #e.hash .. e.hash:sub(1, 4)", "GENESIS64abab");
  expect_of_event("return e.metadata.ip_address .. tostring(e.metadata == e.metadata)",
                  "10.0.0.1true");
  expect_of_event("return tostring(e)", "event DocumentCreated of Document/d-1 at version 1");
  expect_of_event("return type(e) .. type(e.data)", "tabletable");
  memset(event.previous_hash, 0xcd, ES_HASH_SIZE);
  event.has_causation = true;
  event.tenant_id = es__text("");
  expect_of_event(
      "return e.previous_hash:sub(1, 4) .. #e.causation_id .. '[' .. e.tenant_id .. ']'",
      "cdcd36[]");
}

static void data_is_read_without_loss(void **state) {
  (void)state;
  expect_of_event("return e.data.title .. e.data.cents .. e.data.rate .. tostring(e.data.ok)",
                  "T90071992547409931.0true");
  expect_of_event("return math.type(e.data.cents) .. math.type(e.data.rate)", "integerfloat");
  expect_of_event("return e.data['t\\u{e9}l\\n']", "esc\"aped");
  expect_of_event("return tostring(e.data.none == require('es').null) .. tostring(e.data.absent) "
                  ".. tostring(e.data[1])",
                  "truenilnil");
  expect_of_event("return #e.data.lines .. e.data.lines[2].price .. type(e.data.empty)", "22table");
  expect_of_event("return tostring(e.data.lines == e.data.lines)", "true");
  expect_of_event("local s = '' for k in pairs(e.data) do s = s .. k:sub(1, 2) .. ' ' end return s",
                  "ce em li no ok ra ti t\xc3 ");
  expect_of_event(
      "local n = 0 for k, v in pairs(e.data) do if v == e.data[k] then n = n + 1 end end return n",
      "8");
  expect_of_event("return next(e.data)", "cents");
  event.data = es__text("{}");
  expect_of_event("return tostring(next(e.data)) .. tostring(e.data.title)", "nilnil");
}

static void many_members_are_all_found(void **state) {
  es_buf text = {0};
  (void)state;
  for (int i = 0; i < 3000; i++)
    es__buf_format(&text, "%s\"k%04d\":%d", i == 0 ? "{" : ",", i, i);
  es__buf_text(&text, "}");
  event.data = (es_text){text.data, text.length};
  expect_of_event("local n = 0 for i = 0, 2999 do n = n + e.data[('k%04d'):format(i)] end return n",
                  "4498500");
  expect_of_event("return e.data.k2999", "2999");
  es__buf_free(&text);
}

/* covers E13: nothing changes an event */
static void an_event_cannot_be_changed(void **state) {
  static const char *const attempts[][2] = {
      {"e.version = 2", "aggregates/x.lua:1: e.version cannot be assigned: an event is a fact"},
      {"e.data = {}", "e.data cannot be assigned"},
      {"e.data.title = 'x'", "e.data.title cannot be assigned: an event is a fact"},
      {"e.data.new = 1", "e.data.new cannot be assigned"},
      {"table.insert(e.data, 1)", "table expected"},
      {"setmetatable(e, {})", "table expected"},
      {"rawget(e, 'data')", "table expected"},
      {"return e.title", "an event has no field 'title'; what the domain stored is in e.data"},
      {"return e[1]", "an event has no field 'number'"}};
  (void)state;
  for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
    expect_handled((handling){.first = attempts[i][0]}, NULL, attempts[i][1]);
  }
  expect_of_event("return tostring(getmetatable(e)) .. tostring(getmetatable(e.data))", "nilnil");
}

static void a_kept_event_says_what_to_do(void **state) {
  (void)state;
  expect_handled((handling){.first = "keep.e = e", .second = "return keep.e.version"}, NULL,
                 "aggregates/x.lua:1: e.version was read after its handler had ended: an event is "
                 "valid only while its "
                 "handler runs; keep e:copy() instead");
  expect_handled((handling){.first = "keep.d = e.data", .second = "return keep.d.title"}, NULL,
                 "e.data.title was read after its handler had ended");
  expect_handled((handling){.first = "keep.d = e.data", .second = "for k in pairs(keep.d) do end"},
                 NULL, "e.data was read after its handler had ended");
  expect_handled((handling){.first = "keep.e = e", .second = "return keep.e:copy()"}, NULL,
                 "e:copy() was read after");
  expect_handled((handling){.first = "keep.e = e", .second = "return tostring(keep.e)"}, NULL,
                 "the event was read after");
}

static void values_below_data_may_be_kept_and_changed(void **state) {
  (void)state;
  expect_handled(
      (handling){.first = "keep.lines = e.data.lines keep.lines[3] = { price = 9 }",
                 .second =
                     "local n = 0 for _, l in ipairs(keep.lines) do n = n + l.price end return n"},
      "12", NULL);
  expect_of_event("return #e.data.lines", "2");
}

/* covers E12 */
static void a_copy_is_plain_and_complete(void **state) {
  static const char all[] = "local names = {} for k in pairs(%s) do names[#names + 1] = k end "
                            "return table.concat(names, ' ')";
  static const char names[] =
      "actor_id aggregate_id aggregate_type correlation_id data event_id event_type hash metadata "
      "occurred_at position previous_hash recorded_at schema_version version";
  char body[256];

  (void)state;
  snprintf(body, sizeof body, all, "e:copy()");
  expect_of_event(body, names);
  snprintf(body, sizeof body, all, "e");
  expect_of_event(body, names);
  expect_handled((handling){.first = body, .by_c = true}, names, NULL);
  expect_handled(
      (handling){.first = "keep.c = e:copy() keep.c.version = 7 keep.c.data.title = 'mine'",
                 .second =
                     "return keep.c.version .. keep.c.data.title .. keep.c.data.lines[1].price"},
      "7mine1", NULL);
  expect_of_event("local c = e:copy() c.data.title = 'x' return e.data.title", "T");
}

static void upcast_data_stands_for_the_stored_one(void **state) {
  static const char upcast[] = "{\"title\":\"new\",\"lines\":[1,2,3]}";
  (void)state;
  expect_handled(
      (handling){.first = "return e.data.title .. #e.data.lines .. tostring(e.data.cents)",
                 .upcast = upcast},
      "new3nil", NULL);
  expect_handled(
      (handling){.first = "local s = '' for k in pairs(e.data) do s = s .. k end return s",
                 .upcast = upcast},
      "linestitle", NULL);
  expect_handled((handling){.first = "local c = e:copy() c.data.lines[1] = 'x' return "
                                     "e.data.lines[1] .. c.data.lines[1] .. c.data.title",
                            .upcast = upcast},
                 "1xnew", NULL);
  expect_handled((handling){.first = "e.data.title = 1", .upcast = upcast}, NULL,
                 "e.data.title cannot be assigned");
  expect_of_event("return e.data.title", "T"); /* nothing of it is left for the next event */
}

static void an_event_not_stored_yet_has_no_place_and_no_hash(void **state) {
  (void)state;
  event.position = 0;
  expect_of_event("return tostring(e.position) .. tostring(e.hash) .. tostring(e.previous_hash) .. "
                  "tostring(e.recorded_at)",
                  "nilnilnilnil");
}

static void damaged_data_is_an_error_that_says_where(void **state) {
  (void)state;
  event.data = es__text("{\"a\":1,}");
  expect_handled((handling){.first = "return e.data.a"}, NULL, "line 1, column 8");
  event.data = es__text("[1]");
  expect_handled((handling){.first = "return e.data.a"}, NULL, "not a JSON object");
}

static void after_a_failed_handler_the_event_is_gone(void **state) {
  (void)state;
  expect_handled((handling){.first = "error('no')"}, NULL, "no");
  expect_of_event("return e.data.title", "T");
}

static int keep_and_fail(lua_State *L) {
  es_event *own = lua_touserdata(L, 1);
  es__lua_push_event(L, own, 0);
  lua_setfield(L, LUA_REGISTRYINDEX, "kept");
  return luaL_error(L, "failed");
}

static int read_kept(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "kept");
  lua_getfield(L, -1, "version");
  return 0;
}

static void a_failed_run_releases_its_event(void **state) {
  es_error err = ES_ERROR_INIT;
  (void)state;
  assert_int_equal(es__domain_run(domain, keep_and_fail, &event, &err), ES_ERR_LUA);
  assert_int_equal(es__domain_run(domain, read_kept, NULL, &err), ES_ERR_LUA);
  assert_non_null(strstr(err.message, "e.version was read after its handler had ended"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(every_member_can_be_read, reset_event),
      cmocka_unit_test_setup(data_is_read_without_loss, reset_event),
      cmocka_unit_test_setup(many_members_are_all_found, reset_event),
      cmocka_unit_test_setup(an_event_cannot_be_changed, reset_event),
      cmocka_unit_test_setup(a_kept_event_says_what_to_do, reset_event),
      cmocka_unit_test_setup(values_below_data_may_be_kept_and_changed, reset_event),
      cmocka_unit_test_setup(a_copy_is_plain_and_complete, reset_event),
      cmocka_unit_test_setup(upcast_data_stands_for_the_stored_one, reset_event),
      cmocka_unit_test_setup(an_event_not_stored_yet_has_no_place_and_no_hash, reset_event),
      cmocka_unit_test_setup(damaged_data_is_an_error_that_says_where, reset_event),
      cmocka_unit_test_setup(a_failed_run_releases_its_event, reset_event),
      cmocka_unit_test_setup(after_a_failed_handler_the_event_is_gone, reset_event),
  };
  return cmocka_run_group_tests(tests, open_domain, close_domain);
}
