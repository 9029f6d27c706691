/* sqlite_append: turns, transactions and appending. Everything that writes events is here. */
#include <string.h>

#include "base/error.h"
#include "store/sqlite.h"

/* ---- Turns and transactions ---- */

static es_status read_head(es_store_head *out, es_sqlite *store, es_error *err) {
  sqlite3_stmt *statement;
  es_status status = es__sqlite_statement(&statement, store, ES_SQL_HEAD, err);

  if (status != ES_OK) return status;
  *out = (es_store_head){0};
  int rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW) {
    out->position = sqlite3_column_int64(statement, 0);
    out->recorded_at = sqlite3_column_int64(statement, 1);
    if (!es__sqlite_blob(out->hash, statement, 2, ES_HASH_SIZE))
      status = es__sqlite_damage(store, out->position, "hash", err, "the hash is malformed");
  } else if (rc != SQLITE_DONE) {
    status = es__sqlite_fail(store, rc, "reading the head", err);
  }
  sqlite3_reset(statement);
  return status;
}

static void abandon(es_sqlite *store) {
  if (!sqlite3_get_autocommit(store->db)) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
  if (store->names_written) es__sqlite_forget_names(store);
  store->names_written = false;
}

static es_status start(es_sqlite *store, es_error *err) {
  es_status status;

  if (store->read_only) {
    es__fail(err, ES_ERR_STORE, "read_only", "%s: the store was opened read-only", store->path);
    es__hint(err, "open it for writing");
    return ES_ERR_STORE;
  }
  status = es__queue_take(store->queue, store->lock_timeout_ms, err);
  if (status != ES_OK) return status;
  /* IMMEDIATE: a transaction that reads first and then writes would be refused at once, without waiting. */
  status = es__sqlite_run(store, ES_SQL_BEGIN, "starting a transaction", err);
  if (status == ES_OK) status = read_head(&store->head, store, err);
  if (status != ES_OK) {
    abandon(store);
    es__queue_release(store->queue);
  }
  return status;
}

static es_status finish(es_sqlite *store, es_error *err) {
  es_status status = es__sqlite_run(store, ES_SQL_COMMIT, "committing", err);
  if (status != ES_OK) abandon(store);
  store->names_written = false;
  es__queue_release(store->queue);
  return status;
}

es_status es__sqlite_begin(es_store *base, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;

  if (store->in_group)
    return es__fail(err, ES_ERR_USAGE, "transaction_open", "a transaction is open already");
  es_status status = start(store, err);
  store->in_group = status == ES_OK;
  store->group_lost = false;
  return status;
}

static es_status lost(es_sqlite *store, es_error *err) {
  return es__fail(err, ES_ERR_STORE, "transaction_lost",
                  "%s: the whole transaction was rolled back by an earlier failure", store->path);
}

es_status es__sqlite_commit(es_store *base, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;

  if (!store->in_group)
    return es__fail(err, ES_ERR_USAGE, "no_transaction", "no transaction is open");
  if (store->group_lost) {
    es__sqlite_rollback(base);
    return lost(store, err);
  }
  store->in_group = false;
  return finish(store, err);
}

void es__sqlite_rollback(es_store *base) {
  es_sqlite *store = (es_sqlite *)base;

  if (!store->in_group) return;
  store->in_group = false;
  abandon(store);
  es__queue_release(store->queue);
}

/* ---- Events ---- */

/* A stream, looked up once and then followed for as long as a commit lasts. */
typedef struct stream_at {
  es_stream_name name;
  int64_t stream_id; /* 0: this slot is empty */
  int64_t version;
  int64_t tenant;
  int64_t type;
} stream_at;

/* An event that has its place and waits to be inserted. */
typedef struct event_row {
  es_event *event;
  int64_t stream_id;
  int64_t tenant;
  int64_t type;
  int64_t event_type;
  int64_t actor;
} event_row;

enum { STREAM_SLOTS = 256, COLUMN_COUNT = 17 };

/* A statement opens each index anew, so that inserting twenty events by one takes two thirds of the time of one by one. */
typedef struct writing {
  event_row rows[ES__SQLITE_ROW_COUNT];
  size_t count;
  size_t slot_count; /* of streams: each has two, found by its id */
  stream_at streams[STREAM_SLOTS];
} writing;

static bool same_stream(const stream_at *at, const es_event *event) {
  return at->stream_id != 0 && es__text_equal(at->name.aggregate_id, event->aggregate_id) &&
         es__text_equal(at->name.aggregate_type, event->aggregate_type) &&
         es__text_equal(at->name.tenant_id, event->tenant_id);
}

static es_status add_stream(stream_at *at, es_sqlite *store, es_error *err) {
  sqlite3_stmt *statement;
  es_status status = es__sqlite_statement(&statement, store, ES_SQL_STREAM_ADD, err);

  if (status != ES_OK) return status;
  store->names_written = true;
  sqlite3_bind_int64(statement, 1, at->tenant);
  sqlite3_bind_int64(statement, 2, at->type);
  sqlite3_bind_text64(statement, 3, at->name.aggregate_id.data, at->name.aggregate_id.length,
                      SQLITE_STATIC, SQLITE_UTF8);
  int rc = sqlite3_step(statement);
  status = es__sqlite_inserted(store, rc, 1, "storing a stream", err);
  if (status == ES_OK) at->stream_id = sqlite3_last_insert_rowid(store->db);
  sqlite3_reset(statement);
  return status;
}

/* The slot that holds the event's stream, or may take it. */
static stream_at *slot_of(writing *self, const es_event *event) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < event->aggregate_id.length; i++)
    hash = (hash ^ (uint8_t)event->aggregate_id.data[i]) * 16777619u;
  stream_at *first = &self->streams[hash % self->slot_count];
  if (self->slot_count == 1 || first->stream_id == 0 || same_stream(first, event)) return first;
  stream_at *second = &self->streams[(hash ^ 1) % self->slot_count];
  return same_stream(second, event) || second->stream_id == 0 || (hash & 2) != 0 ? second : first;
}

static es_status enter_stream(stream_at **out, writing *self, es_sqlite *store,
                              const es_event *event, es_error *err) {
  stream_at *at = slot_of(self, event);
  es_status status;

  *out = at;
  if (same_stream(at, event)) return ES_OK;
  *at = (stream_at){{event->tenant_id, event->aggregate_type, event->aggregate_id}, 0, 0, 0, 0};
  status = es__sqlite_name_intern(&at->tenant, store, ES_NAME_TENANT, event->tenant_id, err);
  if (status == ES_OK)
    status = es__sqlite_name_intern(&at->type, store, ES_NAME_AGGREGATE_TYPE, event->aggregate_type,
                                    err);
  if (status == ES_OK)
    status = es__sqlite_stream_find(&at->stream_id, &at->version, store, &at->name, err);
  if (status == ES_OK && at->stream_id == 0) status = add_stream(at, store, err);
  for (size_t i = 0; i < self->count; i++) { /* what waits is not in the file yet */
    if (self->rows[i].stream_id == at->stream_id) at->version = self->rows[i].event->version;
  }
  return status;
}

/* Is this the place that the event came with? */
static bool is_placed(const es_sqlite *store, const stream_at *at, const es_event *event) {
  return event->position == store->head.position + 1 && event->version == at->version + 1 &&
         memcmp(event->previous_hash, store->head.hash, ES_HASH_SIZE) == 0;
}

static es_status stamp(es_event *event, es_sqlite *store, const es_commit *commit,
                       const stream_at *at, es_error *err) {
  es_status status = es__next_version(commit, event, at->version, err);
  bool hashed = commit->hashed && commit->keep_recorded_at && is_placed(store, at, event);

  if (status != ES_OK) return status;
  event->position = store->head.position + 1;
  event->version = at->version + 1;
  memcpy(event->previous_hash, store->head.hash, ES_HASH_SIZE);
  if (!event->has_causation) memset(event->causation_id, 0, ES_ID_SIZE);
  bool first = store->head.position == 0;
  if (!commit->keep_recorded_at) {
    event->recorded_at =
        !first && store->head.recorded_at > commit->now ? store->head.recorded_at : commit->now;
  } else if (!first && event->recorded_at < store->head.recorded_at) {
    return es__time_conflict(event, err);
  }
  return hashed ? ES_OK : es__chain_hash(store->base.chain, event->hash, event, err);
}

/* Of rows that a constraint refused: the first whose event id the store has, at another position; NULL when there is none. */
static const es_event *find_duplicate(es_sqlite *store, const event_row *rows, size_t count) {
  sqlite3_stmt *statement;

  if (es__sqlite_statement(&statement, store, ES_SQL_EVENT_FIND, NULL) != ES_OK) return NULL;
  for (size_t i = 0; i < count; i++) {
    const es_event *event = rows[i].event;
    sqlite3_bind_blob(statement, 1, event->event_id, ES_ID_SIZE, SQLITE_STATIC);
    bool found = sqlite3_step(statement) == SQLITE_ROW &&
                 sqlite3_column_int64(statement, 0) != event->position;
    sqlite3_reset(statement);
    if (found) return event;
  }
  return NULL;
}

/* `at` is the number before the row's first parameter. */
static void bind_row(sqlite3_stmt *statement, int at, const event_row *row) {
  const es_event *event = row->event;

  sqlite3_bind_int64(statement, at + 1, event->position);
  sqlite3_bind_blob(statement, at + 2, event->event_id, ES_ID_SIZE, SQLITE_STATIC);
  sqlite3_bind_int64(statement, at + 3, row->stream_id);
  sqlite3_bind_int64(statement, at + 4, event->version);
  sqlite3_bind_int64(statement, at + 5, row->tenant);
  sqlite3_bind_int64(statement, at + 6, row->type);
  sqlite3_bind_int64(statement, at + 7, row->event_type);
  sqlite3_bind_int64(statement, at + 8, event->schema_version);
  sqlite3_bind_int64(statement, at + 9, row->actor);
  sqlite3_bind_blob(statement, at + 10, event->correlation_id, ES_ID_SIZE, SQLITE_STATIC);
  if (event->has_causation) {
    sqlite3_bind_blob(statement, at + 11, event->causation_id, ES_ID_SIZE, SQLITE_STATIC);
  } else {
    sqlite3_bind_null(statement, at + 11);
  }
  sqlite3_bind_int64(statement, at + 12, event->occurred_at);
  sqlite3_bind_int64(statement, at + 13, event->recorded_at);
  sqlite3_bind_blob(statement, at + 14, event->previous_hash, ES_HASH_SIZE, SQLITE_STATIC);
  sqlite3_bind_blob(statement, at + 15, event->hash, ES_HASH_SIZE, SQLITE_STATIC);
  sqlite3_bind_text64(statement, at + 16, event->data.data, event->data.length, SQLITE_STATIC,
                      SQLITE_UTF8);
  sqlite3_bind_text64(statement, at + 17, event->metadata.data, event->metadata.length,
                      SQLITE_STATIC, SQLITE_UTF8);
}

static es_status insert(es_sqlite *store, es_statement which, const event_row *rows, size_t count,
                        es_error *err) {
  sqlite3_stmt *statement;
  es_status status = es__sqlite_statement(&statement, store, which, err);

  if (status != ES_OK) return status;
  for (size_t i = 0; i < count; i++)
    bind_row(statement, (int)i * COLUMN_COUNT, &rows[i]);
  int rc = sqlite3_step(statement);
  status = es__sqlite_inserted(store, rc, count, "storing an event", err);
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement); /* they point into the caller's events */
  if ((rc & 0xFF) == SQLITE_CONSTRAINT) {
    const es_event *duplicate = find_duplicate(store, rows, count);
    if (duplicate != NULL) status = es__duplicate_event(duplicate, err);
  }
  return status;
}

/* Inserts what waits. */
static es_status flush(writing *self, es_sqlite *store, es_error *err) {
  size_t count = self->count;
  es_status status = ES_OK;

  self->count = 0;
  if (count == ES__SQLITE_ROW_COUNT)
    return insert(store, ES_SQL_EVENTS_ADD, self->rows, count, err);
  for (size_t i = 0; i < count && status == ES_OK; i++)
    status = insert(store, ES_SQL_EVENT_ADD, &self->rows[i], 1, err);
  return status;
}

static es_status append_event(writing *self, es_sqlite *store, const es_commit *commit,
                              es_event *event, es_error *err) {
  event_row row = {.event = event};
  stream_at *at;
  es_status status = enter_stream(&at, self, store, event, err);

  if (status == ES_OK)
    status =
        es__sqlite_name_intern(&row.event_type, store, ES_NAME_EVENT_TYPE, event->event_type, err);
  if (status == ES_OK)
    status = es__sqlite_name_intern(&row.actor, store, ES_NAME_ACTOR, event->actor_id, err);
  if (status == ES_OK) status = stamp(event, store, commit, at, err);
  if (status != ES_OK) return status;
  row.stream_id = at->stream_id;
  row.tenant = at->tenant;
  row.type = at->type;
  self->rows[self->count++] = row;
  at->version = event->version;
  store->head.position = event->position;
  store->head.recorded_at = event->recorded_at;
  memcpy(store->head.hash, event->hash, ES_HASH_SIZE);
  return self->count == ES__SQLITE_ROW_COUNT ? flush(self, store, err) : ES_OK;
}

static es_status append_events(es_sqlite *store, es_commit *commit, es_error *err) {
  writing self;
  es_status status = ES_OK;

  self.count = 0;
  self.slot_count = commit->event_count > 1 ? STREAM_SLOTS : 1;
  for (size_t i = 0; i < self.slot_count; i++)
    self.streams[i].stream_id = 0;
  for (size_t i = 0; status == ES_OK && i < commit->event_count; i++)
    status = append_event(&self, store, commit, &commit->events[i], err);
  /* Also behind a failure: an event before the one that failed may be the first that is wrong. */
  if (self.count > 0 && !sqlite3_get_autocommit(store->db)) {
    es_status rest = flush(&self, store, err);
    if (rest != ES_OK) status = rest;
  }
  return status;
}

/* ---- One commit ---- */

static es_status check_condition(es_sqlite *store, const es_condition *condition, es_error *err) {
  int64_t stream_id, version;
  es_status status = es__sqlite_stream_find(&stream_id, &version, store, &condition->stream, err);
  if (status == ES_OK && version != condition->expected_version)
    status = es__version_conflict(condition, version, err);
  return status;
}

static es_status write_commit(es_sqlite *store, es_commit *commit, es_error *err) {
  es_status status = ES_OK;

  if (commit->reply != NULL) {
    status = es__sqlite_find_reply(&commit->duplicate, &commit->existing, &store->base,
                                   commit->reply->key, err);
    if (commit->duplicate) return status;
  }
  for (size_t i = 0; status == ES_OK && i < commit->condition_count; i++)
    status = check_condition(store, &commit->conditions[i], err);
  if (status == ES_OK) status = append_events(store, commit, err);
  if (status == ES_OK && commit->reply != NULL) status = es__sqlite_add_reply(store, commit, err);
  return status;
}

/* Without a way back from what was written. */
static es_status append_for_good(es_sqlite *store, es_commit *commit, es_error *err) {
  es_store_head head = store->head;
  int changes = sqlite3_total_changes(store->db);
  es_status status = write_commit(store, commit, err);

  if (status == ES_OK) return ES_OK;
  store->head = head;
  if (commit->whole_group || sqlite3_total_changes(store->db) != changes ||
      sqlite3_get_autocommit(store->db)) {
    abandon(store);
    store->group_lost = true;
  }
  return status;
}

static es_status append_in_group(es_sqlite *store, es_commit *commit, es_error *err) {
  es_store_head head = store->head;
  es_status status;

  if (store->group_lost) return lost(store, err);
  if (commit->whole_group || commit->fresh_ids) return append_for_good(store, commit, err);
  status = es__sqlite_run(store, ES_SQL_SAVEPOINT, "starting an append", err);
  if (status != ES_OK) return status;
  status = write_commit(store, commit, err);
  if (status == ES_OK) return es__sqlite_run(store, ES_SQL_RELEASE, "ending an append", err);
  store->head = head;
  if (store->names_written) es__sqlite_forget_names(store);
  if (sqlite3_get_autocommit(store->db)) {
    store->group_lost = true; /* a full disk, say: SQLite gave up on all of it */
  } else if (es__sqlite_run(store, ES_SQL_ROLLBACK_TO, "undoing an append", NULL) != ES_OK ||
             es__sqlite_run(store, ES_SQL_RELEASE, "undoing an append", NULL) != ES_OK) {
    abandon(store);
    store->group_lost = true;
  }
  return status;
}

es_status es__sqlite_append(es_store *base, es_commit *commit, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  es_status status;

  if (store->in_group) return append_in_group(store, commit, err);
  status = start(store, err);
  if (status != ES_OK) return status;
  status = write_commit(store, commit, err);
  if (status == ES_OK && !commit->duplicate) {
    status = finish(store, err);
  } else {
    abandon(store);
    es__queue_release(store->queue);
  }
  return status;
}

es_status es__sqlite_head(es_store_head *out, es_store *base, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  if (store->in_group && !store->group_lost) {
    *out = store->head;
    return ES_OK;
  }
  return read_head(out, store, err);
}

es_status es__sqlite_stream_version(int64_t *out, es_store *base, const es_stream_name *stream,
                                    es_error *err) {
  int64_t stream_id;
  return es__sqlite_stream_find(&stream_id, out, (es_sqlite *)base, stream, err);
}
