/* data: imports, backups, restoring and a store's layout from Lua. */
#include <string.h>

#include "host/host.h"

#define IMPORT "esrun.import"

/* An import under way, one a runtime. Its user value keeps the runtime's box alive; closing the runtime ends it. */
struct host_import {
  es_import *import; /* NULL: over */
  host_runtime *host;
  es_import_report report; /* as of the last call */
};

void host_data_close(host_runtime *host) {
  if (host->import == NULL) return;
  es_import_close(host->import->import);
  host->import->import = NULL;
  host->import = NULL;
}

static void set_count(lua_State *L, const char *name, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

/* import(runtime, options) -> import, or nil, message, code, details */
static int open_import(lua_State *L) {
  static const char *const forms[] = {"export", "jsonl", "csv"};
  host_runtime *host = host_check(L);
  es_import_options options = ES_IMPORT_INIT;
  es_error err = ES_ERROR_INIT;
  host_import *import;
  size_t form = 0;
  int at;

  host_check_type(L, 2, LUA_TTABLE);
  if (host->import != NULL) return host_error(L, "another import is under way");
  const char *name = host_text(L, 2, "form");
  while (name != NULL && form < 3 && strcmp(name, forms[form]) != 0)
    form++;
  if (form == 3) return host_error(L, "form: export, jsonl or csv expected, got '%s'", name);
  options.form = (es_import_form)form;
  options.append = host_flag(L, 2, "append");
  options.name = host_text(L, 2, "name");
  options.mapping = host_text(L, 2, "mapping");
  options.mapping_path = host_text(L, 2, "mapping_path");
  options.group = host_integer(L, 2, "group", 0);
  import = lua_newuserdatauv(L, sizeof *import, 1);
  at = lua_gettop(L);
  *import = (host_import){.host = host};
  luaL_setmetatable(L, IMPORT);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, at, 1);
  if (es_import_open(&import->import, host->rt, &options, &err) != ES_OK) return host_fail(L, &err);
  host->import = import;
  lua_pushvalue(L, at);
  return 1;
}

/* The import that is argument 1; its runtime must be fit for use. */
static host_import *check_import(lua_State *L) {
  host_import *import = luaL_checkudata(L, 1, IMPORT);

  if (import->import == NULL) host_error(L, "this import is over");
  lua_getiuservalue(L, 1, 1);
  lua_replace(L, 1); /* the caller's frames keep the import */
  host_check(L);
  return import;
}

static int answer(lua_State *L, host_import *import, es_status status, const es_error *err) {
  es_import_report_get(&import->report, import->import);
  if (status != ES_OK) {
    host_data_close(import->host);
    return host_fail(L, err);
  }
  lua_pushboolean(L, true);
  return 1;
}

/* feed(import, bytes) -> true, or nil, message, code, details: then it is over */
static int feed(lua_State *L) {
  size_t length;
  const char *bytes = luaL_checklstring(L, 2, &length);
  es_error err = ES_ERROR_INIT;

  lua_pushvalue(L, 1);
  host_import *import = check_import(L);
  return answer(L, import, es_import_feed(import->import, bytes, length, &err), &err);
}

static int finish(lua_State *L) {
  es_error err = ES_ERROR_INIT;

  lua_settop(L, 1);
  lua_pushvalue(L, 1);
  host_import *import = check_import(L);
  int results = answer(L, import, es_import_finish(import->import, &err), &err);
  host_data_close(import->host);
  return results;
}

static int import_report(lua_State *L) {
  const host_import *import = luaL_checkudata(L, 1, IMPORT);

  lua_createtable(L, 0, 4);
  set_count(L, "line_count", import->report.line_count);
  set_count(L, "imported_count", import->report.imported_count);
  set_count(L, "skipped_count", import->report.skipped_count);
  set_count(L, "ignored_count", import->report.ignored_count);
  return 1;
}

static int free_import(lua_State *L) {
  const host_import *import = luaL_checkudata(L, 1, IMPORT);
  if (import->import != NULL) host_data_close(import->host);
  return 0;
}

static int import_close(lua_State *L) {
  const host_import *import = luaL_checkudata(L, 1, IMPORT);
  if (import->import != NULL) host_refuse_callback(L, import->host);
  return free_import(L);
}

/* ---- backups ---- */

static int push_verified(lua_State *L, const es_verify_report *verified) {
  lua_createtable(L, 0, 3);
  set_count(L, "event_count", verified->event_count);
  set_count(L, "unseen_count", verified->unseen_count);
  host_set_hash(L, "head_hash", verified->head_hash);
  return 1;
}

/* backup(runtime, path, options) -> { event_count, head_hash, unseen_count } */
static int backup(lua_State *L) {
  host_runtime *host = host_check(L);
  const char *path = host_check_text(L, 2);
  es_verify_report verified;
  es_error err = ES_ERROR_INIT;
  host_callback progress;
  es_status status;

  host_callback_begin(&progress, L, 3, "progress");
  host->busy++;
  status = es_backup(&verified, host->rt, path, host_progress, &progress, &err);
  host->busy--;
  host_callback_end(&progress);
  return status == ES_OK ? push_verified(L, &verified) : host_fail(L, &err);
}

static void take_place(lua_State *L, es_options *options) {
  host_check_type(L, 1, LUA_TTABLE);
  options->project_path = host_text(L, 1, "project");
  options->store_path = host_text(L, 1, "store");
}

typedef struct restoring {
  lua_State *L;
  host_evidence evidence;
  es_verify_options *options;
  int findings; /* stack index of the list of messages */
  int error;    /* stack index of what `evidence` raised, or 0 */
  bool foreign; /* another store was signed for at this place */
} restoring;

/* evidence(store id) -> { keys, anchors }, which stays a member of the table of arguments as long as its texts are needed. */
static int consult_body(lua_State *L) { /* arguments, evidence, store id, the job */
  restoring *job = lua_touserdata(L, 4);

  lua_settop(L, 3);
  lua_call(L, 1, 1);
  host_check_type(L, 2, LUA_TTABLE);
  lua_pushvalue(L, 2);
  lua_setfield(L, 1, "evidence");
  host_verify_evidence(L, job->options, &job->evidence);
  return 0;
}

static bool consult(void *data, const char *store_id, es_verify_options *options) {
  restoring *job = data;
  lua_State *L = job->L;

  if (!lua_checkstack(L, 8)) return false;
  job->options = options;
  lua_pushcfunction(L, consult_body);
  lua_pushvalue(L, 1);
  lua_getfield(L, 1, "evidence");
  lua_pushstring(L, store_id);
  lua_pushlightuserdata(L, job);
  if (lua_pcall(L, 4, 0, 0) == LUA_OK) return true;
  job->error = lua_gettop(L);
  return false;
}

static int take_finding_body(lua_State *L) {
  lua_pushstring(L, lua_touserdata(L, 2));
  lua_seti(L, 1, luaL_len(L, 1) + 1);
  return 0;
}

static void take_finding(void *data, const es_finding *finding) {
  restoring *job = data;

  if (strcmp(finding->fault, "foreign") == 0) job->foreign = true;
  if (!lua_checkstack(job->L, 4)) return;
  lua_pushcfunction(job->L, take_finding_body);
  lua_pushvalue(job->L, job->findings);
  lua_pushlightuserdata(job->L, (char *)finding->message);
  if (lua_pcall(job->L, 2, 0, 0) != LUA_OK) lua_pop(job->L, 1);
}

/* restore({ project, store, file, memory, accept_rollback, accept_foreign, evidence }) ->
 * { event_count, head_hash, unseen_count, warnings, foreign } */
int host_restore(lua_State *L) {
  es_options options = ES_OPTIONS_INIT;
  es_restore_options how = ES_RESTORE_INIT;
  es_verify_report verified;
  es_error err = ES_ERROR_INIT;
  restoring job = {.L = L};
  es_status status;

  take_place(L, &options);
  const char *file = host_text(L, 1, "file");
  if (file == NULL) return host_error(L, "file: string expected");
  how.memory_path = host_text(L, 1, "memory");
  how.accept_rollback = host_flag(L, 1, "accept_rollback");
  how.accept_foreign = host_flag(L, 1, "accept_foreign");
  if (lua_getfield(L, 1, "evidence") != LUA_TNIL) how.consult = consult;
  lua_newtable(L);
  job.findings = lua_gettop(L);
  how.finding = take_finding;
  how.data = &job;
  status = es_restore(&verified, file, &options, &how, &err);
  if (job.error != 0) {
    lua_settop(L, job.error);
    return lua_error(L);
  }
  if (status != ES_OK) return host_fail(L, &err);
  push_verified(L, &verified);
  lua_pushvalue(L, job.findings);
  lua_setfield(L, -2, "warnings");
  if (job.foreign) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, "foreign");
  }
  return 1;
}

/* layout({ project, store }) -> { version, known } */
int host_layout(lua_State *L) {
  es_options options = ES_OPTIONS_INIT;
  es_layout layout;
  es_error err = ES_ERROR_INIT;

  take_place(L, &options);
  if (es_store_layout(&layout, &options, &err) != ES_OK) return host_fail(L, &err);
  lua_createtable(L, 0, 2);
  set_count(L, "version", layout.version);
  set_count(L, "known", layout.known);
  return 1;
}

/* settings({ project, store }) -> the list of settings */
int host_settings(lua_State *L) {
  es_options options = ES_OPTIONS_INIT;
  es_error err = ES_ERROR_INIT;

  take_place(L, &options);
  char **box = host_push_text(L);
  es_status status = es_project_settings(box, &options, &err);
  return host_push_result(L, status, box, false, &err);
}

void host_data_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"feed", feed},
                                     {"finish", finish},
                                     {"report", import_report},
                                     {"close", import_close},
                                     {NULL, NULL}};

  luaL_newmetatable(L, IMPORT);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, import_close);
  lua_setfield(L, -2, "__close");
  lua_pushcfunction(L, free_import);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

const luaL_Reg host_data_methods[] = {{"import", open_import}, {"backup", backup}, {NULL, NULL}};
