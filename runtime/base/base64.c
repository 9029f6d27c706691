/* base64: bytes as text and back (RFC 4648, section 4). */
#include "base/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void es__base64(char *out, const void *bytes, size_t length) {
  const uint8_t *from = bytes;

  for (; length >= 3; length -= 3, from += 3) {
    *out++ = alphabet[from[0] >> 2];
    *out++ = alphabet[(from[0] & 3) << 4 | from[1] >> 4];
    *out++ = alphabet[(from[1] & 15) << 2 | from[2] >> 6];
    *out++ = alphabet[from[2] & 63];
  }
  if (length > 0) {
    uint8_t second = length == 2 ? from[1] : 0;
    *out++ = alphabet[from[0] >> 2];
    *out++ = alphabet[(from[0] & 3) << 4 | second >> 4];
    *out++ = length == 2 ? alphabet[(second & 15) << 2] : '=';
    *out++ = '=';
  }
  *out = '\0';
}

void es__base64_add(es_buf *out, const void *bytes, size_t length) {
  char *room = es__buf_reserve(out, ES_BASE64_LENGTH(length));

  if (room == NULL) return;
  es__base64(room, bytes, length); /* the reserve leaves room for the NUL */
  out->length += ES_BASE64_LENGTH(length);
}

static int digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

bool es__base64_parse(uint8_t *out, size_t size, size_t *length, const char *text,
                      size_t text_length) {
  size_t padding = 0, written = 0;
  uint32_t bits = 0;

  *length = 0;
  if (text_length % 4 != 0) return false;
  while (padding < 2 && padding < text_length && text[text_length - 1 - padding] == '=')
    padding++;
  if (text_length / 4 * 3 - padding > size) return false;
  for (size_t i = 0; i < text_length; i++) {
    int value = i < text_length - padding ? digit(text[i]) : 0;
    if (value < 0) return false;
    bits = bits << 6 | (uint32_t)value;
    if (i % 4 != 3) continue;
    size_t whole = i + 1 == text_length ? 3 - padding : 3;
    if (whole < 3 && (bits & (whole == 2 ? 0xFFu : 0xFFFFu)) != 0) return false;
    for (size_t j = 0; j < whole; j++)
      out[written++] = (uint8_t)(bits >> (16 - 8 * j));
    bits = 0;
  }
  *length = written;
  return true;
}
