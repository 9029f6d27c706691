/* segment: a file that the texts of archived events moved to: the lines of an export, some hundred of them a Zstandard frame, so
 * that one event costs one frame. Knows files and events; never SQL. docs/reference/formats.md describes it. */
#ifndef ES_STORE_SEGMENT_H
#define ES_STORE_SEGMENT_H

#include "ledger/chain.h"

enum { ES_SEGMENT_NAME_SIZE = 96 };

/* A segment as the store remembers it. */
typedef struct es_segment {
  int64_t first, last;             /* positions, all of them */
  char name[ES_SEGMENT_NAME_SIZE]; /* of the file, without its folder */
  char *folder; /* where it was written, when that is not beside the store; else NULL */
  uint8_t sha256[ES_HASH_SIZE]; /* of the file */
  int64_t file_bytes;
  int64_t text_bytes; /* of all the lines */
  int64_t created_at;
  es_buf
      frames; /* the index: for each frame its events and its bytes, 32 bits each, the highest first */
} es_segment;

void es__segment_clear(es_segment *segment);

/* ---- Writing ---- */

typedef struct es_segment_writer es_segment_writer;

/* Writes to `file`, which is empty and stays the caller's; `path` is for messages. */
es_status es__segment_begin(es_segment_writer **out, int file, const char *path, es_error *err);
/* The event at the next position, with its texts. ES_ERR_STORE "disk_full" when there is no room. */
es_status es__segment_add(es_segment_writer *writer, const es_event *event, es_error *err);
int64_t es__segment_text_bytes(const es_segment_writer *writer);
/* Writes the rest and syncs the file; fills in everything but folder and created_at. */
es_status es__segment_end(es_segment *out, es_segment_writer *writer, es_error *err);
void es__segment_writer_free(es_segment_writer *writer); /* NULL is fine */

/* ---- Reading ---- */

typedef struct es_segment_reader es_segment_reader;

/* Opens the file at `path` as this segment, which must stay. ES_ERR_NOT_FOUND when there is none; ES_ERR_INTEGRITY "segment" when
 * its size is another. */
es_status es__segment_open(es_segment_reader **out, const es_segment *segment, const char *path,
                           es_error *err);
/* The event at a position, as its line says it: whether that is the event, its hash tells the caller. It lives until the next
 * call. ES_ERR_INTEGRITY "segment" names the file; err->position is the first that cannot be read for the same reason. */
es_status es__segment_read(const es_event **out, es_segment_reader *reader, int64_t position,
                           es_error *err);
/* Whether the whole file is the one that was written, bit by bit: ES_ERR_INTEGRITY "segment". */
es_status es__segment_check_file(es_segment_reader *reader, es_error *err);
void es__segment_reader_free(es_segment_reader *reader); /* NULL is fine */

#endif
