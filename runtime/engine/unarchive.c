/* unarchive: data and metadata back from segments into the store; the list of segments; giving back the room that they left. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "engine/archive.h"
#include "engine/runtime.h"
#include "json/writer.h"

enum { GROUP_EVENTS = 10000 };
static const int64_t group_bytes = 64LL * 1024 * 1024;

typedef struct unarchiving {
  es_runtime *rt;
  es_unarchive_options options;
  es_archive_report *report;
  int64_t next; /* position to go on at */
} unarchiving;

static es_status put_back(unarchiving *self, const es_event *event, es_error *err) {
  es_archive_report *report = self->report;
  es_event whole = *event;
  es_status status = es__archive_fetch(&whole, self->rt->store, err);

  if (status == ES_OK) status = es__archive_unmark(self->rt->store, &whole, err);
  if (status != ES_OK) return status;
  if (report->event_count++ == 0) report->first = event->position;
  report->last = event->position;
  report->text_bytes += (int64_t)(whole.data.length + whole.metadata.length);
  return ES_OK;
}

/* Up to a group's worth of events, from self->next on. */
static es_status put_back_some(unarchiving *self, es_error *err) {
  es_filter filter = ES_FILTER_INIT;
  es_store_cursor *cursor = NULL;
  const es_event *event = NULL;
  int64_t count = self->report->event_count, bytes = self->report->text_bytes;

  filter.after_position = self->next - 1;
  es_status status = es__store_read(&cursor, self->rt->store, &filter, err);
  if (status == ES_OK) cursor->as_stored = true;
  while (status == ES_OK && self->next <= self->options.to &&
         self->report->event_count - count < GROUP_EVENTS &&
         self->report->text_bytes - bytes < group_bytes) {
    event = NULL;
    status = es__store_next(&event, cursor, err);
    if (status != ES_OK || event == NULL) break;
    if (es__event_archived(event) && event->position <= self->options.to)
      status = put_back(self, event, err);
    self->next = event->position + 1;
  }
  es__store_cursor_close(cursor);
  return status;
}

static es_status record(unarchiving *self, int64_t from, int64_t count, es_error *err) {
  es_buf data = {0};

  es__buf_byte(&data, '{');
  es__json_write_key(&data, "count");
  es__json_write_integer(&data, count);
  es__json_write_key(&data, "from");
  es__json_write_integer(&data, from);
  es__json_write_key(&data, "to");
  es__json_write_integer(&data, self->report->last);
  es__buf_byte(&data, '}');
  es_status status = es__audit_append(self->rt, "$Unarchived", "system:archive", &data, err);
  es__buf_free(&data);
  return status;
}

static es_status put_back_group(unarchiving *self, es_error *err) {
  es_archive_report before = *self->report;
  int64_t from = self->next;
  es_status status = es__store_begin(self->rt->store, err);

  if (status != ES_OK) return status;
  status = put_back_some(self, err);
  int64_t count = self->report->event_count - before.event_count;
  if (status == ES_OK && count > 0) status = record(self, from, count, err);
  if (status == ES_OK) status = es__store_commit(self->rt->store, err);
  if (status != ES_OK) {
    es__store_rollback(self->rt->store);
    *self->report = before;
  }
  return status;
}

/* That nothing is begun which a missing file would leave half done. */
static es_status check_at_hand(void *data, const es_segment *segment, const char *path,
                               es_error *err) {
  const unarchiving *self = data;
  int64_t first = segment->first > self->next ? segment->first : self->next;

  if (path != NULL || first > segment->last || first > self->options.to) return ES_OK;
  es__fail(err, ES_ERR_STORE, "segment_missing",
           "positions %lld to %lld are archived, and their segment %s is not at hand",
           (long long)segment->first, (long long)segment->last, segment->name);
  es__hint(err, "put the file back beside the store, into its -archive folder%s%s",
           segment->folder == NULL ? "" : ", or into ",
           segment->folder == NULL ? "" : segment->folder);
  if (err != NULL) err->position = first;
  return ES_ERR_STORE;
}

static es_status unarchive(unarchiving *self, es_error *err) {
  const es_unarchive_options *options = &self->options;
  es_store_head head = {0};
  es_status status = es__store_head_of(&head, self->rt->store, err);

  if (status != ES_OK) return status;
  self->next = options->from > 0 ? options->from : 1;
  if (self->options.to == 0 || self->options.to > head.position) self->options.to = head.position;
  int64_t total = self->options.to - self->next + 1;
  status = es__archive_segments(self->rt->store, check_at_hand, self, err);
  while (status == ES_OK && self->next <= self->options.to) {
    int64_t before = self->next;
    status = put_back_group(self, err);
    if (self->next == before) break;
    if (status == ES_OK && options->progress != NULL &&
        !options->progress(options->progress_data, total - (self->options.to - self->next + 1),
                           total))
      status = es__fail(err, ES_ERR_OTHER, "stopped", "stopped: what is back in the store stays");
  }
  return status;
}

static es_status check_idle(const es_runtime *rt, es_error *err) {
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  if (rt->in_transaction)
    return es__fail(err, ES_ERR_USAGE, "in_transaction", "commit the open transaction first");
  return ES_OK;
}

es_status es_unarchive(es_archive_report *out, es_runtime *rt, const es_unarchive_options *options,
                       es_error *err) {
  es_archive_report report = {0};
  unarchiving self = {.rt = rt, .options = ES_UNARCHIVE_INIT, .report = &report};
  char *folder = NULL;
  es_status status = ES_OK;

  if (out != NULL) *out = report;
  if (options != NULL)
    status =
        es__take_options(&self.options, options, sizeof self.options, "ES_UNARCHIVE_INIT", err);
  if (status == ES_OK && (self.options.from < 0 || self.options.to < 0))
    status = es__fail(err, ES_ERR_USAGE, "bad_number", "positions begin at 1");
  if (status == ES_OK) status = check_idle(rt, err);
  if (status == ES_OK) status = es__archive_folder(&folder, rt->store, err); /* not in memory */
  free(folder);
  if (status == ES_OK) status = unarchive(&self, err);
  if (out != NULL) *out = report;
  return status;
}

/* ---- The list ------------------------------------------------------------------------------------------------ */

static void write_member(es_buf *out, const char *name, const char *text) {
  es__json_write_key(out, name);
  if (text == NULL)
    es__buf_text(out, "null");
  else
    es__json_write_text(out, es__text(text));
}

static void write_number(es_buf *out, const char *name, int64_t number) {
  es__json_write_key(out, name);
  es__json_write_integer(out, number);
}

static es_status write_segment(void *data, const es_segment *segment, const char *path,
                               es_error *err) {
  char hex[2 * ES_HASH_SIZE + 1], time[ES_TIME_TEXT_SIZE];
  es_buf *out = data;

  (void)err;
  if (out->data[out->length - 1] != '[') es__buf_byte(out, ',');
  es__buf_byte(out, '{');
  es__hex(hex, segment->sha256, ES_HASH_SIZE);
  es_time_text(time, segment->created_at);
  write_member(out, "created_at", time);
  write_member(out, "file", segment->name);
  write_number(out, "file_bytes", segment->file_bytes);
  write_member(out, "folder", segment->folder);
  write_number(out, "from", segment->first);
  write_member(out, "path", path);
  write_member(out, "sha256", hex);
  write_number(out, "text_bytes", segment->text_bytes);
  write_number(out, "to", segment->last);
  es__buf_byte(out, '}');
  return out->failed ? ES_ERR_OTHER : ES_OK;
}

es_status es_segments(char **out, es_runtime *rt, es_error *err) {
  es_buf list = {0};

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = NULL;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  es__buf_byte(&list, '[');
  es_status status =
      list.failed ? ES_OK : es__archive_segments(rt->store, write_segment, &list, err);
  es__buf_byte(&list, ']');
  if (list.failed) status = es__no_memory(err);
  if (status == ES_OK) *out = es__buf_take(&list, NULL);
  if (status == ES_OK && *out == NULL) status = es__no_memory(err);
  es__buf_free(&list);
  return status;
}

es_status es_compact(es_runtime *rt, es_error *err) {
  es_status status = check_idle(rt, err);
  return status == ES_OK ? es__archive_compact(rt->store, err) : status;
}
