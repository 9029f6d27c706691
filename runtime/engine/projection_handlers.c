/* projection_handlers: `t`, what a projection's handlers write with: one object for each declared table (get, put, add, delete)
 * and one method for each declared statement. Knows Lua and the file that is being written; no store and no manifest.
 *
 * Everything here may raise into Lua, so nothing is held across calls: statements belong to the file, are reset before each use
 * and after a failed span, and JSON on its way into a column stands in the file's scratch. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "engine/projection_parts.h"

#define TABLE_CLASS "es.projection.table"
#define HANDLE_CLASS "es.projection.handle"

enum { STATEMENT_ROWS_MAX = 10000 };

/* What userdata of both classes hold. */
typedef struct handle {
  es_projection *projection;
  size_t table; /* of a table object */
} handle;

static es_projection_file *running_file(lua_State *L, const es_projection *projection) {
  if (projection->running == NULL)
    luaL_error(L, "the tables of projection %s can be used only while its handler runs",
               projection->name);
  return projection->running;
}

/* Raises what SQLite says: the handler's fault if it broke a rule of the table, else the file's. */
static void raise_sqlite(lua_State *L, es_projection_file *file, const char *what, int code) {
  char message[ES_ERROR_HINT_MAX];

  snprintf(message, sizeof message, "%s",
           code == SQLITE_INTERRUPT ? "the statement takes too long" : sqlite3_errmsg(file->db));
  switch (code & 0xff) {
  case SQLITE_CONSTRAINT:
  case SQLITE_ERROR:
  case SQLITE_MISMATCH:
  case SQLITE_TOOBIG:
  case SQLITE_RANGE:
  case SQLITE_INTERRUPT:
    luaL_error(L, "%s: %s", what, message);
  }
  file->failed = true;
  es__projection_sqlite_error(file->db, code, file->projection->name, &file->error);
  es__domain_raise(L, &file->error);
}

/* The prepared statement of a slot, ready for binding. */
static sqlite3_stmt *ready(lua_State *L, es_projection_file *file, size_t slot, const char *sql,
                           es_sql_mode mode) {
  es_error err = ES_ERROR_INIT;

  /* A handler may go on after an error that took the transaction with it; what it wrote now would be kept on its own. */
  if (sqlite3_get_autocommit(file->db)) luaL_error(L, "an earlier error undid what was written");
  if (file->calls[slot] == NULL &&
      es__projection_file_prepare(&file->calls[slot], file, sql, mode, &err) != ES_OK)
    es__domain_raise(L, &err);
  sqlite3_reset(file->calls[slot]);
  sqlite3_clear_bindings(file->calls[slot]);
  es__projection_sql_arm(file, mode);
  return file->calls[slot];
}

/* Runs a statement that answers no rows; returns how many it changed, those changed through a view's triggers too. */
static int64_t run_write(lua_State *L, es_projection_file *file, sqlite3_stmt *statement,
                         const char *what) {
  int64_t before = sqlite3_total_changes64(file->db);
  int code = sqlite3_step(statement);

  if (code != SQLITE_DONE) {
    /* reset gives the extended code, and errmsg stays */
    int extended = sqlite3_reset(statement);
    raise_sqlite(L, file, what, extended == SQLITE_OK ? SQLITE_ERROR : extended);
  }
  sqlite3_reset(statement);
  return sqlite3_total_changes64(file->db) - before;
}

/* ---- tables ---- */

static const es_projection_column *find_column(const es_projection_table *table, const char *name) {
  for (size_t i = 0; i < table->column_count; i++) {
    if (strcmp(table->columns[i].name, name) == 0) return &table->columns[i];
  }
  return NULL;
}

/* Raises unless the table at `index` has only names of columns first..last-1, which `role` describes. */
static void check_names(lua_State *L, int index, const es_projection_table *table, size_t first,
                        size_t last, const char *method, const char *role) {
  if (!lua_istable(L, index)) {
    luaL_error(L, "%s:%s expects a table of %s, got %s", table->name, method, role,
               luaL_typename(L, index));
  }
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "%s:%s expects a table of %s by name", table->name, method, role);
    const es_projection_column *column = find_column(table, lua_tostring(L, -1));
    if (column == NULL) luaL_error(L, "%s has no column %s", table->name, lua_tostring(L, -1));
    if (column < table->columns + first || column >= table->columns + last)
      luaL_error(L, "%s:%s: %s is not one of %s", table->name, method, column->name, role);
  }
}

static void bind_columns(lua_State *L, int index, es_projection_file *file, sqlite3_stmt *statement,
                         const es_projection_table *table, size_t first, size_t last) {
  for (size_t i = first; i < last; i++) {
    lua_getfield(L, index, table->columns[i].name);
    es__column_bind_lua(L, -1, file, statement, (int)i + 1, &table->columns[i], table->name);
    lua_pop(L, 1);
  }
}

/* The arguments every method begins with: the table object and a table of its columns. */
static const es_projection_table *open_call(lua_State *L, es_projection_file **file, size_t *slot,
                                            const char *method) {
  const handle *self = luaL_testudata(L, 1, TABLE_CLASS);

  if (self == NULL) luaL_error(L, "call it with a colon: t.name:%s{…}", method);
  *file = running_file(L, self->projection);
  *slot = self->table * ES_TABLE_CALLS;
  lua_settop(L, 3);
  es__domain_unwrap(L, 2);
  es__domain_unwrap(L, 3);
  return &self->projection->tables[self->table];
}

static sqlite3_stmt *ready_by_key(lua_State *L, es_projection_file *file,
                                  const es_projection_table *table, size_t slot, const char *sql,
                                  const char *method) {
  sqlite3_stmt *statement = ready(L, file, slot, sql, ES_SQL_TRUSTED);

  check_names(L, 2, table, 0, table->key_count, method, "the key's columns");
  bind_columns(L, 2, file, statement, table, 0, table->key_count);
  return statement;
}

/* t.name:get(key) -> row or nil */
static int table_get(lua_State *L) {
  es_projection_file *file;
  size_t slot;
  const es_projection_table *table = open_call(L, &file, &slot, "get");
  sqlite3_stmt *statement =
      ready_by_key(L, file, table, slot + ES_TABLE_GET, table->get_sql, "get");
  int code = sqlite3_step(statement);

  if (code == SQLITE_DONE) {
    sqlite3_reset(statement);
    lua_pushnil(L);
    return 1;
  }
  if (code != SQLITE_ROW) raise_sqlite(L, file, table->name, code);
  lua_createtable(L, 0, (int)table->column_count);
  for (size_t i = 0; i < table->column_count; i++) {
    es__column_push_lua(L, statement, (int)i, &table->columns[i]);
    lua_setfield(L, -2, table->columns[i].name);
  }
  sqlite3_reset(statement);
  return 1;
}

/* t.name:put(row): the whole row, new or in place of the one with its key */
static int table_put(lua_State *L) {
  es_projection_file *file;
  size_t slot;
  const es_projection_table *table = open_call(L, &file, &slot, "put");
  sqlite3_stmt *statement = ready(L, file, slot + ES_TABLE_PUT, table->put_sql, ES_SQL_TRUSTED);

  check_names(L, 2, table, 0, table->column_count, "put", "its columns");
  bind_columns(L, 2, file, statement, table, 0, table->column_count);
  run_write(L, file, statement, table->name);
  return 0;
}

/* t.name:add(key, deltas): adds to numbers, from zero when there is no row yet */
static int table_add(lua_State *L) {
  es_projection_file *file;
  size_t slot;
  const es_projection_table *table = open_call(L, &file, &slot, "add");
  sqlite3_stmt *statement;

  if (table->add_sql == NULL) return luaL_error(L, "%s has no number to add to", table->name);
  statement = ready_by_key(L, file, table, slot + ES_TABLE_ADD, table->add_sql, "add");
  check_names(L, 3, table, table->key_count, table->column_count, "add",
              "the columns outside the key");
  lua_pushnil(L);
  while (lua_next(L, 3) != 0) {
    const es_projection_column *column = find_column(table, lua_tostring(L, -2));
    if (column->type != ES_COLUMN_INTEGER && column->type != ES_COLUMN_NUMBER)
      luaL_error(L, "%s.%s is a %s: add is for numbers", table->name, column->name,
                 es__column_type_name(column->type));
    es__column_bind_lua(L, -1, file, statement, (int)(column - table->columns) + 1, column,
                        table->name);
    lua_pop(L, 1);
  }
  if (run_write(L, file, statement, table->name) == 0)
    luaL_error(L, "%s has no such row to add to, and add cannot make one without %s: put it first",
               table->name, table->add_needs);
  return 0;
}

/* t.name:delete(key) -> was there one? */
static int table_delete(lua_State *L) {
  es_projection_file *file;
  size_t slot;
  const es_projection_table *table = open_call(L, &file, &slot, "delete");
  sqlite3_stmt *statement =
      ready_by_key(L, file, table, slot + ES_TABLE_DELETE, table->delete_sql, "delete");

  lua_pushboolean(L, run_write(L, file, statement, table->name) > 0);
  return 1;
}

/* ---- statements ---- */

static void check_param_names(lua_State *L, int index, const es_projection_sql *sql) {
  if (lua_isnoneornil(L, index)) return;
  if (!lua_istable(L, index))
    luaL_error(L, "t:%s expects a table of parameters, got %s", sql->name, luaL_typename(L, index));
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    bool known = false;
    lua_pop(L, 1);
    for (size_t i = 0; i < sql->param_count && lua_type(L, -1) == LUA_TSTRING; i++)
      known = known || strcmp(sql->params[i].name, lua_tostring(L, -1)) == 0;
    if (!known) luaL_error(L, "t:%s has no parameter %s", sql->name, luaL_tolstring(L, -1, NULL));
  }
}

static int push_rows(lua_State *L, const es_projection *projection, es_projection_file *file,
                     sqlite3_stmt *statement, const es_projection_sql *sql) {
  int columns = sqlite3_column_count(statement), code;

  lua_newtable(L);
  es__lua_push_array_metatable(L);
  lua_setmetatable(L, -2);
  for (lua_Integer row = 1; (code = sqlite3_step(statement)) == SQLITE_ROW; row++) {
    if (row > STATEMENT_ROWS_MAX)
      luaL_error(L, "t:%s answers more than %d rows", sql->name, STATEMENT_ROWS_MAX);
    lua_createtable(L, 0, columns);
    for (int i = 0; i < columns; i++) {
      es__column_push_lua(L, statement, i, es__projection_result_column(projection, statement, i));
      lua_setfield(L, -2, sqlite3_column_name(statement, i));
    }
    lua_rawseti(L, -2, row);
  }
  if (code != SQLITE_DONE) raise_sqlite(L, file, sql->name, code);
  sqlite3_reset(statement);
  return 1;
}

/* t:name{ params } -> rows of a SELECT, else how many rows it changed */
static int call_statement(lua_State *L) {
  const handle *self = luaL_testudata(L, 1, HANDLE_CLASS);
  size_t index = (size_t)lua_tointeger(L, lua_upvalueindex(1));
  const es_projection *projection = lua_touserdata(L, lua_upvalueindex(2));
  const es_projection_sql *sql = &projection->statements[index];
  es_projection_file *file = running_file(L, projection);
  sqlite3_stmt *statement;

  if (self == NULL) luaL_error(L, "call it with a colon: t:%s{…}", sql->name);
  lua_settop(L, 2);
  es__domain_unwrap(L, 2);
  check_param_names(L, 2, sql);
  statement =
      ready(L, file, projection->table_count * ES_TABLE_CALLS + index, sql->sql, ES_SQL_STATEMENT);
  for (size_t i = 0; i < sql->param_count; i++) {
    char name[ES_ERROR_CODE_MAX * 2];
    snprintf(name, sizeof name, ":%s", sql->params[i].name);
    if (lua_istable(L, 2))
      lua_getfield(L, 2, sql->params[i].name);
    else
      lua_pushnil(L);
    es__column_bind_lua(L, -1, file, statement, sqlite3_bind_parameter_index(statement, name),
                        &sql->params[i], sql->name);
    lua_pop(L, 1);
  }
  if (sqlite3_column_count(statement) > 0) return push_rows(L, projection, file, statement, sql);
  lua_pushinteger(L, run_write(L, file, statement, sql->name));
  return 1;
}

/* ---- t ---- */

static int refuse_assignment(lua_State *L) {
  return luaL_error(L,
                    "t and its tables are read-only: write with put, add, delete or a statement");
}

/* t.NAME. The members stand in the userdata's user value. */
static int handle_index(lua_State *L) {
  const handle *self = luaL_checkudata(L, 1, HANDLE_CLASS);
  es_projection *projection = self->projection;
  luaL_Buffer names;

  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, -2) != LUA_TNIL) return 1;
  luaL_buffinit(L, &names);
  for (size_t i = 0; i < projection->table_count; i++) {
    luaL_addstring(&names, i == 0 ? "" : ", ");
    luaL_addstring(&names, projection->tables[i].name);
  }
  for (size_t i = 0; i < projection->statement_count; i++) {
    luaL_addstring(&names, i == 0 && projection->table_count == 0 ? "" : ", ");
    luaL_addstring(&names, projection->statements[i].name);
  }
  luaL_pushresult(&names);
  luaL_tolstring(L, 2, NULL);
  return luaL_error(L, "projection %s has no table or statement %s (there are: %s)",
                    projection->name, lua_tostring(L, -1), lua_tostring(L, -2));
}

/* Pushes the metatable of a class, made when first needed. */
static void push_class(lua_State *L, const char *name, lua_CFunction index) {
  static const luaL_Reg methods[] = {{"get", table_get},
                                     {"put", table_put},
                                     {"add", table_add},
                                     {"delete", table_delete},
                                     {NULL, NULL}};

  if (luaL_newmetatable(L, name)) {
    if (index != NULL)
      lua_pushcfunction(L, index);
    else
      luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_assignment);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
  }
}

void es__projection_push_handle(lua_State *L, es_projection *projection) {
  handle *self = lua_newuserdatauv(L, sizeof *self, 1);

  *self = (handle){projection, 0};
  push_class(L, HANDLE_CLASS, handle_index);
  lua_setmetatable(L, -2);
  lua_newtable(L);
  for (size_t i = 0; i < projection->table_count; i++) {
    handle *table = lua_newuserdatauv(L, sizeof *table, 0);
    *table = (handle){projection, i};
    push_class(L, TABLE_CLASS, NULL);
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, projection->tables[i].name);
  }
  for (size_t i = 0; i < projection->statement_count; i++) {
    lua_pushinteger(L, (lua_Integer)i);
    lua_pushlightuserdata(L, projection);
    lua_pushcclosure(L, call_statement, 2);
    lua_setfield(L, -2, projection->statements[i].name);
  }
  lua_setiuservalue(L, -2, 1);
}
