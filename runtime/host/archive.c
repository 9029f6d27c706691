/* archive: moving old events' texts to segments and back from Lua. */
#include "host/host.h"

static int push_report(lua_State *L, const es_archive_report *report) {
  const struct {
    const char *name;
    int64_t value;
  } members[] = {{"event_count", report->event_count},
                 {"from", report->first},
                 {"to", report->last},
                 {"text_bytes", report->text_bytes},
                 {"segment_count", report->segment_count},
                 {"file_bytes", report->file_bytes}};

  lua_createtable(L, 0, 6);
  for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
    lua_pushinteger(L, members[i].value);
    lua_setfield(L, -2, members[i].name);
  }
  return 1;
}

/* archive(runtime, { before, before_time, keep, keep_bytes, folder, segment_events, dry_run, progress }) -> report */
static int archive(lua_State *L) {
  host_runtime *host = host_check(L);
  es_archive_options options = ES_ARCHIVE_INIT;
  es_archive_report report = {0};
  es_error err = ES_ERROR_INIT;
  host_callback progress;

  host_check_type(L, 2, LUA_TTABLE);
  options.before_position = host_integer(L, 2, "before", 0);
  options.before_time = host_time(L, 2, "before_time");
  options.keep_events = host_integer(L, 2, "keep", -1);
  options.keep_bytes = host_integer(L, 2, "keep_bytes", -1);
  options.folder = host_text(L, 2, "folder");
  options.segment_events = host_integer(L, 2, "segment_events", 0);
  options.dry_run = host_flag(L, 2, "dry_run");
  host_callback_begin(&progress, L, 2, "progress");
  options.progress = host_progress;
  options.progress_data = &progress;
  host->busy++;
  es_status status = es_archive(&report, host->rt, &options, &err);
  host->busy--;
  host_callback_end(&progress);
  return status == ES_OK ? push_report(L, &report) : host_fail(L, &err);
}

/* unarchive(runtime, { from, to, progress }) -> report */
static int unarchive(lua_State *L) {
  host_runtime *host = host_check(L);
  es_unarchive_options options = ES_UNARCHIVE_INIT;
  es_archive_report report = {0};
  es_error err = ES_ERROR_INIT;
  host_callback progress;

  host_check_type(L, 2, LUA_TTABLE);
  options.from = host_integer(L, 2, "from", 0);
  options.to = host_integer(L, 2, "to", 0);
  host_callback_begin(&progress, L, 2, "progress");
  options.progress = host_progress;
  options.progress_data = &progress;
  host->busy++;
  es_status status = es_unarchive(&report, host->rt, &options, &err);
  host->busy--;
  host_callback_end(&progress);
  return status == ES_OK ? push_report(L, &report) : host_fail(L, &err);
}

/* segments(runtime) -> list */
static int segments(lua_State *L) {
  host_runtime *host = host_check(L);
  es_error err = ES_ERROR_INIT;
  char **box = host_push_text(L);
  es_status status = es_segments(box, host->rt, &err);
  int results = host_push_result(L, status, box, false, &err);

  if (status != ES_OK) return results;
  for (lua_Integer i = 1; lua_geti(L, -1, i) == LUA_TTABLE; i++) {
    host_drop_nulls(L);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return results;
}

/* compact(runtime) -> true */
static int compact(lua_State *L) {
  host_runtime *host = host_check(L);
  es_error err = ES_ERROR_INIT;

  if (es_compact(host->rt, &err) != ES_OK) return host_fail(L, &err);
  lua_pushboolean(L, true);
  return 1;
}

const luaL_Reg host_archive_methods[] = {{"archive", archive},
                                         {"unarchive", unarchive},
                                         {"segments", segments},
                                         {"compact", compact},
                                         {NULL, NULL}};
