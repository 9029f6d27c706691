/* require: finds modules for domain code and for built-in modules, each loaded once a state. Domain code gets read-only views,
 * so that no module can change what another one sees. Where project modules come from is the caller's matter. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/embedded.h"
#include "base/error.h"
#include "lua/internal.h"

static const char builtin_key,
    project_key; /* registry tables: name -> module, or `true` while it loads */

/* What domain code may require; the other built-in modules are for these. */
static const char *const public_modules[] = {"es", "es.projection", "es.rule", "es.schema", NULL};

static bool is_builtin_name(const char *name) {
  return strcmp(name, "es") == 0 || strncmp(name, "es.", 3) == 0;
}

/* "es" is lua/es/init.lua, "es.rule" is lua/es/rule.lua. */
static const struct es_embedded *find_builtin(const char *name) {
  char path[128];

  if (!is_builtin_name(name)) return NULL;
  snprintf(path, sizeof path, "lua/es/%s.lua", name[2] == '\0' ? "init" : name + 3);
  for (char *at = path + 7; *at != '\0' && strcmp(at, ".lua") != 0; at++) {
    if (*at == '.') *at = '/';
  }
  for (const struct es_embedded *row = es_builtin_modules; row->path != NULL; row++) {
    if (strcmp(row->path, path) == 0) return row;
  }
  return NULL;
}

static bool is_public(const char *name) {
  for (const char *const *row = public_modules; *row != NULL; row++) {
    if (strcmp(*row, name) == 0) return find_builtin(name) != NULL;
  }
  return false;
}

/* With `name` marked as loading in the table at `modules`, calls the chunk at the top and stores what it returns; a module that
 * fails can be tried again. Leaves the result. */
static void run_module(lua_State *L, int modules, const char *name) {
  lua_pushboolean(L, 1);
  lua_setfield(L, modules, name);
  int status = lua_pcall(L, 0, 1, 0);
  if (status != LUA_OK) {
    lua_pushnil(L);
    lua_setfield(L, modules, name);
    es__rethrow(L, status);
  }
  lua_pushvalue(L, -1);
  lua_setfield(L, modules, name);
}

void es__domain_push_builtin(lua_State *L, const char *name) {
  const struct es_embedded *module = find_builtin(name);

  luaL_checkstack(L, 6, NULL);
  es__registry_table(L, &builtin_key);
  int modules = lua_gettop(L);
  int type = lua_getfield(L, modules, name);
  if (type == LUA_TBOOLEAN) luaL_error(L, "built-in module '%s' requires itself", name);
  if (type == LUA_TNIL) {
    lua_pop(L, 1);
    if (strcmp(name, "es.support") == 0) {
      es__support_push(L);
      lua_pushvalue(L, -1);
      lua_setfield(L, modules, name);
    } else {
      if (module == NULL) luaL_error(L, "there is no built-in module '%s'", name);
      int loaded = es__embedded_load(L, module);
      if (loaded != LUA_OK) es__rethrow(L, loaded);
      es__environment_push_trusted(L);
      lua_setupvalue(L, -2, 1);
      run_module(L, modules, name);
    }
  }
  lua_remove(L, modules);
}

static int require_trusted(lua_State *L) {
  es__domain_push_builtin(L, luaL_checkstring(L, 1));
  return 1;
}

static int refuse_builtin(lua_State *L, const char *name) {
  luaL_Buffer names;

  luaL_buffinit(L, &names);
  for (const char *const *row = public_modules; *row != NULL; row++) {
    if (!is_public(*row)) continue;
    if (luaL_bufflen(&names) > 0) luaL_addstring(&names, ", ");
    luaL_addstring(&names, *row);
  }
  luaL_pushresult(&names);
  return luaL_error(L, "module '%s' does not exist in domain code; the built-in ones are: %s", name,
                    lua_tostring(L, -1));
}

/* Loads a project's module; the text is freed before anything can raise. */
static void load_project_module(lua_State *L, const char *name) {
  const es_domain_options *options = &es__domain_of(L)->options;
  char chunk[256] = "@", *source = NULL;
  size_t length = 0;
  es_error err = ES_ERROR_INIT;
  es_status status = ES_ERR_NOT_FOUND;

  if (options->find_module != NULL) {
    status = options->find_module(options->find_module_data, name, &source, &length, chunk + 1,
                                  sizeof chunk - 1, &err);
  }
  if (status == ES_ERR_NOT_FOUND) {
    luaL_error(L, "module '%s' not found%s%s", name, err.message[0] != '\0' ? ": " : "",
               err.message);
  }
  if (status != ES_OK) es__domain_raise(L, &err);
  int loaded = luaL_loadbufferx(L, source, length, chunk, "t");
  free(source);
  if (loaded != LUA_OK) es__rethrow(L, loaded);
  es__environment_push(L);
  lua_setupvalue(L, -2, 1);
}

static int require_domain(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);

  lua_settop(L, 1);
  if (is_builtin_name(name)) {
    if (!is_public(name)) return refuse_builtin(L, name);
    es__domain_push_builtin(L, name);
    es__domain_push_read_only(L, -1);
    return 1;
  }
  es__registry_table(L, &project_key);
  int type = lua_getfield(L, 2, name);
  if (type == LUA_TBOOLEAN)
    return luaL_error(L, "module '%s' requires itself, directly or through others", name);
  if (type == LUA_TNIL) {
    lua_pop(L, 1);
    load_project_module(L, name);
    run_module(L, 2, name);
    if (lua_isnil(L, -1) || lua_isboolean(L, -1)) {
      lua_pushnil(L);
      lua_setfield(L, 2, name);
      return luaL_error(L, "module '%s' returned no value; end it with 'return'", name);
    }
  }
  es__domain_push_read_only(L, -1);
  return 1;
}

void es__require_open(lua_State *L) {
  lua_pushcfunction(L, require_domain);
  lua_setfield(L, -2, "require");
}

void es__require_open_trusted(lua_State *L) {
  lua_pushcfunction(L, require_trusted);
  lua_setfield(L, -2, "require");
}
