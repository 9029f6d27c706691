/* base64: RFC 4648 section 4, strictly: padded, nothing but the alphabet, unused bits zero, so that no two texts stand for
 * the same bytes. */
#ifndef ES_BASE_BASE64_H
#define ES_BASE_BASE64_H

#include "base/buf.h"

/* Characters that `length` bytes take, without a NUL. */
#define ES_BASE64_LENGTH(length) (((length) + 2) / 3 * 4)

void es__base64(char *out, const void *bytes, size_t length); /* ES_BASE64_LENGTH(length) + 1 */
void es__base64_add(es_buf *out, const void *bytes, size_t length);

/* Writes at most `size` bytes to `out` and their number to *length; false for anything malformed or longer. */
bool es__base64_parse(uint8_t *out, size_t size, size_t *length, const char *text,
                      size_t text_length);

#endif
