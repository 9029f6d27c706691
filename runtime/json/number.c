/* json number: reading and writing numbers without the locale.
 *
 * Two facts keep the locale out. strtod() sees digits and an exponent only, never a radix character, so it has nothing to
 * interpret by locale; and whatever radix character snprintf() writes is replaced by '.'. */
#include "json/number.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* ---- reading ---- */

enum {
  MANTISSA_DIGITS = 19,      /* what fits uint64_t whatever the digits are */
  SIGNIFICANT_DIGITS = 780,  /* more than the 767 that can decide how a double rounds */
  EXPONENT_CLAMP = 100000000 /* beyond any text we read, so that adding to it cannot overflow */
};

/* A mantissa and a power of ten that are both exact doubles give a correctly rounded result with one operation (Clinger,
 * "How to read floating point numbers accurately", 1990). That covers nearly all numbers people write. */
static bool exact_decimal(double *out, uint64_t mantissa, int64_t exponent) {
  static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

  if (mantissa == 0) {
    *out = 0.0;
    return true;
  }
  if (FLT_EVAL_METHOD != 0 || mantissa > (UINT64_C(1) << 53) || exponent < -22 || exponent > 22)
    return false;
  if (exponent < 0)
    *out = (double)mantissa / powers[-exponent];
  else
    *out = (double)mantissa * powers[exponent];
  return true;
}

/* Any decimal: `digits` holds digits and at most one '.', `exponent` is what was written after 'e'. Digits beyond those that
 * can matter are replaced by one that says whether any of them was not zero. */
static double any_decimal(const char *digits, size_t length, int64_t exponent) {
  char text[SIGNIFICANT_DIGITS + 32];
  size_t used = 0;
  bool fraction = false, dropped = false;

  for (size_t i = 0; i < length; i++) {
    if (digits[i] == '.') {
      fraction = true;
    } else if (used == 0 && digits[i] == '0') {
      if (fraction) exponent--;
    } else if (used < SIGNIFICANT_DIGITS) {
      text[used++] = digits[i];
      if (fraction) exponent--;
    } else {
      if (digits[i] != '0') dropped = true;
      if (!fraction) exponent++;
    }
  }
  if (dropped) {
    text[used++] = '1';
    exponent--;
  }
  snprintf(text + used, sizeof text - used, "e%lld", (long long)exponent);
  return strtod(text, NULL);
}

/* The part from '.' or 'e' on. `at` is the index of that byte, `digits` the index of the first digit. */
static const char *scan_fraction(es_json_number *out, const char *text, size_t length,
                                 size_t digits, size_t at, uint64_t mantissa, size_t significant) {
  int64_t exponent = 0, shift = 0;
  size_t digits_end;
  double value;

  if (text[at] == '.') {
    size_t first = ++at;
    for (; at < length && is_digit(text[at]); at++) {
      if (significant > 0 || text[at] != '0') significant++;
      mantissa = mantissa * 10 + (uint64_t)(text[at] - '0');
    }
    if (at == first) return "a digit must follow the decimal point";
    shift = (int64_t)(at - first);
  }
  digits_end = at;
  if (at < length && (text[at] == 'e' || text[at] == 'E')) {
    bool negative = false;
    size_t first;
    at++;
    if (at < length && (text[at] == '+' || text[at] == '-')) negative = text[at++] == '-';
    for (first = at; at < length && is_digit(text[at]); at++) {
      if (exponent < EXPONENT_CLAMP) exponent = exponent * 10 + (text[at] - '0');
    }
    if (at == first) return "a digit must follow the exponent's 'e'";
    if (negative) exponent = -exponent;
  }
  if (significant > MANTISSA_DIGITS || !exact_decimal(&value, mantissa, exponent - shift))
    value = any_decimal(text + digits, digits_end - digits, exponent);
  out->is_integer = false;
  out->number = text[0] == '-' ? -value : value;
  out->length = at;
  out->out_of_range = isinf(value);
  return out->out_of_range ? "the number is beyond what a double can hold" : NULL;
}

const char *es__json_scan_number(es_json_number *out, const char *text, size_t length) {
  size_t at = 0, digits, significant;
  uint64_t mantissa = 0, limit = INT64_MAX;
  bool negative = text[0] == '-';

  out->out_of_range = false;
  if (negative) {
    at++;
    limit++;
  }
  digits = at;
  for (; at < length && is_digit(text[at]); at++)
    mantissa = mantissa * 10 + (uint64_t)(text[at] - '0');
  if (at == digits) return "a digit must follow the minus sign";
  if (text[digits] == '0' && at > digits + 1) return "a number must not start with a zero";
  significant = text[digits] == '0' ? 0 : at - digits;
  if (at < length && (text[at] == '.' || text[at] == 'e' || text[at] == 'E'))
    return scan_fraction(out, text, length, digits, at, mantissa, significant);

  out->is_integer = true;
  out->length = at;
  if (significant > MANTISSA_DIGITS || mantissa > limit) {
    out->out_of_range = true;
    return "the integer is beyond 64 bits";
  }
  out->integer = (int64_t)(negative ? 0 - mantissa : mantissa);
  return NULL;
}

/* ---- writing ---- */

/* Replaces the locale's radix character, which may be several bytes long, by '.'. */
static size_t replace_radix(char *text) {
  size_t out = 0;

  for (size_t i = 0; text[i] != '\0'; i++) {
    if (is_digit(text[i]) || text[i] == '-' || text[i] == '+' || text[i] == 'e')
      text[out++] = text[i];
    else if (out == 0 || text[out - 1] != '.')
      text[out++] = '.';
  }
  text[out] = '\0';
  return out;
}

static bool same_bits(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }

size_t es__json_format_double(char out[ES_JSON_DOUBLE_TEXT_MAX], double value) {
  es_json_number back;
  size_t length = 0;

  if (!isfinite(value)) return 0;
  for (int precision = 15; precision <= 17; precision++) {
    snprintf(out, ES_JSON_DOUBLE_TEXT_MAX, "%.*g", precision, value);
    length = replace_radix(out);
    if (strpbrk(out, ".e") == NULL) {
      memcpy(out + length, ".0", 3);
      length += 2;
    }
    if (precision == 17) break;
    if (es__json_scan_number(&back, out, length) == NULL && same_bits(back.number, value)) break;
  }
  return length;
}
