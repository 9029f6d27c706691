/* sqlite_select: from a filter to SQL. The index is chosen here and not left to SQLite's planner, which has no statistics:
 * the term that is likely to leave the fewest events leads, the others are looked at row by row. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "store/sqlite.h"

/* One bit a term; a statement is kept for each set of bits that was used lately. */
enum {
  TERM_ANY = 1 << 0, /* so that no shape is 0 */
  TERM_REVERSE = 1 << 1,
  TERM_EVENT_ID = 1 << 2,
  TERM_STREAM = 1 << 3,
  TERM_AGGREGATE_ID = 1 << 4, /* without a whole stream's name */
  TERM_CORRELATION = 1 << 5,
  TERM_CAUSATION = 1 << 6,
  TERM_NO_CAUSATION = 1 << 7,
  TERM_ACTOR = 1 << 8,
  TERM_EVENT_TYPE = 1 << 9,
  TERM_AGGREGATE_TYPE = 1 << 10,
  TERM_TENANT = 1 << 11,
  TERM_NO_TENANT = 1 << 12,
  TERM_FROM_VERSION = 1 << 13,
  TERM_TO_VERSION = 1 << 14
};

/* In order of preference: the first whose bit is set leads. */
static const struct {
  uint32_t term;
  const char *index;
} indexes[] = {
    {TERM_EVENT_ID, "events_by_id"},
    {TERM_STREAM | TERM_AGGREGATE_ID, "events_by_stream"},
    {TERM_CORRELATION, "events_by_correlation"},
    {TERM_CAUSATION, "events_by_causation"},
    {TERM_ACTOR, "events_by_actor"},
    {TERM_EVENT_TYPE, "events_by_event_type"},
    {TERM_AGGREGATE_TYPE, "events_by_aggregate_type"},
    {TERM_TENANT, "events_by_tenant"},
};

static const struct {
  uint32_t term;
  const char *sql;
} conditions[] = {
    {TERM_EVENT_ID, " AND event_id = ?4"},
    {TERM_STREAM, " AND stream_id = ?5"},
    {TERM_AGGREGATE_ID,
     " AND stream_id IN (SELECT stream_id FROM streams WHERE aggregate_id = ?6)"},
    {TERM_CORRELATION, " AND correlation_id = ?7"},
    {TERM_CAUSATION, " AND causation_id = ?8"},
    {TERM_NO_CAUSATION, " AND causation_id IS NULL"},
    {TERM_ACTOR, " AND actor = ?9"},
    {TERM_EVENT_TYPE, " AND event_type = ?10"},
    {TERM_AGGREGATE_TYPE, " AND aggregate_type = ?11"},
    /* "<> 0" repeats the partial index's condition, which the planner cannot see in a parameter. */
    {TERM_TENANT, " AND tenant = ?12 AND tenant <> 0"},
    {TERM_NO_TENANT, " AND tenant = 0"},
    {TERM_FROM_VERSION, " AND version >= ?15"},
    {TERM_TO_VERSION, " AND version <= ?13"},
};

static uint32_t shape_of(const es_selection *selection) {
  const es_filter_terms *terms = &selection->terms;
  uint32_t shape = TERM_ANY;

  if (terms->reverse) shape |= TERM_REVERSE;
  if (terms->event_id.set) shape |= TERM_EVENT_ID;
  if (terms->correlation_id.set) shape |= TERM_CORRELATION;
  if (terms->causation_id.set)
    shape |= terms->causation_id.none ? TERM_NO_CAUSATION : TERM_CAUSATION;
  if (terms->actor_id.set) shape |= TERM_ACTOR;
  if (terms->event_type.set) shape |= TERM_EVENT_TYPE;
  if (terms->from_version > 0) shape |= TERM_FROM_VERSION;
  if (terms->to_version != INT64_MAX) shape |= TERM_TO_VERSION;
  if (selection->stream_id != 0) return shape | TERM_STREAM; /* implies tenant, type and id */
  if (terms->aggregate_id.set) shape |= TERM_AGGREGATE_ID;
  if (terms->aggregate_type.set) shape |= TERM_AGGREGATE_TYPE;
  if (terms->tenant_id.set)
    shape |= terms->tenant_id.text.data == NULL ? TERM_NO_TENANT : TERM_TENANT;
  return shape;
}

static const char *index_for(uint32_t shape) {
  for (size_t i = 0; i < sizeof indexes / sizeof indexes[0]; i++) {
    if ((shape & indexes[i].term) != 0) return indexes[i].index;
  }
  return NULL;
}

/* ?1 and ?2 bound the position, ?3 the rows, ?14 the version in one stream, whose index is in version order. */
static void write_sql(es_buf *sql, uint32_t shape) {
  const char *index = index_for(shape);
  bool reverse = (shape & TERM_REVERSE) != 0;
  bool one_stream =
      index != NULL && strcmp(index, "events_by_stream") == 0 && (shape & TERM_STREAM) != 0;

  es__buf_text(sql, "SELECT " ES__EVENT_COLUMNS " FROM events ");
  if (index != NULL) es__buf_format(sql, "INDEXED BY %s ", index);
  es__buf_text(sql, "WHERE position BETWEEN ?1 AND ?2");
  for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; i++) {
    if ((shape & conditions[i].term) != 0) es__buf_text(sql, conditions[i].sql);
  }
  if (one_stream) es__buf_text(sql, reverse ? " AND version < ?14" : " AND version > ?14");
  es__buf_format(sql, " ORDER BY %s %s LIMIT ?3", one_stream ? "version" : "position",
                 reverse ? "DESC" : "ASC");
}

static es_status prepare(sqlite3_stmt **out, es_sqlite *store, uint32_t shape, es_error *err) {
  es_buf sql = {0};
  es_status status = ES_OK;

  for (size_t i = 0; i < ES__SQLITE_READ_SHAPES; i++) {
    if (store->reads[i].shape != shape) continue;
    *out = store->reads[i].statement;
    return ES_OK;
  }
  write_sql(&sql, shape);
  if (sql.failed) {
    status = es__no_memory(err);
    goto done;
  }
  int rc = sqlite3_prepare_v3(store->db, sql.data, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
  if (rc != SQLITE_OK) {
    status = es__sqlite_fail(store, rc, "preparing a read", err);
    goto done;
  }
  size_t slot = store->next_read++ % ES__SQLITE_READ_SHAPES;
  sqlite3_finalize(store->reads[slot].statement);
  store->reads[slot].shape = shape;
  store->reads[slot].statement = *out;
done:
  es__buf_free(&sql);
  return status;
}

static void bind_id(sqlite3_stmt *statement, int index, const es_filter_id *id) {
  sqlite3_bind_blob(statement, index, id->id, ES_ID_SIZE, SQLITE_STATIC);
}

/* Binding a parameter that the shape lacks is refused by SQLite and harmless. */
es_status es__sqlite_select_page(sqlite3_stmt **out, es_sqlite *store,
                                 const es_selection *selection, int64_t rows, es_error *err) {
  const es_filter_terms *terms = &selection->terms;
  sqlite3_stmt *statement;
  es_status status = prepare(&statement, store, shape_of(selection), err);

  if (status != ES_OK) return status;
  sqlite3_bind_int64(statement, 1, selection->lowest);
  sqlite3_bind_int64(statement, 2, selection->highest);
  sqlite3_bind_int64(statement, 3, rows);
  bind_id(statement, 4, &terms->event_id);
  sqlite3_bind_int64(statement, 5, selection->stream_id);
  sqlite3_bind_text64(statement, 6, terms->aggregate_id.text.data, terms->aggregate_id.text.length,
                      SQLITE_STATIC, SQLITE_UTF8);
  bind_id(statement, 7, &terms->correlation_id);
  bind_id(statement, 8, &terms->causation_id);
  sqlite3_bind_int64(statement, 9, selection->actor);
  sqlite3_bind_int64(statement, 10, selection->event_type);
  sqlite3_bind_int64(statement, 11, selection->aggregate_type);
  sqlite3_bind_int64(statement, 12, selection->tenant);
  sqlite3_bind_int64(statement, 13, terms->to_version);
  sqlite3_bind_int64(statement, 14, selection->last_version);
  sqlite3_bind_int64(statement, 15, terms->from_version);
  *out = statement;
  return ES_OK;
}

/* ---- From a filter to a selection ---- */

static es_status resolve(int64_t *out, es_selection *selection, es_sqlite *store, es_name_kind kind,
                         const es_filter_text *term, es_error *err) {
  if (!term->set) return ES_OK;
  es_status status = es__sqlite_name_find(out, store, kind, term->text, err);
  bool may_be_none = kind == ES_NAME_TENANT || kind == ES_NAME_ACTOR;
  if (*out < 0 || (*out == ES__SQLITE_NONE && !may_be_none)) selection->nothing = true;
  return status;
}

static es_status resolve_stream(es_selection *selection, es_sqlite *store, es_error *err) {
  const es_filter_terms *terms = &selection->terms;
  int64_t version;

  if (!terms->aggregate_id.set) return ES_OK;
  if (terms->aggregate_id.text.data == NULL) selection->nothing = true;
  if (selection->nothing || !terms->aggregate_type.set || !terms->tenant_id.set) return ES_OK;
  const es_stream_name name = {terms->tenant_id.text, terms->aggregate_type.text,
                               terms->aggregate_id.text};
  es_status status = es__sqlite_stream_to_read(&selection->stream_id, &version,
                                               &selection->has_snapshots, store, &name, err);
  if (selection->stream_id == 0) selection->nothing = true;
  return status;
}

/* The first position recorded at `time` or later, one past the head when there is none: recorded_at never decreases. */
static es_status position_at(int64_t *out, es_sqlite *store, int64_t head, int64_t time,
                             es_error *err) {
  int64_t low = 1, high = head < INT64_MAX ? head + 1 : head;
  sqlite3_stmt *statement;
  es_status status = es__sqlite_statement(&statement, store, ES_SQL_TIME_AT, err);

  while (status == ES_OK && low < high) {
    int64_t middle = low + (high - low) / 2;
    sqlite3_bind_int64(statement, 1, middle);
    int rc = sqlite3_step(statement);
    int64_t recorded_at = rc == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    if (rc == SQLITE_DONE) {
      status = es__sqlite_damage(store, middle, "position_gap", err, "it is missing");
    } else if (rc != SQLITE_ROW) {
      status = es__sqlite_fail(store, rc, "looking up a time", err);
    } else if (recorded_at >= time) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  *out = low;
  return status;
}

static es_status bound_positions(es_selection *selection, es_sqlite *store, es_error *err) {
  const es_filter_terms *terms = &selection->terms;
  es_store_head head = {0};
  es_status status;
  int64_t at;

  selection->lowest = 1;
  selection->highest = INT64_MAX;
  if (terms->reverse && terms->after_position > 0) selection->highest = terms->after_position - 1;
  if (!terms->reverse && terms->after_position == INT64_MAX) selection->nothing = true;
  if (!terms->reverse && terms->after_position < INT64_MAX)
    selection->lowest = terms->after_position + 1;
  if (terms->from_time == INT64_MIN && terms->to_time == INT64_MAX) return ES_OK;
  status = es__sqlite_head(&head, &store->base, err);
  if (status == ES_OK && terms->from_time != INT64_MIN) {
    status = position_at(&at, store, head.position, terms->from_time, err);
    if (at > selection->lowest) selection->lowest = at;
  }
  if (status == ES_OK && terms->to_time != INT64_MAX) {
    status = position_at(&at, store, head.position, terms->to_time, err);
    /* Past the head, events yet to come may still be early enough: going forward, the reader looks at their time. */
    bool bounded = at <= head.position || terms->reverse;
    if (bounded && at - 1 < selection->highest) selection->highest = at - 1;
  }
  return status;
}

es_status es__sqlite_select(es_selection *out, es_sqlite *store, const es_filter *filter,
                            es_error *err) {
  es_status status;

  *out = (es_selection){0};
  status = es__filter_init(&out->terms, filter, err);
  const es_filter_terms *terms = &out->terms;
  if (status == ES_OK)
    status = resolve(&out->tenant, out, store, ES_NAME_TENANT, &terms->tenant_id, err);
  if (status == ES_OK)
    status = resolve(&out->actor, out, store, ES_NAME_ACTOR, &terms->actor_id, err);
  if (status == ES_OK)
    status = resolve(&out->event_type, out, store, ES_NAME_EVENT_TYPE, &terms->event_type, err);
  if (status == ES_OK)
    status = resolve(&out->aggregate_type, out, store, ES_NAME_AGGREGATE_TYPE,
                     &terms->aggregate_type, err);
  if (status == ES_OK) status = resolve_stream(out, store, err);
  if (status == ES_OK) status = bound_positions(out, store, err);
  if (terms->event_id.none || terms->correlation_id.none) out->nothing = true;
  if (terms->reverse)
    out->last_version = INT64_MAX;
  else if (terms->from_version > 0)
    out->last_version = terms->from_version - 1;
  return status;
}
