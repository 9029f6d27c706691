/* JSON <-> Lua in domain states: read-only views, events, and errors that come back whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "lua/domain.h"

typedef struct fixture {
  es_domain *domain;
  es_buf out;
  es_error err;
  bool keep_data; /* the event's data rather than the event */
} fixture;

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);
  es_domain_options options = {0};

  if (es__domain_new(&f->domain, &options, &f->err) != ES_OK) fail_msg("%s", f->err.message);
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;

  es__domain_free(f->domain);
  es__buf_free(&f->out);
  free(f);
  return 0;
}

static const char sample[] = "{\"a\":[1,{\"b\":null}],\"c\":{},\"d\":[]}";

static int write_views(lua_State *L) {
  fixture *f = lua_touserdata(L, 1);

  es__lua_push_json(L, sample, sizeof sample - 1);
  es__domain_push_read_only(L, -1);
  es__lua_write_json(L, -1, &f->out, "view");
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "held");
  lua_getfield(L, -2, "a"); /* a view too */
  lua_setfield(L, -2, "inner");
  es__lua_write_json(L, -1, &f->out, "data");
  return 0;
}

static void views_are_written_like_the_tables_behind_them(void **state) {
  fixture *f = *state;

  if (es__domain_run(f->domain, write_views, f, &f->err) != ES_OK) fail_msg("%s", f->err.message);
  assert_string_equal(f->out.data, "{\"a\":[1,{\"b\":null}],\"c\":{},\"d\":[]}"
                                   "{\"held\":{\"a\":[1,{\"b\":null}],\"c\":{},\"d\":[]},"
                                   "\"inner\":[1,{\"b\":null}]}");
}

static int write_view_of_function(lua_State *L) {
  fixture *f = lua_touserdata(L, 1);

  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, write_view_of_function);
  lua_setfield(L, -2, "step");
  es__domain_push_read_only(L, -1);
  es__lua_write_json(L, -1, &f->out, "state");
  return 0;
}

static void errors_come_back_whole(void **state) {
  fixture *f = *state;

  assert_int_equal(es__domain_run(f->domain, write_view_of_function, f, &f->err), ES_ERR_USAGE);
  assert_string_equal(f->err.code, "not_json");
  assert_string_equal(f->err.message, "state.step: a function cannot be stored");
  assert_string_equal(f->err.hint,
                      "store plain values: strings, numbers, booleans, tables and es.null");
  assert_int_equal(f->out.length, 0);
}

static int write_event(lua_State *L) {
  fixture *f = lua_touserdata(L, 1);
  es_event event = {.data = es__text("{\"k\":[1]}"), .metadata = es__text("{}")};

  es__lua_push_event(L, &event, 0);
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "last");
  if (f->keep_data) {
    lua_getfield(L, -2, "data");
    lua_setfield(L, -2, "last");
  }
  es__lua_write_json(L, -1, &f->out, "state");
  return 0;
}

static void keeping_an_event_or_its_data_says_what_to_keep_instead(void **state) {
  fixture *f = *state;

  for (int data = 0; data < 2; data++) {
    f->keep_data = data == 1;
    assert_int_equal(es__domain_run(f->domain, write_event, f, &f->err), ES_ERR_USAGE);
    assert_string_equal(f->err.message,
                        "state.last: an event cannot be stored; keep e:copy() instead");
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(views_are_written_like_the_tables_behind_them),
      TEST(errors_come_back_whole),
      TEST(keeping_an_event_or_its_data_says_what_to_keep_instead),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
