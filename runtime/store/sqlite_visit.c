/* sqlite_visit: every event of a run, handed to a visitor from within SQLite's own loop: it calls a function with the columns of
 * each row as a condition that none meets, which costs half of stepping to a row, asking for its columns and copying them.
 * A few hundred rows a statement, so that nobody's checkpoint waits for long. */
#include <string.h>

#include "base/error.h"
#include "store/sqlite.h"

enum { ROWS_A_STATEMENT = 512 };

/* The columns, in the order of ES__EVENT_COLUMNS. */
enum {
  POSITION,
  EVENT_ID,
  STREAM,
  VERSION,
  TENANT,
  TYPE,
  EVENT_TYPE,
  SCHEMA_VERSION,
  ACTOR,
  CORRELATION_ID,
  CAUSATION_ID,
  OCCURRED_AT,
  RECORDED_AT,
  PREVIOUS_HASH,
  HASH,
  DATA,
  METADATA
};

typedef struct visit {
  es_sqlite *store;
  es_sums *sums;
  es_store_visitor visitor;
  void *data;
  int64_t last; /* position seen last */
  es_status status;
  es_error *err;
  es_event
      event; /* of the row at hand; clearing it and the next for each row would cost a fiftieth of a verification */
  es_error why; /* of the row that could not be read last */
  char names[5 * ES_ID_MAX];
} visit;

static bool take_integer(int64_t *out, sqlite3_value *value) {
  if (sqlite3_value_type(value) != SQLITE_INTEGER) return false;
  *out = sqlite3_value_int64(value);
  return true;
}

static bool take_blob(uint8_t *out, sqlite3_value *value, int length) {
  if (sqlite3_value_type(value) != SQLITE_BLOB) return false;
  const void *bytes = sqlite3_value_blob(value);
  if (bytes == NULL || sqlite3_value_bytes(value) != length) return false;
  memcpy(out, bytes, (size_t)length);
  return true;
}

/* As a blob, since as a text SQLite would copy it to end it with a NUL. */
static bool take_text(es_text *out, sqlite3_value *value) {
  if (sqlite3_value_type(value) != SQLITE_TEXT) return false;
  out->data = sqlite3_value_blob(value);
  out->length = (size_t)sqlite3_value_bytes(value);
  return true;
}

/* Both name the column that is malformed, or NULL. Nobody else looks at the types of a stored event's columns (see
 * sqlite_check.c). */
static const char *take_names(es_event_names *names, sqlite3_value **row) {
  if (!take_integer(&names->stream, row[STREAM])) return "stream_id";
  if (!take_integer(&names->tenant, row[TENANT])) return "tenant";
  if (!take_integer(&names->type, row[TYPE])) return "aggregate_type";
  if (!take_integer(&names->event_type, row[EVENT_TYPE])) return "event_type";
  return take_integer(&names->actor, row[ACTOR]) ? NULL : "actor";
}

static const char *take_fields(es_event *event, sqlite3_value **row) {
  event->has_causation = sqlite3_value_type(row[CAUSATION_ID]) != SQLITE_NULL;
  if (!take_blob(event->event_id, row[EVENT_ID], ES_ID_SIZE)) return "event_id";
  if (!take_integer(&event->version, row[VERSION])) return "version";
  if (!take_integer(&event->schema_version, row[SCHEMA_VERSION])) return "schema_version";
  if (!take_blob(event->correlation_id, row[CORRELATION_ID], ES_ID_SIZE)) return "correlation_id";
  if (event->has_causation && !take_blob(event->causation_id, row[CAUSATION_ID], ES_ID_SIZE))
    return "causation_id";
  if (!take_integer(&event->occurred_at, row[OCCURRED_AT])) return "occurred_at";
  if (!take_integer(&event->recorded_at, row[RECORDED_AT])) return "recorded_at";
  if (!take_blob(event->previous_hash, row[PREVIOUS_HASH], ES_HASH_SIZE)) return "previous_hash";
  if (!take_blob(event->hash, row[HASH], ES_HASH_SIZE)) return "hash";
  if (!take_text(&event->data, row[DATA])) return "data";
  return take_text(&event->metadata, row[METADATA]) ? NULL : "metadata";
}

static es_status take_event(visit *self, sqlite3_value **row) {
  es_event *event = &self->event;
  es_event_names names;
  const char *bad = take_names(&names, row);
  char *room = self->names;

  if (bad == NULL) {
    es__sqlite_expect_name(self->store, names.actor); /* the most various of them */
    bad = take_fields(event, row);
  }
  if (bad != NULL)
    return es__sqlite_damage(self->store, event->position, "event", &self->why,
                             "its %s is malformed", bad);
  es_status status = es__sqlite_place_names(event, &room, self->store, &names, &self->why);
  if (status == ES_OK) es__sqlite_sum_event(self->sums, event, &names);
  return status;
}

/* Called by SQLite. True, which ends the statement, when the visitor wants no more or the store cannot be read. */
static void visit_row(sqlite3_context *context, int count, sqlite3_value **row) {
  visit *self = sqlite3_user_data(context);

  (void)count;
  self->last = self->event.position = sqlite3_value_int64(row[POSITION]);
  es_status status = take_event(self, row);
  if (status == ES_OK) {
    self->status = self->visitor(self->data, &self->event, NULL, self->err);
  } else if (status == ES_ERR_INTEGRITY) {
    self->status = self->visitor(self->data, NULL, &self->why, self->err);
  } else {
    self->status = status;
    if (self->err != NULL) *self->err = self->why;
  }
  sqlite3_result_int(context, self->status != ES_OK);
}

/* After rows that are not there: the place before the next one, since a row at a far position must not make work. */
static int64_t pass_gap(visit *self, int64_t end, int64_t to) {
  int64_t next = 0;

  if (es__sqlite_next_position(&next, &self->store->base, end, NULL) != ES_OK) return end;
  return next == 0 || next > to ? to : next - 1;
}

static es_status visit_rows(visit *self, sqlite3_stmt *statement, int64_t to, es_error *err) {
  while (self->status == ES_OK && self->last < to) {
    int64_t start = self->last;
    int64_t end = to - start > ROWS_A_STATEMENT ? start + ROWS_A_STATEMENT : to;
    sqlite3_bind_int64(statement, 1, self->last + 1);
    sqlite3_bind_int64(statement, 2, end);
    int rc = sqlite3_step(statement);
    sqlite3_reset(statement);
    if (rc == SQLITE_DONE) {
      self->last = self->last == start ? pass_gap(self, end, to) : end;
    } else if ((rc & 0xFF) == SQLITE_CORRUPT) {
      es__sqlite_damage(self->store, ++self->last, "page", &self->why,
                        "the database page is damaged");
      self->status = self->visitor(self->data, NULL, &self->why, err);
    } else if (rc != SQLITE_ROW) {
      return es__sqlite_fail(self->store, rc, "reading events", err);
    }
  }
  return self->status;
}

es_status es__sqlite_visit(es_store *base, int64_t after, int64_t to, es_sums *sums,
                           es_store_visitor visitor, void *data, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  visit self = {.store = store,
                .sums = sums,
                .visitor = visitor,
                .data = data,
                .last = after,
                .status = ES_OK,
                .err = err};
  sqlite3_stmt *statement = NULL;
  int rc = sqlite3_create_function_v2(store->db, "es_visit", -1, SQLITE_UTF8 | SQLITE_DIRECTONLY,
                                      &self, visit_row, NULL, NULL, NULL);

  if (rc == SQLITE_OK) {
    rc = sqlite3_prepare_v2(store->db,
                            "SELECT 1 FROM events NOT INDEXED WHERE position BETWEEN ?1 AND ?2"
                            " AND es_visit(" ES__EVENT_COLUMNS ") ORDER BY position",
                            -1, &statement, NULL);
  }
  es__sqlite_small_cache(store, true);
  es_status status = rc == SQLITE_OK ? visit_rows(&self, statement, to, err)
                                     : es__sqlite_fail(store, rc, "reading events", err);
  es__sqlite_small_cache(store, false);
  sqlite3_finalize(statement);
  sqlite3_create_function_v2(store->db, "es_visit", -1, SQLITE_UTF8, NULL, NULL, NULL, NULL, NULL);
  return status;
}

es_status es__sqlite_next_position(int64_t *out, es_store *base, int64_t after, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  sqlite3_stmt *statement;
  es_status status = es__sqlite_statement(&statement, store, ES_SQL_POSITION_AFTER, err);

  if (status != ES_OK) return status;
  sqlite3_bind_int64(statement, 1, after);
  int rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW)
    *out = sqlite3_column_int64(statement, 0);
  else
    status = es__sqlite_fail(store, rc, "reading positions", err);
  sqlite3_reset(statement);
  return status;
}
