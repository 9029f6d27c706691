/* json locate: where in a JSON text an offset is, for messages. Found by reading the text again, so that reading without
 * errors pays nothing for it. */
#ifndef ES_JSON_LOCATE_H
#define ES_JSON_LOCATE_H

#include <stdbool.h>
#include <stddef.h>

enum { ES_JSON_PATH_MAX = 256 };

typedef struct es_json_place {
  size_t line;                 /* from 1 */
  size_t column;               /* from 1, in characters (code points) */
  char path[ES_JSON_PATH_MAX]; /* "$.lines[2].price", cut with "…" when it is long */
} es_json_place;

/* The text before `offset` must be the beginning of well-formed JSON. If a token starts at `offset` (is_token), the path is that
 * token's; else it is the path of the place where reading could not go on. */
void es__json_locate(es_json_place *out, const char *text, size_t length, size_t offset,
                     bool is_token);

/* Appends `.key`, or `["key"]` for a key that is no plain name, or `…` once when there is no room for it. `out` holds a
 * path of at most `size` bytes with its NUL. */
void es__json_path_key(char *out, size_t size, const char *key, size_t length);
void es__json_path_index(char *out, size_t size, long long index);

#endif
