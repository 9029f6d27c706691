/* test_csv: what RFC 4180 allows becomes rows, everything else is refused with its line; bytes may be cut anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/csv.h"

/* Reads the text in pieces; the rows, a line each, end in *out. */
static es_status read_csv(es_buf *out, const char *text, size_t piece, es_error *err) {
  es_csv csv = {0};
  size_t length = strlen(text), at = 0, used;
  es_status status = ES_OK;
  bool row;

  es__buf_clear(out);
  es__buf_text(out, "");
  while (at < length && status == ES_OK) {
    size_t size = length - at < piece ? length - at : piece;
    status = es__csv_next(&row, &used, &csv, out, text + at, size, err);
    if (status == ES_OK && row) es__buf_format(out, " @%lld\n", (long long)csv.row_line);
    at += used;
  }
  if (status == ES_OK) status = es__csv_end(&row, &csv, out, err);
  if (status == ES_OK && row) es__buf_format(out, " @%lld\n", (long long)csv.row_line);
  es__csv_free(&csv);
  return status;
}

static void reads(const char *text, const char *rows) {
  es_buf out = {0};
  es_error err = ES_ERROR_INIT;
  for (size_t piece = 1; piece < 100; piece += 7) {
    if (read_csv(&out, text, piece, &err) != ES_OK) fail_msg("%s", err.message);
    assert_string_equal(out.data == NULL ? "" : out.data, rows);
  }
  es__buf_free(&out);
}

static void refuses(const char *text, const char *message) {
  es_buf out = {0};
  es_error err = ES_ERROR_INIT;
  for (size_t piece = 1; piece < 100; piece += 7) {
    assert_int_equal(read_csv(&out, text, piece, &err), ES_ERR_USAGE);
    assert_string_equal(err.code, "malformed_csv");
    assert_string_equal(err.message, message);
  }
  es__buf_free(&out);
}

static void rows_are_objects_named_by_the_heading(void **state) {
  (void)state;
  reads("id,name\n1,Ann\n2,Bob\n", "{\"id\":\"1\",\"name\":\"Ann\"} @2\n"
                                   "{\"id\":\"2\",\"name\":\"Bob\"} @3\n");
  reads("id,name\r\n1,\r\n,\r\n", "{\"id\":\"1\",\"name\":\"\"} @2\n"
                                  "{\"id\":\"\",\"name\":\"\"} @3\n");
  reads("a\n1", "{\"a\":\"1\"} @2\n");
  reads("a\n", "");
}

static void quoted_fields_hold_anything(void **state) {
  (void)state;
  reads("a,b\n\"x, \"\"y\"\"\",\"two\r\nlines\"\n3,4\n",
        "{\"a\":\"x, \\\"y\\\"\",\"b\":\"two\\r\\nlines\"} @2\n{\"a\":\"3\",\"b\":\"4\"} @4\n");
  reads("a\n\"\"\n", "{\"a\":\"\"} @2\n");
  reads("\"a\"\n\"1\"", "{\"a\":\"1\"} @2\n");
}

static void marks_and_empty_lines_are_passed_over(void **state) {
  (void)state;
  reads("\xEF\xBB\xBF"
        "a\n\n1\n\r\n2\n",
        "{\"a\":\"1\"} @3\n{\"a\":\"2\"} @5\n");
}

static void what_is_no_csv_is_refused_with_its_line(void **state) {
  (void)state;
  refuses("a,b\n1\n", "line 2: 1 fields, the heading has 2");
  refuses("a,b\n1,2,3\n", "line 2: 3 fields, the heading has 2");
  refuses("a,a\n", "line 1: two columns are called 'a'");
  refuses("a,\n", "line 1: a column of the heading has no name");
  refuses("a\n1\"2\n", "line 2: a quote inside a field that does not begin with one");
  refuses("a\n\n\"1\"2\n", "line 3: text follows the closing quote of a field");
  refuses("a\n1\r2\n", "line 2: a carriage return without a line feed");
  refuses("a\n1\r", "line 2: a carriage return without a line feed");
  refuses("a\n1\n\"2\n3\n", "line 3: a quoted field has no closing quote");
  refuses("a\n\xFF\n", "line 2: the row is not valid UTF-8");
  refuses("\xEF\xBB"
          "a\n",
          "line 1: the row is not valid UTF-8");
  refuses("", "line 1: there is no heading: the first row names the columns");
  refuses("\xEF\xBB\xBF\r\n\n", "line 1: there is no heading: the first row names the columns");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_are_objects_named_by_the_heading),
      cmocka_unit_test(quoted_fields_hold_anything),
      cmocka_unit_test(marks_and_empty_lines_are_passed_over),
      cmocka_unit_test(what_is_no_csv_is_refused_with_its_line),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
