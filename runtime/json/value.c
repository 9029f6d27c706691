/* json value: a parsed text as a tree in one arena, built and written without recursion. */
#include "json/value.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "json/writer.h"

/* ---- the arena ---- */

enum { BLOCK_BYTES = 4096 };

struct block {
  struct block *next;
  size_t used, size;
  max_align_t bytes[];
};

struct es_json_document {
  struct block *blocks;
  es_json_value root;
};

/* `size` bytes aligned for anything, or NULL when out of memory. */
static void *arena_take(es_json_document *document, size_t size) {
  struct block *block = document->blocks;
  size_t rounded = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
  void *out;

  if (block == NULL || block->size - block->used < rounded) {
    size_t room = rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES;
    block = malloc(sizeof *block + room);
    if (block == NULL) return NULL;
    *block = (struct block){document->blocks, 0, room};
    document->blocks = block;
  }
  out = (char *)block->bytes + block->used;
  block->used += rounded;
  return out;
}

void es__json_document_free(es_json_document *document) {
  if (document == NULL) return;
  while (document->blocks != NULL) {
    struct block *next = document->blocks->next;
    free(document->blocks);
    document->blocks = next;
  }
  free(document);
}

const es_json_value *es__json_root(const es_json_document *document) { return &document->root; }

/* ---- parsing ---- */

/* A finished value that waits for the end of its container. */
struct pending {
  es_json_value value;
  es_text key;
  size_t key_offset; /* in the text, for messages */
};

struct parser {
  es_json_reader reader;
  es_json_document *document;
  struct pending *pending;
  size_t count, capacity;
  size_t starts[ES_JSON_MAX_DEPTH]; /* where each open container's values start in `pending` */
  es_text key;                      /* of the member whose value comes next */
  size_t key_offset;
  struct {
    es_text key;
    size_t key_offset;
  } outer[ES_JSON_MAX_DEPTH]; /* the key under which each open container will stand */
};

static es_status copy_text(es_text *out, struct parser *parser, es_text text, es_error *err) {
  char *copy = arena_take(parser->document, text.length + 1);

  if (copy == NULL) return es__no_memory(err);
  memcpy(copy, text.data, text.length);
  copy[text.length] = '\0';
  *out = (es_text){copy, text.length};
  return ES_OK;
}

static es_status add_pending(struct parser *parser, const es_json_value *value, es_error *err) {
  if (parser->count == parser->capacity) {
    size_t capacity = parser->capacity == 0 ? 16 : parser->capacity * 2;
    struct pending *grown = realloc(parser->pending, capacity * sizeof *grown);
    if (grown == NULL) return es__no_memory(err);
    parser->pending = grown;
    parser->capacity = capacity;
  }
  parser->pending[parser->count++] = (struct pending){*value, parser->key, parser->key_offset};
  return ES_OK;
}

/* By key; members of one name in the order of the text, so that the message names the later one. */
static int compare_pending(const void *left, const void *right) {
  const struct pending *a = left, *b = right;
  int order = es__text_compare(a->key, b->key);

  if (order != 0) return order;
  return (a->key_offset > b->key_offset) - (a->key_offset < b->key_offset);
}

static es_status sort_members(struct parser *parser, size_t start, es_error *err) {
  size_t count = parser->count - start;
  struct pending *members;

  if (count < 2) return ES_OK; /* nothing may be pending at all */
  members = parser->pending + start;
  qsort(members, count, sizeof *members, compare_pending);
  for (size_t i = 1; i < count; i++) {
    if (es__text_compare(members[i - 1].key, members[i].key) == 0)
      return es__json_fail(&parser->reader, members[i].key_offset, "json_duplicate_key", err,
                           "this name was given before in the same object");
  }
  return ES_OK;
}

/* Moves a closed container's values from `pending` into the arena. */
static es_status close_container(es_json_value *out, struct parser *parser, bool is_object,
                                 es_error *err) {
  size_t start = parser->starts[parser->reader.depth];
  size_t count = parser->count - start;
  es_json_value *items = NULL;
  es_text *keys = NULL;
  es_status status;

  if (is_object) {
    status = sort_members(parser, start, err);
    if (status != ES_OK) return status;
    keys = arena_take(parser->document, count * sizeof *keys + 1);
    if (keys == NULL) return es__no_memory(err);
  }
  items = arena_take(parser->document, count * sizeof *items + 1);
  if (items == NULL) return es__no_memory(err);
  for (size_t i = 0; i < count; i++) {
    items[i] = parser->pending[start + i].value;
    if (is_object) keys[i] = parser->pending[start + i].key;
  }
  parser->count = start;
  *out = (es_json_value){.kind = is_object ? ES_JSON_OBJECT_BEGIN : ES_JSON_ARRAY_BEGIN,
                         .count = count,
                         .items = items,
                         .keys = keys};
  parser->key = parser->outer[parser->reader.depth].key;
  parser->key_offset = parser->outer[parser->reader.depth].key_offset;
  return ES_OK;
}

static es_status take_token(struct parser *parser, const es_json_token *token, es_error *err) {
  es_json_value value = {.kind = token->kind};
  es_status status = ES_OK;
  int depth = parser->reader.depth;

  switch (token->kind) {
  case ES_JSON_ARRAY_BEGIN:
  case ES_JSON_OBJECT_BEGIN:
    parser->starts[depth - 1] = parser->count;
    parser->outer[depth - 1].key = parser->key;
    parser->outer[depth - 1].key_offset = parser->key_offset;
    return ES_OK;
  case ES_JSON_KEY:
    parser->key_offset = token->offset;
    return copy_text(&parser->key, parser, token->text, err);
  case ES_JSON_ARRAY_END:
  case ES_JSON_OBJECT_END:
    status = close_container(&value, parser, token->kind == ES_JSON_OBJECT_END, err);
    break;
  case ES_JSON_STRING:
    status = copy_text(&value.text, parser, token->text, err);
    break;
  case ES_JSON_INTEGER:
    value.integer = token->integer;
    break;
  case ES_JSON_DOUBLE:
    value.number = token->number;
    break;
  default:
    break;
  }
  if (status != ES_OK) return status;
  return add_pending(parser, &value, err);
}

es_status es__json_parse(es_json_document **out, const char *text, size_t length, es_error *err) {
  struct parser parser;
  es_json_token token;
  es_status status;

  *out = NULL;
  es__json_reader_init(&parser.reader, text, length, 0);
  parser.pending = NULL;
  parser.count = parser.capacity = 0;
  parser.key = (es_text){NULL, 0};
  parser.key_offset = 0;
  parser.document = calloc(1, sizeof *parser.document);
  if (parser.document == NULL) {
    status = es__no_memory(err);
    goto done;
  }
  for (;;) {
    status = es__json_next(&parser.reader, &token, err);
    if (status != ES_OK) goto done;
    if (token.kind == ES_JSON_END) break;
    status = take_token(&parser, &token, err);
    if (status != ES_OK) goto done;
  }
  parser.document->root = parser.pending[0].value;
  *out = parser.document;
  parser.document = NULL;
done:
  free(parser.pending);
  es__json_document_free(parser.document);
  es__json_reader_free(&parser.reader);
  return status;
}

const es_json_value *es__json_member(const es_json_value *object, const char *key) {
  es_text wanted = es__text(key);
  size_t low = 0, high;

  if (object == NULL || object->kind != ES_JSON_OBJECT_BEGIN) return NULL;
  for (high = object->count; low < high;) {
    size_t middle = low + (high - low) / 2;
    int order = es__text_compare(wanted, object->keys[middle]);
    if (order == 0) return &object->items[middle];
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

/* ---- writing ---- */

static void write_scalar(es_buf *out, const es_json_value *value) {
  switch (value->kind) {
  case ES_JSON_FALSE:
    es__buf_add(out, "false", 5);
    break;
  case ES_JSON_TRUE:
    es__buf_add(out, "true", 4);
    break;
  case ES_JSON_INTEGER:
    es__json_write_integer(out, value->integer);
    break;
  case ES_JSON_DOUBLE:
    es__json_write_double(out, value->number);
    break;
  case ES_JSON_STRING:
    es__json_write_string(out, value->text.data, value->text.length);
    break;
  default:
    es__buf_add(out, "null", 4);
    break;
  }
}

void es__json_write_value(es_buf *out, const es_json_value *value) {
  struct {
    const es_json_value *container;
    size_t next;
  } open[ES_JSON_MAX_DEPTH];
  int depth = 0;

  for (;;) {
    if (value->kind == ES_JSON_ARRAY_BEGIN || value->kind == ES_JSON_OBJECT_BEGIN) {
      es__buf_byte(out, value->kind == ES_JSON_OBJECT_BEGIN ? '{' : '[');
      open[depth].container = value;
      open[depth++].next = 0;
    } else {
      write_scalar(out, value);
    }
    while (depth > 0 && open[depth - 1].next == open[depth - 1].container->count) {
      depth--;
      es__buf_byte(out, open[depth].container->kind == ES_JSON_OBJECT_BEGIN ? '}' : ']');
    }
    if (depth == 0) return;
    const es_json_value *container = open[depth - 1].container;
    size_t at = open[depth - 1].next++;
    if (at > 0) es__buf_byte(out, ',');
    if (container->keys != NULL) {
      es__json_write_string(out, container->keys[at].data, container->keys[at].length);
      es__buf_byte(out, ':');
    }
    value = &container->items[at];
  }
}

es_status es__json_canonical(es_buf *out, const char *text, size_t length, es_error *err) {
  es_json_document *document = NULL;
  es_status status = es__json_parse(&document, text, length, err);

  if (status != ES_OK) return status;
  es__json_write_value(out, es__json_root(document));
  es__json_document_free(document);
  return out->failed ? es__no_memory(err) : ES_OK;
}
