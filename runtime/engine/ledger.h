/* ledger: what the engine's files about keys, checkpoints, anchors and proofs share. */
#ifndef ES_ENGINE_LEDGER_H
#define ES_ENGINE_LEDGER_H

#include "engine/runtime.h"
#include "ledger/checkpoint.h"
#include "ledger/note.h"

enum { ES_ORIGIN_TEXT_SIZE = 64, ES_SIGNING_KEYS_MAX = 4 };

/* The origin of a store's checkpoints: esrun/STORE-ID, whoever signs. */
void es__ledger_origin(char out[ES_ORIGIN_TEXT_SIZE], const es_store *store);

/* ledger_key.c. The file must belong to this user and be readable by nobody else. es__skey_clear() it. */
es_status es__signing_key_read(es_skey *out, const es_signing_key *key, es_error *err);

/* ledger_memory.c: what the signer remembers outside the database, a folder a store: the last checkpoint that each key signed
 * (KEYID.checkpoint, KEYID.vkey) and the path of the store it signed for. */
typedef struct es_signer_memory {
  char *folder; /* of this store; NULL: remembering is switched off */
  char *root;   /* of all stores */
  int lock;     /* -1: not taken */
} es_signer_memory;

typedef enum es_head_source { ES_HEAD_STORED, ES_HEAD_MEMORY, ES_HEAD_ANCHOR } es_head_source;

/* A checkpoint from somewhere, opened as far as keys are known. Texts point into `note`. */
typedef struct es_head {
  char name[160]; /* "the signer's memory", "anchor FILE", … */
  es_head_source source;
  es_buf note;
  es_tree_head checkpoint;
  bool trusted; /* signed by a known key */
} es_head;

typedef struct es_heads {
  es_head *items;
  size_t count;
  es_vkey *keys; /* trusted: given ones and those of the signer's memory */
  size_t key_count;
} es_heads;

void es__heads_free(es_heads *heads);
es_status es__heads_add_key(es_heads *heads, const es_vkey *key, es_error *err);
/* Adds a checkpoint; its signatures are looked at with the keys there are by now. ES_ERR_INTEGRITY when it is malformed or a
 * known key's signature does not hold: the caller makes a finding of it. */
es_status es__heads_add(es_heads *heads, es_head_source source, const char *name, es_text note,
                        es_error *err);

/* path NULL: the user's state folder; "": remember nothing. */
es_status es__memory_open(es_signer_memory *out, const char *path, const es_store *store,
                          es_error *err);
void es__memory_close(es_signer_memory *memory);
/* One signer at a time. Without `wait` *taken is false while another one is at work. */
es_status es__memory_lock(bool *taken, es_signer_memory *memory, bool wait, es_error *err);
/* Adds the remembered keys, then the remembered checkpoints. What cannot be read is ES_ERR_INTEGRITY. */
es_status es__memory_heads(es_heads *heads, const es_signer_memory *memory, es_error *err);
/* Remembers, durably, before anybody sees the checkpoint. */
es_status es__memory_keep(const es_signer_memory *memory, const es_vkey *key, es_text note,
                          const char *store_path, es_error *err);
/* Renames what is remembered to KEYID.rolled_back (.2, .3, …): it stays as evidence, and is no longer stood by. */
es_status es__memory_set_aside(const es_signer_memory *memory, es_error *err);
/* Was another store signed for at this path? Then *other is its id (free()), else NULL. */
es_status es__memory_other_store(char **other, const es_signer_memory *memory,
                                 const char *store_path, es_error *err);

/* ledger_sign.c. Does the store's tree continue this head? As es__checkpoint_continues. */
es_status es__ledger_continues(const es_head *head, const char *origin, int64_t size,
                               es_store *store, es_error *err);

/* A checkpoint that nobody asked for: made when it is this signer's turn and `ask` then answers *wanted, and never if it would
 * record a change of keys. Without `wait` another signer at work is reason enough to let it be. */
typedef struct es_signing_turn {
  bool wait;
  es_status (*ask)(bool *wanted, void *data, es_error *err);
  void *data;
} es_signing_turn;

/* As es_checkpoint; turn NULL: asked for. *note stays NULL when none was wanted. */
es_status es__checkpoint_in_turn(char **note, es_runtime *rt, const es_checkpoint_options *options,
                                 const es_signing_turn *turn, es_error *err);

#endif
