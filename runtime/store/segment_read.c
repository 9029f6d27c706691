/* segment_read: one event out of a segment, by way of the frame that holds it. A few frames are kept. What a damaged file holds
 * ends in an error, never in another event: the caller compares the event's hash. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/id.h"
#include "store/libzstd.h"
#include "store/segment.h"

enum {
  KEPT_FRAMES = 4,
  FRAME_BYTES_MAX =
      64 * 1024 * 1024, /* more than the largest event makes; a damaged one may say anything */
  ENTRY_BYTES = 8
};

/* Where a frame is in the file, and which events it has. */
typedef struct frame_place {
  int64_t first; /* position */
  uint32_t events;
  int64_t offset;
  size_t length;
} frame_place;

typedef struct kept_frame {
  int64_t first; /* position; 0: none */
  size_t events;
  es_buf lines;
  size_t *starts; /* of each line, and the end of the last */
} kept_frame;

struct es_segment_reader {
  const struct es_libzstd *zstd;
  const es_segment *segment;
  char *path;
  int file;
  kept_frame kept[KEPT_FRAMES];
  int next_kept;
  es_buf packed; /* the frame at hand as it is in the file */
  es_buf texts, scratch;
  es_event event;
};

static es_status damaged(const es_segment_reader *reader, int64_t position, es_error *err,
                         const char *why) {
  es__fail(err, ES_ERR_INTEGRITY, "segment",
           "%s: the segment is damaged, from position %lld on: %s", reader->path,
           (long long)position, why);
  es__hint(err, "put back the file as it was written, from where segments are kept, or from a "
                "backup's -archive folder");
  if (err != NULL) err->position = position;
  return ES_ERR_INTEGRITY;
}

/* ---- Opening ---- */

static es_status open_file(es_segment_reader *reader, es_error *err) {
  struct stat facts;

  reader->file = open(reader->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (reader->file < 0) {
    es_status why = errno == ENOENT || errno == ENOTDIR ? ES_ERR_NOT_FOUND : ES_ERR_STORE;
    return es__fail(err, why, "cannot_read", "%s: %s", reader->path, strerror(errno));
  }
  if (fstat(reader->file, &facts) != 0 || !S_ISREG(facts.st_mode))
    return damaged(reader, reader->segment->first, err, "it is no file");
  if (facts.st_size == reader->segment->file_bytes) return ES_OK;
  return damaged(reader, reader->segment->first, err,
                 facts.st_size < reader->segment->file_bytes ? "it is cut short"
                                                             : "it is longer than it was");
}

es_status es__segment_open(es_segment_reader **out, const es_segment *segment, const char *path,
                           es_error *err) {
  es_segment_reader *reader = calloc(1, sizeof *reader);

  *out = NULL;
  if (reader == NULL) return es__no_memory(err);
  reader->segment = segment;
  reader->file = -1;
  reader->path = strdup(path);
  es_status status = reader->path == NULL ? es__no_memory(err) : open_file(reader, err);
  if (status == ES_OK) {
    *out = reader;
  } else {
    es__segment_reader_free(reader);
  }
  return status;
}

void es__segment_reader_free(es_segment_reader *reader) {
  if (reader == NULL) return;
  if (reader->file >= 0) close(reader->file);
  for (int i = 0; i < KEPT_FRAMES; i++) {
    es__buf_free(&reader->kept[i].lines);
    free(reader->kept[i].starts);
  }
  es__buf_free(&reader->packed);
  es__buf_free(&reader->texts);
  es__buf_free(&reader->scratch);
  free(reader->path);
  free(reader);
}

es_status es__segment_check_file(es_segment_reader *reader, es_error *err) {
  uint8_t hash[ES_HASH_SIZE];
  es_status status = es__sha256_file(hash, reader->file, err);

  if (status != ES_OK) {
    es__wrap(err, "%s", reader->path);
    return status;
  }
  if (memcmp(hash, reader->segment->sha256, ES_HASH_SIZE) == 0) return ES_OK;
  return damaged(reader, reader->segment->first, err, "its SHA-256 is not the recorded one");
}

/* ---- Frames ---- */

static bool find_place(frame_place *out, const es_segment *segment, int64_t position) {
  const char *entries = segment->frames.data;

  *out = (frame_place){.first = segment->first};
  for (size_t at = 0; at + ENTRY_BYTES <= segment->frames.length; at += ENTRY_BYTES) {
    uint32_t entry[2];
    memcpy(entry, entries + at, sizeof entry);
    out->events = be32toh(entry[0]);
    out->length = be32toh(entry[1]);
    if (position < out->first + out->events) return out->length <= FRAME_BYTES_MAX;
    out->first += out->events;
    out->offset += (int64_t)out->length;
  }
  return false;
}

static es_status read_packed(es_segment_reader *reader, const frame_place *place, es_error *err) {
  size_t got = 0;

  es__buf_clear(&reader->packed);
  char *room = es__buf_reserve(&reader->packed, place->length);
  if (room == NULL) return es__no_memory(err);
  while (got < place->length) {
    ssize_t count =
        pread(reader->file, room + got, place->length - got, place->offset + (off_t)got);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return es__fail(err, ES_ERR_STORE, "io", "%s: %s", reader->path, strerror(errno));
    if (count == 0) return damaged(reader, place->first, err, "it is cut short");
    got += (size_t)count;
  }
  reader->packed.length = got;
  return ES_OK;
}

static es_status unpack(es_segment_reader *reader, kept_frame *frame, const frame_place *place,
                        es_error *err) {
  const struct es_libzstd *zstd = reader->zstd;
  const es_buf *packed = &reader->packed;
  unsigned long long size = zstd->ZSTD_getFrameContentSize(packed->data, packed->length);

  if (size > FRAME_BYTES_MAX) /* so are the values that mean an error */
    return damaged(reader, place->first, err, "what is there is no frame");
  es__buf_clear(&frame->lines);
  char *room = es__buf_reserve(&frame->lines, (size_t)size);
  if (room == NULL) return es__no_memory(err);
  size_t length = zstd->ZSTD_decompress(room, (size_t)size, packed->data, packed->length);
  if (zstd->ZSTD_isError(length))
    return damaged(reader, place->first, err, zstd->ZSTD_getErrorName(length));
  frame->lines.length = length;
  return ES_OK;
}

static es_status find_lines(es_segment_reader *reader, kept_frame *frame, const frame_place *place,
                            es_error *err) {
  const es_buf *lines = &frame->lines;
  size_t count = 0;

  free(frame->starts);
  frame->starts = NULL;
  if (place->events > lines->length)
    return damaged(reader, place->first, err, "a frame has fewer lines");
  frame->starts = calloc((size_t)place->events + 1, sizeof *frame->starts);
  if (frame->starts == NULL) return es__no_memory(err);
  for (size_t at = 0; at < lines->length && count < place->events; count++) {
    const char *end = memchr(lines->data + at, '\n', lines->length - at);
    if (end == NULL) break;
    at = (size_t)(end - lines->data) + 1;
    frame->starts[count + 1] = at;
  }
  if (count == place->events && frame->starts[count] == lines->length) return ES_OK;
  return damaged(reader, place->first, err, "a frame has another number of lines");
}

static es_status load_frame(kept_frame **out, es_segment_reader *reader, int64_t position,
                            es_error *err) {
  kept_frame *frame = &reader->kept[reader->next_kept];
  frame_place place;

  if (reader->zstd == NULL) reader->zstd = es__libzstd(err);
  if (reader->zstd == NULL) return ES_ERR_OTHER;
  if (!find_place(&place, reader->segment, position))
    return damaged(reader, position, err, "its index has no such event");
  frame->first = 0;
  es_status status = read_packed(reader, &place, err);
  if (status == ES_OK) status = unpack(reader, frame, &place, err);
  if (status == ES_OK) status = find_lines(reader, frame, &place, err);
  if (status != ES_OK) return status;
  frame->first = place.first;
  frame->events = place.events;
  reader->next_kept = (reader->next_kept + 1) % KEPT_FRAMES;
  *out = frame;
  return ES_OK;
}

static es_status find_frame(kept_frame **out, es_segment_reader *reader, int64_t position,
                            es_error *err) {
  for (int i = 0; i < KEPT_FRAMES; i++) {
    kept_frame *frame = &reader->kept[i];
    if (frame->first == 0 || position < frame->first ||
        position >= frame->first + (int64_t)frame->events)
      continue;
    *out = frame;
    return ES_OK;
  }
  return load_frame(out, reader, position, err);
}

/* ---- Events ---- */

es_status es__segment_read(const es_event **out, es_segment_reader *reader, int64_t position,
                           es_error *err) {
  es_error why = ES_ERROR_INIT;
  kept_frame *frame;
  es_status status = find_frame(&frame, reader, position, err);

  if (status != ES_OK) return status;
  size_t index = (size_t)(position - frame->first);
  const char *line = frame->lines.data + frame->starts[index];
  size_t length = frame->starts[index + 1] - frame->starts[index] - 1;
  es__buf_clear(&reader->texts);
  char *texts = es__buf_reserve(&reader->texts, length + 1);
  if (texts == NULL) return es__no_memory(err);
  status = es__event_parse(&reader->event, texts, &reader->scratch, line, length, &why);
  if (status == ES_ERR_USAGE) return damaged(reader, position, err, why.message);
  if (status != ES_OK) {
    if (err != NULL) *err = why;
    return status;
  }
  if (reader->event.position != position)
    return damaged(reader, position, err, "its line is that of another position");
  *out = &reader->event;
  return ES_OK;
}
