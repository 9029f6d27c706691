/* import_export: a line of an export as an event to be stored: its hash and its place are checked before it is. In append
 * mode it gets a new place, and the old one is kept in its metadata. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/import.h"
#include "json/value.h"
#include "json/writer.h"

static es_status check_hash(es_import *import, const es_event *event, es_error *err) {
  uint8_t hash[ES_HASH_SIZE];
  char written[2 * ES_HASH_SIZE + 1], computed[2 * ES_HASH_SIZE + 1];
  es_status status = es__chain_hash(import->chain, hash, event, err);

  if (status != ES_OK || memcmp(hash, event->hash, ES_HASH_SIZE) == 0) return status;
  es__hex(written, event->hash, ES_HASH_SIZE);
  es__hex(computed, hash, ES_HASH_SIZE);
  return es__fail(err, ES_ERR_INTEGRITY, "hash",
                  "the hash is wrong: the line says %.16s…, its content has %.16s…", written,
                  computed);
}

/* ---- continuing a chain ---- */

/* A line whose position the store has: it must be that event. */
static es_status check_present(es_import *import, const es_event *event, es_error *err) {
  es_filter filter = ES_FILTER_INIT;
  const es_event *stored = NULL;
  es_status status = ES_OK;

  if (import->present == NULL) {
    filter.after_position = event->position - 1;
    filter.limit = import->present_until - event->position + 1;
    status = es__store_read(&import->present, import->rt->store, &filter, err);
    if (status == ES_OK) import->present->as_stored = true; /* the hash says it all */
  }
  if (status == ES_OK) status = es__store_next(&stored, import->present, err);
  if (status != ES_OK) return status;
  if (stored != NULL && stored->position == event->position &&
      memcmp(stored->hash, event->hash, ES_HASH_SIZE) == 0)
    return ES_OK;
  es__fail(err, ES_ERR_CONFLICT, "other_store", "this store has another event at this position");
  es__hint(err, "import into an empty store, or append to this one");
  return ES_ERR_CONFLICT;
}

static es_status check_place(es_import *import, const es_event *event, es_error *err) {
  const es_store_head *last = &import->last;
  bool first = !import->begun;
  es_status status;

  if (event->position <= import->present_until &&
      (first || event->position == last->position + 1)) {
    status = check_present(import, event, err);
    if (status == ES_OK) import->report.skipped_count++;
    return status;
  }
  if (event->position != last->position + 1) {
    es__fail(err, ES_ERR_INTEGRITY, "position_gap", "it does not follow position %lld",
             (long long)last->position);
    es__hint(err, "a chain continues without gaps: export without filters, or append");
    return ES_ERR_INTEGRITY;
  }
  if (memcmp(event->previous_hash, last->hash, ES_HASH_SIZE) != 0) {
    return es__fail(err, ES_ERR_INTEGRITY, "previous_hash",
                    "its previous_hash is not the hash of position %lld",
                    (long long)last->position);
  }
  if (last->position > 0 && event->recorded_at < last->recorded_at)
    return es__fail(err, ES_ERR_INTEGRITY, "time_order", "it was recorded before position %lld",
                    (long long)last->position);
  return ES_OK;
}

/* ---- appending ---- */

/* Positions rise; neighbours are linked. Gaps are fine: an export may have been filtered. */
static es_status check_order(const es_import *import, const es_event *event, es_error *err) {
  const es_store_head *last = &import->last;

  if (event->position <= last->position)
    return es__fail(err, ES_ERR_INTEGRITY, "position_order", "it comes after position %lld",
                    (long long)last->position);
  if (last->position > 0 && event->position == last->position + 1 &&
      memcmp(event->previous_hash, last->hash, ES_HASH_SIZE) != 0)
    return es__fail(err, ES_ERR_INTEGRITY, "previous_hash",
                    "its previous_hash is not the hash of position %lld",
                    (long long)last->position);
  return ES_OK;
}

/* The member "import" that goes into metadata."$", after what an earlier import left there. */
static void write_origin(es_buf *out, const es_import *import, const es_event *event,
                         const es_json_value *earlier) {
  char text[2 * ES_HASH_SIZE + 1];

  es__buf_text(out, "{\"hash\":\"");
  es__hex(text, event->hash, ES_HASH_SIZE);
  es__buf_text(out, text);
  es__buf_byte(out, '"');
  if (earlier != NULL) {
    es__buf_text(out, ",\"import\":");
    es__json_write_value(out, earlier);
  }
  es__buf_format(out, ",\"position\":%lld", (long long)event->position);
  es_time_text(text, event->recorded_at);
  es__buf_format(out, ",\"recorded_at\":\"%s\"", text);
  if (import->name != NULL) {
    es__buf_text(out, ",\"source\":");
    es__json_write_text(out, es__text(import->name));
  }
  es__buf_byte(out, '}');
}

/* Copies an object's members in order, with `key` at its place: `write` writes it from the member that was there or NULL. */
static void write_with(es_buf *out, const es_json_value *object, const char *key,
                       void (*write)(es_buf *out, const es_json_value *old, void *data),
                       void *data) {
  es_text name = es__text(key);
  size_t count = object == NULL ? 0 : object->count;
  bool written = false;

  es__buf_byte(out, '{');
  for (size_t i = 0; i <= count; i++) {
    bool same = i < count && es__text_equal(object->keys[i], name);
    bool here = i == count || same || es__text_compare(object->keys[i], name) > 0;
    if (here && !written) {
      es__json_write_key(out, key);
      write(out, same ? &object->items[i] : NULL, data);
      written = true;
    }
    if (i == count || same) continue;
    if (out->data[out->length - 1] != '{') es__buf_byte(out, ',');
    es__json_write_string(out, object->keys[i].data, object->keys[i].length);
    es__buf_byte(out, ':');
    es__json_write_value(out, &object->items[i]);
  }
  es__buf_byte(out, '}');
}

typedef struct origin {
  const es_import *import;
  const es_event *event;
} origin;

static void write_import(es_buf *out, const es_json_value *old, void *data) {
  const origin *from = data;
  write_origin(out, from->import, from->event, old);
}

static void write_runtime(es_buf *out, const es_json_value *old, void *data) {
  bool is_object = old != NULL && old->kind == ES_JSON_OBJECT_BEGIN;
  write_with(out, is_object ? old : NULL, "import", write_import, data);
}

/* Gives the event metadata that tells where it came from; in memory of its own. */
static es_status keep_origin(es_import *import, es_event *event, es_incoming *incoming,
                             es_error *err) {
  es_json_document *document = NULL;
  origin from = {import, event};
  es_buf *out = &import->scratch;
  es_status status = es__json_parse(&document, event->metadata.data, event->metadata.length, err);

  if (status != ES_OK) return status;
  es__buf_clear(out);
  write_with(out, es__json_root(document), "$", write_runtime, &from);
  es__json_document_free(document);
  if (out->failed) return es__no_memory(err);
  if (out->length > ES_METADATA_MAX)
    return es__fail(err, ES_ERR_USAGE, "event_too_large",
                    "metadata: there is no room in it for where the event came from");
  incoming->metadata = es__buf_take(out, &event->metadata.length);
  event->metadata.data = incoming->metadata;
  return incoming->metadata == NULL ? es__no_memory(err) : ES_OK;
}

/* ---- both ---- */

static es_status take_event(es_import *import, es_event *event, es_incoming *incoming,
                            es_error *err) {
  es_status status = check_hash(import, event, err);

  if (status == ES_OK)
    status = import->append ? check_order(import, event, err) : check_place(import, event, err);
  if (status != ES_OK) return status;
  import->begun = true;
  import->last.position = event->position;
  import->last.recorded_at = event->recorded_at;
  memcpy(import->last.hash, event->hash, ES_HASH_SIZE);
  incoming->version = event->version;
  memcpy(incoming->source_hash, event->hash, ES_HASH_SIZE);
  return import->append ? keep_origin(import, event, incoming, err) : ES_OK;
}

es_status es__import_export_line(es_import *import, const char *line, size_t length,
                                 es_error *err) {
  es_incoming *incoming = es__import_reserve(&import->making, length + 1);
  int64_t skipped = import->report.skipped_count;
  es_status status;

  if (incoming == NULL) return es__no_memory(err);
  es_event *event = &import->making.events[import->making.count];
  incoming->line = import->report.line_count;
  status = es__event_parse(event, incoming->texts, &import->scratch, line, length, err);
  incoming->source_position = event->position;
  if (status == ES_OK) status = take_event(import, event, incoming, err);
  if (status == ES_OK && import->report.skipped_count == skipped) {
    import->making.count++;
    return ES_OK;
  }
  int64_t position = incoming->source_position;
  es__incoming_free(incoming);
  return status == ES_OK ? ES_OK
                         : es__import_wrap(err, status, import->report.line_count, position);
}

/* The same hash, as the event's own, or as the one it had where it came from. */
bool es__import_same_export(const es_event *stored, const es_incoming *incoming) {
  es_json_document *document = NULL;
  char hex[2 * ES_HASH_SIZE + 1];
  bool same = memcmp(stored->hash, incoming->source_hash, ES_HASH_SIZE) == 0;

  if (same ||
      es__json_parse(&document, stored->metadata.data, stored->metadata.length, NULL) != ES_OK)
    return same;
  es__hex(hex, incoming->source_hash, ES_HASH_SIZE);
  const es_json_value *from = es__json_member(es__json_root(document), "$");
  for (int depth = 0; from != NULL && from->kind == ES_JSON_OBJECT_BEGIN && !same; depth++) {
    const es_json_value *hash = es__json_member(from, "hash");
    same = depth > 0 && hash != NULL && hash->kind == ES_JSON_STRING &&
           es__text_equal(hash->text, es__text(hex));
    from = es__json_member(from, "import");
  }
  es__json_document_free(document);
  return same;
}
