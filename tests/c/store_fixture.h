/* store_fixture: what the store's tests share: stores of both kinds in a folder of their own, events, a settable clock, and
 * the small verifier that recomputes a chain through an ordinary read. */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* nftw */
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "store/store.h"

#define T0 INT64_C(1705312800000000) /* 2024-01-15T10:00:00Z */

typedef struct fixture {
  char folder[64];
  char path[128];
  int64_t clock;
  es_id_source ids;
  es_store *store;
  es_error err;
} fixture;

static int64_t fixture_clock(void *data) { return ((fixture *)data)->clock; }

static int remove_entry(const char *path, const struct stat *what, int flag, struct FTW *walk) {
  (void)what, (void)flag, (void)walk;
  return remove(path);
}

static inline void fixture_make(fixture *f) {
  memset(f, 0, sizeof *f);
  snprintf(f->folder, sizeof f->folder, "/tmp/esrun-store-XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  snprintf(f->path, sizeof f->path, "%s/store.db", f->folder);
  f->clock = T0;
  f->ids.clock = fixture_clock;
  f->ids.clock_data = f;
}

static inline void fixture_remove(fixture *f) {
  es__store_close(f->store);
  nftw(f->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static inline es_status fixture_open(fixture *f) {
  return es__store_open_sqlite(&f->store, f->path, NULL, &f->ids, &f->err);
}

static inline void fixture_reopen(fixture *f) {
  es__store_close(f->store);
  f->store = NULL;
  assert_int_equal(fixture_open(f), ES_OK);
}

/* An event of Type/id with everything that must be there. Texts must outlive it. */
static inline es_event make_event(fixture *f, const char *type, const char *id,
                                  const char *event_type) {
  es_event event = {0};
  es__id_new(&f->ids, event.event_id);
  es__id_new(&f->ids, event.correlation_id);
  event.aggregate_type = es__text(type);
  event.aggregate_id = es__text(id);
  event.event_type = es__text(event_type);
  event.schema_version = 1;
  event.actor_id = es__text("user:alice");
  event.occurred_at = f->clock;
  event.data = es__text("{\"n\":1}");
  event.metadata = es__text("{}");
  return event;
}

static inline es_status append_events(fixture *f, es_event *events, size_t count) {
  es_commit commit = {.events = events, .event_count = count, .now = f->clock};
  return es__store_append(f->store, &commit, &f->err);
}

/* The reply to a command that led to this one event, of that version. */
static inline es_reply_record reply_with(char body[128], const es_event *event, int64_t version) {
  es_reply_record reply = {.event_count = 1, .created_at = event->occurred_at};
  char id[ES_ID_TEXT_SIZE];
  es_id_text(id, event->correlation_id);
  snprintf(body, 128, "{\"correlation_id\":\"%s\",\"outcome\":\"ok\",\"version\":%lld}", id,
           (long long)version);
  reply.body = es__text(body);
  return reply;
}

static inline void must_append(fixture *f, es_event event) {
  if (append_events(f, &event, 1) != ES_OK) fail_msg("append: %s", f->err.message);
}

static inline int64_t head_position(fixture *f) {
  es_store_head head;
  assert_int_equal(es__store_head_of(&head, f->store, &f->err), ES_OK);
  return head.position;
}

/* ---- A small verifier ---- */

typedef struct damage {
  int count;
  char kind[ES_ERROR_CODE_MAX];
  int64_t position;
  char message[ES_ERROR_MESSAGE_MAX];
} damage;

static inline void note_damage(void *data, const char *kind, int64_t position,
                               const char *message) {
  damage *found = data;
  if (found->count++ > 0) return;
  snprintf(found->kind, sizeof found->kind, "%s", kind);
  found->position = position;
  snprintf(found->message, sizeof found->message, "%s", message);
}

/* Recomputes hashes, links, positions and times; the number of events read. */
static inline int64_t verify_chain(damage *found, es_store *store) {
  uint8_t previous[ES_HASH_SIZE] = {0}, hash[ES_HASH_SIZE];
  es_error err = ES_ERROR_INIT;
  es_store_cursor *cursor = NULL;
  const es_event *event = NULL;
  int64_t position = 0, recorded_at = INT64_MIN;
  es_status status = es__store_read(&cursor, store, NULL, &err);

  while (status == ES_OK && (status = es__store_next(&event, cursor, &err)) == ES_OK) {
    if (event == NULL) break;
    position++;
    if (event->position != position)
      note_damage(found, "position_gap", event->position, "positions have a gap");
    position = event->position;
    if (memcmp(event->previous_hash, previous, ES_HASH_SIZE) != 0)
      note_damage(found, "previous_hash", position, "the link is broken");
    if (es__chain_hash(store->chain, hash, event, &err) != ES_OK ||
        memcmp(hash, event->hash, ES_HASH_SIZE) != 0)
      note_damage(found, "hash", position, "the hash is another");
    if (event->recorded_at < recorded_at)
      note_damage(found, "time_order", position, "recorded before its predecessor");
    recorded_at = event->recorded_at;
    memcpy(previous, event->hash, ES_HASH_SIZE);
  }
  if (status != ES_OK) note_damage(found, err.code, err.position, err.message);
  es__store_cursor_close(cursor);
  return position;
}

/* The chain, then everything derived. */
static inline int64_t verify_store(damage *found, es_store *store) {
  es_error err = ES_ERROR_INIT;
  memset(found, 0, sizeof *found);
  if (es__store_check(store, note_damage, found, &err) != ES_OK)
    note_damage(found, "check", 0, err.message);
  return verify_chain(found, store);
}

static inline void assert_sound(es_store *store, int64_t event_count) {
  damage found;
  int64_t count = verify_store(&found, store);
  if (found.count > 0)
    fail_msg("%s at %lld: %s", found.kind, (long long)found.position, found.message);
  assert_int_equal(count, event_count);
}

#endif
