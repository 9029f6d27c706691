/* tile: the tree's hashes as stored, in tiles of 256 (C2SP tlog-tiles: level L, index N holds the roots of the perfect
 * subtrees of height 8*L, from 256*N on; the last of a level is partial), and what is read from them: subtrees, roots, proofs.
 * Knows no store: tiles come through a callback. */
#ifndef ES_LEDGER_TILE_H
#define ES_LEDGER_TILE_H

#include "ledger/tree.h"

enum {
  ES_TILE_HEIGHT = 8,
  ES_TILE_WIDTH = 1 << ES_TILE_HEIGHT,
  ES_TILE_LEVELS = ES_TREE_HEIGHT_MAX / ES_TILE_HEIGHT + 1
};

/* Points *hashes at a tile's first `width` hashes or more; they live until the next call. A tile that is missing or
 * shorter is an ES_ERR_INTEGRITY. */
typedef es_status (*es_tile_read)(const es_hash **hashes, void *data, int level, int64_t index,
                                  int width, es_error *err);

typedef struct es_tile_reader {
  es_tile_read read;
  void *data;
  es_chain *chain;
} es_tile_reader;

/* The root of the tree's first `size` leaves, and the tree itself, ready to grow. The tiles may hold more. */
es_status es__tile_tree(es_tree *out, int64_t size, const es_tile_reader *reader, es_error *err);
es_status es__tile_root(es_hash *out, int64_t size, const es_tile_reader *reader, es_error *err);
es_status es__tile_leaf(es_hash *out, int64_t index, const es_tile_reader *reader, es_error *err);

/* Proofs from the tiles, for es__inclusion_check and es__consistency_check. Sizes and indexes outside the tree are
 * ES_ERR_USAGE. Costs a few hundred digests, whatever the size. */
es_status es__tile_inclusion(es_path *out, int64_t index, int64_t size,
                             const es_tile_reader *reader, es_error *err);
es_status es__tile_consistency(es_path *out, int64_t old_size, int64_t size,
                               const es_tile_reader *reader, es_error *err);

/* Gathers what growing a tree completes into tiles and hands over each tile that filled up; es__tile_flush hands over the
 * partial ones that changed. es__tile_open continues a tree from its stored tiles. */
typedef es_status (*es_tile_write)(void *data, int level, int64_t index, int width,
                                   const es_hash *hashes, es_error *err);

typedef struct es_tile_writer {
  es_tree tree;
  es_chain *chain;
  es_tile_write write;
  void *data;
  bool changed[ES_TILE_LEVELS];
  es_hash edges[ES_TILE_LEVELS][ES_TILE_WIDTH]; /* the right-most tile of each level */
} es_tile_writer;

es_status es__tile_open(es_tile_writer *out, int64_t size, const es_tile_reader *reader,
                        es_tile_write write, void *data, es_error *err);
es_status es__tile_append(es_tile_writer *writer, const es_hash *leaf, es_error *err);
es_status es__tile_flush(es_tile_writer *writer, es_error *err);

#endif
