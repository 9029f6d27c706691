/* test_projection: what a projection counts, keeps and shows to whom. Its SQL: test_projection_sql.c; crashes and runners:
 * test_projection_life.c; rebuilds: test_projection_rebuild.c. */
#include "projection_support.h"

/* covers E39, E40: the documented example */
static void counts_orders_of_each_customer(void **state) {
  world w;

  (void)state;
  world_open(&w, NULL);
  must_declare(&w, "projections/totals.lua", totals);
  order(&w, NULL, ANN, 500);
  order(&w, NULL, BOB, 700);
  order(&w, NULL, ANN, 900);
  must_run(&w, "customer_totals");
  assert_rows(&w, "customer_totals", "top", NULL, NULL,
              "{\"customer_id\":\"" ANN "\",\"cents\":1400}\n{\"customer_id\":\"" BOB
              "\",\"cents\":700}");
  assert_rows(&w, "customer_totals", "top", NULL, "{\"limit\":1}",
              "{\"customer_id\":\"" ANN "\",\"cents\":1400}");
  world_close(&w);
}

/* covers E65 */
static void counts_only_new_events_on_the_next_run(void **state) {
  world w;

  (void)state;
  world_open(&w, NULL);
  must_declare(&w, "projections/totals.lua", totals);
  order(&w, NULL, ANN, 500);
  must_run(&w, NULL);
  must_run(&w, NULL);
  order(&w, NULL, ANN, 1);
  must_run(&w, NULL);
  assert_rows(&w, "customer_totals", "top", NULL, NULL,
              "{\"customer_id\":\"" ANN "\",\"cents\":501}");
  assert_status_contains(&w, "\"state\":\"running\",\"position\":2,\"head\":2,\"behind\":0");
  world_close(&w);
}

/* ---- tables: get, put, add, delete ---- */

static void keeps_every_declared_type(void **state) {
  world w;

  (void)state;
  world_open(&w, NULL);
  declare_table(
      &w,
      "id = 'uuid', s = 'string', i = 'integer', n = 'number', b = 'boolean', at = 'timestamp', l "
      "= 'list',"
      " t = 'table', a = 'any', o = 'integer?', key = { 'id' }",
      "local row = e:copy().data; t.rows:put(row); local back = t.rows:get { id = row.id };"
      "back.i = back.i + 1; assert(back.o == nil and back.b == true and #back.l == 2 and back.t.x "
      "== 1.5);"
      "t.rows:put(back)",
      "SELECT id, s, i, n, b, at, l, t, a, o, i > 1 AS computed FROM rows");
  did(&w,
      "{\"a\":\"x\",\"at\":\"2026-01-31T12:00:00+02:00\",\"b\":true,\"i\":9007199254740993,\"id\":"
      "\"" ANN "\",\"l\":[1,\"\xc3\xa9\"],\"n\":0.1,\"s\":\"q\\\"\\u0000\",\"t\":{\"x\":1.5}}");
  must_run(&w, NULL);
  assert_rows(&w, "p", "all", NULL, NULL,
              "{\"id\":\"" ANN
              "\",\"s\":\"q\\\"\\u0000\",\"i\":9007199254740994,\"n\":0.1,\"b\":true,"
              "\"at\":\"2026-01-31T10:00:00.000000Z\",\"l\":[1,\"\xc3\xa9\"],\"t\":{\"x\":1.5},"
              "\"a\":\"x\",\"o\":null,"
              "\"computed\":1}");
  world_close(&w);
}

static void an_empty_list_stays_a_list(void **state) {
  world w;

  (void)state;
  world_open(&w, NULL);
  declare_table(&w, "id = 'integer', l = 'list', t = 'table', key = { 'id' }",
                "t.rows:put { id = 1, l = {}, t = {} }", "SELECT l, t FROM rows");
  did(&w, "{}");
  must_run(&w, NULL);
  assert_rows(&w, "p", "all", NULL, NULL, "{\"l\":[],\"t\":{}}");
  world_close(&w);
}

static void delete_says_whether_there_was_a_row(void **state) {
  world w;

  (void)state;
  world_open(&w, NULL);
  declare_table(&w, "id = 'integer', key = { 'id' }",
                "t.rows:put { id = 1 }; t.rows:put { id = 2 };"
                "assert(t.rows:delete { id = 1 } == true and t.rows:delete { id = 1 } == false);"
                "assert(t.rows:get { id = 1 } == nil)",
                "SELECT id FROM rows");
  did(&w, "{}");
  must_run(&w, NULL);
  assert_rows(&w, "p", "all", NULL, NULL, "{\"id\":2}");
  world_close(&w);
}

static void add_begins_with_zero_and_leaves_the_rest(void **state) {
  world w;

  (void)state;
  world_open(&w, NULL);
  declare_table(&w, "id = 'integer', a = 'integer', b = 'integer?', c = 'number', key = { 'id' }",
                "t.rows:add({ id = 1 }, { a = 2 }); t.rows:add({ id = 1 }, { c = 0.5, a = -1 }); "
                "t.rows:add({ id = 1 }, {})",
                "SELECT a, b, c FROM rows");
  did(&w, "{}");
  must_run(&w, NULL);
  assert_rows(&w, "p", "all", NULL, NULL, "{\"a\":1,\"b\":null,\"c\":0.5}");
  world_close(&w);
}

static void add_to_a_row_with_other_columns_needs_the_row(void **state) {
  world w;

  (void)state;
  world_open(&w, NULL);
  declare_table(&w, "id = 'integer', name = 'string', n = 'integer', key = { 'id' }",
                "if e.data.put then t.rows:put { id = 1, name = 'x', n = 5 } end t.rows:add({ id = "
                "1 }, { n = 1 })",
                "SELECT name, n FROM rows");
  did(&w, "{\"put\":true}");
  must_run(&w, NULL);
  assert_rows(&w, "p", "all", NULL, NULL, "{\"name\":\"x\",\"n\":6}");
  world_close(&w);
}

/* One handler that fails: the run names the module's line and says `part`. */
static void fails_in_handler(const char *columns, const char *body, const char *part) {
  world w;

  world_open(&w, NULL);
  declare_table(&w, columns, body, "SELECT 1 AS one FROM rows");
  did(&w, "{}");
  assert_int_equal(es__projections_run(w.projections, NULL, NULL, NULL, &w.err), ES_ERR_LUA);
  assert_contains(w.err.message, part);
  assert_contains(w.err.message, "projections/p.lua:4:");
  assert_rows(&w, "p", "all", NULL, NULL, "");
  world_close(&w);
}

static void refuses_values_that_are_not_declared(void **state) {
  static const char columns[] =
      "id = 'integer', s = 'string?', n = 'number?', u = 'uuid?', at = 'timestamp?', l = 'list?',"
      " b = 'boolean?', key = { 'id' }";

  (void)state;
  fails_in_handler(columns, "t.rows:put { id = 1.0 }", "rows.id expects integer, got a float");
  fails_in_handler(columns, "t.rows:put { id = '1' }", "rows.id expects integer, got the string 1");
  fails_in_handler(columns, "t.rows:put { s = 'x' }", "rows.id is missing (integer)");
  fails_in_handler(columns, "t.rows:put { id = 1, s = 2 }",
                   "rows.s expects string, got an integer");
  fails_in_handler(columns, "t.rows:put { id = 1, s = '\\xff' }", "rows.s expects string");
  fails_in_handler(columns, "t.rows:put { id = 1, n = 0/0 }", "rows.n must be finite");
  fails_in_handler(columns, "t.rows:put { id = 1, n = 1/0 }", "rows.n must be finite");
  fails_in_handler(columns, "t.rows:put { id = 1, u = 'x' }",
                   "rows.u expects uuid, got the string x");
  fails_in_handler(columns, "t.rows:put { id = 1, at = 'soon' }",
                   "rows.at expects timestamp, got the string soon");
  fails_in_handler(columns, "t.rows:put { id = 1, l = { a = 1 } }",
                   "rows.l expects list, got a table with names");
  fails_in_handler(columns, "t.rows:put { id = 1, b = 1 }",
                   "rows.b expects boolean, got an integer");
  fails_in_handler(columns, "t.rows:put { id = 1, wrong = 1 }", "rows has no column wrong");
  fails_in_handler(columns, "t.rows:get { id = 1, s = 'x' }", "s is not one of the key's columns");
  fails_in_handler(columns, "t.rows:get(1)",
                   "rows:get expects a table of the key's columns, got number");
  fails_in_handler(columns, "t.rows.get { id = 1 }", "call it with a colon");
  fails_in_handler(columns, "t.rows:add({ id = 1 }, { s = 'x' })",
                   "rows.s is a string: add is for numbers");
  fails_in_handler(columns, "t.other:put { id = 1 }",
                   "projection p has no table or statement other (there are: rows)");
  fails_in_handler(columns, "t.rows = 1", "read-only");
  fails_in_handler(columns, "t.rows.put = nil", "read-only");
  fails_in_handler(
      "id = 'integer', n = 'integer', key = { 'id' }",
      "t.rows:add({ id = 1 }, { n = math.maxinteger }); t.rows:add({ id = 1 }, { n = 1 })",
      "the sum is beyond a 64-bit integer");
  fails_in_handler(
      "id = 'integer', n = 'integer', key = { 'id' }",
      "t.rows:add({ id = 1 }, { n = math.mininteger }); t.rows:add({ id = 1 }, { n = -1 })",
      "the sum is beyond a 64-bit integer");
  fails_in_handler("id = 'integer', name = 'string', n = 'integer', key = { 'id' }",
                   "t.rows:add({ id = 1 }, { n = 1 })",
                   "add cannot make one without name: put it first");
}

static void a_kept_table_goes_on_in_its_own_handlers(void **state) {
  world w;

  (void)state;
  world_open(&w, NULL);
  must_declare(
      &w, "projections/a.lua",
      "local es = require 'es'\nlocal A = es.projection 'a'\n"
      "A.tables = { rows = { id = 'integer', key = { 'id' } } }\nlocal kept\n"
      "A.on = { Did = function(t, e) kept = kept or t.rows; kept:put { id = e.position } end }\n"
      "A.queries = { all = { sql = 'SELECT id FROM rows' } }\nreturn A\n");
  did(&w, "{}");
  did(&w, "{}");
  must_run(&w, NULL);
  assert_rows(&w, "a", "all", NULL, NULL, "{\"id\":1}\n{\"id\":2}");
  world_close(&w);
}

static int use_handle_outside(lua_State *L) {
  const es_projection *projection = lua_touserdata(L, 1);

  if (luaL_dostring(L, "return function(t) t.rows:get { id = 1 } end")) return lua_error(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, projection->handle_reference);
  lua_call(L, 1, 0);
  return 0;
}

static void tables_are_useless_outside_a_handler(void **state) {
  es_projection *found;
  world w;

  (void)state;
  world_open(&w, NULL);
  declare_table(&w, "id = 'integer', key = { 'id' }", "", "SELECT id FROM rows");
  assert_int_equal(es__projections_find(&found, w.projections, "p", &w.err), ES_OK);
  assert_int_equal(es__domain_run(w.domain, use_handle_outside, found, &w.err), ES_ERR_LUA);
  assert_contains(w.err.message, "can be used only while its handler runs");
  world_close(&w);
}

/* ---- which events ---- */

static void any_sees_events_without_a_handler_but_not_the_runtimes(void **state) {
  static const char module[] =
      "local es = require 'es'\nlocal P = es.projection '%s'\nP.runtime_events = %s\n"
      "P.tables = { seen = { position = 'integer', by = 'string', key = { 'position' } } }\n"
      "local function note(by) return function(t, e) t.seen:put { position = e.position, by = by } "
      "end end\n"
      "P.on = { Named = note 'named', any = note 'any' }\n"
      "P.queries = { all = { sql = 'SELECT position, \"by\" FROM seen ORDER BY position' } "
      "}\nreturn P\n";
  char text[1024];
  world w;

  (void)state;
  world_open(&w, NULL);
  snprintf(text, sizeof text, module, "domain_only", "nil");
  must_declare(&w, "projections/domain_only.lua", text);
  snprintf(text, sizeof text, module, "with_runtime", "true");
  must_declare(&w, "projections/with_runtime.lua", text);
  happen(&w, (happening){.event_type = "Named"});
  happen(&w, (happening){.event_type = "Other"});
  happen(&w, (happening){.aggregate_type = "$audit", .event_type = "$CommandDenied"});
  must_run(&w, NULL);
  assert_rows(&w, "domain_only", "all", NULL, NULL,
              "{\"position\":1,\"by\":\"named\"}\n{\"position\":2,\"by\":\"any\"}");
  assert_rows(&w, "with_runtime", "all", NULL, NULL,
              "{\"position\":1,\"by\":\"named\"}\n{\"position\":2,\"by\":\"any\"}\n{\"position\":3,"
              "\"by\":\"any\"}");
  world_close(&w);
}

/* ---- tenants ---- */

static const char tenants[] =
    "local es = require 'es'\nlocal P = es.projection 'p'\n"
    "P.tables = { sums = { id = 'string', n = 'integer', key = { 'id' } } }\n"
    "P.statements = {\n"
    "  double = { sql = 'UPDATE sums SET n = n * 2' },\n"
    "  clear = { sql = 'DELETE FROM sums' },\n"
    "  all = { sql = 'SELECT id, n FROM sums' },\n"
    "  keep = { sql = 'INSERT OR REPLACE INTO sums (id, n) VALUES (:id, :n)', params = { id = "
    "'string', n = 'integer' } },\n"
    "}\n"
    "P.on = {\n"
    "  Added = function(t, e) t.sums:add({ id = 'x' }, { n = e.data.n }) end,\n"
    "  Doubled = function(t) assert(t:double() == 1) end,\n"
    "  Cleared = function(t) assert(t:clear() == 1 and #t:all() == 0) end,\n"
    "  Kept = function(t) t:keep { id = 'y', n = 1 }; t:keep { id = 'y', n = 2 }; assert(#t:all() "
    "== 2) end,\n"
    "}\n"
    "P.queries = { all = { sql = 'SELECT id, n FROM sums ORDER BY id' } }\nreturn P\n";

/* covers E10, E57 for read models */
static void tenants_neither_share_keys_nor_see_each_other(void **state) {
  world w;

  (void)state;
  world_open(&w, NULL);
  must_declare(&w, "projections/p.lua", tenants);
  happen(&w, (happening){.tenant = "a", .event_type = "Added", .data = "{\"n\":1}"});
  happen(&w, (happening){.tenant = "b", .event_type = "Added", .data = "{\"n\":10}"});
  happen(&w, (happening){.event_type = "Added", .data = "{\"n\":100}"});
  happen(&w, (happening){.tenant = "a", .event_type = "Doubled"});
  must_run(&w, NULL);
  assert_rows(&w, "p", "all", "a", NULL, "{\"id\":\"x\",\"n\":2}");
  assert_rows(&w, "p", "all", "b", NULL, "{\"id\":\"x\",\"n\":10}");
  assert_rows(&w, "p", "all", NULL, NULL, "{\"id\":\"x\",\"n\":100}");
  assert_rows(&w, "p", "all", "c", NULL, "");
  happen(&w, (happening){.tenant = "b", .event_type = "Kept"});
  happen(&w, (happening){.tenant = "a", .event_type = "Cleared"});
  must_run(&w, NULL);
  assert_rows(&w, "p", "all", "a", NULL, "");
  assert_rows(&w, "p", "all", "b", NULL, "{\"id\":\"x\",\"n\":10}\n{\"id\":\"y\",\"n\":2}");
  world_close(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_orders_of_each_customer),
      cmocka_unit_test(counts_only_new_events_on_the_next_run),
      cmocka_unit_test(keeps_every_declared_type),
      cmocka_unit_test(an_empty_list_stays_a_list),
      cmocka_unit_test(delete_says_whether_there_was_a_row),
      cmocka_unit_test(add_begins_with_zero_and_leaves_the_rest),
      cmocka_unit_test(add_to_a_row_with_other_columns_needs_the_row),
      cmocka_unit_test(refuses_values_that_are_not_declared),
      cmocka_unit_test(a_kept_table_goes_on_in_its_own_handlers),
      cmocka_unit_test(tables_are_useless_outside_a_handler),
      cmocka_unit_test(any_sees_events_without_a_handler_but_not_the_runtimes),
      cmocka_unit_test(tenants_neither_share_keys_nor_see_each_other),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
