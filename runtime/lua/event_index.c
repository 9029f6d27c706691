/* event_index: where each member of an event's data lies in its JSON text. */
#include "lua/event_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { KEPT_MEMBERS = 1024 };

static es_event_member *add_member(es_event_index *index) {
  if (index->count == index->capacity) {
    size_t capacity = index->capacity == 0 ? 16 : 2 * index->capacity;
    es_event_member *members = realloc(index->members, capacity * sizeof *members);
    if (members == NULL) return NULL;
    index->members = members;
    index->capacity = capacity;
  }
  es_event_member *member = &index->members[index->count++];
  memset(member, 0, sizeof *member);
  return member;
}

static bool in_text(const es_json_reader *reader, const char *at) {
  return at >= reader->text && at < reader->text + reader->length;
}

static void set_key(es_event_index *index, es_event_member *member, const es_json_reader *reader,
                    es_text key) {
  member->key_length = key.length;
  member->key_in_arena = !in_text(reader, key.data);
  if (member->key_in_arena) {
    member->key_offset = index->arena.length;
    es__buf_add(&index->arena, key.data, key.length);
  } else {
    member->key_offset = (size_t)(key.data - reader->text);
  }
}

/* Reads one value, however deep, and notes its place. */
static es_status read_value(es_event_member *member, es_json_reader *reader, es_error *err) {
  es_json_token token;
  es_status status = es__json_next(reader, &token, err);
  int depth = reader->depth;

  if (status != ES_OK) return status;
  member->kind = token.kind;
  member->offset = token.offset;
  if (token.kind == ES_JSON_ARRAY_BEGIN || token.kind == ES_JSON_OBJECT_BEGIN) {
    while (reader->depth >= depth) {
      status = es__json_next(reader, &token, err);
      if (status != ES_OK) return status;
    }
  } else if (token.kind != ES_JSON_STRING || in_text(reader, token.text.data)) {
    member->decoded = true;
    member->integer = token.integer;
    member->number = token.number;
    member->text = token.text;
  }
  member->length = reader->at - member->offset;
  return ES_OK;
}

es_status es__event_index_build(es_event_index *index, const char *text, size_t length,
                                es_error *err) {
  es_json_reader reader;
  es_json_token token;
  es_status status;

  es__event_index_clear(index);
  index->text = text;
  es__json_reader_init(&reader, text, length, 0);
  status = es__json_next(&reader, &token, err);
  if (status == ES_OK && token.kind != ES_JSON_OBJECT_BEGIN) {
    status = es__fail(err, ES_ERR_INTEGRITY, "event_data", "an event's data is not a JSON object");
  }
  while (status == ES_OK) {
    es_event_member *member;
    status = es__json_next(&reader, &token, err);
    if (status != ES_OK || token.kind == ES_JSON_OBJECT_END) break;
    member = add_member(index);
    if (member == NULL) {
      status = es__no_memory(err);
      break;
    }
    set_key(index, member, &reader, token.text);
    status = read_value(member, &reader, err);
  }
  if (status == ES_OK && index->arena.failed) status = es__no_memory(err);
  es__json_reader_free(&reader);
  return status;
}

es_text es__event_index_key(const es_event_index *index, const es_event_member *member) {
  es_text key = {(member->key_in_arena ? index->arena.data : index->text) + member->key_offset,
                 member->key_length};
  return key;
}

const es_event_member *es__event_index_find(const es_event_index *index, const char *key,
                                            size_t length) {
  for (size_t i = 0; i < index->count; i++) {
    const es_event_member *member = &index->members[i];
    if (member->key_length != length) continue;
    if (memcmp(es__event_index_key(index, member).data, key, length) == 0) return member;
  }
  return NULL;
}

void es__event_index_clear(es_event_index *index) {
  index->count = 0;
  es__buf_clear(&index->arena);
  if (index->capacity > KEPT_MEMBERS) es__event_index_free(index);
}

void es__event_index_free(es_event_index *index) {
  free(index->members);
  es__buf_free(&index->arena);
  memset(index, 0, sizeof *index);
}
