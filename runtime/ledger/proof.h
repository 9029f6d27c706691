/* proof: proof files that are checked without any database: that an event is in a checkpoint's tree (c2sp.org/tlog-proof), and
 * that a checkpoint's tree continues an older one (the form in which c2sp.org/tlog-witness submits checkpoints). */
#ifndef ES_LEDGER_PROOF_H
#define ES_LEDGER_PROOF_H

#include "ledger/checkpoint.h"
#include "ledger/note.h"

enum { ES_PROOF_MAX = ES_NOTE_MAX + 128 * 1024 };

typedef enum es_proof_kind {
  ES_PROOF_INCLUSION,  /* the leaf `index` is in the tree */
  ES_PROOF_CONSISTENCY /* the tree continues the one of `old_size` */
} es_proof_kind;

/* `note` points into the parsed file; `extra` is owned: es__proof_free(). */
typedef struct es_proof {
  es_proof_kind kind;
  int64_t index;
  int64_t old_size;
  es_path path;
  es_buf
      extra; /* of inclusion; esrun puts the event's leaf record here. It proves nothing until its hash is checked */
  es_text note; /* the signed checkpoint, verbatim */
} es_proof;

void es__proof_free(es_proof *proof);

/* Either form by its first line. ES_ERR_INTEGRITY "malformed_proof" says what is wrong, also of a file cut short anywhere
 * before its checkpoint (what is cut in there fails when the checkpoint is opened). */
es_status es__proof_parse(es_proof *out, es_text file, es_error *err);
void es__proof_print(es_buf *out, const es_proof *proof);

/* What a proof shows, once a trusted key has been found to have signed its checkpoint. */
typedef struct es_proof_result {
  es_note note;            /* points into the proof's file */
  es_tree_head checkpoint; /* likewise */
} es_proof_result;

/* Opens the checkpoint with the keys and checks the path: an inclusion against `leaf`, a consistency against the older
 * checkpoint, whose own signature is the caller's to check. The other of the two is NULL. ES_ERR_INTEGRITY says why not. */
es_status es__proof_verify(es_proof_result *out, const es_proof *proof, const es_vkey *keys,
                           size_t key_count, const es_hash *leaf, const es_tree_head *older,
                           es_chain *chain, es_error *err);

#endif
