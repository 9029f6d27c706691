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

typedef struct es_codec {
  es_buf scratch;           /* strings with escapes, decoded */
  es_codec_member *members; /* of the objects being written, innermost last */
  size_t member_capacity;
} es_codec;

/* The state's codec, made when missing; the registry keeps it and its finaliser frees the memory. */
es_codec *es__lua_codec(lua_State *L);

#endif
