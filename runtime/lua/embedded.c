/* embedded: loads the runtime's own Lua files, which were compiled into the library. Compiling them at each start would take
 * longer than all else a short command does, so they have bytecode, which only the very Lua that made it may run. Nothing
 * else is ever loaded as bytecode. */
#include "base/embedded.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "lua/domain.h"

int es__embedded_load(lua_State *L, const struct es_embedded *file) {
  char name[256];

  snprintf(name, sizeof name, "=%s", file->path); /* '=' marks frames that are not the project's */
  /* "$LuaVersion: Lua 5.4.4  Copyright …" is of the library that is loaded now, not of its header. */
  if (file->code != NULL && strstr(lua_ident, file->release) != NULL) {
    if (luaL_loadbufferx(L, file->code, file->code_length, name, "b") == LUA_OK) return LUA_OK;
    lua_pop(L, 1); /* compiled for another machine: its header says so */
  }
  return luaL_loadbufferx(L, file->text, file->length, name, "t");
}
