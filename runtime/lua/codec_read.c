/* codec, reading: builds the Lua value of a JSON text. This is the path of every replay.
 *
 * The members of an object wait on the Lua stack until its size is known, so that its table is made once and never grows;
 * a large one gets its table after PENDING_MAX of them. No memory is held that a raised error could lose. */
#include <lauxlib.h>
#include <string.h>

#include "lua/codec.h"
#include "lua/domain.h"
#include "json/reader.h"

enum {
  PENDING_MAX = 64,           /* times two slots, times 128 levels: far below Lua's stack limit */
  ROOM = 2 * PENDING_MAX + 8, /* stack slots for what is pending in a container, and to work with */
  SCRATCH_KEPT_BYTES = 64 * 1024
};

/* An open container: its stack slot, where the table will be, with what is pending above it. */
struct frame {
  int slot;
  bool is_object;
  bool is_plain; /* a list without the array metatable */
  bool has_table;
  int pending;       /* members or elements above the slot */
  lua_Integer count; /* elements in the table */
  uint64_t seen;     /* a bit for each name: a name whose bit is new has not been given before */
};

/* What is read, and what helps reading it. */
struct input {
  es_json_reader reader;
  es_codec *codec;
  int names;     /* stack index of the codec's Lua table */
  es_text lists; /* what is left of es__lua_push_exact_json()'s */
};

static void make_table(lua_State *L, struct frame *frame) {
  if (frame->is_object) {
    lua_createtable(L, 0, frame->pending);
  } else {
    lua_createtable(L, frame->pending, 0);
    if (!frame->is_plain) {
      es__lua_push_array_metatable(L);
      lua_setmetatable(L, -2);
    }
  }
  lua_replace(L, frame->slot);
  frame->has_table = true;
  if (frame->is_object) {
    for (int i = 0; i < frame->pending; i++)
      lua_rawset(L, frame->slot);
  } else {
    frame->count = frame->pending;
    for (int i = frame->pending; i > 0; i--)
      lua_rawseti(L, frame->slot, i);
  }
  frame->pending = 0;
}

/* The value at the top, for a member with its name below it, belongs to the container. */
static void add_value(lua_State *L, struct frame *frame) {
  if (!frame->has_table) {
    frame->pending++;
    if (frame->pending == PENDING_MAX) make_table(L, frame);
  } else if (frame->is_object) {
    lua_rawset(L, frame->slot);
  } else {
    lua_rawseti(L, frame->slot, ++frame->count);
  }
}

/* A number below 64 that most names of one object do not share. */
static unsigned mix_name(es_text name) {
  const unsigned char *bytes = (const unsigned char *)name.data;
  size_t mix = name.length;

  if (name.length > 0)
    mix += bytes[0] * 5u + bytes[name.length / 2] * 3u + bytes[name.length - 1] * 11u;
  return mix % 64;
}

/* Pushes the name as a Lua string: the one kept in its slot, or a new one that is kept from now on. */
static void push_kept(lua_State *L, const struct input *input, es_text name, unsigned mix) {
  es_codec_name *kept = &input->codec->names[mix];

  if (name.length == kept->length && memcmp(name.data, kept->bytes, name.length) == 0 &&
      name.length > 0) {
    lua_rawgeti(L, input->names, (lua_Integer)mix + 1);
    return;
  }
  lua_pushlstring(L, name.data, name.length);
  if (name.length > ES_CODEC_NAME_MAX) return;
  lua_pushvalue(L, -1);
  lua_rawseti(L, input->names, (lua_Integer)mix + 1);
  /* From Lua's copy: a finaliser may by now have read other JSON into the scratch. */
  memcpy(kept->bytes, lua_tostring(L, -1), name.length);
  kept->length = (unsigned char)name.length;
}

/* Was the name at the top given before in this object? */
static bool is_duplicate(lua_State *L, const struct frame *frame) {
  bool found;

  if (!frame->has_table) {
    for (int i = 0; i < frame->pending; i++) {
      if (lua_rawequal(L, frame->slot + 1 + 2 * i, -1)) return true;
    }
    return false;
  }
  lua_pushvalue(L, -1);
  found = lua_rawget(L, frame->slot) != LUA_TNIL;
  lua_pop(L, 1);
  return found;
}

static es_status push_name(lua_State *L, struct frame *frame, const struct input *input,
                           const es_json_token *token, es_error *err) {
  unsigned mix = mix_name(token->text);
  uint64_t bit = UINT64_C(1) << mix;

  push_kept(L, input, token->text, mix);
  if ((frame->seen & bit) != 0 && is_duplicate(L, frame))
    return es__json_fail(&input->reader, token->offset, "json_duplicate_key", err,
                         "this name was given before in the same object");
  frame->seen |= bit;
  return ES_OK;
}

static void push_scalar(lua_State *L, const es_json_token *token) {
  switch (token->kind) {
  case ES_JSON_FALSE:
  case ES_JSON_TRUE:
    lua_pushboolean(L, token->kind == ES_JSON_TRUE);
    break;
  case ES_JSON_INTEGER:
    lua_pushinteger(L, token->integer);
    break;
  case ES_JSON_DOUBLE:
    lua_pushnumber(L, token->number);
    break;
  case ES_JSON_STRING:
    lua_pushlstring(L, token->text.data, token->text.length);
    break;
  default:
    es__lua_push_null(L);
    break;
  }
}

/* Whether the list that begins was written of a table without the array metatable. */
static bool take_plain(struct input *input) {
  if (input->lists.length == 0) return false;
  input->lists.length--;
  return *input->lists.data++ == '0';
}

static es_status read_all(lua_State *L, struct input *input, es_error *err) {
  es_json_reader *reader = &input->reader;
  struct frame frames[ES_JSON_OWN_DEPTH];
  es_json_token token;
  es_status status;

  for (;;) {
    status = es__json_next(reader, &token, err);
    if (status != ES_OK || token.kind == ES_JSON_END) return status;
    switch (token.kind) {
    case ES_JSON_ARRAY_BEGIN:
    case ES_JSON_OBJECT_BEGIN:
      luaL_checkstack(L, ROOM, "no room to read JSON");
      lua_pushnil(L); /* the table's place */
      frames[reader->depth - 1] =
          (struct frame){.slot = lua_gettop(L),
                         .is_object = token.kind == ES_JSON_OBJECT_BEGIN,
                         .is_plain = token.kind == ES_JSON_ARRAY_BEGIN && take_plain(input)};
      continue;
    case ES_JSON_KEY:
      status = push_name(L, &frames[reader->depth - 1], input, &token, err);
      if (status != ES_OK) return status;
      continue;
    case ES_JSON_ARRAY_END:
    case ES_JSON_OBJECT_END:
      if (!frames[reader->depth].has_table) make_table(L, &frames[reader->depth]);
      break;
    default:
      push_scalar(L, &token);
      break;
    }
    if (reader->depth > 0) add_value(L, &frames[reader->depth - 1]);
  }
}

static void push_json(lua_State *L, const char *text, size_t length, es_text lists, bool own) {
  struct input input;
  es_error error;

  luaL_checkstack(L, 6, "no room to read JSON"); /* for a scalar; a container sees to itself */
  input.codec = es__lua_codec_names(L);
  input.names = lua_gettop(L);
  input.lists = lists;
  if (own)
    es__json_reader_init_own(&input.reader, text, length);
  else
    es__json_reader_init(&input.reader, text, length, 0);
  input.reader.scratch = &input.codec->scratch;
  if (read_all(L, &input, &error) != ES_OK) es__domain_raise(L, &error);
  lua_remove(L, input.names);
  if (input.codec->scratch.capacity > SCRATCH_KEPT_BYTES) es__buf_free(&input.codec->scratch);
}

void es__lua_push_json(lua_State *L, const char *text, size_t length) {
  push_json(L, text, length, (es_text){NULL, 0}, false);
}

void es__lua_push_own_json(lua_State *L, const char *text, size_t length) {
  push_json(L, text, length, (es_text){NULL, 0}, true);
}

void es__lua_push_exact_json(lua_State *L, es_text text, es_text lists) {
  push_json(L, text.data, text.length, lists, false);
}
