/* fuzz_json: any bytes given to the JSON reader are refused or become canonical text, and canonical text reads back as
 * itself; the check that makes no tree says of a text whether it is that already. */
#include "json/value.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_without_a_tree(const char *text, size_t length, const es_buf *canonical) {
  es_buf scratch = {0};
  es_error err = ES_ERROR_INIT;
  bool is_canonical = false;
  es_status status = es__json_check_canonical(&is_canonical, &scratch, text, length, &err);
  bool same = canonical != NULL && canonical->length == length &&
              memcmp(canonical->data, text, length) == 0;

  if (is_canonical != same || (canonical != NULL && status != ES_OK)) abort();
  es__buf_free(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  es_buf first = {0}, second = {0};
  es_error err = ES_ERROR_INIT;

  if (es__json_canonical(&first, (const char *)bytes, length, &err) == ES_OK) {
    if (es__json_canonical(&second, first.data, first.length, &err) != ES_OK) abort();
    if (first.length != second.length || memcmp(first.data, second.data, first.length) != 0) {
      abort();
    }
    check_without_a_tree((const char *)bytes, length, &first);
  } else if (err.status == ES_OK || err.code[0] == '\0' || err.message[0] == '\0') {
    abort(); /* refused without saying why */
  } else {
    check_without_a_tree((const char *)bytes, length, NULL);
  }
  es__buf_free(&first);
  es__buf_free(&second);
  return 0;
}
