/* projection_values: values between Lua, JSON and SQLite's columns, by declared type. Knows no tables and no files.
 *
 * Times and UUIDs are kept in one text form, so that SQL compares and orders them as what they are. */
#include <inttypes.h>
#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "base/id.h"
#include "base/utf8.h"
#include "engine/projection_parts.h"
#include "json/writer.h"

const char *es__column_type_name(es_column_type type) {
  static const char *const names[] = {
#define ES_COLUMN_NAME(constant, name) name,
      ES_COLUMN_TABLE(ES_COLUMN_NAME)
#undef ES_COLUMN_NAME
  };
  return names[type];
}

static bool is_json(es_column_type type) {
  return type == ES_COLUMN_LIST || type == ES_COLUMN_TABLE_VALUE || type == ES_COLUMN_ANY;
}

static int bind_text(sqlite3_stmt *statement, int parameter, const char *text, size_t length) {
  return sqlite3_bind_text64(statement, parameter, text, length, SQLITE_TRANSIENT, SQLITE_UTF8);
}

/* Binds text of a string, uuid or timestamp; false when it is not one. *code is SQLite's. */
static bool bind_parsed(int *code, sqlite3_stmt *statement, int parameter, es_column_type type,
                        const char *text, size_t length) {
  uint8_t id[ES_ID_SIZE];
  char normal[ES_ID_TEXT_SIZE > ES_TIME_TEXT_SIZE ? ES_ID_TEXT_SIZE : ES_TIME_TEXT_SIZE];
  int64_t time;

  switch (type) {
  case ES_COLUMN_STRING:
    if (!es__utf8_valid(text, length)) return false;
    *code = bind_text(statement, parameter, text, length);
    return true;
  case ES_COLUMN_UUID:
    if (!es__id_parse_counted(id, text, length)) return false;
    es_id_text(normal, id);
    break;
  default:
    if (strlen(text) != length || !es_time_parse(&time, text)) return false;
    es_time_text(normal, time);
  }
  *code = bind_text(statement, parameter, normal, strlen(normal));
  return true;
}

/* ---- from Lua ---- */

static void raise_type(lua_State *L, int index, const es_projection_column *column,
                       const char *what) {
  const char *got = luaL_typename(L, index);

  if (lua_type(L, index) == LUA_TNUMBER) got = lua_isinteger(L, index) ? "an integer" : "a float";
  if (lua_type(L, index) == LUA_TSTRING) {
    luaL_error(L, "%s.%s expects %s, got the string %s", what, column->name,
               es__column_type_name(column->type), luaL_tolstring(L, index, NULL));
  }
  luaL_error(L, "%s.%s expects %s, got %s", what, column->name, es__column_type_name(column->type),
             got);
}

static int bind_json_text(lua_State *L, int index, es_projection_file *file,
                          sqlite3_stmt *statement, int parameter,
                          const es_projection_column *column, const char *what) {
  const es_buf *json = &file->scratch;

  if (column->type != ES_COLUMN_ANY && !lua_istable(L, index) && !lua_isuserdata(L, index))
    raise_type(L, index, column, what);
  es__buf_clear(&file->scratch);
  es__lua_write_json(L, index, &file->scratch, column->name);
  if (json->failed) return SQLITE_NOMEM;
  if (column->type == ES_COLUMN_LIST) {
    /* An empty plain table is an object in JSON; here the declaration says that it is a list. */
    if (json->length == 2 && json->data[0] == '{') return bind_text(statement, parameter, "[]", 2);
    if (json->data[0] != '[')
      luaL_error(L, "%s.%s expects list, got a table with names", what, column->name);
  }
  return bind_text(statement, parameter, json->data, json->length);
}

void es__column_bind_lua(lua_State *L, int index, es_projection_file *file, sqlite3_stmt *statement,
                         int parameter, const es_projection_column *column, const char *what) {
  int type = lua_type(L, index), code = SQLITE_OK;

  index = lua_absindex(L, index);
  if (type == LUA_TNIL || type == LUA_TNONE || (es__lua_is_null(L, index) && column->optional)) {
    if (!column->optional)
      luaL_error(L, "%s.%s is missing (%s)", what, column->name,
                 es__column_type_name(column->type));
    if (column->has_absent) sqlite3_bind_int64(statement, parameter, column->absent);
    return; /* unbound is NULL */
  }
  switch (column->type) {
  case ES_COLUMN_INTEGER:
    if (!lua_isinteger(L, index)) raise_type(L, index, column, what);
    code = sqlite3_bind_int64(statement, parameter, lua_tointeger(L, index));
    break;
  case ES_COLUMN_NUMBER:
    if (type != LUA_TNUMBER) raise_type(L, index, column, what);
    if (!isfinite(lua_tonumber(L, index)))
      luaL_error(L, "%s.%s must be finite", what, column->name);
    code = sqlite3_bind_double(statement, parameter, lua_tonumber(L, index));
    break;
  case ES_COLUMN_BOOLEAN:
    if (type != LUA_TBOOLEAN) raise_type(L, index, column, what);
    code = sqlite3_bind_int(statement, parameter, lua_toboolean(L, index));
    break;
  case ES_COLUMN_STRING:
  case ES_COLUMN_UUID:
  case ES_COLUMN_TIMESTAMP: {
    size_t length;
    const char *text = type == LUA_TSTRING ? lua_tolstring(L, index, &length) : NULL;
    if (text == NULL || !bind_parsed(&code, statement, parameter, column->type, text, length))
      raise_type(L, index, column, what);
    break;
  }
  default:
    code = bind_json_text(L, index, file, statement, parameter, column, what);
  }
  if (code != SQLITE_OK) luaL_error(L, "%s.%s: %s", what, column->name, sqlite3_errstr(code));
}

void es__column_push_lua(lua_State *L, sqlite3_stmt *statement, int index,
                         const es_projection_column *column) {
  const char *text;

  switch (sqlite3_column_type(statement, index)) {
  case SQLITE_NULL:
    lua_pushnil(L);
    return;
  case SQLITE_INTEGER:
    if (column != NULL && column->type == ES_COLUMN_BOOLEAN)
      lua_pushboolean(L, sqlite3_column_int(statement, index));
    else
      lua_pushinteger(L, sqlite3_column_int64(statement, index));
    return;
  case SQLITE_FLOAT:
    lua_pushnumber(L, sqlite3_column_double(statement, index));
    return;
  default:
    text = (const char *)sqlite3_column_text(statement, index);
    if (column != NULL && is_json(column->type))
      es__lua_push_json(L, text, (size_t)sqlite3_column_bytes(statement, index));
    else
      lua_pushlstring(L, text, (size_t)sqlite3_column_bytes(statement, index));
  }
}

/* ---- JSON ---- */

static const char *json_kind_name(es_json_kind kind) {
  switch (kind) {
  case ES_JSON_NULL:
    return "null";
  case ES_JSON_FALSE:
  case ES_JSON_TRUE:
    return "a boolean";
  case ES_JSON_INTEGER:
    return "an integer";
  case ES_JSON_DOUBLE:
    return "a number with a fraction";
  case ES_JSON_STRING:
    return "the string ";
  case ES_JSON_ARRAY_BEGIN:
    return "a list";
  default:
    return "an object";
  }
}

static bool bind_json_value(int *code, sqlite3_stmt *statement, int parameter,
                            const es_projection_column *column, const es_json_value *value) {
  switch (column->type) {
  case ES_COLUMN_INTEGER:
    if (value->kind != ES_JSON_INTEGER) return false;
    *code = sqlite3_bind_int64(statement, parameter, value->integer);
    return true;
  case ES_COLUMN_NUMBER:
    if (value->kind != ES_JSON_INTEGER && value->kind != ES_JSON_DOUBLE) return false;
    *code =
        sqlite3_bind_double(statement, parameter,
                            value->kind == ES_JSON_DOUBLE ? value->number : (double)value->integer);
    return true;
  case ES_COLUMN_BOOLEAN:
    if (value->kind != ES_JSON_TRUE && value->kind != ES_JSON_FALSE) return false;
    *code = sqlite3_bind_int(statement, parameter, value->kind == ES_JSON_TRUE);
    return true;
  case ES_COLUMN_STRING:
  case ES_COLUMN_UUID:
  case ES_COLUMN_TIMESTAMP: {
    char text[ES_TIME_TEXT_SIZE * 2]; /* times and ids are parsed from NUL-terminated text */
    if (value->kind != ES_JSON_STRING) return false;
    if (column->type == ES_COLUMN_STRING)
      return bind_parsed(code, statement, parameter, column->type, value->text.data,
                         value->text.length);
    if (value->text.length >= sizeof text) return false;
    memcpy(text, value->text.data, value->text.length);
    text[value->text.length] = '\0';
    return bind_parsed(code, statement, parameter, column->type, text, value->text.length);
  }
  default: {
    es_buf json = {0};
    if (column->type == ES_COLUMN_LIST && value->kind != ES_JSON_ARRAY_BEGIN) return false;
    if (column->type == ES_COLUMN_TABLE_VALUE && value->kind != ES_JSON_ARRAY_BEGIN &&
        value->kind != ES_JSON_OBJECT_BEGIN)
      return false;
    es__json_write_value(&json, value);
    *code = json.failed ? SQLITE_NOMEM : bind_text(statement, parameter, json.data, json.length);
    es__buf_free(&json);
    return true;
  }
  }
}

es_status es__column_bind_json(sqlite3_stmt *statement, int parameter,
                               const es_projection_column *column, const es_json_value *value,
                               es_error *err) {
  int code = SQLITE_OK;

  if (value == NULL || (value->kind == ES_JSON_NULL && column->optional)) {
    if (!column->optional) {
      return es__fail(err, ES_ERR_USAGE, "missing_parameter", "parameter %s is missing (%s)",
                      column->name, es__column_type_name(column->type));
    }
    if (column->has_absent) sqlite3_bind_int64(statement, parameter, column->absent);
    return ES_OK; /* unbound is NULL */
  }
  if (!bind_json_value(&code, statement, parameter, column, value)) {
    bool text = value->kind == ES_JSON_STRING;
    es__fail(err, ES_ERR_USAGE, "bad_parameter", "parameter %s expects %s, got %s%.*s",
             column->name, es__column_type_name(column->type), json_kind_name(value->kind),
             text ? (int)(value->text.length < 64 ? value->text.length : 64) : 0,
             text ? value->text.data : "");
    return ES_ERR_USAGE;
  }
  if (code != SQLITE_OK)
    return es__fail(err, ES_ERR_STORE, "sqlite", "parameter %s: %s", column->name,
                    sqlite3_errstr(code));
  return ES_OK;
}

bool es__column_write_json(es_buf *out, sqlite3_stmt *statement, int index,
                           const es_projection_column *column) {
  const char *text;

  switch (sqlite3_column_type(statement, index)) {
  case SQLITE_NULL:
    es__buf_text(out, "null");
    return true;
  case SQLITE_INTEGER:
    if (column != NULL && column->type == ES_COLUMN_BOOLEAN)
      es__buf_text(out, sqlite3_column_int(statement, index) ? "true" : "false");
    else
      es__json_write_integer(out, sqlite3_column_int64(statement, index));
    return true;
  case SQLITE_FLOAT:
    return es__json_write_double(out, sqlite3_column_double(statement, index));
  case SQLITE_TEXT: {
    text = (const char *)sqlite3_column_text(statement, index);
    size_t length = (size_t)sqlite3_column_bytes(statement, index);
    if (column != NULL && is_json(column->type)) {
      es__buf_add(out, text, length);
      return true;
    }
    if (!es__utf8_valid(text, length)) return false;
    es__json_write_string(out, text, length);
    return true;
  }
  default:
    return false;
  }
}
