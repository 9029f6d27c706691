/* files: what Lua's own library does not know of folders, and the example projects that are built in. Knows no runtime. */
#define _GNU_SOURCE
#include "cli/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static int identity(lua_State *L) {
  struct stat facts;

  if (stat(luaL_checkstring(L, 1), &facts) != 0) return luaL_pushfail(L), 1;
  lua_pushfstring(L, "%I:%I", (lua_Integer)facts.st_dev, (lua_Integer)facts.st_ino);
  return 1;
}

static int real_path(lua_State *L) {
  char *real = realpath(luaL_checkstring(L, 1), NULL);

  if (real == NULL) return fail(L, errno);
  lua_pushstring(L, real);
  free(real);
  return 1;
}

static int is_link(lua_State *L) {
  struct stat facts;
  lua_pushboolean(L, lstat(luaL_checkstring(L, 1), &facts) == 0 && S_ISLNK(facts.st_mode));
  return 1;
}

static int close_created(lua_State *L) {
  luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

static int create(lua_State *L) {
  const char *path = luaL_checkstring(L, 1), *like = luaL_optstring(L, 2, NULL);
  luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
  struct stat facts;

  stream->closef = NULL; /* closed, until it is whole */
  stream->f = NULL;
  luaL_setmetatable(L, LUA_FILEHANDLE);
  int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) return fail(L, errno);
  bool alike =
      like == NULL || stat(like, &facts) != 0 || fchmod(descriptor, facts.st_mode & 07777) == 0;
  if (alike) stream->f = fdopen(descriptor, "wb");
  if (stream->f == NULL) {
    int number = errno;
    close(descriptor);
    unlink(path);
    return fail(L, number);
  }
  stream->closef = close_created;
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
    lua_pushliteral(L, "there");
  } else {
    lua_pushliteral(L, "made");
  }
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
      {"identity", identity},
      {"real_path", real_path},
      {"is_link", is_link},
      {"list", list},
      {"create", create},
      {"make_folder", make_folder},
      {"changed_at", changed_at},
      {"templates", templates},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  return 1;
}
