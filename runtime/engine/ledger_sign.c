/* ledger_sign: signing the head of the store's tree, after making sure that it continues whatever was signed before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "engine/ledger.h"
#include "store/tree.h"
#include "json/writer.h"

es_status es__ledger_continues(const es_head *head, const char *origin, int64_t size,
                               es_store *store, es_error *err) {
  es_tree_head now = {.origin = es__text(origin), .size = size};
  es_path none = {0};
  es_hash root;
  es_status status;

  if (!es__text_equal(head->checkpoint.origin, now.origin) || head->checkpoint.size > size)
    return es__checkpoint_continues(&head->checkpoint, &now, &none, store->chain, err);
  status = es__tree_root_at(&root, head->checkpoint.size, store, err);
  if (status != ES_OK) return status;
  /* The tree is at hand, so its own root at that size is compared, and no proof is needed. */
  now.size = head->checkpoint.size;
  now.root = root;
  return es__checkpoint_continues(&head->checkpoint, &now, &none, store->chain, err);
}

typedef struct signing {
  es_runtime *rt;
  char origin[ES_ORIGIN_TEXT_SIZE];
  es_skey keys[ES_SIGNING_KEYS_MAX];
  size_t key_count;
  es_signer_memory memory;
  es_heads heads;
  es_hash root;
  int64_t size;
  const es_checkpoint_options *options;
  bool by_itself; /* nobody asked for this checkpoint: it may not change what the store holds */
  bool has_rejected;
  es_tree_head
      rejected; /* the largest remembered head that is given up; its texts are not to be used */
} signing;

static bool has_key(const signing *self, const es_vkey *key) {
  for (size_t i = 0; i < self->key_count; i++) {
    const es_vkey *known = &self->keys[i].vkey;
    if (known->id == key->id && memcmp(known->key, key->key, ES_KEY_SIZE) == 0) return true;
  }
  return false;
}

static es_status read_keys(signing *self, const es_checkpoint_options *options, es_error *err) {
  es_status status = ES_OK;

  if (options->key_count == 0 || options->key_count > ES_SIGNING_KEYS_MAX) {
    es__fail(err, ES_ERR_USAGE, "no_key", "a checkpoint is signed with 1 to %d keys, %zu are given",
             ES_SIGNING_KEYS_MAX, options->key_count);
    es__hint(err, "make a key with: esrun keygen");
    return ES_ERR_USAGE;
  }
  for (size_t i = 0; status == ES_OK && i < options->key_count; i++) {
    es_skey *key = &self->keys[self->key_count]; /* one given twice signs once */
    status = es__signing_key_read(key, &options->keys[i], err);
    if (status == ES_OK && !has_key(self, &key->vkey)) {
      self->key_count++;
      status = es__heads_add_key(&self->heads, &key->vkey, err);
    }
  }
  return status;
}

/* Adds what the anchors remember. */
static es_status take_anchors(signing *self, es_error *err) {
  const es_checkpoint_options *options = self->options;
  es_verify_options evidence = ES_VERIFY_INIT;
  es_status status = ES_OK;

  if (options->consult == NULL) return ES_OK;
  if (!options->consult(options->consult_data, self->origin + strlen("esrun/"), &evidence))
    return es__fail(err, ES_ERR_OTHER, "no_evidence", "not signed: the anchors cannot be asked");
  for (size_t i = 0; status == ES_OK && i < evidence.anchor_count; i++) {
    char name[160];
    snprintf(name, sizeof name, "anchor %s", evidence.anchors[i].name);
    status =
        es__heads_add(&self->heads, ES_HEAD_ANCHOR, name, es__text(evidence.anchors[i].note), err);
    if (status != ES_OK) es__wrap(err, "not signed: against %s", name);
  }
  return status;
}

/* Whether the operator said that what the signer or an anchor remembers and the store lacks is gone. */
static bool is_given_up(const signing *self, const es_head *head, const es_error *why) {
  return self->options->accept_rollback && head->source != ES_HEAD_STORED &&
         (strcmp(why->code, "rollback") == 0 || strcmp(why->code, "fork") == 0);
}

/* What the signer stood by before, what the anchors remember, and the newest head in the store must be continued. Returns the size from which on events
 * are still to be looked at. */
static es_status check_heads(int64_t *signed_to, signing *self, es_error *err) {
  es_store_checkpoint stored = {0};
  es_runtime *rt = self->rt;
  char *other = NULL;
  es_status status = es__memory_other_store(&other, &self->memory, rt->store_path, err);

  if (status == ES_OK && other != NULL) {
    status = es__fail(err, ES_ERR_INTEGRITY, "foreign",
                      "the store at %s is another one than signed before (%s): a foreign store",
                      rt->store_path, other);
    es__hint(err, "if you replaced it on purpose, remove %s/%s", self->memory.root, other);
    free(other);
    return status;
  }
  if (status == ES_OK) status = es__memory_heads(&self->heads, &self->memory, err);
  if (status == ES_OK) status = take_anchors(self, err);
  if (status == ES_OK) status = es__store_checkpoint(&stored, rt->store, INT64_MAX, err);
  if (status == ES_OK && stored.size >= 0)
    status = es__heads_add(&self->heads, ES_HEAD_STORED, "the store's last checkpoint",
                           (es_text){stored.note.data, stored.note.length}, err);
  es__buf_free(&stored.note);
  *signed_to = 0;
  for (size_t i = 0; status == ES_OK && i < self->heads.count; i++) {
    const es_head *head = &self->heads.items[i];
    es_error why = ES_ERROR_INIT;
    status = es__ledger_continues(head, self->origin, self->size, rt->store, &why);
    if (is_given_up(self, head, &why)) {
      if (head->checkpoint.size >= self->rejected.size) self->rejected = head->checkpoint;
      self->has_rejected = true;
      status = ES_OK;
    } else if (status != ES_OK) {
      if (err != NULL) *err = why;
      es__wrap(err, "not signed: against %s", head->name);
      es__hint(err, "esrun verify tells more; a backup that verifies can be restored; if an older "
                    "one was restored on "
                    "purpose: esrun checkpoint --accept-rollback");
    } else if (head->trusted && head->checkpoint.size > *signed_to) {
      *signed_to = head->checkpoint.size;
    }
  }
  return status;
}

/* Nobody signs what he has not looked at, nor lets the tree grow by it: every event since the last signed head, and every one
 * that the tree lacks, is hashed again. */
static es_status check_new_events(signing *self, int64_t after, es_error *err) {
  es_runtime *rt = self->rt;
  es_filter filter = ES_FILTER_INIT;
  es_store_cursor *cursor = NULL;
  const es_event *event = NULL;
  es_hash previous = {{0}}, hash;
  es_tree tree = {0};
  es_tree_tiles *tiles = malloc(sizeof *tiles);
  es_status status = tiles == NULL ? es__no_memory(err) : ES_OK;

  if (status == ES_OK && after > 0) {
    es_tile_reader reader = es__tree_reader(tiles, rt->store);
    status = es__tile_tree(&tree, after, &reader, err);
    if (status == ES_OK) status = es__tile_leaf(&previous, after - 1, &reader, err);
  }
  filter.after_position = after;
  if (status == ES_OK) status = es__store_read(&cursor, rt->store, &filter, err);
  if (status == ES_OK) cursor->as_stored = true; /* the marker says what the leaf holds */
  while (status == ES_OK && tree.size < self->size) {
    status = es__store_next(&event, cursor, err);
    if (status != ES_OK || event == NULL) break;
    status = es__chain_hash(rt->chain, hash.bytes, event, err);
    if (status != ES_OK) break;
    if (event->position != tree.size + 1) {
      status =
          es__fail(err, ES_ERR_INTEGRITY, "position_gap",
                   "not signed: the event at position %lld is missing", (long long)tree.size + 1);
    } else if (memcmp(hash.bytes, event->hash, ES_HASH_SIZE) != 0 ||
               memcmp(previous.bytes, event->previous_hash, ES_HASH_SIZE) != 0) {
      status = es__fail(err, ES_ERR_INTEGRITY, "damaged",
                        "not signed: the event at position %lld does not continue the chain",
                        (long long)event->position);
    }
    if (status != ES_OK) {
      es__hint(err, "esrun verify says what is wrong with it");
      break;
    }
    previous = hash;
    status = es__tree_append(&tree, rt->chain, &hash, NULL, NULL, err);
  }
  es__store_cursor_close(cursor);
  if (status == ES_OK && tree.size != self->size)
    status = es__fail(err, ES_ERR_INTEGRITY, "truncated",
                      "not signed: the store has %lld events, not %lld", (long long)tree.size,
                      (long long)self->size);
  if (status == ES_OK) status = es__tree_root(&self->root, &tree, rt->chain, err);
  free(tiles);
  return status;
}

/* Lets the stored tree cover the events that were looked at, and compares it with them. */
static es_status grow_tree(signing *self, es_error *err) {
  es_store *store = self->rt->store;
  es_hash root;
  int64_t covered;
  es_status status = es__tree_grow(&covered, self->size, store, err);

  if (status == ES_OK) status = es__tree_root_at(&root, self->size, store, err);
  if (status != ES_OK || es__hash_equal(&root, &self->root)) return status;
  es__fail(err, ES_ERR_INTEGRITY, "tree", "not signed: the stored tree is not that of the events");
  es__hint(err, "esrun verify says where they differ");
  return ES_ERR_INTEGRITY;
}

/* Is the store's newest head of this size signed by all the keys already? Then it is the answer. */
static bool signed_already(es_buf *out, const signing *self) {
  for (size_t i = 0; i < self->heads.count; i++) {
    const es_head *head = &self->heads.items[i];
    es_note opened;
    uint32_t all = ((uint32_t)1 << self->key_count) - 1; /* the signing keys come first */
    if (head->source != ES_HEAD_STORED || head->checkpoint.size != self->size) continue;
    if (es__note_open(&opened, (es_text){head->note.data, head->note.length}, self->heads.keys,
                      self->heads.key_count, NULL) != ES_OK ||
        (opened.signed_by & all) != all)
      continue;
    es__buf_add(out, head->note.data, head->note.length);
    return true;
  }
  return false;
}

static es_status sign(es_buf *note, signing *self, es_error *err) {
  es_tree_head checkpoint = {
      .origin = es__text(self->origin), .size = self->size, .root = self->root};
  es_buf text = {0};
  es_status status;

  es__checkpoint_print(&text, &checkpoint);
  status = text.failed ? es__no_memory(err)
                       : es__note_sign(note, (es_text){text.data, text.length}, self->keys,
                                       self->key_count, err);
  es__buf_free(&text);
  return status;
}

/* Appends to the day's $audit stream, unless such an event whose data begins with the first `same` bytes stands behind the
 * position `after`: an earlier attempt got no further, as on a full disk. */
static es_status record_once(es_runtime *rt, const char *type, const es_buf *data, size_t same,
                             int64_t after, es_error *err) {
  es_filter filter = ES_FILTER_INIT;
  es_store_cursor *cursor = NULL;
  const es_event *event = NULL;
  bool found = false;

  if (data->failed) return es__no_memory(err);
  filter.event_type = type;
  filter.after_position = after;
  es_status status = es__store_read(&cursor, rt->store, &filter, err);
  while (status == ES_OK && !found) {
    status = es__store_next(&event, cursor, err);
    if (status != ES_OK || event == NULL) break;
    found = event->data.length >= same && memcmp(event->data.data, data->data, same) == 0;
  }
  es__store_cursor_close(cursor);
  if (status != ES_OK || found) return status;
  return es__audit_append(rt, type, "system:signer", data, err);
}

/* That `to` signs from now on, beside `from`; `after` is the size of the last checkpoint. */
static es_status record_rotation(es_runtime *rt, const es_vkey *from, const es_vkey *to,
                                 int64_t after, es_error *err) {
  char key[ES_KEY_TEXT_SIZE];
  es_buf data = {0};
  es_status status;

  es__buf_byte(&data, '{');
  es__json_write_key(&data, "from");
  es__vkey_text(key, from);
  es__json_write_text(&data, es__text(key));
  es__json_write_key(&data, "to");
  es__vkey_text(key, to);
  es__json_write_text(&data, es__text(key));
  es__buf_byte(&data, '}');
  status = record_once(rt, "$KeyRotated", &data, data.length, after, err);
  es__buf_free(&data);
  return status;
}

/* That a lost key is replaced by `to` without signing beside it. */
static es_status record_replacement(es_runtime *rt, const es_note *last, const es_vkey *to,
                                    int64_t after, es_error *err) {
  char key[ES_KEY_TEXT_SIZE];
  es_note_signer signer;
  es_buf data = {0}, name = {0};
  const char *between = "";
  es_status status;

  es__buf_byte(&data, '{');
  es__json_write_key(&data, "lost");
  es__buf_byte(&data, '[');
  for (size_t at = 0; es__note_signer(&signer, &at, last); between = ",") {
    es__buf_clear(&name);
    es__buf_format(&name, "%.*s+%08x", (int)signer.name.length, signer.name.data, signer.id);
    es__buf_text(&data, between);
    es__json_write_text(&data, (es_text){name.data, name.length});
  }
  es__buf_byte(&data, ']');
  es__json_write_key(&data, "to");
  es__vkey_text(key, to);
  es__json_write_text(&data, es__text(key));
  es__buf_byte(&data, '}');
  status = name.failed ? es__no_memory(err)
                       : record_once(rt, "$KeyReplaced", &data, data.length, after, err);
  es__buf_free(&data);
  es__buf_free(&name);
  return status;
}

/* That what was signed is no longer there, and is not asked for any more; said once of each head, however often an anchor that
 * keeps it is overruled. */
static es_status record_rollback(const signing *self, es_error *err) {
  es_buf data = {0};
  es_status status;
  size_t same;

  if (!self->has_rejected) return ES_OK;
  es__buf_byte(&data, '{');
  es__json_write_key(&data, "signed_root");
  es__buf_byte(&data, '"');
  es__base64_add(&data, self->rejected.root.bytes, ES_HASH_SIZE);
  es__buf_byte(&data, '"');
  es__json_write_key(&data, "signed_size");
  es__json_write_integer(&data, self->rejected.size);
  same = data.length;
  es__json_write_key(&data, "size");
  es__json_write_integer(&data, self->size);
  es__buf_byte(&data, '}');
  status = record_once(self->rt, "$RollbackAccepted", &data, same, 0, err);
  es__buf_free(&data);
  return status;
}

static es_status refuse_lost_key(const es_note *last, es_error *err) {
  es_note_signer signer = {0};

  es__note_signer(&signer, &(size_t){0}, last);
  es__fail(err, ES_ERR_USAGE, "lost_key",
           "not signed: none of the given keys signed the last checkpoint, %.*s (key %08x) did",
           (int)signer.name.length, signer.name.data, signer.id);
  es__hint(err, "sign with both: esrun checkpoint --key OLD --key NEW; if the old one is lost: "
                "esrun checkpoint --replace-lost-key");
  return ES_ERR_USAGE;
}

static es_status refuse_new_key(const es_vkey *key, es_error *err) {
  es__fail(err, ES_ERR_USAGE, "new_key",
           "not signed: %s (key %08x) did not sign the last checkpoint", key->name, key->id);
  es__hint(err, "a change of keys is made by hand: esrun checkpoint --key OLD --key NEW");
  return ES_ERR_USAGE;
}

/* A key that did not sign the last checkpoint is new: that it signs now is an event, which this checkpoint covers. */
static es_status record_new_keys(signing *self, es_error *err) {
  es_store_checkpoint last = {0};
  es_vkey given[ES_SIGNING_KEYS_MAX];
  const es_vkey *before = NULL;
  es_note note = {0};
  es_status status = es__store_checkpoint(&last, self->rt->store, INT64_MAX, err);

  for (size_t i = 0; i < self->key_count; i++)
    given[i] = self->keys[i].vkey;
  if (status == ES_OK && last.size >= 0) {
    es__note_open(&note, (es_text){last.note.data, last.note.length}, given, self->key_count, NULL);
    for (size_t i = 0; i < self->key_count; i++) {
      if ((note.signed_by >> i & 1) == 1) before = &given[i];
    }
    for (size_t i = 0; status == ES_OK && i < self->key_count; i++) {
      if ((note.signed_by >> i & 1) == 1) continue;
      status = self->by_itself  ? refuse_new_key(&given[i], err)
               : before != NULL ? record_rotation(self->rt, before, &given[i], last.size, err)
               : self->options->replace_lost_key
                   ? record_replacement(self->rt, &note, &given[i], last.size, err)
                   : refuse_lost_key(&note, err);
    }
  }
  es__buf_free(&last.note);
  return status;
}

static es_status make_checkpoint(es_buf *note, signing *self, es_error *err) {
  int64_t signed_to = 0, covered = 0;
  es_text text;
  es_status status = es__tree_sizes(&covered, &self->size, self->rt->store, err);

  if (status == ES_OK) status = check_heads(&signed_to, self, err);
  if (status == ES_OK) status = record_new_keys(self, err);
  if (status == ES_OK) status = record_rollback(self, err);
  if (status == ES_OK) status = es__tree_sizes(&covered, &self->size, self->rt->store, err);
  if (status == ES_OK)
    status = check_new_events(self, signed_to < covered ? signed_to : covered, err);
  if (status == ES_OK) status = grow_tree(self, err);
  if (status != ES_OK) return status;
  bool kept = signed_already(note, self);
  if (!kept) status = sign(note, self, err);
  text = (es_text){note->data, note->length};
  if (status == ES_OK && !kept)
    status = es__store_add_checkpoint(self->rt->store, self->size, text, err);
  if (status == ES_OK && self->has_rejected) status = es__memory_set_aside(&self->memory, err);
  for (size_t i = 0; status == ES_OK && i < self->key_count; i++)
    status = es__memory_keep(&self->memory, &self->keys[i].vkey, text, self->rt->store_path, err);
  return status;
}

es_status es__checkpoint_in_turn(char **note, es_runtime *rt, const es_checkpoint_options *options,
                                 const es_signing_turn *turn, es_error *err) {
  signing self = {.rt = rt, .memory = {.lock = -1}, .options = options, .by_itself = turn != NULL};
  es_buf text = {0};
  bool wanted = true;
  es_status status;

  *note = NULL;
  es__ledger_origin(self.origin, rt->store);
  status = es__memory_open(&self.memory, options->memory_path, rt->store, err);
  if (status == ES_OK)
    status = es__memory_lock(&wanted, &self.memory, turn == NULL || turn->wait, err);
  if (status == ES_OK && wanted && turn != NULL) status = turn->ask(&wanted, turn->data, err);
  if (status == ES_OK && wanted) status = read_keys(&self, options, err);
  if (status == ES_OK && wanted) status = make_checkpoint(&text, &self, err);
  if (status == ES_OK && wanted) {
    *note = es__buf_take(&text, NULL);
    if (*note == NULL) status = es__no_memory(err);
  }
  es__buf_free(&text);
  es__heads_free(&self.heads);
  es__memory_close(&self.memory);
  for (size_t i = 0; i < ES_SIGNING_KEYS_MAX; i++)
    es__skey_clear(&self.keys[i]);
  return status;
}

es_status es_checkpoint(char **note, es_runtime *rt, const es_checkpoint_options *given,
                        es_error *err) {
  es_checkpoint_options options = ES_CHECKPOINT_INIT;

  if (es__is_missing(note, "note", err)) return ES_ERR_USAGE;
  *note = NULL;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  if (rt->in_transaction) {
    return es__fail(err, ES_ERR_USAGE, "in_transaction",
                    "a checkpoint cannot be made inside a transaction: commit it first");
  }
  es_status status = es__take_options(&options, given, sizeof options, "ES_CHECKPOINT_INIT", err);
  if (status != ES_OK) return status;
  if (options.key_count > 0 && es__is_missing(options.keys, "keys", err)) return ES_ERR_USAGE;
  return es__checkpoint_in_turn(note, rt, &options, NULL, err);
}
