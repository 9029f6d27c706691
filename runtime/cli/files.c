/* files: what Lua's own library does not know of folders, and the example projects that are built in. Knows no runtime. */
#define _GNU_SOURCE
#include "cli/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <lauxlib.h>

#include "base/embedded.h"

extern const struct es_embedded cli_templates[];

static int fail(lua_State *L, int number) {
  luaL_pushfail(L);
  lua_pushstring(L, strerror(number));
  return 2;
}

static int kind(lua_State *L) {
  struct stat facts;

  if (stat(luaL_checkstring(L, 1), &facts) != 0) return luaL_pushfail(L), 1;
  lua_pushstring(L, S_ISDIR(facts.st_mode) ? "folder" : S_ISREG(facts.st_mode) ? "file" : "other");
  return 1;
}

typedef struct listing {
  struct dirent **entries;
  int count;
} listing;

static int push_names(lua_State *L) {
  const listing *found = lua_touserdata(L, 1);
  lua_Integer count = 0;

  lua_newtable(L);
  for (int i = 0; i < found->count; i++) {
    const char *name = found->entries[i]->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
    lua_pushstring(L, name);
    lua_rawseti(L, -2, ++count);
  }
  return 1;
}

static int list(lua_State *L) {
  listing found = {NULL, scandir(luaL_checkstring(L, 1), &found.entries, NULL, alphasort)};
  int status;

  if (found.count < 0) return fail(L, errno);
  lua_pushcfunction(L, push_names); /* protected: the entries must be freed */
  lua_pushlightuserdata(L, &found);
  status = lua_pcall(L, 1, 1, 0);
  for (int i = 0; i < found.count; i++)
    free(found.entries[i]);
  free(found.entries);
  return status == LUA_OK ? 1 : lua_error(L);
}

static int make_folder(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct stat facts;

  if (mkdir(path, 0777) != 0) {
    int number = errno;
    if (number != EEXIST || stat(path, &facts) != 0) return fail(L, number);
    if (!S_ISDIR(facts.st_mode)) return fail(L, ENOTDIR);
  }
  lua_pushboolean(L, 1);
  return 1;
}

static int changed_at(lua_State *L) {
  struct stat facts;

  if (stat(luaL_checkstring(L, 1), &facts) != 0) return luaL_pushfail(L), 1;
  lua_pushinteger(L, (lua_Integer)facts.st_mtim.tv_sec * 1000000000 + facts.st_mtim.tv_nsec);
  return 1;
}

static int templates(lua_State *L) {
  lua_newtable(L);
  for (const struct es_embedded *file = cli_templates; file->path != NULL; file++) {
    lua_pushlstring(L, file->text, file->length);
    lua_setfield(L, -2, file->path);
  }
  return 1;
}

int cli_open_files(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"kind", kind},
      {"list", list},
      {"make_folder", make_folder},
      {"changed_at", changed_at},
      {"templates", templates},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  return 1;
}
