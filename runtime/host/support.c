/* support: failures as values, memory that the collector frees, JSON in and out, callbacks that never raise over C. */
#include <limits.h>
#include <string.h>

#include "host/host.h"
#include "lua/domain.h"

#define BUFFER "esrun.buffer"
#define TEXT "esrun.text"
#define ERROR "es.error" /* what the codec raises; the name is lua/domain.c's */

/* ---- Failures ---- */

static void set_text(lua_State *L, const char *name, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

int host_fail(lua_State *L, const es_error *err) {
  luaL_checkstack(L, 6, NULL);
  lua_pushnil(L);
  lua_pushstring(L, err->message);
  lua_pushstring(L, err->code[0] != '\0' ? err->code : es_status_name(err->status));
  lua_createtable(L, 0, 6);
  set_text(L, "status", es_status_name(err->status));
  set_integer(L, "exit_status", err->status);
  if (err->hint[0] != '\0') set_text(L, "hint", err->hint);
  if (err->expected_version >= 0) set_integer(L, "expected_version", err->expected_version);
  if (err->actual_version >= 0) set_integer(L, "actual_version", err->actual_version);
  if (err->position > 0) set_integer(L, "position", err->position);
  return 4;
}

static int error_text(lua_State *L) {
  const es_error *err = luaL_checkudata(L, 1, ERROR);
  lua_pushstring(L, err->message);
  return 1;
}

/* ---- Boxes ---- */

static int free_buffer(lua_State *L) {
  es_buf *buffer = luaL_checkudata(L, 1, BUFFER);
  es_free(buffer->data);
  *buffer = (es_buf){0};
  return 0;
}

static int free_text(lua_State *L) {
  char **text = luaL_checkudata(L, 1, TEXT);
  es_free(*text);
  *text = NULL;
  return 0;
}

es_buf *host_push_buffer(lua_State *L) {
  es_buf *buffer = lua_newuserdatauv(L, sizeof *buffer, 0);
  *buffer = (es_buf){0};
  luaL_setmetatable(L, BUFFER);
  return buffer;
}

char **host_push_text(lua_State *L) {
  char **text = lua_newuserdatauv(L, sizeof *text, 0);
  *text = NULL;
  luaL_setmetatable(L, TEXT);
  return text;
}

static void collected(lua_State *L, const char *name, const char *event, lua_CFunction function) {
  luaL_newmetatable(L, name);
  lua_pushcfunction(L, function);
  lua_setfield(L, -2, event);
  lua_pop(L, 1);
}

void host_support_open(lua_State *L) {
  collected(L, BUFFER, "__gc", free_buffer);
  collected(L, TEXT, "__gc", free_text);
  collected(L, ERROR, "__tostring", error_text);
}

/* ---- JSON ---- */

/* Turns what a protected codec call raised (at the top, popped) into *err. */
static es_status take_error(lua_State *L, es_error *err) {
  const es_error *raised = luaL_testudata(L, -1, ERROR);

  if (raised != NULL) {
    *err = *raised;
  } else {
    const char *message = lua_tostring(L, -1);
    size_t length = message == NULL ? 0 : strlen(message);
    if (length >= sizeof err->message) length = sizeof err->message - 1;
    *err = (es_error)ES_ERROR_INIT;
    err->status = ES_ERR_OTHER;
    memcpy(err->message, message == NULL ? "" : message, length);
    memcpy(err->code, "error", sizeof "error");
  }
  lua_pop(L, 1);
  return err->status;
}

typedef struct json_call {
  es_buf *out;
  const char *root;
  const char *text;
  size_t length;
  bool own;
} json_call;

static int write_body(lua_State *L) {
  json_call *call = lua_touserdata(L, 2);
  es__lua_write_json(L, 1, call->out, call->root);
  return 0;
}

es_status host_write_json(lua_State *L, int index, es_buf *out, const char *root, es_error *err) {
  json_call call = {.out = out, .root = root};

  index = lua_absindex(L, index);
  lua_pushcfunction(L, write_body);
  lua_pushvalue(L, index);
  lua_pushlightuserdata(L, &call);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) return take_error(L, err);
  if (out->failed) return host_error(L, "out of memory");
  return ES_OK;
}

static int read_body(lua_State *L) {
  json_call *call = lua_touserdata(L, 1);
  if (call->own)
    es__lua_push_own_json(L, call->text, call->length);
  else
    es__lua_push_json(L, call->text, call->length);
  return 1;
}

static es_status read_json(lua_State *L, json_call call, es_error *err) {
  lua_pushcfunction(L, read_body);
  lua_pushlightuserdata(L, &call);
  return lua_pcall(L, 1, 1, 0) == LUA_OK ? ES_OK : take_error(L, err);
}

es_status host_read_json(lua_State *L, const char *text, size_t length, es_error *err) {
  return read_json(L, (json_call){.text = text, .length = length}, err);
}

es_status host_read_own_json(lua_State *L, const char *text, size_t length, es_error *err) {
  return read_json(L, (json_call){.text = text, .length = length, .own = true}, err);
}

int host_push_result(lua_State *L, es_status status, char *const *box, bool as_text,
                     const es_error *err) {
  es_error unreadable = ES_ERROR_INIT;

  if (status != ES_OK) return host_fail(L, err);
  if (as_text) {
    lua_pushstring(L, *box);
    return 1;
  }
  status = host_read_own_json(L, *box, strlen(*box), &unreadable);
  return status == ES_OK ? 1 : host_fail(L, &unreadable);
}

void host_drop_nulls(lua_State *L) {
  int table = lua_gettop(L);

  lua_pushnil(L);
  while (lua_next(L, table)) {
    bool is_null = es__lua_is_null(L, -1);
    lua_pop(L, 1);
    if (!is_null) continue;
    lua_pushvalue(L, -1);
    lua_pushnil(L);
    lua_rawset(L, table); /* assigning nil to a member is allowed while traversing */
  }
}

/* ---- Arguments ---- */

static bool is_own(const lua_Debug *function) {
  return strncmp(function->short_src, "lua/esrun/", 10) == 0 &&
         strncmp(function->short_src, "lua/esrun/cli/", 14) != 0;
}

int host_error(lua_State *L, const char *format, ...) {
  lua_Debug function;
  va_list args;
  int level = 1;

  while (lua_getstack(L, level, &function) && lua_getinfo(L, "S", &function) != 0 &&
         (function.what[0] == 'C' || is_own(&function)))
    level++;
  luaL_where(L, level);
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  lua_concat(L, 2);
  return lua_error(L);
}

void host_check_type(lua_State *L, int index, int type) {
  lua_Debug called;

  if (lua_type(L, index) == type) return;
  bool named = lua_getstack(L, 0, &called) && lua_getinfo(L, "n", &called) && called.name != NULL;
  host_error(L, "%s%s%s expected, got %s", named ? called.name : "", named ? ": " : "",
             lua_typename(L, type), luaL_typename(L, index));
}

const char *host_check_text(lua_State *L, int index) {
  size_t length;
  const char *text;

  if (!lua_isstring(L, index)) host_check_type(L, index, LUA_TSTRING);
  text = lua_tolstring(L, index, &length);
  if (strlen(text) != length) host_error(L, "the text has a NUL byte");
  return text;
}

const char *host_text(lua_State *L, int index, const char *name) {
  size_t length;
  const char *text;

  luaL_checkstack(L, 2, NULL);
  switch (lua_getfield(L, index, name)) {
  case LUA_TNIL:
    return NULL;
  case LUA_TLIGHTUSERDATA:
    if (lua_touserdata(L, -1) == (const void *)es_none) return ES_NONE;
    break;
  case LUA_TSTRING:
    text = lua_tolstring(L, -1, &length);
    if (strlen(text) != length) host_error(L, "%s: the text has a NUL byte", name);
    return text;
  default:
    break;
  }
  host_error(L, "%s: string expected, got %s", name, luaL_typename(L, -1));
  return NULL;
}

int64_t host_integer(lua_State *L, int index, const char *name, int64_t absent) {
  int is_integer = 0;
  int64_t value = absent;

  if (lua_getfield(L, index, name) != LUA_TNIL) {
    value = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer) host_error(L, "%s: integer expected, got %s", name, luaL_typename(L, -1));
  }
  lua_pop(L, 1);
  return value;
}

int64_t host_time(lua_State *L, int index, const char *name) {
  const char *text;
  int64_t time_us = 0;

  if (lua_getfield(L, index, name) == LUA_TNUMBER) {
    lua_pop(L, 1);
    return host_integer(L, index, name, 0);
  }
  lua_pop(L, 1);
  text = host_text(L, index, name);
  if (text == NULL) return 0;
  if (!es_time_parse(&time_us, text)) {
    host_error(L, "%s: \"%s\" is not an RFC 3339 time such as 2026-01-31T12:00:00Z", name, text);
  }
  return time_us;
}

int host_int(lua_State *L, int index, const char *name, int absent) {
  int64_t value = host_integer(L, index, name, absent);

  if (value < INT_MIN || value > INT_MAX) host_error(L, "%s: the number is out of range", name);
  return (int)value;
}

bool host_flag(lua_State *L, int index, const char *name) {
  bool value;

  lua_getfield(L, index, name);
  if (!lua_isnil(L, -1) && !lua_isboolean(L, -1)) {
    host_error(L, "%s: boolean expected, got %s", name, luaL_typename(L, -1));
  }
  value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

/* ---- Callbacks ---- */

void host_callback_begin(host_callback *callback, lua_State *L, int index, const char *name) {
  *callback = (host_callback){.L = L};
  luaL_checkstack(L, 8, NULL);
  if (lua_istable(L, index) && lua_getfield(L, index, name) != LUA_TNIL) {
    if (!lua_isfunction(L, -1)) host_error(L, "%s: function expected", name);
    callback->function = lua_gettop(L);
  }
  lua_pushnil(L);
  callback->error = lua_gettop(L);
}

typedef struct prepared {
  lua_CFunction prepare;
  void *data;
} prepared;

/* Protected, since pushing a string can fail. Arguments: the function, light userdata of `prepared`. */
static int call_body(lua_State *L) {
  const prepared *call = lua_touserdata(L, 2);
  int arguments;

  lua_settop(L, 1);
  lua_pushlightuserdata(L, call->data);
  arguments = call->prepare(L);
  lua_remove(L, 2);
  lua_call(L, arguments, 1);
  return 1;
}

bool host_callback_call(host_callback *callback, lua_CFunction prepare, void *data) {
  lua_State *L = callback->L;
  prepared call = {prepare, data};
  bool go_on;

  if (callback->failed) return false;
  if (callback->function == 0) return true;
  lua_pushcfunction(L, call_body);
  lua_pushvalue(L, callback->function);
  lua_pushlightuserdata(L, &call);
  if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
    lua_replace(L, callback->error);
    callback->failed = true;
    return false;
  }
  go_on = !lua_isboolean(L, -1) || lua_toboolean(L, -1);
  lua_pop(L, 1);
  return go_on;
}

void host_callback_end(host_callback *callback) {
  if (!callback->failed) return;
  lua_pushvalue(callback->L, callback->error);
  lua_error(callback->L);
}

static int push_progress(lua_State *L) {
  const int64_t *counts = lua_touserdata(L, -1);
  lua_pushinteger(L, counts[0]);
  lua_pushinteger(L, counts[1]);
  return 2;
}

bool host_progress(void *callback, int64_t done, int64_t total) {
  int64_t counts[2] = {done, total};
  return host_callback_call(callback, push_progress, counts);
}
