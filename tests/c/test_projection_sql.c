/* test_projection_sql: what SQL of a projection may do, the parameters of its queries, and what is wrong in a declaration. */
#include "projection_support.h"

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

int main(void) {
  const struct CMUnitTest tests[] = {
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
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
