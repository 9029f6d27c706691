/* buf: a growing run of bytes. A failed allocation is remembered in `failed` and later calls do nothing, so that a writer
 * checks once at the end. Zero-initialise; es__buf_free() when done. */
#ifndef ES_BASE_BUF_H
#define ES_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esrun.h"

typedef struct es_buf {
  char *data; /* NUL-terminated once anything was added; NULL before */
  size_t length;
  size_t capacity;
  bool failed;
} es_buf;

void es__buf_add(es_buf *buf, const void *bytes, size_t length);
void es__buf_text(es_buf *buf, const char *text); /* NUL-terminated */
void es__buf_format(es_buf *buf, const char *format, ...) ES_PRINTF(2, 3);
char *es__buf_grow(es_buf *buf, size_t length); /* es__buf_reserve, when there is no room yet */

/* Room for `length` more bytes to be written by the caller, who then adds to buf->length; NULL on failure. */
static inline char *es__buf_reserve(es_buf *buf, size_t length) {
  if (buf->failed || length >= buf->capacity - buf->length) return es__buf_grow(buf, length);
  return buf->data + buf->length;
}

static inline void es__buf_byte(es_buf *buf, char byte) {
  char *room = es__buf_reserve(buf, 1);
  if (room == NULL) return;
  room[0] = byte;
  room[1] = '\0';
  buf->length++;
}

void es__buf_clear(es_buf *buf); /* keeps the memory */
void es__buf_free(es_buf *buf);
/* Hands the bytes to the caller (free()), leaving the buffer empty; "" when nothing was added; NULL if it failed. */
char *es__buf_take(es_buf *buf, size_t *length);

/* Small helpers on counted text. */
static inline es_text es__text(const char *text) {
  es_text out = {text, 0};
  if (text != NULL) out.length = __builtin_strlen(text);
  return out;
}
bool es__text_equal(es_text a, es_text b); /* none equals only none */
/* By bytes, the order of keys in canonical JSON: below, at or above 0. Neither may be none. */
int es__text_compare(es_text a, es_text b);
/* A NUL-terminated copy, or NULL for none or when out of memory. free(). */
char *es__text_copy(es_text text);

#endif
