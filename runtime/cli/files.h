/* files: folders and the files that `esrun init` writes. */
#ifndef ES_CLI_FILES_H
#define ES_CLI_FILES_H

#include <lua.h>

/* The module "esrun.files":
 *   kind(path)         "file", "folder", "other", or nil when there is nothing
 *   list(folder)       the names in it without "." and "..", sorted; or nil and why
 *   make_folder(path)  true when it was made or was there; or nil and why
 *   changed_at(path)   nanoseconds since the epoch, or nil
 *   templates()        { [path] = text } of the example projects, paths as in the source tree */
int cli_open_files(lua_State *L);

#endif
