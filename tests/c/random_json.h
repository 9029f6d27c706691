/* random_json: random numbers, strings and whole JSON values, repeatable from one seed. For tests only. */
#ifndef RANDOM_JSON_H
#define RANDOM_JSON_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "json/writer.h"

static uint64_t seed;

/* splitmix64 */
static inline uint64_t next_random(void) {
  uint64_t mixed = (seed += UINT64_C(0x9E3779B97F4A7C15));
  mixed = (mixed ^ mixed >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
  mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94D049BB133111EB);
  return mixed ^ mixed >> 31;
}

static inline size_t below(size_t limit) { return (size_t)(next_random() % limit); }

static inline double random_double(void) {
  double value;

  switch (below(4)) {
  case 0: /* what people write: a few digits and a decimal point */
    return (double)((int64_t)below(2000000000) - 1000000000) /
           (double[]){1, 10, 100, 1000}[below(4)];
  case 1: /* near a power of two or ten, where rounding goes wrong */
    value = (double)(UINT64_C(1) << below(63));
    return value + (double)below(3) - 1;
  default: /* any bits at all */
    do {
      uint64_t bits = next_random();
      memcpy(&value, &bits, sizeof value);
    } while (value - value != 0); /* NaN and infinities */
    return value;
  }
}

/* A character of any plane; control characters, quotes and backslashes come often. */
static inline uint32_t random_character(void) {
  uint32_t code;

  switch (below(5)) {
  case 0:
    return (uint32_t)below(0x20);
  case 1:
    return (uint32_t) "\"\\/bu0"[below(6)];
  case 2:
    return (uint32_t)(0x20 + below(0x60));
  case 3:
    return (uint32_t)(0x80 + below(0x780));
  default:
    do
      code = (uint32_t)(0x800 + below(0x10F800));
    while (code >= 0xD800 && code <= 0xDFFF);
    return code;
  }
}

static inline void add_utf8(es_buf *out, uint32_t code) {
  if (code < 0x80) {
    es__buf_byte(out, (char)code);
  } else if (code < 0x800) {
    es__buf_byte(out, (char)(0xC0 | code >> 6));
    es__buf_byte(out, (char)(0x80 | (code & 0x3F)));
  } else if (code < 0x10000) {
    es__buf_byte(out, (char)(0xE0 | code >> 12));
    es__buf_byte(out, (char)(0x80 | (code >> 6 & 0x3F)));
    es__buf_byte(out, (char)(0x80 | (code & 0x3F)));
  } else {
    es__buf_byte(out, (char)(0xF0 | code >> 18));
    es__buf_byte(out, (char)(0x80 | (code >> 12 & 0x3F)));
    es__buf_byte(out, (char)(0x80 | (code >> 6 & 0x3F)));
    es__buf_byte(out, (char)(0x80 | (code & 0x3F)));
  }
}

/* The same value twice: in canonical form, and loosely: with spaces, escapes and names in another order. */
struct twins {
  es_buf canonical, loose;
};

static inline void add_space(es_buf *loose) {
  static const char spaces[] = " \t\r\n";

  while (below(8) == 0)
    es__buf_byte(loose, spaces[below(4)]);
}

static inline void add_both(struct twins *out, const char *text) {
  es__buf_text(&out->canonical, text);
  es__buf_text(&out->loose, text);
}

/* Writes the character as escapes now and then. */
static inline void add_loose_character(es_buf *loose, uint32_t code) {
  if (below(4) == 0 && code >= 0x10000)
    es__buf_format(loose, "\\u%04x\\u%04X", 0xD800 + ((code - 0x10000) >> 10),
                   0xDC00 + (code & 0x3FF));
  else if (code < 0x10000 && (code < 0x20 || code == '"' || code == '\\' || below(4) == 0))
    es__buf_format(loose, below(2) ? "\\u%04x" : "\\u%04X", code);
  else
    add_utf8(loose, code);
}

static inline void add_string(struct twins *out, const char *prefix) {
  es_buf bytes = {0};

  es__buf_text(&bytes, prefix);
  es__buf_byte(&out->loose, '"');
  es__buf_text(&out->loose, prefix);
  for (size_t n = below(6); n > 0; n--) {
    uint32_t code = random_character();
    if (code == 0) code = 1; /* see known differences */
    add_utf8(&bytes, code);
    add_loose_character(&out->loose, code);
  }
  es__buf_byte(&out->loose, '"');
  es__json_write_string(&out->canonical, bytes.data, bytes.length);
  es__buf_free(&bytes);
}

static inline void add_value(struct twins *out, int depth);

static inline void add_object(struct twins *out, int depth) {
  size_t count = below(5);
  es_buf reversed = {0};

  es__buf_byte(&out->canonical, '{');
  for (size_t i = 0; i < count; i++) {
    struct twins member = {{0}, {0}};
    add_string(&member, (const char *[]){"a", "b", "c", "d", "e"}[i]); /* in the order of bytes */
    add_space(&member.loose);
    add_both(&member, ":");
    add_space(&member.loose);
    add_value(&member, depth + 1);
    if (i > 0) {
      es__buf_byte(&out->canonical, ',');
      es__buf_byte(&member.loose, ',');
      es__buf_add(&member.loose, reversed.data, reversed.length);
    }
    es__buf_add(&out->canonical, member.canonical.data, member.canonical.length);
    es__buf_free(&member.canonical);
    es__buf_free(&reversed);
    reversed = member.loose;
  }
  es__buf_byte(&out->canonical, '}');
  es__buf_byte(&out->loose, '{');
  add_space(&out->loose);
  es__buf_add(&out->loose, reversed.data, reversed.length);
  es__buf_byte(&out->loose, '}');
  es__buf_free(&reversed);
}

static inline void add_array(struct twins *out, int depth) {
  size_t count = below(5);

  add_both(out, "[");
  for (size_t i = 0; i < count; i++) {
    if (i > 0) add_both(out, ",");
    add_space(&out->loose);
    add_value(out, depth + 1);
    add_space(&out->loose);
  }
  add_both(out, "]");
}

static inline void add_number(struct twins *out) {
  double value = random_double();
  char text[64];

  if (below(2)) {
    snprintf(text, sizeof text, "%lld", (long long)(next_random() >> below(64)) - 1000);
    add_both(out, text);
    return;
  }
  es__json_write_double(&out->canonical, value);
  snprintf(text, sizeof text, "%.17E", value);
  es__buf_text(&out->loose, text);
}

static inline void add_value(struct twins *out, int depth) {
  switch (below(depth < 5 ? 8 : 5)) {
  case 0:
    add_both(out, (const char *[]){"null", "true", "false"}[below(3)]);
    break;
  case 1:
  case 2:
    add_number(out);
    break;
  case 3:
  case 4:
    add_string(out, "");
    break;
  case 5:
    add_array(out, depth);
    break;
  default:
    add_object(out, depth);
    break;
  }
}

/* Takes the seed from ES_TEST_SEED or the clock, and prints it. */
static inline void start_random(void) {
  const char *given = getenv("ES_TEST_SEED");

  seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)es__clock_system(NULL);
  printf("ES_TEST_SEED=%llu\n", (unsigned long long)seed);
  fflush(stdout);
}

#endif
