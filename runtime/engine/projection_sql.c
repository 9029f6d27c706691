/* projection_sql: what SQL of a module may do. An authorizer allows the projection's own tables and functions whose result
 * depends on nothing but their arguments; a budget ends endless queries. Knows no Lua and no events.
 *
 * The views named like the declared tables show one tenant. The tables behind them begin with "es_rows_", and SQL that
 * contains this is refused as text: an identifier cannot be written in any other way, so the views are the only way in,
 * and what the authorizer sees of es_rows_ comes from them. */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/projection_parts.h"

/* In instructions of SQLite's machine: 200 million for a query, 10 million for a handler's statement, some tenths of a
 * second. They are counted, not timed, so that a statement ends the same way on every machine. */
enum { BUDGET_STEP = 10000, QUERY_BUDGET = 20000, STATEMENT_BUDGET = 1000 };

/* Sorted. No date function is here, though some calls of them would be fine: 'now' hides in their arguments. */
static const char *const functions[] = {
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "avg",
    "ceil",
    "ceiling",
    "char",
    "coalesce",
    "cos",
    "cosh",
    "count",
    "cume_dist",
    "degrees",
    "dense_rank",
    "es_tenant",
    "exp",
    "first_value",
    "floor",
    "format",
    "glob",
    "group_concat",
    "hex",
    "ifnull",
    "iif",
    "instr",
    "json",
    "json_array",
    "json_array_length",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_insert",
    "json_object",
    "json_patch",
    "json_quote",
    "json_remove",
    "json_replace",
    "json_set",
    "json_type",
    "json_valid",
    "lag",
    "last_value",
    "lead",
    "length",
    "like",
    "likelihood",
    "likely",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "max",
    "min",
    "mod",
    "nth_value",
    "ntile",
    "nullif",
    "percent_rank",
    "pi",
    "pow",
    "power",
    "printf",
    "quote",
    "radians",
    "rank",
    "replace",
    "round",
    "row_number",
    "rtrim",
    "sign",
    "sin",
    "sinh",
    "soundex",
    "sqrt",
    "substr",
    "substring",
    "sum",
    "tan",
    "tanh",
    "total",
    "trim",
    "trunc",
    "typeof",
    "unicode",
    "unlikely",
    "upper",
};

static int compare_names(const void *name, const void *element) {
  return strcasecmp(name, *(const char *const *)element);
}

static bool is_own_table(const es_projection *projection, const char *name) {
  if (name == NULL) return false;
  if (strncasecmp(name, "es_rows_", 8) == 0) name += 8;
  for (size_t i = 0; i < projection->table_count; i++) {
    if (strcasecmp(projection->tables[i].name, name) == 0) return true;
  }
  return false;
}

/* What stands in FROM and is no table: SQLite reports subqueries and common table expressions by their names without a
 * column, as it does a table of which no column is read. Other table-valued functions than these two fail before,
 * because making them known to a connection is refused. */
static bool is_harmless_source(const char *name, const char *column) {
  if (name == NULL || strcmp(name, "json_each") == 0 || strcmp(name, "json_tree") == 0) return true;
  return column[0] == '\0' && strncasecmp(name, "es_", 3) != 0 &&
         strncasecmp(name, "sqlite_", 7) != 0;
}

static int refuse(es_projection_file *file, const char *format, const char *name) {
  if (file->refusal[0] == '\0') snprintf(file->refusal, sizeof file->refusal, format, name);
  return SQLITE_DENY;
}

static int authorize(void *data, int action, const char *first, const char *second,
                     const char *database, const char *inside) {
  es_projection_file *file = data;

  (void)database, (void)inside;
  if (file->mode == ES_SQL_TRUSTED) return SQLITE_OK;
  switch (action) {
  case SQLITE_SELECT:
  case SQLITE_RECURSIVE:
    return SQLITE_OK;
  case SQLITE_READ:
    if (is_own_table(file->projection, first)) return SQLITE_OK;
    if (is_harmless_source(first, second)) return SQLITE_OK;
    return refuse(file, "%s is not one of its tables", first);
  case SQLITE_FUNCTION:
    if (bsearch(second, functions, sizeof functions / sizeof functions[0], sizeof functions[0],
                compare_names) != NULL)
      return SQLITE_OK;
    return refuse(file, "the function %s is not available to projections", second);
  case SQLITE_INSERT:
  case SQLITE_UPDATE:
  case SQLITE_DELETE:
    if (file->mode == ES_SQL_STATEMENT && is_own_table(file->projection, first)) return SQLITE_OK;
    if (file->mode == ES_SQL_QUERY) return refuse(file, "a query may not change %s", first);
    return refuse(file, "%s is not one of its tables", first);
  default:
    return refuse(file, "only %s is allowed",
                  file->mode == ES_SQL_QUERY ? "SELECT" : "SELECT, INSERT, UPDATE and DELETE");
  }
}

static int count_down(void *data) {
  es_projection_file *file = data;
  return file->budget-- <= 0;
}

void es__projection_sql_arm(es_projection_file *file, es_sql_mode mode) {
  file->budget = mode == ES_SQL_TRUSTED     ? INT64_MAX
                 : mode == ES_SQL_STATEMENT ? STATEMENT_BUDGET
                                            : QUERY_BUDGET;
}

/* es_tenant(): whose rows are seen. No tenant is kept as '', which no tenant's name can be. */
static void sql_tenant(sqlite3_context *context, int count, sqlite3_value **values) {
  const es_projection_file *file = sqlite3_user_data(context);

  (void)count, (void)values;
  if (file->tenant_id.data == NULL)
    sqlite3_result_text(context, "", 0, SQLITE_STATIC);
  else
    sqlite3_result_text64(context, file->tenant_id.data, file->tenant_id.length, SQLITE_TRANSIENT,
                          SQLITE_UTF8);
}

/* es_add(a, b): the sum; NULL adds nothing; an integer that overflows is an error, not a float as with `+`. */
static void sql_add(sqlite3_context *context, int count, sqlite3_value **values) {
  int first = sqlite3_value_type(values[0]), second = sqlite3_value_type(values[1]);
  int64_t sum;

  (void)count;
  if (first == SQLITE_NULL || second == SQLITE_NULL) {
    sqlite3_result_value(context, values[first == SQLITE_NULL ? 1 : 0]);
  } else if (first == SQLITE_INTEGER && second == SQLITE_INTEGER) {
    if (__builtin_add_overflow(sqlite3_value_int64(values[0]), sqlite3_value_int64(values[1]),
                               &sum))
      sqlite3_result_error(context, "the sum is beyond a 64-bit integer", -1);
    else
      sqlite3_result_int64(context, sum);
  } else {
    sqlite3_result_double(context,
                          sqlite3_value_double(values[0]) + sqlite3_value_double(values[1]));
  }
}

int es__projection_sql_install(es_projection_file *file) {
  int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC, code;

  sqlite3_set_authorizer(file->db, authorize, file);
  sqlite3_progress_handler(file->db, BUDGET_STEP, count_down, file);
  es__projection_sql_arm(file, ES_SQL_TRUSTED);
  code = sqlite3_create_function(file->db, "es_tenant", 0, flags | SQLITE_INNOCUOUS, file,
                                 sql_tenant, NULL, NULL);
  if (code == SQLITE_OK)
    code = sqlite3_create_function(file->db, "es_add", 2, flags | SQLITE_DIRECTONLY, file, sql_add,
                                   NULL, NULL);
  return code;
}

const es_projection_column *es__projection_result_column(const es_projection *projection,
                                                         sqlite3_stmt *statement, int index) {
  const char *table = sqlite3_column_table_name(statement, index);
  const char *name = sqlite3_column_origin_name(statement, index);

  if (table == NULL || name == NULL || strncmp(table, "es_rows_", 8) != 0) return NULL;
  for (size_t i = 0; i < projection->table_count; i++) {
    const es_projection_table *one = &projection->tables[i];
    if (strcmp(one->name, table + 8) != 0) continue;
    for (size_t j = 0; j < one->column_count; j++) {
      if (strcmp(one->columns[j].name, name) == 0) return &one->columns[j];
    }
  }
  return NULL;
}

/* ---- trying out a declaration ---- */

static bool has_param(const es_projection_sql *sql, const char *name) {
  for (size_t i = 0; i < sql->param_count; i++) {
    if (strcmp(sql->params[i].name, name) == 0) return true;
  }
  return false;
}

static es_status check_params(sqlite3_stmt *statement, const es_projection_sql *sql,
                              es_error *err) {
  int count = sqlite3_bind_parameter_count(statement), used = 0;

  for (int i = 1; i <= count; i++) {
    const char *name = sqlite3_bind_parameter_name(statement, i);
    if (name == NULL || name[0] != ':')
      return es__fail(err, ES_ERR_LUA, "bad_sql",
                      "parameters must have names such as :limit, not %s", name ? name : "?");
    if (!has_param(sql, name + 1))
      return es__fail(err, ES_ERR_LUA, "bad_sql", "the SQL uses %s, which params does not declare",
                      name);
    used++;
  }
  for (size_t i = 0; (size_t)used != sql->param_count && i < sql->param_count; i++) {
    char name[ES_ERROR_CODE_MAX * 2];
    snprintf(name, sizeof name, ":%s", sql->params[i].name);
    if (sqlite3_bind_parameter_index(statement, name) == 0)
      return es__fail(err, ES_ERR_LUA, "bad_sql", "params declares %s, which the SQL does not use",
                      sql->params[i].name);
  }
  return ES_OK;
}

/* A row becomes an object, so its columns need names of their own. */
static es_status check_columns(sqlite3_stmt *statement, es_error *err) {
  int count = sqlite3_column_count(statement);

  for (int i = 0; i < count; i++) {
    for (int j = 0; j < i; j++) {
      const char *name = sqlite3_column_name(statement, i);
      if (name == NULL || sqlite3_column_name(statement, j) == NULL) return es__no_memory(err);
      if (strcmp(name, sqlite3_column_name(statement, j)) == 0)
        return es__fail(err, ES_ERR_LUA, "bad_sql",
                        "two columns are named %s: give one another name with AS", name);
    }
  }
  return ES_OK;
}

typedef struct placing {
  const es_projection *projection;
  const char *kind, *name;
  char text[ES_ERROR_CODE_MAX * 4]; /* out: "projections/x.lua:12" */
} placing;

static int place_body(lua_State *L) {
  placing *job = lua_touserdata(L, 1);

  lua_rawgeti(L, LUA_REGISTRYINDEX, job->projection->plan_reference);
  lua_getfield(L, -1, "place");
  lua_pushstring(L, job->kind);
  lua_pushstring(L, job->name);
  lua_call(L, 2, 1);
  if (lua_isstring(L, -1)) snprintf(job->text, sizeof job->text, "%s: ", lua_tostring(L, -1));
  return 0;
}

/* Puts in front what the SQL belongs to, with the line of its module. */
static void say_whose(const es_projection *projection, const char *kind, const char *name,
                      es_error *err) {
  placing job = {projection, kind, name, ""};

  es__domain_run(projection->owner->domain, place_body, &job, NULL);
  es__wrap(err, "%sprojection %s: %s.%s", job.text, projection->name, kind, name);
}

/* Whoever watches the modules hears of every text that does not hold. */
static es_status told(es_projection *projection, es_status status, es_error *err) {
  es_modules *modules = projection->owner->modules;
  const es_module *module =
      modules == NULL ? NULL : es__modules_projection(modules, projection->name);

  projection->sql_tried = projection->sql_tried && status == ES_OK;
  return module == NULL ? status : es__modules_told(modules, module->chunk_name, status, err);
}

static es_status try_list(es_projection *projection, es_projection_file *file, const char *kind,
                          es_sql_mode mode, const es_projection_sql *list, size_t count,
                          es_error *err) {
  es_status status = ES_OK;

  for (size_t i = 0; i < count && status == ES_OK; i++) {
    sqlite3_stmt *statement = NULL;
    status = es__projection_file_prepare(&statement, file, list[i].sql, mode, err);
    if (status == ES_OK) status = check_params(statement, &list[i], err);
    if (status == ES_OK) status = check_columns(statement, err);
    sqlite3_finalize(statement);
    if (status != ES_OK) say_whose(projection, kind, list[i].name, err);
    status = told(projection, status, err);
  }
  return status;
}

es_status es__projection_sql_try(es_projection *projection, es_error *err) {
  es_projection_file *file = NULL;
  es_status status;

  if (projection->sql_tried) return ES_OK;
  projection->sql_tried = true; /* until one does not hold */
  status = es__projection_file_open_memory(&file, projection, 0, err);
  if (status != ES_OK) return told(projection, status, err);
  status = try_list(projection, file, "statements", ES_SQL_STATEMENT, projection->statements,
                    projection->statement_count, err);
  if (status == ES_OK)
    status = try_list(projection, file, "queries", ES_SQL_QUERY, projection->queries,
                      projection->query_count, err);
  es__projection_file_close(file);
  return status;
}
