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

/* Reads every event once. The first that cannot be read ends it and is a finding. */
static es_status read_events(es_store *store, es_sums *sums, es_tree_check *tree,
                             es_store_finding finding, void *data, es_error *err) {
  es_error problem = ES_ERROR_INIT;
  es_store_cursor *cursor = NULL;
  const es_event *event = NULL;
  es_status status = es__store_read_summed(&cursor, store, NULL, sums, &problem);

  while (status == ES_OK && (status = es__store_next(&event, cursor, &problem)) == ES_OK) {
    if (event == NULL) break;
    status = es__tree_check_leaf(tree, event->hash, &problem);
  }
  es__store_cursor_close(cursor);
  if (status == ES_ERR_INTEGRITY) {
    finding(data, problem.code, problem.position, problem.message);
    return ES_OK;
  }
  if (status != ES_OK && err != NULL) *err = problem;
  return status == ES_OK ? es__tree_check_finish(tree, err) : status;
}

es_status es__store_check(es_store *store, es_store_finding finding, void *data, es_error *err) {
  es_tree_check *tree = NULL;
  es_store_head head;
  es_sums sums;
  es_status status = es__store_head_of(&head, store, err);

  es__store_forget(store);
  if (status == ES_OK) status = es__tree_check_open(&tree, 0, store, finding, data, err);
  if (status == ES_OK) status = es__sums_init(&sums, head.position, err);
  if (status == ES_OK) status = read_events(store, &sums, tree, finding, data, err);
  es__tree_check_free(tree);
  for (int part = 0; status == ES_OK && part < store->kind->check_parts; part++)
    status = es__store_check_part(store, part, &sums, finding, data, err);
  return status == ES_OK ? es__store_compare_sums(store, &sums, finding, data, err) : status;
}
