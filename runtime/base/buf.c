/* buf: a growing run of bytes. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *es__buf_grow(es_buf *buf, size_t length) {
  if (buf->failed) return NULL;
  if (length > SIZE_MAX / 4 - buf->length) {
    buf->failed = true;
    return NULL;
  }
  if (buf->length + length + 1 > buf->capacity) {
    size_t capacity = buf->capacity == 0 ? 64 : buf->capacity;
    while (capacity < buf->length + length + 1)
      capacity *= 2;
    char *data = realloc(buf->data, capacity);
    if (data == NULL) {
      buf->failed = true;
      return NULL;
    }
    buf->data = data;
    buf->capacity = capacity;
  }
  return buf->data + buf->length;
}

void es__buf_add(es_buf *buf, const void *bytes, size_t length) {
  char *room = es__buf_reserve(buf, length);
  if (room == NULL) return;
  if (length > 0) memcpy(room, bytes, length);
  buf->length += length;
  buf->data[buf->length] = '\0';
}

void es__buf_text(es_buf *buf, const char *text) { es__buf_add(buf, text, strlen(text)); }

void es__buf_format(es_buf *buf, const char *format, ...) {
  va_list args, again;
  int wanted;

  va_start(args, format);
  va_copy(again, args);
  wanted = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (wanted < 0) {
    buf->failed = true;
  } else {
    char *room = es__buf_reserve(buf, (size_t)wanted);
    if (room != NULL) {
      vsnprintf(room, (size_t)wanted + 1, format, again);
      buf->length += (size_t)wanted;
    }
  }
  va_end(again);
}

void es__buf_clear(es_buf *buf) {
  buf->length = 0;
  buf->failed = false;
  if (buf->data != NULL) buf->data[0] = '\0';
}

void es__buf_free(es_buf *buf) {
  free(buf->data);
  *buf = (es_buf){0};
}

char *es__buf_take(es_buf *buf, size_t *length) {
  char *data;

  es__buf_add(buf, "", 0);
  if (buf->failed) {
    es__buf_free(buf);
    return NULL;
  }
  data = buf->data;
  if (length != NULL) *length = buf->length;
  *buf = (es_buf){0};
  return data;
}

bool es__text_equal(es_text a, es_text b) {
  if (a.data == NULL || b.data == NULL) return a.data == NULL && b.data == NULL;
  return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

int es__text_compare(es_text a, es_text b) {
  size_t common = a.length < b.length ? a.length : b.length;
  int order = memcmp(a.data, b.data, common);

  if (order != 0) return order;
  return (a.length > b.length) - (a.length < b.length);
}

char *es__text_copy(es_text text) {
  char *copy;

  if (text.data == NULL) return NULL;
  copy = malloc(text.length + 1);
  if (copy == NULL) return NULL;
  memcpy(copy, text.data, text.length);
  copy[text.length] = '\0';
  return copy;
}

void es_free(void *text) { free(text); }
