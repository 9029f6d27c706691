/* memory_tree: tiles and checkpoints on the heap. */
#include "store/memory_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

void es__memory_tree_free(es_memory_tree *tree) {
  for (int level = 0; level < ES_TILE_LEVELS; level++)
    free(tree->levels[level].hashes);
  for (size_t i = 0; i < tree->checkpoint_count; i++)
    es__buf_free(&tree->checkpoints[i].note);
  free(tree->checkpoints);
}

int64_t es__memory_tree_size(const es_memory_tree *tree) { return (int64_t)tree->levels[0].count; }

void es__memory_tile(es_hash out[ES_TILE_WIDTH], int *width, const es_memory_tree *tree, int level,
                     int64_t index) {
  const es_memory_level *from = &tree->levels[level];
  size_t first = (size_t)index * ES_TILE_WIDTH;

  *width = 0;
  if (first >= from->count) return;
  *width = from->count - first < ES_TILE_WIDTH ? (int)(from->count - first) : ES_TILE_WIDTH;
  memcpy(out, from->hashes + first, (size_t)*width * sizeof *out);
}

es_status es__memory_put_tile(es_memory_tree *tree, int level, int64_t index, int width,
                              const es_hash *hashes, es_error *err) {
  es_memory_level *to = &tree->levels[level];
  size_t end = (size_t)index * ES_TILE_WIDTH + (size_t)width;

  if (end > to->capacity) {
    size_t capacity = to->capacity == 0 ? ES_TILE_WIDTH : to->capacity * 2;
    es_hash *moved = realloc(to->hashes, capacity * sizeof *moved);
    if (moved == NULL) return es__no_memory(err);
    to->hashes = moved;
    to->capacity = capacity;
  }
  memcpy(to->hashes + index * ES_TILE_WIDTH, hashes, (size_t)width * sizeof *hashes);
  to->count = end;
  return ES_OK;
}

es_status es__memory_checkpoint(es_store_checkpoint *out, const es_memory_tree *tree, int64_t up_to,
                                int64_t id, es_error *err) {
  for (size_t i = tree->checkpoint_count; i > 0; i--) {
    const es_store_checkpoint *kept = &tree->checkpoints[i - 1];
    if (kept->size > up_to || (kept->size == up_to && kept->id > id)) continue;
    out->size = kept->size;
    out->id = kept->id;
    es__buf_add(&out->note, kept->note.data, kept->note.length);
    return out->note.failed ? es__no_memory(err) : ES_OK;
  }
  return ES_OK;
}

es_status es__memory_add_checkpoint(es_memory_tree *tree, int64_t size, es_text note,
                                    es_error *err) {
  es_store_checkpoint checkpoint = {.size = size, .id = (int64_t)tree->checkpoint_count + 1};

  if (tree->checkpoint_count == tree->checkpoint_capacity) {
    size_t capacity = tree->checkpoint_capacity == 0 ? 8 : tree->checkpoint_capacity * 2;
    es_store_checkpoint *moved = realloc(tree->checkpoints, capacity * sizeof *moved);
    if (moved == NULL) return es__no_memory(err);
    tree->checkpoints = moved;
    tree->checkpoint_capacity = capacity;
  }
  es__buf_add(&checkpoint.note, note.data, note.length);
  if (checkpoint.note.failed) {
    es__buf_free(&checkpoint.note);
    return es__no_memory(err);
  }
  tree->checkpoints[tree->checkpoint_count++] = checkpoint;
  return ES_OK;
}
