/* ledger_heads: tree heads gathered from the signer's memory, from anchors and from the store, with the keys to tell who signed
 * them. Knows no files and no tree. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/ledger.h"

void es__ledger_origin(char out[ES_ORIGIN_TEXT_SIZE], const es_store *store) {
  memcpy(out, "esrun/", 6);
  es_id_text(out + 6, store->store_id);
}

void es__heads_free(es_heads *heads) {
  for (size_t i = 0; i < heads->count; i++)
    es__buf_free(&heads->items[i].note);
  free(heads->items);
  free(heads->keys);
  *heads = (es_heads){0};
}

es_status es__heads_add_key(es_heads *heads, const es_vkey *key, es_error *err) {
  es_vkey *moved;

  for (size_t i = 0; i < heads->key_count; i++) {
    if (memcmp(&heads->keys[i], key, sizeof *key) == 0) return ES_OK;
  }
  if (heads->key_count == ES_NOTE_KEYS_MAX) {
    return es__fail(err, ES_ERR_USAGE, "too_many_keys", "at most %d verifier keys are taken",
                    ES_NOTE_KEYS_MAX);
  }
  moved = realloc(heads->keys, (heads->key_count + 1) * sizeof *moved);
  if (moved == NULL) return es__no_memory(err);
  heads->keys = moved;
  heads->keys[heads->key_count++] = *key;
  return ES_OK;
}

es_status es__heads_add(es_heads *heads, es_head_source source, const char *name, es_text note,
                        es_error *err) {
  es_head *moved = realloc(heads->items, (heads->count + 1) * sizeof *moved), *head;
  es_note opened;
  es_status status;

  if (moved == NULL) return es__no_memory(err);
  heads->items = moved;
  head = &moved[heads->count];
  memset(head, 0, sizeof *head);
  snprintf(head->name, sizeof head->name, "%s", name);
  head->source = source;
  es__buf_add(&head->note, note.data, note.length);
  if (head->note.failed) return es__no_memory(err);
  note.data = head->note.data;
  status = es__note_open(&opened, note, heads->keys, heads->key_count, err);
  head->trusted = status == ES_OK;
  if (status == ES_ERR_INTEGRITY && opened.signature_count > 0 && opened.signed_by == 0 &&
      (err == NULL || strcmp(err->code, "unknown_signer") == 0))
    status = es__note_split(&opened, note, err); /* somebody else's: what it says may still count */
  if (status == ES_OK) status = es__checkpoint_parse(&head->checkpoint, opened.text, err);
  if (status == ES_OK) {
    heads->count++;
    es__error_clear(err);
  } else {
    es__buf_free(&head->note);
  }
  return status;
}
