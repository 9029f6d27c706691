/* schema_fit: does a value fit a type of es.schema? Answers for the common case only: yes, or "ask es.schema_check", which
 * words what is wrong, puts right what can be, and sees through views. A plan is a type taken apart once, so that checking
 * looks nothing up by name but the value's own fields. Types come from domain code, which may have made them anything. */
#include <math.h>
#include <string.h>

#include "base/id.h"
#include "base/utf8.h"
#include "lua/internal.h"
#include "json/reader.h"
#include "json/writer.h"

typedef enum kind {
  ANY,
  BOOLEAN,
  INTEGER,
  NUMBER,
  STRING,
  ENUM,
  UUID,
  TIMESTAMP,
  LIST,
  TABLE,
  MAP,
  UNKNOWN
} kind;

static const char *const kind_names[] = {"any",  "boolean",   "integer", "number", "string", "enum",
                                         "uuid", "timestamp", "list",    "table",  "map",    NULL};

/* A type. Its Lua values are in the plan's table: the name of field i at 2i - 1, and at 2i an enum's set of values, a
 * string's pattern, or the plan of a table's fields or of an element. */
typedef struct field {
  kind kind;
  bool optional, has_min, has_max, has_more;
  lua_Integer min, max;
} field;

typedef struct plan {
  bool writable; /* its names are UTF-8 and in the order of canonical JSON */
  lua_Integer count;
  field fields[];
} plan;

enum {
  ROOM = 12,
  DEPTH_MAX = 16,   /* of types inside types; deeper ones are es.schema_check's */
  FIELDS_MAX = 4096 /* of a plan and those inside it */
};

/* ---- making ---- */

typedef struct making {
  int depth;
  lua_Integer count; /* fields so far */
} making;

static kind kind_named(const char *name) {
  int at = 0;
  while (kind_names[at] != NULL && (name == NULL || strcmp(kind_names[at], name) != 0))
    at++;
  return (kind)at;
}

static bool read_bound(lua_State *L, int type, const char *name, lua_Integer *out, bool *exact) {
  bool given = lua_getfield(L, type, name) != LUA_TNIL;

  *out = lua_tointeger(L, -1);
  if (given && !lua_isinteger(L, -1)) *exact = false;
  lua_pop(L, 1);
  return given;
}

/* Puts a table with the strings of the list at the top as keys in its place. */
static void make_set(lua_State *L) {
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_newtable(L);
  for (lua_Integer i = 1; lua_rawgeti(L, -2, i) == LUA_TSTRING; i++) {
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
  }
  lua_pop(L, 1);
  lua_remove(L, -2);
}

static bool push_plan(lua_State *L, making *job, int type, bool is_element);

/* Pushes what the plan's table keeps for the type, or nil. */
static void push_more(lua_State *L, making *job, field *out, int type) {
  bool is_list = out->kind == LIST || out->kind == MAP;

  if (out->kind == ENUM) {
    lua_getfield(L, type, "values");
    make_set(L);
  } else if (out->kind == STRING) {
    lua_getfield(L, type, "pattern");
  } else if ((is_list || out->kind == TABLE) &&
             lua_getfield(L, type, is_list ? "element" : "fields") != LUA_TNIL) {
    if (is_list)
      lua_pushvalue(L, -1);
    else
      lua_pushvalue(L, type);
    if (!push_plan(L, job, lua_gettop(L), is_list)) {
      out->kind = UNKNOWN;
      lua_pushnil(L);
    }
  } else {
    lua_pushnil(L);
  }
}

/* May the name at `index` follow the one before it in canonical JSON? */
static bool is_next_name(lua_State *L, es_text *before, int index) {
  es_text name = {NULL, 0};

  if (lua_type(L, index) != LUA_TSTRING) return false;
  name.data = lua_tolstring(L, index, &name.length);
  size_t shared = name.length < before->length ? name.length : before->length;
  int order = shared == 0 ? 0 : memcmp(before->data, name.data, shared);
  bool follows = before->data == NULL || order < 0 || (order == 0 && before->length < name.length);
  *before = name; /* the plan's table keeps it */
  return follows && es__utf8_valid(name.data, name.length);
}

/* The type at the top becomes the plan's next field; popped. `parts` is the plan's table. */
static void add_field(lua_State *L, making *job, plan *out, int parts) {
  field *to = &out->fields[out->count++];
  int type = lua_gettop(L);
  bool exact = true;

  *to = (field){.kind = UNKNOWN};
  luaL_checktype(L, type, LUA_TTABLE);
  lua_getfield(L, type, "kind");
  to->kind = kind_named(lua_tostring(L, -1));
  lua_getfield(L, type, "optional");
  to->optional = lua_toboolean(L, -1);
  to->has_min = read_bound(L, type, "min", &to->min, &exact);
  to->has_max = read_bound(L, type, "max", &to->max, &exact);
  if (to->kind == NUMBER && (to->has_min || to->has_max)) exact = false;
  if (!exact) to->kind = UNKNOWN;
  push_more(L, job, to, type);
  to->has_more = !lua_isnil(L, -1);
  lua_rawseti(L, parts, 2 * out->count);
  lua_settop(L, type - 1);
}

/* Pushes the plan of a table's fields, or of a single type that is an element; false, pushing nothing, if there are too many. */
static bool push_plan(lua_State *L, making *job, int type, bool is_element) {
  lua_Integer count = 1;

  luaL_checkstack(L, 2 * ROOM, "a schema nested too deep");
  lua_getfield(L, type, "names");
  int names = lua_gettop(L);
  if (!is_element) {
    luaL_checktype(L, names, LUA_TTABLE);
    count = (lua_Integer)lua_rawlen(L, names);
  }
  job->count += count;
  if (job->depth == DEPTH_MAX || job->count > FIELDS_MAX) {
    lua_pop(L, 1);
    return false;
  }
  job->depth++;
  plan *out = lua_newuserdatauv(L, sizeof *out + (size_t)count * sizeof out->fields[0], 1);
  int self = names + 1, parts = names + 2, fields = names + 3;
  es_text before = {NULL, 0};
  out->count = 0;
  out->writable = !is_element;
  lua_newtable(L);
  lua_getfield(L, type, "fields");
  for (lua_Integer i = 1; i <= count; i++) {
    if (is_element) {
      lua_pushvalue(L, type);
    } else {
      lua_rawgeti(L, names, i);
      lua_pushvalue(L, -1);
      lua_rawseti(L, parts, 2 * i - 1);
      out->writable = is_next_name(L, &before, -1) && out->writable;
      lua_gettable(L, fields);
    }
    add_field(L, job, out, parts);
  }
  lua_settop(L, parts);
  lua_setiuservalue(L, self, 1);
  luaL_setmetatable(L, "es.schema_plan");
  lua_remove(L, names);
  job->depth--;
  return true;
}

/* fit_plan(record): of a table type with declared fields; nothing when it is too large for one. */
int es__schema_plan(lua_State *L) {
  making job = {0};

  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  return push_plan(L, &job, 1, false) ? 1 : 0;
}

void es__schema_fit_open(lua_State *L) {
  luaL_newmetatable(L, "es.schema_plan");
  es__domain_of(L)->schema_plan_metatable = lua_topointer(L, -1);
  lua_pop(L, 1);
}

/* ---- checking ---- */

static bool is_within(const field *of, lua_Integer number) {
  return (!of->has_min || number >= of->min) && (!of->has_max || number <= of->max);
}

static lua_Integer character_count(const char *text, size_t length) {
  lua_Integer count = 0;
  for (size_t i = 0; i < length; i++)
    count += (text[i] & 0xC0) != 0x80;
  return count;
}

static bool fits_field(lua_State *L, int parts, const field *of, lua_Integer number, int value);
static bool fits_record(lua_State *L, int plan_index, int value, es_buf *out);

/* As a method, which has bounded patterns. */
static bool fits_pattern(lua_State *L, int parts, lua_Integer number, int value) {
  lua_getfield(L, value, "find");
  lua_pushvalue(L, value);
  lua_rawgeti(L, parts, 2 * number);
  lua_call(L, 2, 1);
  bool found = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return found;
}

static bool fits_string(lua_State *L, int parts, const field *of, lua_Integer number, int value) {
  size_t length;
  const char *text = lua_tolstring(L, value, &length);

  if (!es__utf8_valid(text, length)) return false;
  if ((of->has_min || of->has_max) && !is_within(of, character_count(text, length))) return false;
  return !of->has_more || fits_pattern(L, parts, number, value);
}

static bool fits_text(lua_State *L, int parts, const field *of, lua_Integer number, int value) {
  size_t length;
  int64_t time;

  if (lua_type(L, value) != LUA_TSTRING) return false;
  if (of->kind == STRING) return fits_string(L, parts, of, number, value);
  if (of->kind == ENUM) {
    lua_rawgeti(L, parts, 2 * number);
    lua_pushvalue(L, value);
    bool known = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 2);
    return known;
  }
  const char *text = lua_tolstring(L, value, &length);
  if (of->kind == UUID) return es__id_is_text(text, length);
  return strlen(text) == length && es_time_parse(&time, text);
}

/* A table that nothing but its own entries speaks for; an array may carry its mark. */
static bool is_plain(lua_State *L, int value, bool *is_array) {
  *is_array = false;
  if (lua_type(L, value) != LUA_TTABLE) return false;
  if (!lua_getmetatable(L, value)) return true;
  es__lua_push_array_metatable(L);
  *is_array = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return *is_array;
}

/* The elements of a list, the entries of a map. Each has to fit the element's type, if there is one. */
static bool fits_entries(lua_State *L, int parts, const field *of, lua_Integer number, int value) {
  es_domain *domain = es__domain_of(L);
  lua_Integer count = 0, length = (lua_Integer)lua_rawlen(L, value);
  bool is_list = of->kind == LIST, is_array, fits = true;

  if (!is_plain(L, value, &is_array) || (is_array && !is_list)) return false;
  luaL_checkstack(L, ROOM, "a table nested too deep");
  lua_rawgeti(L, parts, 2 * number); /* the element's plan, or nil */
  const plan *element = of->has_more ? lua_touserdata(L, -1) : NULL;
  int inner = lua_gettop(L) + 1;
  if (element != NULL)
    lua_getiuservalue(L, -1, 1);
  else
    lua_pushnil(L);
  lua_pushnil(L);
  while (fits && lua_next(L, value) != 0) {
    count++;
    es__tick(L, domain);
    fits = is_list ? lua_isinteger(L, inner + 1) && lua_tointeger(L, inner + 1) >= 1 &&
                         lua_tointeger(L, inner + 1) <= length
                   : lua_type(L, inner + 1) == LUA_TSTRING;
    if (fits && element != NULL) fits = fits_field(L, inner, &element->fields[0], 1, inner + 2);
    lua_settop(L, inner + 1);
  }
  lua_settop(L, inner - 2);
  if (!fits || !is_within(of, count)) return false;
  return !is_list || (count == length && (count > 0 || is_array));
}

static bool fits_table(lua_State *L, int parts, const field *of, lua_Integer number, int value) {
  bool is_array;

  if (!is_plain(L, value, &is_array) || is_array) return false;
  if (!of->has_more) {
    bool is_list = lua_rawgeti(L, value, 1) != LUA_TNIL;
    lua_pop(L, 1);
    return !is_list;
  }
  lua_rawgeti(L, parts, 2 * number);
  bool fits = fits_record(L, lua_gettop(L), value, NULL);
  lua_pop(L, 1);
  return fits;
}

static bool fits_field(lua_State *L, int parts, const field *of, lua_Integer number, int value) {
  switch (of->kind) {
  case ANY:
    return true;
  case BOOLEAN:
    return lua_isboolean(L, value);
  case INTEGER:
    return lua_isinteger(L, value) && is_within(of, lua_tointeger(L, value));
  case NUMBER:
    return lua_type(L, value) == LUA_TNUMBER && isfinite(lua_tonumber(L, value));
  case STRING:
  case ENUM:
  case UUID:
  case TIMESTAMP:
    return fits_text(L, parts, of, number, value);
  case LIST:
  case MAP:
    return fits_entries(L, parts, of, number, value);
  case TABLE:
    return fits_table(L, parts, of, number, value);
  default:
    return false;
  }
}

bool es__lua_has_entries(lua_State *L, int table, lua_Integer count) {
  int top = lua_gettop(L);

  lua_pushnil(L);
  while (count >= 0 && lua_next(L, table) != 0) {
    lua_pop(L, 1);
    count--;
  }
  lua_settop(L, top);
  return count == 0;
}

/* Writes a member, its name below the value at the top; false for what es__lua_write_json() has to look at. */
static bool write_member(lua_State *L, es_buf *out, const field *of, bool is_first) {
  size_t length;
  const char *text = lua_tolstring(L, -2, &length);

  if (!is_first) es__buf_byte(out, ',');
  es__json_write_string(out, text, length);
  es__buf_byte(out, ':');
  switch (lua_type(L, -1)) {
  case LUA_TBOOLEAN:
    es__buf_text(out, lua_toboolean(L, -1) ? "true" : "false");
    return true;
  case LUA_TSTRING:
    text = lua_tolstring(L, -1, &length);
    if (of->kind != STRING && !es__utf8_valid(text, length)) return false;
    es__json_write_string(out, text, length);
    return true;
  case LUA_TNUMBER:
    if (!lua_isinteger(L, -1)) return es__json_write_double(out, lua_tonumber(L, -1));
    es__json_write_integer(out, lua_tointeger(L, -1));
    return true;
  default:
    return false;
  }
}

/* Also writes the table if `out` is not NULL; false then also for one that is not written here. */
static bool fits_record(lua_State *L, int plan_index, int value, es_buf *out) {
  const plan *of = lua_touserdata(L, plan_index);
  lua_Integer found = 0;
  int top = lua_gettop(L);
  bool fits = true;

  luaL_checkstack(L, ROOM, "a table nested too deep");
  lua_getiuservalue(L, plan_index, 1);
  for (lua_Integer i = 1; i <= of->count && fits; i++) {
    const field *wanted = &of->fields[i - 1];
    lua_rawgeti(L, top + 1, 2 * i - 1);
    if (out != NULL) lua_pushvalue(L, -1);
    if (lua_rawget(L, value) == LUA_TNIL) {
      fits = wanted->optional;
    } else {
      fits = fits_field(L, top + 1, wanted, i, lua_gettop(L)) &&
             (out == NULL || write_member(L, out, wanted, found == 0));
      found++;
    }
    lua_settop(L, top + 1);
  }
  lua_settop(L, top);
  return fits && es__lua_has_entries(L, value, found);
}

static bool is_plan(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return false;
  bool is = lua_topointer(L, -1) == es__domain_of(L)->schema_plan_metatable;
  lua_pop(L, 1);
  return is;
}

bool es__schema_fits(lua_State *L, int plan_index, int value) {
  bool is_array;

  return is_plan(L, plan_index) && is_plain(L, value, &is_array) && !is_array &&
         fits_record(L, lua_absindex(L, plan_index), lua_absindex(L, value), NULL);
}

bool es__schema_write(lua_State *L, int plan_index, int value, es_buf *out) {
  size_t start = out->length;
  bool is_array;

  if (!is_plan(L, plan_index) || !is_plain(L, value, &is_array) || is_array) return false;
  const plan *of = lua_touserdata(L, plan_index);
  es__buf_byte(out, '{');
  bool written =
      of->writable && fits_record(L, lua_absindex(L, plan_index), lua_absindex(L, value), out);
  es__buf_byte(out, '}');
  if (written && !out->failed && out->length - start <= ES_JSON_MAX_BYTES) return true;
  out->length = start;
  return false;
}

/* fits(plan, value): true, or false when es.schema_check must be asked. */
int es__schema_fit(lua_State *L) {
  lua_settop(L, 2);
  lua_pushboolean(L, es__schema_fits(L, 1, 2));
  return 1;
}
