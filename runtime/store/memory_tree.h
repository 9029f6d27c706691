/* memory_tree: the tiles and checkpoints of the in-memory store. Knows no events. */
#ifndef ES_STORE_MEMORY_TREE_H
#define ES_STORE_MEMORY_TREE_H

#include "store/store.h"

typedef struct es_memory_level {
  es_hash *hashes; /* of all its tiles, one behind the other */
  size_t count;
  size_t capacity;
} es_memory_level;

typedef struct es_memory_tree {
  es_memory_level levels[ES_TILE_LEVELS];
  es_store_checkpoint *checkpoints; /* by size */
  size_t checkpoint_count, checkpoint_capacity;
} es_memory_tree;

void es__memory_tree_free(es_memory_tree *tree);
int64_t es__memory_tree_size(const es_memory_tree *tree);
void es__memory_tile(es_hash out[ES_TILE_WIDTH], int *width, const es_memory_tree *tree, int level,
                     int64_t index);
es_status es__memory_put_tile(es_memory_tree *tree, int level, int64_t index, int width,
                              const es_hash *hashes, es_error *err);
es_status es__memory_checkpoint(es_store_checkpoint *out, const es_memory_tree *tree, int64_t up_to,
                                int64_t id, es_error *err);
es_status es__memory_add_checkpoint(es_memory_tree *tree, int64_t size, es_text note,
                                    es_error *err);

#endif
