/* sort: table.sort as a stable merge sort, so that equal elements keep their order in every process. The order function may
 * lie, loop or raise: the work is bounded by n log n calls, and the table is only written at the end. */
#include "lua/internal.h"

enum { TABLE = 1, LESS = 2, ELEMENTS = 3 }; /* stack slots */

/* Is element a less than element b? */
static bool is_less(lua_State *L, lua_Integer a, lua_Integer b) {
  bool less;

  if (lua_isnil(L, LESS)) {
    lua_rawgeti(L, ELEMENTS, a);
    lua_rawgeti(L, ELEMENTS, b);
    less = lua_compare(L, -2, -1, LUA_OPLT);
    lua_pop(L, 2);
    return less;
  }
  lua_pushvalue(L, LESS);
  lua_rawgeti(L, ELEMENTS, a);
  lua_rawgeti(L, ELEMENTS, b);
  lua_call(L, 2, 1);
  less = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return less;
}

/* Merges the sorted runs [start, middle) and [middle, end) of `from` into `to`. */
static void merge(lua_State *L, lua_Integer *to, const lua_Integer *from, size_t start,
                  size_t middle, size_t end) {
  es_domain *domain = es__domain_of(L);
  size_t left = start, right = middle;
  bool in_order = middle >= end || !is_less(L, from[middle], from[middle - 1]);

  for (size_t out = start; out < end; out++) {
    es__tick(L, domain);
    bool take_right =
        left >= middle || (!in_order && right < end && is_less(L, from[right], from[left]));
    to[out] = take_right ? from[right++] : from[left++];
  }
}

static int sort(lua_State *L) {
  es_domain *domain = es__domain_of(L);
  bool view = es__is_read_only(L, TABLE);

  if (view) return luaL_error(L, "this table is read-only here");
  luaL_checktype(L, TABLE, LUA_TTABLE);
  if (es__push_frozen(L, TABLE)) return luaL_error(L, "this table is shared and frozen");
  if (!lua_isnoneornil(L, LESS)) luaL_checktype(L, LESS, LUA_TFUNCTION);
  lua_settop(L, LESS);
  size_t count = lua_rawlen(L, TABLE);
  if (count < 2) return 0;

  lua_createtable(L, count < 65536 ? (int)count : 65536, 0);
  lua_Integer *order = lua_newuserdatauv(L, 2 * count * sizeof *order, 0), *spare = order + count;
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, TABLE, (lua_Integer)i + 1);
    lua_rawseti(L, ELEMENTS, (lua_Integer)i + 1);
    order[i] = (lua_Integer)i + 1;
    es__tick(L, domain);
  }
  for (size_t width = 1; width < count; width *= 2) {
    for (size_t start = 0; start < count; start += 2 * width) {
      size_t middle = count - start < width ? count : start + width;
      size_t end = count - start < 2 * width ? count : start + 2 * width;
      merge(L, spare, order, start, middle, end);
    }
    lua_Integer *swap = order;
    order = spare;
    spare = swap;
  }
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, ELEMENTS, order[i]);
    lua_rawseti(L, TABLE, (lua_Integer)i + 1);
    es__tick(L, domain);
  }
  return 0;
}

void es__sort_open(lua_State *L) {
  lua_pushcfunction(L, sort);
  lua_setfield(L, -2, "sort");
}
