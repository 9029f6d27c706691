/* pool: small blocks are cut from one run of memory and kept in lists by size when they are not used. Lua tells the size of what it
 * frees, so that neither a header nor a search is needed, and closing a state costs little. What is cut for one size stays so,
 * hence the pool is small and the C library has the rest: a state never keeps much more than it needs. */
#include "base/pool.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static size_t steps_of(size_t size) { return (size + ES_POOL_STEP - 1) / ES_POOL_STEP; }

static bool owns(const es_pool *pool, const void *block) {
  return pool->memory != NULL && (uintptr_t)block - (uintptr_t)pool->memory < ES_POOL_SIZE;
}

static void give(es_pool *pool, void *block, size_t size) {
  size_t steps = steps_of(size);

  *(void **)block = pool->unused[steps];
  pool->unused[steps] = block;
}

static void *take(es_pool *pool, size_t size) {
  size_t steps = steps_of(size);
  void *block = pool->unused[steps];

  if (block != NULL) {
    pool->unused[steps] = *(void **)block;
    return block;
  }
  if (pool->memory == NULL) {
    pool->memory = malloc(ES_POOL_SIZE);
    if (pool->memory == NULL) return malloc(size);
  }
  if (ES_POOL_SIZE - pool->used < steps * ES_POOL_STEP) return malloc(size);
  block = pool->memory + pool->used;
  pool->used += steps * ES_POOL_STEP;
  return block;
}

static void *make(es_pool *pool, size_t size) {
  return size <= ES_POOL_MAX ? take(pool, size) : malloc(size);
}

void *es__pool_resize(es_pool *pool, void *block, size_t old_size, size_t size) {
  void *out;

  if (block == NULL) return size == 0 ? NULL : make(pool, size);
  if (!owns(pool, block)) {
    if (size > 0) return realloc(block, size);
    free(block);
    return NULL;
  }
  if (size == 0) {
    give(pool, block, old_size);
    return NULL;
  }
  if (steps_of(old_size) == steps_of(size)) return block;
  out = make(pool, size);
  if (out == NULL) return NULL;
  memcpy(out, block, old_size < size ? old_size : size);
  give(pool, block, old_size);
  return out;
}

void es__pool_free(es_pool *pool) {
  free(pool->memory);
  memset(pool, 0, sizeof *pool);
}
