/* json writer: the primitives of canonical JSON. */
#include "json/writer.h"

#include <string.h>

#include "json/number.h"
#include "json/string.h"

/* What follows the backslash of a quote, a backslash, a control character with a short escape; 'u' for the others. */
static char escape_of(unsigned char byte) {
  switch (byte) {
  case '"':
  case '\\':
    return (char)byte;
  case '\b':
    return 'b';
  case '\f':
    return 'f';
  case '\n':
    return 'n';
  case '\r':
    return 'r';
  case '\t':
    return 't';
  default:
    return 'u';
  }
}

void es__json_write_string(es_buf *out, const char *text, size_t length) {
  static const char hex[] = "0123456789abcdef";
  bool high;

  es__buf_byte(out, '"');
  for (size_t at = 0; at < length;) {
    size_t end = es__json_plain_end(&high, text, length, at);
    char *to = es__buf_reserve(out, end - at + 6); /* and an escape */
    if (to == NULL) return;
    memcpy(to, text + at, end - at);
    to += end - at;
    at = end;
    if (at < length) {
      unsigned char byte = (unsigned char)text[at++];
      *to++ = '\\';
      *to++ = escape_of(byte);
      if (to[-1] == 'u') {
        *to++ = '0';
        *to++ = '0';
        *to++ = hex[byte >> 4];
        *to++ = hex[byte & 15];
      }
    }
    out->length = (size_t)(to - out->data);
  }
  es__buf_byte(out, '"');
}

void es__json_write_integer(es_buf *out, int64_t value) {
  char digits[20];
  size_t at = sizeof digits;
  uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

  do {
    digits[--at] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (value < 0) digits[--at] = '-';
  es__buf_add(out, digits + at, sizeof digits - at);
}

bool es__json_write_double(es_buf *out, double value) {
  char text[ES_JSON_DOUBLE_TEXT_MAX];
  size_t length;

  /* Below 10^15 an integral double is its digits and ".0", and most doubles in events are integral. */
  if (value > -1e15 && value < 1e15 && value != 0 && (double)(int64_t)value == value) {
    es__json_write_integer(out, (int64_t)value);
    es__buf_add(out, ".0", 2);
    return true;
  }
  length = es__json_format_double(text, value);
  if (length == 0) return false;
  es__buf_add(out, text, length);
  return true;
}

void es__json_write_key(es_buf *out, const char *key) {
  if (out->length > 0 && out->data[out->length - 1] != '{') es__buf_byte(out, ',');
  es__json_write_string(out, key, strlen(key));
  es__buf_byte(out, ':');
}

void es__json_write_text(es_buf *out, es_text text) {
  if (text.data == NULL)
    es__buf_add(out, "null", 4);
  else
    es__json_write_string(out, text.data, text.length);
}
