/* import_group: a group of events that are stored whole or not at all: in a thread of its own, while the next group is made. */
#include "engine/import.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { APPEND_MAX = 10000 }; /* what a store takes at once */

es_incoming *es__import_reserve(es_import_group *group, size_t size) {
  if (group->count == group->capacity) {
    size_t capacity = group->capacity == 0 ? 256 : group->capacity * 2;
    es_event *events = realloc(group->events, capacity * sizeof *events);
    if (events == NULL) return NULL;
    group->events = events;
    es_incoming *incoming = realloc(group->incoming, capacity * sizeof *incoming);
    if (incoming == NULL) return NULL;
    group->incoming = incoming;
    group->capacity = capacity;
  }
  es_incoming *out = &group->incoming[group->count];
  *out = (es_incoming){.texts = malloc(size)};
  return out->texts == NULL ? NULL : out;
}

static void drop(es_import_group *group) {
  for (size_t i = 0; i < group->count; i++)
    es__incoming_free(&group->incoming[i]);
  group->count = 0;
  group->ignored_count = 0;
}

void es__import_group_free(es_import_group *group) {
  drop(group);
  free(group->events);
  free(group->incoming);
}

/* ---- storing, in whatever thread ---- */

static es_status wrap_event(es_error *err, es_status status, const es_incoming *incoming) {
  return es__import_wrap(err, status, incoming->line, incoming->source_position);
}

static bool same_content(const es_import_group *group, const es_event *stored, size_t i) {
  if (group->form == ES_IMPORT_EXPORT) return es__import_same_export(stored, &group->incoming[i]);
  return es__import_same_mapped(stored, &group->events[i], &group->incoming[i]);
}

static es_status refuse_duplicate(es_import_group *group, size_t i, const char *where,
                                  es_error *err) {
  char text[ES_ID_TEXT_SIZE];

  es_id_text(text, group->events[i].event_id);
  es__fail(err, ES_ERR_CONFLICT, "duplicate_event_id", "event id %s %s", text, where);
  return wrap_event(err, ES_ERR_CONFLICT, &group->incoming[i]);
}

/* Where a table of kept events has event i's id: the slot holds the event's place + 1, or 0 when none is kept. */
static size_t *find_kept(const es_import_group *group, size_t *slots, size_t size, size_t i) {
  const uint8_t *id = group->events[i].event_id;
  uint64_t halves[2];

  memcpy(halves, id, sizeof halves);
  uint64_t mixed =
      (halves[0] ^ halves[1] * UINT64_C(0xD6E8FEB86659FD93)) * UINT64_C(0x9E3779B97F4A7C15);
  size_t at = (size_t)((mixed ^ mixed >> 32) % size);
  while (slots[at] != 0 && memcmp(group->events[slots[at] - 1].event_id, id, ES_ID_SIZE) != 0)
    at = (at + 1) % size;
  return &slots[at];
}

/* Event i is known when the store has it with the same content; with other content it is refused. */
static es_status find_known(bool *known, es_import_group *group, size_t i, es_error *err) {
  es_filter filter = ES_FILTER_INIT;
  char id[ES_ID_TEXT_SIZE];
  es_store_cursor *cursor = NULL;
  const es_event *stored = NULL;
  es_status status;

  *known = false;
  es_id_text(id, group->events[i].event_id);
  filter.event_id = id;
  status = es__store_read(&cursor, group->store, &filter, err);
  if (status == ES_OK) status = es__store_next(&stored, cursor, err);
  if (status == ES_OK && stored != NULL) {
    *known = group->append && same_content(group, stored, i);
    if (!*known)
      status = refuse_duplicate(group, i,
                                group->append ? "is stored already, with other content"
                                              : "is stored already, at another position",
                                err);
  }
  es__store_cursor_close(cursor);
  return status;
}

/* Drops what the store has already. Only when something is known to be there: a first import does not pay for it. */
static es_status drop_known(es_import_group *group, es_error *err) {
  size_t kept = 0, size = 2 * group->count;
  size_t *slots = calloc(size, sizeof *slots);
  es_status status = slots == NULL ? es__no_memory(err) : ES_OK;

  for (size_t i = 0; i < group->count && status == ES_OK; i++) {
    bool known = false;
    size_t *slot = find_kept(group, slots, size, i);
    if (*slot != 0) {
      known = group->append && same_content(group, &group->events[*slot - 1], i);
      if (!known) status = refuse_duplicate(group, i, "comes twice in the input", err);
    } else {
      status = find_known(&known, group, i, err);
    }
    if (status != ES_OK) break;
    es_incoming incoming = group->incoming[i];
    group->incoming[i] = (es_incoming){0};
    if (known) {
      es__incoming_free(&incoming);
      group->skipped_count++;
    } else {
      group->events[kept] = group->events[i];
      group->incoming[kept] = incoming;
      *slot = ++kept;
    }
  }
  free(slots);
  if (status == ES_OK) group->count = kept;
  return status;
}

static es_status check_head(const es_import_group *group, es_error *err) {
  const es_incoming *first = &group->incoming[0];
  es_store_head head;
  es_status status;

  if (group->append) return ES_OK;
  status = es__store_head_of(&head, group->store, err);
  if (status != ES_OK || (head.position == first->source_position - 1 &&
                          memcmp(head.hash, group->events[0].previous_hash, ES_HASH_SIZE) == 0))
    return status;
  es__fail(err, ES_ERR_CONFLICT, "store_moved", "the store was written to during the import");
  es__hint(err, "import again while nobody writes, or append");
  return wrap_event(err, ES_ERR_CONFLICT, first);
}

/* The store stamps versions and hashes; they must come out as the input says. */
static es_status check_stamps(const es_import_group *group, es_error *err) {
  for (size_t i = 0; i < group->count; i++) {
    const es_event *event = &group->events[i];
    const es_incoming *incoming = &group->incoming[i];
    if (incoming->version != 0 && incoming->version != event->version) {
      es__fail(err, group->append ? ES_ERR_CONFLICT : ES_ERR_INTEGRITY, "version_order",
               "version %lld of %.*s/%.*s is out of order: the next one here is %lld",
               (long long)incoming->version, (int)event->aggregate_type.length,
               event->aggregate_type.data, (int)event->aggregate_id.length,
               event->aggregate_id.data, (long long)event->version);
      if (group->append)
        es__hint(err, "the stream has other events here, or the input lacks its first ones");
      return wrap_event(err, group->append ? ES_ERR_CONFLICT : ES_ERR_INTEGRITY, incoming);
    }
    if (!group->append && memcmp(incoming->source_hash, event->hash, ES_HASH_SIZE) != 0) {
      es__fail(err, ES_ERR_INTEGRITY, "hash", "stored here, the event gets another hash");
      return wrap_event(err, ES_ERR_INTEGRITY, incoming);
    }
  }
  return ES_OK;
}

/* In commits of at most what the store takes at once: a mapping may make many events of a row. */
static es_status append_events(es_import_group *group, es_error *err) {
  es_commit commit = {.now = group->now,
                      .keep_recorded_at = !group->append,
                      .hashed = !group->append,
                      /* an appended line has new metadata since */
                      .checked = group->form != ES_IMPORT_EXPORT || !group->append,
                      .whole_group = true};
  es_status status = ES_OK;

  for (size_t at = 0; at < group->count && status == ES_OK; at += commit.event_count) {
    commit.events = group->events + at;
    commit.event_count = group->count - at < APPEND_MAX ? group->count - at : APPEND_MAX;
    status = es__store_append(group->store, &commit, err);
  }
  return status;
}

static es_status append_group(es_import_group *group, es_error *err) {
  es_error problem = ES_ERROR_INIT;
  es_status status = check_head(group, err);

  if (status != ES_OK) return status;
  status = append_events(group, &problem);
  if (status == ES_ERR_CONFLICT) { /* an event id that is there: see which, and begin again */
    es__store_rollback(group->store);
    status = es__store_begin(group->store, err);
    if (status == ES_OK) status = check_head(group, err);
    if (status == ES_OK) status = drop_known(group, err);
    if (status != ES_OK) return status;
    problem = (es_error)ES_ERROR_INIT;
    status = append_events(group, &problem);
  }
  if (status != ES_OK) {
    if (err != NULL) *err = problem;
    return es__import_wrap(err, status, group->line_count, 0);
  }
  return check_stamps(group, err);
}

/* Begins and ends in one thread: a writer's turn belongs to the thread that took it. */
static es_status store_group(es_import_group *group, es_error *err) {
  es_status status = es__store_begin(group->store, err);

  if (status != ES_OK) return status;
  status = append_group(group, err);
  if (status == ES_OK) return es__store_commit(group->store, err);
  es__store_rollback(group->store);
  return status;
}

static void *store_in_thread(void *data) {
  es_import_group *group = data;

  group->status = store_group(group, &group->error);
  return NULL;
}

/* ---- handing over ---- */

/* Signals are for the host's own threads. */
static bool start_thread(es_import *import) {
  sigset_t all, before;

  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = pthread_create(&import->storer, NULL, store_in_thread, &import->storing) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return started;
}

es_status es__import_settle(es_import *import, es_error *err) {
  es_import_group *group = &import->storing;

  if (!import->is_storing) return ES_OK;
  if (import->has_storer) pthread_join(import->storer, NULL);
  es_status status = group->status;
  import->is_storing = import->has_storer = false;
  if (status == ES_OK) {
    import->report.imported_count += (int64_t)group->count;
    import->report.skipped_count += group->skipped_count;
    import->report.ignored_count += group->ignored_count;
  } else {
    import->report.line_count =
        group->line_count; /* what came behind is as if it had not been read */
    if (err != NULL) *err = group->error;
  }
  drop(group);
  es__checkpoint_if_due(import->rt);
  return status;
}

/* Never while something is being stored: the clock is the host's, who may call the runtime from it. */
void es__import_look_at_clock(es_import *import) {
  import->now = es__now(import->rt);
  es__id_new(&import->rt->ids, import->row_id);
}

es_status es__import_store(es_import *import, es_error *err) {
  es_status status = es__import_settle(import, err);

  if (status != ES_OK) return status;
  es__import_look_at_clock(import);
  es_import_group empty = import->storing;
  import->storing = import->making;
  import->making = empty;
  es_import_group *group = &import->storing;
  group->skipped_count = 0;
  group->line_count = import->report.line_count;
  group->now = import->now;
  group->status = ES_OK;
  group->error = (es_error)ES_ERROR_INIT;
  import->is_storing = true;
  import->has_storer = group->count > 0 && start_thread(import);
  if (group->count > 0 && !import->has_storer) store_in_thread(group);
  return ES_OK;
}
