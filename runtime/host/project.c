/* project: running, rebuilding and querying projections from Lua. */
#include <string.h>

#include "host/host.h"

typedef es_status (*project_run)(es_runtime *rt, const char *name, es_progress progress,
                                 void *progress_data, es_error *err);

/* run(runtime, name, options): options.progress(done, total) stops the work by returning false. */
static int run(lua_State *L, project_run function, const char *name) {
  host_runtime *host = host_check(L);
  es_error err = ES_ERROR_INIT;
  host_callback progress;
  es_status status;

  host_callback_begin(&progress, L, 3, "progress");
  host->busy++;
  status = function(host->rt, name, host_progress, &progress, &err);
  host->busy--;
  host_callback_end(&progress);
  if (status != ES_OK) return host_fail(L, &err);
  lua_pushboolean(L, true);
  return 1;
}

static int project(lua_State *L) {
  return run(L, es_project, lua_isnoneornil(L, 2) ? NULL : host_check_text(L, 2));
}

static int rebuild(lua_State *L) { return run(L, es_project_rebuild, host_check_text(L, 2)); }

static int status_of_all(lua_State *L) {
  host_runtime *host = host_check(L);
  bool as_text = lua_toboolean(L, 2);
  es_error err = ES_ERROR_INIT;
  char **box = host_push_text(L);
  es_status status = es_project_status(box, host->rt, &err);
  return host_push_result(L, status, box, as_text, &err);
}

/* Rows are kept as text until the query is over, so that no Lua runs inside it. */
static bool take_row(void *data, const char *row, size_t length) {
  es_buf *rows = data;
  es__buf_add(rows, row, length);
  es__buf_byte(rows, '\n'); /* JSON text has none of its own: they are escaped */
  return !rows->failed;
}

/* query(runtime, projection, query, params) -> the rows as lines of JSON */
static int query(lua_State *L) {
  host_runtime *host = host_check(L);
  const char *projection = host_check_text(L, 2), *name = host_check_text(L, 3);
  es_error err = ES_ERROR_INIT;
  es_buf *params = host_push_buffer(L);
  es_buf *rows = host_push_buffer(L);

  if (!lua_isnil(L, 4) && host_write_json(L, 4, params, "params", &err) != ES_OK) {
    return host_fail(L, &err);
  }
  if (es_query(host->rt, projection, name, params->data, take_row, rows, &err) != ES_OK) {
    return host_fail(L, &err);
  }
  if (rows->failed) return host_error(L, "out of memory");
  lua_pushlstring(L, rows->data == NULL ? "" : rows->data, rows->length);
  return 1;
}

const luaL_Reg host_project_methods[] = {
    {"project", project}, {"rebuild", rebuild}, {"projection_status", status_of_all},
    {"query", query},     {NULL, NULL},
};
