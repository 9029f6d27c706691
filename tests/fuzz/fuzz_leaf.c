/* fuzz_leaf: any bytes given to the leaf decoder are refused or are exactly what the encoder writes for the event found:
 * no two byte strings stand for one event. */
#include "event/event.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  uint8_t data_hash[ES_HASH_SIZE], metadata_hash[ES_HASH_SIZE];
  es_buf leaf = {0};
  es_event event;
  es_error err = ES_ERROR_INIT;

  if (es__leaf_decode(&event, data_hash, metadata_hash, bytes, length, &err) == ES_OK) {
    es__leaf_encode(&leaf, &event, data_hash, metadata_hash);
    if (leaf.length != length || memcmp(leaf.data, bytes, length) != 0) abort();
  } else if (err.status != ES_ERR_INTEGRITY) {
    abort();
  }
  es__buf_free(&leaf);
  return 0;
}
