/* marker: what the row of an archived event has in the place of its texts: their SHA-256, so that its leaf, which holds the
 * texts by nothing else, can be written without them. */
#include <string.h>

#include "base/base64.h"
#include "event/event.h"

void es__marker_write(char out[ES_MARKER_LENGTH + 1], const uint8_t data_hash[ES_HASH_SIZE],
                      const uint8_t metadata_hash[ES_HASH_SIZE]) {
  uint8_t both[2 * ES_HASH_SIZE];

  memcpy(both, data_hash, ES_HASH_SIZE);
  memcpy(both + ES_HASH_SIZE, metadata_hash, ES_HASH_SIZE);
  es__base64(out, both, sizeof both);
}

bool es__marker_read(uint8_t data_hash[ES_HASH_SIZE], uint8_t metadata_hash[ES_HASH_SIZE],
                     const es_event *event) {
  uint8_t both[2 * ES_HASH_SIZE];
  size_t length;

  if (!es__event_archived(event) ||
      !es__base64_parse(both, sizeof both, &length, event->metadata.data, ES_MARKER_LENGTH) ||
      length != sizeof both)
    return false;
  memcpy(data_hash, both, ES_HASH_SIZE);
  memcpy(metadata_hash, both + ES_HASH_SIZE, ES_HASH_SIZE);
  return true;
}
