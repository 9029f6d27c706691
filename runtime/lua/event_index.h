/* event_index: where each member of an event's data lies in its JSON text, so that a handler that reads two members
 * decodes two. Knows JSON; no Lua. */
#ifndef ES_LUA_EVENT_INDEX_H
#define ES_LUA_EVENT_INDEX_H

#include "json/reader.h"

typedef struct es_event_member {
  es_json_kind kind;
  bool decoded;      /* integer, number or text hold the value; else it is read from the text */
  bool key_in_arena; /* a name with escapes; else it lies in the text */
  size_t key_offset, key_length;
  size_t offset, length; /* of the value in the text */
  int64_t integer;
  double number;
  es_text text;
} es_event_member;

typedef struct es_event_index {
  const char *text;
  es_event_member *members;
  size_t count, capacity;
  es_buf arena;
} es_event_index;

/* Indexes a JSON object. The text must outlive the index's use; the index's memory is kept for the next one. */
es_status es__event_index_build(es_event_index *index, const char *text, size_t length,
                                es_error *err);
/* The member of that name, or NULL. */
const es_event_member *es__event_index_find(const es_event_index *index, const char *key,
                                            size_t length);
es_text es__event_index_key(const es_event_index *index, const es_event_member *member);
/* Forgets the members; gives back unusually much memory. */
void es__event_index_clear(es_event_index *index);
void es__event_index_free(es_event_index *index);

#endif
