/* segment_write: events to the lines of an export, frame by frame. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/id.h"
#include "store/libzstd.h"
#include "store/segment.h"

/* A frame ends with whichever comes first; one event may be larger. */
enum { FRAME_EVENTS = 1000, FRAME_BYTES = 1024 * 1024, LEVEL = 6 };

struct es_segment_writer {
  const struct es_libzstd *zstd;
  ZSTD_CCtx *context;
  int file;
  char *path;
  es_segment segment; /* so far */
  es_buf lines;       /* of the frame at hand */
  uint32_t events;    /* in it */
  es_buf frame;
  uint8_t last_hash[ES_HASH_SIZE];
};

void es__segment_clear(es_segment *segment) {
  free(segment->folder);
  es__buf_free(&segment->frames);
  *segment = (es_segment){0};
}

static es_status fail_write(const es_segment_writer *writer, int why, es_error *err) {
  es_status status = es__fail(err, ES_ERR_STORE, es__no_room(why) ? "disk_full" : "io",
                              "%s: the segment cannot be written: %s", writer->path, strerror(why));
  if (es__no_room(why)) es__hint(err, "make room, then try again: nothing is half done");
  return status;
}

es_status es__segment_begin(es_segment_writer **out, int file, const char *path, es_error *err) {
  const struct es_libzstd *zstd = es__libzstd(err);
  es_segment_writer *writer = zstd == NULL ? NULL : calloc(1, sizeof *writer);

  *out = NULL;
  if (zstd == NULL) return ES_ERR_OTHER;
  if (writer == NULL) return es__no_memory(err);
  writer->zstd = zstd;
  writer->file = file;
  writer->path = strdup(path);
  writer->context = zstd->ZSTD_createCCtx();
  if (writer->path == NULL || writer->context == NULL ||
      zstd->ZSTD_isError(
          zstd->ZSTD_CCtx_setParameter(writer->context, ZSTD_c_compressionLevel, LEVEL)) ||
      zstd->ZSTD_isError(zstd->ZSTD_CCtx_setParameter(writer->context, ZSTD_c_checksumFlag, 1))) {
    es__segment_writer_free(writer);
    return es__no_memory(err);
  }
  *out = writer;
  return ES_OK;
}

void es__segment_writer_free(es_segment_writer *writer) {
  if (writer == NULL) return;
  if (writer->context != NULL) writer->zstd->ZSTD_freeCCtx(writer->context);
  es__segment_clear(&writer->segment);
  es__buf_free(&writer->lines);
  es__buf_free(&writer->frame);
  free(writer->path);
  free(writer);
}

static es_status write_all(const es_segment_writer *writer, es_error *err) {
  const char *bytes = writer->frame.data;
  size_t length = writer->frame.length;

  while (length > 0) {
    ssize_t written = write(writer->file, bytes, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_write(writer, errno, err);
    bytes += written; /* fewer than asked for: the next one says why */
    length -= (size_t)written;
  }
  return ES_OK;
}

static void index_frame(es_segment_writer *writer) {
  const uint32_t entry[] = {htobe32(writer->events), htobe32((uint32_t)writer->frame.length)};

  es__buf_add(&writer->segment.frames, entry, sizeof entry);
  writer->segment.file_bytes += (int64_t)writer->frame.length;
}

/* Compresses the lines at hand and writes them as one frame. */
static es_status end_frame(es_segment_writer *writer, es_error *err) {
  const struct es_libzstd *zstd = writer->zstd;
  size_t bound = zstd->ZSTD_compressBound(writer->lines.length);

  if (writer->events == 0) return ES_OK;
  es__buf_clear(&writer->frame);
  char *room = writer->lines.failed ? NULL : es__buf_reserve(&writer->frame, bound);
  if (room == NULL) return es__no_memory(err);
  size_t length =
      zstd->ZSTD_compress2(writer->context, room, bound, writer->lines.data, writer->lines.length);
  if (zstd->ZSTD_isError(length))
    return es__fail(err, ES_ERR_OTHER, "libzstd", "%s: Zstandard: %s", writer->path,
                    zstd->ZSTD_getErrorName(length));
  writer->frame.length = length;
  es_status status = write_all(writer, err);
  if (status != ES_OK) return status;
  index_frame(writer);
  es__buf_clear(&writer->lines);
  writer->events = 0;
  return writer->segment.frames.failed ? es__no_memory(err) : ES_OK;
}

es_status es__segment_add(es_segment_writer *writer, const es_event *event, es_error *err) {
  es_segment *segment = &writer->segment;
  char *line;
  size_t length;
  es_status status = es_event_json(&line, &length, event, ES_FORM_EXPORT, err);

  if (status != ES_OK) return status;
  es__buf_add(&writer->lines, line, length);
  es__buf_byte(&writer->lines, '\n');
  es_free(line);
  if (segment->first == 0) segment->first = event->position;
  segment->last = event->position;
  segment->text_bytes += (int64_t)length + 1;
  memcpy(writer->last_hash, event->hash, ES_HASH_SIZE);
  writer->events++;
  if (writer->events < FRAME_EVENTS && writer->lines.length < FRAME_BYTES) return ES_OK;
  return end_frame(writer, err);
}

int64_t es__segment_text_bytes(const es_segment_writer *writer) {
  return writer->segment.text_bytes;
}

/* The last event's hash says all that is in the file, so two files of one name hold the same events. */
static void name_segment(es_segment_writer *writer) {
  char hash[2 * ES_HASH_SIZE + 1];

  es__hex(hash, writer->last_hash, ES_HASH_SIZE);
  snprintf(writer->segment.name, ES_SEGMENT_NAME_SIZE, "%012lld-%012lld-%.16s.jsonl.zst",
           (long long)writer->segment.first, (long long)writer->segment.last, hash);
}

es_status es__segment_end(es_segment *out, es_segment_writer *writer, es_error *err) {
  es_status status = end_frame(writer, err);

  if (status != ES_OK) return status;
  if (fsync(writer->file) != 0) return fail_write(writer, errno, err);
  status = es__sha256_file(writer->segment.sha256, writer->file, err);
  if (status != ES_OK) {
    es__wrap(err, "%s", writer->path);
    return status;
  }
  name_segment(writer);
  *out = writer->segment;
  writer->segment = (es_segment){0};
  return ES_OK;
}
