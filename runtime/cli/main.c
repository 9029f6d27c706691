/* main: the `esrun` command. Makes the Lua state, prepares the standard streams, hands over to lua/esrun/cli, and sees to it
 * that a result that could not be written is not taken for success. Everything else is in Lua, on the public API. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "base/pool.h"
#include "cli/files.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/process.h"
#include "cli/system.h"
#include "esrun.h"

int luaopen_esrun(lua_State *L);

static void preload(lua_State *L, const char *name, lua_CFunction open) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, open);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

/* Runs protected: argument is the C argument list; returns the exit status. */
static int run(lua_State *L) {
  char **arguments = lua_touserdata(L, 1);

  lua_gc(L, LUA_GCSTOP); /* until the command runs: what is loaded before stays */
  luaL_openlibs(L);
  preload(L, "esrun", luaopen_esrun);
  preload(L, "esrun.system", cli_open_system);
  preload(L, "esrun.files", cli_open_files);
  preload(L, "esrun.process", cli_open_process);
  preload(L, "esrun.interrupt", cli_open_interrupt);
  preload(L, "esrun.line_editor", cli_open_line_editor);
  lua_getglobal(L, "require");
  lua_pushvalue(L, -1);
  lua_pushliteral(L, "esrun"); /* makes esrun.cli requirable */
  lua_call(L, 1, 0);
  lua_pushliteral(L, "esrun.cli");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "main");
  lua_newtable(L);
  for (int i = 1; arguments[i] != NULL; i++) {
    lua_pushstring(L, arguments[i]);
    lua_rawseti(L, -2, i);
  }
  lua_call(L, 1, 1);
  return 1;
}

static void *allocate(void *pool, void *block, size_t old_size, size_t size) {
  return es__pool_resize(pool, block, old_size, size);
}

/* What luaL_newstate would set: silent until warn("@on"). */
typedef struct warnings {
  bool on;
  bool unfinished; /* the message at hand continues the one before */
} warnings;

static void print_warning(void *data, const char *message, int continues) {
  warnings *self = data;

  if (!self->unfinished && !continues && message[0] == '@') {
    if (strcmp(message, "@on") == 0) self->on = true;
    if (strcmp(message, "@off") == 0) self->on = false;
    return;
  }
  if (self->on)
    fprintf(stderr, "%s%s%s", self->unfinished ? "" : "Lua warning: ", message,
            continues ? "" : "\n");
  self->unfinished = continues != 0;
}

/* A reader that has gone away (`| head`) has what it wanted; any other failure to write is an error, told once: a write
 * that failed earlier was reported by Lua. */
static int close_output(int status) {
  if (fflush(stdout) == 0 || errno == EPIPE || status != 0) return status;
  fprintf(stderr, "esrun: output: %s\n", strerror(errno));
  return ES_ERR_OTHER;
}

int main(int argc, char **argv) {
  static char *nothing[] = {NULL, NULL};
  int status = ES_ERR_OTHER;
  es_pool pool = {0};
  warnings lua_warnings = {0};
  lua_State *L;

  signal(SIGPIPE,
         SIG_IGN); /* a write that fails says so; dying in the middle of a commit would not */
  if (!isatty(STDOUT_FILENO)) setvbuf(stdout, NULL, _IOFBF, 64 * 1024);
  L = lua_newstate(allocate, &pool);
  if (L == NULL) {
    fputs("esrun: out of memory\n", stderr);
    return status;
  }
  lua_setwarnf(L, print_warning, &lua_warnings);
  lua_pushcfunction(L, run);
  lua_pushlightuserdata(L, argc > 0 ? argv : nothing);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) {
    status = (int)lua_tointeger(L, -1);
  } else {
    const char *message = lua_tostring(L, -1);
    fprintf(stderr, "esrun: internal error: %s\n", message == NULL ? "?" : message);
  }
  lua_close(L);
  es__pool_free(&pool);
  return close_output(status);
}
