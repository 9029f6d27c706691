/* verify: recomputes every hash and link, and has the store check what it derives from the events. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "engine/runtime.h"

enum { PROGRESS_EVERY = 4096 };

typedef struct verification {
  es_runtime *rt;
  const es_verify_options *options;
  es_verify_report *report;
  es_error first; /* the first finding */
  int64_t total;
  int64_t last_position;
  int64_t last_recorded_at;
} verification;

static void found(void *data, const char *kind, int64_t position, const char *message) {
  verification *self = data;
  es_finding finding = {kind, position, message};

  if (self->report->finding_count++ == 0) {
    es__fail(&self->first, ES_ERR_INTEGRITY, kind, "%s", message);
    self->first.position = position;
  }
  if (self->options != NULL && self->options->finding != NULL)
    self->options->finding(self->options->finding_data, &finding);
}

static void report(verification *self, const char *kind, const es_event *event, const char *format,
                   long long expected) {
  char what[256], message[512];

  snprintf(what, sizeof what, format, expected);
  snprintf(message, sizeof message, "position %lld, %.*s/%.*s version %lld: %s",
           (long long)event->position, (int)event->aggregate_type.length,
           event->aggregate_type.data, (int)event->aggregate_id.length, event->aggregate_id.data,
           (long long)event->version, what);
  found(self, kind, event->position, message);
}

static es_status check_event(verification *self, const es_event *event, es_error *err) {
  es_verify_report *out = self->report;
  uint8_t hash[ES_HASH_SIZE];
  es_status status;

  if (event->position != self->last_position + 1) {
    report(self, "position_gap", event, "position %lld is missing before it",
           self->last_position + 1);
  } else if (memcmp(event->previous_hash, out->head_hash, ES_HASH_SIZE) != 0) {
    report(self, "previous_hash", event, "does not follow the event at position %lld",
           self->last_position);
  }
  status = es__chain_hash(self->rt->chain, hash, event, err);
  if (status != ES_OK) return status;
  if (memcmp(hash, event->hash, ES_HASH_SIZE) != 0) {
    report(self, "hash", event, "its content is not what was hashed", 0);
  }
  if (event->recorded_at < self->last_recorded_at) {
    report(self, "time_order", event, "recorded before the event at position %lld",
           self->last_position);
  }
  self->last_position = event->position;
  self->last_recorded_at = event->recorded_at;
  memcpy(out->head_hash, event->hash, ES_HASH_SIZE);
  out->event_count++;
  return ES_OK;
}

static bool keep_going(const verification *self) {
  const es_verify_options *options = self->options;

  if (options == NULL || options->progress == NULL ||
      self->report->event_count % PROGRESS_EVERY != 0)
    return true;
  return options->progress(options->progress_data, self->report->event_count, self->total);
}

/* A row that cannot even be read is a finding; reading goes on behind it. */
static es_status check_events(verification *self, es_error *err) {
  es_filter filter = ES_FILTER_INIT;
  es_store_cursor *cursor = NULL;
  const es_event *event = NULL;
  es_status status = es__store_read(&cursor, self->rt->store, &filter, err);

  while (status == ES_OK) {
    es_error problem = ES_ERROR_INIT;
    status = es__store_next(&event, cursor, &problem);
    if (status == ES_ERR_INTEGRITY && problem.position > self->last_position) {
      found(self, problem.code, problem.position, problem.message);
      es__store_cursor_close(cursor);
      cursor = NULL;
      filter.after_position = self->last_position = problem.position;
      memset(self->report->head_hash, 0, ES_HASH_SIZE); /* unknown: the next link is reported too */
      self->report->event_count++;
      status = es__store_read(&cursor, self->rt->store, &filter, err);
      continue;
    }
    if (status != ES_OK) {
      if (err != NULL) *err = problem;
      break;
    }
    if (event == NULL) break;
    status = check_event(self, event, err);
    if (!keep_going(self)) {
      status = es__fail(err, ES_ERR_OTHER, "stopped", "stopped at position %lld",
                        (long long)self->last_position);
    }
  }
  es__store_cursor_close(cursor);
  return status;
}

es_status es_verify(es_verify_report *out, es_runtime *rt, const es_verify_options *options,
                    es_error *err) {
  verification self = {.rt = rt, .options = options, .report = out, .first = ES_ERROR_INIT};
  es_store_head head;
  es_status status;

  *out = (es_verify_report){0};
  status = es__store_head_of(&head, rt->store, err);
  if (status == ES_OK) self.total = head.position;
  /* The store first: it also forgets the names it keeps in memory, so that the events are read with those of the file. */
  if (status == ES_OK) status = es__store_check(rt->store, found, &self, err);
  if (status == ES_OK) status = check_events(&self, err);
  if (status == ES_ERR_INTEGRITY || (status == ES_OK && out->finding_count > 0)) {
    if (out->finding_count == 0 && err != NULL)
      found(&self, err->code, err->position, err->message);
    if (err != NULL) *err = self.first;
    es__wrap(err, "%lld problem%s, the first", (long long)out->finding_count,
             out->finding_count == 1 ? "" : "s");
    es__hint(err, "keep this file as evidence; restore from a backup that verifies");
    return ES_ERR_INTEGRITY;
  }
  return status;
}
