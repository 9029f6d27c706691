/* id: UUIDv7 on libuuid's random bytes (RFC 9562, section 5.7; sub-millisecond fraction per 6.2, method 3). */
#include "base/id.h"

#include <string.h>
#include <uuid/uuid.h>

#include "base/clock.h"

static void random_bytes(es_id_source *source, uint8_t *out, size_t length) {
  if (source->random != NULL) {
    source->random(source->random_data, out, length);
    return;
  }
  uuid_t raw; /* 122 random bits: bytes 0-5 and 9-15 are free of version and variant */
  uuid_generate_random(raw);
  memcpy(out, raw + 9, length < 7 ? length : 7);
  if (length > 7) memcpy(out + 7, raw, length - 7);
}

void es__id_new(es_id_source *source, uint8_t out[ES_ID_SIZE]) {
  int64_t now = source->clock(source->clock_data);
  uint64_t micros = now < 0 ? 0 : (uint64_t)now;
  uint64_t stamp = ((micros / 1000) << 12) | ((micros % 1000) * 4096 / 1000);

  if (stamp <= source->last_stamp) stamp = source->last_stamp + 1;
  source->last_stamp = stamp;
  uint64_t millis = stamp >> 12;
  for (int i = 0; i < 6; i++)
    out[i] = (uint8_t)(millis >> (40 - 8 * i));
  out[6] = (uint8_t)(0x70 | ((stamp >> 8) & 0x0F));
  out[7] = (uint8_t)stamp;
  random_bytes(source, out + 8, 8);
  out[8] = (uint8_t)(0x80 | (out[8] & 0x3F));
}

void es_id_make(uint8_t out[ES_ID_SIZE]) {
  es_id_source source = {.clock = es__clock_system};
  es__id_new(&source, out);
}

void es__hex(char *out, const uint8_t *bytes, size_t length) {
  static const char digits[] = "0123456789abcdef";
  for (size_t i = 0; i < length; i++) {
    *out++ = digits[bytes[i] >> 4];
    *out++ = digits[bytes[i] & 15];
  }
  *out = '\0';
}

/* One more than the value of a hexadecimal digit; 0: it is none. */
static const uint8_t digit_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

bool es__hex_parse(uint8_t *out, size_t length, const char *text, size_t text_length) {
  if (text_length != 2 * length) return false;
  for (size_t i = 0; i < length; i++) {
    int high = digit_values[(uint8_t)text[2 * i]], low = digit_values[(uint8_t)text[2 * i + 1]];
    if (high == 0 || low == 0) return false;
    out[i] = (uint8_t)((high - 1) << 4 | (low - 1));
  }
  return true;
}

void es_id_text(char out[ES_ID_TEXT_SIZE], const uint8_t id[ES_ID_SIZE]) {
  char hex[2 * ES_ID_SIZE + 1];
  static const int group_lengths[] = {8, 4, 4, 4, 12};
  const char *from = hex;

  es__hex(hex, id, ES_ID_SIZE);
  for (int i = 0; i < 5; i++) {
    if (i > 0) *out++ = '-';
    memcpy(out, from, (size_t)group_lengths[i]);
    out += group_lengths[i];
    from += group_lengths[i];
  }
  *out = '\0';
}

bool es__id_parse_counted(uint8_t out[ES_ID_SIZE], const char *text, size_t length) {
  char hex[2 * ES_ID_SIZE];
  size_t count = 0;

  if (text == NULL || length != ES_ID_TEXT_SIZE - 1) return false;
  for (size_t i = 0; i < length; i++) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i] != '-') return false;
    } else {
      hex[count++] = text[i];
    }
  }
  return es__hex_parse(out, ES_ID_SIZE, hex, count);
}

bool es__id_is_text(const char *text, size_t length) {
  static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  bool fits = text != NULL && length == ES_ID_TEXT_SIZE - 1;

  for (size_t i = 0; fits && i < length; i++)
    fits = form[i] == '-' ? text[i] == '-' : digit_values[(uint8_t)text[i]] != 0;
  return fits;
}

bool es_id_parse(uint8_t out[ES_ID_SIZE], const char *text) {
  return text != NULL && es__id_parse_counted(out, text, strlen(text));
}
