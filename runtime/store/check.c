/* check: all of a store's check on one connection, from its parts. Whoever verifies takes the parts apart, to hash in the same
 * read and to have several threads at it (engine/scan_jobs.h). Knows no SQL. */
#include <stdlib.h>

#include "base/error.h"
#include "store/tree.h"

void es__store_forget(es_store *store) {
  if (store->kind->forget != NULL) store->kind->forget(store);
}

es_status es__store_check_part(es_store *store, int part, es_sums *sums, es_store_finding finding,
                               void *data, es_error *err) {
  return store->kind->check(store, part, sums, finding, data, err);
}

es_status es__store_compare_sums(es_store *store, const es_sums *sums, es_store_finding finding,
                                 void *data, es_error *err) {
  if (store->kind->compare_sums == NULL) return ES_OK;
  return store->kind->compare_sums(store, sums, finding, data, err);
}

es_status es__store_visit(es_store *store, int64_t after, int64_t to, es_sums *sums,
                          es_store_visitor visitor, void *data, es_error *err) {
  return store->kind->visit(store, after, to, sums, visitor, data, err);
}

es_status es__store_next_position(int64_t *out, es_store *store, int64_t after, es_error *err) {
  return store->kind->next_position(out, store, after, err);
}

typedef struct reading {
  es_tree_check *tree;
  es_store_finding finding;
  void *data;
  bool broken; /* the leaves behind a row that cannot be read are not where they belong */
} reading;

static es_status look_at(void *data, const es_event *event, const es_error *why, es_error *err) {
  reading *self = data;

  if (event == NULL) {
    self->finding(self->data, why->code, why->position, why->message);
    self->broken = true;
  }
  return self->broken ? ES_OK : es__tree_check_leaf(self->tree, event->hash, err);
}

es_status es__store_check(es_store *store, es_store_finding finding, void *data, es_error *err) {
  reading self = {.finding = finding, .data = data};
  es_store_head head;
  es_sums sums;
  es_status status = es__store_head_of(&head, store, err);

  es__store_forget(store);
  if (status == ES_OK) status = es__tree_check_open(&self.tree, 0, store, finding, data, err);
  if (status == ES_OK) status = es__sums_init(&sums, head.position, err);
  if (status == ES_OK)
    status = es__store_visit(store, 0, head.position, &sums, look_at, &self, err);
  if (status == ES_OK && !self.broken) status = es__tree_check_finish(self.tree, err);
  es__tree_check_free(self.tree);
  for (int part = 0; status == ES_OK && part < store->kind->check_parts; part++)
    status = es__store_check_part(store, part, &sums, finding, data, err);
  return status == ES_OK ? es__store_compare_sums(store, &sums, finding, data, err) : status;
}
