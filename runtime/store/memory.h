/* memory: what the files of the in-memory store share. Private to runtime/store/memory*.c. */
#ifndef ES_STORE_MEMORY_H
#define ES_STORE_MEMORY_H

#include "store/filter.h"
#include "store/memory_tree.h"

typedef struct memory_stream {
  es_stream_name name; /* texts follow the struct */
  int64_t *positions;  /* positions[version - 1] */
  size_t count;
  size_t capacity;
} memory_stream;

typedef struct memory_event {
  es_event event; /* texts follow the struct */
  memory_stream *stream;
} memory_event;

typedef struct memory_id {
  uint8_t event_id[ES_ID_SIZE];
} memory_id;

typedef struct memory_reply {
  es_reply_record record;
  uint64_t serial; /* order of arrival, so that a rollback knows the youngest */
} memory_reply;

typedef struct memory_mark {
  size_t event_count;
  uint64_t reply_serial;
} memory_mark;

typedef struct memory_store {
  es_store base;
  memory_event **events; /* by position - 1 */
  size_t event_count, event_capacity;
  memory_stream **streams; /* by tenant (none first), type, id */
  size_t stream_count, stream_capacity;
  memory_id *ids; /* by bytes */
  size_t id_count, id_capacity;
  memory_reply *replies; /* by key */
  size_t reply_count, reply_capacity;
  uint64_t reply_serial;
  es_memory_tree tree;
  es_snapshot_record *snapshots; /* by stream, version */
  size_t snapshot_count, snapshot_capacity;
  bool in_group;
  memory_mark group_start;
} memory_store;

/* memory.c. Where a stream is, or would be, among the sorted ones. */
size_t es__memory_find_stream(bool *found, const memory_store *store, const es_stream_name *name);

int es__memory_compare_streams(const es_stream_name *a, const es_stream_name *b);

/* memory_snapshots.c */
es_status es__memory_add_snapshot(es_store *base, es_snapshot_record *record, es_error *err);
es_status es__memory_find_snapshot(bool *found, es_snapshot_record *out, es_store *base,
                                   const es_stream_name *stream, const es_snapshot_wish *wish,
                                   es_error *err);
es_status es__memory_next_snapshot(bool *found, es_snapshot_record *at, es_store *base,
                                   const es_stream_name *stream, es_error *err);
es_status es__memory_drop_snapshots(int64_t *count, es_store *base, const es_stream_name *stream,
                                    es_error *err);

/* memory_read.c */
es_status es__memory_read(es_store_cursor **out, es_store *base, const es_filter *filter,
                          es_error *err);
es_status es__memory_next_position(int64_t *out, es_store *base, int64_t after, es_error *err);
es_status es__memory_visit(es_store *base, int64_t after, int64_t to, es_sums *sums,
                           es_store_visitor visitor, void *data, es_error *err);
es_status es__memory_next(const es_event **event, es_store_cursor *base, es_error *err);
void es__memory_cursor_close(es_store_cursor *base);
es_status es__memory_head(es_store_head *out, es_store *base, es_error *err);
es_status es__memory_streams(es_store *base, const char *aggregate_type,
                             es_status (*each)(void *data, const es_stream_name *, int64_t version,
                                               es_error *err),
                             void *data, es_error *err);

#endif
