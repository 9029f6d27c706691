/* archive: moves the texts of old events into segments. A segment is written, synced and read back under a name of its own; then
 * one transaction gives it its name, records it, and puts markers in the place of the texts. A crash leaves either all of it or
 * a file that the next run writes again or finds good. */
#include "engine/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "engine/runtime.h"
#include "json/writer.h"

enum { SEGMENT_EVENTS = 100000, LOOK_EVERY = 1024, HASHES = 512 };
static const int64_t segment_text_bytes = 1024LL * 1024 * 1024; /* bounds a transaction too */

typedef struct archiving {
  es_runtime *rt;
  es_archive_options options;
  es_archive_report *report;
  int64_t to;    /* up to here */
  int64_t total; /* for the progress */
  int64_t done;
  char *folder; /* absolute */
  bool beside;  /* it is STORE-archive, which no row names */
  char *part;   /* the file in it that a segment is written to */
  int lock;     /* the folder's descriptor: one that writes to it at a time; -1: none */
} archiving;

/* ---- What moves --------------------------------------------------------------------------------------------- */

static es_status check_options(const es_archive_options *options, es_error *err) {
  int chosen = (options->before_position != 0) + (options->before_time != 0) +
               (options->keep_events >= 0) + (options->keep_bytes >= 0);

  if (chosen != 1) {
    es__fail(err, ES_ERR_USAGE, "bad_choice", "what to archive is said %s",
             chosen == 0 ? "by nothing" : "more than once");
    es__hint(err, "give one of: a position, a time, a number of events or of bytes to keep");
    return ES_ERR_USAGE;
  }
  if (options->before_position < 0 || options->segment_events < 0)
    return es__fail(err, ES_ERR_USAGE, "bad_number", "positions and numbers begin at 1");
  if (options->folder != NULL && options->folder[0] == '\0')
    return es__fail(err, ES_ERR_USAGE, "no_name", "the name of the folder is empty");
  return ES_OK;
}

/* The last event that was recorded before the time. */
static es_status find_before_time(archiving *self, es_error *err) {
  es_filter filter = ES_FILTER_INIT;
  es_store_cursor *cursor = NULL;
  const es_event *event = NULL;

  filter.to_time = self->options.before_time;
  filter.reverse = true;
  filter.limit = 1;
  es_status status = es__store_read(&cursor, self->rt->store, &filter, err);
  if (status == ES_OK) {
    cursor->as_stored = true;
    status = es__store_next(&event, cursor, err);
  }
  if (event != NULL) self->to = event->position;
  es__store_cursor_close(cursor);
  return status;
}

/* The last event before the newest that fit into so many bytes. */
static es_status find_before_bytes(archiving *self, int64_t head, es_error *err) {
  es_filter filter = ES_FILTER_INIT;
  es_store_cursor *cursor = NULL;
  const es_event *event = NULL;
  int64_t left = self->options.keep_bytes;

  self->to = head;
  filter.reverse = true;
  es_status status = es__store_read(&cursor, self->rt->store, &filter, err);
  if (status == ES_OK) cursor->as_stored = true;
  while (status == ES_OK && left >= 0) {
    event = NULL;
    status = es__store_next(&event, cursor, err);
    if (status != ES_OK || event == NULL) break;
    self->to = event->position;
    if (es__event_archived(event)) break; /* so is all before it, or was and came back */
    left -= (int64_t)(event->data.length + event->metadata.length);
  }
  if (status == ES_OK && event == NULL) self->to = 0;
  es__store_cursor_close(cursor);
  return status;
}

static es_status find_end(archiving *self, es_error *err) {
  const es_archive_options *options = &self->options;
  es_store_head head = {0};
  es_status status = es__store_head_of(&head, self->rt->store, err);

  if (status != ES_OK) return status;
  if (options->before_position > 0) {
    self->to =
        options->before_position > head.position ? head.position : options->before_position - 1;
  } else if (options->keep_events >= 0) {
    self->to = options->keep_events >= head.position ? 0 : head.position - options->keep_events;
  } else if (options->before_time != 0) {
    return find_before_time(self, err);
  } else {
    return find_before_bytes(self, head.position, err);
  }
  return ES_OK;
}

static void count_event(es_archive_report *report, const es_event *event) {
  if (report->event_count++ == 0) report->first = event->position;
  report->last = event->position;
  report->text_bytes += (int64_t)(event->data.length + event->metadata.length);
}

/* Hands over the events of a run whose texts can move. */
static es_status each_to_move(archiving *self, int64_t first, int64_t last,
                              es_status (*each)(archiving *, const es_event *, es_error *),
                              es_error *err) {
  es_filter filter = ES_FILTER_INIT;
  es_store_cursor *cursor = NULL;
  const es_event *event = NULL;

  filter.after_position = first - 1;
  filter.limit = last - first + 1;
  es_status status = es__store_read(&cursor, self->rt->store, &filter, err);
  if (status == ES_OK) cursor->as_stored = true;
  while (status == ES_OK) {
    event = NULL;
    status = es__store_next(&event, cursor, err);
    if (status != ES_OK || event == NULL) break;
    if (es__event_can_shrink(event)) status = each(self, event, err);
  }
  es__store_cursor_close(cursor);
  return status;
}

static es_status count_only(archiving *self, const es_event *event, es_error *err) {
  (void)err;
  count_event(self->report, event);
  return ES_OK;
}

/* ---- Writing a segment -------------------------------------------------------------------------------------- */

static es_status go_on(archiving *self, es_error *err) {
  const es_archive_options *options = &self->options;

  if (++self->done % LOOK_EVERY != 0 || options->progress == NULL ||
      options->progress(options->progress_data, self->done, self->total))
    return ES_OK;
  return es__fail(err, ES_ERR_OTHER, "stopped", "stopped: what was archived before stays so");
}

static es_status check_event(archiving *self, const es_event *event, int64_t position,
                             const uint8_t *previous, es_error *err) {
  uint8_t hash[ES_HASH_SIZE];
  es_status status = es__chain_hash(self->rt->chain, hash, event, err);

  if (status != ES_OK) return status;
  if (event->position == position && memcmp(hash, event->hash, ES_HASH_SIZE) == 0 &&
      (previous == NULL || memcmp(previous, event->previous_hash, ES_HASH_SIZE) == 0))
    return ES_OK;
  es__fail(err, ES_ERR_INTEGRITY, "hash",
           "not archived: the event at position %lld does not continue the chain",
           (long long)event->position);
  es__hint(err, "run `esrun verify` to see all that is damaged, then restore a backup");
  if (err != NULL) err->position = event->position;
  return ES_ERR_INTEGRITY;
}

/* The events from `first` on, until the segment is full or ends at `last`. */
static es_status write_events(archiving *self, es_segment_writer *writer, int64_t first,
                              int64_t last, es_error *err) {
  es_filter filter = ES_FILTER_INIT;
  es_store_cursor *cursor = NULL;
  const es_event *event = NULL;
  uint8_t previous[ES_HASH_SIZE];
  int64_t position = first > 1 ? first - 1 : first; /* the one before says what it is linked to */

  filter.after_position = position - 1;
  es_status status = es__store_read(&cursor, self->rt->store, &filter, err);
  if (status == ES_OK) cursor->as_stored = true;
  for (; status == ES_OK && position <= last; position++) {
    event = NULL;
    status = es__store_next(&event, cursor, err);
    if (status != ES_OK || event == NULL) break;
    bool linked = position > 1 && position >= first;
    status = check_event(self, event, position, linked ? previous : NULL, err);
    memcpy(previous, event->hash, ES_HASH_SIZE);
    if (status != ES_OK || position < first) continue;
    status = es__segment_add(writer, event, err);
    if (status == ES_OK) status = go_on(self, err);
    if (es__segment_text_bytes(writer) >= segment_text_bytes) break;
  }
  es__store_cursor_close(cursor);
  return status;
}

/* Reads the written file back: each line must be the event that the store has. */
static es_status read_back(archiving *self, const es_segment *segment, es_error *err) {
  es_hash hashes[HASHES];
  uint8_t hash[ES_HASH_SIZE];
  size_t count = 0, at = 0;
  es_segment_reader *reader;
  es_status status = es__segment_open(&reader, segment, self->part, err);

  for (int64_t position = segment->first; status == ES_OK && position <= segment->last;
       position++) {
    const es_event *line;
    if (at == count) {
      at = 0;
      status = es__store_hashes(hashes, &count, self->rt->store, position - 1, HASHES, err);
    }
    if (status == ES_OK) status = es__segment_read(&line, reader, position, err);
    if (status == ES_OK) status = es__chain_hash(self->rt->chain, hash, line, err);
    if (status == ES_OK && (at >= count || memcmp(hash, hashes[at++].bytes, ES_HASH_SIZE) != 0)) {
      status = es__fail(err, ES_ERR_INTEGRITY, "segment",
                        "%s: position %lld reads back as another event: nothing was archived",
                        self->part, (long long)position);
    }
  }
  es__segment_reader_free(reader);
  return status;
}

static es_status write_segment(es_segment *out, archiving *self, int64_t first, int64_t last,
                               es_error *err) {
  es_segment_writer *writer = NULL;
  mode_t mode = es__mode_of(self->rt->store_path);

  /* What a run left that was cut short may have a second name already, and whatever else is there is not ours to write to. */
  unlink(self->part);
  int file = open(self->part, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0)
    return es__fail(err, ES_ERR_STORE, es__no_room(errno) ? "disk_full" : "io", "%s: %s",
                    self->part, strerror(errno));
  es_status status = es__segment_begin(&writer, file, self->part, err);
  if (status == ES_OK) status = write_events(self, writer, first, last, err);
  if (status == ES_OK) status = es__segment_end(out, writer, err);
  es__segment_writer_free(writer);
  close(file);
  if (status == ES_OK) status = read_back(self, out, err);
  return status;
}

/* ---- One transaction ---------------------------------------------------------------------------------------- */

static es_status mark(archiving *self, const es_event *event, es_error *err) {
  count_event(self->report, event);
  return es__archive_mark(self->rt->store, event, err);
}

static es_status record(archiving *self, const es_archive_report *before, const es_segment *segment,
                        es_error *err) {
  char hex[2 * ES_HASH_SIZE + 1];
  es_buf data = {0};

  es__hex(hex, segment->sha256, ES_HASH_SIZE);
  es__buf_byte(&data, '{');
  es__json_write_key(&data, "count");
  es__json_write_integer(&data, self->report->event_count - before->event_count);
  es__json_write_key(&data, "file");
  es__json_write_text(&data, es__text(segment->name));
  es__json_write_key(&data, "from");
  es__json_write_integer(&data, segment->first);
  es__json_write_key(&data, "sha256");
  es__json_write_text(&data, es__text(hex));
  es__json_write_key(&data, "to");
  es__json_write_integer(&data, segment->last);
  es__buf_byte(&data, '}');
  es_status status = es__audit_append(self->rt, "$Archived", "system:archive", &data, err);
  es__buf_free(&data);
  return status;
}

/* Up to `last`, which is the segment's end unless it was written before. */
static es_status move_texts(archiving *self, const es_segment *segment, bool fresh, int64_t last,
                            es_error *err) {
  es_archive_report before = *self->report;
  es_store *store = self->rt->store;
  es_status status = es__store_begin(store, err);

  if (status != ES_OK) return status;
  if (fresh) status = es__archive_add(store, segment, err);
  if (fresh && status == ES_OK)
    status = es__archive_publish(self->part, self->folder, segment, err);
  if (status == ES_OK) status = each_to_move(self, segment->first, last, mark, err);
  if (status == ES_OK) status = record(self, &before, segment, err);
  if (status == ES_OK) status = es__store_commit(store, err);
  if (status == ES_OK && fresh) {
    self->report->segment_count++;
    self->report->file_bytes += segment->file_bytes;
  }
  if (status != ES_OK) {
    es__store_rollback(store);
    *self->report = before;
  }
  return status;
}

static es_status archive_new(archiving *self, int64_t first, int64_t *last, es_error *err) {
  int64_t most = self->options.segment_events > 0 ? self->options.segment_events : SEGMENT_EVENTS;
  es_segment segment = {0};

  *last = self->to - first >= most ? first + most - 1 : self->to;
  es_status status = write_segment(&segment, self, first, *last, err);
  if (status == ES_OK) {
    *last = segment.last;
    segment.created_at = es__now(self->rt);
    if (!self->beside) segment.folder = strdup(self->folder);
    status = segment.folder == NULL && !self->beside ? es__no_memory(err)
                                                     : move_texts(self, &segment, true, *last, err);
  }
  es__segment_clear(&segment);
  unlink(self->part);
  return status;
}

/* ---- Segments that are there -------------------------------------------------------------------------------- */

typedef struct search {
  archiving *self;
  int64_t position, last; /* the segment that has the position ends at `last`; 0: there is none */
  int64_t covered;        /* the last segment ends there */
} search;

/* An event that came back from its segment may leave again when it is still there. */
static es_status check_in_segment(archiving *self, const es_event *event, es_error *err) {
  es_event archived = *event;

  archived.data = (es_text){"", 0};
  archived.metadata.length = ES_MARKER_LENGTH;
  es_status status = es__archive_fetch(&archived, self->rt->store, err);
  return status == ES_OK ? go_on(self, err) : status;
}

static es_status archive_again(void *data, const es_segment *segment, const char *path,
                               es_error *err) {
  search *found = data;
  archiving *self = found->self;

  found->covered = segment->last;
  if (found->position < segment->first || found->position > segment->last) return ES_OK;
  found->last = segment->last < self->to ? segment->last : self->to;
  es_status status = each_to_move(self, found->position, found->last, check_in_segment, err);
  if (status == ES_OK && path != NULL) status = es__archive_sync(path, err); /* it may be a copy */
  return status == ES_OK ? move_texts(self, segment, false, found->last, err) : status;
}

static es_status archive_all(archiving *self, es_error *err) {
  int64_t after = 0, position;
  es_status status = es__archive_next(&position, self->rt->store, after, self->to, err);

  self->total = position == 0 ? 0 : self->to - position + 1;
  while (status == ES_OK && position != 0) {
    search found = {.self = self, .position = position};
    status = es__archive_segments(self->rt->store, archive_again, &found, err);
    after = found.last;
    if (status == ES_OK && after == 0) status = archive_new(self, found.covered + 1, &after, err);
    if (status == ES_OK)
      status = es__archive_next(&position, self->rt->store, after, self->to, err);
  }
  return status;
}

/* ---- The folder --------------------------------------------------------------------------------------------- */

static es_status lock_folder(archiving *self, es_error *err) {
  self->lock = open(self->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (self->lock >= 0 && flock(self->lock, LOCK_EX | LOCK_NB) == 0) return ES_OK;
  if (errno != EWOULDBLOCK)
    return es__fail(err, ES_ERR_STORE, "io", "%s: %s", self->folder, strerror(errno));
  es__fail(err, ES_ERR_STORE, "busy", "%s: somebody else is archiving into this folder",
           self->folder);
  es__hint(err, "try again when that has ended");
  return ES_ERR_STORE;
}

static es_status prepare_folder(archiving *self, es_error *err) {
  const char *given = self->options.folder;
  char *beside = NULL;
  es_buf part = {0};
  es_status status = es__archive_folder(&beside, self->rt->store, err);

  if (status == ES_OK)
    status = es__archive_make_folder(NULL, given == NULL ? beside : given,
                                     es__mode_of(self->rt->store_path), err);
  if (status == ES_OK) {
    self->folder = realpath(given == NULL ? beside : given, NULL);
    char *real = realpath(beside, NULL); /* NULL: it is not there, so it is not this one */
    self->beside = given == NULL || (real != NULL && strcmp(real, self->folder) == 0);
    free(real);
    es__buf_format(&part, "%s/archive.part", self->folder == NULL ? "" : self->folder);
    self->part = es__buf_take(&part, NULL);
    if (self->folder == NULL || self->part == NULL) status = es__no_memory(err);
  }
  free(beside);
  return status == ES_OK ? lock_folder(self, err) : status;
}

static es_status archive(archiving *self, es_error *err) {
  es_status status = find_end(self, err);
  int64_t position = 0;

  if (status == ES_OK) status = es__archive_next(&position, self->rt->store, 0, self->to, err);
  if (status != ES_OK || position == 0) return status; /* nothing to do makes no folder */
  if (self->options.dry_run) return each_to_move(self, position, self->to, count_only, err);
  status = prepare_folder(self, err);
  if (status == ES_OK) status = archive_all(self, err);
  if (self->lock >= 0) close(self->lock);
  free(self->folder);
  free(self->part);
  return status;
}

es_status es_archive(es_archive_report *out, es_runtime *rt, const es_archive_options *options,
                     es_error *err) {
  es_archive_report report = {0};
  archiving self = {.rt = rt, .options = ES_ARCHIVE_INIT, .report = &report, .lock = -1};

  if (out != NULL) *out = report;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  es_status status =
      es__take_options(&self.options, options, sizeof self.options, "ES_ARCHIVE_INIT", err);
  if (status == ES_OK) status = check_options(&self.options, err);
  if (status != ES_OK) return status;
  if (rt->in_transaction)
    return es__fail(err, ES_ERR_USAGE, "in_transaction", "commit the open transaction first");
  if (rt->read_only && !self.options.dry_run) {
    es__fail(err, ES_ERR_STORE, "read_only", "the store was opened read-only");
    es__hint(err, "open it for writing");
    return ES_ERR_STORE;
  }
  status = archive(&self, err);
  if (out != NULL) *out = report;
  return status;
}
