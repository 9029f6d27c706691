/* ledger_support: a tree whose tiles live in memory, and short words for hashes and texts in the ledger's tests. */
#ifndef ES_TESTS_LEDGER_SUPPORT_H
#define ES_TESTS_LEDGER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/id.h"
#include "ledger/tile.h"

enum { SHELF_TILES = 512 }; /* a level: enough for 2^17 leaves */

typedef struct shelf {
  es_chain *chain;
  es_hash tiles[3][SHELF_TILES][ES_TILE_WIDTH];
  int widths[3][SHELF_TILES];
  es_tile_writer writer;
  es_tile_reader reader;
  es_error err;
} shelf;

static inline es_status shelf_read(const es_hash **hashes, void *data, int level, int64_t index,
                                   int width, es_error *err) {
  shelf *s = data;
  if (level >= 3 || index >= SHELF_TILES || s->widths[level][index] < width)
    return es__fail(err, ES_ERR_INTEGRITY, "tile", "tile %d/%lld is not there", level,
                    (long long)index);
  *hashes = s->tiles[level][index];
  return ES_OK;
}

static inline es_status shelf_write(void *data, int level, int64_t index, int width,
                                    const es_hash *hashes, es_error *err) {
  shelf *s = data;
  if (level >= 3 || index >= SHELF_TILES) return es__fail(err, ES_ERR_OTHER, "full", "shelf full");
  memcpy(s->tiles[level][index], hashes, (size_t)width * sizeof *hashes);
  s->widths[level][index] = width;
  return ES_OK;
}

#define must(call)                                                                                 \
  do {                                                                                             \
    es_status must_status = (call);                                                                \
    if (must_status != ES_OK) fail_msg("%s: %s", #call, s->err.message);                           \
  } while (0)

/* The call fails with this status and code, and says something. */
#define refuses(call, expected_status, expected_code)                                              \
  do {                                                                                             \
    assert_int_equal((call), (expected_status));                                                   \
    assert_string_equal(s->err.code, (expected_code));                                             \
    assert_true(s->err.message[0] != '\0');                                                        \
  } while (0)

static inline shelf *shelf_new(void) {
  shelf *s = calloc(1, sizeof *s);
  must(es__chain_new(&s->chain, &s->err));
  s->reader = (es_tile_reader){shelf_read, s, s->chain};
  must(es__tile_open(&s->writer, 0, &s->reader, shelf_write, s, &s->err));
  return s;
}

static inline void shelf_free(shelf *s) {
  es__chain_free(s->chain);
  free(s);
}

/* The leaf hash of some bytes, and of a number. */
static inline es_hash leaf_of(shelf *s, const void *bytes, size_t length) {
  static const uint8_t prefix = 0;
  es_hash hash;
  must(es__sha256(s->chain, hash.bytes, &prefix, 1, bytes, length, &s->err));
  return hash;
}

static inline es_hash leaf_number(shelf *s, int64_t number) {
  return leaf_of(s, &number, sizeof number);
}

static inline void grow(shelf *s, int64_t size) {
  while (s->writer.tree.size < size) {
    es_hash leaf = leaf_number(s, s->writer.tree.size);
    must(es__tile_append(&s->writer, &leaf, &s->err));
  }
  must(es__tile_flush(&s->writer, &s->err));
}

static inline es_hash root_at(shelf *s, int64_t size) {
  es_hash root;
  must(es__tile_root(&root, size, &s->reader, &s->err));
  return root;
}

static inline void assert_hash(const es_hash *hash, const char *expected) {
  char hex[2 * ES_HASH_SIZE + 1];
  es__hex(hex, hash->bytes, ES_HASH_SIZE);
  assert_string_equal(hex, expected);
}

#endif
