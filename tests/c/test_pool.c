/* test_pool: the memory of Lua states keeps what is in its blocks, reuses them and gives all of it back. */
#include "base/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void fill(unsigned char *block, size_t size, unsigned seed) {
  for (size_t i = 0; i < size; i++)
    block[i] = (unsigned char)(seed + i);
}

static void assert_filled(const unsigned char *block, size_t size, unsigned seed) {
  for (size_t i = 0; i < size; i++)
    assert_int_equal(block[i], (unsigned char)(seed + i));
}

static void blocks_of_any_size_keep_their_bytes_while_others_come_and_go(void **state) {
  enum { BLOCKS = 200, ROUNDS = 50000 };
  unsigned char *blocks[BLOCKS] = {0};
  size_t sizes[BLOCKS] = {0};
  uint32_t random = 1;
  es_pool pool = {0};

  (void)state;
  for (unsigned round = 0; round < ROUNDS; round++) {
    random = random * 1664525 + 1013904223;
    unsigned i = (random >> 8) % BLOCKS;
    size_t size = (random >> 16) % 7 == 0 ? 0 : (random >> 10) % 1200; /* small, large and none */
    size_t kept = size < sizes[i] ? size : sizes[i];
    unsigned char *block = es__pool_resize(&pool, blocks[i], sizes[i], size);

    if (size == 0) {
      assert_null(block);
    } else {
      assert_non_null(block);
      assert_int_equal((uintptr_t)block % ES_POOL_STEP, 0);
      assert_filled(block, kept, i);
      fill(block, size, i);
    }
    blocks[i] = block;
    sizes[i] = size;
  }
  for (unsigned i = 0; i < BLOCKS; i++) {
    assert_filled(blocks[i], sizes[i], i);
    es__pool_resize(&pool, blocks[i], sizes[i], 0);
  }
  es__pool_free(&pool);
}

/* In KiB. */
static long resident(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");

  assert_non_null(file);
  assert_int_equal(fscanf(file, "%*s %ld", &pages), 1);
  fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* A state that has had many blocks of one size and then of another must not keep room for all of them. */
static void room_for_one_size_is_not_kept_beside_the_next(void **state) {
  enum { EACH = 8 * 1024 * 1024, SIZES = 24 };
  static void *blocks[EACH / 20];
  es_pool pool = {0};
  long before = 0;

  (void)state;
  for (size_t size = 20; size < 20 + 20 * SIZES; size += 20) {
    size_t count = EACH / size;
    for (size_t i = 0; i < count; i++) {
      blocks[i] = es__pool_resize(&pool, NULL, 0, size);
      assert_non_null(blocks[i]);
      memset(blocks[i], 1, size);
    }
    for (size_t i = 0; i < count; i++)
      es__pool_resize(&pool, blocks[i], size, 0);
    if (before == 0) before = resident();
  }
#ifndef ES__NO_POOL /* a sanitizer keeps what was freed, to see it used */
  assert_true(resident() - before < 4 * EACH / 1024);
#endif
  es__pool_free(&pool);
}

static void what_was_freed_is_used_again(void **state) {
  void *blocks[1000];
  es_pool pool = {0};
  size_t used = 0;

  (void)state;
  for (int round = 0; round < 10; round++) {
    for (size_t i = 0; i < 1000; i++)
      blocks[i] = es__pool_resize(&pool, NULL, 0, 1 + i % 512);
    if (round == 0) used = pool.used;
    assert_int_equal(pool.used, used);
    for (size_t i = 0; i < 1000; i++)
      es__pool_resize(&pool, blocks[i], 1 + i % 512, 0);
  }
  es__pool_free(&pool);
  assert_null(pool.memory);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blocks_of_any_size_keep_their_bytes_while_others_come_and_go),
      cmocka_unit_test(room_for_one_size_is_not_kept_beside_the_next),
      cmocka_unit_test(what_was_freed_is_used_again),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
