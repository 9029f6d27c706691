/* utf8: strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef ES_BASE_UTF8_H
#define ES_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* The offset of the first byte that is not valid UTF-8, or `length` when all is. */
size_t es__utf8_bad(const char *text, size_t length);

static inline bool es__utf8_valid(const char *text, size_t length) {
  return es__utf8_bad(text, length) == length;
}

#endif
