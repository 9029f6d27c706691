/* codec: what the two directions of values <-> JSON share: memory that a Lua state owns, so that an error raised in the middle
 * leaks nothing. Knows nothing of domains; any lua_State will do. */
#ifndef ES_LUA_CODEC_H
#define ES_LUA_CODEC_H

#include <lua.h>

#include "base/buf.h"

/* An object's member while the object is written; `slot` is where its name lies on the Lua stack, which keeps it alive. */
typedef struct es_codec_member {
  const char *name;
  size_t length;
  int slot;
} es_codec_member;

/* Names come again in every event of a type. A name's slot says which string of the codec's Lua table it is, which spares
 * Lua the hashing. */
enum { ES_CODEC_NAMES = 64, ES_CODEC_NAME_MAX = 31 };

typedef struct es_codec_name {
  unsigned char length; /* 0: none; the empty name is not kept */
  char bytes[ES_CODEC_NAME_MAX];
} es_codec_name;

typedef struct es_codec {
  es_buf scratch;           /* strings with escapes, decoded */
  es_codec_member *members; /* of the objects being written, innermost last */
  size_t member_capacity;
  es_codec_name
      names[ES_CODEC_NAMES]; /* names[i] is the string at i + 1 in the codec's Lua table */
} es_codec;

/* The state's codec, made when missing; the registry keeps it and its finaliser frees the memory. */
es_codec *es__lua_codec(lua_State *L);
/* The same, and pushes its Lua table of names. */
es_codec *es__lua_codec_names(lua_State *L);

#endif
