/* line_editor: lines that a person types, with editing and a history, through libedit. Knows no Lua code and no runtime. */
#include "cli/line_editor.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <editline/readline.h>
#include <lauxlib.h>

/* libedit and the libraries that come with it would double what the loader does at each start: only who types needs them.
 * The declarations of its header say what each function is. */
#define FUNCTIONS(function)                                                                        \
  function(readline) function(add_history) function(using_history) function(read_history)          \
      function(stifle_history) function(write_history)

static struct {
#define MEMBER(name) __typeof__(&(name)) name;
  FUNCTIONS(MEMBER)
#undef MEMBER
} edit;

/* Debian's name of the library, and that of its authors. */
static bool load_library(void) {
  void *library = dlopen("libedit.so.2", RTLD_NOW);
  bool whole = true;

  if (library == NULL) library = dlopen("libedit.so.0", RTLD_NOW);
  if (library == NULL) return false;
#define FIND(name)                                                                                 \
  *(void **)&edit.name = dlsym(library, #name);                                                    \
  whole = whole && edit.name != NULL;
  FUNCTIONS(FIND)
#undef FIND
  return whole; /* and loaded until the end: it keeps the terminal's state */
}

static int read_line(lua_State *L) {
  char *line = edit.readline(luaL_checkstring(L, 1));
  char copy[4096], *whole = copy;

  if (line == NULL) return luaL_pushfail(L), 1;
  /* Lua may run out of memory while it copies the line, so a collected block takes it over first. */
  size_t length = strlen(line);
  if (length >= sizeof copy) whole = lua_newuserdatauv(L, length + 1, 0);
  memcpy(whole, line, length + 1);
  free(line);
  lua_pushlstring(L, whole, length);
  return 1;
}

static int add(lua_State *L) {
  edit.add_history(luaL_checkstring(L, 1));
  return 0;
}

static int load(lua_State *L) {
  edit.using_history();
  edit.read_history(luaL_checkstring(L, 1));
  return 0;
}

static int save(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  mode_t mask = umask(077); /* commands may hold what others should not read */
  int number;

  edit.stifle_history((int)luaL_checkinteger(L, 2));
  errno = 0;
  number = edit.write_history(path);
  umask(mask);
  if (number != 0) {
    luaL_pushfail(L);
    lua_pushstring(L, strerror(errno));
    return 2;
  }
  lua_pushboolean(L, 1);
  return 1;
}

int cli_open_line_editor(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"read", read_line}, {"add", add}, {"load", load}, {"save", save}, {NULL, NULL}};
  if (!load_library()) return luaL_error(L, "libedit is not there: %s", dlerror());
  luaL_newlib(L, functions);
  return 1;
}
