/* csv: rows of RFC 4180 text as JSON objects, strictly. Knows bytes only: no store, no Lua. */
#ifndef ES_ENGINE_CSV_H
#define ES_ENGINE_CSV_H

#include "base/buf.h"

enum { ES_CSV_COLUMNS_MAX = 1024, ES_CSV_ROW_MAX = 16 * 1024 * 1024 };

/* Where the reader stands. Zero-initialise, es__csv_free() when done. The first row is the heading: its fields, unique and not
 * empty, name the members. A byte order mark is skipped; rows end with CRLF or LF; a quoted field may hold both. */
typedef struct es_csv {
  es_buf fields;                           /* of the row at hand, each followed by a NUL */
  es_buf heading;                          /* the same of the first row */
  size_t ends[ES_CSV_COLUMNS_MAX];         /* of each field in `fields`, without the NUL */
  size_t heading_ends[ES_CSV_COLUMNS_MAX]; /* the same */
  size_t count, heading_count;
  int state;
  int mark;         /* bytes seen of a byte order mark; -1: over */
  int64_t line;     /* of the byte at hand, from 1 */
  int64_t row_line; /* where the row at hand began */
  int64_t quote_line;
  bool has_heading;
} es_csv;

/* Takes bytes up to and including the end of a row. *used says how many; *row is true when a row is complete: then it was
 * appended to `out` as one JSON object, and csv->row_line is the line it began on. ES_ERR_USAGE "malformed_csv" names the
 * line. */
es_status es__csv_next(bool *row, size_t *used, es_csv *csv, es_buf *out, const char *bytes,
                       size_t length, es_error *err);
/* The input ended: the same for a last row without a line end. An input without a heading is refused. */
es_status es__csv_end(bool *row, es_csv *csv, es_buf *out, es_error *err);
void es__csv_free(es_csv *csv);

#endif
