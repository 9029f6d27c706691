/* read: events and states from Lua. */
#include <string.h>

#include "host/host.h"

#define CURSOR "esrun.cursor"

typedef enum row_form { ROW_TABLE, ROW_LOG, ROW_EXPORT } row_form;

struct host_cursor {
  es_cursor *cursor; /* NULL: closed */
  host_cursor *next; /* among the open ones of the runtime */
  host_cursor **link;
  row_form form;
};

static void close_one(host_cursor *cursor) {
  if (cursor->cursor == NULL) return;
  es_cursor_close(cursor->cursor);
  cursor->cursor = NULL;
  *cursor->link = cursor->next;
  if (cursor->next != NULL) cursor->next->link = cursor->link;
}

void host_read_close_all(host_runtime *host) {
  while (host->cursors != NULL)
    close_one(host->cursors);
}

static int cursor_close(lua_State *L) {
  close_one(luaL_checkudata(L, 1, CURSOR));
  return 0;
}

static void read_filter(lua_State *L, int index, es_filter *filter) {
  filter->tenant_id = host_text(L, index, "tenant_id");
  filter->actor_id = host_text(L, index, "actor_id");
  filter->event_type = host_text(L, index, "event_type");
  filter->aggregate_type = host_text(L, index, "aggregate_type");
  filter->aggregate_id = host_text(L, index, "aggregate_id");
  filter->event_id = host_text(L, index, "event_id");
  filter->correlation_id = host_text(L, index, "correlation_id");
  filter->causation_id = host_text(L, index, "causation_id");
  filter->from_time = host_time(L, index, "from");
  filter->to_time = host_time(L, index, "to");
  filter->after_position = host_integer(L, index, "after", 0);
  filter->from_version = host_integer(L, index, "from_version", 0);
  filter->to_version = host_integer(L, index, "to_version", 0);
  filter->limit = host_integer(L, index, "limit", 0);
  filter->reverse = host_flag(L, index, "reverse");
}

/* read(runtime, filter, form) -> cursor, or nil, message, code, details */
static int read_events(lua_State *L) {
  static const char *const forms[] = {"table", "log", "export", NULL};
  host_runtime *host = host_check(L);
  es_filter filter = ES_FILTER_INIT;
  es_error err = ES_ERROR_INIT;
  host_cursor *cursor;
  int at;

  host_check_type(L, 2, LUA_TTABLE);
  cursor = lua_newuserdatauv(L, sizeof *cursor, 1);
  *cursor = (host_cursor){.form = (row_form)luaL_checkoption(L, 3, "table", forms)};
  luaL_setmetatable(L, CURSOR);
  at = lua_gettop(L);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, at, 1);
  read_filter(L, 2, &filter);
  if (es_read(&cursor->cursor, host->rt, &filter, &err) != ES_OK) return host_fail(L, &err);
  cursor->next = host->cursors;
  cursor->link = &host->cursors;
  if (cursor->next != NULL) cursor->next->link = &cursor->next;
  host->cursors = cursor;
  lua_pushvalue(L, at);
  return 1;
}

/* The event as JSON is the one description of its fields; a table is read from it. */
static int push_event(lua_State *L, const es_event *event, row_form form) {
  es_error err = ES_ERROR_INIT;
  char **box = host_push_text(L);
  es_status status =
      es_event_json(box, NULL, event, form == ROW_EXPORT ? ES_FORM_EXPORT : ES_FORM_LOG, &err);
  int results = host_push_result(L, status, box, form != ROW_TABLE, &err);
  if (results == 1 && form == ROW_TABLE) host_drop_nulls(L);
  return results;
}

/* cursor:next() -> event, or nil at the end, or nil, message, code, details */
static int cursor_next(lua_State *L) {
  host_cursor *cursor = luaL_checkudata(L, 1, CURSOR);
  const es_event *event = NULL;
  es_error err = ES_ERROR_INIT;

  if (cursor->cursor == NULL) return host_error(L, "this reading is closed");
  lua_getiuservalue(L, 1, 1);
  lua_replace(L, 1);
  host_check(L);
  if (es_cursor_next(&event, cursor->cursor, &err) != ES_OK) {
    close_one(cursor);
    return host_fail(L, &err);
  }
  if (event != NULL) return push_event(L, event, cursor->form);
  close_one(cursor);
  lua_pushnil(L);
  return 1;
}

/* load(runtime, type, id, options, as_text) */
static int load(lua_State *L) {
  host_runtime *host = host_check(L);
  const char *type = host_check_text(L, 2), *id = host_check_text(L, 3);
  es_load_options options = ES_LOAD_INIT;
  es_error err = ES_ERROR_INIT;
  bool as_text = lua_toboolean(L, 5);
  char **box;
  es_status status;
  int results;

  host_check_type(L, 4, LUA_TTABLE);
  options.at_version = host_integer(L, 4, "at_version", 0);
  options.at_time = host_time(L, 4, "at_time");
  box = host_push_text(L);
  status = es_load(box, host->rt, type, id, &options, &err);
  results = host_push_result(L, status, box, as_text, &err);
  if (results == 1 && !as_text) host_drop_nulls(L);
  return results;
}

void host_read_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"next", cursor_next}, {"close", cursor_close}, {NULL, NULL}};

  luaL_newmetatable(L, CURSOR);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, cursor_close);
  lua_setfield(L, -2, "__close");
  lua_pushcfunction(L, cursor_close);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

const luaL_Reg host_read_methods[] = {{"read", read_events}, {"load", load}, {NULL, NULL}};
