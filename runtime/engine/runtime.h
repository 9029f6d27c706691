/* runtime: what an es_runtime is made of, shared by the files of the engine. */
#ifndef ES_ENGINE_RUNTIME_H
#define ES_ENGINE_RUNTIME_H

#include <pthread.h>

#include "base/given.h"
#include "base/id.h"
#include "context/context.h"
#include "engine/modules.h"
#include "engine/projection.h"
#include "engine/settings.h"
#include "store/store.h"

struct es_runtime {
  es_settings settings;
  es_modules modules;
  es_domain_options limits;
  es_domain *domain;
  es_chain *chain;
  es_store *store;
  es_projections *projections; /* NULL until first used */
  pthread_t owner;             /* thread.c */
  es_id_source ids;
  es_actor_policy actor_policy;
  es_context *context; /* the innermost frame, or NULL */
  uint64_t last_serial;
  int conflict_retries;
  bool read_only;
  bool in_transaction;
  int import_count;               /* imports under way: their mappings live in the domain state */
  struct es_execution *execution; /* the command at hand, or NULL */
  es_buf snapshots_due;           /* streams of the open transaction: snapshot.c */
  es_buf append_text; /* canonical texts of the events last appended without a command */
  char *store_path;   /* NULL: in memory */
  bool store_given;   /* named at opening, not by the settings */
  void (*log)(void *log_data, es_log_level level, const char *json, size_t length);
  void *log_data;
  struct es_signer *signer; /* ledger_auto.c: checkpoints that come by themselves, or NULL */
};

static inline int64_t es__now(es_runtime *rt) { return rt->ids.clock(rt->ids.clock_data); }

static inline bool es__is_operator(const es_runtime *rt) {
  return rt->context != NULL && rt->context->operator_scope;
}

/* What folds streams of the type, as snapshots and metadata name it; NULL: no module does. */
static inline const uint8_t *es__module_hash(const es_runtime *rt, es_text aggregate_type) {
  const es_module *module = es__modules_aggregate(&rt->modules, aggregate_type);
  return module == NULL ? NULL : module->hash;
}

/* A context's tenant as text (none without one), and that in force. */
static inline es_text es__context_tenant(const es_context *context) {
  return es__text(context == NULL ? NULL : context->tenant_id);
}

static inline es_text es__tenant(const es_runtime *rt) { return es__context_tenant(rt->context); }

/* In a debug build: whether the calling thread is not the one that the runtime belongs to; *err says so. */
bool es__wrong_thread(const es_runtime *rt, es_error *err);

/* The same for a call that can answer no status: the log says so. */
bool es__refuse_thread(const es_runtime *rt, const char *call);

/* Appends an event of the runtime's own to the day's $audit stream: what was done to the store, by the context's actor, else by
 * `actor`. */
es_status es__audit_append(es_runtime *rt, const char *type, const char *actor, const es_buf *data,
                           es_error *err);

/* read.c. Archived events come from this cursor as their rows are, for who needs no data and metadata. */
void es__cursor_as_stored(es_cursor *cursor);

/* ledger_auto.c. Looks, after a commit, whether a checkpoint is due, and signs it; at the end, whether anything is unsigned. What
 * fails is logged, never the caller's trouble. */
void es__checkpoint_if_due(es_runtime *rt);
void es__checkpoint_at_end(es_runtime *rt);
void es__signer_free(struct es_signer *signer);

/* snapshot.c. After a commit to a stream that made a snapshot of it due: takes it, or with the end of the transaction. What fails is
 * logged, never the caller's trouble. */
void es__snapshot_due(es_runtime *rt, const es_stream_name *stream);
void es__snapshots_after_transaction(es_runtime *rt, bool committed);

/* The options of whoever opens a runtime or looks at its files; ES_ERR_USAGE for NULL and for a store without a name. */
es_status es__open_options(es_options *out, const es_options *given, es_error *err);

/* Makes rt->projections, unless it is there: opens and declares the modules' projections. */
es_status es__projections_ready(es_runtime *rt, es_error *err);

/* One structured record with the context's who and what (E62), unless it is another thread that speaks; `code` may be NULL. */
void es__log(es_runtime *rt, es_log_level level, const char *code, const char *format, ...)
    ES_PRINTF(4, 5);

#endif
