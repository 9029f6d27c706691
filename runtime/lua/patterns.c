/* patterns: find, match, gmatch and gsub with Lua 5.4's meaning, on the matcher that limits can stop. */
#define _GNU_SOURCE
#include <string.h>

#include "lua/matcher.h"

/* ---- results ---- */

/* The text of a capture; without any, capture 0 is the whole match. A position is pushed, and NULL returned. */
static const char *capture_text(const es_matcher *m, int at, const char *s, const char *e,
                                size_t *length) {
  if (at >= m->capture_count) {
    if (at != 0) luaL_error(m->L, "invalid capture index %%%d", at + 1);
    *length = (size_t)(e - s);
    return s;
  }
  if (m->captures[at].length == CAPTURE_OPEN) luaL_error(m->L, "unfinished capture");
  if (m->captures[at].length == CAPTURE_POSITION) {
    lua_pushinteger(m->L, m->captures[at].start - m->subject + 1);
    return NULL;
  }
  *length = (size_t)m->captures[at].length;
  return m->captures[at].start;
}

static void push_capture(const es_matcher *m, int at, const char *s, const char *e) {
  size_t length = 0;
  const char *text = capture_text(m, at, s, e, &length);
  if (text != NULL) lua_pushlstring(m->L, text, length);
}

/* Pushes all captures; the whole match when there are none and s is given. */
static int push_captures(const es_matcher *m, const char *s, const char *e) {
  int count = m->capture_count == 0 && s != NULL ? 1 : m->capture_count;

  luaL_checkstack(m->L, count, "too many captures");
  for (int i = 0; i < count; i++)
    push_capture(m, i, s, e);
  return count;
}

/* Where the search starts, from 0, given Lua's optional position. */
static size_t start_offset(lua_State *L, int argument, size_t length) {
  lua_Integer position = luaL_optinteger(L, argument, 1);

  if (position > 0) return (size_t)position - 1;
  if (position == 0 || position < -(lua_Integer)length) return 0;
  return length - (size_t)(-position);
}

static int search(lua_State *L, bool find) {
  es_matcher m;
  size_t subject_length, pattern_length;
  const char *subject = luaL_checklstring(L, 1, &subject_length),
             *pattern = luaL_checklstring(L, 2, &pattern_length);
  size_t start = start_offset(L, 3, subject_length);

  if (start > subject_length) {
    lua_pushnil(L);
    return 1;
  }
  if (find && (lua_toboolean(L, 4) || strcspn(pattern, "^$*+?.([%-") == pattern_length)) {
    const char *found = memmem(subject + start, subject_length - start, pattern, pattern_length);
    if (found == NULL) {
      lua_pushnil(L);
      return 1;
    }
    lua_pushinteger(L, found - subject + 1);
    lua_pushinteger(L, found - subject + (lua_Integer)pattern_length);
    return 2;
  }
  es__matcher_init(&m, L, subject, subject_length, pattern, pattern_length);
  bool anchored = *pattern == '^';
  for (const char *s = subject + start; s <= m.subject_end; s++) {
    const char *e = es__matcher_match(&m, s, anchored ? pattern + 1 : pattern);
    if (e != NULL) {
      if (!find) return push_captures(&m, s, e);
      lua_pushinteger(L, s - subject + 1);
      lua_pushinteger(L, e - subject);
      return push_captures(&m, NULL, NULL) + 2;
    }
    if (anchored) break;
  }
  lua_pushnil(L);
  return 1;
}

static int find_pattern(lua_State *L) { return search(L, true); }

static int match_pattern(lua_State *L) { return search(L, false); }

/* Upvalues: subject, pattern, the offset to go on at, the offset where the last match ended (-1: none yet). */
static int next_match(lua_State *L) {
  es_matcher m;
  size_t subject_length, pattern_length;
  const char *subject = lua_tolstring(L, lua_upvalueindex(1), &subject_length);
  const char *pattern = lua_tolstring(L, lua_upvalueindex(2), &pattern_length);
  const lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));

  es__matcher_init(&m, L, subject, subject_length, pattern, pattern_length);
  for (const char *s = subject + lua_tointeger(L, lua_upvalueindex(3)); s <= m.subject_end; s++) {
    const char *e = es__matcher_match(&m, s, pattern);
    if (e != NULL && e - subject != last) {
      lua_pushinteger(L, e - subject);
      lua_pushvalue(L, -1);
      lua_replace(L, lua_upvalueindex(3));
      lua_replace(L, lua_upvalueindex(4));
      return push_captures(&m, s, e);
    }
  }
  return 0;
}

static int each_match(lua_State *L) {
  size_t length;
  luaL_checklstring(L, 1, &length);
  luaL_checkstring(L, 2);
  size_t start = start_offset(L, 3, length);

  lua_settop(L, 2);
  lua_pushinteger(L, (lua_Integer)(start > length ? length + 1 : start));
  lua_pushinteger(L, -1);
  lua_pushcclosure(L, next_match, 4);
  return 1;
}

/* ---- gsub ---- */

/* Adds the replacement text at argument 3 with its %0 to %9 and %% filled in. */
static void add_template(const es_matcher *m, luaL_Buffer *out, const char *s, const char *e) {
  size_t length, taken;
  const char *at = lua_tolstring(m->L, 3, &length), *end = at + length, *text;

  for (const char *escape; (escape = memchr(at, '%', (size_t)(end - at))) != NULL;
       at = escape + 2) {
    luaL_addlstring(out, at, (size_t)(escape - at));
    es__tick(m->L, m->domain);
    if (escape[1] == '%') {
      luaL_addchar(out, '%');
    } else if (escape[1] == '0') {
      luaL_addlstring(out, s, (size_t)(e - s));
    } else if (escape[1] >= '0' && escape[1] <= '9') {
      text = capture_text(m, escape[1] - '1', s, e, &taken);
      if (text != NULL)
        luaL_addlstring(out, text, taken);
      else
        luaL_addvalue(out);
    } else {
      luaL_error(m->L, "invalid use of '%%' in replacement string");
    }
  }
  luaL_addlstring(out, at, (size_t)(end - at));
}

/* Adds what replaces the match; false when the match stays as it is. */
static bool add_replacement(const es_matcher *m, luaL_Buffer *out, const char *s, const char *e) {
  lua_State *L = m->L;

  switch (lua_type(L, 3)) {
  case LUA_TFUNCTION:
    lua_pushvalue(L, 3);
    lua_call(L, push_captures(m, s, e), 1);
    break;
  case LUA_TTABLE:
  case LUA_TUSERDATA: /* a view */
    push_capture(m, 0, s, e);
    lua_gettable(L, 3);
    break;
  default:
    add_template(m, out, s, e);
    return true;
  }
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    luaL_addlstring(out, s, (size_t)(e - s));
    return false;
  }
  if (!lua_isstring(L, -1)) luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
  luaL_addvalue(out);
  return true;
}

static int replace_matches(lua_State *L) {
  es_matcher m;
  luaL_Buffer out;
  size_t subject_length, pattern_length;
  const char *subject = luaL_checklstring(L, 1, &subject_length),
             *pattern = luaL_checklstring(L, 2, &pattern_length);
  const char *s = subject, *last = NULL;
  int type = lua_type(L, 3);
  lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)subject_length + 1), count = 0;
  bool anchored = *pattern == '^', changed = false;

  luaL_argexpected(L,
                   type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION ||
                       type == LUA_TTABLE || es__is_read_only(L, 3),
                   3, "string/function/table");
  es__matcher_init(&m, L, subject, subject_length, pattern, pattern_length);
  luaL_buffinit(L, &out);
  while (count < most) {
    const char *e = es__matcher_match(&m, s, anchored ? pattern + 1 : pattern);
    if (e != NULL && e != last) {
      count++;
      if (add_replacement(&m, &out, s, e)) changed = true;
      s = last = e;
    } else if (s < m.subject_end) {
      luaL_addchar(&out, *s++);
    } else {
      break;
    }
    if (anchored) break;
  }
  if (changed) {
    luaL_addlstring(&out, s, (size_t)(m.subject_end - s));
    luaL_pushresult(&out);
  } else {
    lua_pushvalue(L, 1);
  }
  lua_pushinteger(L, count);
  return 2;
}

void es__patterns_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"find", find_pattern},
                                       {"match", match_pattern},
                                       {"gmatch", each_match},
                                       {"gsub", replace_matches},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
