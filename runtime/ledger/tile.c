/* tile: subtrees, roots and proofs from stored tiles, and filling tiles. Knows no store. */
#include "ledger/tile.h"

#include <string.h>

#include "base/error.h"

/* ---- Reading ----------------------------------------------------------------------------------------------- */

/* The root of the perfect subtree of this height: the leaves from index << height on. */
static es_status perfect_subtree(es_hash *out, int height, int64_t index,
                                 const es_tile_reader *reader, es_error *err) {
  int level = height / ES_TILE_HEIGHT, within = height % ES_TILE_HEIGHT;
  int64_t first = index << within;
  int start = (int)(first % ES_TILE_WIDTH), count = 1 << within;
  es_hash hashes[ES_TILE_WIDTH / 2];
  const es_hash *tile;
  es_status status;

  status = reader->read(&tile, reader->data, level, first / ES_TILE_WIDTH, start + count, err);
  if (status != ES_OK) return status;
  memcpy(hashes, tile + start, (size_t)count * sizeof *hashes);
  for (; count > 1; count /= 2) {
    for (int i = 0; i < count / 2; i++) {
      status = es__tree_node(reader->chain, &hashes[i], &hashes[2 * i], &hashes[2 * i + 1], err);
      if (status != ES_OK) return status;
    }
  }
  *out = hashes[0];
  return ES_OK;
}

/* The root of the leaves from `start` to `end`, as RFC 6962 forms it: `start` is a multiple of the largest power of two that
 * fits, so the range is a tree of its own, made of perfect subtrees. */
static es_status range_root(es_hash *out, int64_t start, int64_t end, const es_tile_reader *reader,
                            es_error *err) {
  int64_t size = end - start, at = end;
  bool started = false;
  es_hash peak;
  es_status status;

  for (int height = 0; height < ES_TREE_HEIGHT_MAX; height++) {
    if ((size >> height & 1) == 0) continue;
    at -= (int64_t)1 << height;
    status = perfect_subtree(&peak, height, at >> height, reader, err);
    if (status != ES_OK) return status;
    if (started) {
      status = es__tree_node(reader->chain, out, &peak, out, err);
      if (status != ES_OK) return status;
    } else {
      *out = peak;
      started = true;
    }
  }
  return ES_OK;
}

es_status es__tile_tree(es_tree *out, int64_t size, const es_tile_reader *reader, es_error *err) {
  int64_t at = size;

  memset(out, 0, sizeof *out);
  for (int height = 0; height < ES_TREE_HEIGHT_MAX; height++) {
    if ((size >> height & 1) == 0) continue;
    at -= (int64_t)1 << height;
    es_status status = perfect_subtree(&out->peaks[height], height, at >> height, reader, err);
    if (status != ES_OK) return status;
  }
  out->size = size;
  return ES_OK;
}

es_status es__tile_root(es_hash *out, int64_t size, const es_tile_reader *reader, es_error *err) {
  es_tree tree;
  es_status status = es__tile_tree(&tree, size, reader, err);
  return status == ES_OK ? es__tree_root(out, &tree, reader->chain, err) : status;
}

es_status es__tile_leaf(es_hash *out, int64_t index, const es_tile_reader *reader, es_error *err) {
  return perfect_subtree(out, 0, index, reader, err);
}

/* ---- Proofs ------------------------------------------------------------------------------------------------ */

/* The largest power of two below `size`, which is at least 2: where RFC 6962 splits a tree. */
static int64_t split_of(int64_t size) {
  return (int64_t)1 << (63 - __builtin_clzll((unsigned long long)(size - 1)));
}

/* The proofs of 2.1.1 and 2.1.2 are built from the root down, so hashes gather in reverse. */
static void reverse(es_path *path) {
  for (size_t i = 0; i < path->count / 2; i++) {
    es_hash kept = path->hashes[i];
    path->hashes[i] = path->hashes[path->count - 1 - i];
    path->hashes[path->count - 1 - i] = kept;
  }
}

es_status es__tile_inclusion(es_path *out, int64_t index, int64_t size,
                             const es_tile_reader *reader, es_error *err) {
  int64_t start = 0, end = size;
  es_status status = ES_OK;

  out->count = 0;
  if (index < 0 || index >= size) {
    return es__fail(err, ES_ERR_USAGE, "outside_tree", "a tree of size %lld has no leaf %lld",
                    (long long)size, (long long)index);
  }
  while (status == ES_OK && end - start > 1) {
    int64_t middle = start + split_of(end - start);
    es_hash *sibling = &out->hashes[out->count++];
    if (index < middle) {
      status = range_root(sibling, middle, end, reader, err);
      end = middle;
    } else {
      status = range_root(sibling, start, middle, reader, err);
      start = middle;
    }
  }
  reverse(out);
  return status;
}

es_status es__tile_consistency(es_path *out, int64_t old_size, int64_t size,
                               const es_tile_reader *reader, es_error *err) {
  int64_t start = 0, end = size;
  es_status status = ES_OK;

  out->count = 0;
  if (old_size < 0 || old_size > size) {
    return es__fail(err, ES_ERR_USAGE, "outside_tree",
                    "a tree of size %lld does not continue one of size %lld", (long long)size,
                    (long long)old_size);
  }
  if (old_size == 0) return ES_OK;
  while (status == ES_OK && old_size != end) {
    int64_t middle = start + split_of(end - start);
    es_hash *sibling = &out->hashes[out->count++];
    if (old_size <= middle) {
      status = range_root(sibling, middle, end, reader, err);
      end = middle;
    } else {
      status = range_root(sibling, start, middle, reader, err);
      start = middle;
    }
  }
  if (status == ES_OK && start > 0)
    status = range_root(&out->hashes[out->count++], start, end, reader, err);
  reverse(out);
  return status;
}

/* ---- Writing ----------------------------------------------------------------------------------------------- */

es_status es__tile_open(es_tile_writer *out, int64_t size, const es_tile_reader *reader,
                        es_tile_write write, void *data, es_error *err) {
  es_status status;

  memset(out, 0, sizeof *out);
  out->chain = reader->chain;
  out->write = write;
  out->data = data;
  status = es__tile_tree(&out->tree, size, reader, err);
  for (int level = 0; status == ES_OK && level < ES_TILE_LEVELS; level++) {
    int64_t count = size >> (ES_TILE_HEIGHT * level);
    int width = (int)(count % ES_TILE_WIDTH);
    const es_hash *hashes;
    if (width == 0) continue;
    status = reader->read(&hashes, reader->data, level, count / ES_TILE_WIDTH, width, err);
    if (status == ES_OK) memcpy(out->edges[level], hashes, (size_t)width * sizeof *hashes);
  }
  return status;
}

static es_status keep_node(void *data, int height, int64_t index, const es_hash *hash,
                           es_error *err) {
  es_tile_writer *writer = data;
  int level = height / ES_TILE_HEIGHT, at = (int)(index % ES_TILE_WIDTH);

  if (height % ES_TILE_HEIGHT != 0) return ES_OK;
  writer->edges[level][at] = *hash;
  writer->changed[level] = at + 1 < ES_TILE_WIDTH;
  if (writer->changed[level]) return ES_OK;
  return writer->write(writer->data, level, index / ES_TILE_WIDTH, ES_TILE_WIDTH,
                       writer->edges[level], err);
}

es_status es__tile_append(es_tile_writer *writer, const es_hash *leaf, es_error *err) {
  return es__tree_append(&writer->tree, writer->chain, leaf, keep_node, writer, err);
}

es_status es__tile_flush(es_tile_writer *writer, es_error *err) {
  for (int level = 0; level < ES_TILE_LEVELS; level++) {
    int64_t count = writer->tree.size >> (ES_TILE_HEIGHT * level);
    if (!writer->changed[level]) continue;
    es_status status = writer->write(writer->data, level, count / ES_TILE_WIDTH,
                                     (int)(count % ES_TILE_WIDTH), writer->edges[level], err);
    if (status != ES_OK) return status;
    writer->changed[level] = false;
  }
  return ES_OK;
}
