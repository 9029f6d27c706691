/* scan: hashing a run of events again, in the read that also sums them up and compares the tree with them, and telling what was
 * done to those that do not fit. */
#include "engine/scan.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "store/archive.h"

enum { LOOK_EVERY = 4096, SEARCHES = 16, NEIGHBOURS = 32 };

static void report(es_scan *self, const char *kind, const char *fault, const es_event *event,
                   const char *format, long long number) {
  char what[256], message[640];

  snprintf(what, sizeof what, format, number);
  snprintf(message, sizeof message, "position %lld, %.*s/%.*s version %lld: %s",
           (long long)event->position, (int)event->aggregate_type.length,
           event->aggregate_type.data, (int)event->aggregate_id.length, event->aggregate_id.data,
           (long long)event->version, what);
  self->finding(self->finding_data, kind, event->position, fault, message);
}

/* ---- What was done ----------------------------------------------------------------------------------------- */

static bool hashes_at(es_scan *self, const es_event *event, int64_t position, int64_t version) {
  es_event moved = *event;
  uint8_t hash[ES_HASH_SIZE];

  moved.position = position;
  moved.version = version;
  return position > 0 && version > 0 &&
         es__chain_hash(self->store->chain, hash, &moved, NULL) == ES_OK &&
         memcmp(hash, event->hash, ES_HASH_SIZE) == 0;
}

/* The hash covers position and version, so an event that was moved hashes right where it stood. Whoever renumbers positions
 * renumbers the stream too. */
static bool stood_at(es_scan *self, const es_event *event, int64_t shift) {
  int64_t position, version = event->version;

  if (__builtin_add_overflow(event->position, shift, &position)) return false;
  return hashes_at(self, event, position, version) ||
         (shift != 0 && hashes_at(self, event, position, version + (shift > 0 ? 1 : -1)));
}

/* Looks near by. */
static bool find_shift(es_scan *self, int64_t *shift, const es_event *event) {
  *shift = self->shift;
  if (stood_at(self, event, *shift)) return true;
  if (self->searches-- <= 0) return false;
  for (int64_t distance = 0; distance <= NEIGHBOURS; distance++) {
    for (int sign = 1; sign >= -1; sign -= 2) {
      *shift = sign * distance;
      if (stood_at(self, event, *shift)) return true;
    }
  }
  return false;
}

/* Where near the event one with this hash stands; 0: nowhere. */
static int64_t position_of(es_scan *self, const uint8_t hash[ES_HASH_SIZE], int64_t near) {
  es_hash hashes[2 * NEIGHBOURS];
  int64_t after = near > NEIGHBOURS ? near - NEIGHBOURS : 0;
  size_t count = 0;

  if (es__store_hashes(hashes, &count, self->store, after, 2 * NEIGHBOURS, NULL) != ES_OK) return 0;
  for (size_t i = 0; i < count; i++) {
    if (memcmp(hashes[i].bytes, hash, ES_HASH_SIZE) == 0) return after + (int64_t)i + 1;
  }
  return 0;
}

/* What befell the event that should stand before this one. */
static const char *fault_before(es_scan *self, const es_event *event, bool moved) {
  int64_t predecessor = position_of(self, event->previous_hash, event->position);

  if (predecessor > event->position) return "reordered";
  if (predecessor > 0 && predecessor < event->position - 1) return "inserted";
  return moved ? "missing" : "edited";
}

static void judge_hash(es_scan *self, const es_event *event) {
  int64_t shift = 0;

  if (!find_shift(self, &shift, event)) {
    report(self, "hash", "edited", event, "its content is not what was hashed", 0);
    return;
  }
  if (shift == self->shift) return; /* moved along with those before it, which was told */
  const char *fault = fault_before(self, event, shift > self->shift);
  if (shift < self->shift && strcmp(fault, "edited") == 0) fault = "inserted";
  self->shift = shift;
  report(self, "hash", fault, event, "it was hashed as the event of position %lld",
         (long long)(event->position + shift));
}

static void found_in_tree(void *data, const char *kind, int64_t position, const char *message) {
  es_scan *self = data;
  self->finding(self->finding_data, kind, position, "forked", message);
}

/* Behind a gap every leaf would seem to be another, which says nothing. */
static void leave_tree(es_scan *self) {
  es__tree_check_free(self->tree);
  self->tree = NULL;
}

/* ---- Archived texts ---------------------------------------------------------------------------------------- */

/* The leaf was made of the marker: the texts must be those that it means. What makes many unreadable is told once. */
static es_status check_texts(es_scan *self, const es_event *event, es_error *err) {
  es_error why = ES_ERROR_INIT;
  es_event whole = *event;
  es_status status = es__archive_fetch(&whole, self->store, &why);

  self->archived_count++;
  if (status == ES_ERR_STORE && strcmp(why.code, "segment_missing") == 0) {
    if (self->unseen_count++ == 0) self->unseen_from = event->position;
    self->unseen_to = event->position;
    return ES_OK;
  }
  if (status == ES_ERR_INTEGRITY) {
    if (why.position != self->told_segment_at)
      self->finding(self->finding_data, why.code, event->position, "damaged", why.message);
    self->told_segment_at = why.position;
    return ES_OK;
  }
  if (status != ES_OK && err != NULL) *err = why;
  return status;
}

/* ---- One event --------------------------------------------------------------------------------------------- */

static es_status check_event(es_scan *self, const es_event *event, es_error *err) {
  uint8_t hash[ES_HASH_SIZE];
  bool linked =
      !self->knows_last || memcmp(event->previous_hash, self->last_hash, ES_HASH_SIZE) == 0;
  bool sound = event->position <= self->hash_after;

  if (!sound) {
    es_status status = es__chain_hash(self->store->chain, hash, event, err);
    if (status != ES_OK) return status;
    sound = memcmp(hash, event->hash, ES_HASH_SIZE) == 0;
  }
  if (event->position != self->last_position + 1) {
    leave_tree(self);
    report(self, "position_gap", "missing", event, "position %lld is missing before it",
           (long long)self->last_position + 1);
  } else if (!linked && sound) {
    report(self, "previous_hash", fault_before(self, event, self->shift != 0), event,
           "does not follow the event at position %lld", (long long)self->last_position);
  }
  if (sound) {
    self->shift = 0;
  } else {
    judge_hash(self, event);
  }
  if (event->recorded_at < self->last_recorded_at) {
    report(self, "time_order", "damaged", event, "recorded before the event at position %lld",
           (long long)self->last_position);
  }
  if (es__event_archived(event) && event->position > self->hash_after) {
    es_status status = check_texts(self, event, err);
    if (status != ES_OK) return status;
  }
  self->last_position = event->position;
  self->last_recorded_at = event->recorded_at;
  memcpy(self->last_hash, event->hash, ES_HASH_SIZE);
  self->knows_last = true;
  self->event_count++;
  return self->tree == NULL ? ES_OK : es__tree_check_leaf(self->tree, event->hash, err);
}

/* What stands before the run. */
static es_status start(es_scan *self, es_error *err) {
  es_filter filter = ES_FILTER_INIT;
  es_store_cursor *cursor = NULL;
  const es_event *event = NULL;
  es_status status;

  self->last_position = self->after;
  self->last_recorded_at = INT64_MIN;
  self->searches = SEARCHES;
  self->shift = 0;
  self->event_count = self->archived_count = self->unseen_count = self->told_segment_at = 0;
  self->unseen_from = self->unseen_to = 0;
  memset(self->last_hash, 0, sizeof self->last_hash);
  self->knows_last = self->after == 0;
  es__sums_part(&self->part, self->sums, self->after, self->to);
  status = es__tree_check_open(&self->tree, self->after, self->store, found_in_tree, self, err);
  if (status != ES_OK || self->after == 0) return status;
  filter.after_position = self->after - 1;
  filter.limit = 1;
  status = es__store_read(&cursor, self->store, &filter, err);
  if (status == ES_OK) {
    cursor->as_stored = true;
    status = es__store_next(&event, cursor, err);
  }
  if (status == ES_OK && event != NULL && event->position == self->after) {
    memcpy(self->last_hash, event->hash, ES_HASH_SIZE);
    self->knows_last = true;
    self->last_recorded_at = event->recorded_at;
  }
  es__store_cursor_close(cursor);
  return status == ES_ERR_INTEGRITY ? ES_OK : status; /* the run that has it tells */
}

static es_status stop_or_go(es_scan *self, es_error *err) {
  if (self->keep_going == NULL || self->event_count % LOOK_EVERY != 0 ||
      self->keep_going(self->keep_going_data, self->event_count))
    return ES_OK;
  return es__fail(err, ES_ERR_OTHER, "stopped", "stopped at position %lld",
                  (long long)self->last_position);
}

/* The events at the run's end; who reads on behind it cannot know. */
static void report_missing(es_scan *self) {
  char message[96];

  snprintf(message, sizeof message, "the events from position %lld to %lld are missing",
           (long long)self->last_position + 1, (long long)self->to);
  self->finding(self->finding_data, "position_gap", self->last_position + 1, "missing", message);
}

/* A row that cannot even be read is a finding; reading goes on behind it. */
static es_status look_at(void *data, const es_event *event, const es_error *why, es_error *err) {
  es_scan *self = data;

  if (event == NULL) {
    self->finding(self->finding_data, why->code, why->position, "damaged", why->message);
    leave_tree(self);
    self->last_position = why->position;
    memset(self->last_hash, 0, ES_HASH_SIZE);
    self->knows_last = false; /* the event behind it is not to blame */
    self->event_count++;
    return ES_OK;
  }
  es_status status = check_event(self, event, err);
  return status == ES_OK ? stop_or_go(self, err) : status;
}

es_status es__scan(es_scan *self, es_error *err) {
  es_status status = start(self, err);

  if (status == ES_OK)
    status = es__store_visit(self->store, self->after, self->to, &self->part, look_at, self, err);
  if (status == ES_OK && self->last_position < self->to) report_missing(self);
  if (status == ES_OK && self->tree != NULL) status = es__tree_check_finish(self->tree, err);
  leave_tree(self);
  return status;
}
