/* fuzz_json: any bytes given to the JSON reader are refused or become canonical text, and canonical text reads back as
 * itself. */
#include "json/value.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  es_buf first = {0}, second = {0};
  es_error err = ES_ERROR_INIT;

  if (es__json_canonical(&first, (const char *)bytes, length, &err) == ES_OK) {
    if (es__json_canonical(&second, first.data, first.length, &err) != ES_OK) abort();
    if (first.length != second.length || memcmp(first.data, second.data, first.length) != 0) {
      abort();
    }
  } else if (err.status == ES_OK || err.code[0] == '\0' || err.message[0] == '\0') {
    abort(); /* refused without saying why */
  }
  es__buf_free(&first);
  es__buf_free(&second);
  return 0;
}
