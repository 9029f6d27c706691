/* snapshot_support: what the tests of snapshots share: a project with an aggregate whose state holds everything that can be kept, and
 * short calls. */
#ifndef SNAPSHOT_SUPPORT_H
#define SNAPSHOT_SUPPORT_H

#include "engine_support.h"

#include <sqlite3.h>

/* A state with everything that JSON can hold: lists with and without the metatable that empty again, numbers, null, nil. */
static const char basket_lua[] =
    "local es = require 'es'\n"
    "local Basket = es.aggregate 'Basket'\n"
    "Basket.events = { Added = { n = 'integer' }, Removed = {}, Marked = { n = 'integer' } }\n"
    "function Basket.initial() return { plain = {}, marked = es.array {}, by_name = {}, sum = 0 } "
    "end\n"
    "Basket.apply = {\n"
    "  Added = function(b, e)\n"
    "    local n = e.data.n\n"
    "    b.plain[#b.plain + 1] = n\n"
    "    b.marked[#b.marked + 1] = { n = n, half = n / 2, deep = { { n } } }\n"
    "    b.by_name['n' .. n % 5] = n % 3 == 0 and es.null or n * 1.0\n"
    "    b.sum, b.last = b.sum + n, e.event_id\n"
    "    if n % 4 == 0 then b.big = math.mininteger + n else b.big = nil end\n"
    "  end,\n"
    "  Removed = function(b)\n"
    "    b.plain[#b.plain], b.marked[#b.marked] = nil, nil\n"
    "    b.by_name[next(b.by_name) or ''] = nil\n"
    "  end,\n"
    "  Marked = function(b, e) if e.data.n == 13 then b.twice = b.by_name else b.nan = 0/0 end "
    "end,\n"
    "}\n"
    "local function of(name) return { params = { n = 'integer' }, allow = function() return true "
    "end,\n"
    "  decide = function(_, cmd) return es.event(name, { n = cmd.n }) end } end\n"
    "Basket.commands = { add = of 'Added', mark = of 'Marked', remove = {\n"
    "  allow = function() return true end, decide = function() return es.event('Removed', {}) end "
    "} }\n";

static inline void write_basket(const engine *self, const char *more) {
  char text[4096];
  snprintf(text, sizeof text, "%s%s\nreturn Basket\n", basket_lua, more);
  write_file(self, "aggregates/basket.lua", text);
}

static inline const char *store_of(const engine *self) {
  static char path[128];
  snprintf(path, sizeof path, "%s/store.db", self->folder);
  return path;
}

static inline void reopen(engine *self) {
  es_close(self->rt);
  self->rt = NULL;
  open_engine(self, store_of(self));
}

static inline int setup_with(void **state, const char *more) {
  engine *self = malloc(sizeof *self);
  new_project(self);
  write_basket(self, more);
  open_engine(self, store_of(self));
  *state = self;
  return 0;
}

static inline int setup(void **state) { return setup_with(state, ""); }
static inline int setup_every_4(void **state) {
  return setup_with(state, "Basket.snapshot = { every = 4 }");
}
static inline int setup_daily(void **state) {
  return setup_with(state, "Basket.snapshot = { daily = true }");
}
static inline int setup_bytes(void **state) {
  return setup_with(state, "Basket.snapshot = { bytes = 30 }");
}

static inline int teardown(void **state) {
  engine *self = *state;
  remove_project(self);
  free(self);
  return 0;
}

static inline void add(engine *self, const char *id, int n) {
  char params[32];
  snprintf(params, sizeof params, "{\"n\":%d}", n);
  succeeds(self, "Basket", id, "add", params);
}

static inline void add_many(engine *self, const char *id, int count) {
  for (int i = 0; i < count; i++)
    add(self, id, i);
}

static inline es_snapshot_report take(engine *self, const char *id) {
  es_snapshot_report report;
  if (es_snapshot(&report, self->rt, "Basket", id, &self->err) != ES_OK)
    fail_msg("es_snapshot: %s", self->err.message);
  return report;
}

/* es_load()'s JSON, at a version (0: now); the caller frees it. */
static inline char *load_at(engine *self, const char *id, int64_t version) {
  es_load_options options = ES_LOAD_INIT;
  char *out = NULL;
  options.at_version = version;
  if (es_load(&out, self->rt, "Basket", id, &options, &self->err) != ES_OK)
    fail_msg("es_load: %s", self->err.message);
  return out;
}

static inline int raw(engine *self, const char *sql) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(store_of(self), &db), SQLITE_OK);
  int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
  sqlite3_close(db);
  return rc;
}

typedef struct listing {
  char text[4096];
  size_t length;
} listing;

static inline bool take_row(void *data, const char *row, size_t length) {
  listing *to = data;
  to->length += (size_t)snprintf(to->text + to->length, sizeof to->text - to->length, "%.*s\n",
                                 (int)length, row);
  return true;
}

static inline const char *list(engine *self, const char *id) {
  static listing all;
  all = (listing){.length = 0};
  assert_int_equal(
      es_snapshots(self->rt, id == NULL ? NULL : "Basket", id, take_row, &all, &self->err), ES_OK);
  return all.text;
}

static inline int count_of(const char *text, const char *what) {
  int count = 0;
  for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
    count++;
  return count;
}

static inline es_status replays(engine *self) {
  es_replay_options options = ES_REPLAY_INIT;
  es_replay_report report;
  options.check = true;
  return es_replay(&report, self->rt, &options, &self->err);
}

/* Without its first events a stream can no longer be folded from the beginning. */
static inline void lose_events_up_to(engine *self, int64_t position) {
  char sql[160];
  snprintf(sql, sizeof sql,
           "DROP TRIGGER events_no_delete; DELETE FROM events WHERE position <= %lld",
           (long long)position);
  assert_int_equal(raw(self, sql), SQLITE_OK);
}

#define WITH(begin, test) cmocka_unit_test_setup_teardown(test, begin, teardown)

#endif
