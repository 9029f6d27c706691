/* archive: the calls of archive.h, which check what is common to all kinds and go to the kind. Knows no SQL. */
#include "store/archive.h"

#include <string.h>

#include "base/error.h"

static es_status in_memory(es_error *err) {
  es__fail(err, ES_ERR_USAGE, "in_memory", "a store in memory has no file to move anything from");
  es__hint(err, "open a file");
  return ES_ERR_USAGE;
}

es_status es__archive_segments(es_store *store, es_segment_visitor visitor, void *data,
                               es_error *err) {
  if (store->kind->archive == NULL) return ES_OK;
  return store->kind->archive->segments(store, visitor, data, err);
}

es_status es__archive_add(es_store *store, const es_segment *segment, es_error *err) {
  if (store->kind->archive == NULL) return in_memory(err);
  return store->kind->archive->add_segment(store, segment, err);
}

es_status es__archive_fetch(es_event *event, es_store *store, es_error *err) {
  if (!es__event_archived(event) || store->kind->archive == NULL) return ES_OK;
  return store->kind->archive->fetch(event, store, err);
}

es_status es__archive_mark(es_store *store, const es_event *event, es_error *err) {
  uint8_t hash[ES_HASH_SIZE], data_hash[ES_HASH_SIZE], metadata_hash[ES_HASH_SIZE];
  char marker[ES_MARKER_LENGTH + 1];

  if (store->kind->archive == NULL) return in_memory(err);
  es_status status = es__chain_hash(store->chain, hash, event, err);
  if (status == ES_OK && memcmp(hash, event->hash, ES_HASH_SIZE) != 0) {
    es__fail(err, ES_ERR_INTEGRITY, "hash", "event %lld: its content is not what was hashed",
             (long long)event->position);
    es__hint(err, "nothing of it was archived: run `esrun verify` to see all that is damaged");
    if (err != NULL) err->position = event->position;
    return ES_ERR_INTEGRITY;
  }
  if (status == ES_OK) status = es__chain_texts(store->chain, data_hash, metadata_hash, event, err);
  if (status != ES_OK) return status;
  es__marker_write(marker, data_hash, metadata_hash);
  return store->kind->archive->replace_texts(store, event->position, es__text(""),
                                             (es_text){marker, ES_MARKER_LENGTH}, err);
}

es_status es__archive_unmark(es_store *store, const es_event *event, es_error *err) {
  if (store->kind->archive == NULL) return in_memory(err);
  return store->kind->archive->replace_texts(store, event->position, event->data, event->metadata,
                                             err);
}

es_status es__archive_next(int64_t *out, es_store *store, int64_t after, int64_t to,
                           es_error *err) {
  *out = 0;
  if (store->kind->archive == NULL) return in_memory(err);
  return store->kind->archive->next_to_move(out, store, after, to, err);
}

es_status es__archive_folder(char **out, es_store *store, es_error *err) {
  *out = NULL;
  if (store->kind->archive == NULL) return in_memory(err);
  return store->kind->archive->folder(out, store, err);
}

es_status es__archive_look_in(es_store *store, const char *folder, es_error *err) {
  if (store->kind->archive == NULL) return in_memory(err);
  return store->kind->archive->look_in(store, folder, err);
}

es_status es__archive_compact(es_store *store, es_error *err) {
  if (store->kind->archive == NULL) return in_memory(err);
  return store->kind->archive->compact(store, err);
}
