/* embedded: Lua sources compiled into the library by cmake/embed.cmake. Tables end with a row whose path is NULL. */
#ifndef ES_BASE_EMBEDDED_H
#define ES_BASE_EMBEDDED_H

#include <stddef.h>

struct es_embedded {
  const char *path; /* from the project's root: "lua/es/rule.lua" */
  const char *text; /* NUL-terminated for convenience */
  size_t length;
  const char
      *code; /* the runtime's own files: the same compiled ahead of time; NULL: not compiled */
  size_t code_length;
  const char *release; /* of the Lua that compiled it: "Lua 5.4.4 " */
};

extern const struct es_embedded es_builtin_modules[]; /* lua/es: what domain code requires */
extern const struct es_embedded
    es_shipped_modules[]; /* aggregates/ and projections/ of this source tree */
extern const struct es_embedded es_host_modules[]; /* lua/esrun */

#endif
