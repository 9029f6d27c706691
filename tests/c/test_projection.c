/* test_projection: what a projection counts, writes and answers. Crashes, runners and rebuilds: test_projection_life.c. */
#include "projection_support.h"

#include <jansson.h>

static const char totals[] = "local es = require 'es'\n"
                             "local Totals = es.projection 'customer_totals'\n"
                             "Totals.tables = {\n"
                             "  customer_totals = { customer_id = 'uuid', orders = 'integer', "
                             "cents = 'integer', key = { 'customer_id' },\n"
                             "    index = { { 'cents' } } },\n"
                             "}\n"
                             "Totals.on = {\n"
                             "  OrderCreated = function(t, e)\n"
                             "    t.customer_totals:add({ customer_id = e.data.customer_id }, { "
                             "orders = 1, cents = e.data.total_cents })\n"
                             "  end,\n"
                             "}\n"
                             "Totals.queries = {\n"
                             "  top = { sql = 'SELECT customer_id, cents FROM customer_totals "
                             "ORDER BY cents DESC LIMIT :limit',\n"
                             "    params = { limit = 'integer?' } },\n"
                             "}\n"
                             "return Totals\n";

#define ANN "11111111-1111-7111-8111-111111111111"
#define BOB "22222222-2222-7222-8222-222222222222"

static void order(world *w, const char *tenant, const char *customer, int cents) {
  char data[128];
  snprintf(data, sizeof data, "{\"customer_id\":\"%s\",\"total_cents\":%d}", customer, cents);
  happen(w, (happening){.tenant = tenant, .data = data});
}

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

/* A projection of one table whose handler for `Did` is `body`, and one query over all its rows. */
static void declare_table(world *w, const char *columns, const char *body, const char *sql) {
  es_buf text = {0};

  es__buf_format(
      &text,
      "local es = require 'es'\nlocal P = es.projection 'p'\nP.tables = { rows = { %s } }\n"
      "P.on = { Did = function(t, e) %s end }\n"
      "P.queries = { all = { sql = [[%s]] } }\nreturn P\n",
      columns, body, sql);
  must_declare(w, "projections/p.lua", text.data);
  es__buf_free(&text);
}

static void did(world *w, const char *data) {
  happen(w, (happening){.event_type = "Did", .data = data});
}

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

  luaL_dostring(L, "return function(t) t.rows:get { id = 1 } end");
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

/* ---- SQL ---- */

/* A projection with this SQL does not run, and says `part`. */
static void refuses_sql(const char *kind, const char *sql, const char *part) {
  es_buf text = {0};
  world w;

  world_open(&w, NULL);
  es__buf_format(
      &text,
      "local es = require 'es'\nlocal P = es.projection 'p'\n"
      "P.tables = { rows = { id = 'integer', l = 'list?', key = { 'id' } } }\n"
      "P.on = { any = function() end }\nP.statements = { fine = { sql = 'DELETE FROM rows' } }\n"
      "P.%s = { bad = { sql = [==[%s]==], params = { p "
      "= 'integer?' } } }\nreturn P\n",
      kind, sql);
  must_declare(&w, "projections/p.lua", text.data);
  if (es__projections_run(w.projections, NULL, NULL, NULL, &w.err) == ES_OK)
    fail_msg("accepted: %s", sql);
  assert_contains(w.err.message, part);
  assert_contains(w.err.message, "projection p: ");
  assert_string_equal(w.err.code, "bad_sql");
  assert_status_contains(&w, "\"state\":\"stopped\"");
  es__buf_free(&text);
  world_close(&w);
}

static void sql_reaches_nothing_but_its_own_tables(void **state) {
  (void)state;
  refuses_sql("queries", "SELECT :p FROM main.es_rows_rows", "may not contain es_rows_");
  refuses_sql("queries", "SELECT :p FROM main.\"ES_Rows_rows\"", "may not contain es_rows_");
  refuses_sql("queries", "WITH rows AS (SELECT * FROM main.[es_rows_rows]) SELECT :p, * FROM rows",
              "may not contain es_rows_");
  refuses_sql("queries", "SELECT :p, * FROM es_cursor", "es_cursor is not one of its tables");
  refuses_sql("queries", "SELECT :p, * FROM sqlite_master",
              "sqlite_master is not one of its tables");
  refuses_sql("queries", "SELECT :p, * FROM sqlite_temp_schema", "is not one of its tables");
  refuses_sql("queries",
              "WITH es_cursor AS (SELECT * FROM main.es_cursor) SELECT :p, * FROM es_cursor",
              "es_cursor is not one of its tables");
  refuses_sql("queries", "SELECT :p, * FROM pragma_table_info('rows')", "not");
  refuses_sql("queries", "SELECT :p, _tenant FROM rows", "no such column");
  refuses_sql("queries", "SELECT :p, * FROM other", "no such table: other");
  refuses_sql("queries", "SELECT :p FROM rows WHERE id = \"misspelled\"", "no such column");
  refuses_sql("statements", "INSERT INTO es_cursor VALUES (:p)", "es_cursor");
  refuses_sql("statements", "UPDATE es_cursor SET position = :p",
              "es_cursor is not one of its tables");
  refuses_sql("statements", "DELETE FROM sqlite_master WHERE 1 = :p", "sqlite_master");
  refuses_sql("statements", "ATTACH 'x.db' AS x", "only SELECT");
  refuses_sql("statements", "PRAGMA user_version = 3", "only SELECT");
  refuses_sql("statements", "CREATE TABLE x (y)", "sqlite_master is not one of its tables");
  refuses_sql("statements", "DROP TABLE rows", "is not one of its tables");
  refuses_sql("queries", "SELECT count(*), :p FROM es_cursor",
              "es_cursor is not one of its tables");
  refuses_sql("statements", "COMMIT", "only SELECT");
  refuses_sql("statements", "SAVEPOINT x", "only SELECT");
  refuses_sql("queries", "SELECT count(*), :p FROM sqlite_master",
              "sqlite_master is not one of its tables");
  refuses_sql("queries", "SELECT count(*), :p FROM pragma_table_list", "sqlite_master");
  refuses_sql("queries", "SELECT count(*), :p FROM dbstat", "sqlite_master");
  refuses_sql("queries", "DELETE FROM rows WHERE id = :p", "a query may not change");
  refuses_sql("queries", "PRAGMA user_version", "only SELECT is allowed");
}

static void sql_has_no_function_of_time_or_chance(void **state) {
  (void)state;
  refuses_sql("queries", "SELECT random() + :p AS x", "the function random is not available");
  refuses_sql("queries", "SELECT randomblob(:p) AS x", "the function randomblob is not available");
  refuses_sql("queries", "SELECT datetime('now'), :p", "the function datetime is not available");
  refuses_sql("queries", "SELECT strftime('%s'), :p", "the function strftime is not available");
  refuses_sql("queries", "SELECT CURRENT_TIMESTAMP, :p", "current_timestamp is not available");
  refuses_sql("queries", "SELECT last_insert_rowid() + :p AS x",
              "last_insert_rowid is not available");
  refuses_sql("queries", "SELECT changes() + :p AS x", "changes is not available");
  refuses_sql("queries", "SELECT sqlite_version(), :p", "sqlite_version is not available");
  refuses_sql("queries", "SELECT load_extension('x'), :p", "load_extension is not available");
  refuses_sql("statements", "UPDATE rows SET id = random() WHERE id = :p",
              "the function random is not available");
}

static void sql_may_use_subqueries_windows_and_json(void **state) {
  world w;

  (void)state;
  world_open(&w, NULL);
  declare_table(
      &w, "id = 'integer', l = 'list', key = { 'id' }", "t.rows:put(e:copy().data)",
      "WITH big AS (SELECT id, l FROM rows WHERE id > 1), one AS (SELECT 1 AS x)"
      " SELECT (SELECT count(*) FROM big) AS big, (SELECT count(*) FROM one) AS one, rows.id, "
      "value,"
      " row_number() OVER (ORDER BY rows.id DESC) AS n FROM rows, json_each(l) ORDER BY rows.id");
  did(&w, "{\"id\":1,\"l\":[7]}");
  did(&w, "{\"id\":2,\"l\":[8]}");
  must_run(&w, NULL);
  assert_rows(&w, "p", "all", NULL, NULL,
              "{\"big\":1,\"one\":1,\"id\":1,\"value\":7,\"n\":2}\n"
              "{\"big\":1,\"one\":1,\"id\":2,\"value\":8,\"n\":1}");
  world_close(&w);
}

static void sql_is_one_statement_with_declared_names(void **state) {
  (void)state;
  refuses_sql("queries", "SELECT :p; SELECT 2", "one SQL statement");
  refuses_sql("queries", "", "one SQL statement");
  refuses_sql("queries", "SELECT :q", "the SQL uses :q, which params does not declare");
  refuses_sql("queries", "SELECT ?", "parameters must have names");
  refuses_sql("queries", "SELECT 1", "params declares p, which the SQL does not use");
  refuses_sql("queries", "SELECT 1 AS a, :p AS a", "two columns are named a");
  refuses_sql("queries", "SELEC", "syntax error");
}

static void a_statement_cannot_write_what_is_no_json(void **state) {
  world w;

  (void)state;
  world_open(&w, NULL);
  must_declare(&w, "projections/p.lua",
               "local es = require 'es'\nlocal P = es.projection 'p'\n"
               "P.tables = { rows = { id = 'integer', l = 'list', key = { 'id' } } }\n"
               "P.statements = { bad = { sql = [[INSERT INTO rows VALUES (1, 'x')]] } }\n"
               "P.on = { Did = function(t) t:bad() end }\nreturn P\n");
  did(&w, "{}");
  assert_int_equal(es__projections_run(w.projections, NULL, NULL, NULL, &w.err), ES_ERR_LUA);
  assert_contains(w.err.message, "rows.l wants JSON text");
  world_close(&w);
}

static void an_endless_query_ends(void **state) {
  world w;

  (void)state;
  world_open(&w, NULL);
  declare_table(&w, "id = 'integer', key = { 'id' }", "",
                "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) "
                "AS n FROM c");
  must_run(&w, NULL);
  assert_null(rows_of(&w, "p", "all", NULL, NULL));
  assert_string_equal(w.err.code, "query_limit");
  world_close(&w);
}

/* Appends the plan's lines of a query. */
static void explain(es_buf *out, world *w, const char *projection, const char *query) {
  es_projection *found;
  sqlite3_stmt *statement = NULL;
  es_buf sql = {0};

  assert_int_equal(es__projections_find(&found, w->projections, projection, &w->err), ES_OK);
  assert_int_equal(es__projection_use_current(found, false, &w->err), ES_OK);
  for (size_t i = 0; i < found->query_count; i++) {
    if (strcmp(found->queries[i].name, query) == 0)
      es__buf_format(&sql, "EXPLAIN QUERY PLAN %s", found->queries[i].sql);
  }
  assert_int_equal(sqlite3_prepare_v2(found->file->db, sql.data, -1, &statement, NULL), SQLITE_OK);
  while (sqlite3_step(statement) == SQLITE_ROW)
    es__buf_format(out, "%s; ", (const char *)sqlite3_column_text(statement, 3));
  sqlite3_finalize(statement);
  es__buf_free(&sql);
}

static void assert_indexed(world *w, const char *projection, const char *query) {
  es_buf plan = {0};

  explain(&plan, w, projection, query);
  assert_contains(plan.data, "SEARCH");
  assert_contains(plan.data, "_tenant=?");
  if (strstr(plan.data, "SCAN") != NULL || strstr(plan.data, "TEMP B-TREE") != NULL)
    fail_msg("%s.%s: %s", projection, query, plan.data);
  es__buf_free(&plan);
}

/* covers E44: all indexed */
static void queries_through_the_tenants_view_use_the_indexes(void **state) {
  world w;

  (void)state;
  world_open(&w, NULL);
  must_declare(&w, "projections/totals.lua", totals);
  declare_shipped(&w, "projections/audit_log.lua");
  declare_shipped(&w, "projections/user_activity.lua");
  must_run(&w, NULL);
  assert_indexed(&w, "customer_totals", "top");
  assert_indexed(&w, "audit_log", "by_actor");
  assert_indexed(&w, "audit_log", "by_aggregate");
  assert_indexed(&w, "audit_log", "recent");
  assert_indexed(&w, "audit_log", "entries");
  assert_indexed(&w, "audit_log", "by_correlation");
  assert_indexed(&w, "user_activity", "activity");
  world_close(&w);
}

/* ---- queries' parameters ---- */

static void refuses_params(world *w, const char *query, const char *params, const char *code,
                           const char *part) {
  assert_null(rows_of(w, "q", query, NULL, params));
  assert_string_equal(w->err.code, code);
  assert_contains(w->err.message, part);
}

static void checks_the_parameters_of_a_query(void **state) {
  world w;

  (void)state;
  world_open(&w, NULL);
  must_declare(
      &w, "projections/q.lua",
      "local es = require 'es'\nlocal Q = es.projection 'q'\nQ.on = { any = function() end }\n"
      "Q.queries = { echo = { sql = 'SELECT :i AS i, :s AS s, :b AS b, :at AS at, :u AS u, :l AS "
      "l',\n"
      "  params = { i = 'integer', s = 'string?', b = 'boolean?', at = 'timestamp?', u = 'uuid?', "
      "l = 'list?' } } }\n"
      "return Q\n");
  must_run(&w, NULL);
  assert_rows(&w, "q", "echo", NULL,
              "{\"i\":-1,\"s\":null,\"b\":true,\"at\":\"2026-01-31\",\"u\":\"ABCDEF01-2345-7789-"
              "8ABC-DEF012345678\",\"l\":[1]}",
              "{\"i\":-1,\"s\":null,\"b\":1,\"at\":\"2026-01-31T00:00:00.000000Z\","
              "\"u\":\"abcdef01-2345-7789-8abc-def012345678\",\"l\":\"[1]\"}");
  refuses_params(&w, "echo", NULL, "missing_parameter", "parameter i is missing (integer)");
  refuses_params(&w, "echo", "{\"i\":1.5}", "bad_parameter",
                 "parameter i expects integer, got a number with a fraction");
  refuses_params(&w, "echo", "{\"i\":null}", "bad_parameter",
                 "parameter i expects integer, got null");
  refuses_params(&w, "echo", "{\"i\":1,\"at\":\"soon\"}", "bad_parameter",
                 "parameter at expects timestamp, got the string soon");
  refuses_params(&w, "echo", "{\"i\":1,\"x\":1}", "unknown_parameter",
                 "query echo has no parameter x");
  assert_contains(w.err.hint, "at, b, i, l, s, u");
  refuses_params(&w, "echo", "[1]", "bad_parameter", "must be a JSON object");
  refuses_params(&w, "echo", "{", "malformed_json", "line 1");
  refuses_params(&w, "ecko", NULL, "unknown_query", "projection q has no query ecko");
  assert_contains(w.err.hint, "echo");
  assert_int_equal(es__projections_run(w.projections, "nothing", NULL, NULL, &w.err),
                   ES_ERR_NOT_FOUND);
  assert_contains(w.err.hint, "declared: q");
  world_close(&w);
}

static bool take_one(void *data, const char *row, size_t length) {
  (void)row, (void)length;
  ++*(int *)data;
  return false;
}

static void a_reader_may_stop_early(void **state) {
  world w;
  int rows = 0;

  (void)state;
  world_open(&w, NULL);
  must_declare(&w, "projections/totals.lua", totals);
  order(&w, NULL, ANN, 1);
  order(&w, NULL, BOB, 1);
  must_run(&w, NULL);
  assert_int_equal(es__projections_query(w.projections, "customer_totals", "top", es__text(NULL),
                                         NULL, take_one, &rows, &w.err),
                   ES_OK);
  assert_int_equal(rows, 1);
  world_close(&w);
}

/* ---- declarations ---- */

static void refuses_declaration(const char *text, const char *part) {
  es_buf module = {0};
  world w;

  world_open(&w, NULL);
  es__buf_format(&module,
                 "local es = require 'es'\nlocal P = es.projection 'p'\nP.on = { any = function() "
                 "end }\n%s\nreturn P\n",
                 text);
  if (declare(&w, "projections/p.lua", module.data, 1) == ES_OK) fail_msg("accepted: %s", text);
  assert_contains(w.err.message, part);
  es__buf_free(&module);
  world_close(&w);
}

static void names_what_is_wrong_in_a_declaration(void **state) {
  (void)state;
  refuses_declaration("P.table = {}", "unknown field table (fields: ");
  refuses_declaration("P.on = {}", "on has no handler");
  refuses_declaration("P.on = { X = 1 }", "on.X must be a function(t, e), got number");
  refuses_declaration("P.tables = { a = { id = 'integer' } }", "table a needs key");
  refuses_declaration("P.tables = { a = { id = 'int', key = { 'id' } } }",
                      "table a.id has no known type: \"int\"");
  refuses_declaration("P.tables = { a = { id = 'integer?', key = { 'id' } } }",
                      "id cannot be optional");
  refuses_declaration("P.tables = { a = { id = 'list', key = { 'id' } } }",
                      "cannot hold id, which is a list");
  refuses_declaration("P.tables = { a = { id = 'integer', key = { 'ID' } } }",
                      "a column that is not declared: ID");
  refuses_declaration("P.tables = { a = { id = 'integer', Id = 'integer', key = { 'id' } } }",
                      "differ only in case");
  refuses_declaration("P.tables = { a = { id = 'integer', key = { 'id' }, index = { 'id' } } }",
                      "index[1] must be a table");
  refuses_declaration("P.tables = { ['a b'] = { id = 'integer', key = { 'id' } } }",
                      "a table's name must be letters");
  refuses_declaration("P.tables = { es_cursor = { id = 'integer', key = { 'id' } } }",
                      "may not begin with");
  refuses_declaration("P.queries = { q = { sql = 1 } }", "queries.q needs sql");
  refuses_declaration("P.queries = { q = { sql = 'SELECT 1', args = {} } }",
                      "queries.q has an unknown field args");
  refuses_declaration("P.name = '../x'", "must not be changed");
  refuses_declaration("P = es.projection '../x'", "es.projection wants a name");
}

static void two_modules_cannot_declare_one_name(void **state) {
  world w;

  (void)state;
  world_open(&w, NULL);
  must_declare(&w, "projections/totals.lua", totals);
  assert_int_equal(declare(&w, "projections/totals2.lua", totals, 2), ES_ERR_USAGE);
  assert_contains(w.err.message, "two modules declare the projection customer_totals");
  world_close(&w);
}

/* ---- shipped projections ---- */

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
      cmocka_unit_test(sql_reaches_nothing_but_its_own_tables),
      cmocka_unit_test(sql_has_no_function_of_time_or_chance),
      cmocka_unit_test(sql_may_use_subqueries_windows_and_json),
      cmocka_unit_test(sql_is_one_statement_with_declared_names),
      cmocka_unit_test(a_statement_cannot_write_what_is_no_json),
      cmocka_unit_test(an_endless_query_ends),
      cmocka_unit_test(queries_through_the_tenants_view_use_the_indexes),
      cmocka_unit_test(checks_the_parameters_of_a_query),
      cmocka_unit_test(a_reader_may_stop_early),
      cmocka_unit_test(names_what_is_wrong_in_a_declaration),
      cmocka_unit_test(two_modules_cannot_declare_one_name),
      cmocka_unit_test(the_audit_log_says_who_did_what_with_which_outcome),
      cmocka_unit_test(the_audit_log_has_exactly_the_documented_columns),
      cmocka_unit_test(user_activity_lists_what_each_actor_did),
      cmocka_unit_test(redelivery_changes_nothing_in_the_shipped_projections),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
