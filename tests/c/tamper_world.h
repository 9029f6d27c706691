/* tamper_world: a store with signed checkpoints, its past and a stranger beside it, and a verification of a damaged copy with
 * more or less help, for the tests of attacks. */
#ifndef ES_TESTS_TAMPER_WORLD_H
#define ES_TESTS_TAMPER_WORLD_H

#include "store_fixture.h"

#include <sqlite3.h>

#include "engine/runtime.h"
#include "store/tree.h"

typedef struct world {
  char folder[64];
  char base[128], old[128], other[128], file[128], memory[128], key[128];
  char *vkey, *note;
  uint32_t random;
  int64_t events;    /* in base */
  int64_t signed_to; /* of its last checkpoint */
} world;

static inline uint32_t next_random(world *w, uint32_t below) {
  w->random = w->random * 1664525u + 1013904223u;
  return (w->random >> 8) % below;
}

/* ---- Stores ------------------------------------------------------------------------------------------------ */

static int64_t now = T0;
static inline int64_t test_clock(void *data) {
  (void)data;
  return now += 1000;
}

static inline es_runtime *open_store(const char *path) {
  es_options options = ES_OPTIONS_INIT;
  es_error err = ES_ERROR_INIT;
  es_runtime *rt;
  options.store_path = path;
  options.clock = test_clock;
  if (es_open(&rt, &options, &err) != ES_OK) fail_msg("open %s: %s", path, err.message);
  return rt;
}

static inline void append(world *w, es_runtime *rt, int64_t count) {
  static const char *const ids[] = {"a", "b", "c", "d"};
  static const char *const actors[] = {"user:ann", "user:bob", "service:mail"};
  es_error err = ES_ERROR_INIT;
  char data[64];
  assert_int_equal(es__store_begin(rt->store, &err), ES_OK);
  for (int64_t i = 0; i < count; i++) {
    es_event event = {.aggregate_type = es__text("Account"),
                      .aggregate_id = es__text(ids[next_random(w, 4)]),
                      .event_type = es__text(next_random(w, 2) == 0 ? "Paid" : "Billed"),
                      .actor_id = es__text(actors[next_random(w, 3)]),
                      .schema_version = 1,
                      .occurred_at = now,
                      .metadata = es__text("{}")};
    es_commit commit = {.events = &event, .event_count = 1, .now = es__now(rt)};
    snprintf(data, sizeof data, "{\"cents\":%u}", next_random(w, 100000));
    event.data = es__text(data);
    es__id_new(&rt->ids, event.event_id);
    es__id_new(&rt->ids, event.correlation_id);
    if (es__store_append(rt->store, &commit, &err) != ES_OK) fail_msg("append: %s", err.message);
  }
  assert_int_equal(es__store_commit(rt->store, &err), ES_OK);
}

static inline char *sign(world *w, es_runtime *rt, const char *memory) {
  es_checkpoint_options options = ES_CHECKPOINT_INIT;
  es_signing_key key = {.path = w->key};
  es_error err = ES_ERROR_INIT;
  char *note;
  options.keys = &key;
  options.key_count = 1;
  options.memory_path = memory;
  if (es_checkpoint(&note, rt, &options, &err) != ES_OK) fail_msg("checkpoint: %s", err.message);
  return note;
}

/* Closing the last connection folds the write-ahead log into the file, so that a copy of it is whole. */
static inline void copy_file(const char *from, const char *to) {
  char buffer[65536], wal[160];
  size_t got;
  snprintf(wal, sizeof wal, "%s-wal", to);
  remove(wal);
  snprintf(wal, sizeof wal, "%s-shm", to);
  remove(wal);
  FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
  assert_non_null(in);
  assert_non_null(out);
  while ((got = fread(buffer, 1, sizeof buffer, in)) > 0)
    assert_int_equal(fwrite(buffer, 1, got, out), got);
  fclose(in);
  assert_int_equal(fclose(out), 0);
}

static inline void place(char out[128], const world *w, const char *name) {
  snprintf(out, 128, "%s/%s", w->folder, name);
}

/* A store with two checkpoints and events after them, its state at the first one, and another store signed by the same key. */
static inline void make_world(world *w, uint32_t seed) {
  es_keygen_options options = ES_KEYGEN_INIT;
  es_error err = ES_ERROR_INIT;
  es_runtime *rt;
  memset(w, 0, sizeof *w);
  w->random = seed * 2654435761u + 1;
  strcpy(w->folder, "/tmp/esrun-tamper-XXXXXX");
  assert_non_null(mkdtemp(w->folder));
  place(w->base, w, "base.db");
  place(w->old, w, "old.db");
  place(w->other, w, "other.db");
  place(w->file, w, "file.db");
  place(w->memory, w, "memory");
  place(w->key, w, "key");
  options.name = "example.com/ledger";
  options.path = w->key;
  if (es_keygen(&w->vkey, &options, &err) != ES_OK) fail_msg("%s", err.message);
  rt = open_store(w->base);
  append(w, rt, 10 + next_random(w, 20));
  es_free(sign(w, rt, w->memory));
  es_close(rt);
  copy_file(w->base, w->old);
  rt = open_store(w->base);
  append(w, rt, 10 + next_random(w, 20));
  w->note = sign(w, rt, w->memory);
  es_store_head head;
  assert_int_equal(es__store_head_of(&head, rt->store, &err), ES_OK);
  w->signed_to = head.position;
  append(w, rt, next_random(w, 5));
  assert_int_equal(es__store_head_of(&head, rt->store, &err), ES_OK);
  w->events = head.position;
  es_close(rt);
  rt = open_store(w->other);
  append(w, rt, w->events);
  es_free(sign(w, rt, ""));
  es_close(rt);
}

static inline void remove_world(world *w) {
  nftw(w->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
  es_free(w->vkey);
  es_free(w->note);
}

enum { HELP_NONE, HELP_KEY, HELP_ANCHOR, HELPS };

/* ---- Detection --------------------------------------------------------------------------------------------- */

typedef struct faults {
  const char *wanted;
  bool named;
  char all[512];
} faults;

static inline void note_fault(void *data, const es_finding *finding) {
  faults *seen = data;
  if (strcmp(finding->fault, seen->wanted) == 0) seen->named = true;
  size_t length = strlen(seen->all);
  snprintf(seen->all + length, sizeof seen->all - length, "%s (%s); ", finding->fault,
           finding->message);
}

/* Does verification say that something is wrong? */
static inline bool detects(world *w, int help, faults *seen, es_verify_report *report) {
  es_options options = ES_OPTIONS_INIT;
  es_verify_options verify = ES_VERIFY_INIT;
  const char *const keys[] = {w->vkey};
  es_anchor anchor = {"the auditor's", w->note};
  es_error err = ES_ERROR_INIT;
  es_runtime *rt = NULL;
  options.store_path = w->file;
  options.read_only = options.must_exist = true;
  verify.memory_path = "";
  verify.finding = note_fault;
  verify.finding_data = seen;
  if (help >= HELP_KEY) {
    verify.keys = keys;
    verify.key_count = 1;
  }
  if (help == HELP_ANCHOR) {
    verify.anchors = &anchor;
    verify.anchor_count = 1;
  }
  es_status status = es_open(&rt, &options, &err);
  if (status == ES_OK) status = es_verify(report, rt, &verify, &err);
  es_close(rt);
  if (status != ES_OK && status != ES_ERR_INTEGRITY && status != ES_ERR_STORE)
    fail_msg("%s", err.message);
  return status != ES_OK;
}

static inline int wanted_rounds(const char *name, int fallback) {
  const char *given = getenv(name);
  return given == NULL ? fallback : atoi(given);
}

#endif
