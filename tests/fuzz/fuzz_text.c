/* fuzz_text: the parsers of times, ids and actor ids take any text without harm, and what they accept they write back in a
 * form that they accept again as the same value. */
#include "esrun.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_time(const char *text) {
  char written[ES_TIME_TEXT_SIZE];
  int64_t first, second;

  if (!es_time_parse(&first, text)) return;
  es_time_text(written, first);
  if (!es_time_parse(&second, written) || first != second) abort();
}

static void check_id(const char *text) {
  char written[ES_ID_TEXT_SIZE];
  uint8_t first[ES_ID_SIZE], second[ES_ID_SIZE];

  if (!es_id_parse(first, text)) return;
  es_id_text(written, first);
  if (!es_id_parse(second, written) || memcmp(first, second, ES_ID_SIZE) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  char *text = malloc(length + 1);
  es_error err = ES_ERROR_INIT;
  es_text kind;

  if (text == NULL) return 0;
  memcpy(text, bytes, length);
  text[length] = '\0';
  check_time(text);
  check_id(text);
  if (es_actor_parse(&kind, text, NULL, &err) != ES_OK && err.message[0] == '\0') abort();
  free(text);
  return 0;
}
