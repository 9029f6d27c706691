/* tree: catching the stored tree up with the events, and comparing the two. Knows no SQL. */
#include "store/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { LEAVES_AT_ONCE = 1024, LEAVES_A_TRANSACTION = 65536 };

es_status es__tree_size(int64_t *out, es_store *store, es_error *err) {
  *out = 0;
  return store->kind->tree_size(out, store, err);
}

es_status es__tree_sizes(int64_t *size, int64_t *head, es_store *store, es_error *err) {
  es_store_head at = {0};
  es_status status = es__tree_size(size, store, err); /* first: the events may only be more */

  if (status == ES_OK) status = es__store_head_of(&at, store, err);
  *head = at.position;
  if (status == ES_OK && *size > at.position) {
    status = es__fail(err, ES_ERR_INTEGRITY, "truncated",
                      "the tree covers %lld events and the store has %lld: its tail was cut off",
                      (long long)*size, (long long)at.position);
  }
  return status;
}

/* ---- Reading ----------------------------------------------------------------------------------------------- */

static es_status read_tile(const es_hash **hashes, void *data, int level, int64_t index, int width,
                           es_error *err) {
  es_tree_tiles *tiles = data;
  es_status status;

  if (tiles->widths[level] < width || tiles->indexes[level] != index) {
    tiles->widths[level] = 0;
    tiles->indexes[level] = index;
    status = tiles->store->kind->tile(tiles->hashes[level], &tiles->widths[level], tiles->store,
                                      level, index, err);
    if (status != ES_OK) return status;
  }
  if (tiles->widths[level] < width) {
    return es__fail(err, ES_ERR_INTEGRITY, "tree",
                    "the tree's tile %lld of level %d has %d hashes, %d are needed",
                    (long long)index, level, tiles->widths[level], width);
  }
  *hashes = tiles->hashes[level];
  return ES_OK;
}

es_tile_reader es__tree_reader(es_tree_tiles *tiles, es_store *store) {
  memset(tiles->widths, 0, sizeof tiles->widths);
  tiles->store = store;
  return (es_tile_reader){read_tile, tiles, store->chain};
}

/* Appends the hashes of the events up to position `size` to a tree that ends before them. */
static es_status append_events(es_tile_writer *writer, int64_t size, es_store *store,
                               es_error *err) {
  es_hash hashes[LEAVES_AT_ONCE];
  es_status status = ES_OK;

  while (status == ES_OK && writer->tree.size < size) {
    int64_t left = size - writer->tree.size;
    size_t count;
    status = es__store_hashes(hashes, &count, store, writer->tree.size,
                              left < LEAVES_AT_ONCE ? (size_t)left : LEAVES_AT_ONCE, err);
    if (status == ES_OK && count == 0) {
      status = es__fail(err, ES_ERR_INTEGRITY, "truncated",
                        "the store has %lld events, not the %lld asked for",
                        (long long)writer->tree.size, (long long)size);
    }
    for (size_t i = 0; status == ES_OK && i < count; i++)
      status = es__tile_append(writer, &hashes[i], err);
  }
  return status;
}

static es_status write_nothing(void *data, int level, int64_t index, int width,
                               const es_hash *hashes, es_error *err) {
  (void)data, (void)level, (void)index, (void)width, (void)hashes, (void)err;
  return ES_OK;
}

/* What growing a tree needs is too large for a stack. */
typedef struct work {
  es_tree_tiles tiles;
  es_tile_reader reader;
  es_tile_writer writer;
} work;

static work *new_work(es_store *store, es_error *err) {
  work *self = calloc(1, sizeof *self);
  if (self == NULL) {
    es__no_memory(err);
  } else {
    self->reader = es__tree_reader(&self->tiles, store);
  }
  return self;
}

es_status es__tree_root_at(es_hash *out, int64_t size, es_store *store, es_error *err) {
  work *self = new_work(store, err);
  int64_t stored;
  es_status status;

  if (self == NULL) return ES_ERR_OTHER;
  status = es__tree_size(&stored, store, err);
  if (status == ES_OK) {
    status = es__tile_open(&self->writer, stored < size ? stored : size, &self->reader,
                           write_nothing, NULL, err);
  }
  if (status == ES_OK) status = append_events(&self->writer, size, store, err);
  if (status == ES_OK) status = es__tree_root(out, &self->writer.tree, store->chain, err);
  free(self);
  return status;
}

/* ---- Growing ----------------------------------------------------------------------------------------------- */

static es_status put_tile(void *data, int level, int64_t index, int width, const es_hash *hashes,
                          es_error *err) {
  es_store *store = data;
  return store->kind->put_tile(store, level, index, width, hashes, err);
}

/* That no level holds more than a tree of this size has: it could never grow again. Call it in a transaction. */
static es_status check_surplus(int64_t size, es_store *store, es_error *err) {
  es_hash hashes[ES_TILE_WIDTH];
  es_status status = ES_OK;

  for (int level = 0; status == ES_OK && level < ES_TILE_LEVELS; level++) {
    int64_t count = size >> (ES_TILE_HEIGHT * level);
    int stored = 0;
    status = store->kind->tile(hashes, &stored, store, level, count / ES_TILE_WIDTH, err);
    if (status != ES_OK || stored <= count % ES_TILE_WIDTH) continue;
    status = es__fail(
        err, ES_ERR_INTEGRITY, "tree", "the tree's tile %lld of level %d has %d hashes, not %d",
        (long long)(count / ES_TILE_WIDTH), level, stored, (int)(count % ES_TILE_WIDTH));
    es__hint(err, "restore a backup that verifies");
  }
  return status;
}

static int64_t lesser(int64_t a, int64_t b) { return a < b ? a : b; }

/* One transaction. The tree's size is read inside it: another process may have grown it meanwhile. */
static es_status grow_some(work *self, int64_t *size, int64_t *to, es_store *store, es_error *err) {
  int64_t head;
  es_status status = es__tree_sizes(size, &head, store, err);

  if (status != ES_OK) return status;
  *to = lesser(*to, head);
  if (*size >= *to) return ES_OK;
  self->reader = es__tree_reader(&self->tiles, store);
  status = check_surplus(*size, store, err);
  if (status != ES_OK) return status;
  status = es__tile_open(&self->writer, *size, &self->reader, put_tile, store, err);
  if (status != ES_OK) return status;
  *size = lesser(*to, *size + LEAVES_A_TRANSACTION);
  status = append_events(&self->writer, *size, store, err);
  return status == ES_OK ? es__tile_flush(&self->writer, err) : status;
}

es_status es__tree_grow(int64_t *size, int64_t to, es_store *store, es_error *err) {
  work *self = new_work(store, err);
  int64_t head;
  es_status status;

  *size = 0;
  if (self == NULL) return ES_ERR_OTHER;
  status = es__tree_sizes(size, &head, store, err);
  to = lesser(to, head);
  while (status == ES_OK && *size < to) {
    status = es__store_begin(store, err);
    if (status != ES_OK) break;
    status = grow_some(self, size, &to, store, err);
    if (status == ES_OK) {
      status = es__store_commit(store, err);
    } else {
      es__store_rollback(store);
    }
  }
  free(self);
  return status;
}

/* ---- Comparing --------------------------------------------------------------------------------------------- */

struct es_tree_check {
  es_store *store;
  es_store_finding finding;
  void *data;
  int64_t size; /* of the stored tree; 0 once it could not be read */
  es_tree_tiles tiles;
  es_tile_reader reader;
  es_hash tile[ES_TILE_WIDTH];
  es_tile_writer writer;
  bool differs[ES_TILE_LEVELS];
  es_error why; /* of the last failure; clearing one for each leaf would be felt */
};

static void tell(es_tree_check *self, int level, int64_t position, const char *format, long long a,
                 long long b) {
  char message[160];

  if (self->differs[level]) return;
  self->differs[level] = true;
  snprintf(message, sizeof message, format, a, b);
  self->finding(self->data, "tree", position, message);
}

/* Called with each tile as the events' hashes make it: the stored one must be the same. */
static es_status compare_tile(void *data, int level, int64_t index, int width,
                              const es_hash *hashes, es_error *err) {
  es_tree_check *self = data;
  int stored = 0;
  es_status status = self->store->kind->tile(self->tile, &stored, self->store, level, index, err);

  if (status != ES_OK) return status;
  if (stored < width) {
    tell(self, level, 0, "tile %lld of the tree's level %lld is missing or too short",
         (long long)index, level);
    return ES_OK;
  }
  for (int i = 0; i < width; i++) {
    if (es__hash_equal(&self->tile[i], &hashes[i])) continue;
    int64_t leaf = index * ES_TILE_WIDTH + i;
    if (level == 0) {
      tell(self, level, leaf + 1, "position %lld: the tree has another hash of it than the chain",
           (long long)leaf + 1, 0);
    } else {
      tell(self, level, 0, "the tree's level %lld does not follow from the one below, at %lld",
           level, (long long)leaf);
    }
    break;
  }
  return ES_OK;
}

/* What cannot be read of the tree is a finding. */
static es_status settle(es_tree_check *self, es_status status, es_error *err) {
  if (status == ES_ERR_INTEGRITY) {
    self->finding(self->data, "tree", 0, self->why.message);
    self->size = 0;
    return ES_OK;
  }
  if (status != ES_OK && err != NULL) *err = self->why;
  return status;
}

es_status es__tree_check_open(es_tree_check **out, int64_t after, es_store *store,
                              es_store_finding finding, void *data, es_error *err) {
  es_tree_check *self = calloc(1, sizeof *self);

  *out = self;
  if (self == NULL) return es__no_memory(err);
  self->store = store;
  self->finding = finding;
  self->data = data;
  self->reader = es__tree_reader(&self->tiles, store);
  es_status status = es__tree_size(&self->size, store, &self->why);
  if (status == ES_OK && after < self->size)
    status = es__tile_open(&self->writer, after, &self->reader, compare_tile, self, &self->why);
  return settle(self, status, err);
}

es_status es__tree_check_leaf(es_tree_check *self, const uint8_t hash[ES_HASH_SIZE],
                              es_error *err) {
  es_hash leaf;

  if (self->writer.tree.size >= self->size || self->writer.chain == NULL) return ES_OK;
  memcpy(leaf.bytes, hash, ES_HASH_SIZE);
  es_status status = es__tile_append(&self->writer, &leaf, &self->why);
  return status == ES_OK ? ES_OK : settle(self, status, err);
}

es_status es__tree_check_finish(es_tree_check *self, es_error *err) {
  if (self->size == 0 || self->writer.chain == NULL) return ES_OK;
  es_status status = es__tile_flush(&self->writer, &self->why);
  return status == ES_OK ? ES_OK : settle(self, status, err);
}

void es__tree_check_free(es_tree_check *self) { free(self); }

es_status es__tree_check_size(es_store *store, es_store_finding finding, void *data,
                              es_error *err) {
  int64_t size = 0;
  es_store_head head;
  es_error why = ES_ERROR_INIT;
  char message[128];
  es_status status = es__tree_size(&size, store, err); /* first: the events may only be more */

  if (status == ES_OK) {
    status = check_surplus(size, store, &why);
    if (status != ES_OK && err != NULL) *err = why;
  }
  if (status == ES_ERR_INTEGRITY) {
    finding(data, "tree", 0, why.message);
    status = ES_OK;
  }
  if (status == ES_OK) status = es__store_head_of(&head, store, err);
  if (status != ES_OK || size <= head.position) return status;
  snprintf(message, sizeof message,
           "the tree covers %lld events and the store has %lld: its tail was cut off",
           (long long)size, (long long)head.position);
  finding(data, "truncated", 0, message);
  return ES_OK;
}
