/* JSON on random input: a million values keep every bit, and jansson, an independent reader, agrees on what is JSON and what
 * it says. Each run prints its seed; ES_TEST_SEED=N repeats it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "base/error.h"
#include "random_json.h"
#include "json/value.h"
#include "json/writer.h"

static void assert_token(es_json_token *token, const es_buf *text) {
  es_json_reader reader;
  es_json_token end;
  es_error err = ES_ERROR_INIT;

  es__json_reader_init(&reader, text->data, text->length, 0);
  if (es__json_next(&reader, token, &err) != ES_OK)
    fail_msg("%s was refused: %s", text->data, err.message);
  if (token->text.data == reader.own_scratch.data) { /* keep it alive */
    static char kept[4096];
    assert_true(token->text.length <= sizeof kept);
    if (token->text.length > 0) memcpy(kept, token->text.data, token->text.length);
    token->text.data = kept;
  }
  assert_int_equal(es__json_next(&reader, &end, &err), ES_OK);
  assert_int_equal(end.kind, ES_JSON_END);
  es__json_reader_free(&reader);
}

/* ---- one value at a time ---- */

static void doubles_keep_every_bit(void **state) {
  es_buf text = {0};
  es_json_token token;

  (void)state;
  for (int i = 0; i < 400000; i++) {
    double value = random_double();
    es__buf_clear(&text);
    assert_true(es__json_write_double(&text, value));
    assert_token(&token, &text);
    if (token.kind != ES_JSON_DOUBLE || memcmp(&token.number, &value, sizeof value) != 0)
      fail_msg("%a became %s, read as %a", value, text.data, token.number);
  }
  es__buf_free(&text);
}

/* The reader's own way for simple decimals and the C library's strtod() agree on random decimal text. */
static void decimals_read_as_the_c_library_reads_them(void **state) {
  es_json_token token;

  (void)state;
  for (int i = 0; i < 100000; i++) {
    char text[64];
    int length =
        snprintf(text, sizeof text, "%s%llu.%0*lluE%d", below(2) ? "-" : "",
                 (unsigned long long)(next_random() >> (1 + below(63))), 1 + (int)below(12),
                 (unsigned long long)below(1000000000), (int)below(60) - 30);
    double expected = strtod(text, NULL);
    assert_token(&token, &(es_buf){.data = text, .length = (size_t)length});
    if (memcmp(&token.number, &expected, sizeof expected) != 0)
      fail_msg("%s was read as %a, not %a", text, token.number, expected);
  }
}

static void integers_stay_integers(void **state) {
  es_buf text = {0};
  es_json_token token;

  (void)state;
  for (int i = 0; i < 200000; i++) {
    int64_t value = (int64_t)(next_random() >> below(64));
    if (below(2)) value = (int64_t)(0 - (uint64_t)value);
    es__buf_clear(&text);
    es__json_write_integer(&text, value);
    assert_token(&token, &text);
    assert_true(token.kind == ES_JSON_INTEGER && token.integer == value);
  }
  es__buf_free(&text);
}

static void strings_of_all_planes_come_back(void **state) {
  es_buf bytes = {0}, text = {0};
  es_json_token token;

  (void)state;
  for (int i = 0; i < 200000; i++) {
    es__buf_clear(&bytes);
    es__buf_clear(&text);
    for (size_t n = below(24); n > 0; n--)
      add_utf8(&bytes, random_character());
    es__buf_add(&bytes, "", 0);
    es__json_write_string(&text, bytes.data, bytes.length);
    assert_token(&token, &text);
    assert_int_equal(token.kind, ES_JSON_STRING);
    assert_int_equal(token.text.length, bytes.length);
    assert_memory_equal(token.text.data, bytes.data, bytes.length);
  }
  es__buf_free(&bytes);
  es__buf_free(&text);
}

/* ---- nested values ---- */

static void canonical_form_is_one_for_each_value(void **state) {
  es_buf out = {0};
  es_error err = ES_ERROR_INIT;

  (void)state;
  for (int i = 0; i < 100000; i++) {
    struct twins twins = {{0}, {0}};
    add_value(&twins, 0);
    es__buf_clear(&out);
    if (es__json_canonical(&out, twins.loose.data, twins.loose.length, &err) != ES_OK)
      fail_msg("%s: %s", twins.loose.data, err.message);
    assert_string_equal(out.data, twins.canonical.data);
    es__buf_clear(&out);
    assert_int_equal(es__json_canonical(&out, twins.canonical.data, twins.canonical.length, &err),
                     ES_OK);
    assert_string_equal(out.data, twins.canonical.data);
    es__buf_free(&twins.canonical);
    es__buf_free(&twins.loose);
  }
  es__buf_free(&out);
}

/* ---- jansson ---- */

static bool same(const es_json_value *ours, const json_t *theirs) {
  const json_t *member;

  switch (ours->kind) {
  case ES_JSON_NULL:
    return json_is_null(theirs);
  case ES_JSON_TRUE:
    return json_is_true(theirs);
  case ES_JSON_FALSE:
    return json_is_false(theirs);
  case ES_JSON_INTEGER:
    return json_is_integer(theirs) && json_integer_value(theirs) == ours->integer;
  case ES_JSON_DOUBLE: {
    double number = json_real_value(theirs);
    return json_is_real(theirs) && memcmp(&number, &ours->number, sizeof number) == 0;
  }
  case ES_JSON_STRING:
    return json_is_string(theirs) && json_string_length(theirs) == ours->text.length &&
           memcmp(json_string_value(theirs), ours->text.data, ours->text.length) == 0;
  case ES_JSON_ARRAY_BEGIN:
    if (!json_is_array(theirs) || json_array_size(theirs) != ours->count) return false;
    for (size_t i = 0; i < ours->count; i++) {
      if (!same(&ours->items[i], json_array_get(theirs, i))) return false;
    }
    return true;
  default:
    if (!json_is_object(theirs) || json_object_size(theirs) != ours->count) return false;
    for (size_t i = 0; i < ours->count; i++) {
      member = json_object_get(theirs, ours->keys[i].data);
      if (member == NULL || !same(&ours->items[i], member)) return false;
    }
    return true;
  }
}

/* Known differences, each on purpose or a limit of jansson's:
 *  - jansson refuses U+0000 in names (its strings end there); we keep it. The generator makes none in strings, and a
 *    mutated text that holds \u0000 is not compared;
 *  - jansson nests to 2048 levels, we to 128: generated texts stay far below. */
static void assert_agreement(const char *text, size_t length) {
  es_json_document *document = NULL;
  es_error err = ES_ERROR_INIT;
  json_error_t their_error;
  bool accepted = es__json_parse(&document, text, length, &err) == ES_OK;
  json_t *theirs = json_loadb(
      text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &their_error);

  if (accepted != (theirs != NULL))
    fail_msg("%.*s: we say %s, jansson says %s", (int)length, text, accepted ? "yes" : err.message,
             theirs != NULL ? "yes" : their_error.text);
  if (accepted && !same(es__json_root(document), theirs))
    fail_msg("%.*s: jansson reads another value", (int)length, text);
  json_decref(theirs);
  es__json_document_free(document);
}

/* Changes, removes, repeats or swaps some bytes. */
static void mutate(es_buf *text) {
  static const char bytes[] =
      "{}[]\",:\\ue+-.0123456789 tfnabrs\n\t\x1F\x7F\x80\xBF\xC3\xE2\xED\xF4\xFF";

  for (size_t n = 1 + below(3); n > 0 && text->length > 0; n--) {
    size_t at = below(text->length);
    switch (below(4)) {
    case 0:
      text->data[at] = bytes[below(sizeof bytes - 1)];
      break;
    case 1:
      memmove(text->data + at, text->data + at + 1, text->length - at);
      text->length--;
      break;
    case 2:
      es__buf_byte(text, ' ');
      memmove(text->data + at + 1, text->data + at, text->length - at - 1);
      text->data[at] = bytes[below(sizeof bytes - 1)];
      break;
    default:
      text->data[at] = text->data[below(text->length)];
      break;
    }
  }
}

static void jansson_agrees_on_good_and_mutated_texts(void **state) {
  (void)state;
  for (int i = 0; i < 100000; i++) {
    struct twins twins = {{0}, {0}};
    add_value(&twins, 1);
    if (i % 10 == 0) assert_agreement(twins.loose.data, twins.loose.length);
    mutate(&twins.loose);
    if (strstr(twins.loose.data, "\\u0000") == NULL)
      assert_agreement(twins.loose.data, twins.loose.length);
    es__buf_free(&twins.canonical);
    es__buf_free(&twins.loose);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(doubles_keep_every_bit),
      cmocka_unit_test(decimals_read_as_the_c_library_reads_them),
      cmocka_unit_test(integers_stay_integers),
      cmocka_unit_test(strings_of_all_planes_come_back),
      cmocka_unit_test(canonical_form_is_one_for_each_value),
      cmocka_unit_test(jansson_agrees_on_good_and_mutated_texts),
  };
  start_random();
  json_object_seed(1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
