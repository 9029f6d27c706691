/* json reader: a strict pull parser for RFC 8259 text, lossless. Knows bytes only: no Lua, no store.
 *
 * It never recurses and allocates only for strings with escapes. Integers that fit int64 are ES_JSON_INTEGER
 * exactly; a number with fraction or exponent is ES_JSON_DOUBLE; an integer beyond int64, and a double that
 * overflows, are errors. So are invalid UTF-8, lone surrogates, control characters in strings, comments, trailing commas,
 * leading zeros, NaN, anything after the value, and nesting deeper than max_depth. Duplicate keys are found by whoever
 * builds objects (value.h; the Lua codec), who reports them through es__json_fail(). */
#ifndef ES_JSON_READER_H
#define ES_JSON_READER_H

#include "base/buf.h"

enum { ES_JSON_MAX_DEPTH = 128, ES_JSON_MAX_BYTES = 16 * 1024 * 1024 };

/* Levels of a document that this library wrote around values of at most ES_JSON_MAX_DEPTH. */
enum { ES_JSON_OWN_DEPTH = 192 };

typedef enum es_json_kind {
  ES_JSON_END, /* the whole text was read */
  ES_JSON_NULL,
  ES_JSON_FALSE,
  ES_JSON_TRUE,
  ES_JSON_INTEGER,
  ES_JSON_DOUBLE,
  ES_JSON_STRING,
  ES_JSON_KEY, /* a member's name; its value follows */
  ES_JSON_ARRAY_BEGIN,
  ES_JSON_ARRAY_END,
  ES_JSON_OBJECT_BEGIN,
  ES_JSON_OBJECT_END
} es_json_kind;

typedef struct es_json_token {
  es_json_kind kind;
  int64_t integer;
  double number;
  es_text text;  /* of a string or key, decoded; lives until the next call */
  size_t offset; /* of the token's first byte in the text */
} es_json_token;

typedef struct es_json_reader {
  const char *text;
  size_t length;
  size_t at;
  int max_depth;
  size_t max_bytes;
  int depth;
  /* The rest is the reader's own. */
  uint8_t state;
  uint64_t in_object[ES_JSON_OWN_DEPTH / 64]; /* a bit for each open container: is it an object? */
  const char *failed_code, *failed_reason;    /* of the error it stays in */
  size_t failed_at;
  es_buf own_scratch;
  es_buf *
      scratch; /* where strings with escapes are decoded; a caller may lend a longer-lived one after init */
} es_json_reader;

/* Starts reading `length` bytes; the text must outlive the reader. max_depth 0 means ES_JSON_MAX_DEPTH, which is
 * also the most. The reader may not be copied or moved (it points into itself). */
void es__json_reader_init(es_json_reader *reader, const char *text, size_t length, int max_depth);
/* The same for what this library wrote: a reply or an event as JSON is deeper and may be longer than the values it holds. */
void es__json_reader_init_own(es_json_reader *reader, const char *text, size_t length);
void es__json_reader_free(es_json_reader *reader);

/* The next token. An error is ES_ERR_USAGE with code "malformed_json" (or "json_too_deep", "json_number_range",
 * "json_utf8", "json_too_large") whose message names line, column and path: `line 3, column 7, at $.lines[2].price: …`.
 * Lines and columns count from 1 and a column is a character (code point), not a byte; path indexes count from 0 as in
 * RFC 9535. After an error the reader stays in that error. */
es_status es__json_next(es_json_reader *reader, es_json_token *token, es_error *err);

/* True if a value was to come where the reader stands or failed; for es__json_locate(). */
bool es__json_reader_wants_value(const es_json_reader *reader);

/* Reports something a builder found at `offset` (e.g. code "json_duplicate_key"), with line, column and path. */
es_status es__json_fail(const es_json_reader *reader, size_t offset, const char *code,
                        es_error *err, const char *format, ...) ES_PRINTF(5, 6);

#endif
