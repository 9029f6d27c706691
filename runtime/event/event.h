/* event: the envelope's limits, its check before it is stored, and its canonical leaf bytes. Knows no SQL and no Lua.
 * docs/reference/ledger-format.md is the specification of the leaf; it and this file change together or not at all. */
#ifndef ES_EVENT_EVENT_H
#define ES_EVENT_EVENT_H

#include "base/buf.h"

enum {
  ES_TYPE_MAX = 128,             /* bytes of an aggregate or event type */
  ES_ID_MAX = 255,               /* bytes of an aggregate, tenant or actor id, or idempotency key */
  ES_DATA_MAX = 4 * 1024 * 1024, /* bytes of data */
  ES_METADATA_MAX = 64 * 1024,   /* bytes of metadata */
  ES_LEAF_MAX = 65535,           /* bytes of a leaf */
  ES_MARKER_LENGTH = (2 * ES_HASH_SIZE + 2) / 3 * 4
};

/* Checks the envelope's texts: present where required, lengths, valid UTF-8, no control characters in names and ids.
 * ES_ERR_USAGE names the field. Positions, versions and hashes are not looked at. */
es_status es__event_check(const es_event *event, es_error *err);

/* One name or id by the same rules: 1 to `max` bytes of UTF-8 without control characters (C0, DEL). `what` names it in the
 * error: "aggregate id". */
es_status es__name_check(es_text name, const char *what, size_t max, es_error *err);

/* Appends the leaf: format tag, then every field, length-prefixed; data and metadata by their SHA-256. */
void es__leaf_encode(es_buf *out, const es_event *event, const uint8_t data_hash[ES_HASH_SIZE],
                     const uint8_t metadata_hash[ES_HASH_SIZE]);

/* A leaf's fields back into an event whose texts point into `leaf` (data and metadata are none; their hashes come in the
 * out parameters). ES_ERR_INTEGRITY says what is malformed and at which offset. For auditors and fuzzers. */
es_status es__leaf_decode(es_event *out, uint8_t data_hash[ES_HASH_SIZE],
                          uint8_t metadata_hash[ES_HASH_SIZE], const uint8_t *leaf, size_t length,
                          es_error *err);

/* The row of an archived event has no data, which no JSON text is, and in the place of metadata a marker: the SHA-256 of data and
 * that of metadata, together in base64. The texts are in a segment (store/segment.h). */
static inline bool es__event_archived(const es_event *event) {
  return event->data.length == 0 && event->metadata.length == ES_MARKER_LENGTH;
}
/* Texts that are no longer than their marker stay: moving them would make the store larger. */
static inline bool es__event_can_shrink(const es_event *event) {
  return event->data.length + event->metadata.length > ES_MARKER_LENGTH;
}
void es__marker_write(char out[ES_MARKER_LENGTH + 1], const uint8_t data_hash[ES_HASH_SIZE],
                      const uint8_t metadata_hash[ES_HASH_SIZE]);
/* False for an event that is not archived or whose marker is no such thing. */
bool es__marker_read(uint8_t data_hash[ES_HASH_SIZE], uint8_t metadata_hash[ES_HASH_SIZE],
                     const es_event *event);

/* A line of ES_FORM_EXPORT back into an event: every member exactly once, data and metadata canonical JSON, the envelope fit
 * to be stored. Its texts go to `texts`, which has room for length + 1 bytes; `scratch` is working memory. Hashes are taken,
 * not recomputed. ES_ERR_USAGE says what is wrong and where. */
es_status es__event_parse(es_event *out, char *texts, es_buf *scratch, const char *line,
                          size_t length, es_error *err);

#endif
