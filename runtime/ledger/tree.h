/* tree: the RFC 6962 Merkle tree over the events' hashes, as arithmetic: growing it, its root, checking proofs. Knows
 * hashes only; where they are stored is tile.h's business. Sizes count leaves; the leaf of position P has index P - 1. */
#ifndef ES_LEDGER_TREE_H
#define ES_LEDGER_TREE_H

#include "ledger/chain.h"

enum { ES_TREE_HEIGHT_MAX = 63, ES_PATH_MAX = 64 };

typedef struct es_hash {
  uint8_t bytes[ES_HASH_SIZE];
} es_hash;

/* A tree of `size` leaves by the roots of its perfect subtrees (a "compact range"): peaks[h] is meaningful where bit h of
 * the size is set. Zero-initialised it is the empty tree. */
typedef struct es_tree {
  int64_t size;
  es_hash peaks[ES_TREE_HEIGHT_MAX];
} es_tree;

/* The hashes of a proof: for inclusion from the leaf's sibling up to the root's child (RFC 6962, 2.1.1), for consistency in
 * the order of 2.1.2. */
typedef struct es_path {
  size_t count;
  es_hash hashes[ES_PATH_MAX];
} es_path;

/* Told every subtree that an appended leaf completes, from the leaf itself (height 0, index of the leaf) upward. */
typedef es_status (*es_tree_node)(void *data, int height, int64_t index, const es_hash *hash,
                                  es_error *err);

/* SHA-256(0x01 || left || right). `out` may be one of the others. */
es_status es__tree_node(es_chain *chain, es_hash *out, const es_hash *left, const es_hash *right,
                        es_error *err);

/* Adds a leaf; node may be NULL. On failure the tree is unchanged. */
es_status es__tree_append(es_tree *tree, es_chain *chain, const es_hash *leaf, es_tree_node node,
                          void *node_data, es_error *err);

/* The root; of the empty tree, SHA-256 of nothing. */
es_status es__tree_root(es_hash *out, const es_tree *tree, es_chain *chain, es_error *err);

bool es__hash_equal(const es_hash *a, const es_hash *b);

/* Is `leaf` the leaf `index` of the tree with this size and root? (RFC 9162, 2.1.3.2)  Does the tree (size, root) continue
 * the tree (old_size, old_root)? (RFC 9162, 2.1.4.2; an old tree of size 0 is continued by every tree, with an empty path.)
 * ES_ERR_INTEGRITY "bad_proof" when not; the message says how it fails. */
es_status es__inclusion_check(const es_path *path, int64_t size, const es_hash *root, int64_t index,
                              const es_hash *leaf, es_chain *chain, es_error *err);
es_status es__consistency_check(const es_path *path, int64_t old_size, const es_hash *old_root,
                                int64_t size, const es_hash *root, es_chain *chain, es_error *err);

#endif
