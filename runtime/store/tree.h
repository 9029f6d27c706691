/* tree: the Merkle tree over a store's events, kept in tiles beside them. It is derived: appending events leaves it alone, and
 * whoever needs it catches it up first, in transactions that each leave a whole tree (docs/adr/0007-merkle-tree.md).
 * Knows no SQL. */
#ifndef ES_STORE_TREE_H
#define ES_STORE_TREE_H

#include "store/store.h"

/* Reads a store's tiles, remembering the last of each level. Zero but for the store; use es__tree_reader(). */
typedef struct es_tree_tiles {
  es_store *store;
  int64_t indexes[ES_TILE_LEVELS];
  int widths[ES_TILE_LEVELS]; /* 0: nothing remembered */
  es_hash hashes[ES_TILE_LEVELS][ES_TILE_WIDTH];
} es_tree_tiles;

es_tile_reader es__tree_reader(es_tree_tiles *tiles, es_store *store);

/* How many events the stored tree covers. */
es_status es__tree_size(int64_t *out, es_store *store, es_error *err);

/* The same, and the position of the store's last event, which is not before: else "truncated". */
es_status es__tree_sizes(int64_t *size, int64_t *head, es_store *store, es_error *err);

/* Catches the tree up with the first `to` events, or with all there are; *size is what it then covers, which may be more. Takes the
 * hashes as they are stored: whoever calls has looked at them. Refused inside a transaction. */
es_status es__tree_grow(int64_t *size, int64_t to, es_store *store, es_error *err);

/* The root of the first `size` events, from the tiles as far as they go and from the events behind them. */
es_status es__tree_root_at(es_hash *out, int64_t size, es_store *store, es_error *err);

/* Compares the tiles with the events while these go by, leaf by leaf, and each level with the one below: findings of kind
 * "tree", the first of each level. A run may begin behind any multiple of ES_TILE_WIDTH events, so that several, each in a
 * thread and on a connection of its own, cover the tree together: what lies before the run is believed. */
typedef struct es_tree_check es_tree_check;
es_status es__tree_check_open(es_tree_check **out, int64_t after, es_store *store,
                              es_store_finding finding, void *data, es_error *err);
/* The hash of the next event. Beyond the tree, and after a failure to read it, which is a finding, nothing is done. */
es_status es__tree_check_leaf(es_tree_check *check, const uint8_t hash[ES_HASH_SIZE],
                              es_error *err);
es_status es__tree_check_finish(es_tree_check *check, es_error *err);
void es__tree_check_free(es_tree_check *check);

/* A tree that covers more events than there are: kind "truncated"; tiles that hold more than it has: "tree". Call it in a
 * transaction. */
es_status es__tree_check_size(es_store *store, es_store_finding finding, void *data, es_error *err);

#endif
