/* memory_snapshots: kept states on the heap. Nothing there can be damaged, so none has a checksum; they are taken outside of
 * transactions, so that undoing one never meets them. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/memory.h"

/* The index of the first snapshot at or behind a stream's version. */
static size_t at_or_behind(const memory_store *store, const es_stream_name *stream,
                           int64_t version) {
  size_t low = 0, high = store->snapshot_count;

  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const es_snapshot_record *record = &store->snapshots[middle];
    int order = es__memory_compare_streams(stream, &record->stream);
    if (order > 0 || (order == 0 && version > record->version)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static void remove_one(memory_store *store, size_t index) {
  es__snapshot_record_free(&store->snapshots[index]);
  store->snapshot_count--;
  memmove(store->snapshots + index, store->snapshots + index + 1,
          (store->snapshot_count - index) * sizeof *store->snapshots);
}

static bool is_of(const memory_store *store, size_t index, const es_stream_name *stream) {
  return index < store->snapshot_count &&
         es__memory_compare_streams(stream, &store->snapshots[index].stream) == 0;
}

static es_status copy(es_snapshot_record *out, const es_snapshot_record *record, es_error *err) {
  *out = *record;
  out->text = NULL;
  return es__snapshot_record_own(out, err);
}

/* The event that the snapshot ends with. */
static es_status bind_event(es_snapshot_record *record, const memory_store *store, es_error *err) {
  es_condition condition = {record->stream, record->version};
  bool known;
  size_t index = es__memory_find_stream(&known, store, &record->stream);
  int64_t head = known ? (int64_t)store->streams[index]->count : 0;

  if (record->version < 1 || record->version > head)
    return es__version_conflict(&condition, head, err);
  int64_t position = store->streams[index]->positions[record->version - 1];
  const es_event *event = &store->events[position - 1]->event;
  record->position = position;
  record->recorded_at = event->recorded_at;
  memcpy(record->event_hash, event->hash, ES_HASH_SIZE);
  memcpy(record->event_id, event->event_id, ES_ID_SIZE);
  return ES_OK;
}

static es_status make_room(memory_store *store, es_error *err) {
  if (store->snapshot_count < store->snapshot_capacity) return ES_OK;
  size_t capacity = store->snapshot_capacity == 0 ? 16 : store->snapshot_capacity * 2;
  es_snapshot_record *moved = realloc(store->snapshots, capacity * sizeof *moved);
  if (moved == NULL) return es__no_memory(err);
  store->snapshots = moved;
  store->snapshot_capacity = capacity;
  return ES_OK;
}

es_status es__memory_add_snapshot(es_store *base, es_snapshot_record *record, es_error *err) {
  memory_store *store = (memory_store *)base;
  es_snapshot_record kept = {0};
  es_status status = bind_event(record, store, err);

  if (status == ES_OK) status = make_room(store, err);
  if (status == ES_OK) status = copy(&kept, record, err);
  if (status != ES_OK) return status;
  size_t index = at_or_behind(store, &kept.stream, kept.version);
  if (is_of(store, index, &kept.stream) && store->snapshots[index].version == kept.version)
    remove_one(store, index);
  memmove(store->snapshots + index + 1, store->snapshots + index,
          (store->snapshot_count - index) * sizeof kept);
  store->snapshots[index] = kept;
  store->snapshot_count++;
  size_t first = at_or_behind(store, &kept.stream, 0), count = 0;
  while (is_of(store, first + count, &record->stream))
    count++;
  for (; count > ES_SNAPSHOTS_KEPT; count--)
    remove_one(store, first);
  return ES_OK;
}

es_status es__memory_find_snapshot(bool *found, es_snapshot_record *out, es_store *base,
                                   const es_stream_name *stream, const es_snapshot_wish *wish,
                                   es_error *err) {
  const memory_store *store = (const memory_store *)base;
  size_t index = at_or_behind(store, stream, INT64_MAX);

  while (index > 0 && is_of(store, --index, stream)) {
    const es_snapshot_record *record = &store->snapshots[index];
    if ((wish->to_version > 0 && record->version > wish->to_version) ||
        (wish->to_time != 0 && record->recorded_at > wish->to_time) ||
        (wish->module_hash != NULL &&
         memcmp(record->module_hash, wish->module_hash, ES_HASH_SIZE) != 0))
      continue;
    es_status status = copy(out, record, err);
    *found = status == ES_OK;
    return status;
  }
  return ES_OK;
}

es_status es__memory_next_snapshot(bool *found, es_snapshot_record *at, es_store *base,
                                   const es_stream_name *stream, es_error *err) {
  const memory_store *store = (const memory_store *)base;
  size_t index = 0;

  if (at->text != NULL) {
    index = at_or_behind(store, &at->stream, at->version + 1);
  } else if (stream != NULL) {
    index = at_or_behind(store, stream, 0);
  }
  es__snapshot_record_free(at);
  if (index == store->snapshot_count || (stream != NULL && !is_of(store, index, stream)))
    return ES_OK;
  es_status status = copy(at, &store->snapshots[index], err);
  *found = status == ES_OK;
  return status;
}

es_status es__memory_drop_snapshots(int64_t *count, es_store *base, const es_stream_name *stream,
                                    es_error *err) {
  memory_store *store = (memory_store *)base;
  size_t index = stream == NULL ? 0 : at_or_behind(store, stream, 0);

  (void)err;
  for (; index < store->snapshot_count && (stream == NULL || is_of(store, index, stream)); ++*count)
    remove_one(store, index);
  return ES_OK;
}
