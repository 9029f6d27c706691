/* matcher: Lua 5.4's pattern matching, every step under the limits. */
#include "lua/matcher.h"

#include <ctype.h>
#include <string.h>

static const char *match_here(es_matcher *m, const char *s, const char *p);

/* ---- one character ---- */

/* Texts that Lua hands out end with a NUL, so reading the byte at an end is defined. */
static int byte_at(const char *at) { return (unsigned char)*at; }

/* The end of the pattern item (without its repetition) that starts at p. */
static const char *item_end(es_matcher *m, const char *p) {
  int first = byte_at(p++);

  if (first == '%') {
    if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (ends with '%%')");
    return p + 1;
  }
  if (first != '[') return p;
  if (*p == '^') p++;
  do { /* a ']' that comes first stands for itself */
    if (p == m->pattern_end) luaL_error(m->L, "malformed pattern (missing ']')");
    if (*p++ == '%' && p < m->pattern_end) p++;
  } while (*p != ']');
  return p + 1;
}

static bool in_class(int c, int class) {
  bool in;

  switch (tolower(class)) {
  case 'a':
    in = isalpha(c) != 0;
    break;
  case 'c':
    in = iscntrl(c) != 0;
    break;
  case 'd':
    in = isdigit(c) != 0;
    break;
  case 'g':
    in = isgraph(c) != 0;
    break;
  case 'l':
    in = islower(c) != 0;
    break;
  case 'p':
    in = ispunct(c) != 0;
    break;
  case 's':
    in = isspace(c) != 0;
    break;
  case 'u':
    in = isupper(c) != 0;
    break;
  case 'w':
    in = isalnum(c) != 0;
    break;
  case 'x':
    in = isxdigit(c) != 0;
    break;
  case 'z': /* undocumented, but stock Lua knows it */
    in = c == '\0';
    break;
  default:
    return class == c;
  }
  return isupper(class) ? !in : in;
}

/* Is c in the set from '[' at p to ']' at last? */
static bool in_set(int c, const char *p, const char *last) {
  bool wanted = true;

  if (*++p == '^') {
    wanted = false;
    p++;
  }
  for (; p < last; p++) {
    if (*p == '%') {
      p++;
      if (in_class(c, byte_at(p))) return wanted;
    } else if (p[1] == '-' && p + 2 < last) {
      if (byte_at(p) <= c && c <= byte_at(p + 2)) return wanted;
      p += 2;
    } else if (byte_at(p) == c) {
      return wanted;
    }
  }
  return !wanted;
}

static bool item_matches(const es_matcher *m, const char *s, const char *p, const char *end) {
  if (s >= m->subject_end) return false;
  switch (*p) {
  case '.':
    return true;
  case '%':
    return in_class(byte_at(s), byte_at(p + 1));
  case '[':
    return in_set(byte_at(s), p, end - 1);
  default:
    return *p == *s;
  }
}

/* ---- items longer than a character ---- */

static const char *match_longest(es_matcher *m, const char *s, const char *p, const char *end) {
  const char *furthest = s, *found;

  while (item_matches(m, furthest, p, end)) {
    es__tick(m->L, m->domain);
    furthest++;
  }
  for (; furthest >= s; furthest--) {
    found = match_here(m, furthest, end + 1);
    if (found != NULL) return found;
  }
  return NULL;
}

static const char *match_shortest(es_matcher *m, const char *s, const char *p, const char *end) {
  for (;; s++) {
    const char *found = match_here(m, s, end + 1);
    if (found != NULL) return found;
    if (!item_matches(m, s, p, end)) return NULL;
  }
}

static const char *match_balanced(es_matcher *m, const char *s, const char *p) {
  size_t open = 1;

  if (p + 1 >= m->pattern_end) luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
  if (*s != *p) return NULL;
  while (++s < m->subject_end) {
    es__tick(m->L, m->domain);
    if (*s == p[1]) {
      if (--open == 0) return s + 1;
    } else if (*s == *p) {
      open++;
    }
  }
  return NULL;
}

static const char *open_capture(es_matcher *m, const char *s, const char *p, ptrdiff_t kind) {
  const char *found;

  if (m->capture_count >= MAX_CAPTURES) luaL_error(m->L, "too many captures");
  m->captures[m->capture_count].start = s;
  m->captures[m->capture_count].length = kind;
  m->capture_count++;
  found = match_here(m, s, p);
  if (found == NULL) m->capture_count--;
  return found;
}

static const char *close_capture(es_matcher *m, const char *s, const char *p) {
  const char *found;
  int at = m->capture_count - 1;

  while (at >= 0 && m->captures[at].length != CAPTURE_OPEN)
    at--;
  if (at < 0) luaL_error(m->L, "invalid pattern capture");
  m->captures[at].length = s - m->captures[at].start;
  found = match_here(m, s, p);
  if (found == NULL) m->captures[at].length = CAPTURE_OPEN;
  return found;
}

/* %1 to %9: what that capture took, again. */
static const char *match_again(es_matcher *m, const char *s, int digit) {
  int at = digit - '1';

  if (at < 0 || at >= m->capture_count || m->captures[at].length == CAPTURE_OPEN) {
    luaL_error(m->L, "invalid capture index %%%d", at + 1);
  }
  if (m->captures[at].length < 0) return NULL; /* a position has no text */
  size_t length = (size_t)m->captures[at].length;
  if ((size_t)(m->subject_end - s) < length || memcmp(m->captures[at].start, s, length) != 0)
    return NULL;
  return s + length;
}

/* Does a set's border lie at s? The text's ends count as a NUL. */
static bool at_frontier(const es_matcher *m, const char *s, const char *p, const char *end) {
  int before = s == m->subject ? '\0' : byte_at(s - 1);
  return !in_set(before, p, end - 1) && in_set(byte_at(s), p, end - 1);
}

/* A plain item and its repetition. True: go on at *s, *p. False: *s is the answer. */
static bool match_item(es_matcher *m, const char **s, const char **p) {
  const char *end = item_end(m, *p), *found;
  char repetition = end < m->pattern_end ? *end : '\0';
  bool here;

  if (repetition == '*') {
    *s = match_longest(m, *s, *p, end);
    return false;
  }
  if (repetition == '-') {
    *s = match_shortest(m, *s, *p, end);
    return false;
  }
  here = item_matches(m, *s, *p, end);
  if (repetition == '+') {
    *s = here ? match_longest(m, *s + 1, *p, end) : NULL;
    return false;
  }
  if (repetition == '?') {
    found = here ? match_here(m, *s + 1, end + 1) : NULL;
    if (found != NULL) {
      *s = found;
      return false;
    }
    *p = end + 1;
    return true;
  }
  *s = here ? *s + 1 : NULL;
  *p = end;
  return here;
}

/* The end of the match of the pattern from p at exactly s, or NULL. */
static const char *match_here(es_matcher *m, const char *s, const char *p) {
  const char *end;

  if (m->depth_left-- == 0) luaL_error(m->L, "pattern too complex");
  while (s != NULL && p != m->pattern_end) {
    es__tick(m->L, m->domain);
    if (*p == '(') {
      bool position = p[1] == ')';
      s = open_capture(m, s, position ? p + 2 : p + 1, position ? CAPTURE_POSITION : CAPTURE_OPEN);
      break;
    }
    if (*p == ')') {
      s = close_capture(m, s, p + 1);
      break;
    }
    if (*p == '$' && p + 1 == m->pattern_end) {
      if (s != m->subject_end) s = NULL;
      break;
    }
    if (*p == '%' && p[1] == 'b') {
      s = match_balanced(m, s, p + 2);
      p += 4;
    } else if (*p == '%' && p[1] == 'f') {
      p += 2;
      if (*p != '[') luaL_error(m->L, "missing '[' after '%%f' in pattern");
      end = item_end(m, p);
      if (!at_frontier(m, s, p, end)) s = NULL;
      p = end;
    } else if (*p == '%' && isdigit(byte_at(p + 1))) {
      s = match_again(m, s, byte_at(p + 1));
      p += 2;
    } else if (!match_item(m, &s, &p)) {
      break;
    }
  }
  m->depth_left++;
  return s;
}

void es__matcher_init(es_matcher *m, lua_State *L, const char *subject, size_t subject_length,
                      const char *pattern, size_t pattern_length) {
  m->L = L;
  m->domain = es__domain_of(L);
  m->subject = subject;
  m->subject_end = subject + subject_length;
  m->pattern_end = pattern + pattern_length;
}

const char *es__matcher_match(es_matcher *m, const char *s, const char *p) {
  m->depth_left = MAX_DEPTH;
  m->capture_count = 0;
  return match_here(m, s, p);
}
