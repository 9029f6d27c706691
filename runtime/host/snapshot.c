/* snapshot: taking, listing and dropping kept states from Lua. */
#include "host/host.h"

static void set_id(lua_State *L, const char *name, const uint8_t id[ES_ID_SIZE]) {
  char text[ES_ID_TEXT_SIZE];

  es_id_text(text, id);
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static void set_count(lua_State *L, const char *name, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

/* snapshot(runtime, type, id) -> report */
static int snapshot(lua_State *L) {
  host_runtime *host = host_check(L);
  es_snapshot_report report;
  es_error err = ES_ERROR_INIT;
  const char *type = host_check_text(L, 2), *id = host_check_text(L, 3);

  if (es_snapshot(&report, host->rt, type, id, &err) != ES_OK) return host_fail(L, &err);
  lua_createtable(L, 0, 5);
  set_id(L, "snapshot_id", report.snapshot_id);
  set_id(L, "event_id", report.event_id);
  set_count(L, "version", report.version);
  set_count(L, "position", report.position);
  set_count(L, "bytes", report.byte_count);
  return 1;
}

typedef struct failed_stream {
  const char *tenant_id, *aggregate_type, *aggregate_id;
  const es_error *err;
} failed_stream;

static int push_failed(lua_State *L) {
  const failed_stream *failed = lua_touserdata(L, -1);

  lua_createtable(L, 0, 5);
  if (failed->tenant_id != NULL) {
    lua_pushstring(L, failed->tenant_id);
    lua_setfield(L, -2, "tenant_id");
  }
  lua_pushstring(L, failed->aggregate_type);
  lua_setfield(L, -2, "aggregate_type");
  lua_pushstring(L, failed->aggregate_id);
  lua_setfield(L, -2, "aggregate_id");
  lua_pushstring(L, failed->err->message);
  lua_setfield(L, -2, "message");
  lua_pushstring(L, failed->err->code);
  lua_setfield(L, -2, "code");
  return 1;
}

static void on_failed(void *data, const char *tenant_id, const char *aggregate_type,
                      const char *aggregate_id, const es_error *err) {
  failed_stream failed = {tenant_id, aggregate_type, aggregate_id, err};
  host_callback_call(data, push_failed, &failed);
}

/* snapshot_all(runtime, options) -> report; with failures followed by message, code, details of the first. */
static int snapshot_all(lua_State *L) {
  host_runtime *host = host_check(L);
  es_snapshot_options options = ES_SNAPSHOT_INIT;
  es_snapshots_report report;
  es_error err = ES_ERROR_INIT;
  host_callback failed, progress;
  es_status status;

  host_check_type(L, 2, LUA_TTABLE);
  options.aggregate_type = host_text(L, 2, "aggregate_type");
  options.min_events = host_integer(L, 2, "min_events", 0);
  host_callback_begin(&failed, L, 2, "on_failed");
  host_callback_begin(&progress, L, 2, "progress");
  options.failed = on_failed;
  options.failed_data = &failed;
  options.progress = host_progress;
  options.progress_data = &progress;
  host->busy++;
  status = es_snapshot_all(&report, host->rt, &options, &err);
  host->busy--;
  host_callback_end(&failed);
  host_callback_end(&progress);
  if (status != ES_OK) host_fail(L, &err);
  if (status != ES_OK && report.failed_count == 0) return 4;
  lua_createtable(L, 0, 3);
  set_count(L, "stream_count", report.stream_count);
  set_count(L, "taken_count", report.taken_count);
  set_count(L, "failed_count", report.failed_count);
  if (status == ES_OK) return 1;
  lua_replace(L, -5); /* the nil of host_fail */
  return 4;
}

static bool take_row(void *data, const char *row, size_t length) {
  es_buf *rows = data;
  es__buf_add(rows, row, length);
  es__buf_byte(rows, '\n');
  return !rows->failed;
}

/* snapshots(runtime, type, id) -> lines of JSON */
static int snapshots(lua_State *L) {
  host_runtime *host = host_check(L);
  const char *type = lua_isnoneornil(L, 2) ? NULL : host_check_text(L, 2);
  const char *id = lua_isnoneornil(L, 3) ? NULL : host_check_text(L, 3);
  es_error err = ES_ERROR_INIT;
  es_buf *rows = host_push_buffer(L);

  if (es_snapshots(host->rt, type, id, take_row, rows, &err) != ES_OK) return host_fail(L, &err);
  if (rows->failed) return host_error(L, "out of memory");
  lua_pushlstring(L, rows->data == NULL ? "" : rows->data, rows->length);
  return 1;
}

/* drop_snapshots(runtime, type, id) -> how many there were */
static int drop_snapshots(lua_State *L) {
  host_runtime *host = host_check(L);
  const char *type = lua_isnoneornil(L, 2) ? NULL : host_check_text(L, 2);
  const char *id = lua_isnoneornil(L, 3) ? NULL : host_check_text(L, 3);
  es_error err = ES_ERROR_INIT;
  int64_t count;

  if (es_snapshots_drop(&count, host->rt, type, id, &err) != ES_OK) return host_fail(L, &err);
  lua_pushinteger(L, count);
  return 1;
}

const luaL_Reg host_snapshot_methods[] = {{"snapshot", snapshot},
                                          {"snapshot_all", snapshot_all},
                                          {"snapshots", snapshots},
                                          {"drop_snapshots", drop_snapshots},
                                          {NULL, NULL}};
