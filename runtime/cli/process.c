/* process: where this program lies, and other programs run in its place or beside it. Knows no runtime. */
#define _GNU_SOURCE
#include "cli/process.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>

extern char **environ;

static int fail(lua_State *L, int number) {
  luaL_pushfail(L);
  lua_pushstring(L, strerror(number));
  return 2;
}

static int program(lua_State *L) {
  char path[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path);

  if (length < 0 || (size_t)length == sizeof path) return luaL_pushfail(L), 1;
  lua_pushlstring(L, path, (size_t)length);
  return 1;
}

/* The arguments (a list at 2) with the path in front, as C wants them; on the Lua stack, which keeps them alive. */
static char **push_arguments(lua_State *L) {
  lua_Unsigned count = lua_rawlen(L, 2);
  char **out = lua_newuserdatauv(L, (count + 2) * sizeof *out, 0);

  luaL_checkstack(L, (int)count + 4, "too many arguments");
  out[0] = (char *)luaL_checkstring(L, 1);
  for (lua_Unsigned i = 1; i <= count; i++) {
    lua_rawgeti(L, 2, (lua_Integer)i);
    out[i] = (char *)luaL_checkstring(L, -1);
  }
  out[count + 1] = NULL;
  return out;
}

static void set_environment(lua_State *L) {
  if (!lua_istable(L, 3)) return;
  lua_pushnil(L);
  while (lua_next(L, 3) != 0) {
    setenv(luaL_checkstring(L, -2), luaL_checkstring(L, -1), 1);
    lua_pop(L, 1);
  }
}

/* Ignored signals are inherited; the program that follows shall find them as a shell would give them. */
static int replace(lua_State *L) {
  char **arguments;
  int number;

  luaL_checktype(L, 2, LUA_TTABLE);
  set_environment(L);
  arguments = push_arguments(L);
  fflush(NULL);
  signal(SIGPIPE, SIG_DFL);
  execvp(arguments[0], arguments);
  number = errno;
  signal(SIGPIPE, SIG_IGN);
  return fail(L, number);
}

static int run(lua_State *L) {
  posix_spawnattr_t attributes;
  sigset_t defaults, mask;
  char **arguments;
  pid_t child;
  int status, number;

  luaL_checktype(L, 2, LUA_TTABLE);
  set_environment(L);
  arguments = push_arguments(L);
  fflush(NULL);
  posix_spawnattr_init(&attributes);
  sigemptyset(&mask); /* wait() blocks interrupts; the child must not */
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &mask);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  number = posix_spawnp(&child, arguments[0], NULL, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  if (number != 0) return fail(L, number);
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return fail(L, errno);
  }
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return 1;
}

int cli_open_process(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"program", program}, {"replace", replace}, {"run", run}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
