/* sqlite_index: do the indexes of the events hold what the events say? Each is walked once, in its own order, instead of being
 * looked up for every event: sums of both sides agree (store/sums.h), and an index whose entries rise from one to the next
 * finds each of them. The walks see versions and streams in order on the way. Changes nothing. */
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "store/sqlite.h"

enum { FINDINGS_PER_WALK = 100 };

/* In the order of es_sums. */
enum {
  BY_ID,
  BY_STREAM,
  BY_TENANT,
  BY_TYPE,
  BY_EVENT_TYPE,
  BY_ACTOR,
  BY_CORRELATION,
  BY_CAUSATION
};

/* An index orders by one number, one id or two numbers. The partial ones' conditions repeat the schema's. SQLite believes that
 * of tenants and leaves no entry out; entries of the last index without a cause it passes over, here as in every query. */
static const struct {
  const char *name;
  const char *key;
  const char *condition; /* of a partial index; "": none */
  bool unique;
} indexes[ES__SQLITE_EVENT_INDEXES] = {
    [BY_ID] = {"events_by_id", "event_id", "", true},
    [BY_STREAM] = {"events_by_stream", "stream_id, version", "", true},
    [BY_TENANT] = {"events_by_tenant", "tenant", "tenant <> 0 AND ", false},
    [BY_TYPE] = {"events_by_aggregate_type", "aggregate_type", "", false},
    [BY_EVENT_TYPE] = {"events_by_event_type", "event_type", "", false},
    [BY_ACTOR] = {"events_by_actor", "actor", "", false},
    [BY_CORRELATION] = {"events_by_correlation", "correlation_id", "", false},
    [BY_CAUSATION] = {"events_by_causation", "causation_id", "causation_id IS NOT NULL AND ",
                      false},
};

/* ---- Entries ----------------------------------------------------------------------------------------------- */

/* Numbers and ids as unsigned numbers that compare as SQLite orders them. */
static uint64_t of_number(int64_t number) { return (uint64_t)number ^ (uint64_t)1 << 63; }

static uint64_t of_bytes(const uint8_t *bytes) {
  uint64_t value;
  memcpy(&value, bytes, sizeof value);
  return be64toh(value);
}

static void add_number(es_sums *sums, int index, int64_t number, int64_t position) {
  es__sums_add(sums, index, (es_sums_entry){of_number(number), 0, position});
}

static void add_id(es_sums *sums, int index, const uint8_t id[ES_ID_SIZE], int64_t position) {
  es__sums_add(sums, index, (es_sums_entry){of_bytes(id), of_bytes(id + 8), position});
}

void es__sqlite_sum_event(es_sums *sums, const es_event *event, const es_event_names *names) {
  int64_t position = event->position;

  add_id(sums, BY_ID, event->event_id, position);
  es__sums_add(sums, BY_STREAM,
               (es_sums_entry){of_number(names->stream), of_number(event->version), position});
  if (names->tenant != ES__SQLITE_NONE) add_number(sums, BY_TENANT, names->tenant, position);
  add_number(sums, BY_TYPE, names->type, position);
  add_number(sums, BY_EVENT_TYPE, names->event_type, position);
  add_number(sums, BY_ACTOR, names->actor, position);
  add_id(sums, BY_CORRELATION, event->correlation_id, position);
  if (event->has_causation) add_id(sums, BY_CAUSATION, event->causation_id, position);
}

/* ---- Walking ----------------------------------------------------------------------------------------------- */

typedef struct walk {
  es_sqlite *store;
  int index;
  es_sums *sums;
  es_store_finding finding;
  void *data;
  int found;
  int64_t head;       /* of the snapshot at hand */
  es_sums_entry last; /* the entry before */
  bool started;
  int64_t stream, version; /* of BY_STREAM: the last */
} walk;

static void tell(walk *self, const char *kind, const char *format, ...) ES_PRINTF(3, 4);

static void tell(walk *self, const char *kind, const char *format, ...) {
  char message[160];
  va_list args;

  if (self->found++ >= FINDINGS_PER_WALK) return;
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  self->finding(self->data, kind, 0, message);
}

static bool read_number(uint64_t *out, sqlite3_value *value) {
  if (sqlite3_value_type(value) != SQLITE_INTEGER) return false;
  *out = of_number(sqlite3_value_int64(value));
  return true;
}

static bool read_id(es_sums_entry *out, sqlite3_value *value) {
  if (sqlite3_value_type(value) != SQLITE_BLOB) return false;
  const uint8_t *id = sqlite3_value_blob(value);
  if (sqlite3_value_bytes(value) != ES_ID_SIZE) return false;
  out->first = of_bytes(id);
  out->second = of_bytes(id + 8);
  return true;
}

static bool read_entry(es_sums_entry *out, int index, sqlite3_value **values) {
  *out = (es_sums_entry){.position = sqlite3_value_int64(values[0])};
  if (index == BY_STREAM)
    return read_number(&out->first, values[1]) && read_number(&out->second, values[2]);
  if (index == BY_ID || index == BY_CORRELATION || index == BY_CAUSATION)
    return read_id(out, values[1]);
  return read_number(&out->first, values[1]);
}

static bool follows(const walk *self, const es_sums_entry *entry) {
  const es_sums_entry *last = &self->last;

  if (!self->started || entry->first > last->first) return true;
  if (entry->first < last->first) return false;
  if (entry->second != last->second) return entry->second > last->second;
  return !indexes[self->index].unique && entry->position > last->position;
}

/* Streams are numbered from 1 as they begin, versions in each. */
static void look_at_version(walk *self, int64_t stream, int64_t version) {
  if (stream != self->stream) {
    if (stream != self->stream + 1)
      tell(self, "stream", "the events' streams go on from %lld with %lld: one has no events",
           (long long)self->stream, (long long)stream);
    self->version = 0;
  }
  if (version != self->version + 1)
    tell(self, "version_gap", "stream %lld goes on from version %lld with version %lld",
         (long long)stream, (long long)self->version, (long long)version);
  self->stream = stream;
  self->version = version;
}

/* SQLite calls it with the position and the key of each entry, as a condition that none meets: this costs half of what
 * handing out rows does. */
static void look_at(sqlite3_context *context, int count, sqlite3_value **values) {
  walk *self = sqlite3_user_data(context);
  const char *name = indexes[self->index].name;
  es_sums_entry entry;

  (void)count;
  if (!read_entry(&entry, self->index, values)) {
    tell(self, "index", "an entry of index %s is malformed, of position %lld", name,
         (long long)entry.position);
    return;
  }
  if (!follows(self, &entry))
    tell(self, "index", "index %s is out of order at its entry of position %lld", name,
         (long long)entry.position);
  if (entry.position < 1 || entry.position > self->head)
    tell(self, "index", "index %s has an entry of position %lld, where no event is", name,
         (long long)entry.position);
  es__sums_take(self->sums, self->index, entry);
  self->started = true;
  self->last = entry;
  if (self->index == BY_STREAM)
    look_at_version(self, sqlite3_value_int64(values[1]), sqlite3_value_int64(values[2]));
}

static void finish(walk *self) {
  if (self->index != BY_STREAM) return;
  int64_t streams = es__sqlite_ask_integer(
      self->store->db, "SELECT coalesce(max(stream_id), 0) FROM streams", self->stream);
  if (streams != self->stream)
    tell(self, "stream", "there are streams up to %lld, and events of streams up to %lld",
         (long long)streams, (long long)self->stream);
}

/* In the index's order, in which SQLite need not sort. */
static int visit(walk *self) {
  sqlite3 *db = self->store->db;
  const char *name = indexes[self->index].name, *key = indexes[self->index].key;
  sqlite3_stmt *statement = NULL;
  char sql[256];
  int rc = sqlite3_create_function_v2(db, "es_look_at", -1, SQLITE_UTF8 | SQLITE_DIRECTONLY, self,
                                      look_at, NULL, NULL, NULL);

  snprintf(sql, sizeof sql,
           "SELECT 1 FROM events INDEXED BY %s WHERE %ses_look_at(position, %s)"
           " ORDER BY %s, position",
           name, indexes[self->index].condition, key, key);
  if (rc == SQLITE_OK) rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(statement);
  sqlite3_finalize(statement);
  sqlite3_create_function_v2(db, "es_look_at", -1, SQLITE_UTF8, NULL, NULL, NULL, NULL, NULL);
  return rc;
}

void es__sqlite_check_index(es_sqlite *store, int index, es_sums *sums, es_store_finding finding,
                            void *data) {
  walk self = {.store = store, .index = index, .sums = sums, .finding = finding, .data = data};

  self.head = es__sqlite_ask_integer(store->db, "SELECT max(position) FROM events", 0);
  int rc = visit(&self);
  if (rc == SQLITE_DONE) {
    finish(&self);
  } else {
    tell(&self, "page", "cannot check index %s: %s", indexes[index].name, sqlite3_errstr(rc));
  }
}

/* ---- Comparing --------------------------------------------------------------------------------------------- */

typedef struct counting {
  es_store_finding finding;
  void *data;
  int count;
} counting;

static void count(void *data, const char *kind, int64_t position, const char *message) {
  counting *self = data;

  self->count++;
  self->finding(self->data, kind, position, message);
}

/* Which entry it is, SQLite tells by looking up every event in every index. */
es_status es__sqlite_compare_sums(es_store *base, const es_sums *sums, es_store_finding finding,
                                  void *data, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  counting seen = {finding, data, 0};
  char message[96];
  bool settled = true;

  (void)err;
  for (int i = 0; i < ES__SQLITE_EVENT_INDEXES; i++)
    settled = settled && es__sums_settled(sums, i);
  if (settled) return ES_OK;
  es__sqlite_integrity_check(store, "PRAGMA integrity_check(events)", count, &seen);
  for (int i = 0; i < ES__SQLITE_EVENT_INDEXES && seen.count == 0; i++) {
    if (es__sums_settled(sums, i)) continue;
    snprintf(message, sizeof message, "index %s does not hold what the events say",
             indexes[i].name);
    finding(data, "index", 0, message);
  }
  return ES_OK;
}
