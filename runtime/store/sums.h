/* sums: whether an index holds exactly what its events say, without looking one up in the other. Each entry is hashed with keys
 * that nobody knows beforehand; reading events adds their entries, walking the index takes its entries away, and what is left is
 * nothing when both are the same set. A sum does not depend on the order, so both sides may be read in pieces, on several
 * connections, and added up. Sets that differ come out alike about once in 2^64 times. Knows no SQL and no events. */
#ifndef ES_STORE_SUMS_H
#define ES_STORE_SUMS_H

#include "esrun.h"

enum { ES_SUMS_MAX = 8 };

typedef struct es_sums {
  uint64_t keys[4];
  int64_t after, to; /* only entries of the positions after + 1 … to count */
  uint64_t left[ES_SUMS_MAX];
  int64_t entries[ES_SUMS_MAX];
} es_sums;

/* An entry: what an index is ordered by (a number, two numbers, or the halves of an id), and the event's position. */
typedef struct es_sums_entry {
  uint64_t first, second;
  int64_t position;
} es_sums_entry;

/* Nothing yet, under keys of chance. */
es_status es__sums_init(es_sums *out, int64_t to, es_error *err);
/* Nothing yet, under the same keys, to be joined later. */
void es__sums_part(es_sums *out, const es_sums *whole, int64_t after, int64_t to);
void es__sums_join(es_sums *whole, const es_sums *part);

/* Eight entries an event: hence all of it here. */

/* Both halves of the product, folded: each bit of the result hangs on every bit of both factors. */
static inline uint64_t es__sums_mix(uint64_t a, uint64_t b) {
  __extension__ typedef unsigned __int128 wide;
  wide product = (wide)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t es__sums_hash(const es_sums *sums, int index, es_sums_entry entry) {
  uint64_t place = (uint64_t)entry.position * ES_SUMS_MAX + (uint64_t)index;
  uint64_t key = es__sums_mix(entry.first ^ sums->keys[0], entry.second ^ sums->keys[1]);
  return es__sums_mix(key ^ sums->keys[2], place ^ sums->keys[3]);
}

static inline bool es__sums_counts(const es_sums *sums, es_sums_entry entry) {
  return entry.position > sums->after && entry.position <= sums->to;
}

static inline void es__sums_add(es_sums *sums, int index, es_sums_entry entry) {
  if (!es__sums_counts(sums, entry)) return;
  sums->left[index] += es__sums_hash(sums, index, entry);
  sums->entries[index]++;
}

static inline void es__sums_take(es_sums *sums, int index, es_sums_entry entry) {
  if (!es__sums_counts(sums, entry)) return;
  sums->left[index] -= es__sums_hash(sums, index, entry);
  sums->entries[index]--;
}

/* Whether what was added to this index was taken, and nothing else. */
bool es__sums_settled(const es_sums *sums, int index);

#endif
