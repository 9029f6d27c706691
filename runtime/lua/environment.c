/* environment: the frozen allow-list that domain code sees as its globals, and the wider one of built-in modules. What is not
 * listed here does not exist. Knows nothing of modules (require.c) and limits. */
#include <string.h>

#include <lualib.h>

#include "lua/internal.h"

static const char domain_key, trusted_key, frozen_key; /* their addresses are registry keys */

/* Real functions that are safe and deterministic as they are. */
static const char *const base_names[] = {"assert", "error",  "ipairs",   "rawequal", "rawget",
                                         "rawlen", "select", "tonumber", "_VERSION", NULL};
static const char *const string_names[] = {"byte",    "char", "len",   "lower",
                                           "reverse", "sub",  "upper", NULL};
static const char *const math_names[] = {
    "abs",  "acos", "asin", "atan", "ceil",       "cos",  "deg",        "exp",  "floor",
    "fmod", "huge", "log",  "max",  "maxinteger", "min",  "mininteger", "modf", "pi",
    "rad",  "sin",  "sqrt", "tan",  "tointeger",  "type", "ult",        NULL};
static const char *const utf8_names[] = {"char", "charpattern", "codepoint", "codes",
                                         "len",  "offset",      NULL};

/* What people look for that is missing on purpose, and what to use instead. */
static const struct {
  const char *name, *advice;
} missing[] = {
    {"os", "take the time from ctx.now"},
    {"os.time", "take the time from ctx.now"},
    {"io", "domain code reads and writes nothing; what it needs comes in the command or in ctx"},
    {"print", "domain code writes nothing; return events, or raise an error to see a value"},
    {"math.random", "the same events must replay to the same state; take ids from ctx.new_id()"},
    {"math.randomseed", "the same events must replay to the same state"},
    {"debug", "it would open the frozen environment"},
    {"coroutine", "decide and apply run from start to end"},
    {"package", "require finds the modules of the project"},
    {"load", "text cannot become code here; write a module and require it"},
    {"loadstring", "text cannot become code here; write a module and require it"},
    {"loadfile", "write a module and require it"},
    {"dofile", "write a module and require it"},
    {"collectgarbage", "memory is managed by the runtime"},
    {"rawset", "assign normally: t[key] = value"},
    {"unpack", "it is table.unpack"},
    {"_G", "there are no global variables to hold; use a local"},
    {"string.dump", "functions cannot become text here"},
    {"string.pack", "use string.format, or numbers in a table"},
    {"string.unpack", "use string.match, or numbers in a table"},
    {"string.packsize", "there is no string.pack"},
};

static int refuse_unknown(lua_State *L) {
  const char *library = lua_tostring(L, lua_upvalueindex(1));
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);

  if (library[0] != '\0') name = lua_pushfstring(L, "%s.%s", library, name);
  for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
    if (strcmp(missing[i].name, name) == 0) {
      return luaL_error(L, "'%s' does not exist in domain code: %s", name, missing[i].advice);
    }
  }
  if (library[0] != '\0') return luaL_error(L, "'%s' does not exist in domain code", name);
  return luaL_error(L, "'%s' is not defined: declare it with 'local', or require its module", name);
}

static int refuse_assignment(lua_State *L) {
  const char *library = lua_tostring(L, lua_upvalueindex(1));
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);

  if (library[0] != '\0')
    return luaL_error(L, "'%s.%s' cannot be assigned: '%s' is shared and frozen", library, name,
                      library);
  return luaL_error(L, "global '%s' cannot be assigned: declare it with 'local'", name);
}

void es__freeze(lua_State *L, const char *name) {
  luaL_checkstack(L, 5, NULL);
  lua_createtable(L, 0, 1); /* the inner table answers unknown names */
  lua_pushstring(L, name);
  lua_pushcclosure(L, refuse_unknown, 1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);

  lua_createtable(L, 0, 0); /* the proxy stays empty, so that every assignment is seen */
  lua_createtable(L, 0, 4);
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, name);
  lua_pushcclosure(L, refuse_assignment, 1);
  lua_setfield(L, -2, "__newindex");
  lua_pushvalue(L, -3);
  lua_rawsetp(L, -2, &frozen_key);
  lua_setmetatable(L, -2);
  lua_remove(L, -2);
}

bool es__push_frozen(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index)) return false;
  if (lua_rawgetp(L, -1, &frozen_key) == LUA_TTABLE) {
    lua_remove(L, -2);
    return true;
  }
  lua_pop(L, 2);
  return false;
}

bool es__registry_table(lua_State *L, const void *key) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, key) == LUA_TTABLE) return false;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, key);
  return true;
}

void es__environment_push(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &domain_key); }

void es__environment_push_trusted(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &trusted_key); }

/* Copies the named members of the table below the top into the table at the top. */
static void copy_names(lua_State *L, const char *const *names) {
  for (; *names != NULL; names++) {
    lua_getfield(L, -2, *names);
    lua_setfield(L, -2, *names);
  }
}

/* Pushes a new table holding the listed members of a real library. */
static void push_library(lua_State *L, const char *library, const char *const *names) {
  lua_getglobal(L, library);
  lua_createtable(L, 0, 32);
  copy_names(L, names);
  lua_remove(L, -2);
}

/* Methods of text are looked up in the guarded library, not in the real one. */
static void guard_string_methods(lua_State *L) {
  lua_pushliteral(L, "");
  lua_getmetatable(L, -1);
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 2);
}

static void open_domain_environment(lua_State *L) {
  lua_createtable(L, 0, 32);
  lua_pushglobaltable(L);
  lua_insert(L, -2);
  copy_names(L, base_names);
  lua_remove(L, -2);
  es__deterministic_open(L);
  es__metatables_open(L);
  es__protected_open(L);
  es__require_open(L);

  push_library(L, "string", string_names);
  es__string_open(L);
  es__patterns_open(L);
  guard_string_methods(L);
  es__freeze(L, "string");
  lua_setfield(L, -2, "string");

  lua_createtable(L, 0, 16);
  es__table_open(L);
  es__sort_open(L);
  es__freeze(L, "table");
  lua_setfield(L, -2, "table");

  push_library(L, "math", math_names);
  es__freeze(L, "math");
  lua_setfield(L, -2, "math");
  push_library(L, "utf8", utf8_names);
  es__freeze(L, "utf8");
  lua_setfield(L, -2, "utf8");

  es__freeze(L, "");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &domain_key);
}

/* Built-in modules see the real libraries, but iterate, catch and name types as domain code does. */
static void open_trusted_environment(lua_State *L) {
  lua_pushglobaltable(L);
  es__deterministic_open(L);
  es__protected_open(L);
  es__require_open_trusted(L);
  lua_getglobal(L, "string"); /* built-in modules match domain text, too */
  es__string_open(L);
  es__patterns_open(L);
  lua_pop(L, 1);
  lua_getglobal(L, "table");
  es__sort_open(L);
  lua_pop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &trusted_key);
}

void es__environment_open(lua_State *L) {
  static const luaL_Reg libraries[] = {
      {LUA_GNAME, luaopen_base},       {LUA_STRLIBNAME, luaopen_string},
      {LUA_TABLIBNAME, luaopen_table}, {LUA_MATHLIBNAME, luaopen_math},
      {LUA_UTF8LIBNAME, luaopen_utf8}, {NULL, NULL}};

  for (const luaL_Reg *library = libraries; library->name != NULL; library++) {
    luaL_requiref(L, library->name, library->func, 1);
    lua_pop(L, 1);
  }
  es__read_only_open(L);
  es__event_object_open(L);
  es__schema_fit_open(L);
  open_domain_environment(L);
  open_trusted_environment(L);
}
