/* line_editor: lines that a person types, with editing and a history, through libedit. Knows no Lua code and no runtime. */
#include "cli/line_editor.h"

#include <dlfcn.h>
#include <errno.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include <histedit.h>
#include <lauxlib.h>

#include "cli/interrupt.h"

#define HISTORY_LINES 1000

/* libedit and the libraries that come with it would double what the loader does at each start: only who types needs them.
 * The declarations of its header say what each function is. */
#define FUNCTIONS(function)                                                                        \
  function(el_init) function(el_set) function(el_source) function(el_gets) function(history_init)  \
      function(history)

static struct {
#define MEMBER(name) __typeof__(&(name)) name;
  FUNCTIONS(MEMBER)
#undef MEMBER
} edit;

static EditLine *editor;
static History *lines;
static const char *prompt;
static locale_t characters; /* of the person's locale, for what is typed and shown here alone */
static bool interrupted;    /* Ctrl-C ended the line that was being read */

/* Debian's name of the library, and that of its authors. */
static bool load_library(void) {
  void *library = dlopen("libedit.so.2", RTLD_NOW);
  bool whole = true;

  if (library == NULL) library = dlopen("libedit.so.0", RTLD_NOW);
  if (library == NULL) return false;
#define FIND(name)                                                                                 \
  *(void **)&edit.name = dlsym(library, #name);                                                    \
  whole = whole && edit.name != NULL;
  FUNCTIONS(FIND)
#undef FIND
  return whole; /* and loaded until the end: it keeps the terminal's state */
}

static char *get_prompt(EditLine *unused) {
  (void)unused;
  return (char *)prompt;
}

/* A character for libedit: 1, 0 at the end of input, or -1. */
static int read_character(EditLine *unused, wchar_t *character) {
  mbstate_t state = {0};

  (void)unused;
  while (true) {
    char byte;
    ssize_t got;
    size_t used;

    if (!cli_wait_for_input()) {
      interrupted = true;
      return -1;
    }
    got = read(STDIN_FILENO, &byte, 1);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return (int)got;
    used = mbrtowc(character, &byte, 1, &state);
    if (used == 0 || used == 1) return 1;
    if (used == (size_t)-1)
      memset(&state, 0, sizeof state); /* no character: as if it had not been typed */
  }
}

/* Made at the first line, since it looks at the terminal. */
static bool make_editor(void) {
  if (editor != NULL) return true;
  editor = edit.el_init("esrun", stdin, stdout, stderr);
  if (editor == NULL) return false;
  edit.el_set(editor, EL_PROMPT, get_prompt);
  edit.el_set(editor, EL_EDITOR, "emacs");
  edit.el_set(editor, EL_HIST, edit.history, lines);
  edit.el_set(editor, EL_GETCFN, read_character);
  edit.el_set(editor, EL_BIND, "^R", "em-inc-search-prev", NULL);
  edit.el_set(editor, EL_BIND, "^I", "ed-insert", NULL);
  edit.el_set(editor, EL_BIND, "\\e[1;5C", "em-next-word", NULL);
  edit.el_set(editor, EL_BIND, "\\e[1;5D", "ed-prev-word", NULL);
  edit.el_source(editor, NULL); /* ~/.editrc: the person's own keys */
  return true;
}

static int read_line(lua_State *L) {
  const char *line = NULL;
  int length = 0;
  locale_t before;
  bool made;

  prompt = luaL_checkstring(L, 1);
  interrupted = false;
  before = uselocale(characters);
  made = make_editor();
  if (made) line = edit.el_gets(editor, &length);
  uselocale(before);
  if (!made) return luaL_error(L, "libedit cannot use this terminal");
  if (line == NULL || length <= 0) {
    luaL_pushfail(L);
    if (interrupted) lua_pushliteral(L, "interrupt");
    return interrupted ? 2 : 1;
  }
  if (line[length - 1] == '\n') length--;
  lua_pushlstring(L, line, (size_t)length);
  return 1;
}

static int add(lua_State *L) {
  HistEvent event;
  edit.history(lines, &event, H_ENTER, luaL_checkstring(L, 1));
  return 0;
}

static int load(lua_State *L) {
  HistEvent event;
  edit.history(lines, &event, H_LOAD, luaL_checkstring(L, 1));
  return 0;
}

static int save(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  mode_t mask = umask(077); /* commands may hold what others should not read */
  HistEvent event;
  int number;

  errno = 0;
  number = edit.history(lines, &event, H_SAVE, path);
  umask(mask);
  if (number < 0) {
    luaL_pushfail(L);
    lua_pushstring(L, strerror(errno));
    return 2;
  }
  lua_pushboolean(L, 1);
  return 1;
}

int cli_open_line_editor(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"read", read_line}, {"add", add}, {"load", load}, {"save", save}, {NULL, NULL}};
  HistEvent event;

  if (!load_library()) return luaL_error(L, "libedit is not there: %s", dlerror());
  lines = edit.history_init();
  if (lines == NULL) return luaL_error(L, "not enough memory for a history");
  characters = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
  if (characters == (locale_t)0) characters = LC_GLOBAL_LOCALE; /* that locale is not installed */
  edit.history(lines, &event, H_SETSIZE, HISTORY_LINES);
  luaL_newlib(L, functions);
  return 1;
}
