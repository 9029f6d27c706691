/* fold: an aggregate's state from its events, through the module's apply, in bounded batches. The states folded last are kept in
 * the domain, so that the next command folds only what came since; others begin with the store's newest snapshot that fits. What
 * the events say always decides. */
#ifndef ES_ENGINE_FOLD_H
#define ES_ENGINE_FOLD_H

#include "lua/domain.h"
#include "store/store.h"

typedef struct es_fold {
  /* in */
  es_stream_name stream;
  int64_t to_version; /* 0: all */
  int64_t to_time;    /* recorded_at up to and including; 0: all */
  int batch;          /* events a protected call; 0: 1,024 */
  bool fresh;         /* neither use nor keep a state: for checks and for the past */
  const uint8_t *
      module_hash; /* of what folds: a snapshot with it may be where folding begins; NULL: the first event is */
  bool restart_count; /* what is kept has no data_bytes: a snapshot is being taken */
  bool
      rebuild_between; /* round-trip the state through JSON between batches: another insertion history, same value */
  /* out */
  int64_t version;
  int64_t last_recorded_at; /* 0 without events */
  int64_t event_count;      /* folded in this call */
  int64_t data_bytes; /* of the events since the beginning, or the snapshot that was begun with */
} es_fold;

/* Folds the stream; the state is then es__fold_push_state(). Errors name stream, version and event. */
es_status es__fold(es_fold *fold, es_domain *domain, es_store *store, es_error *err);

/* Forgets every kept state: after a rollback, versions may come again with other events. */
void es__fold_forget(es_domain *domain);

/* Pushes the last folded state. Only inside es__domain_run(). */
void es__fold_push_state(lua_State *L);

/* Appends the last folded state as canonical JSON. ES_ERR_LUA when the module made a state that JSON cannot hold. */
es_status es__fold_write_state(es_buf *out, es_domain *domain, es_error *err);

/* The same exactly, as a snapshot has it: es__lua_write_exact_json(). */
es_status es__fold_write_exact(es_buf *out, es_buf *lists, es_domain *domain, es_error *err);

/* Pushes the event object of an event, its data brought to the declared version first. */
void es__fold_push_event(lua_State *L, const es_event *event, void *unused);

#endif
