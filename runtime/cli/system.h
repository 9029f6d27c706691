/* system: what the command needs of the operating system and Lua's own libraries do not have. */
#ifndef ES_CLI_SYSTEM_H
#define ES_CLI_SYSTEM_H

#include <lua.h>

/* The module "esrun.system":
 *   is_terminal(n)      true when descriptor 1 or 2 is one
 *   user_id()           of the operating system's user, a number
 *   sync(file)          flushes a Lua file to disk; true, or nil and why
 *   can_write(path)     true when the path may be written
 *   others_may_write(path)  true when every user may write it
 *   free_space(path)    bytes that this user may still fill on the path's disk, and its size; nil and why
 *   watch_interrupt()   from now on SIGINT and SIGTERM end wait() instead of the process
 *   wait(milliseconds)  "time", "interrupt", or "closed" when nobody reads standard output any more */
int cli_open_system(lua_State *L);

#endif
