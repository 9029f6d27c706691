/* line_editor: lines that a person types, with editing and a history. */
#ifndef ES_CLI_LINE_EDITOR_H
#define ES_CLI_LINE_EDITOR_H

#include <lua.h>

/* The module "esrun.line_editor", on libedit; only for terminals, and only while esrun.interrupt watches.
 * Requiring it raises an error where libedit is not installed.
 *   read(prompt)   the line without its newline, or nil at the end of input, or nil, "interrupt" after Ctrl-C
 *   add(text)      to the history, which keeps the newest 1,000 lines
 *   load(path)     the history of an earlier session; a file that is not there is none
 *   save(path)     the history, readable by the user alone; true, or nil and why */
int cli_open_line_editor(lua_State *L);

#endif
