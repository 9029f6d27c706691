/* ledger_prove: writing proof files from a store, and checking them without one. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/ledger.h"
#include "ledger/proof.h"
#include "store/tree.h"
#include "json/writer.h"

/* ---- Writing ----------------------------------------------------------------------------------------------- */

static es_status find_checkpoint(es_store_checkpoint *out, es_runtime *rt, int64_t exactly,
                                 es_error *err) {
  es_status status = es__store_checkpoint(out, rt->store, exactly > 0 ? exactly : INT64_MAX, err);

  if (status != ES_OK) return status;
  if (out->size >= 0 && (exactly <= 0 || out->size == exactly)) return ES_OK;
  if (exactly > 0) {
    es__fail(err, ES_ERR_NOT_FOUND, "no_checkpoint", "no checkpoint of %lld events was signed",
             (long long)exactly);
    if (out->size >= 0) es__hint(err, "the one before it is of %lld events", (long long)out->size);
  } else {
    es__fail(err, ES_ERR_NOT_FOUND, "no_checkpoint", "no checkpoint was signed yet");
    es__hint(err, "make one with: esrun checkpoint");
  }
  return ES_ERR_NOT_FOUND;
}

/* What the kept checkpoint says, whoever signed it. Its texts point into the note. */
static es_status read_head(es_tree_head *out, const es_store_checkpoint *kept, es_error *err) {
  es_note note;
  es_status status = es__note_split(&note, (es_text){kept->note.data, kept->note.length}, err);

  if (status == ES_OK) status = es__checkpoint_parse(out, note.text, err);
  if (status == ES_OK && out->size != kept->size)
    status = es__fail(err, ES_ERR_INTEGRITY, "damaged", "it is of %lld events, not of %lld",
                      (long long)out->size, (long long)kept->size);
  if (status == ES_OK) return ES_OK;
  es__wrap(err, "the store's checkpoint of %lld events", (long long)kept->size);
  es__hint(err, "esrun verify tells what else is damaged; a backup that verifies can be restored");
  return status;
}

static es_status will_not_hold(int64_t position, const char *why, es_error *err) {
  es__fail(err, ES_ERR_INTEGRITY, "damaged", "not proved: position %lld: %s", (long long)position,
           why);
  es__hint(err, "esrun verify tells what else is damaged; a backup that verifies can be restored");
  if (err != NULL) err->position = position;
  return ES_ERR_INTEGRITY;
}

/* Puts the event's leaf record into the proof, by which anybody can see what was proved; *leaf is its hash. */
static es_status take_leaf(es_hash *leaf, es_proof *proof, const es_event *event, es_runtime *rt,
                           es_error *err) {
  uint8_t data_hash[ES_HASH_SIZE], metadata_hash[ES_HASH_SIZE];
  es_status status = es__chain_texts(rt->chain, data_hash, metadata_hash, event, err);

  if (status != ES_OK) return status;
  es__leaf_encode(&proof->extra, event, data_hash, metadata_hash);
  proof->index = event->position - 1;
  if (proof->extra.failed) return es__no_memory(err);
  status = es__chain_hash(rt->chain, leaf->bytes, event, err);
  if (status == ES_OK && memcmp(leaf->bytes, event->hash, ES_HASH_SIZE) != 0)
    return will_not_hold(event->position, "the event is not the one whose hash it carries", err);
  return status;
}

static es_status find_event(es_hash *leaf, es_proof *proof, es_runtime *rt, const char *event_id,
                            es_error *err) {
  es_filter filter = ES_FILTER_INIT;
  es_cursor *cursor = NULL;
  const es_event *event = NULL;
  es_status status;

  filter.event_id = event_id;
  status = es_read(&cursor, rt, &filter, err); /* what the context may see */
  if (status == ES_OK) es__cursor_as_stored(cursor);
  if (status == ES_OK) status = es_cursor_next(&event, cursor, err);
  if (status == ES_OK && event == NULL)
    status = es__fail(err, ES_ERR_NOT_FOUND, "unknown_event", "there is no event %s", event_id);
  if (status == ES_OK) status = take_leaf(leaf, proof, event, rt, err);
  es_cursor_close(cursor);
  return status;
}

/* Nobody is handed a proof that would not hold: each is checked against the checkpoint before. */
static es_status prove_event(es_proof *proof, const es_tree_head *head,
                             const es_prove_options *options, es_runtime *rt,
                             const es_tile_reader *reader, es_error *err) {
  es_hash leaf;
  es_status status = find_event(&leaf, proof, rt, options->event_id, err);

  if (status != ES_OK) return status;
  if (proof->index >= head->size) {
    es__fail(err, ES_ERR_NOT_FOUND, "not_signed",
             "event %s, position %lld, came after the checkpoint of %lld events", options->event_id,
             (long long)proof->index + 1, (long long)head->size);
    es__hint(err, "make a new one first: esrun checkpoint");
    return ES_ERR_NOT_FOUND;
  }
  status = es__tile_inclusion(&proof->path, proof->index, head->size, reader, err);
  if (status == ES_OK)
    status = es__inclusion_check(&proof->path, head->size, &head->root, proof->index, &leaf,
                                 rt->chain, err);
  if (status != ES_ERR_INTEGRITY) return status;
  return will_not_hold(proof->index + 1, "the event and the tree do not lead to the signed root",
                       err);
}

static es_status prove_continuation(es_proof *proof, const es_tree_head *head, int64_t from,
                                    es_runtime *rt, const es_tile_reader *reader, es_error *err) {
  es_hash old_root;
  es_status status = es__tile_consistency(&proof->path, from, head->size, reader, err);

  proof->old_size = from;
  if (status == ES_OK) status = es__tile_root(&old_root, from, reader, err);
  if (status == ES_OK)
    status = es__consistency_check(&proof->path, from, &old_root, head->size, &head->root,
                                   rt->chain, err);
  if (status != ES_ERR_INTEGRITY) return status;
  return will_not_hold(from, "from there the tree does not lead to the signed root", err);
}

es_status es_prove(char **proof_text, es_runtime *rt, const es_prove_options *given,
                   es_error *err) {
  es_prove_options known = ES_PROVE_INIT, *options = &known;
  es_tree_tiles *tiles = NULL;
  es_store_checkpoint checkpoint = {0};
  es_tree_head head;
  es_proof proof = {0};
  es_buf out = {0};
  es_status status = ES_OK;

  if (es__is_missing(proof_text, "proof", err)) return ES_ERR_USAGE;
  *proof_text = NULL;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  status = es__take_options(options, given, sizeof known, "ES_PROVE_INIT", err);
  if (status != ES_OK) return status;
  tiles = malloc(sizeof *tiles);
  if (tiles == NULL) return es__no_memory(err);
  es_tile_reader reader = es__tree_reader(tiles, rt->store);
  if ((options->event_id != NULL) == (options->from > 0)) {
    status = es__fail(err, ES_ERR_USAGE, "bad_proof",
                      "name an event, or the size of an older tree to prove from");
  }
  if (status == ES_OK) status = find_checkpoint(&checkpoint, rt, options->to, err);
  if (status == ES_OK) status = read_head(&head, &checkpoint, err);
  if (status == ES_OK && options->event_id != NULL) {
    proof.kind = ES_PROOF_INCLUSION;
    status = prove_event(&proof, &head, options, rt, &reader, err);
  } else if (status == ES_OK) {
    proof.kind = ES_PROOF_CONSISTENCY;
    status = prove_continuation(&proof, &head, options->from, rt, &reader, err);
  }
  if (status == ES_OK) {
    proof.note = (es_text){checkpoint.note.data, checkpoint.note.length};
    es__proof_print(&out, &proof);
    *proof_text = es__buf_take(&out, NULL);
    if (*proof_text == NULL) status = es__no_memory(err);
  }
  es__proof_free(&proof);
  es__buf_free(&checkpoint.note);
  free(tiles);
  return status;
}

/* ---- Checking ---------------------------------------------------------------------------------------------- */

typedef struct checking {
  const es_proof_check *check;
  es_chain *chain;
  es_proof proof;
  es_proof_result result;
  es_vkey keys[ES_NOTE_KEYS_MAX];
  es_tree_head older;
  es_buf scratch;
  char *texts; /* of the event given */
  es_event event;
  es_hash leaf;
} checking;

static es_status read_keys(checking *self, es_error *err) {
  if (self->check->key_count == 0 || self->check->key_count > ES_NOTE_KEYS_MAX) {
    es__fail(err, ES_ERR_USAGE, "no_key", "a proof is checked with 1 to %d verifier keys",
             ES_NOTE_KEYS_MAX);
    es__hint(err, "ask for the key in another way than you got the proof");
    return ES_ERR_USAGE;
  }
  if (es__is_missing(self->check->keys, "keys", err)) return ES_ERR_USAGE;
  for (size_t i = 0; i < self->check->key_count; i++) {
    const char *text = self->check->keys[i];
    if (es__is_missing(text, "one of the keys", err)) return ES_ERR_USAGE;
    es_status status = es__vkey_parse(&self->keys[i], text, strlen(text), err);
    if (status != ES_OK) return status;
  }
  return ES_OK;
}

/* The leaf hash of the event's JSON; the hash that the JSON names is compared when the rest holds. */
static es_status leaf_of_event(checking *self, es_error *err) {
  const char *json = self->check->event_json;
  size_t length = strlen(json);
  es_status status;

  while (length > 0 && (json[length - 1] == '\n' || json[length - 1] == '\r'))
    length--;
  self->texts = malloc(length + 1);
  if (self->texts == NULL) return es__no_memory(err);
  status = es__event_parse(&self->event, self->texts, &self->scratch, json, length, err);
  if (status != ES_OK) {
    es__wrap(err, "the event");
    es__hint(err, "give one line of: esrun export");
    return status;
  }
  return es__chain_hash(self->chain, self->leaf.bytes, &self->event, err);
}

/* Without the event itself, what the proof carries of it: its leaf record. */
static es_status leaf_of_record(checking *self, es_error *err) {
  static const uint8_t prefix = 0x00;
  uint8_t data_hash[ES_HASH_SIZE], metadata_hash[ES_HASH_SIZE];
  const es_buf *record = &self->proof.extra;
  es_status status;

  if (record->length == 0) {
    es__fail(err, ES_ERR_USAGE, "event_needed", "this proof does not carry the record it proves");
    es__hint(err, "give the event with --event FILE");
    return ES_ERR_USAGE;
  }
  status = es__leaf_decode(&self->event, data_hash, metadata_hash, (const uint8_t *)record->data,
                           record->length, err);
  if (status != ES_OK) return status;
  return es__sha256(self->chain, self->leaf.bytes, &prefix, 1, record->data, record->length, err);
}

static es_status check_event(checking *self, es_error *err) {
  es_status status =
      self->check->event_json != NULL ? leaf_of_event(self, err) : leaf_of_record(self, err);

  if (status != ES_OK) return status;
  if (self->event.position != self->proof.index + 1) {
    return es__fail(err, ES_ERR_INTEGRITY, "bad_proof",
                    "the proof is for position %lld, the event is at %lld: another event",
                    (long long)self->proof.index + 1, (long long)self->event.position);
  }
  return ES_OK;
}

/* The line's own hash is no part of what was signed: whoever keeps the line must not keep another one with it. */
static es_status check_named_hash(const checking *self, es_error *err) {
  if (self->proof.kind != ES_PROOF_INCLUSION || self->check->event_json == NULL) return ES_OK;
  if (memcmp(self->event.hash, self->leaf.bytes, ES_HASH_SIZE) == 0) return ES_OK;
  es__fail(err, ES_ERR_INTEGRITY, "bad_proof",
           "the proof holds for the event's content, but the line names another hash than that of "
           "its content");
  es__hint(err, "somebody changed the line's `hash`: ask for it again, as: esrun export writes it");
  return ES_ERR_INTEGRITY;
}

static es_status open_older(checking *self, es_error *err) {
  const char *older = self->check->older;
  es_note note;
  es_status status;

  if (older == NULL) {
    es__fail(err, ES_ERR_USAGE, "older_needed",
             "this proof shows that a tree continues an older one of %lld events",
             (long long)self->proof.old_size);
    es__hint(err, "give the checkpoint of that size which you kept, with --old FILE");
    return ES_ERR_USAGE;
  }
  status = es__note_open(&note, es__text(older), self->keys, self->check->key_count, err);
  if (status == ES_OK) status = es__checkpoint_parse(&self->older, note.text, err);
  if (status != ES_OK) es__wrap(err, "the older checkpoint");
  return status;
}

static void write_text(es_buf *out, const char *key, es_text text) {
  es__json_write_key(out, key);
  es__json_write_text(out, text);
}

static void write_result(es_buf *out, const checking *self) {
  const es_proof_result *result = &self->result;
  const es_event *event = &self->event;
  char hex[2 * ES_HASH_SIZE + 1], time[ES_TIME_TEXT_SIZE], id[ES_ID_TEXT_SIZE];

  es__buf_byte(out, '{');
  write_text(out, "proves",
             es__text(self->proof.kind == ES_PROOF_INCLUSION ? "inclusion" : "consistency"));
  write_text(out, "origin", result->checkpoint.origin);
  es__json_write_key(out, "size");
  es__json_write_integer(out, result->checkpoint.size);
  es__hex(hex, result->checkpoint.root.bytes, ES_HASH_SIZE);
  write_text(out, "root", es__text(hex));
  for (size_t i = 0; i < self->check->key_count; i++) {
    if ((result->note.signed_by >> i & 1) == 0) continue;
    write_text(out, "signed_by", es__text(self->keys[i].name));
    break;
  }
  if (self->proof.kind == ES_PROOF_CONSISTENCY) {
    es__json_write_key(out, "old_size");
    es__json_write_integer(out, self->proof.old_size);
  } else {
    es__json_write_key(out, "position");
    es__json_write_integer(out, event->position);
    es_id_text(id, event->event_id);
    write_text(out, "event_id", es__text(id));
    write_text(out, "aggregate_type", event->aggregate_type);
    write_text(out, "aggregate_id", event->aggregate_id);
    es__json_write_key(out, "version");
    es__json_write_integer(out, event->version);
    write_text(out, "event_type", event->event_type);
    write_text(out, "actor_id", event->actor_id);
    es_time_text(time, event->recorded_at);
    write_text(out, "recorded_at", es__text(time));
    es__hex(hex, self->leaf.bytes, ES_HASH_SIZE);
    write_text(out, "hash", es__text(hex));
    es__json_write_key(out, "content_checked");
    es__buf_text(out, self->check->event_json != NULL ? "true" : "false");
  }
  es__buf_byte(out, '}');
}

es_status es_verify_proof(char **result, const es_proof_check *given, es_error *err) {
  es_proof_check known = ES_PROOF_CHECK_INIT, *check = &known;
  checking *self;
  es_buf out = {0};
  es_status status;

  if (es__is_missing(result, "result", err)) return ES_ERR_USAGE;
  *result = NULL;
  status = es__take_options(check, given, sizeof known, "ES_PROOF_CHECK_INIT", err);
  if (status != ES_OK) return status;
  if (es__is_missing(check->proof, "proof", err)) return ES_ERR_USAGE;
  self = calloc(1, sizeof *self);
  if (self == NULL) return es__no_memory(err);
  self->check = check;
  status = read_keys(self, err);
  if (status == ES_OK) status = es__chain_new(&self->chain, err);
  if (status == ES_OK)
    status = es__proof_parse(&self->proof, (es_text){check->proof, check->proof_length}, err);
  if (status == ES_OK)
    status =
        self->proof.kind == ES_PROOF_INCLUSION ? check_event(self, err) : open_older(self, err);
  if (status == ES_OK)
    status = es__proof_verify(&self->result, &self->proof, self->keys, check->key_count,
                              &self->leaf, &self->older, self->chain, err);
  if (status == ES_OK) status = check_named_hash(self, err);
  if (status == ES_OK) {
    write_result(&out, self);
    *result = es__buf_take(&out, NULL);
    if (*result == NULL) status = es__no_memory(err);
  }
  es__proof_free(&self->proof);
  es__buf_free(&self->scratch);
  es__chain_free(self->chain);
  free(self->texts);
  free(self);
  return status;
}
