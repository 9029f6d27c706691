/* sqlite_streams: every stream of a type, or all, in order of tenant (none first), type and id: a walk over the names, then
 * over each tenant's and type's streams, a page at a time, so that nothing is sorted and no statement stays open. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/sqlite.h"

enum { STREAMS_PAGE = 256 };

typedef es_status (*each_stream)(void *data, const es_stream_name *, int64_t version,
                                 es_error *err);

typedef struct stream_walk {
  es_sqlite *store;
  each_stream each;
  void *data;
  sqlite3_stmt *next_name;
  sqlite3_stmt *page;
  struct {
    int64_t version;
    size_t length;
    char aggregate_id[ES_ID_MAX];
  } rows[STREAMS_PAGE];
} stream_walk;

/* The name that follows `after` ("" at the start) by bytes; *length 0 at the end. `name` is both. */
static es_status next_name(int64_t *name_id, char name[ES_ID_MAX], size_t *length,
                           stream_walk *walk, es_name_kind kind, es_error *err) {
  es_status status = ES_OK;

  sqlite3_bind_int(walk->next_name, 1, (int)kind);
  sqlite3_bind_text64(walk->next_name, 2, name, *length, SQLITE_STATIC, SQLITE_UTF8);
  int rc = sqlite3_step(walk->next_name);
  es_text next = {NULL, 0};
  if (rc == SQLITE_ROW) next = es__sqlite_text(walk->next_name, 1);
  if (rc != SQLITE_ROW && rc != SQLITE_DONE)
    status = es__sqlite_fail(walk->store, rc, "reading names", err);
  if (next.length > ES_ID_MAX) next.length = ES_ID_MAX;
  if (next.length > 0) {
    *name_id = sqlite3_column_int64(walk->next_name, 0);
    memmove(name, next.data, next.length);
  }
  *length = next.length;
  sqlite3_reset(walk->next_name);
  return status;
}

static es_status fill_page(int *count, stream_walk *walk, int64_t tenant, int64_t type,
                           es_text after, es_error *err) {
  sqlite3_stmt *page = walk->page;
  int rc;

  *count = 0;
  sqlite3_bind_int64(page, 1, tenant);
  sqlite3_bind_int64(page, 2, type);
  sqlite3_bind_text64(page, 3, after.data, after.length, SQLITE_STATIC, SQLITE_UTF8);
  while ((rc = sqlite3_step(page)) == SQLITE_ROW && *count < STREAMS_PAGE) {
    es_text id = es__sqlite_text(page, 0);
    size_t length = id.length < ES_ID_MAX ? id.length : ES_ID_MAX;
    if (id.data != NULL) memcpy(walk->rows[*count].aggregate_id, id.data, length);
    walk->rows[*count].length = length;
    walk->rows[*count].version = sqlite3_column_int64(page, 1);
    ++*count;
  }
  sqlite3_reset(page);
  if (rc == SQLITE_ROW || rc == SQLITE_DONE) return ES_OK;
  return es__sqlite_fail(walk->store, rc, "reading streams", err);
}

static es_status walk_pair(stream_walk *walk, es_text tenant_id, int64_t tenant, es_text type_name,
                           int64_t type, es_error *err) {
  char last[ES_ID_MAX];
  es_text after = {"", 0};
  int count = STREAMS_PAGE;

  while (count == STREAMS_PAGE) {
    es_status status = fill_page(&count, walk, tenant, type, after, err);
    if (status != ES_OK) return status;
    for (int i = 0; i < count; i++) {
      es_text id = {walk->rows[i].aggregate_id, walk->rows[i].length};
      es_stream_name name = {tenant_id, type_name, id};
      status = walk->each(walk->data, &name, walk->rows[i].version, err);
      if (status != ES_OK) return status;
    }
    if (count > 0) {
      memcpy(last, walk->rows[count - 1].aggregate_id, walk->rows[count - 1].length);
      after = (es_text){last, walk->rows[count - 1].length};
    }
  }
  return ES_OK;
}

static es_status walk_tenant(stream_walk *walk, es_text tenant_id, int64_t tenant,
                             const char *aggregate_type, es_error *err) {
  char name[ES_ID_MAX];
  size_t length = 0;
  int64_t type = 0;
  es_status status;

  if (aggregate_type != NULL) {
    es_text wanted = es__text(aggregate_type);
    status = es__sqlite_name_find(&type, walk->store, ES_NAME_AGGREGATE_TYPE, wanted, err);
    if (status != ES_OK || type < 0) return status;
    return walk_pair(walk, tenant_id, tenant, wanted, type, err);
  }
  for (;;) {
    status = next_name(&type, name, &length, walk, ES_NAME_AGGREGATE_TYPE, err);
    if (status != ES_OK || length == 0) return status;
    status = walk_pair(walk, tenant_id, tenant, (es_text){name, length}, type, err);
    if (status != ES_OK) return status;
  }
}

es_status es__sqlite_streams(es_store *base, const char *aggregate_type, each_stream each,
                             void *data, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  char name[ES_ID_MAX];
  size_t length = 0;
  int64_t tenant = 0;
  es_status status;
  stream_walk *walk = calloc(1, sizeof *walk);

  if (walk == NULL) return es__no_memory(err);
  walk->store = store;
  walk->each = each;
  walk->data = data;
  int rc = sqlite3_prepare_v2(store->db,
                              "SELECT name_id, name FROM names WHERE kind = ?1 AND name > ?2"
                              " ORDER BY name LIMIT 1",
                              -1, &walk->next_name, NULL);
  if (rc == SQLITE_OK)
    rc = sqlite3_prepare_v2(store->db,
                            "SELECT aggregate_id, (SELECT max(version) FROM events e"
                            " WHERE e.stream_id = s.stream_id) FROM streams s WHERE tenant = ?1"
                            " AND type = ?2 AND aggregate_id > ?3 ORDER BY aggregate_id LIMIT 256",
                            -1, &walk->page, NULL);
  if (rc != SQLITE_OK) {
    status = es__sqlite_fail(store, rc, "reading streams", err);
    goto done;
  }
  status = walk_tenant(walk, (es_text){NULL, 0}, ES__SQLITE_NONE, aggregate_type, err);
  while (status == ES_OK) {
    status = next_name(&tenant, name, &length, walk, ES_NAME_TENANT, err);
    if (status != ES_OK || length == 0) break;
    status = walk_tenant(walk, (es_text){name, length}, tenant, aggregate_type, err);
  }
done:
  sqlite3_finalize(walk->next_name);
  sqlite3_finalize(walk->page);
  free(walk);
  return status;
}
