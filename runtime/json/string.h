/* json string: the grammar of JSON strings: escapes, surrogates, strict UTF-8. Knows bytes only. */
#ifndef ES_JSON_STRING_H
#define ES_JSON_STRING_H

#include "base/buf.h"

typedef struct es_json_string {
  es_text
      text; /* decoded: a part of the JSON text itself, or of the scratch buffer if there were escapes */
  size_t end;       /* behind the closing quote; or where the string is wrong */
  const char *code; /* of the error: malformed_json, json_utf8 or no_memory */
} es_json_string;

/* Reads the string whose opening quote is at text[at]. Returns NULL, or what is wrong with it. */
const char *es__json_scan_string(es_json_string *out, es_buf *scratch, const char *text,
                                 size_t length, size_t at);

#endif
