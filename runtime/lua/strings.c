/* strings: the functions of the string library that need bounds or must not show addresses: rep and format. Patterns have
 * their own file. */
#include <string.h>

#include "lua/internal.h"

enum {
  MAX_CONVERSIONS = 250
}; /* of one format: each may take microseconds, and nothing can stop it in between */

/* The bytes repeat with this period, so that doubling what is there fills the rest. */
static void fill_periodic(char *out, size_t filled, size_t total) {
  while (filled < total) {
    size_t length = filled < total - filled ? filled : total - filled;
    memcpy(out + filled, out, length);
    filled += length;
  }
}

static int repeat(lua_State *L) {
  size_t length, separator_length, total = 0;
  const char *text = luaL_checklstring(L, 1, &length);
  lua_Integer count = luaL_checkinteger(L, 2);
  const char *separator = luaL_optlstring(L, 3, "", &separator_length);
  size_t period = length + separator_length;
  luaL_Buffer out;

  if (count <= 0 || period == 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  if (__builtin_mul_overflow(period, (size_t)count, &total) || total > (size_t)LUA_MAXINTEGER) {
    return luaL_error(L, "resulting string too large");
  }
  total -= separator_length;
  char *to = luaL_buffinitsize(L, &out, total);
  memcpy(to, text, length);
  if (total > length) memcpy(to + length, separator, separator_length);
  fill_periodic(to, total < period ? total : period, total);
  luaL_pushresultsize(&out, total);
  return 1;
}

/* Upvalue: the real string.format. Values of %s become text here, without addresses. */
static int format(lua_State *L) {
  const char *at = luaL_checkstring(L, 1);
  int argument = 1, count = lua_gettop(L);

  while ((at = strchr(at, '%')) != NULL) {
    if (*++at == '%') {
      at++;
      continue;
    }
    at += strspn(at, "-+ #0.123456789");
    if (++argument > MAX_CONVERSIONS + 1)
      return luaL_error(L, "more than %d conversions in one format", MAX_CONVERSIONS);
    if (*at == 'p')
      return luaL_error(L, "'%%p' does not exist in domain code: addresses differ at every run");
    if (*at == 's' && argument <= count && !lua_isstring(L, argument)) {
      es__lua_text(L, argument, NULL);
      lua_replace(L, argument);
    }
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, count, 1);
  return 1;
}

void es__string_open(lua_State *L) {
  lua_pushcfunction(L, repeat);
  lua_setfield(L, -2, "rep");
  lua_getglobal(L, "string");
  lua_getfield(L, -1, "format");
  lua_pushcclosure(L, format, 1);
  lua_setfield(L, -3, "format");
  lua_pop(L, 1);
}
