/* pool: memory for the many small blocks of one Lua state. */
#ifndef ES_BASE_POOL_H
#define ES_BASE_POOL_H

#include <stddef.h>

enum {
  ES_POOL_SIZE = 1024 * 1024, /* of all blocks in the pool; further ones come from the C library */
  ES_POOL_STEP = 16,          /* blocks are multiples of this, and aligned to it */
#ifdef ES__NO_POOL
  ES_POOL_MAX = 0
#else
  ES_POOL_MAX = 512 /* larger blocks come from the C library */
#endif
};

typedef struct es_pool {
  char *memory; /* ES_POOL_SIZE bytes, asked for with the first block; NULL: not yet */
  size_t used;
  void *unused[ES_POOL_MAX / ES_POOL_STEP + 1]; /* lists of blocks, by their size in steps */
} es_pool;

/* As realloc(block, size), and as free(block) for a size of 0. old_size: what the block was made with. NULL: no memory, and the
 * block is as it was. All zeroes are an empty pool; it serves one thread at a time. */
void *es__pool_resize(es_pool *pool, void *block, size_t old_size, size_t size);

/* Gives back the pool's blocks at once. Those from the C library have to be freed one by one before. */
void es__pool_free(es_pool *pool);

#endif
