/* sums: keys of chance, and adding up what was gathered apart. */
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

bool es__sums_settled(const es_sums *sums, int index) {
  return sums->left[index] == 0 && sums->entries[index] == 0;
}
