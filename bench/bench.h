/* bench: what the two sides of a comparison share: the events, the clock, the report. One process runs one case of one side,
 * so that its peak of memory is its own. Knows neither SQLite nor Lua. */
#ifndef ES_BENCH_BENCH_H
#define ES_BENCH_BENCH_H

#include "esrun.h"

/* ---- The events, the same on both sides ---- */

enum {
  ACTIVE_STREAMS = 100,       /* take turns; then the next hundred */
  EVENTS_PER_STREAM = 20,     /* the first one opens the account */
  ACTORS = 1000,              /* in random order */
  TENANTS = 10,               /* number 0 is none */
  EVENTS_PER_CORRELATION = 4, /* each but the first caused by the one before */
  EVENTS_PER_BLOCK = ACTIVE_STREAMS * EVENTS_PER_STREAM
};

/* An event as the runtime takes it, and the numbers that a store keeps instead of its names. */
typedef struct workload_row {
  es_event event; /* without position, previous_hash and hash; texts point into this struct */
  int64_t stream; /* from 1 */
  int64_t tenant; /* 0: none */
  int64_t aggregate_type;
  int64_t event_type;
  int64_t actor;
  int64_t amount;
  char tenant_id[32], aggregate_id[64], actor_id[32], data[512], metadata[512];
} workload_row;

/* The event of that number, from 0: 253 bytes of data, 68 of metadata. Always the same. */
void workload_row_make(workload_row *out, int64_t number);
/* The same as a command would store it: with the runtime's own metadata. */
void workload_row_decided(workload_row *out, int64_t number);
/* The same as a mapping makes it of a foreign row: random id, no tenant, no cause, a correlation of its own. */
void workload_row_imported(workload_row *out, int64_t number);
void workload_row_copy(workload_row *out, const workload_row *from); /* mends the pointers */

const char *workload_aggregate_type(int64_t number); /* 1, 2 */
const char *workload_event_type(int64_t number);     /* 1 to 6 */
void workload_stream_id(char out[64], int64_t stream);
void workload_tenant_id(char out[32], int64_t tenant);
void workload_actor_id(char out[32], int64_t actor);
void workload_event_id(uint8_t out[ES_ID_SIZE], int64_t number);
void workload_correlation_id(uint8_t out[ES_ID_SIZE], int64_t number);
int64_t workload_time(int64_t number);

/* The one stream of many events that `load` reads: its name, and an event of it. It comes after `before` other events. */
#define LONG_STREAM "the-long-one"
void workload_long_row(workload_row *out, int64_t before, int64_t number);

/* Which leaf, from 0, the i-th proof is of: all over the tree. */
enum { PROOFS = 1000 };
int64_t bench_proof(int64_t i, int64_t events);

/* ---- One case ---- */

typedef struct bench_case {
  const char *store;   /* the file */
  const char *project; /* the folder of the modules */
  int64_t events;      /* how many to write, or how many the store has besides the long stream */
  int64_t long_events; /* of the long stream */
  /* out */
  double seconds;   /* by the wall */
  double processor; /* seconds of it */
  int64_t operations;
  int64_t early_kib;          /* peak of memory after a tenth of the work; 0: not looked at */
  uint8_t head[ES_HASH_SIZE]; /* of the store that was written, for comparing both sides */
  bool has_head;
} bench_case;

typedef void (*bench_function)(bench_case *self);

/* Around what is measured; between them only the work itself. */
void bench_begin(bench_case *self);
void bench_end(bench_case *self);
/* Call while working: looks at the peak once a tenth is done. */
void bench_progress(bench_case *self, int64_t done, int64_t total);
int64_t bench_peak_kib(void);
_Noreturn void bench_die(const char *format, ...) ES_PRINTF(1, 2);

/* NULL for an unknown name. */
bench_function baseline_find(const char *name);
bench_function runtime_find(const char *name); /* asks the two below too */
bench_function moving_find(const char *name);
bench_function ledger_find(const char *name);

/* Whole programs of their own: `sync FILE` and `spawn COUNT PROGRAM …`. */
int bench_sync(const char *path);
int bench_spawn(int64_t count, char **arguments);

#endif
