/* matcher: Lua 5.4's pattern matching, written anew because nothing can stop the stock one: it backtracks for years over
 * twenty characters. Every step here looks at the limits. The manual, section 6.4.1, says what patterns mean; the tests
 * compare with the stock matcher over generated cases. Knows nothing of the library functions (patterns.c). */
#ifndef ES_LUA_MATCHER_H
#define ES_LUA_MATCHER_H

#include "lua/internal.h"

enum {
  MAX_CAPTURES = 32,
  MAX_DEPTH = 200,      /* of the matcher calling itself, as in Lua */
  CAPTURE_OPEN = -1,    /* its ')' has not been reached */
  CAPTURE_POSITION = -2 /* () */
};

typedef struct es_matcher {
  lua_State *L;
  es_domain *domain;
  const char *subject, *subject_end, *pattern_end;
  int depth_left;
  int capture_count;
  struct {
    const char *start;
    ptrdiff_t length;
  } captures[MAX_CAPTURES];
} es_matcher;

void es__matcher_init(es_matcher *m, lua_State *L, const char *subject, size_t subject_length,
                      const char *pattern, size_t pattern_length);
/* The end of the match of the pattern from `pattern` (past a '^') at exactly `at`, or NULL. Raises on a malformed pattern. */
const char *es__matcher_match(es_matcher *m, const char *at, const char *pattern);

#endif
