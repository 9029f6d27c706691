/* test_canonical: the check without a tree says the same as writing the text anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "json/value.h"

static bool check(const char *text) {
  es_buf scratch = {0}, written = {0};
  es_error err = ES_ERROR_INIT;
  bool canonical = false;
  es_status status = es__json_check_canonical(&canonical, &scratch, text, strlen(text), &err);

  if (es__json_canonical(&written, text, strlen(text), &err) == ES_OK) {
    assert_int_equal(status, ES_OK);
    assert_int_equal(canonical, strcmp(written.data, text) == 0);
  } else {
    assert_false(canonical);
  }
  es__buf_free(&scratch);
  es__buf_free(&written);
  return canonical;
}

static void canonical_texts_are_recognised(void **state) {
  static const char *const rows[] = {
      "{}",
      "[]",
      "null",
      "[true,false,null,-0.0,1.5,1e+20]",
      "{\"\":1,\"a\":{\"a\":1,\"b\":[{},{\"a\":1}]},\"aa\":2,\"b\":3}",
      "{\"a\":\"\\n\\u0001\xC3\xAB\"}",
      "[[],[[1,2],{}],\"x\"]"};
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (!check(rows[i])) fail_msg("%s", rows[i]);
  }
}

static void other_texts_are_not(void **state) {
  static const char *const rows[] = {
      "{ }",
      "{\"b\":1,\"a\":2}",
      "{\"a\":1,\"a\":2}",
      "{\"a\":{\"z\":1},\"a\":2}",
      "{\"x\":{\"b\":[],\"a\":1}}",
      "{\"ab\":1,\"a\":2}",
      "[1, 2]",
      "1.50",
      "1e5",
      "\"\\u0061\"",
      "\"\\/\"",
      "{\"\":1,\"\":2}",
      "",
      "{\"a\":1",
      "nonsense",
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    if (check(rows[i])) fail_msg("%s", rows[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(canonical_texts_are_recognised),
      cmocka_unit_test(other_texts_are_not),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
