/* system: terminals, user ids, paths, disks, syncing, and a wait that signals end. Knows no runtime. */
#define _GNU_SOURCE
#include "cli/system.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <lauxlib.h>

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number) {
  (void)signal_number;
  interrupted = 1;
}

static int is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
  return 1;
}

static int user_id(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)getuid());
  return 1;
}

/* Seconds since some moment, by a clock that nobody sets. */
static int seconds(lua_State *L) {
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
  return 1;
}

static int sync_file(lua_State *L) {
  luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);

  if (fflush(stream->f) != 0 || fsync(fileno(stream->f)) != 0) {
    luaL_pushfail(L);
    lua_pushstring(L, strerror(errno));
    return 2;
  }
  lua_pushboolean(L, 1);
  return 1;
}

static int can_write(lua_State *L) {
  lua_pushboolean(L, access(luaL_checkstring(L, 1), W_OK) == 0);
  return 1;
}

static int others_may_write(lua_State *L) {
  struct stat facts;
  lua_pushboolean(L, stat(luaL_checkstring(L, 1), &facts) == 0 && (facts.st_mode & S_IWOTH) != 0);
  return 1;
}

/* The one absolute path of a file that is there; nil otherwise. */
static int real_path(lua_State *L) {
  char path[PATH_MAX];

  lua_pushstring(L, realpath(luaL_checkstring(L, 1), path)); /* NULL becomes nil */
  return 1;
}

static int free_space(lua_State *L) {
  struct statvfs facts;

  if (statvfs(luaL_checkstring(L, 1), &facts) != 0) {
    luaL_pushfail(L);
    lua_pushstring(L, strerror(errno));
    return 2;
  }
  lua_pushinteger(L, (lua_Integer)(facts.f_bavail * facts.f_frsize));
  lua_pushinteger(L, (lua_Integer)(facts.f_blocks * facts.f_frsize));
  return 2;
}

/* The signals stay blocked except during wait(), so that none is lost between looking and waiting. */
static int watch_interrupt(lua_State *L) {
  struct sigaction action = {.sa_handler = on_interrupt};
  sigset_t blocked;

  (void)L;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGINT);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked, NULL);
  return 0;
}

static int wait_for(lua_State *L) {
  lua_Integer milliseconds = luaL_checkinteger(L, 1);
  struct timespec limit = {.tv_sec = (time_t)(milliseconds / 1000),
                           .tv_nsec = (long)(milliseconds % 1000) * 1000000};
  struct pollfd output = {.fd = STDOUT_FILENO}; /* only errors are of interest: the reader's end */
  sigset_t none_blocked;
  int ready;

  sigemptyset(&none_blocked);
  ready = ppoll(&output, 1, &limit, &none_blocked);
  if (interrupted) {
    lua_pushliteral(L, "interrupt");
  } else if (ready > 0 && (output.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
    lua_pushliteral(L, "closed");
  } else {
    lua_pushliteral(L, "time");
  }
  return 1;
}

int cli_open_system(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"is_terminal", is_terminal},
      {"seconds", seconds},
      {"user_id", user_id},
      {"sync", sync_file},
      {"others_may_write", others_may_write},
      {"can_write", can_write},
      {"free_space", free_space},
      {"real_path", real_path},
      {"wait", wait_for},
      {"watch_interrupt", watch_interrupt},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  return 1;
}
