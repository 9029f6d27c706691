/* interrupt: Ctrl-C as a person at a prompt expects it. */
#ifndef ES_CLI_INTERRUPT_H
#define ES_CLI_INTERRUPT_H

#include <stdbool.h>

#include <lua.h>

/* Waits until there is something to read from standard input, or its end; false when Ctrl-C came instead. */
bool cli_wait_for_input(void);

/* The module "esrun.interrupt":
 *   watch()            from now on Ctrl-C ends nothing: it is kept back except in the two functions below
 *   wait_for_input()   as above
 *   call(f)            as pcall(f), where Ctrl-C raises an error in f; the third one in a call ends the process */
int cli_open_interrupt(lua_State *L);

#endif
