/* json reader: a strict pull parser without recursion. Knows bytes only. */
#include "json/reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "json/locate.h"
#include "json/number.h"
#include "json/string.h"

/* What may come next. */
enum {
  WANT_VALUE,         /* at the start, after a name, after an array's comma */
  WANT_FIRST_ELEMENT, /* after '[': a value or ']' */
  WANT_FIRST_NAME,    /* after '{': a name or '}' */
  WANT_NAME,          /* after an object's comma */
  WANT_SEPARATOR,     /* after a value: a comma or the end of what holds it */
  FAILED
};

void es__json_reader_init(es_json_reader *reader, const char *text, size_t length, int max_depth) {
  reader->text = text;
  reader->length = length;
  reader->at = 0;
  reader->max_depth =
      max_depth <= 0 || max_depth > ES_JSON_MAX_DEPTH ? ES_JSON_MAX_DEPTH : max_depth;
  reader->max_bytes = ES_JSON_MAX_BYTES;
  reader->depth = 0;
  reader->state = WANT_VALUE;
  reader->own_scratch = (es_buf){0};
  reader->scratch = &reader->own_scratch;
}

void es__json_reader_init_own(es_json_reader *reader, const char *text, size_t length) {
  es__json_reader_init(reader, text, length, 0);
  reader->max_depth = ES_JSON_OWN_DEPTH;
  reader->max_bytes = SIZE_MAX;
}

void es__json_reader_free(es_json_reader *reader) { es__buf_free(&reader->own_scratch); }

/* ---- errors ---- */

static es_status report(const es_json_reader *reader, size_t offset, bool is_token,
                        const char *code, const char *reason, es_error *err) {
  es_json_place place;

  if (err == NULL)
    return ES_ERR_USAGE; /* also keeps es__json_locate(), which reads, from locating */
  es__json_locate(&place, reader->text, reader->length, offset, is_token);
  return es__fail(err, ES_ERR_USAGE, code, "line %zu, column %zu, at %s: %s", place.line,
                  place.column, place.path, reason);
}

es_status es__json_fail(const es_json_reader *reader, size_t offset, const char *code,
                        es_error *err, const char *format, ...) {
  char reason[ES_ERROR_MESSAGE_MAX];
  va_list args;

  va_start(args, format);
  vsnprintf(reason, sizeof reason, format, args);
  va_end(args);
  return report(reader, offset, true, code, reason, err);
}

static es_status fail_again(const es_json_reader *reader, es_error *err) {
  if (strcmp(reader->failed_code, "no_memory") == 0) return es__no_memory(err);
  return report(reader, reader->failed_at, false, reader->failed_code, reader->failed_reason, err);
}

static es_status refuse_as(es_json_reader *reader, size_t offset, const char *code,
                           const char *reason, es_error *err) {
  /* What was wanted stays known to es__json_reader_wants_value() in the bits above FAILED. */
  reader->state = (uint8_t)(FAILED | reader->state << 4);
  reader->failed_at = offset;
  reader->failed_code = code;
  reader->failed_reason = reason;
  return fail_again(reader, err);
}

static es_status refuse(es_json_reader *reader, size_t offset, const char *reason, es_error *err) {
  return refuse_as(reader, offset, "malformed_json", reason, err);
}

bool es__json_reader_wants_value(const es_json_reader *reader) {
  int wanted = (reader->state & 15) == FAILED ? reader->state >> 4 : reader->state;
  return wanted == WANT_VALUE || wanted == WANT_FIRST_ELEMENT;
}

/* ---- tokens ---- */

static inline size_t skip_space(const es_json_reader *reader, size_t at) {
  while (at < reader->length) {
    char c = reader->text[at];
    if (c != ' ' && c != '\n' && c != '\t' && c != '\r') break;
    at++;
  }
  return at;
}

static bool top_is_object(const es_json_reader *reader) {
  unsigned top = (unsigned)reader->depth - 1;
  return (reader->in_object[top / 64] >> top % 64 & 1) != 0;
}

static es_status open_container(es_json_reader *reader, es_json_token *token, bool is_object,
                                es_error *err) {
  unsigned top = (unsigned)reader->depth;
  uint64_t bit = UINT64_C(1) << top % 64;

  if (reader->depth >= reader->max_depth)
    return refuse_as(reader, reader->at, "json_too_deep",
                     reader->max_depth == ES_JSON_MAX_DEPTH ? "nested deeper than 128 levels"
                                                            : "nested too deep",
                     err);
  if (is_object)
    reader->in_object[top / 64] |= bit;
  else
    reader->in_object[top / 64] &= ~bit;
  reader->depth++;
  reader->at++;
  reader->state = is_object ? WANT_FIRST_NAME : WANT_FIRST_ELEMENT;
  token->kind = is_object ? ES_JSON_OBJECT_BEGIN : ES_JSON_ARRAY_BEGIN;
  return ES_OK;
}

static es_status close_container(es_json_reader *reader, es_json_token *token) {
  token->kind = top_is_object(reader) ? ES_JSON_OBJECT_END : ES_JSON_ARRAY_END;
  reader->depth--;
  reader->at++;
  reader->state = WANT_SEPARATOR;
  return ES_OK;
}

static es_status read_string(es_json_reader *reader, es_json_token *token, es_error *err) {
  es_json_string string;
  const char *wrong;
  bool high;
  size_t end = es__json_plain_end(&high, reader->text, reader->length, reader->at + 1);

  if (!high && end < reader->length && reader->text[end] == '"') { /* nearly every string */
    token->text.data = reader->text + reader->at + 1;
    token->text.length = end - reader->at - 1;
    reader->at = end + 1;
    return ES_OK;
  }
  wrong = es__json_scan_string(&string, reader->scratch, reader->text, reader->length, reader->at);
  if (wrong != NULL) return refuse_as(reader, string.end, string.code, wrong, err);
  token->text = string.text;
  reader->at = string.end;
  return ES_OK;
}

static es_status read_number(es_json_reader *reader, es_json_token *token, es_error *err) {
  es_json_number number;
  const char *wrong;

  wrong = es__json_scan_number(&number, reader->text + reader->at, reader->length - reader->at);
  if (wrong != NULL)
    return refuse_as(reader, reader->at,
                     number.out_of_range ? "json_number_range" : "malformed_json", wrong, err);
  token->kind = number.is_integer ? ES_JSON_INTEGER : ES_JSON_DOUBLE;
  if (number.is_integer)
    token->integer = number.integer;
  else
    token->number = number.number;
  reader->at += number.length;
  return ES_OK;
}

static const char *why_no_value(const es_json_reader *reader) {
  switch (reader->text[reader->at]) {
  case ']':
  case '}':
  case ',':
    return "a value is missing here";
  case '\'':
    return "strings take double quotes";
  case '/':
    return "JSON has no comments";
  case 'N':
  case 'I':
    return "JSON has neither NaN nor Infinity";
  case '+':
  case '.':
    return "a number starts with a digit or a minus sign";
  case '\xEF':
    return "no value starts like this (is it a byte order mark?)";
  default:
    return "no value starts like this";
  }
}

static es_status read_word(es_json_reader *reader, es_json_token *token, const char *word,
                           es_json_kind kind, es_error *err) {
  size_t length = strlen(word);

  if (reader->length - reader->at < length || memcmp(reader->text + reader->at, word, length) != 0)
    return refuse(reader, reader->at, "no value starts like this", err);
  reader->at += length;
  token->kind = kind;
  return ES_OK;
}

static es_status read_value(es_json_reader *reader, es_json_token *token, es_error *err) {
  es_status status;

  switch (reader->text[reader->at]) {
  case '{':
    return open_container(reader, token, true, err);
  case '[':
    return open_container(reader, token, false, err);
  case '"':
    token->kind = ES_JSON_STRING;
    status = read_string(reader, token, err);
    break;
  case 'n':
    status = read_word(reader, token, "null", ES_JSON_NULL, err);
    break;
  case 't':
    status = read_word(reader, token, "true", ES_JSON_TRUE, err);
    break;
  case 'f':
    status = read_word(reader, token, "false", ES_JSON_FALSE, err);
    break;
  case '-':
  case '0':
  case '1':
  case '2':
  case '3':
  case '4':
  case '5':
  case '6':
  case '7':
  case '8':
  case '9':
    status = read_number(reader, token, err);
    break;
  default:
    return refuse(reader, reader->at, why_no_value(reader), err);
  }
  if (status == ES_OK) reader->state = WANT_SEPARATOR;
  return status;
}

/* A member's name with the colon after it. */
static es_status read_name(es_json_reader *reader, es_json_token *token, es_error *err) {
  es_status status;

  if (reader->text[reader->at] != '"')
    return refuse(reader, reader->at, "a name in double quotes must come here", err);
  token->kind = ES_JSON_KEY;
  status = read_string(reader, token, err);
  if (status != ES_OK) return status;
  reader->at = skip_space(reader, reader->at);
  if (reader->at >= reader->length || reader->text[reader->at] != ':')
    return refuse(reader, reader->at, "a colon must follow the name", err);
  reader->at++;
  reader->state = WANT_VALUE;
  return ES_OK;
}

/* After a value: leaves the reader behind the comma, if it is one. */
static es_status read_separator(es_json_reader *reader, es_error *err) {
  bool is_object = top_is_object(reader);

  if (reader->text[reader->at] != ',')
    return refuse(reader, reader->at,
                  is_object ? "a comma or '}' must come here" : "a comma or ']' must come here",
                  err);
  reader->state = is_object ? WANT_NAME : WANT_VALUE;
  reader->at = skip_space(reader, reader->at + 1);
  return ES_OK;
}

es_status es__json_next(es_json_reader *reader, es_json_token *token, es_error *err) {
  es_status status;

  if ((reader->state & 15) == FAILED) return fail_again(reader, err);
  if (reader->length > reader->max_bytes)
    return refuse_as(reader, 0, "json_too_large", "the text is longer than 16 MiB", err);
  reader->at = skip_space(reader, reader->at);

  if (reader->state == WANT_SEPARATOR) {
    if (reader->depth == 0) {
      if (reader->at < reader->length)
        return refuse(reader, reader->at, "the value ends before this", err);
      token->kind = ES_JSON_END;
      token->offset = reader->at;
      return ES_OK;
    }
    if (reader->at < reader->length &&
        reader->text[reader->at] != (top_is_object(reader) ? '}' : ']')) {
      status = read_separator(reader, err);
      if (status != ES_OK) return status;
    }
  }
  if (reader->at >= reader->length)
    return refuse(reader, reader->at, "the text ends too early", err);

  token->offset = reader->at;
  switch (reader->state) {
  case WANT_SEPARATOR:
    return close_container(reader, token);
  case WANT_FIRST_NAME:
    if (reader->text[reader->at] == '}') return close_container(reader, token);
    return read_name(reader, token, err);
  case WANT_NAME:
    return read_name(reader, token, err);
  case WANT_FIRST_ELEMENT:
    if (reader->text[reader->at] == ']') return close_container(reader, token);
    return read_value(reader, token, err);
  default:
    return read_value(reader, token, err);
  }
}
