/* process: where this program lies, and going on as another one. */
#ifndef ES_CLI_PROCESS_H
#define ES_CLI_PROCESS_H

#include <lua.h>

/* The module "esrun.process":
 *   program()                path of the running esrun, or nil
 *   replace(path, args, env) goes on as this program, found like a shell finds it; env: { NAME = value } set before.
 *                            Comes back only when that failed: nil and why
 *   run(path, args, env)     runs it and waits: its exit status (128 + signal when killed), or nil and why */
int cli_open_process(lua_State *L);

#endif
