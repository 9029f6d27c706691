/* The RFC 6962 tree: reference vectors of Certificate Transparency, proofs of every leaf and pair of sizes, refusals, tiles. */
#include "ledger_support.h"

/* The eight leaves of the reference tests that all implementations of RFC 6962 share, with their roots and proofs. */
static const struct {
  const char *bytes;
  size_t length;
} reference_leaves[8] = {{"", 0},
                         {"\x00", 1},
                         {"\x10", 1},
                         {"\x20\x21", 2},
                         {"\x30\x31", 2},
                         {"\x40\x41\x42\x43", 4},
                         {"\x50\x51\x52\x53\x54\x55\x56\x57", 8},
                         {"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16}};

static const char *const reference_roots[9] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

typedef struct vector {
  int64_t from, size; /* leaf index or older size */
  size_t count;
  const char *hashes[3];
} vector;

static const vector inclusions[] = {
    {0, 1, 0, {NULL}},
    {0,
     8,
     3,
     {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
    {5,
     8,
     3,
     {"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
    {2, 3, 1, {"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"}},
    {1,
     5,
     3,
     {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}}};

static const vector consistencies[] = {
    {1, 1, 0, {NULL}},
    {1,
     8,
     3,
     {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
    {6,
     8,
     3,
     {"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
    {2,
     5,
     2,
     {"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}}};

static shelf *reference_tree(void) {
  shelf *s = shelf_new();
  for (size_t i = 0; i < 8; i++) {
    es_hash leaf = leaf_of(s, reference_leaves[i].bytes, reference_leaves[i].length);
    must(es__tile_append(&s->writer, &leaf, &s->err));
  }
  must(es__tile_flush(&s->writer, &s->err));
  return s;
}

static void has_the_roots_of_the_reference_tests(void **state) {
  shelf *s = reference_tree();
  (void)state;
  for (int64_t size = 0; size <= 8; size++) {
    es_hash root = root_at(s, size);
    assert_hash(&root, reference_roots[size]);
  }
  shelf_free(s);
}

static void assert_path(const es_path *path, const vector *expected) {
  assert_int_equal(path->count, expected->count);
  for (size_t i = 0; i < path->count; i++)
    assert_hash(&path->hashes[i], expected->hashes[i]);
}

static void makes_the_proofs_of_the_reference_tests(void **state) {
  shelf *s = reference_tree();
  es_path path;
  (void)state;
  for (size_t i = 0; i < sizeof inclusions / sizeof inclusions[0]; i++) {
    must(es__tile_inclusion(&path, inclusions[i].from, inclusions[i].size, &s->reader, &s->err));
    assert_path(&path, &inclusions[i]);
  }
  for (size_t i = 0; i < sizeof consistencies / sizeof consistencies[0]; i++) {
    must(es__tile_consistency(&path, consistencies[i].from, consistencies[i].size, &s->reader,
                              &s->err));
    assert_path(&path, &consistencies[i]);
  }
  shelf_free(s);
}

/* ---- Every leaf, every pair -------------------------------------------------------------------------------- */

enum { SMALL = 70 };

static void proves_every_leaf_of_every_small_tree(void **state) {
  shelf *s = shelf_new();
  es_path path;
  (void)state;
  grow(s, SMALL);
  for (int64_t size = 1; size <= SMALL; size++) {
    es_hash root = root_at(s, size);
    for (int64_t index = 0; index < size; index++) {
      es_hash leaf = leaf_number(s, index);
      must(es__tile_inclusion(&path, index, size, &s->reader, &s->err));
      must(es__inclusion_check(&path, size, &root, index, &leaf, s->chain, &s->err));
    }
  }
  shelf_free(s);
}

static void proves_every_pair_of_small_trees(void **state) {
  shelf *s = shelf_new();
  es_path path;
  (void)state;
  grow(s, SMALL);
  for (int64_t size = 0; size <= SMALL; size++) {
    es_hash root = root_at(s, size);
    for (int64_t old_size = 0; old_size <= size; old_size++) {
      es_hash old_root = root_at(s, old_size);
      must(es__tile_consistency(&path, old_size, size, &s->reader, &s->err));
      must(es__consistency_check(&path, old_size, &old_root, size, &root, s->chain, &s->err));
    }
  }
  shelf_free(s);
}

/* ---- Refusals ---------------------------------------------------------------------------------------------- */

static void check_inclusion_variants(shelf *s, es_path *path, int64_t size, int64_t index) {
  es_hash root = root_at(s, size), leaf = leaf_number(s, index), other = leaf_number(s, -1);
  size_t count = path->count;

#define wrong(call) refuses(call, ES_ERR_INTEGRITY, "bad_proof")
  wrong(es__inclusion_check(path, size, &root, index, &other, s->chain, &s->err));
  wrong(es__inclusion_check(path, size, &other, index, &leaf, s->chain, &s->err));
  wrong(es__inclusion_check(path, size, &root, size, &leaf, s->chain, &s->err));
  wrong(es__inclusion_check(path, size, &root, -1, &leaf, s->chain, &s->err));
  for (int64_t i = 0; i < size; i++) {
    if (i != index) wrong(es__inclusion_check(path, size, &root, i, &leaf, s->chain, &s->err));
  }
  for (size_t i = 0; i < count; i++) {
    path->hashes[i].bytes[i % ES_HASH_SIZE] ^= 1;
    wrong(es__inclusion_check(path, size, &root, index, &leaf, s->chain, &s->err));
    path->hashes[i].bytes[i % ES_HASH_SIZE] ^= 1;
  }
  if (count > 0) {
    path->count = count - 1;
    wrong(es__inclusion_check(path, size, &root, index, &leaf, s->chain, &s->err));
  }
  path->count = count + 1;
  path->hashes[count] = other;
  wrong(es__inclusion_check(path, size, &root, index, &leaf, s->chain, &s->err));
  path->count = count;
}

static void refuses_altered_inclusion_proofs(void **state) {
  shelf *s = shelf_new();
  es_path path;
  (void)state;
  grow(s, SMALL);
  for (int64_t size = 1; size <= 20; size++) {
    for (int64_t index = 0; index < size; index++) {
      must(es__tile_inclusion(&path, index, size, &s->reader, &s->err));
      check_inclusion_variants(s, &path, size, index);
    }
  }
  shelf_free(s);
}

static void check_consistency_variants(shelf *s, es_path *path, int64_t old_size, int64_t size) {
  es_hash root = root_at(s, size), old_root = root_at(s, old_size), other = leaf_number(s, -1);
  size_t count = path->count;

  wrong(es__consistency_check(path, old_size, &other, size, &root, s->chain, &s->err));
  if (old_size > 0)
    wrong(es__consistency_check(path, old_size, &old_root, size, &other, s->chain, &s->err));
  wrong(es__consistency_check(path, size + 1, &old_root, size, &root, s->chain, &s->err));
  wrong(es__consistency_check(path, -1, &old_root, size, &root, s->chain, &s->err));
  for (size_t i = 0; i < count; i++) {
    path->hashes[i].bytes[i % ES_HASH_SIZE] ^= 1;
    wrong(es__consistency_check(path, old_size, &old_root, size, &root, s->chain, &s->err));
    path->hashes[i].bytes[i % ES_HASH_SIZE] ^= 1;
  }
  if (count > 0) {
    path->count = count - 1;
    wrong(es__consistency_check(path, old_size, &old_root, size, &root, s->chain, &s->err));
  }
  path->count = count + 1;
  path->hashes[count] = other;
  wrong(es__consistency_check(path, old_size, &old_root, size, &root, s->chain, &s->err));
  path->count = count;
}

static void refuses_altered_consistency_proofs(void **state) {
  shelf *s = shelf_new();
  es_path path;
  (void)state;
  grow(s, SMALL);
  for (int64_t size = 0; size <= 20; size++) {
    for (int64_t old_size = 0; old_size <= size; old_size++) {
      must(es__tile_consistency(&path, old_size, size, &s->reader, &s->err));
      check_consistency_variants(s, &path, old_size, size);
    }
  }
  shelf_free(s);
}

static void proves_nothing_about_empty_and_missing_leaves(void **state) {
  shelf *s = shelf_new();
  es_path path;
  (void)state;
  grow(s, 1);
  refuses(es__tile_inclusion(&path, 0, 0, &s->reader, &s->err), ES_ERR_USAGE, "outside_tree");
  refuses(es__tile_inclusion(&path, 1, 1, &s->reader, &s->err), ES_ERR_USAGE, "outside_tree");
  refuses(es__tile_inclusion(&path, -1, 1, &s->reader, &s->err), ES_ERR_USAGE, "outside_tree");
  refuses(es__tile_consistency(&path, 2, 1, &s->reader, &s->err), ES_ERR_USAGE, "outside_tree");
  must(es__tile_consistency(&path, 0, 0, &s->reader, &s->err));
  assert_int_equal(path.count, 0);
  refuses(es__tile_inclusion(&path, 0, 2, &s->reader, &s->err), ES_ERR_INTEGRITY, "tile");
  shelf_free(s);
}

/* ---- Tiles ------------------------------------------------------------------------------------------------- */

/* Sizes around the edges of tiles of the first and second level. */
static const int64_t edges[] = {255, 256, 257, 511, 513, 65535, 65536, 65537, 66000};

static void fills_tiles_across_their_edges(void **state) {
  shelf *s = shelf_new();
  es_hash root, expected;
  es_path path;
  (void)state;
  for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
    grow(s, edges[i]);
    root = root_at(s, edges[i]);
    must(es__tree_root(&expected, &s->writer.tree, s->chain, &s->err));
    assert_memory_equal(&root, &expected, sizeof root);
    for (size_t j = 0; j <= i; j++) {
      es_hash old_root = root_at(s, edges[j]), leaf = leaf_number(s, edges[j] - 1);
      must(es__tile_consistency(&path, edges[j], edges[i], &s->reader, &s->err));
      must(es__consistency_check(&path, edges[j], &old_root, edges[i], &root, s->chain, &s->err));
      must(es__tile_inclusion(&path, edges[j] - 1, edges[i], &s->reader, &s->err));
      must(es__inclusion_check(&path, edges[i], &root, edges[j] - 1, &leaf, s->chain, &s->err));
    }
  }
  assert_int_equal(s->widths[0][0], ES_TILE_WIDTH);
  assert_int_equal(s->widths[1][0], ES_TILE_WIDTH);
  assert_int_equal(s->widths[1][1], 66000 / 256 - 256);
  assert_int_equal(s->widths[2][0], 1);
  shelf_free(s);
}

static void continues_a_tree_from_its_tiles(void **state) {
  shelf *once = shelf_new(), *s = shelf_new();
  (void)state;
  grow(once, 66000);
  for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
    grow(s, edges[i]);
    must(es__tile_open(&s->writer, edges[i], &s->reader, shelf_write, s, &s->err));
  }
  assert_memory_equal(s->widths, once->widths, sizeof s->widths);
  assert_memory_equal(s->tiles, once->tiles, sizeof s->tiles);
  shelf_free(once);
  shelf_free(s);
}

static void refuses_to_continue_a_tree_whose_tiles_are_missing(void **state) {
  shelf *s = shelf_new();
  (void)state;
  grow(s, 300);
  refuses(es__tile_open(&s->writer, 301, &s->reader, shelf_write, s, &s->err), ES_ERR_INTEGRITY,
          "tile");
  shelf_free(s);
}

static void refuses_one_leaf_more_than_can_be_counted(void **state) {
  shelf *s = shelf_new();
  es_tree full = {.size = INT64_MAX};
  es_hash leaf = leaf_number(s, 0);
  (void)state;
  refuses(es__tree_append(&full, s->chain, &leaf, NULL, NULL, &s->err), ES_ERR_OTHER, "tree_full");
  shelf_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(has_the_roots_of_the_reference_tests),
      cmocka_unit_test(makes_the_proofs_of_the_reference_tests),
      cmocka_unit_test(proves_every_leaf_of_every_small_tree),
      cmocka_unit_test(proves_every_pair_of_small_trees),
      cmocka_unit_test(refuses_altered_inclusion_proofs),
      cmocka_unit_test(refuses_altered_consistency_proofs),
      cmocka_unit_test(proves_nothing_about_empty_and_missing_leaves),
      cmocka_unit_test(fills_tiles_across_their_edges),
      cmocka_unit_test(continues_a_tree_from_its_tiles),
      cmocka_unit_test(refuses_to_continue_a_tree_whose_tiles_are_missing),
      cmocka_unit_test(refuses_one_leaf_more_than_can_be_counted),
  };
  return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
