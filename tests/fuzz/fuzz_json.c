/* Fuzz target: whatever is accepted as JSON has one canonical form, which is accepted again and stays as it is; whatever is
 * refused is refused with a message in valid UTF-8.
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Iruntime -Iruntime/include tests/fuzz/fuzz_json.c \
 *     runtime/json/[a-z]*.c runtime/base/[a-z]*.c -luuid -lm -o fuzz_json && ./fuzz_json NEW_CORPUS tests/fuzz/corpus/json */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "json/value.h"

/* Found something: the fuzzer keeps the input of a process that dies. */
static void require(bool holds) {
  if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  es_buf once = {0}, twice = {0};
  es_error err = ES_ERROR_INIT;

  if (es__json_canonical(&once, (const char *)data, size, &err) != ES_OK) {
    require(err.status == ES_ERR_USAGE && err.code[0] != '\0');
    require(strncmp(err.message, "line ", 5) == 0);
    require(es__utf8_valid(err.message, strlen(err.message)));
    return 0;
  }
  require(es__json_canonical(&twice, once.data, once.length, &err) == ES_OK);
  require(once.length == twice.length && memcmp(once.data, twice.data, once.length) == 0);
  es__buf_free(&once);
  es__buf_free(&twice);
  return 0;
}
