/* checkpoint: the text of a signed tree head, and whether one continues another. Knows no keys and no store. */
#include "ledger/checkpoint.h"

#include <string.h>

#include "base/base64.h"
#include "base/error.h"

bool es__size_parse(int64_t *out, const char *text, size_t length) {
  int64_t value = 0;

  if (length == 0 || length > 19 || (length > 1 && text[0] == '0')) return false;
  for (size_t i = 0; i < length; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
    int digit = text[i] - '0';
    if (value > (INT64_MAX - digit) / 10) return false;
    value = value * 10 + digit;
  }
  *out = value;
  return true;
}

bool es__hash_parse(es_hash *out, const char *text, size_t length) {
  size_t decoded;
  return es__base64_parse(out->bytes, ES_HASH_SIZE, &decoded, text, length) &&
         decoded == ES_HASH_SIZE;
}

static es_status malformed(es_error *err, const char *why) {
  return es__fail(err, ES_ERR_INTEGRITY, "malformed_checkpoint", "this is no checkpoint: %s", why);
}

/* Takes the next line, without its newline; none (data NULL) when there is no whole one. */
static es_text next_line(es_text *rest) {
  const char *end = rest->length == 0 ? NULL : memchr(rest->data, '\n', rest->length);
  es_text line = {NULL, 0};

  if (end == NULL) return line;
  line = (es_text){rest->data, (size_t)(end - rest->data)};
  rest->data += line.length + 1;
  rest->length -= line.length + 1;
  return line;
}

es_status es__checkpoint_parse(es_tree_head *out, es_text text, es_error *err) {
  es_text rest = text, line;

  memset(out, 0, sizeof *out);
  if (text.length > ES_CHECKPOINT_TEXT_MAX) return malformed(err, "it is longer than 16 KiB");
  out->origin = next_line(&rest);
  if (out->origin.length == 0 || out->origin.length > ES_ORIGIN_MAX)
    return malformed(err, "its first line is not an origin of 1 to 255 bytes");
  line = next_line(&rest);
  if (line.data == NULL || !es__size_parse(&out->size, line.data, line.length))
    return malformed(err, "its second line is not a tree size");
  line = next_line(&rest);
  if (line.data == NULL || !es__hash_parse(&out->root, line.data, line.length))
    return malformed(err, "its third line is not a root hash in base64");
  out->extensions = rest;
  while (rest.length > 0) {
    line = next_line(&rest);
    if (line.length == 0) return malformed(err, "an extension line is empty or cut off");
  }
  return ES_OK;
}

void es__checkpoint_print(es_buf *out, const es_tree_head *checkpoint) {
  es__buf_add(out, checkpoint->origin.data, checkpoint->origin.length);
  es__buf_format(out, "\n%lld\n", (long long)checkpoint->size);
  es__base64_add(out, checkpoint->root.bytes, ES_HASH_SIZE);
  es__buf_byte(out, '\n');
  es__buf_add(out, checkpoint->extensions.data, checkpoint->extensions.length);
}

es_status es__checkpoint_continues(const es_tree_head *older, const es_tree_head *newer,
                                   const es_path *path, es_chain *chain, es_error *err) {
  es_status status;

  if (!es__text_equal(older->origin, newer->origin)) {
    return es__fail(err, ES_ERR_INTEGRITY, "foreign",
                    "the checkpoint is of %.*s, the older one of %.*s: two different stores",
                    (int)newer->origin.length, newer->origin.data, (int)older->origin.length,
                    older->origin.data);
  }
  if (newer->size < older->size) {
    return es__fail(err, ES_ERR_INTEGRITY, "rollback",
                    "the tree was rolled back: it had %lld events and has %lld",
                    (long long)older->size, (long long)newer->size);
  }
  status =
      es__consistency_check(path, older->size, &older->root, newer->size, &newer->root, chain, err);
  if (status != ES_ERR_INTEGRITY) return status;
  return es__fail(err, ES_ERR_INTEGRITY, "fork",
                  "the tree was forked: its first %lld events are not those signed before",
                  (long long)older->size);
}
