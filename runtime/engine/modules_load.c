/* modules_load: loading the texts of a project's modules into a domain state, and what of them is found there again. */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "context/context.h"
#include "engine/modules.h"

static char kernel_key, declarations_key;

es_status es__modules_told(es_modules *modules, const char *path, es_status status, es_error *err) {
  if (status == ES_OK || modules->watch.failed == NULL) return status;
  modules->watch.failed(modules->watch.data, path, err);
  es__error_clear(err);
  return ES_OK;
}

static es_status find_library(void *data, const char *name, char **source, size_t *length,
                              char *chunk_name, size_t chunk_name_size, es_error *err) {
  const es_modules *modules = data;
  char path[ES__MODULE_PATH_MAX];

  for (size_t i = 0; i < modules->count; i++) {
    const es_module *module = &modules->items[i];
    if (module->require_name == NULL || strcmp(module->require_name, name) != 0) continue;
    *source = es__text_copy((es_text){module->text, module->length});
    if (*source == NULL) return es__no_memory(err);
    *length = module->length;
    snprintf(chunk_name, chunk_name_size, "%s", module->chunk_name);
    return ES_OK;
  }
  snprintf(path, sizeof path, "%s", name);
  for (char *at = path; *at != '\0'; at++) {
    if (*at == '.') *at = '/';
  }
  return es__fail(err, ES_ERR_NOT_FOUND, "unknown_module", "no library folder (lib/) has %s.lua",
                  path);
}

typedef struct loading {
  es_modules *modules;
  size_t index;
  const char *kind; /* out: points to Lua memory, used at once */
} loading;

static int context_owns(lua_State *L) {
  size_t length;
  const char *key = luaL_checklstring(L, 1, &length);
  lua_pushboolean(L, es__context_owns(key, length));
  return 1;
}

/* source(chunk name) -> the module's text, or nil */
static int source_of(lua_State *L) {
  const es_modules *modules = lua_touserdata(L, lua_upvalueindex(1));
  const char *name = luaL_checkstring(L, 1);

  for (size_t i = 0; i < modules->count; i++) {
    const es_module *module = &modules->items[i];
    if (strcmp(module->chunk_name, name) == 0)
      return lua_pushlstring(L, module->text, module->length), 1;
  }
  return 0;
}

static int prepare_state(lua_State *L) {
  es__domain_push_builtin(L, "es.place");
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, source_of, 1);
  lua_setfield(L, -2, "source");
  es__domain_push_builtin(L, "es.kernel");
  lua_pushcfunction(L, context_owns);
  lua_setfield(L, -2, "context_owns");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &kernel_key);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &declarations_key);
  return 0;
}

/* A shipped projection steps back when the project declares one of its name. */
static bool is_replaced(lua_State *L, const es_module *module) {
  char name[ES_PROJECT_LIST_MAX * 8];
  const char *base = strrchr(module->chunk_name, '/') + 1;

  if (!module->shipped) return false;
  snprintf(name, sizeof name, "%.*s", (int)(strlen(base) - 4), base);
  es__kernel_push(L);
  lua_getfield(L, -1, "projections");
  bool taken = lua_getfield(L, -1, name) != LUA_TNIL;
  lua_pop(L, 3);
  return taken;
}

/* What es.kernel made of a declared policy; nil: there is none. */
static void take_policy(lua_State *L, es_snapshot_policy *out) {
  *out = (es_snapshot_policy){0};
  if (lua_isnil(L, -1)) return;
  lua_getfield(L, -1, "every");
  out->every = lua_tointeger(L, -1);
  lua_getfield(L, -2, "bytes");
  out->bytes = lua_tointeger(L, -1);
  lua_getfield(L, -3, "daily");
  out->daily = lua_toboolean(L, -1);
  lua_pop(L, 3);
}

static int load_one(lua_State *L) {
  loading *job = lua_touserdata(L, 1);
  es_module *module = &job->modules->items[job->index];

  if (is_replaced(L, module)) return 0; /* or loaded before */
  es__kernel_push_function(L, "register");
  es__domain_load(L, module->text, module->length, module->chunk_name);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &declarations_key);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, module->chunk_name);
  lua_pop(L, 1);
  lua_pushstring(L, module->chunk_name);
  lua_call(L, 2, 3);
  take_policy(L, &module->snapshot);
  lua_pop(L, 1);
  module->is_projection = strcmp(luaL_checkstring(L, -2), "projection") == 0;
  if (module->name == NULL) {
    module->name = strdup(luaL_checkstring(L, -1));
    if (module->name == NULL) luaL_error(L, "out of memory");
  }
  return 0;
}

/* Nothing may require it, and then nobody would ever hear of its mistake. */
static int compile_one(lua_State *L) {
  const loading *job = lua_touserdata(L, 1);
  const es_module *module = &job->modules->items[job->index];

  es__domain_compile(L, module->text, module->length, module->chunk_name);
  return 0;
}

/* A declaration may be wrong in several entries. */
static int raise_next(lua_State *L) {
  es__kernel_push_function(L, "raise_next");
  lua_call(L, 0, 0);
  return 0;
}

/* Tells of a module that failed; who is told goes on, and hears of every entry of its declaration that is wrong. */
static es_status tell_all(es_domain *domain, es_modules *modules, const char *path,
                          es_status status, es_error *err) {
  bool more = status != ES_OK && modules->watch.failed != NULL;

  while (more) {
    more = strcmp(err->code, "bad_declaration") == 0;
    status = es__modules_told(modules, path, status, err);
    if (more) status = es__domain_run(domain, raise_next, NULL, err);
    more = more && status != ES_OK;
  }
  return status;
}

static bool is_library(const es_module *module) { return module->require_name != NULL; }

/* Most programs that run a command or show a state never ask for these, and they come with the runtime, so that nobody waits
 * for their mistakes. */
static bool can_wait(const es_module *module) {
  return module->shipped && strncmp(module->chunk_name, "projections/", 12) == 0;
}

/* Library modules load when they are required. One that a program gave must compile; so must all while somebody watches. */
static bool is_due(const es_modules *modules, const es_module *module, bool waiting) {
  if (module->failed) return false;
  if (!is_library(module)) return can_wait(module) == waiting;
  return !waiting && (module->given || modules->watch.failed != NULL);
}

static es_status load_all(es_domain *domain, es_modules *modules, bool waiting, es_error *err) {
  lua_State *L = es__domain_state(domain);
  es_status status = ES_OK;

  es__domain_watch(domain, true);
  lua_gc(L, LUA_GCSTOP); /* what a module declares stays; memory limits collect all the same */
  for (size_t i = 0; i < modules->count && status == ES_OK; i++) {
    loading job = {modules, i, NULL};
    es_module *module = &modules->items[i];
    if (!is_due(modules, module, waiting)) continue;
    status = es__domain_run(domain, is_library(module) ? compile_one : load_one, &job, err);
    module->failed = status != ES_OK;
    status = tell_all(domain, modules, module->chunk_name, status, err);
  }
  lua_gc(L, LUA_GCRESTART);
  es__domain_watch(domain, false);
  return status;
}

es_status es__modules_load(es_domain **out, es_modules *modules, const es_domain_options *limits,
                           es_error *err) {
  es_domain_options options = *limits;
  es_domain *domain = NULL;
  es_status status;

  *out = NULL;
  options.find_module = find_library;
  options.find_module_data = modules;
  status = es__domain_new(&domain, &options, err);
  if (status == ES_OK) {
    lua_gc(es__domain_state(domain), LUA_GCSTOP); /* load_all() lets it go on */
    status = es__domain_run(domain, prepare_state, modules, err);
  }
  if (status == ES_OK) status = load_all(domain, modules, false, err);
  if (status != ES_OK) {
    es__domain_free(domain);
    return status;
  }
  *out = domain;
  return ES_OK;
}

es_status es__modules_load_rest(es_domain *domain, es_modules *modules, es_error *err) {
  return load_all(domain, modules, true, err);
}

void es__kernel_push(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &kernel_key); }

void es__kernel_push_function(lua_State *L, const char *name) {
  es__kernel_push(L);
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
}

void es__declaration_push(lua_State *L, const es_module *module) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &declarations_key);
  lua_getfield(L, -1, module->chunk_name);
  lua_remove(L, -2);
}

static const es_module *declaring(const es_modules *modules, bool is_projection, es_text name) {
  for (size_t i = 0; i < modules->count; i++) {
    const es_module *module = &modules->items[i];
    if (module->name != NULL && module->is_projection == is_projection &&
        es__text_equal(es__text(module->name), name))
      return module;
  }
  return NULL;
}

const es_module *es__modules_aggregate(const es_modules *modules, es_text aggregate_type) {
  return declaring(modules, false, aggregate_type);
}

const es_module *es__modules_projection(const es_modules *modules, const char *name) {
  return declaring(modules, true, es__text(name));
}
