/* runtime: opening and closing a runtime from Lua, its facts, and the callbacks that belong to it for life. */
#include <time.h>

#include "host/host.h"

#define RUNTIME "esrun.runtime"

static const char list_key = 0; /* its address names the list in the registry */

host_list *host_open_runtimes(lua_State *L) {
  host_list *list;

  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &list_key) != LUA_TUSERDATA) {
    lua_pop(L, 1);
    list = lua_newuserdatauv(L, sizeof *list, 0);
    *list = (host_list){0};
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &list_key);
  }
  list = lua_touserdata(L, -1);
  lua_pop(L, 1); /* the registry keeps it */
  return list;
}

void host_refuse_callback(lua_State *L, const host_runtime *host) {
  if (host->busy > 0) host_error(L, "this runtime cannot be used from its own callbacks");
}

host_runtime *host_check(lua_State *L) {
  host_runtime *host = luaL_checkudata(L, 1, RUNTIME);

  if (host->rt == NULL) host_error(L, "this runtime is closed");
  host_refuse_callback(L, host);
  host->L = L;
  return host;
}

static int close_runtime(lua_State *L) {
  host_runtime *host = luaL_checkudata(L, 1, RUNTIME);

  if (host->busy > 0) return host_error(L, "this runtime cannot be closed from its own callbacks");
  if (host->link != NULL) {
    *host->link = host->next;
    if (host->next != NULL) host->next->link = host->link;
    host->link = NULL;
  }
  if (host->rt != NULL) {
    host->L = L;
    host_read_close_all(host);
    host_data_close(host);
    es_close(host->rt);
    host->rt = NULL;
  }
  luaL_unref(L, LUA_REGISTRYINDEX, host->clock_ref);
  luaL_unref(L, LUA_REGISTRYINDEX, host->log_ref);
  luaL_unref(L, LUA_REGISTRYINDEX, host->deliver_ref);
  luaL_unref(L, LUA_REGISTRYINDEX, host->consult_ref);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &host->evidence);
  host->clock_ref = host->log_ref = host->deliver_ref = host->consult_ref = LUA_NOREF;
  return 0;
}

/* ---- Callbacks for life ---- */

static int64_t system_time(void) {
  struct timespec now;
  timespec_get(&now, TIME_UTC);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The project's clock in Lua: microseconds, or RFC 3339 text. A clock that fails must not stop a commit half way, so the
 * system's steps in, with a warning. */
static int64_t call_clock(void *data) {
  host_runtime *host = data;
  lua_State *L = host->L;
  int64_t time_us = 0;
  bool ok = false;

  if (!lua_checkstack(L, 4)) return system_time();
  lua_rawgeti(L, LUA_REGISTRYINDEX, host->clock_ref);
  host->busy++;
  if (lua_pcall(L, 0, 1, 0) == LUA_OK) {
    if (lua_isinteger(L, -1)) {
      time_us = lua_tointeger(L, -1);
      ok = true;
    } else if (lua_type(L, -1) == LUA_TSTRING) {
      ok = es_time_parse(&time_us, lua_tostring(L, -1));
    }
  }
  host->busy--;
  lua_pop(L, 1);
  if (ok) return time_us;
  lua_warning(L, "esrun: the clock function failed or gave no time; the system's clock is used", 0);
  return system_time();
}

typedef struct log_record {
  es_log_level level;
  const char *json;
  size_t length;
} log_record;

static int log_body(lua_State *L) {
  static const char *const names[] = {"debug", "info", "warning", "error"};
  const log_record *record = lua_touserdata(L, 2);

  lua_settop(L, 1);
  lua_pushstring(L, names[record->level]);
  lua_pushlstring(L, record->json, record->length);
  lua_call(L, 2, 0);
  return 0;
}

static void call_log(void *data, es_log_level level, const char *json, size_t length) {
  host_runtime *host = data;
  lua_State *L = host->L;
  log_record record = {level, json, length};

  if (!lua_checkstack(L, 6)) return;
  lua_pushcfunction(L, log_body);
  lua_rawgeti(L, LUA_REGISTRYINDEX, host->log_ref);
  lua_pushlightuserdata(L, &record);
  host->busy++;
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) {
    lua_pop(L, 1);
    lua_warning(L, "esrun: the log function failed", 0);
  }
  host->busy--;
}

/* ---- Opening ---- */

static int function_ref(lua_State *L, int index, const char *name) {
  if (lua_getfield(L, index, name) == LUA_TNIL) {
    lua_pop(L, 1);
    return LUA_NOREF;
  }
  if (!lua_isfunction(L, -1)) host_error(L, "%s: function expected", name);
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

static void fill_options(lua_State *L, host_runtime *host, es_options *options) {
  options->project_path = host_text(L, 1, "project");
  options->store_path = host_text(L, 1, "store");
  options->read_only = host_flag(L, 1, "read_only");
  options->must_exist = host_flag(L, 1, "must_exist");
  options->time_limit_ms = host_integer(L, 1, "time_limit_ms", 0);
  options->memory_limit_bytes = host_integer(L, 1, "memory_limit_bytes", 0);
  options->limit_signal = host_int(L, 1, "limit_signal", 0);
  options->conflict_retries = host_int(L, 1, "conflict_retries", 0);
  options->allow_nondeterminism = host_flag(L, 1, "allow_nondeterminism");
  host->clock_ref = function_ref(L, 1, "clock");
  host->log_ref = function_ref(L, 1, "log");
  if (host->clock_ref != LUA_NOREF) {
    options->clock = call_clock;
    options->clock_data = host;
  }
  if (host->log_ref != LUA_NOREF) {
    options->log = call_log;
    options->log_data = host;
  }
}

typedef struct failed_module {
  const char *path;
  const es_error *err;
} failed_module;

static int push_failed_module(lua_State *L) {
  const failed_module *failed = lua_touserdata(L, -1);

  lua_pushstring(L, failed->path);
  host_fail(L, failed->err);
  lua_remove(L, -4); /* its nil: path, message, code, details */
  return 4;
}

static void call_failed_module(void *callback, const char *path, const es_error *err) {
  failed_module failed = {path, err};
  host_callback_call(callback, push_failed_module, &failed);
}

int host_open(lua_State *L) {
  es_options options = ES_OPTIONS_INIT;
  es_error err = ES_ERROR_INIT;
  host_callback failed;
  host_list *list = host_open_runtimes(L);
  host_runtime *host;
  int at;

  host_check_type(L, 1, LUA_TTABLE);
  host = lua_newuserdatauv(L, sizeof *host, 0);
  at = lua_gettop(L);
  *host = (host_runtime){.clock_ref = LUA_NOREF,
                         .log_ref = LUA_NOREF,
                         .deliver_ref = LUA_NOREF,
                         .consult_ref = LUA_NOREF,
                         .L = L};
  luaL_setmetatable(L, RUNTIME);
  fill_options(L, host, &options);
  host_callback_begin(&failed, L, 1, "on_failed_module");
  if (failed.function != 0) {
    options.failed_module = call_failed_module;
    options.failed_module_data = &failed;
  }
  es_status status = es_open(&host->rt, &options, &err);
  host_callback_end(&failed);
  if (status != ES_OK) return host_fail(L, &err);
  host->serial = ++list->last_serial;
  host->next = list->first;
  host->link = &list->first;
  if (host->next != NULL) host->next->link = &host->next;
  list->first = host;
  lua_pushvalue(L, at);
  return 1;
}

/* ---- Facts ---- */

typedef es_status (*fact)(char **out, es_runtime *rt, es_error *err);

static int push_fact(lua_State *L, fact get) {
  host_runtime *host = host_check(L);
  bool as_text = lua_toboolean(L, 2);
  es_error err = ES_ERROR_INIT;
  char **box = host_push_text(L);
  es_status status = get(box, host->rt, &err);
  return host_push_result(L, status, box, as_text, &err);
}

static int describe(lua_State *L) { return push_fact(L, es_describe); }
static int config(lua_State *L) { return push_fact(L, es_config); }
static int info(lua_State *L) { return push_fact(L, es_info); }

static int is_open(lua_State *L) {
  host_runtime *host = luaL_checkudata(L, 1, RUNTIME);
  lua_pushboolean(L, host->rt != NULL);
  return 1;
}

const luaL_Reg host_runtime_methods[] = {
    {"close", close_runtime}, {"is_open", is_open}, {"describe", describe},
    {"config", config},       {"info", info},       {NULL, NULL},
};
