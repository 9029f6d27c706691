/* memory: the store contract on the heap, for tests and for trying things out. Nothing survives closing. Knows no SQL, no
 * files. Everything kept is sorted, so that lookups are binary searches and undoing is popping. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/memory.h"
#include "store/tree.h"
#include "json/writer.h"

/* ---- Sorted arrays ---- */

static bool grow(void *array, size_t *capacity, size_t count, size_t item_size) {
  void **items = array;
  if (count < *capacity) return true;
  size_t wanted = *capacity == 0 ? 16 : *capacity * 2;
  void *moved = realloc(*items, wanted * item_size);
  if (moved == NULL) return false;
  *items = moved;
  *capacity = wanted;
  return true;
}

static int compare_text(es_text a, es_text b) { /* none first */
  if (a.data == NULL || b.data == NULL) return (a.data != NULL) - (b.data != NULL);
  size_t shorter = a.length < b.length ? a.length : b.length;
  int order = memcmp(a.data, b.data, shorter);
  return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

int es__memory_compare_streams(const es_stream_name *a, const es_stream_name *b) {
  int order = compare_text(a->tenant_id, b->tenant_id);
  if (order == 0) order = compare_text(a->aggregate_type, b->aggregate_type);
  return order != 0 ? order : compare_text(a->aggregate_id, b->aggregate_id);
}

static int compare_stream(const void *key, const void *item) {
  return es__memory_compare_streams(key, &(*(memory_stream *const *)item)->name);
}

static int compare_id(const void *key, const void *item) {
  return memcmp(key, ((const memory_id *)item)->event_id, ES_ID_SIZE);
}

static int compare_reply(const void *key, const void *item) {
  return memcmp(key, ((const memory_reply *)item)->record.key, ES_STORE_KEY_SIZE);
}

/* Index of the first item not below `key`; *found tells whether it equals. */
static size_t lower_bound(bool *found, const void *key, const void *items, size_t count,
                          size_t item_size, int (*compare)(const void *, const void *)) {
  size_t low = 0, high = count;
  *found = false;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = compare(key, (const char *)items + middle * item_size);
    if (order == 0) *found = true;
    if (order > 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

size_t es__memory_find_stream(bool *found, const memory_store *store, const es_stream_name *name) {
  return lower_bound(found, name, store->streams, store->stream_count, sizeof(memory_stream *),
                     compare_stream);
}

/* ---- Undo ---- */

static memory_mark mark_of(const memory_store *store) {
  return (memory_mark){store->event_count, store->reply_serial};
}

static void remove_stream(memory_store *store, memory_stream *stream) {
  bool found;
  size_t index = es__memory_find_stream(&found, store, &stream->name);
  memmove(store->streams + index, store->streams + index + 1,
          (store->stream_count - index - 1) * sizeof(memory_stream *));
  store->stream_count--;
  free(stream->positions);
  free(stream);
}

static void pop_event(memory_store *store) {
  memory_event *last = store->events[--store->event_count];
  bool found;
  size_t index = lower_bound(&found, last->event.event_id, store->ids, store->id_count,
                             sizeof(memory_id), compare_id);

  memmove(store->ids + index, store->ids + index + 1,
          (store->id_count - index - 1) * sizeof(memory_id));
  store->id_count--;
  if (--last->stream->count == 0) remove_stream(store, last->stream);
  free(last);
}

static void undo_to(memory_store *store, memory_mark mark) {
  size_t kept = 0;

  while (store->event_count > mark.event_count)
    pop_event(store);
  for (size_t i = 0; i < store->reply_count; i++) {
    if (store->replies[i].serial > mark.reply_serial) {
      es__reply_record_free(&store->replies[i].record);
    } else {
      store->replies[kept++] = store->replies[i];
    }
  }
  store->reply_count = kept;
  store->reply_serial = mark.reply_serial;
}

/* ---- Append ---- */

static es_text place_text(char **at, es_text text) {
  if (text.data == NULL) return text;
  memcpy(*at, text.data, text.length);
  es_text placed = {*at, text.length};
  *at += text.length;
  return placed;
}

static memory_stream *add_stream(memory_store *store, size_t index, const es_stream_name *name) {
  size_t length = name->tenant_id.length + name->aggregate_type.length + name->aggregate_id.length;
  if (!grow(&store->streams, &store->stream_capacity, store->stream_count, sizeof(memory_stream *)))
    return NULL;
  memory_stream *stream = calloc(1, sizeof *stream + length);
  if (stream == NULL) return NULL;
  char *at = (char *)(stream + 1);
  stream->name.tenant_id = place_text(&at, name->tenant_id);
  stream->name.aggregate_type = place_text(&at, name->aggregate_type);
  stream->name.aggregate_id = place_text(&at, name->aggregate_id);
  memmove(store->streams + index + 1, store->streams + index,
          (store->stream_count - index) * sizeof(memory_stream *));
  store->streams[index] = stream;
  store->stream_count++;
  return stream;
}

static memory_event *copy_event(const es_event *event) {
  size_t length = event->tenant_id.length + event->aggregate_type.length +
                  event->aggregate_id.length + event->event_type.length + event->actor_id.length +
                  event->data.length + event->metadata.length;
  memory_event *copy = malloc(sizeof *copy + length);
  if (copy == NULL) return NULL;
  char *at = (char *)(copy + 1);
  copy->event = *event;
  copy->event.tenant_id = place_text(&at, event->tenant_id);
  copy->event.aggregate_type = place_text(&at, event->aggregate_type);
  copy->event.aggregate_id = place_text(&at, event->aggregate_id);
  copy->event.event_type = place_text(&at, event->event_type);
  copy->event.actor_id = place_text(&at, event->actor_id);
  copy->event.data = place_text(&at, event->data);
  copy->event.metadata = place_text(&at, event->metadata);
  return copy;
}

static es_status stamp(es_event *event, const memory_store *store, const es_commit *commit,
                       const memory_stream *stream, es_error *err) {
  const es_event *last =
      store->event_count == 0 ? NULL : &store->events[store->event_count - 1]->event;
  es_status status = es__next_version(commit, event, (int64_t)stream->count, err);

  if (status != ES_OK) return status;
  event->position = (int64_t)store->event_count + 1;
  event->version = (int64_t)stream->count + 1;
  memset(event->previous_hash, 0, ES_HASH_SIZE);
  if (last != NULL) memcpy(event->previous_hash, last->hash, ES_HASH_SIZE);
  if (!event->has_causation) memset(event->causation_id, 0, ES_ID_SIZE);
  if (!commit->keep_recorded_at) {
    event->recorded_at =
        last != NULL && last->recorded_at > commit->now ? last->recorded_at : commit->now;
  } else if (last != NULL && event->recorded_at < last->recorded_at) {
    return es__time_conflict(event, err);
  }
  return es__chain_hash(store->base.chain, event->hash, event, err);
}

static es_status append_event(memory_store *store, const es_commit *commit, es_event *event,
                              es_error *err) {
  const es_stream_name name = {event->tenant_id, event->aggregate_type, event->aggregate_id};
  bool id_found, stream_found;
  memory_stream *stream;
  memory_event *copy;
  es_status status;

  size_t id_index = lower_bound(&id_found, event->event_id, store->ids, store->id_count,
                                sizeof(memory_id), compare_id);
  if (id_found) return es__duplicate_event(event, err);
  if (!grow(&store->ids, &store->id_capacity, store->id_count, sizeof(memory_id)) ||
      !grow(&store->events, &store->event_capacity, store->event_count, sizeof(memory_event *)))
    return es__no_memory(err);
  size_t stream_index = es__memory_find_stream(&stream_found, store, &name);
  stream = stream_found ? store->streams[stream_index] : add_stream(store, stream_index, &name);
  if (stream == NULL) return es__no_memory(err);
  status = stamp(event, store, commit, stream, err);
  copy = status == ES_OK ? copy_event(event) : NULL;
  if (copy == NULL ||
      !grow(&stream->positions, &stream->capacity, stream->count, sizeof(int64_t))) {
    free(copy);
    if (stream->count == 0) remove_stream(store, stream);
    return status == ES_OK ? es__no_memory(err) : status;
  }
  copy->stream = stream;
  stream->positions[stream->count++] = event->position;
  memmove(store->ids + id_index + 1, store->ids + id_index,
          (store->id_count - id_index) * sizeof(memory_id));
  memcpy(store->ids[id_index].event_id, event->event_id, ES_ID_SIZE);
  store->id_count++;
  store->events[store->event_count++] = copy;
  return ES_OK;
}

static es_status copy_record(es_reply_record *out, const es_reply_record *record, es_error *err) {
  *out = *record;
  out->body.data = es__text_copy(record->body);
  return out->body.data == NULL ? es__no_memory(err) : ES_OK;
}

static es_status append_reply(memory_store *store, const es_commit *commit, es_error *err) {
  bool found;
  memory_reply reply = {.serial = store->reply_serial + 1};

  if (!grow(&store->replies, &store->reply_capacity, store->reply_count, sizeof(memory_reply)))
    return es__no_memory(err);
  es_status status = copy_record(&reply.record, commit->reply, err);
  if (status != ES_OK) return status;
  reply.record.first_position = commit->event_count > 0 ? commit->events[0].position : 0;
  size_t index = lower_bound(&found, reply.record.key, store->replies, store->reply_count,
                             sizeof(memory_reply), compare_reply);
  memmove(store->replies + index + 1, store->replies + index,
          (store->reply_count - index) * sizeof(memory_reply));
  store->replies[index] = reply;
  store->reply_count++;
  store->reply_serial++;
  return ES_OK;
}

static es_status memory_find_reply(bool *found, es_reply_record *out, es_store *base,
                                   const uint8_t key[ES_STORE_KEY_SIZE], es_error *err) {
  memory_store *store = (memory_store *)base;
  size_t index = lower_bound(found, key, store->replies, store->reply_count, sizeof(memory_reply),
                             compare_reply);
  return *found ? copy_record(out, &store->replies[index].record, err) : ES_OK;
}

static es_status memory_stream_version(int64_t *out, es_store *base, const es_stream_name *stream,
                                       es_error *err) {
  const memory_store *store = (const memory_store *)base;
  bool found;
  size_t index = es__memory_find_stream(&found, store, stream);

  (void)err;
  *out = found ? (int64_t)store->streams[index]->count : 0;
  return ES_OK;
}

static es_status memory_append(es_store *base, es_commit *commit, es_error *err) {
  memory_store *store = (memory_store *)base;
  memory_mark mark = mark_of(store);
  es_status status = ES_OK;

  if (commit->reply != NULL) {
    status =
        memory_find_reply(&commit->duplicate, &commit->existing, base, commit->reply->key, err);
    if (status != ES_OK || commit->duplicate) return status;
  }
  for (size_t i = 0; i < commit->condition_count; i++) {
    const es_condition *condition = &commit->conditions[i];
    int64_t actual;
    memory_stream_version(&actual, base, &condition->stream, err);
    if (actual != condition->expected_version) return es__version_conflict(condition, actual, err);
  }
  for (size_t i = 0; status == ES_OK && i < commit->event_count; i++)
    status = append_event(store, commit, &commit->events[i], err);
  if (status == ES_OK && commit->reply != NULL) status = append_reply(store, commit, err);
  if (status != ES_OK) undo_to(store, mark);
  return status;
}

static es_status memory_begin(es_store *base, es_error *err) {
  memory_store *store = (memory_store *)base;
  if (store->in_group)
    return es__fail(err, ES_ERR_USAGE, "transaction_open", "a transaction is open already");
  store->in_group = true;
  store->group_start = mark_of(store);
  return ES_OK;
}

static es_status memory_commit(es_store *base, es_error *err) {
  memory_store *store = (memory_store *)base;
  if (!store->in_group)
    return es__fail(err, ES_ERR_USAGE, "no_transaction", "no transaction is open");
  store->in_group = false;
  return ES_OK;
}

static void memory_rollback(es_store *base) {
  memory_store *store = (memory_store *)base;
  if (!store->in_group) return;
  store->in_group = false;
  undo_to(store, store->group_start);
}

/* ---- The rest ---- */

static es_status memory_hashes(es_hash *out, size_t *count, es_store *base, int64_t after,
                               size_t capacity, es_error *err) {
  const memory_store *store = (const memory_store *)base;

  (void)err;
  for (size_t at = (size_t)after; at < store->event_count && *count < capacity; at++)
    memcpy(out[(*count)++].bytes, store->events[at]->event.hash, ES_HASH_SIZE);
  return ES_OK;
}

static es_status memory_tree_size(int64_t *out, es_store *base, es_error *err) {
  (void)err;
  *out = es__memory_tree_size(&((memory_store *)base)->tree);
  return ES_OK;
}

static es_status memory_tile(es_hash out[ES_TILE_WIDTH], int *width, es_store *base, int level,
                             int64_t index, es_error *err) {
  (void)err;
  es__memory_tile(out, width, &((memory_store *)base)->tree, level, index);
  return ES_OK;
}

static es_status memory_put_tile(es_store *base, int level, int64_t index, int width,
                                 const es_hash *hashes, es_error *err) {
  return es__memory_put_tile(&((memory_store *)base)->tree, level, index, width, hashes, err);
}

static es_status memory_checkpoint(es_store_checkpoint *out, es_store *base, int64_t up_to,
                                   int64_t id, es_error *err) {
  return es__memory_checkpoint(out, &((memory_store *)base)->tree, up_to, id, err);
}

static es_status memory_add_checkpoint(es_store *base, int64_t size, es_text note, es_error *err) {
  return es__memory_add_checkpoint(&((memory_store *)base)->tree, size, note, err);
}

/* Nothing here lies on a disk, where it could be damaged; the tree is compared all the same. */
static es_status memory_check(es_store *base, int part, es_sums *sums, es_store_finding finding,
                              void *data, es_error *err) {
  (void)part, (void)sums;
  return es__tree_check_size(base, finding, data, err);
}

static es_status memory_info(es_buf *json, es_store *base, es_error *err) {
  const memory_store *store = (const memory_store *)base;
  char id[ES_ID_TEXT_SIZE];

  es_id_text(id, base->store_id);
  es__buf_byte(json, '{');
  es__json_write_key(json, "kind");
  es__json_write_text(json, es__text(base->kind->name));
  es__json_write_key(json, "store_id");
  es__json_write_text(json, es__text(id));
  es__json_write_key(json, "events");
  es__json_write_integer(json, (int64_t)store->event_count);
  es__json_write_key(json, "snapshots");
  es__json_write_integer(json, (int64_t)store->snapshot_count);
  es__buf_byte(json, '}');
  return json->failed ? es__no_memory(err) : ES_OK;
}

static void memory_close(es_store *base) {
  memory_store *store = (memory_store *)base;

  for (size_t i = 0; i < store->event_count; i++)
    free(store->events[i]);
  for (size_t i = 0; i < store->stream_count; i++) {
    free(store->streams[i]->positions);
    free(store->streams[i]);
  }
  for (size_t i = 0; i < store->reply_count; i++)
    es__reply_record_free(&store->replies[i].record);
  for (size_t i = 0; i < store->snapshot_count; i++)
    es__snapshot_record_free(&store->snapshots[i]);
  free(store->snapshots);
  free(store->events);
  free(store->streams);
  free(store->ids);
  free(store->replies);
  es__memory_tree_free(&store->tree);
  es__chain_free(base->chain);
  free(store);
}

static const es_store_kind memory_kind = {
    .name = "memory",
    .append = memory_append,
    .begin = memory_begin,
    .commit = memory_commit,
    .rollback = memory_rollback,
    .read = es__memory_read,
    .next = es__memory_next,
    .cursor_close = es__memory_cursor_close,
    .stream_version = memory_stream_version,
    .head = es__memory_head,
    .find_reply = memory_find_reply,
    .streams = es__memory_streams,
    .hashes = memory_hashes,
    .tree_size = memory_tree_size,
    .tile = memory_tile,
    .put_tile = memory_put_tile,
    .checkpoint = memory_checkpoint,
    .add_checkpoint = memory_add_checkpoint,
    .add_snapshot = es__memory_add_snapshot,
    .find_snapshot = es__memory_find_snapshot,
    .next_snapshot = es__memory_next_snapshot,
    .drop_snapshots = es__memory_drop_snapshots,
    .visit = es__memory_visit,
    .next_position = es__memory_next_position,
    .check_parts = 1,
    .check = memory_check,
    .info = memory_info,
    .close = memory_close,
};

es_status es__store_open_memory(es_store **out, es_id_source *ids, es_error *err) {
  memory_store *store = calloc(1, sizeof *store);

  *out = NULL;
  if (store == NULL) return es__no_memory(err);
  store->base.kind = &memory_kind;
  es_status status = es__chain_new(&store->base.chain, err);
  if (status != ES_OK) {
    free(store);
    return status;
  }
  es__id_new(ids, store->base.store_id);
  *out = &store->base;
  return ES_OK;
}
