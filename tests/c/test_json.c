/* JSON: what is accepted, what is refused and where, and the canonical form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/utf8.h"
#include "json/value.h"
#include "json/writer.h"

/* ---- helpers ---- */

/* Text with its length, so that NUL bytes can be in it. */
#define TEXT(literal) literal, sizeof literal - 1

static void assert_canonical(const char *text, size_t length, const char *expected) {
  es_buf out = {0};
  es_error err = ES_ERROR_INIT;

  if (es__json_canonical(&out, text, length, &err) != ES_OK)
    fail_msg("%.*s was refused: %s", (int)length, text, err.message);
  assert_string_equal(out.data, expected);
  es__buf_free(&out);
}

static void assert_refused(const char *text, size_t length, const char *code, const char *message) {
  es_buf out = {0};
  es_error err = ES_ERROR_INIT;

  if (es__json_canonical(&out, text, length, &err) != ES_ERR_USAGE)
    fail_msg("%.*s was accepted", (int)length, text);
  assert_int_equal(out.length, 0);
  assert_string_equal(err.code, code);
  if (message != NULL) assert_string_equal(err.message, message);
  assert_true(es__utf8_valid(err.message, strlen(err.message)));
  es__buf_free(&out);
}

/* ---- acceptance ---- */

static void accepts_what_rfc_8259_allows(void **state) {
  static const struct {
    const char *text;
    size_t length;
    const char *canonical;
  } rows[] = {
      {TEXT("null"), "null"},
      {TEXT(" \t\r\n true \t\r\n "), "true"},
      {TEXT("false"), "false"},
      {TEXT("\"\""), "\"\""},
      {TEXT("[]"), "[]"},
      {TEXT("{}"), "{}"},
      {TEXT("[ ]"), "[]"},
      {TEXT("{ }"), "{}"},
      {TEXT("[[],{},[[]]]"), "[[],{},[[]]]"},
      {TEXT("{\"\":0}"), "{\"\":0}"},
      {TEXT("{\"b\":1,\"a\":2}"), "{\"a\":2,\"b\":1}"},
      {TEXT("{ \"b\" : [ 1 , 2 ] , \"a\" : { } }"), "{\"a\":{},\"b\":[1,2]}"},
      /* names are sorted by bytes: capitals first, a prefix before what it begins, ASCII before the rest */
      {TEXT("{\"b\":0,\"ab\":0,\"a\":0,\"B\":0,\"\xC3\xA9\":0,\"z\":0}"),
       "{\"B\":0,\"a\":0,\"ab\":0,\"b\":0,\"z\":0,\"\xC3\xA9\":0}"},
      /* by code points U+FF61 sorts before U+1F600; UTF-16 units would say otherwise */
      {TEXT("{\"\xF0\x9F\x98\x80\":1,\"\xEF\xBD\xA1\":2}"),
       "{\"\xEF\xBD\xA1\":2,\"\xF0\x9F\x98\x80\":1}"},
      {TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "\"\\\"\\\\/\\b\\f\\n\\r\\t\""},
      {TEXT("\"\\u0000\\u001F\\u007f\""), "\"\\u0000\\u001f\x7F\""},
      {TEXT("\"\\u00e9\\u20AC\\uD83D\\uDE00\""), "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
      {TEXT("\"\\uDBFF\\uDFFF\\uD800\\uDC00\""), "\"\xF4\x8F\xBF\xBF\xF0\x90\x80\x80\""},
      {TEXT("\"\\uFFFE\\uFDD0\""), "\"\xEF\xBF\xBE\xEF\xB7\x90\""},
      {TEXT("\"plain \xE2\x82\xAC and \\u20ac\""), "\"plain \xE2\x82\xAC and \xE2\x82\xAC\""},
      {TEXT("\"12345678\\n12345678\""), "\"12345678\\n12345678\""},
      /* two spellings of one name are one name; here they differ */
      {TEXT("{\"\\u0061\":1,\"A\":2}"), "{\"A\":2,\"a\":1}"},
      {TEXT("0"), "0"},
      {TEXT("-0"), "0"},
      {TEXT("-1"), "-1"},
      {TEXT("1.0"), "1.0"},
      {TEXT("0.0"), "0.0"},
      {TEXT("-0.0"), "-0.0"},
      {TEXT("-0e5"), "-0.0"},
      {TEXT("1e0"), "1.0"},
      {TEXT("1E+2"), "100.0"},
      {TEXT("1e-2"), "0.01"},
      {TEXT("0.1"), "0.1"},
      {TEXT("0.30000000000000004"), "0.30000000000000004"},
      {TEXT("1e14"), "100000000000000.0"},
      {TEXT("1e15"), "1e+15"},
      {TEXT("-1e15"), "-1e+15"},
      {TEXT("999999999999999.0"), "999999999999999.0"},
      {TEXT("1e308"), "1e+308"},
      {TEXT("1.7976931348623157e308"), "1.7976931348623157e+308"},
      {TEXT("5e-324"), "4.94065645841247e-324"},
      {TEXT("2.2250738585072014e-308"), "2.2250738585072014e-308"},
      {TEXT("2.2250738585072011e-308"),
       "2.225073858507201e-308"}, /* the text that hung PHP and Java */
      {TEXT("1e-400"), "0.0"},
      {TEXT("-1e-400"), "-0.0"},
      {TEXT("0e999999999999999999999"), "0.0"},
      {TEXT("9007199254740993"), "9007199254740993"},
      {TEXT("9007199254740993.0"), "9007199254740992.0"},
      {TEXT("9223372036854775807"), "9223372036854775807"},
      {TEXT("-9223372036854775808"), "-9223372036854775808"},
      {TEXT("9223372036854775808.0"), "9.223372036854776e+18"},
      {TEXT("100000000000001"), "100000000000001"},
  };

  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    assert_canonical(rows[i].text, rows[i].length, rows[i].canonical);
}

static void refuses_what_is_not_json(void **state) {
  /* clang-format off */
  static const char *const malformed[] = {
      "", " ", "nul", "nulL", "nullx", "True", "[1,]", "[,1]", "[1 2]", "[1,,2]", "[", "[1",
      "[1,", "]", "[1]]", "[1}", "{\"a\":1]", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,",
      "{\"a\":1,}", "{\"a\" 1}", "{\"a\"::1}", "{a:1}", "{'a':1}", "{1:1}", "{,}", "{\"a\"}",
      "{\"a\",1}", "1 2", "{}{}", "01", "-01", "00", "1.", ".1", "1.e1", "1e", "1e+", "-", "+1",
      "--1", "0x10", "1_000", "1,5", "NaN", "Infinity", "-Infinity", "nan", "// x\n1",
      "1 /* x */", "'a'", "\"", "\"a", "\"\\", "\"\\\"", "\"\\x41\"", "\"\\u12\"", "\"\\u12G4\"",
      "\"\\U0041\"", "\"a\nb\"", "\"a\tb\"", "\xEF\xBB\xBF{}", "\xC2\xA0[]", "[1]\f", "undefined",
  };
  /* clang-format on */
  static const struct {
    const char *text;
    size_t length;
    const char *code;
  } rows[] = {
      {TEXT("\"\\\0\""), "malformed_json"},
      {TEXT("\"a\0b\""), "malformed_json"},
      {TEXT("1\0"), "malformed_json"},
      {TEXT("\0"), "malformed_json"},
      {TEXT("9223372036854775808"), "json_number_range"},
      {TEXT("-9223372036854775809"), "json_number_range"},
      {TEXT("18446744073709551616"), "json_number_range"}, /* wraps to 0 in 64 bits */
      {TEXT("100000000000000000000000000000"), "json_number_range"},
      {TEXT("1e400"), "json_number_range"},
      {TEXT("-1e400"), "json_number_range"},
      {TEXT("1.7976931348623159e308"), "json_number_range"},
      {TEXT("\"\\uD800\""), "json_utf8"},
      {TEXT("\"\\uDC00\""), "json_utf8"},
      {TEXT("\"\\uD800\\u0041\""), "json_utf8"},
      {TEXT("\"\\uD800\\uD800\""), "json_utf8"},
      {TEXT("\"\\uD83D\xF0\x9F\x98\x80\""), "json_utf8"},
      {TEXT("\"\x80\""), "json_utf8"},
      {TEXT("\"\xC0\x80\""), "json_utf8"},         /* an overlong NUL */
      {TEXT("\"\xE0\x80\xAF\""), "json_utf8"},     /* an overlong slash */
      {TEXT("\"\xED\xA0\x80\""), "json_utf8"},     /* a surrogate */
      {TEXT("\"\xF4\x90\x80\x80\""), "json_utf8"}, /* above U+10FFFF */
      {TEXT("\"\xE2\x82\""), "json_utf8"},         /* cut off by the quote */
      {TEXT("\"\xE2\\u0041\""), "json_utf8"},      /* cut off by an escape */
      {TEXT("{\"\xFF\":1}"), "json_utf8"},
      {TEXT("{\"a\":1,\"a\":1}"), "json_duplicate_key"},
      {TEXT("{\"a\":1,\"\\u0061\":1}"), "json_duplicate_key"},
      {TEXT("[{\"\":1,\"b\":2,\"\":3}]"), "json_duplicate_key"},
  };

  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    assert_refused(rows[i].text, rows[i].length, rows[i].code, NULL);
  for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
    assert_refused(malformed[i], strlen(malformed[i]), "malformed_json", NULL);
}

static void names_line_column_and_path_of_an_error(void **state) {
  static const struct {
    const char *text;
    const char *code, *message;
  } rows[] = {
      {"{\n  \"lines\": [\n    1,\n    2,\n    {\"price\": 01}\n  ]\n}", "malformed_json",
       "line 5, column 15, at $.lines[2].price: a number must not start with a zero"},
      {"", "malformed_json", "line 1, column 1, at $: the text ends too early"},
      {"[1,\r\n]", "malformed_json", "line 2, column 1, at $[1]: a value is missing here"},
      {"[[],{},x]", "malformed_json", "line 1, column 8, at $[2]: no value starts like this"},
      {"[1 2]", "malformed_json", "line 1, column 4, at $: a comma or ']' must come here"},
      {"{\"a\":{\"b\":1 2}}", "malformed_json",
       "line 1, column 13, at $.a: a comma or '}' must come here"},
      {"{\"a\":1,}", "malformed_json",
       "line 1, column 8, at $: a name in double quotes must come here"},
      {"{\"a\":[0,{\"b\" 1}]}", "malformed_json",
       "line 1, column 14, at $.a[1]: a colon must follow the name"},
      {"{\"a\":[{\"b\":[9,[8,NaN]]}]}", "malformed_json",
       "line 1, column 18, at $.a[0].b[1][1]: JSON has neither NaN nor Infinity"},
      {"{\"a b\":{\"\":[-]}}", "malformed_json",
       "line 1, column 13, at $[\"a b\"][\"\"][0]: a digit must follow the minus sign"},
      {"{\"q\\\"\\n\":[.5]}", "malformed_json",
       "line 1, column 11, at $[\"q\\\"\\u000a\"][0]: a number starts with a digit or a minus "
       "sign"},
      /* a column is a character: two of them take five bytes here */
      {"[\"\xC3\xA9\xE2\x82\xAC\", \"a\\qb\"]", "malformed_json",
       "line 1, column 10, at $[1]: no such escape; JSON has \\\" \\\\ \\/ \\b \\f \\n \\r \\t "
       "\\uXXXX"},
      {"{\"a\":\"x\xFFy\"}", "json_utf8",
       "line 1, column 8, at $.a: the bytes here are not valid UTF-8"},
      {"[1,{\"n\":9223372036854775808}]", "json_number_range",
       "line 1, column 9, at $[1].n: the integer is beyond 64 bits"},
      {"[1] 2", "malformed_json", "line 1, column 5, at $: the value ends before this"},
      {"{\"a\":[{\"k\":1,\n\"l\":{},\"k\":2}]}", "json_duplicate_key",
       "line 2, column 8, at $.a[0].k: this name was given before in the same object"},
  };

  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    assert_refused(rows[i].text, strlen(rows[i].text), rows[i].code, rows[i].message);
}

/* `depth` arrays and objects in turn around a number. */
static char *nested(size_t *length, int depth) {
  es_buf out = {0};

  for (int i = 0; i < depth; i++)
    es__buf_text(&out, i % 2 == 0 ? "[" : "{\"a\":");
  es__buf_byte(&out, '1');
  for (int i = depth; i-- > 0;)
    es__buf_byte(&out, i % 2 == 0 ? ']' : '}');
  return es__buf_take(&out, length);
}

static void accepts_128_levels_and_refuses_129(void **state) {
  size_t length;
  char *text = nested(&length, 128);

  (void)state;
  assert_canonical(text, length, text);
  free(text);
  text = nested(&length, 129);
  assert_refused(text, length, "json_too_deep", NULL);
  free(text);
  text = nested(&length, 1000000);
  assert_refused(text, length, "json_too_deep", NULL);
  free(text);
}

static void a_reader_can_be_given_a_lower_depth(void **state) {
  es_json_reader reader;
  es_json_token token;
  es_error err = ES_ERROR_INIT;

  (void)state;
  es__json_reader_init(&reader, TEXT("[[[]]]"), 2);
  assert_int_equal(es__json_next(&reader, &token, &err), ES_OK);
  assert_int_equal(es__json_next(&reader, &token, &err), ES_OK);
  assert_int_equal(es__json_next(&reader, &token, &err), ES_ERR_USAGE);
  assert_string_equal(err.message, "line 1, column 3, at $[0][0]: nested too deep");
  es__json_reader_free(&reader);
}

static void a_reader_stays_in_its_error(void **state) {
  es_json_reader reader;
  es_json_token token;
  es_error first = ES_ERROR_INIT, again = ES_ERROR_INIT;

  (void)state;
  es__json_reader_init(&reader, TEXT("[1,x,2]"), 0);
  assert_int_equal(es__json_next(&reader, &token, &first), ES_OK);
  assert_int_equal(es__json_next(&reader, &token, &first), ES_OK);
  assert_int_equal(es__json_next(&reader, &token, &first), ES_ERR_USAGE);
  assert_int_equal(es__json_next(&reader, &token, &again), ES_ERR_USAGE);
  assert_int_equal(es__json_next(&reader, &token, NULL), ES_ERR_USAGE);
  assert_memory_equal(&first, &again, sizeof first);
  es__json_reader_free(&reader);
}

static void a_long_path_is_cut_to_whole_steps(void **state) {
  es_buf text = {0};
  es_error err = ES_ERROR_INIT;

  (void)state;
  for (int i = 0; i < 120; i++)
    es__buf_text(&text, "{\"\xC3\xA9\xC3\xA9\":");
  assert_int_equal(es__json_canonical(&(es_buf){0}, text.data, text.length, &err), ES_ERR_USAGE);
  assert_non_null(strstr(err.message, "[\"\xC3\xA9\xC3\xA9\"]\xE2\x80\xA6: the text ends"));
  es__buf_free(&text);
}

static void refuses_a_text_of_more_than_16_mib(void **state) {
  size_t length = ES_JSON_MAX_BYTES;
  char *text = malloc(length + 1);

  (void)state;
  assert_non_null(text);
  memset(text, ' ', length + 1);
  text[0] = '1';
  assert_canonical(text, length, "1");
  assert_refused(text, length + 1, "json_too_large",
                 "line 1, column 1, at $: the text is longer than 16 MiB");
  free(text);
}

/* ---- values ---- */

static void finds_members_by_name(void **state) {
  static const char text[] = "{\"zebra\":1,\"ab\":[true,\"x\\u0000y\"],\"a\":{},\"\":null}";
  es_json_document *document = NULL;
  const es_json_value *root, *list;
  es_error err = ES_ERROR_INIT;

  (void)state;
  assert_int_equal(es__json_parse(&document, text, sizeof text - 1, &err), ES_OK);
  root = es__json_root(document);
  assert_int_equal(root->count, 4);
  assert_int_equal(es__json_member(root, "zebra")->integer, 1);
  assert_int_equal(es__json_member(root, "")->kind, ES_JSON_NULL);
  assert_int_equal(es__json_member(root, "a")->kind, ES_JSON_OBJECT_BEGIN);
  list = es__json_member(root, "ab");
  assert_int_equal(list->kind, ES_JSON_ARRAY_BEGIN);
  assert_int_equal(list->count, 2);
  assert_null(list->keys);
  assert_int_equal(list->items[1].text.length, 3);
  assert_memory_equal(list->items[1].text.data, "x\0y", 4);
  assert_null(es__json_member(root, "abc"));
  assert_null(es__json_member(list, "a"));
  assert_null(es__json_member(NULL, "a"));
  es__json_document_free(document);
  es__json_document_free(NULL);
}

static void hand_written_objects_get_their_commas(void **state) {
  es_buf out = {0};

  (void)state;
  es__buf_byte(&out, '{');
  es__json_write_key(&out, "a");
  es__json_write_text(&out, es__text("x"));
  es__json_write_key(&out, "b\n");
  es__json_write_text(&out, (es_text){NULL, 0});
  es__json_write_key(&out, "c");
  es__json_write_integer(&out, INT64_MIN);
  es__buf_byte(&out, '}');
  assert_string_equal(out.data, "{\"a\":\"x\",\"b\\n\":null,\"c\":-9223372036854775808}");
  es__buf_free(&out);
}

/* ---- memory ---- */

static void reading_allocates_only_for_escapes(void **state) {
  static const char plain[] = "{\"a\":[1,2.5,\"a long string that has no escapes in it\",{}]}";
  es_json_reader reader;
  es_json_token token = {.kind = ES_JSON_NULL};
  es_buf text = {0};

  (void)state;
  es__json_reader_init(&reader, plain, sizeof plain - 1, 0);
  while (token.kind != ES_JSON_END)
    assert_int_equal(es__json_next(&reader, &token, NULL), ES_OK);
  assert_null(reader.own_scratch.data);
  es__json_reader_free(&reader);

  es__buf_byte(&text, '"');
  for (int i = 0; i < 100000; i++)
    es__buf_text(&text, "\\uD83D\\uDE00");
  es__buf_byte(&text, '"');
  es__json_reader_init(&reader, text.data, text.length, 0);
  assert_int_equal(es__json_next(&reader, &token, NULL), ES_OK);
  assert_int_equal(token.text.length, 400000);
  assert_true(reader.own_scratch.capacity <= 2 * token.text.length);
  es__json_reader_free(&reader);
  es__buf_free(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(accepts_what_rfc_8259_allows),
      cmocka_unit_test(refuses_what_is_not_json),
      cmocka_unit_test(names_line_column_and_path_of_an_error),
      cmocka_unit_test(accepts_128_levels_and_refuses_129),
      cmocka_unit_test(a_reader_can_be_given_a_lower_depth),
      cmocka_unit_test(a_reader_stays_in_its_error),
      cmocka_unit_test(a_long_path_is_cut_to_whole_steps),
      cmocka_unit_test(refuses_a_text_of_more_than_16_mib),
      cmocka_unit_test(finds_members_by_name),
      cmocka_unit_test(hand_written_objects_get_their_commas),
      cmocka_unit_test(reading_allocates_only_for_escapes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
