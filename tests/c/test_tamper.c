/* test_tamper: attacks by somebody who can write every byte of the database, each with many seeds: whether verification finds
 * them without help, with the verifier key, and with an anchor, as docs/guide/ledger.md has it in its table.
 * ESRUN_TAMPER_SEEDS makes it longer. */
#include "tamper_world.h"

/* ---- The attacker's tools ---------------------------------------------------------------------------------- */

/* Runs SQL on the file with no trigger in the way, and puts the triggers back, so that they give nothing away. */
static void raw(world *w, const char *sql) {
  enum { MAX = 40 };
  char *kept[MAX], *why = NULL;
  char drop[128];
  int count = 0;
  sqlite3 *db;
  sqlite3_stmt *get;
  assert_int_equal(sqlite3_open(w->file, &db), SQLITE_OK);
  /* Each trigger is a commit of its own, and an attacker need not survive a power cut. */
  assert_int_equal(sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db,
                                      "SELECT sql, name FROM sqlite_schema WHERE type = 'trigger'",
                                      -1, &get, NULL),
                   SQLITE_OK);
  char names[MAX][64];
  while (sqlite3_step(get) == SQLITE_ROW && count < MAX) {
    snprintf(names[count], sizeof names[count], "%s", (const char *)sqlite3_column_text(get, 1));
    kept[count++] = strdup((const char *)sqlite3_column_text(get, 0));
  }
  sqlite3_finalize(get);
  for (int i = 0; i < count; i++) {
    snprintf(drop, sizeof drop, "DROP TRIGGER %.63s", names[i]);
    assert_int_equal(sqlite3_exec(db, drop, NULL, NULL, NULL), SQLITE_OK);
  }
  if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s in: %s", why, sql);
  for (int i = 0; i < count; i++) {
    assert_int_equal(sqlite3_exec(db, kept[i], NULL, NULL, NULL), SQLITE_OK);
    free(kept[i]);
  }
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void raw_format(world *w, const char *format, ...) {
  char sql[4096];
  va_list args;
  va_start(args, format);
  vsnprintf(sql, sizeof sql, format, args);
  va_end(args);
  raw(w, sql);
}

/* Moves everything behind position p on by one (-1: back), in the order of positions and in p's stream. */
static void shift(world *w, int64_t p, int by) {
  raw_format(w,
             "UPDATE events SET version = -(version + (%d)) WHERE position > %lld AND stream_id ="
             " (SELECT stream_id FROM events WHERE position = %lld);"
             "DELETE FROM events WHERE position = %lld;"
             "UPDATE events SET version = -version WHERE version < 0;"
             "UPDATE events SET position = -(position + (%d)) WHERE position > %lld;"
             "UPDATE events SET position = -position WHERE position < 0;",
             by, (long long)p, (long long)p, by < 0 ? (long long)p : 0, by, (long long)p);
}

/* Copies the base into a new file, event by event, with everything recomputed; the event at `changed` gets another content,
 * and only the first `count` are taken. The store's identity is kept. */
static void rewrite(world *w, int64_t changed, int64_t count) {
  es_runtime *from = open_store(w->base), *to;
  es_filter filter = ES_FILTER_INIT;
  es_store_cursor *cursor;
  const es_event *event;
  es_error err = ES_ERROR_INIT;
  remove(w->file);
  to = open_store(w->file);
  assert_int_equal(es__store_read(&cursor, from->store, &filter, &err), ES_OK);
  assert_int_equal(es__store_begin(to->store, &err), ES_OK);
  while (count-- > 0) {
    assert_int_equal(es__store_next(&event, cursor, &err), ES_OK);
    es_event copy = *event;
    es_commit commit = {.events = &copy, .event_count = 1, .keep_recorded_at = true};
    if (copy.position == changed) copy.data = es__text("{\"cents\":1}");
    if (es__store_append(to->store, &commit, &err) != ES_OK) fail_msg("%s", err.message);
  }
  assert_int_equal(es__store_commit(to->store, &err), ES_OK);
  es__store_cursor_close(cursor);
  es_close(from);
  es_close(to);
  raw_format(w,
             "ATTACH '%s' AS base; DELETE FROM store; INSERT INTO store SELECT * FROM base.store;"
             "DETACH base",
             w->base);
}

/* ---- The attacks ------------------------------------------------------------------------------------------- */

/* A position that the anchor covers; the last is left out where something must follow. */
static int64_t some_position(world *w) { return 1 + next_random(w, (uint32_t)w->signed_to - 1); }

static void edit(world *w) {
  raw_format(w, "UPDATE events SET data = '{\"cents\":1}' WHERE position = %lld",
             (long long)some_position(w));
}

static void delete_one(world *w) {
  int64_t p = some_position(w);
  if (next_random(w, 2) == 0) {
    raw_format(w, "DELETE FROM events WHERE position = %lld", (long long)p);
  } else {
    shift(w, p, -1);
  }
}

/* A copy of event p behind it, under another id; with `data` as its content. */
static void insert_after(world *w, int64_t p, const char *data) {
  shift(w, p, 1);
  raw_format(
      w,
      "INSERT INTO events SELECT position + 1, randomblob(16), stream_id, version + 1, tenant,"
      " aggregate_type, event_type, schema_version, actor, correlation_id, causation_id,"
      " occurred_at, recorded_at, hash, %s, %s, metadata FROM events WHERE position = %lld",
      data == NULL ? "hash" : "randomblob(32)", data == NULL ? "data" : data, (long long)p);
}

static void insert(world *w) { insert_after(w, some_position(w), "'{\"cents\":1}'"); }
static void duplicate(world *w) { insert_after(w, some_position(w), NULL); }

static void swap(world *w) {
  int64_t p = some_position(w);
  raw_format(w,
             "UPDATE events SET position = -1 WHERE position = %lld;"
             "UPDATE events SET position = %lld WHERE position = %lld;"
             "UPDATE events SET position = %lld WHERE position = -1;",
             (long long)p, (long long)p, (long long)p + 1, (long long)p + 1);
}

/* With tree and checkpoints cut to match: nothing in the file says that there was more. */
static void truncate_tail(world *w) { rewrite(w, 0, some_position(w)); }

static void roll_back(world *w) { copy_file(w->old, w->file); }

static void rewrite_all(world *w) {
  rewrite(w, some_position(w), w->events);
  es_runtime *rt = open_store(w->file);
  es_error err = ES_ERROR_INIT;
  int64_t size;
  assert_int_equal(es__tree_grow(&size, INT64_MAX, rt->store, &err), ES_OK);
  es_close(rt);
}

/* Only what stands behind the first checkpoint, which is left there and agrees: nobody signs anything. */
static void rewrite_the_end(world *w) {
  es_runtime *rt = open_store(w->old);
  es_store_head head;
  es_error err = ES_ERROR_INIT;
  int64_t size;
  assert_int_equal(es__store_head_of(&head, rt->store, &err), ES_OK);
  es_close(rt);
  rewrite(w, head.position + 1 + next_random(w, (uint32_t)(w->signed_to - head.position)),
          w->events);
  rt = open_store(w->file);
  assert_int_equal(es__tree_grow(&size, INT64_MAX, rt->store, &err), ES_OK);
  es_close(rt);
  raw_format(
      w, "ATTACH '%s' AS old; INSERT INTO checkpoints SELECT * FROM old.checkpoints; DETACH old",
      w->old);
}

static void rewrite_and_sign(world *w) {
  rewrite(w, some_position(w), w->events);
  es_runtime *rt = open_store(w->file);
  es_free(sign(w, rt, ""));
  es_close(rt);
}

static void delete_checkpoints(world *w) { raw(w, "DELETE FROM checkpoints"); }

static void graft(world *w) {
  raw_format(w,
             "ATTACH '%s' AS other; DELETE FROM tiles; DELETE FROM checkpoints;"
             "INSERT INTO tiles SELECT * FROM other.tiles;"
             "INSERT INTO checkpoints SELECT * FROM other.checkpoints; DETACH other",
             w->other);
}

/* An index is made again without one event, under a definition that is then put back. */
static void unindex(world *w) {
  static const char *const indexes[][2] = {{"events_by_actor", "actor"},
                                           {"events_by_event_type", "event_type"},
                                           {"events_by_correlation", "correlation_id"}};
  uint32_t which = next_random(w, 3);
  const char *name = indexes[which][0], *column = indexes[which][1];
  raw_format(w,
             "PRAGMA writable_schema = ON;"
             "UPDATE sqlite_schema SET sql = sql || ' WHERE position <> %lld' WHERE name = '%s'",
             (long long)some_position(w), name);
  raw_format(w,
             "REINDEX %s; PRAGMA writable_schema = ON;"
             "UPDATE sqlite_schema SET sql = 'CREATE INDEX %s ON events (%s)' WHERE name = '%s'",
             name, name, column, name);
}

static const struct {
  const char *name;
  void (*attack)(world *);
  bool found[HELPS]; /* the table of docs/guide/ledger.md */
  const char *fault; /* what an anchored verification calls it */
} attacks[] = {
    {"edit an event", edit, {true, true, true}, "edited"},
    {"delete an event", delete_one, {true, true, true}, "missing"},
    {"insert an event", insert, {true, true, true}, "inserted"},
    {"swap two events", swap, {true, true, true}, "reordered"},
    {"duplicate an event", duplicate, {true, true, true}, "inserted"},
    {"cut off the tail, and the tree", truncate_tail, {false, false, true}, "rolled_back"},
    {"put back an older file", roll_back, {false, false, true}, "rolled_back"},
    {"rewrite everything", rewrite_all, {false, false, true}, "forked"},
    {"rewrite behind an older checkpoint", rewrite_the_end, {false, false, true}, "forked"},
    {"rewrite and sign with the stolen key", rewrite_and_sign, {false, false, true}, "re_signed"},
    {"delete the checkpoints", delete_checkpoints, {false, false, true}, "missing"},
    {"graft another store's tree", graft, {true, true, true}, "foreign"},
    {"remove an index entry", unindex, {true, true, true}, "damaged"},
};
enum { ATTACKS = sizeof attacks / sizeof attacks[0] };

static void every_attack_is_found_as_documented(void **state) {
  int seeds = wanted_rounds("ESRUN_TAMPER_SEEDS", 3);
  int found[ATTACKS][HELPS] = {{0}}, named[ATTACKS] = {0};
  (void)state;
  for (int seed = 1; seed <= seeds; seed++) {
    world w;
    make_world(&w, (uint32_t)seed);
    for (int i = 0; i < ATTACKS; i++) {
      copy_file(w.base, w.file);
      attacks[i].attack(&w);
      for (int help = 0; help < HELPS; help++) {
        faults seen = {.wanted = attacks[i].fault};
        es_verify_report report;
        bool detected = detects(&w, help, &seen, &report);
        found[i][help] += detected;
        if (help == HELP_ANCHOR && seen.named) named[i]++;
        if (detected != attacks[i].found[help]) {
          fail_msg("seed %d: %s, help %d: %s: %s", seed, attacks[i].name, help,
                   detected ? "found" : "not found", seen.all);
        }
        if (help == HELP_ANCHOR && !seen.named)
          fail_msg("seed %d: %s is not called %s: %s", seed, attacks[i].name, attacks[i].fault,
                   seen.all);
        /* what was missed is never vouched for */
        if (!detected && attacks[i].attack != delete_checkpoints &&
            attacks[i].attack != rewrite_and_sign && attacks[i].attack != roll_back &&
            (attacks[i].attack != rewrite_the_end || help == HELP_NONE))
          assert_int_equal(report.signed_to, 0);
      }
    }
    remove_world(&w);
  }
  printf("%-40s %8s %8s %8s  %s\n", "attack, found of", "no help", "key", "anchor", "called");
  for (int i = 0; i < ATTACKS; i++) {
    printf("%-40s %4d/%-4d %3d/%-4d %3d/%-4d  %s %d/%d\n", attacks[i].name, found[i][0], seeds,
           found[i][1], seeds, found[i][2], seeds, attacks[i].fault, named[i], seeds);
  }
}

static void an_untouched_store_is_fine_and_says_how_far(void **state) {
  world w;
  es_verify_report report;
  faults seen = {.wanted = ""};
  (void)state;
  make_world(&w, 7);
  copy_file(w.base, w.file);
  assert_false(detects(&w, HELP_NONE, &seen, &report));
  assert_int_equal(report.signed_to, 0);
  assert_false(detects(&w, HELP_KEY, &seen, &report));
  assert_int_equal(report.anchored_to, 0);
  assert_int_equal(report.signed_to, w.signed_to);
  assert_false(detects(&w, HELP_ANCHOR, &seen, &report));
  assert_int_equal(report.anchored_to, w.signed_to);
  assert_int_equal(report.event_count, w.events);
  remove_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_untouched_store_is_fine_and_says_how_far),
      cmocka_unit_test(every_attack_is_found_as_documented),
  };
  return cmocka_run_group_tests_name("tamper", tests, NULL, NULL);
}
