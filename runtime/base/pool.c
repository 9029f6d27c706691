/* pool: small blocks are cut from chunks and kept in lists by size when they are not used. Lua tells the size of what it frees, so
 * that neither a header nor a search is needed, and closing a state costs little. Memory goes back when the pool is freed. */
#include "base/pool.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_SIZE = 32 * 1024 };

static size_t steps_of(size_t size) { return (size + ES_POOL_STEP - 1) / ES_POOL_STEP; }

static void give(es_pool *pool, void *block, size_t size) {
  size_t steps = steps_of(size);

  *(void **)block = pool->unused[steps];
  pool->unused[steps] = block;
}

static bool add_chunk(es_pool *pool) {
  void *chunk = malloc(CHUNK_SIZE);

  if (chunk == NULL) return false;
  if (pool->at < pool->end) give(pool, pool->at, (size_t)(pool->end - pool->at));
  *(void **)chunk = pool->chunks;
  pool->chunks = chunk;
  pool->at = (char *)chunk + ES_POOL_STEP;
  pool->end = (char *)chunk + CHUNK_SIZE;
  return true;
}

static void *take(es_pool *pool, size_t size) {
  size_t steps = steps_of(size);
  void *block = pool->unused[steps];

  if (block != NULL) {
    pool->unused[steps] = *(void **)block;
    return block;
  }
  size = steps * ES_POOL_STEP;
  if ((size_t)(pool->end - pool->at) < size && !add_chunk(pool)) return NULL;
  block = pool->at;
  pool->at += size;
  return block;
}

void *es__pool_resize(es_pool *pool, void *block, size_t old_size, size_t size) {
  void *out;

  if (block == NULL) {
    if (size == 0) return NULL;
    return size <= ES_POOL_MAX ? take(pool, size) : malloc(size);
  }
  if (old_size > ES_POOL_MAX && (size == 0 || size > ES_POOL_MAX)) {
    if (size > 0) return realloc(block, size);
    free(block);
    return NULL;
  }
  if (size == 0) {
    give(pool, block, old_size);
    return NULL;
  }
  if (old_size <= ES_POOL_MAX && size <= ES_POOL_MAX && steps_of(old_size) == steps_of(size))
    return block;
  out = size <= ES_POOL_MAX ? take(pool, size) : malloc(size);
  if (out == NULL) return NULL;
  memcpy(out, block, old_size < size ? old_size : size);
  if (old_size <= ES_POOL_MAX)
    give(pool, block, old_size);
  else
    free(block);
  return out;
}

void es__pool_free(es_pool *pool) {
  void *chunk = pool->chunks;

  while (chunk != NULL) {
    void *before = *(void **)chunk;
    free(chunk);
    chunk = before;
  }
  memset(pool, 0, sizeof *pool);
}
