/* sqlite_names: interned names and streams, from text to id and back, through small direct-mapped caches. Rows of both
 * tables never change, so a cached row is right until a rollback takes it away. Knows no events. */
#include <string.h>

#include "base/error.h"
#include "store/sqlite.h"

void es__sqlite_forget_names(es_sqlite *store) {
  memset(store->names_by_id, 0, ES__SQLITE_CACHE_SLOTS * sizeof(es_name_slot));
  memset(store->names_by_text, 0, ES__SQLITE_CACHE_SLOTS * sizeof(es_name_slot));
  memset(store->streams, 0, ES__SQLITE_CACHE_SLOTS * sizeof(es_stream_slot));
}

static es_name_slot *slot_of_text(es_sqlite *store, es_name_kind kind, es_text name) {
  uint32_t hash = 2166136261u ^ (uint32_t)kind; /* FNV-1a */
  for (size_t i = 0; i < name.length; i++)
    hash = (hash ^ (uint8_t)name.data[i]) * 16777619u;
  return &store->names_by_text[hash % ES__SQLITE_CACHE_SLOTS];
}

static bool slot_holds(const es_name_slot *slot, es_name_kind kind, es_text name) {
  return slot->name_id != 0 && slot->kind == (int)kind && slot->length == name.length &&
         memcmp(slot->name, name.data, name.length) == 0;
}

static void fill_slot(es_name_slot *slot, int64_t name_id, int kind, es_text name) {
  slot->name_id = name_id;
  slot->kind = kind;
  slot->length = name.length;
  memcpy(slot->name, name.data, name.length);
}

static void bind_text(sqlite3_stmt *statement, int index, es_text text) {
  sqlite3_bind_text64(statement, index, text.data, text.length, SQLITE_STATIC, SQLITE_UTF8);
}

es_status es__sqlite_name_find(int64_t *out, es_sqlite *store, es_name_kind kind, es_text name,
                               es_error *err) {
  sqlite3_stmt *statement;
  es_status status;

  *out = ES__SQLITE_NONE;
  if (name.data == NULL) return ES_OK;
  *out = -1;
  if (name.length > ES_ID_MAX) return ES_OK;
  es_name_slot *slot = slot_of_text(store, kind, name);
  if (slot_holds(slot, kind, name)) {
    *out = slot->name_id;
    return ES_OK;
  }
  status = es__sqlite_statement(&statement, store, ES_SQL_NAME_FIND, err);
  if (status != ES_OK) return status;
  sqlite3_bind_int(statement, 1, (int)kind);
  bind_text(statement, 2, name);
  int rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW) {
    *out = sqlite3_column_int64(statement, 0);
    fill_slot(slot, *out, (int)kind, name);
  } else if (rc != SQLITE_DONE) {
    status = es__sqlite_fail(store, rc, "looking up a name", err);
  }
  sqlite3_reset(statement);
  return status;
}

es_status es__sqlite_name_intern(int64_t *out, es_sqlite *store, es_name_kind kind, es_text name,
                                 es_error *err) {
  sqlite3_stmt *statement;
  es_status status = es__sqlite_name_find(out, store, kind, name, err);

  if (status != ES_OK || *out >= 0) return status;
  status = es__sqlite_statement(&statement, store, ES_SQL_NAME_ADD, err);
  if (status != ES_OK) return status;
  store->names_written = true;
  sqlite3_bind_int(statement, 1, (int)kind);
  bind_text(statement, 2, name);
  int rc = sqlite3_step(statement);
  status = es__sqlite_inserted(store, rc, 1, "storing a name", err);
  if (status == ES_OK) {
    *out = sqlite3_last_insert_rowid(store->db);
    fill_slot(slot_of_text(store, kind, name), *out, (int)kind, name);
  }
  sqlite3_reset(statement);
  return status;
}

static es_status load_name(es_name_slot *slot, es_sqlite *store, int64_t name_id, int64_t position,
                           es_error *err) {
  sqlite3_stmt *statement;
  es_status status = es__sqlite_statement(&statement, store, ES_SQL_NAME_GET, err);

  if (status != ES_OK) return status;
  slot->name_id = 0;
  sqlite3_bind_int64(statement, 1, name_id);
  int rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW) {
    es_text name = es__sqlite_text(statement, 1);
    if (name.data != NULL && name.length <= ES_ID_MAX) {
      fill_slot(slot, name_id, sqlite3_column_int(statement, 0), name);
    } else {
      status = es__sqlite_damage(store, position, "name", err, "name %lld is malformed",
                                 (long long)name_id);
    }
  } else if (rc == SQLITE_DONE) {
    status =
        es__sqlite_damage(store, position, "name", err, "name %lld is missing", (long long)name_id);
  } else {
    status = es__sqlite_fail(store, rc, "reading a name", err);
  }
  sqlite3_reset(statement);
  return status;
}

es_status es__sqlite_name_get(es_text *out, es_sqlite *store, es_name_kind kind, int64_t name_id,
                              int64_t position, es_error *err) {
  *out = (es_text){NULL, 0};
  if (name_id == ES__SQLITE_NONE && (kind == ES_NAME_TENANT || kind == ES_NAME_ACTOR)) return ES_OK;
  es_name_slot *slot = &store->names_by_id[(uint64_t)name_id % ES__SQLITE_CACHE_SLOTS];
  if (slot->name_id != name_id || name_id == 0) {
    es_status status = load_name(slot, store, name_id, position, err);
    if (status != ES_OK) return status;
  }
  if (slot->kind != (int)kind) {
    return es__sqlite_damage(store, position, "name", err, "name %lld is of another kind",
                             (long long)name_id);
  }
  *out = (es_text){slot->name, slot->length};
  return ES_OK;
}

es_status es__sqlite_stream_get(const es_stream_slot **out, es_sqlite *store, int64_t stream_id,
                                int64_t position, es_error *err) {
  es_stream_slot *slot = &store->streams[(uint64_t)stream_id % ES__SQLITE_CACHE_SLOTS];
  sqlite3_stmt *statement;
  es_status status;

  *out = slot;
  if (slot->stream_id == stream_id && stream_id != 0) return ES_OK;
  status = es__sqlite_statement(&statement, store, ES_SQL_STREAM_GET, err);
  if (status != ES_OK) return status;
  slot->stream_id = 0;
  sqlite3_bind_int64(statement, 1, stream_id);
  int rc = sqlite3_step(statement);
  es_text id = rc == SQLITE_ROW ? es__sqlite_text(statement, 2) : (es_text){NULL, 0};
  if (id.data != NULL && id.length <= ES_ID_MAX) {
    slot->stream_id = stream_id;
    slot->tenant = sqlite3_column_int64(statement, 0);
    slot->type = sqlite3_column_int64(statement, 1);
    slot->length = id.length;
    memcpy(slot->aggregate_id, id.data, id.length);
  } else if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
    status = es__sqlite_damage(store, position, "stream", err, "stream %lld is %s",
                               (long long)stream_id, rc == SQLITE_ROW ? "malformed" : "missing");
  } else {
    status = es__sqlite_fail(store, rc, "reading a stream", err);
  }
  sqlite3_reset(statement);
  return status;
}

/* Columns of `which`: stream_id, version, and where asked for whether it has snapshots. */
static es_status find_stream(int64_t *stream_id, int64_t *version, bool *has_snapshots,
                             es_sqlite *store, es_statement which, const es_stream_name *name,
                             es_error *err) {
  int64_t tenant, type;
  sqlite3_stmt *statement;
  es_status status;

  *stream_id = 0;
  *version = 0;
  status = es__sqlite_name_find(&tenant, store, ES_NAME_TENANT, name->tenant_id, err);
  if (status == ES_OK)
    status = es__sqlite_name_find(&type, store, ES_NAME_AGGREGATE_TYPE, name->aggregate_type, err);
  if (status != ES_OK || tenant < 0 || type < 0) return status;
  status = es__sqlite_statement(&statement, store, which, err);
  if (status != ES_OK) return status;
  sqlite3_bind_int64(statement, 1, tenant);
  sqlite3_bind_int64(statement, 2, type);
  bind_text(statement, 3, name->aggregate_id);
  int rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW) {
    *stream_id = sqlite3_column_int64(statement, 0);
    *version = sqlite3_column_int64(statement, 1);
    if (has_snapshots != NULL) *has_snapshots = sqlite3_column_int(statement, 2) != 0;
  } else if (rc != SQLITE_DONE) {
    status = es__sqlite_fail(store, rc, "looking up a stream", err);
  }
  sqlite3_reset(statement);
  return status;
}

es_status es__sqlite_stream_find(int64_t *stream_id, int64_t *version, es_sqlite *store,
                                 const es_stream_name *name, es_error *err) {
  return find_stream(stream_id, version, NULL, store, ES_SQL_STREAM_FIND, name, err);
}

es_status es__sqlite_stream_to_read(int64_t *stream_id, int64_t *version, bool *has_snapshots,
                                    es_sqlite *store, const es_stream_name *name, es_error *err) {
  *has_snapshots = false;
  return find_stream(stream_id, version, has_snapshots, store, ES_SQL_STREAM_TO_READ, name, err);
}

static es_text place(char **room, es_text text) {
  if (text.data == NULL) return text;
  char *at = *room;
  memcpy(at, text.data, text.length);
  *room += text.length;
  return (es_text){at, text.length};
}

static es_status place_name(es_text *out, char **room, es_sqlite *store, es_name_kind kind,
                            int64_t name_id, int64_t position, es_error *err) {
  es_text name;
  es_status status = es__sqlite_name_get(&name, store, kind, name_id, position, err);

  if (status == ES_OK) *out = place(room, name);
  return status;
}

es_status es__sqlite_place_names(es_event *event, char **room, es_sqlite *store,
                                 const es_event_names *names, es_error *err) {
  const es_stream_slot *stream;
  int64_t position = event->position;
  es_status status = es__sqlite_stream_get(&stream, store, names->stream, position, err);

  if (status != ES_OK) return status;
  /* The two columns repeat the stream's for the sake of their indexes: a mismatch would show an event to the wrong tenant. */
  if (stream->tenant != names->tenant || stream->type != names->type) {
    return es__sqlite_damage(store, position, "stream", err,
                             "its tenant or aggregate type is not its stream's");
  }
  event->aggregate_id = place(room, (es_text){stream->aggregate_id, stream->length});
  status = place_name(&event->tenant_id, room, store, ES_NAME_TENANT, names->tenant, position, err);
  if (status == ES_OK)
    status = place_name(&event->aggregate_type, room, store, ES_NAME_AGGREGATE_TYPE, names->type,
                        position, err);
  if (status == ES_OK)
    status = place_name(&event->event_type, room, store, ES_NAME_EVENT_TYPE, names->event_type,
                        position, err);
  if (status == ES_OK)
    status = place_name(&event->actor_id, room, store, ES_NAME_ACTOR, names->actor, position, err);
  return status;
}
