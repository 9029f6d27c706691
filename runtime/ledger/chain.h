/* chain: links each event to the one before it by hash. Knows event bytes only: no JSON, no Lua, no store. */
#ifndef ES_LEDGER_CHAIN_H
#define ES_LEDGER_CHAIN_H

#include "event/event.h"

/* What hashing events needs: room for a leaf. One per store; not for two threads. */
typedef struct es_chain es_chain;

es_status es__chain_new(es_chain **out, es_error *err);
void es__chain_free(es_chain *chain);

/* SHA-256 of one or two runs of bytes (the second may be NULL, 0). */
es_status es__sha256(es_chain *chain, uint8_t out[ES_HASH_SIZE], const void *first,
                     size_t first_length, const void *second, size_t second_length, es_error *err);

/* SHA-256 of all that an open file holds. */
es_status es__sha256_file(uint8_t out[ES_HASH_SIZE], int file, es_error *err);

/* What the leaf holds of an event's texts; of an archived event, what its marker says. */
es_status es__chain_texts(es_chain *chain, uint8_t data_hash[ES_HASH_SIZE],
                          uint8_t metadata_hash[ES_HASH_SIZE], const es_event *event,
                          es_error *err);

/* The hash of an event from all its other fields, previous_hash included: SHA-256(0x00 || leaf), RFC 6962's leaf hash. */
es_status es__chain_hash(es_chain *chain, uint8_t out[ES_HASH_SIZE], const es_event *event,
                         es_error *err);

#endif
