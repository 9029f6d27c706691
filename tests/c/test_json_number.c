/* JSON numbers: correctly rounded, written short, and the same under any locale. */
#define _GNU_SOURCE /* strtod_l */
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "json/value.h"
#include "json/writer.h"

/* ---- a C library whose locale writes and reads decimal commas ----
 * No such locale need be installed: these stand before the C library's own and turn German on demand. */

static bool german;

int snprintf(char *out, size_t size, const char *format, ...) {
  va_list args;
  int length;

  va_start(args, format);
  length = vsnprintf(out, size, format, args);
  va_end(args);
  for (size_t i = 1; german && size > 0 && i + 1 < size && out[i] != '\0'; i++) {
    if (out[i] == '.' && out[i - 1] >= '0' && out[i - 1] <= '9') out[i] = ',';
  }
  return length;
}

double strtod(const char *text, char **end) {
  static locale_t c_locale;
  char copy[1024];
  size_t length = strlen(text);

  if (c_locale == (locale_t)0) c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (!german || length >= sizeof copy) return strtod_l(text, end, c_locale);
  memcpy(copy, text, length + 1);
  for (size_t i = 0; i < length; i++)
    copy[i] = (char)(copy[i] == '.' ? ' ' : copy[i] == ',' ? '.' : copy[i]);
  return strtod_l(copy, NULL, c_locale);
}

static void assert_canonical(const char *text, size_t length, const char *expected) {
  es_buf out = {0};
  es_error err = ES_ERROR_INIT;

  if (es__json_canonical(&out, text, length, &err) != ES_OK)
    fail_msg("%.*s was refused: %s", (int)length, text, err.message);
  assert_string_equal(out.data, expected);
  es__buf_free(&out);
}

/* Texts whose digits are far more than a double holds: the last one decides. */
static void rounds_long_decimals_correctly(void **state) {
  es_buf text = {0};

  (void)state;
  /* 1 + 2^-53 lies halfway between 1 and the next double; a digit behind it, however far, decides. */
  es__buf_text(&text, "1.00000000000000011102230246251565404236316680908203125");
  assert_canonical(text.data, text.length, "1.0");
  for (int i = 0; i < 2000; i++)
    es__buf_byte(&text, '0');
  assert_canonical(text.data, text.length, "1.0");
  es__buf_byte(&text, '1');
  assert_canonical(text.data, text.length, "1.0000000000000002");
  es__buf_clear(&text);
  /* 2000 digits before the point, scaled back by the exponent */
  es__buf_byte(&text, '1');
  for (int i = 0; i < 2000; i++)
    es__buf_byte(&text, '0');
  es__buf_text(&text, "e-2001");
  assert_canonical(text.data, text.length, "0.1");
  es__buf_clear(&text);
  es__buf_text(&text, "0.");
  for (int i = 0; i < 2000; i++)
    es__buf_byte(&text, '0');
  es__buf_text(&text, "25e2001");
  assert_canonical(text.data, text.length, "2.5");
  es__buf_free(&text);
}

static void doubles_are_written_with_the_fewest_of_15_16_17_digits(void **state) {
  static const struct {
    double value;
    const char *text;
  } rows[] = {
      {0.0, "0.0"},
      {-0.0, "-0.0"},
      {1.0, "1.0"},
      {0.1, "0.1"},
      {0.1 + 0.2, "0.30000000000000004"},
      {1.0 / 3, "0.3333333333333333"},
      {2.0 / 3, "0.6666666666666666"},
      {100.0, "100.0"},
      {1e-5, "1e-05"},
      {0.0001, "0.0001"},
      {123456789.125, "123456789.125"},
      {999999999999999.0, "999999999999999.0"},
      {1e15, "1e+15"},
      {9007199254740992.0, "9007199254740992.0"},
      {1e22, "1e+22"},
      {1e23, "1e+23"},
      {5e-324, "4.94065645841247e-324"},
      {1.7976931348623157e308, "1.7976931348623157e+308"},
  };
  es_buf out = {0};

  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    es__buf_clear(&out);
    assert_true(es__json_write_double(&out, rows[i].value));
    assert_string_equal(out.data, rows[i].text);
  }
  es__buf_clear(&out);
  assert_false(es__json_write_double(&out, NAN));
  assert_false(es__json_write_double(&out, INFINITY));
  assert_false(es__json_write_double(&out, -INFINITY));
  assert_int_equal(out.length, 0);
  es__buf_free(&out);
}

static void numbers_do_not_depend_on_the_locale(void **state) {
  static const char text[] = "[0.1,1.5,1.2345678901234568e+17,4.94065645841247e-324,1e+300]";

  (void)state;
  german = true;
  char proof[8];
  snprintf(proof, sizeof proof, "%.1f", 1.5);
  assert_string_equal(proof, "1,5"); /* or this test would show nothing */
  assert_true(strtod("1,5", NULL) == 1.5 && strtod("1.5", NULL) == 1.0);
  assert_canonical(text, sizeof text - 1, text);
  german = false;
  assert_canonical(text, sizeof text - 1, text);
  if (setlocale(LC_ALL, "de_DE.UTF-8") != NULL) { /* the real thing, where installed */
    assert_canonical(text, sizeof text - 1, text);
    setlocale(LC_ALL, "C");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rounds_long_decimals_correctly),
      cmocka_unit_test(doubles_are_written_with_the_fewest_of_15_16_17_digits),
      cmocka_unit_test(numbers_do_not_depend_on_the_locale),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
