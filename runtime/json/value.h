/* json value: a parsed JSON text in one arena, for the few places in C that look inside JSON: context metadata,
 * parameters, project configuration. Object members are sorted by key bytes; duplicates are refused when parsing. */
#ifndef ES_JSON_VALUE_H
#define ES_JSON_VALUE_H

#include "json/reader.h"

typedef struct es_json_value es_json_value;
typedef struct es_json_document es_json_document;

struct es_json_value {
  es_json_kind
      kind; /* NULL, FALSE, TRUE, INTEGER, DOUBLE, STRING, ARRAY_BEGIN (an array), OBJECT_BEGIN (an object) */
  int64_t integer;
  double number;
  es_text text;               /* of a string */
  size_t count;               /* elements or members */
  const es_json_value *items; /* elements, or members' values in key order */
  const es_text *keys;        /* of an object, sorted by bytes; NULL for an array */
};

/* Parses one value. The document owns everything; es__json_document_free(NULL) is fine. */
es_status es__json_parse(es_json_document **out, const char *text, size_t length, es_error *err);
const es_json_value *es__json_root(const es_json_document *document);
void es__json_document_free(es_json_document *document);

/* A member by name, or NULL. */
const es_json_value *es__json_member(const es_json_value *object, const char *key);

/* Appends the value in canonical form. */
void es__json_write_value(es_buf *out, const es_json_value *value);

/* Is the text canonical already? In one pass, without a tree; `scratch` is working memory. A text that is no JSON is an error,
 * but a name that comes twice only makes *canonical false. */
es_status es__json_check_canonical(bool *canonical, es_buf *scratch, const char *text,
                                   size_t length, es_error *err);

/* Rewrites any JSON text in canonical form. */
es_status es__json_canonical(es_buf *out, const char *text, size_t length, es_error *err);

#endif
