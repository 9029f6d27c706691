/* leaf: an event as the bytes that are hashed, and back. docs/reference/ledger-format.md is the specification; a change of
 * one byte here breaks every chain ever written, so a new layout needs a new tag. Knows no hashes' meaning, no store. */
#include <endian.h>
#include <string.h>

#include "base/error.h"
#include "event/event.h"

static const char leaf_tag[8] = {'e', 's', 'r', 'u', 'n', '/', '1', '\n'};

enum { TEXT_NONE = 0, TEXT_SOME = 1, TEXT_LENGTH_MAX = 65535 };

static uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t length) {
  memcpy(at, bytes, length);
  return at + length;
}

static uint8_t *put_integer(uint8_t *at, int64_t value) {
  uint64_t big_endian = htobe64((uint64_t)value);
  return put_bytes(at, &big_endian, sizeof big_endian);
}

static uint8_t *put_text(uint8_t *at, es_text text) {
  *at++ = text.data == NULL ? TEXT_NONE : TEXT_SOME;
  if (text.data == NULL) return at;
  *at++ = (uint8_t)(text.length >> 8);
  *at++ = (uint8_t)text.length;
  return put_bytes(at, text.data, text.length);
}

void es__leaf_encode(es_buf *out, const es_event *event, const uint8_t data_hash[ES_HASH_SIZE],
                     const uint8_t metadata_hash[ES_HASH_SIZE]) {
  const es_text texts[] = {event->aggregate_type, event->aggregate_id, event->event_type,
                           event->tenant_id, event->actor_id};
  size_t room = sizeof leaf_tag + 5 * 8 + 3 * ES_ID_SIZE + 1 + 3 * ES_HASH_SIZE;

  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    if (texts[i].length > TEXT_LENGTH_MAX) out->failed = true; /* only a damaged store has it */
    room += 3 + texts[i].length;
  }
  if (out->failed) return;
  uint8_t *at = (uint8_t *)es__buf_reserve(out, room);
  if (at == NULL) return;
  const uint8_t *start = at;
  at = put_bytes(at, leaf_tag, sizeof leaf_tag);
  at = put_integer(at, event->position);
  at = put_bytes(at, event->event_id, ES_ID_SIZE);
  at = put_text(at, event->aggregate_type);
  at = put_text(at, event->aggregate_id);
  at = put_integer(at, event->version);
  at = put_text(at, event->event_type);
  at = put_integer(at, event->schema_version);
  at = put_text(at, event->tenant_id);
  at = put_text(at, event->actor_id);
  at = put_bytes(at, event->correlation_id, ES_ID_SIZE);
  *at++ = event->has_causation ? TEXT_SOME : TEXT_NONE;
  if (event->has_causation) at = put_bytes(at, event->causation_id, ES_ID_SIZE);
  at = put_integer(at, event->occurred_at);
  at = put_integer(at, event->recorded_at);
  at = put_bytes(at, data_hash, ES_HASH_SIZE);
  at = put_bytes(at, metadata_hash, ES_HASH_SIZE);
  at = put_bytes(at, event->previous_hash, ES_HASH_SIZE);
  *at = '\0';
  out->length += (size_t)(at - start);
}

/* Reads forward; after the first failure everything else does nothing, so that the caller checks once. */
typedef struct leaf_reader {
  const uint8_t *bytes;
  size_t length;
  size_t at;
  es_status status;
  es_error *err;
} leaf_reader;

static void malformed(leaf_reader *reader, const char *what, const char *why) {
  if (reader->status != ES_OK) return;
  reader->status = es__fail(reader->err, ES_ERR_INTEGRITY, "malformed_leaf",
                            "leaf: %s %s at offset %zu", what, why, reader->at);
}

static const uint8_t *take(leaf_reader *reader, size_t length, const char *what) {
  if (reader->status != ES_OK) return NULL;
  if (length > reader->length - reader->at) {
    malformed(reader, what, "is cut off");
    return NULL;
  }
  const uint8_t *bytes = reader->bytes + reader->at;
  reader->at += length;
  return bytes;
}

static void take_bytes(uint8_t *out, leaf_reader *reader, size_t length, const char *what) {
  const uint8_t *bytes = take(reader, length, what);
  if (bytes != NULL) memcpy(out, bytes, length);
}

static int64_t take_integer(leaf_reader *reader, const char *what) {
  const uint8_t *bytes = take(reader, 8, what);
  uint64_t value = 0;

  if (bytes == NULL) return 0;
  for (int i = 0; i < 8; i++)
    value = value << 8 | bytes[i];
  return (int64_t)value;
}

/* The byte before an optional field: is there one? */
static bool take_presence(leaf_reader *reader, const char *what) {
  const uint8_t *byte = take(reader, 1, what);
  if (byte == NULL) return false;
  if (*byte > TEXT_SOME) {
    reader->at--;
    malformed(reader, what, "is marked neither present nor absent");
    return false;
  }
  return *byte == TEXT_SOME;
}

static es_text take_text(leaf_reader *reader, bool required, const char *what) {
  es_text text = {NULL, 0};
  size_t start = reader->at;

  if (!take_presence(reader, what)) {
    if (required) {
      reader->at = start;
      malformed(reader, what, "is absent");
    }
    return text;
  }
  const uint8_t *prefix = take(reader, 2, what);
  if (prefix == NULL) return text;
  size_t length = (size_t)prefix[0] << 8 | prefix[1];
  const uint8_t *bytes = take(reader, length, what);
  if (bytes == NULL) return text;
  text.data = (const char *)bytes;
  text.length = length;
  return text;
}

es_status es__leaf_decode(es_event *out, uint8_t data_hash[ES_HASH_SIZE],
                          uint8_t metadata_hash[ES_HASH_SIZE], const uint8_t *leaf, size_t length,
                          es_error *err) {
  leaf_reader reader = {leaf, length, 0, ES_OK, err};
  const uint8_t *tag;

  *out = (es_event){0};
  if (length > ES_LEAF_MAX) {
    return es__fail(err, ES_ERR_INTEGRITY, "malformed_leaf", "leaf: %zu bytes are more than %d",
                    length, ES_LEAF_MAX);
  }
  tag = take(&reader, sizeof leaf_tag, "the format tag");
  if (tag != NULL && memcmp(tag, leaf_tag, sizeof leaf_tag) != 0) {
    reader.at = 0;
    malformed(&reader, "the format tag", "is not \"esrun/1\\n\"");
  }
  out->position = take_integer(&reader, "position");
  take_bytes(out->event_id, &reader, ES_ID_SIZE, "event_id");
  out->aggregate_type = take_text(&reader, true, "aggregate_type");
  out->aggregate_id = take_text(&reader, true, "aggregate_id");
  out->version = take_integer(&reader, "version");
  out->event_type = take_text(&reader, true, "event_type");
  out->schema_version = take_integer(&reader, "schema_version");
  out->tenant_id = take_text(&reader, false, "tenant_id");
  out->actor_id = take_text(&reader, false, "actor_id");
  take_bytes(out->correlation_id, &reader, ES_ID_SIZE, "correlation_id");
  out->has_causation = take_presence(&reader, "causation_id");
  if (out->has_causation) take_bytes(out->causation_id, &reader, ES_ID_SIZE, "causation_id");
  out->occurred_at = take_integer(&reader, "occurred_at");
  out->recorded_at = take_integer(&reader, "recorded_at");
  take_bytes(data_hash, &reader, ES_HASH_SIZE, "the hash of data");
  take_bytes(metadata_hash, &reader, ES_HASH_SIZE, "the hash of metadata");
  take_bytes(out->previous_hash, &reader, ES_HASH_SIZE, "previous_hash");
  if (reader.status == ES_OK && reader.at != length) malformed(&reader, "the leaf", "goes on");
  return reader.status;
}
