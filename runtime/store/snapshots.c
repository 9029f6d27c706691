/* snapshots: what every kind of store does alike with kept states: arguments, transactions, records, checksums. Knows no SQL. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/store.h"

void es__snapshot_record_free(es_snapshot_record *record) {
  if (record == NULL) return;
  free(record->text);
  *record = (es_snapshot_record){0};
}

static es_text place(char **at, es_text text) {
  if (text.data == NULL) return text;
  memcpy(*at, text.data, text.length);
  es_text placed = {*at, text.length};
  *at += text.length;
  return placed;
}

es_status es__snapshot_record_own(es_snapshot_record *record, es_error *err) {
  es_stream_name *stream = &record->stream;
  size_t length = stream->tenant_id.length + stream->aggregate_type.length +
                  stream->aggregate_id.length + record->state.length + record->lists.length;
  char *text = malloc(length + 1);

  if (text == NULL) return es__no_memory(err);
  record->text = text;
  stream->tenant_id = place(&text, stream->tenant_id);
  stream->aggregate_type = place(&text, stream->aggregate_type);
  stream->aggregate_id = place(&text, stream->aggregate_id);
  record->state = place(&text, record->state);
  record->lists = place(&text, record->lists);
  return ES_OK;
}

/* Of "esrun snapshot\nkey version position created_at length of lists\n" snapshot_id event_hash module_hash lists, and the
 * state. */
es_status es__snapshot_checksum(uint8_t out[ES_HASH_SIZE], es_store *store,
                                const es_snapshot_record *record, es_error *err) {
  es_buf head = {0};
  es_status status;

  es__buf_format(&head, "esrun snapshot\n%lld %lld %lld %lld %zu\n", (long long)record->key,
                 (long long)record->version, (long long)record->position,
                 (long long)record->created_at, record->lists.length);
  es__buf_add(&head, (const char *)record->snapshot_id, ES_ID_SIZE);
  es__buf_add(&head, (const char *)record->event_hash, ES_HASH_SIZE);
  es__buf_add(&head, (const char *)record->module_hash, ES_HASH_SIZE);
  es__buf_add(&head, record->lists.data, record->lists.length);
  status = head.failed ? es__no_memory(err)
                       : es__sha256(store->chain, out, head.data, head.length, record->state.data,
                                    record->state.length, err);
  es__buf_free(&head);
  return status;
}

es_status es__store_add_snapshot(es_store *store, es_snapshot_record *record, es_error *err) {
  es_status status = es__store_begin(store, err);

  if (status != ES_OK) return status;
  status = store->kind->add_snapshot(store, record, err);
  if (status == ES_OK) return es__store_commit(store, err);
  es__store_rollback(store);
  return status;
}

es_status es__store_find_snapshot(bool *found, es_snapshot_record *out, es_store *store,
                                  const es_stream_name *stream, const es_snapshot_wish *wish,
                                  es_error *err) {
  *found = false;
  *out = (es_snapshot_record){0};
  return store->kind->find_snapshot(found, out, store, stream, wish, err);
}

es_status es__store_next_snapshot(bool *found, es_snapshot_record *at, es_store *store,
                                  const es_stream_name *stream, es_error *err) {
  es_status status;

  *found = false;
  status = store->kind->next_snapshot(found, at, store, stream, err);
  if (!*found) es__snapshot_record_free(at);
  return status;
}

es_status es__store_drop_snapshots(int64_t *count, es_store *store, const es_stream_name *stream,
                                   es_error *err) {
  *count = 0;
  es_status status = es__store_begin(store, err);

  if (status != ES_OK) return status;
  status = store->kind->drop_snapshots(count, store, stream, err);
  if (status == ES_OK) status = es__store_commit(store, err);
  if (status == ES_OK) return ES_OK;
  *count = 0;
  es__store_rollback(store);
  return status;
}
