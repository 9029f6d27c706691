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

/* Writes an escape of at most six bytes; returns what is behind it. */
static char *write_escape(char *to, unsigned char byte) {
  static const char hex[] = "0123456789abcdef";

  *to++ = '\\';
  *to++ = escape_of(byte);
  if (to[-1] != 'u') return to;
  *to++ = '0';
  *to++ = '0';
  *to++ = hex[byte >> 4];
  *to++ = hex[byte & 15];
  return to;
}

void es__json_write_string(es_buf *out, const char *text, size_t length) {
  char *to = es__buf_reserve(out, length + 2);
  bool high;

  if (to == NULL) return;
  *to++ = '"';
  for (size_t at = 0;;) {
    size_t end = es__json_plain_end(&high, text, length, at);
    if (end > at) memcpy(to, text + at, end - at);
    to += end - at;
    if (end == length) break;
    out->length = (size_t)(to - out->data);
    to = es__buf_reserve(out, length - end + 7); /* the rest, an escape and the quote */
    if (to == NULL) return;
    to = write_escape(to, (unsigned char)text[end]);
    at = end + 1;
  }
  *to++ = '"';
  *to = '\0';
  out->length = (size_t)(to - out->data);
}

void es__json_write_ascii(es_buf *out, const char *text, size_t length) {
  char *to = es__buf_reserve(out, length + 2);

  if (to == NULL) return;
  to[0] = '"';
  memcpy(to + 1, text, length);
  to[length + 1] = '"';
  to[length + 2] = '\0';
  out->length += length + 2;
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
