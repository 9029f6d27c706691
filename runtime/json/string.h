/* json string: the grammar of JSON strings: escapes, surrogates, strict UTF-8. Knows bytes only. */
#ifndef ES_JSON_STRING_H
#define ES_JSON_STRING_H

#include <string.h>

#include "base/buf.h"

typedef struct es_json_string {
  es_text
      text; /* decoded: a part of the JSON text itself, or of the scratch buffer if there were escapes */
  size_t end;       /* behind the closing quote; or where the string is wrong */
  const char *code; /* of the error: malformed_json, json_utf8 or no_memory */
} es_json_string;

#define ES__JSON_ONES UINT64_C(0x0101010101010101)
#define ES__JSON_TOPS UINT64_C(0x8080808080808080)

/* Has a bit at the top of each of eight bytes that is a quote, a backslash or a control character. Above the first such
 * byte (in order of significance) more bits may be set. */
static inline uint64_t es__json_special(uint64_t word) {
  uint64_t quote = word ^ ES__JSON_ONES * '"', backslash = word ^ ES__JSON_ONES * '\\';
  return (((quote - ES__JSON_ONES) & ~quote) | ((backslash - ES__JSON_ONES) & ~backslash) |
          ((word - ES__JSON_ONES * 0x20) & ~word)) &
         ES__JSON_TOPS;
}

/* The offset of the first quote, backslash or control character from `at` on, or `length`. *high becomes true if a byte
 * before it is not ASCII. */
static inline size_t es__json_plain_end(bool *high, const char *text, size_t length, size_t at) {
  uint64_t word, special, seen = 0;

  for (; length - at >= sizeof word; at += sizeof word) {
    memcpy(&word, text + at, sizeof word);
    special = es__json_special(word);
    if (special != 0) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ /* the first byte is the least significant one */
      seen |= word & ES__JSON_TOPS & ((special & (0 - special)) - 1);
      *high = seen != 0;
      return at + (size_t)__builtin_ctzll(special) / 8;
#else
      break;
#endif
    }
    seen |= word & ES__JSON_TOPS;
  }
  for (; at < length; at++) {
    unsigned char byte = (unsigned char)text[at];
    if (byte == '"' || byte == '\\' || byte < 0x20) break;
    seen |= byte & 0x80;
  }
  *high = seen != 0;
  return at;
}

/* Reads the string whose opening quote is at text[at]. Returns NULL, or what is wrong with it. */
const char *es__json_scan_string(es_json_string *out, es_buf *scratch, const char *text,
                                 size_t length, size_t at);

#endif
