/* codec, writing: the canonical JSON of a Lua value, or an error that names the path. An explicit stack, no recursion.
 *
 * Nothing here gives Lua's collector an occasion to run, so no finaliser can change a table while it is written: names
 * under way lie on the Lua stack, their sorted list in memory that the state owns. */
#include <lauxlib.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "lua/codec.h"
#include "lua/domain.h"
#include "json/locate.h"
#include "json/reader.h"
#include "json/writer.h"

enum {
  ROOM = 8, /* stack slots that a step, or raising its error, takes */
  SMALL_OBJECT = 16,
  MEMBERS_KEPT = 4096
};

/* A container being written. */
struct frame {
  int slot; /* of its table */
  bool is_object;
  const void *address;
  size_t first_member; /* of an object, in the codec's members */
  size_t count;        /* members or elements */
  size_t next;         /* how many were begun */
};

struct writer {
  lua_State *L;
  es_buf *out;
  size_t start;  /* where this value starts in `out` */
  es_buf *lists; /* es__lua_write_exact_json()'s, or NULL */
  const char *root;
  es_codec *codec;
  size_t member_count;
  const void *array_metatable, *read_only_metatable;
  struct frame frames[ES_JSON_MAX_DEPTH];
  int depth;
};

/* ---- errors ---- */

/* The path of what is being written, or of one of the containers it is in. */
static void write_path(char path[ES_JSON_PATH_MAX], const struct writer *writer, int depth) {
  snprintf(path, ES_JSON_PATH_MAX / 2, "%s", writer->root);
  for (int i = 0; i < depth; i++) {
    const struct frame *frame = &writer->frames[i];
    if (frame->is_object) {
      const es_codec_member *member =
          &writer->codec->members[frame->first_member + frame->next - 1];
      es__json_path_key(path, ES_JSON_PATH_MAX, member->name, member->length);
    } else {
      es__json_path_index(path, ES_JSON_PATH_MAX, (long long)frame->next);
    }
  }
}

static _Noreturn void refuse(struct writer *writer, const char *hint, const char *format, ...)
    ES_PRINTF(3, 4);

static _Noreturn void refuse(struct writer *writer, const char *hint, const char *format, ...) {
  char path[ES_JSON_PATH_MAX], reason[ES_ERROR_MESSAGE_MAX / 2];
  es_error error;
  va_list args;

  va_start(args, format);
  vsnprintf(reason, sizeof reason, format, args);
  va_end(args);
  write_path(path, writer, writer->depth);
  es__fail(&error, ES_ERR_USAGE, "not_json", "%s: %s", path, reason);
  if (hint != NULL) es__hint(&error, "%s", hint);
  writer->out->length = writer->start;
  es__domain_raise(writer->L, &error);
}

static _Noreturn void refuse_memory(struct writer *writer) {
  es_error error;

  es__no_memory(&error);
  es__domain_raise(writer->L, &error);
}

/* Every name of the objects under way has a slot on the Lua stack, which ends at a million. */
static _Noreturn void refuse_size(struct writer *writer) {
  refuse(writer, "split it", "there are too many names in this table to write it");
}

static _Noreturn void refuse_userdata(struct writer *writer) {
  lua_State *L = writer->L;

  if (luaL_testudata(L, -1, "es.event") != NULL || luaL_testudata(L, -1, "es.event_data") != NULL)
    refuse(writer, "an event lives only while its handler runs",
           "an event cannot be stored; keep e:copy() instead");
  refuse(writer, "store plain values: strings, numbers, booleans, tables and es.null",
         "a userdata cannot be stored");
}

static _Noreturn void refuse_type(struct writer *writer) {
  const char *name = luaL_typename(writer->L, -1);

  if (lua_type(writer->L, -1) == LUA_TNIL)
    refuse(writer, "es.null stands for JSON's null", "nil cannot be stored");
  refuse(writer, "store plain values: strings, numbers, booleans, tables and es.null",
         "a %s cannot be stored", name);
}

/* ---- opening a table ---- */

static int compare_members(const void *left, const void *right) {
  const es_codec_member *a = left, *b = right;
  int order = memcmp(a->name, b->name, a->length < b->length ? a->length : b->length);

  if (order != 0) return order;
  return (a->length > b->length) - (a->length < b->length);
}

static void sort_members(es_codec_member *members, size_t count) {
  if (count > SMALL_OBJECT) {
    qsort(members, count, sizeof *members, compare_members);
    return;
  }
  for (size_t i = 1; i < count; i++) {
    es_codec_member member = members[i];
    size_t at = i;
    for (; at > 0 && compare_members(&members[at - 1], &member) > 0; at--)
      members[at] = members[at - 1];
    members[at] = member;
  }
}

/* Notes the name at the top, which stays there. */
static void add_member(struct writer *writer) {
  es_codec *codec = writer->codec;
  es_codec_member *member;

  if (writer->member_count == codec->member_capacity) {
    size_t capacity = codec->member_capacity == 0 ? 64 : codec->member_capacity * 2;
    es_codec_member *grown = realloc(codec->members, capacity * sizeof *grown);
    if (grown == NULL) refuse_memory(writer);
    codec->members = grown;
    codec->member_capacity = capacity;
  }
  member = &codec->members[writer->member_count++];
  member->name = lua_tolstring(writer->L, -1, &member->length);
  member->slot = lua_gettop(writer->L);
  if (!es__utf8_valid(member->name, member->length))
    refuse(writer, NULL, "a name in this table is not valid UTF-8");
}

static _Noreturn void refuse_mixed(struct writer *writer, size_t first_member) {
  const es_codec_member *member = &writer->codec->members[first_member];

  refuse(writer, "a table is either a list or an object; give the list a name of its own",
         "a list (keys 1..n) cannot have the name \"%.100s\" as well", member->name);
}

static _Noreturn void refuse_key(struct writer *writer) {
  lua_State *L = writer->L;

  if (lua_type(L, -1) == LUA_TNUMBER)
    refuse(writer, "use tostring() to make it a name", "%.14g cannot be a key",
           lua_tonumber(L, -1));
  refuse(writer, "keys are strings, or 1..n for a list", "a %s cannot be a key",
         luaL_typename(L, -1));
}

/* What the keys of a table are. */
struct keys {
  size_t names;
  lua_Integer indexes;
  lua_Integer lowest, highest; /* of the indexes */
};

/* Visits all keys of the table in `slot`, leaving names on the stack and in the codec's members. */
static void collect_keys(struct keys *keys, struct writer *writer, int slot) {
  lua_State *L = writer->L;
  size_t first_member = writer->member_count;

  *keys = (struct keys){0};
  lua_pushnil(L);
  while (lua_next(L, slot)) {
    lua_pop(L, 1); /* the value comes later, in order */
    if (lua_type(L, -1) == LUA_TSTRING) {
      add_member(writer);
      keys->names++;
      if (!lua_checkstack(L, ROOM)) refuse_size(writer);
      lua_pushvalue(L, -1); /* lua_next() takes this one */
    } else if (lua_isinteger(L, -1)) {
      lua_Integer index = lua_tointeger(L, -1);
      if (keys->indexes == 0 || index < keys->lowest) keys->lowest = index;
      if (keys->indexes == 0 || index > keys->highest) keys->highest = index;
      keys->indexes++;
    } else {
      refuse_key(writer);
    }
    if (keys->names > 0 && keys->indexes > 0) refuse_mixed(writer, first_member);
  }
}

static void check_list(struct writer *writer, const struct keys *keys, int slot) {
  lua_Integer missing = 1;

  if (keys->indexes == 0 || (keys->lowest == 1 && keys->highest == keys->indexes)) return;
  if (keys->lowest < 1)
    refuse(writer, "a list is numbered from 1; use tostring() to make numbers names",
           "%lld cannot be a key", (long long)keys->lowest);
  while (lua_rawgeti(writer->L, slot, missing) != LUA_TNIL) {
    lua_pop(writer->L, 1);
    missing++;
  }
  refuse(writer, "fill it with es.null, or use tostring() to make the numbers names",
         "element %lld is missing in a list that goes to %lld", (long long)missing,
         (long long)keys->highest);
}

/* Says whether the table at the top carries the arrays' metatable; any other is refused. A read-only view is replaced by
 * the table behind it. */
static bool check_metatable(struct writer *writer) {
  lua_State *L = writer->L;
  const void *metatable;

  if (!lua_getmetatable(L, -1)) return false;
  metatable = lua_topointer(L, -1);
  lua_pop(L, 1);
  if (metatable == writer->array_metatable) return true;
  if (metatable == writer->read_only_metatable) {
    es__domain_unwrap(L, -1);
    return lua_istable(L, -1) && check_metatable(writer);
  }
  if (lua_isuserdata(L, -1)) refuse_userdata(writer);
  refuse(writer, "copy its fields into a plain table",
         "a table with a metatable of its own cannot be stored");
}

static void check_nesting(struct writer *writer, const void *address) {
  for (int i = 0; i < writer->depth; i++) {
    if (writer->frames[i].address == address) {
      char path[ES_JSON_PATH_MAX];
      write_path(path, writer, i);
      refuse(writer, NULL, "this table is inside itself (it is %s)", path);
    }
  }
  if (writer->depth == ES_JSON_MAX_DEPTH)
    refuse(writer, NULL, "nested deeper than %d levels", (int)ES_JSON_MAX_DEPTH);
}

/* Begins the table (or view of one) at the top, which stays on the stack until its end. */
static void open_table(struct writer *writer) {
  lua_State *L = writer->L;
  size_t first_member = writer->member_count;
  bool is_array;
  struct keys keys;
  const void *address;
  int slot;

  if (!lua_checkstack(L, ROOM)) refuse_size(writer);
  is_array = check_metatable(writer);
  if (!lua_istable(L, -1)) refuse_type(writer);
  slot = lua_gettop(L);
  address = lua_topointer(L, slot);
  check_nesting(writer, address);
  collect_keys(&keys, writer, slot);
  if (is_array && keys.names > 0) refuse_mixed(writer, first_member);
  check_list(writer, &keys, slot);
  if (writer->lists != NULL && (is_array || keys.indexes > 0))
    es__buf_byte(writer->lists, is_array ? '1' : '0');
  is_array = is_array || keys.indexes > 0;
  if (keys.names > 1) sort_members(writer->codec->members + first_member, keys.names);
  writer->frames[writer->depth++] =
      (struct frame){.slot = slot,
                     .is_object = !is_array,
                     .address = address,
                     .first_member = first_member,
                     .count = is_array ? (size_t)keys.indexes : keys.names};
  es__buf_byte(writer->out, is_array ? '[' : '{');
}

/* ---- values ---- */

static void write_string(struct writer *writer) {
  size_t length;
  const char *text = lua_tolstring(writer->L, -1, &length);
  size_t bad = es__utf8_bad(text, length);

  if (bad != length)
    refuse(writer, "binary data can be stored as hexadecimal text",
           "byte %zu of the string is not valid UTF-8", bad + 1);
  es__json_write_string(writer->out, text, length);
}

static void write_number(struct writer *writer) {
  lua_State *L = writer->L;
  double value;

  if (lua_isinteger(L, -1)) {
    es__json_write_integer(writer->out, lua_tointeger(L, -1));
    return;
  }
  value = lua_tonumber(L, -1);
  if (!es__json_write_double(writer->out, value))
    refuse(writer, NULL, "%s cannot be stored",
           isnan(value) ? "NaN"
           : value > 0  ? "infinity"
                        : "-infinity");
}

/* Writes the value at the top and removes it; a table is only begun. */
static void write_value(struct writer *writer) {
  lua_State *L = writer->L;

  switch (lua_type(L, -1)) {
  case LUA_TTABLE:
  case LUA_TUSERDATA:
    open_table(writer);
    return;
  case LUA_TSTRING:
    write_string(writer);
    break;
  case LUA_TNUMBER:
    write_number(writer);
    break;
  case LUA_TBOOLEAN:
    es__buf_text(writer->out, lua_toboolean(L, -1) ? "true" : "false");
    break;
  default:
    if (!es__lua_is_null(L, -1)) refuse_type(writer);
    es__buf_add(writer->out, "null", 4);
    break;
  }
  lua_pop(L, 1);
}

/* Ends the containers that are complete, then pushes the next value to write; false when there is none. */
static bool next_value(struct writer *writer) {
  lua_State *L = writer->L;

  while (writer->depth > 0) {
    struct frame *frame = &writer->frames[writer->depth - 1];
    if (frame->next < frame->count) {
      if (frame->next++ > 0) es__buf_byte(writer->out, ',');
      if (frame->is_object) {
        const es_codec_member *member =
            &writer->codec->members[frame->first_member + frame->next - 1];
        es__json_write_string(writer->out, member->name, member->length);
        es__buf_byte(writer->out, ':');
        lua_pushvalue(L, member->slot);
        lua_rawget(L, frame->slot);
      } else {
        lua_rawgeti(L, frame->slot, (lua_Integer)frame->next);
      }
      return true;
    }
    es__buf_byte(writer->out, frame->is_object ? '}' : ']');
    lua_settop(L, frame->slot - 1);
    writer->member_count = frame->first_member;
    writer->depth--;
  }
  return false;
}

static void write_json(lua_State *L, int index, es_buf *out, es_buf *lists, const char *root) {
  struct writer writer;

  index = lua_absindex(L, index);
  luaL_checkstack(L, ROOM, "no room to write JSON");
  writer.L = L;
  writer.out = out;
  writer.start = out->length;
  writer.lists = lists;
  writer.root = root;
  writer.codec = es__lua_codec(L);
  writer.member_count = 0;
  writer.depth = 0;
  es__lua_push_array_metatable(L);
  writer.array_metatable = lua_topointer(L, -1);
  luaL_getmetatable(L, "es.read_only");
  writer.read_only_metatable =
      lua_topointer(L, -1); /* NULL, which is no metatable, if there is none */
  lua_pop(L, 2);

  lua_pushvalue(L, index);
  do {
    write_value(&writer);
    if (out->length - writer.start > ES_JSON_MAX_BYTES)
      refuse(&writer, "split it, or store large data elsewhere", "the JSON is longer than 16 MiB");
  } while (next_value(&writer));
  if (out->failed) refuse_memory(&writer);
  if (writer.codec->member_capacity > MEMBERS_KEPT) {
    free(writer.codec->members);
    writer.codec->members = NULL;
    writer.codec->member_capacity = 0;
  }
}

void es__lua_write_json(lua_State *L, int index, es_buf *out, const char *root) {
  write_json(L, index, out, NULL, root);
}

void es__lua_write_exact_json(lua_State *L, int index, es_buf *out, es_buf *lists,
                              const char *root) {
  size_t start = lists->length;

  write_json(L, index, out, lists, root);
  if (!lists->failed && lists->length > start &&
      memchr(lists->data + start, '0', lists->length - start) == NULL)
    lists->length = start;
}
