/* fuzz_checkpoint: any bytes given to the checkpoint parser are refused with a reason or are exactly what the printer writes
 * for the checkpoint found. */
#include "ledger/checkpoint.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  es_error err = ES_ERROR_INIT;
  es_tree_head checkpoint;
  es_buf out = {0};

  if (es__checkpoint_parse(&checkpoint, (es_text){(const char *)bytes, length}, &err) == ES_OK) {
    es__checkpoint_print(&out, &checkpoint);
    if (out.length != length || memcmp(out.data, bytes, length) != 0) abort();
    if (checkpoint.size < 0) abort();
  } else if (err.status != ES_ERR_INTEGRITY || err.message[0] == '\0') {
    abort();
  }
  es__buf_free(&out);
  return 0;
}
