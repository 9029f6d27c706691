/* json writer: the primitives of canonical JSON. Canonical: no white space, object keys sorted by their UTF-8 bytes (the
 * caller sorts; value.h does for whole values), shortest escapes (\" \\ \b \f \n \r \t, \u00XX in lower case for other
 * control characters, everything else raw UTF-8), integers as digits, doubles as the shortest of 15, 16 or 17 digits that
 * reads back to the same bits, always with '.' or 'e', independent of locale; -0.0 is "-0.0". */
#ifndef ES_JSON_WRITER_H
#define ES_JSON_WRITER_H

#include "base/buf.h"

void es__json_write_string(es_buf *out, const char *text,
                           size_t length); /* text must be valid UTF-8 */
/* The same for what is known to need no escapes: ids, hashes, times. */
void es__json_write_ascii(es_buf *out, const char *text, size_t length);
void es__json_write_integer(es_buf *out, int64_t value);
/* False, writing nothing, for NaN and infinities, which JSON cannot hold. */
bool es__json_write_double(es_buf *out, double value);
/* Convenience for hand-written objects: "key": with a comma before it unless the last byte is '{'. */
void es__json_write_key(es_buf *out, const char *key);
void es__json_write_text(es_buf *out, es_text text); /* a string, or null for none */

#endif
