/* canonical: is a text canonical JSON already? Reads it once and writes what the writer would, without a tree. */
#include <string.h>

#include "base/error.h"
#include "json/value.h"
#include "json/writer.h"

/* The names of the objects that are open, the last one of each, one behind the other. */
typedef struct names {
  es_buf text;
  size_t starts[ES_JSON_MAX_DEPTH];
  bool any[ES_JSON_MAX_DEPTH]; /* was there a name, or an element, at this depth? */
  int depth;
} names;

static bool rises(names *open, es_text name) {
  size_t start = open->starts[open->depth - 1], length = open->text.length - start;
  bool first = !open->any[open->depth - 1];
  size_t common = length < name.length ? length : name.length;
  int order = first || common == 0 ? 0 : memcmp(open->text.data + start, name.data, common);

  if (!first && (order > 0 || (order == 0 && length >= name.length))) return false;
  open->text.length = start;
  es__buf_add(&open->text, name.data, name.length);
  return true;
}

static void write_scalar(es_buf *out, const es_json_token *token) {
  switch (token->kind) {
  case ES_JSON_INTEGER:
    es__json_write_integer(out, token->integer);
    break;
  case ES_JSON_DOUBLE:
    es__json_write_double(out, token->number);
    break;
  case ES_JSON_STRING:
    es__json_write_string(out, token->text.data, token->text.length);
    break;
  default:
    es__buf_text(out, token->kind == ES_JSON_NULL   ? "null"
                      : token->kind == ES_JSON_TRUE ? "true"
                                                    : "false");
  }
}

/* Writes one token; false when a name does not come behind the one before. */
static bool write_token(es_buf *out, names *open, const es_json_token *token, bool behind_name) {
  bool ends = token->kind == ES_JSON_ARRAY_END || token->kind == ES_JSON_OBJECT_END;
  bool is_name = token->kind == ES_JSON_KEY;

  if (ends) {
    open->depth--;
    open->text.length = open->starts[open->depth];
    es__buf_byte(out, token->kind == ES_JSON_ARRAY_END ? ']' : '}');
    return true;
  }
  if (open->depth > 0 && !behind_name) {
    if (open->any[open->depth - 1]) es__buf_byte(out, ',');
    if (is_name && !rises(open, token->text)) return false;
    open->any[open->depth - 1] = true;
  }
  if (is_name) {
    es__json_write_string(out, token->text.data, token->text.length);
    es__buf_byte(out, ':');
  } else if (token->kind == ES_JSON_ARRAY_BEGIN || token->kind == ES_JSON_OBJECT_BEGIN) {
    es__buf_byte(out, token->kind == ES_JSON_ARRAY_BEGIN ? '[' : '{');
    open->starts[open->depth] = open->text.length;
    open->any[open->depth++] = false;
  } else {
    write_scalar(out, token);
  }
  return true;
}

es_status es__json_check_canonical(bool *canonical, es_buf *scratch, const char *text,
                                   size_t length, es_error *err) {
  names open = {0};
  es_json_reader reader;
  es_json_token token;
  bool behind_name = false, rising = true;
  es_status status;

  *canonical = false;
  es__buf_clear(scratch);
  es__json_reader_init(&reader, text, length, 0);
  while ((status = es__json_next(&reader, &token, err)) == ES_OK && token.kind != ES_JSON_END) {
    if (rising) rising = write_token(scratch, &open, &token, behind_name);
    behind_name = token.kind == ES_JSON_KEY;
  }
  es__json_reader_free(&reader);
  if (status == ES_OK && (scratch->failed || open.text.failed)) status = es__no_memory(err);
  es__buf_free(&open.text);
  if (status == ES_OK)
    *canonical = rising && scratch->length == length && memcmp(scratch->data, text, length) == 0;
  return status;
}
