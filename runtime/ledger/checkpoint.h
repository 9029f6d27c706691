/* checkpoint: C2SP tlog-checkpoint: who (origin), how many (size), which (root), as the text of a signed note. Knows no store
 * and no keys. */
#ifndef ES_LEDGER_CHECKPOINT_H
#define ES_LEDGER_CHECKPOINT_H

#include "ledger/tree.h"

enum { ES_ORIGIN_MAX = 255, ES_CHECKPOINT_TEXT_MAX = 16 * 1024 };

/* `origin` and `extensions` (whole lines, possibly none) point into the parsed text. */
typedef struct es_tree_head {
  es_text origin;
  int64_t size;
  es_hash root;
  es_text extensions;
} es_tree_head;

/* ES_ERR_INTEGRITY "malformed_checkpoint" says what is wrong. What is accepted is what es__checkpoint_print writes. */
es_status es__checkpoint_parse(es_tree_head *out, es_text text, es_error *err);
void es__checkpoint_print(es_buf *out, const es_tree_head *checkpoint);

/* May the one who stood by `older` stand by `newer`? ES_ERR_INTEGRITY otherwise:
 *   "foreign"   another origin: a checkpoint of another store
 *   "rollback"  the newer tree is smaller
 *   "fork"      same size and another root, or the path does not prove that newer continues older */
es_status es__checkpoint_continues(const es_tree_head *older, const es_tree_head *newer,
                                   const es_path *path, es_chain *chain, es_error *err);

/* Decimal, no sign, no leading zero, up to the largest int64_t. */
bool es__size_parse(int64_t *out, const char *text, size_t length);
bool es__hash_parse(es_hash *out, const char *text, size_t length); /* base64 */

#endif
