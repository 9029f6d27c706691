/* writers_queue: who may write next, among all processes that hold one store file open. Knows no SQL.
 * docs/adr/0005-writers-queue.md says why SQLite's own busy handler is not enough. */
#ifndef ES_STORE_WRITERS_QUEUE_H
#define ES_STORE_WRITERS_QUEUE_H

#include "esrun.h"

typedef struct es_queue es_queue;

/* Opens the queue of the store at `store_path` (its file is the store's with "-queue" added), making it if need be with
 * the store's owner and mode. The store file must exist; it is never opened here. */
es_status es__queue_open(es_queue **out, const char *store_path, es_error *err);

/* Waits for this process's turn; ES_ERR_STORE "busy" after timeout_ms. A turn whose owner died is taken over. */
es_status es__queue_take(es_queue *queue, int64_t timeout_ms, es_error *err);
void es__queue_release(es_queue *queue);

void es__queue_close(es_queue *queue); /* NULL is fine; the file stays */

#endif
