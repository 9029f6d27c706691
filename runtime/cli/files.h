/* files: folders and the files that `esrun init` writes. */
#ifndef ES_CLI_FILES_H
#define ES_CLI_FILES_H

#include <lua.h>

/* The module "esrun.files":
 *   kind(path)         "file", "folder", "other", or nil when there is nothing
 *   identity(path)     a text that is the same for two paths of one file, or nil when there is nothing
 *   real_path(path)    the absolute path without links, or nil and why
 *   is_link(path)      true for a symbolic link, wherever it leads
 *   create(path, like) a Lua file to write to, which was not there before, with the permissions of the file
 *                      `like` if there is one; or nil and why
 *   list(folder)       the names in it without "." and "..", sorted; or nil and why
 *   make_folder(path)  "made" or "there"; or nil and why
 *   changed_at(path)   nanoseconds since the epoch, or nil
 *   templates()        { [path] = text } of the example projects, paths as in the source tree */
int cli_open_files(lua_State *L);

#endif
