/* fuzz_proof: any bytes given to the proof parser are refused with a reason or are exactly what the printer writes for the
 * proof found, and checking what was parsed does no harm. */
#include "ledger/proof.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* The first bytes of the path say how big the trees are, so that the checks' arithmetic meets every size. */
static void check_path(const es_proof *proof) {
  es_error err = ES_ERROR_INIT;
  es_hash root = {{0}}, leaf = {{1}};
  es_chain *chain = NULL;
  int64_t size = proof->index;

  if (es__chain_new(&chain, &err) != ES_OK) abort();
  if (proof->path.count > 0) memcpy(&size, proof->path.hashes[0].bytes, sizeof size);
  if (es__inclusion_check(&proof->path, size, &root, proof->index, &leaf, chain, &err) == ES_OK ||
      es__consistency_check(&proof->path, proof->old_size, &leaf, size, &root, chain, &err) ==
          ES_OK)
    abort(); /* nobody finds hashes that lead to a root of zeros */
  es__chain_free(chain);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  es_error err = ES_ERROR_INIT;
  es_proof proof;
  es_buf out = {0};

  if (es__proof_parse(&proof, (es_text){(const char *)bytes, length}, &err) == ES_OK) {
    es__proof_print(&out, &proof);
    if (out.length != length || memcmp(out.data, bytes, length) != 0) abort();
    check_path(&proof);
    es__proof_free(&proof);
  } else if (err.status != ES_ERR_INTEGRITY || err.message[0] == '\0') {
    abort();
  }
  es__buf_free(&out);
  return 0;
}
