/* projection_plan: reads the plan that lua/es/projection.lua made of a declaration into C structs. Knows Lua tables; no
 * SQL, no files. Everything is owned by the projection at once, because reading a table may raise. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "engine/projection_parts.h"

static void out_of_memory(lua_State *L) {
  es_error err = ES_ERROR_INIT;

  es__no_memory(&err);
  es__domain_raise(L, &err);
}

/* The string field `name` of the table at the top, or NULL. */
static char *string_field(lua_State *L, const char *name) {
  char *copy = NULL;

  if (lua_getfield(L, -1, name) == LUA_TSTRING) {
    copy = strdup(lua_tostring(L, -1));
    if (copy == NULL) out_of_memory(L);
  }
  lua_pop(L, 1);
  return copy;
}

/* Pushes the list field `name` of the table at the top and makes room for its elements; *count grows as they are read, so
 * that a half-read list is freed right. */
static size_t open_list(lua_State *L, const char *name, void **items, size_t item_size) {
  size_t length;

  lua_getfield(L, -1, name);
  length = (size_t)lua_rawlen(L, -1);
  *items = calloc(length > 0 ? length : 1, item_size);
  if (*items == NULL) out_of_memory(L);
  return length;
}

static void read_columns(lua_State *L, const char *field, es_projection_column **columns,
                         size_t *count) {
  size_t length = open_list(L, field, (void **)columns, sizeof **columns);

  for (size_t i = 0; i < length; i++) {
    es_projection_column *column = &(*columns)[(*count)++];
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    column->name = string_field(L, "name");
    lua_getfield(L, -1, "type");
    for (int type = 0; type < ES_COLUMN_TYPES; type++) {
      if (strcmp(es__column_type_name((es_column_type)type), lua_tostring(L, -1)) == 0)
        column->type = (es_column_type)type;
    }
    lua_getfield(L, -2, "optional");
    column->optional = lua_toboolean(L, -1);
    column->has_absent = lua_getfield(L, -3, "absent") == LUA_TNUMBER;
    column->absent = (int64_t)lua_tointeger(L, -1);
    lua_pop(L, 4);
  }
  lua_pop(L, 1);
}

static void read_tables(lua_State *L, es_projection *projection) {
  size_t length = open_list(L, "tables", (void **)&projection->tables, sizeof *projection->tables);

  for (size_t i = 0; i < length; i++) {
    es_projection_table *table = &projection->tables[projection->table_count++];
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    table->name = string_field(L, "name");
    table->get_sql = string_field(L, "get");
    table->put_sql = string_field(L, "put");
    table->add_sql = string_field(L, "add");
    table->add_needs = string_field(L, "add_needs");
    table->delete_sql = string_field(L, "delete");
    lua_getfield(L, -1, "key_count");
    table->key_count = (size_t)lua_tointeger(L, -1);
    lua_pop(L, 1);
    read_columns(L, "columns", &table->columns, &table->column_count);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static void read_sql(lua_State *L, const char *field, es_projection_sql **list, size_t *count) {
  size_t length = open_list(L, field, (void **)list, sizeof **list);

  for (size_t i = 0; i < length; i++) {
    es_projection_sql *one = &(*list)[(*count)++];
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    one->name = string_field(L, "name");
    one->sql = string_field(L, "sql");
    read_columns(L, "params", &one->params, &one->param_count);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

void es__projection_read_plan(lua_State *L, es_projection *projection) {
  luaL_checkstack(L, 10, "reading a projection");
  projection->name = string_field(L, "name");
  projection->schema_sql = string_field(L, "schema");
  projection->session_sql = string_field(L, "session");
  lua_getfield(L, -1, "runtime_events");
  projection->runtime_events = lua_toboolean(L, -1);
  lua_pop(L, 1);
  read_tables(L, projection);
  read_sql(L, "statements", &projection->statements, &projection->statement_count);
  read_sql(L, "queries", &projection->queries, &projection->query_count);
}

static void free_columns(es_projection_column *columns, size_t count) {
  for (size_t i = 0; i < count; i++)
    free(columns[i].name);
  free(columns);
}

static void free_sql(es_projection_sql *list, size_t count) {
  for (size_t i = 0; i < count; i++) {
    free(list[i].name);
    free(list[i].sql);
    free_columns(list[i].params, list[i].param_count);
  }
  free(list);
}

void es__projection_free(es_projection *projection) {
  if (projection == NULL) return;
  es__projection_file_close(projection->file);
  for (size_t i = 0; i < projection->table_count; i++) {
    es_projection_table *table = &projection->tables[i];
    free(table->name);
    free(table->get_sql);
    free(table->put_sql);
    free(table->add_sql);
    free(table->add_needs);
    free(table->delete_sql);
    free_columns(table->columns, table->column_count);
  }
  free(projection->tables);
  free_sql(projection->statements, projection->statement_count);
  free_sql(projection->queries, projection->query_count);
  free(projection->name);
  free(projection->schema_sql);
  free(projection->session_sql);
  free(projection);
}
