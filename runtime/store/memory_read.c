/* memory_read: reading the in-memory store: cursors, the head, the list of streams. Changes nothing. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/memory.h"

typedef struct memory_cursor {
  es_store_cursor base;
  es_filter_terms terms;
  bool one_stream; /* the filter names a stream: walk its versions instead of all positions */
  int64_t at;      /* position (of one stream: version) of the event looked at last */
  int64_t given;
} memory_cursor;

es_status es__memory_read(es_store_cursor **out, es_store *base, const es_filter *filter,
                          es_error *err) {
  memory_store *store = (memory_store *)base;
  memory_cursor *cursor = calloc(1, sizeof *cursor);

  if (cursor == NULL) return es__no_memory(err);
  cursor->base.store = base;
  cursor->base.has_snapshots = store->snapshot_count > 0;
  es_status status = es__filter_init(&cursor->terms, filter, err);
  if (status != ES_OK) {
    es__filter_free(&cursor->terms);
    free(cursor);
    return status;
  }
  const es_filter_terms *terms = &cursor->terms;
  cursor->one_stream = terms->tenant_id.set && terms->aggregate_type.set && terms->aggregate_id.set;
  cursor->at = cursor->one_stream ? 0 : terms->after_position;
  if (terms->reverse && cursor->at == 0) cursor->at = (int64_t)store->event_count + 1;
  *out = &cursor->base;
  return ES_OK;
}

/* The position that follows in the cursor's direction, or 0. Streams are looked up anew each time: a rollback frees them. */
static int64_t advance(memory_cursor *cursor, const memory_store *store) {
  int64_t count = (int64_t)store->event_count;
  const int64_t *positions = NULL;

  if (cursor->one_stream) {
    const es_stream_name name = {cursor->terms.tenant_id.text, cursor->terms.aggregate_type.text,
                                 cursor->terms.aggregate_id.text};
    bool found;
    size_t index = es__memory_find_stream(&found, store, &name);
    if (!found) return 0;
    positions = store->streams[index]->positions;
    count = (int64_t)store->streams[index]->count;
  }
  if (cursor->terms.reverse && cursor->at > count + 1) cursor->at = count + 1;
  if (!cursor->terms.reverse && cursor->at >= count) return 0; /* at may be INT64_MAX */
  int64_t next = cursor->at + (cursor->terms.reverse ? -1 : 1);
  if (next < 1 || next > count) return 0;
  cursor->at = next;
  return positions == NULL ? next : positions[next - 1];
}

static bool beyond(const es_filter_terms *terms, int64_t position) {
  if (terms->after_position == 0) return false;
  return terms->reverse ? position >= terms->after_position : position <= terms->after_position;
}

es_status es__memory_next(const es_event **event, es_store_cursor *base, es_error *err) {
  memory_cursor *cursor = (memory_cursor *)base;
  memory_store *store = (memory_store *)base->store;
  int64_t position;

  (void)err;
  if (cursor->given >= cursor->terms.limit) return ES_OK;
  while ((position = advance(cursor, store)) != 0) {
    const es_event *candidate = &store->events[position - 1]->event;
    if (beyond(&cursor->terms, position) || !es__filter_matches(&cursor->terms, candidate))
      continue;
    cursor->given++;
    *event = candidate;
    break;
  }
  return ES_OK;
}

es_status es__memory_visit(es_store *base, int64_t after, int64_t to, es_sums *sums,
                           es_store_visitor visitor, void *data, es_error *err) {
  const memory_store *store = (const memory_store *)base;
  es_status status = ES_OK;

  (void)sums; /* its indexes are its events */
  for (; status == ES_OK && after < to && after < (int64_t)store->event_count; after++)
    status = visitor(data, &store->events[after]->event, NULL, err);
  return status;
}

es_status es__memory_next_position(int64_t *out, es_store *base, int64_t after, es_error *err) {
  const memory_store *store = (const memory_store *)base;

  (void)err;
  *out = after < (int64_t)store->event_count ? after + 1 : 0;
  return ES_OK;
}

void es__memory_cursor_close(es_store_cursor *base) {
  memory_cursor *cursor = (memory_cursor *)base;
  es__filter_free(&cursor->terms);
  free(cursor);
}

es_status es__memory_head(es_store_head *out, es_store *base, es_error *err) {
  const memory_store *store = (const memory_store *)base;

  (void)err;
  if (store->event_count == 0) return ES_OK;
  const es_event *last = &store->events[store->event_count - 1]->event;
  out->position = last->position;
  out->recorded_at = last->recorded_at;
  memcpy(out->hash, last->hash, ES_HASH_SIZE);
  return ES_OK;
}

es_status es__memory_streams(es_store *base, const char *aggregate_type,
                             es_status (*each)(void *data, const es_stream_name *, int64_t version,
                                               es_error *err),
                             void *data, es_error *err) {
  const memory_store *store = (const memory_store *)base;
  es_text type = es__text(aggregate_type);

  for (size_t i = 0; i < store->stream_count; i++) {
    const memory_stream *stream = store->streams[i];
    if (type.data != NULL && !es__text_equal(type, stream->name.aggregate_type)) continue;
    es_status status = each(data, &stream->name, (int64_t)stream->count, err);
    if (status != ES_OK) return status;
  }
  return ES_OK;
}
