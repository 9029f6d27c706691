/* sums: the keyed hash of an entry, and its arithmetic. */
#include "store/sums.h"

#include <string.h>
#include <unistd.h>

#include "base/error.h"

es_status es__sums_init(es_sums *out, int64_t to, es_error *err) {
  memset(out, 0, sizeof *out);
  out->to = to;
  if (getentropy(out->keys, sizeof out->keys) == 0) return ES_OK;
  return es__fail(err, ES_ERR_OTHER, "no_random", "the system gives no random bytes");
}

void es__sums_part(es_sums *out, const es_sums *whole, int64_t after, int64_t to) {
  memset(out, 0, sizeof *out);
  memcpy(out->keys, whole->keys, sizeof out->keys);
  out->after = after;
  out->to = to;
}

void es__sums_join(es_sums *whole, const es_sums *part) {
  for (int i = 0; i < ES_SUMS_MAX; i++) {
    whole->left[i] += part->left[i];
    whole->entries[i] += part->entries[i];
  }
}

/* Both halves of the product, folded: each bit of the result hangs on every bit of both factors. */
static uint64_t mix(uint64_t a, uint64_t b) {
  __extension__ typedef unsigned __int128 wide;
  wide product = (wide)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash(const es_sums *sums, int index, const es_sums_entry *entry) {
  uint64_t place = (uint64_t)entry->position * ES_SUMS_MAX + (uint64_t)index;
  return mix(mix(entry->first ^ sums->keys[0], entry->second ^ sums->keys[1]) ^ sums->keys[2],
             place ^ sums->keys[3]);
}

static bool counts(const es_sums *sums, const es_sums_entry *entry) {
  return entry->position > sums->after && entry->position <= sums->to;
}

void es__sums_add(es_sums *sums, int index, es_sums_entry entry) {
  if (!counts(sums, &entry)) return;
  sums->left[index] += hash(sums, index, &entry);
  sums->entries[index]++;
}

void es__sums_take(es_sums *sums, int index, es_sums_entry entry) {
  if (!counts(sums, &entry)) return;
  sums->left[index] -= hash(sums, index, &entry);
  sums->entries[index]--;
}

bool es__sums_settled(const es_sums *sums, int index) {
  return sums->left[index] == 0 && sums->entries[index] == 0;
}
