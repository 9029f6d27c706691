/* interrupt: Ctrl-C as a person at a prompt expects it: it ends the waiting for input, or raises an error in running Lua code.
 * Everywhere else the signal stays blocked, so that neither an edited line nor the history is left half done. */
#define _GNU_SOURCE
#include "cli/interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <lauxlib.h>

#define PATIENCE                                                                                   \
  3 /* so many Ctrl-C in one call end the process; one may meet Lua halfway into a function, and be lost */

static volatile sig_atomic_t interrupts;
static lua_State *running; /* the state that call() is in, or NULL */

static void stop(lua_State *L, lua_Debug *activation) {
  (void)activation;
  lua_sethook(L, NULL, 0, 0);
  luaL_error(L, "interrupted");
}

/* As in Lua's own interpreter: setting a hook is all that may be done to a state from here. */
static void on_interrupt(int signal_number) {
  interrupts++;
  if (running == NULL) return;
  lua_sethook(running, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
  if (interrupts < PATIENCE) return;
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

static void mask(int how) {
  sigset_t signals;

  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(how, &signals, NULL);
}

bool cli_wait_for_input(void) {
  struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
  sigset_t during;
  bool again, came;

  pthread_sigmask(SIG_BLOCK, NULL, &during);
  sigdelset(&during, SIGINT);
  do {
    again = ppoll(&input, 1, NULL, &during) < 0 && errno == EINTR;
    mask(SIG_UNBLOCK); /* Ctrl-C comes before what was typed behind it */
    mask(SIG_BLOCK);
  } while (interrupts == 0 && again);
  came = interrupts == 0;
  interrupts = 0;
  return came;
}

static int watch(lua_State *L) {
  struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};

  (void)L;
  mask(SIG_BLOCK);
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, NULL);
  return 0;
}

static int wait_for_input(lua_State *L) {
  lua_pushboolean(L, cli_wait_for_input());
  return 1;
}

static int call(lua_State *L) {
  int status;

  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  running = L;
  mask(SIG_UNBLOCK);
  status = lua_pcall(L, 0, LUA_MULTRET, 0);
  mask(SIG_BLOCK);
  running = NULL;
  if (interrupts > 0) lua_sethook(L, NULL, 0, 0); /* it came too late to stop anything */
  interrupts = 0;
  if (status != LUA_OK) {
    lua_pushboolean(L, 0);
    lua_replace(L, 1);
  }
  return lua_gettop(L);
}

int cli_open_interrupt(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"watch", watch}, {"wait_for_input", wait_for_input}, {"call", call}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
