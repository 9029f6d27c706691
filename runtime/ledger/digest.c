/* digest: SHA-256 for callers of the library that have no chain of their own. */
#include "base/given.h"
#include "ledger/chain.h"

es_status es_sha256(uint8_t out[ES_HASH_SIZE], const void *bytes, size_t length, es_error *err) {
  es_chain *chain = NULL;

  if (es__is_missing(out, "out", err) || (length > 0 && es__is_missing(bytes, "bytes", err)))
    return ES_ERR_USAGE;
  es_status status = es__chain_new(&chain, err);

  if (status == ES_OK) status = es__sha256(chain, out, bytes, length, NULL, 0, err);
  es__chain_free(chain);
  return status;
}
