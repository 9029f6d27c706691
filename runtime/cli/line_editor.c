/* line_editor: lines that a person types, with editing and a history, through libedit. Knows no Lua code and no runtime. */
#include "cli/line_editor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <editline/readline.h>
#include <lauxlib.h>

static int read_line(lua_State *L) {
  char *line = readline(luaL_checkstring(L, 1));
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
  add_history(luaL_checkstring(L, 1));
  return 0;
}

static int load(lua_State *L) {
  using_history();
  read_history(luaL_checkstring(L, 1));
  return 0;
}

static int save(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  mode_t mask = umask(077); /* commands may hold what others should not read */
  int number;

  stifle_history((int)luaL_checkinteger(L, 2));
  errno = 0;
  number = write_history(path);
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
  luaL_newlib(L, functions);
  return 1;
}
