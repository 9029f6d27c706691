/* chain: links each event to the one before it by hash. Knows event bytes only: no JSON, no Lua, no store. */
#include "ledger/chain.h"

/* OpenSSL 3 calls these deprecated, for what they do not do: look an algorithm up among providers, which costs two
 * milliseconds at each start and a third of a short hash (docs/adr/0008-sha-256.md). */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

struct es_chain {
  es_buf leaf; /* of the event at hand */
};

es_status es__chain_new(es_chain **out, es_error *err) {
  *out = calloc(1, sizeof **out);
  return *out == NULL ? es__no_memory(err) : ES_OK;
}

void es__chain_free(es_chain *chain) {
  if (chain == NULL) return;
  es__buf_free(&chain->leaf);
  free(chain);
}

es_status es__sha256(es_chain *chain, uint8_t out[ES_HASH_SIZE], const void *first,
                     size_t first_length, const void *second, size_t second_length, es_error *err) {
  SHA256_CTX context;

  (void)chain;
  if (SHA256_Init(&context) != 1 ||
      (first_length > 0 && SHA256_Update(&context, first, first_length) != 1) ||
      (second_length > 0 && SHA256_Update(&context, second, second_length) != 1) ||
      SHA256_Final(out, &context) != 1) {
    return es__fail(err, ES_ERR_OTHER, "sha256", "libcrypto could not compute a SHA-256");
  }
  return ES_OK;
}

es_status es__sha256_file(uint8_t out[ES_HASH_SIZE], int file, es_error *err) {
  unsigned char chunk[65536];
  SHA256_CTX context;
  off_t at = 0;
  ssize_t got = 1;
  bool done = SHA256_Init(&context) == 1;

  while (done && got > 0) {
    got = pread(file, chunk, sizeof chunk, at);
    if (got < 0 && errno == EINTR) {
      got = 1;
      continue;
    }
    if (got > 0) done = SHA256_Update(&context, chunk, (size_t)got) == 1;
    at += got > 0 ? got : 0;
  }
  if (got < 0) return es__fail(err, ES_ERR_STORE, "io", "cannot be read: %s", strerror(errno));
  if (!done || SHA256_Final(out, &context) != 1)
    return es__fail(err, ES_ERR_OTHER, "sha256", "libcrypto could not compute a SHA-256");
  return ES_OK;
}

es_status es__chain_texts(es_chain *chain, uint8_t data_hash[ES_HASH_SIZE],
                          uint8_t metadata_hash[ES_HASH_SIZE], const es_event *event,
                          es_error *err) {
  const es_text data = event->data, metadata = event->metadata;

  if (es__marker_read(data_hash, metadata_hash, event)) return ES_OK;
  es_status status = es__sha256(chain, data_hash, data.data, data.length, NULL, 0, err);
  if (status != ES_OK) return status;
  return es__sha256(chain, metadata_hash, metadata.data, metadata.length, NULL, 0, err);
}

es_status es__chain_hash(es_chain *chain, uint8_t out[ES_HASH_SIZE], const es_event *event,
                         es_error *err) {
  enum { PREFIX = 0x00 }; /* RFC 6962, section 2.1: leaves 0x00, nodes 0x01 */
  uint8_t data_hash[ES_HASH_SIZE], metadata_hash[ES_HASH_SIZE];
  es_status status = es__chain_texts(chain, data_hash, metadata_hash, event, err);

  if (status != ES_OK) return status;
  es__buf_clear(&chain->leaf);
  /* Room for every leaf at once, so that a failure below can only mean an overlong name. */
  if (es__buf_reserve(&chain->leaf, 1 + ES_LEAF_MAX) == NULL) return es__no_memory(err);
  es__buf_byte(&chain->leaf, PREFIX);
  es__leaf_encode(&chain->leaf, event, data_hash, metadata_hash);
  if (chain->leaf.failed || chain->leaf.length > 1 + ES_LEAF_MAX) {
    status = es__fail(err, ES_ERR_INTEGRITY, "leaf_too_long",
                      "event %lld does not fit a leaf of %d bytes", (long long)event->position,
                      ES_LEAF_MAX);
    if (err != NULL) err->position = event->position;
    return status;
  }
  return es__sha256(chain, out, chain->leaf.data, chain->leaf.length, NULL, 0, err);
}
