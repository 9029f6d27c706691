/* baseline: the least that SQLite and SHA-256 need for the same work: prepared statements in a loop, no checks, no triggers,
 * no names looked up. What the runtime takes longer than this is what it costs. */
#ifndef ES_BENCH_BASELINE_H
#define ES_BENCH_BASELINE_H

#include <sqlite3.h>

#include "bench.h"

/* Opens with the runtime's pragmas. */
sqlite3 *baseline_open(const char *path);
void baseline_exec(sqlite3 *db, const char *sql);
sqlite3_stmt *baseline_prepare(sqlite3 *db, const char *sql);
/* Steps to the end of a statement that answers no rows, and resets it. */
void baseline_step(sqlite3_stmt *statement);
int64_t baseline_integer(sqlite3 *db, const char *sql);

void baseline_digest(uint8_t out[ES_HASH_SIZE], const void *bytes, size_t length);

/* The leaf hash of docs/reference/ledger-format.md, of an event whose previous_hash is set. */
void baseline_hash(uint8_t out[ES_HASH_SIZE], const es_event *event);

/* The columns of an event in the order of the runtime's reads. */
#define BASELINE_COLUMNS                                                                           \
  "position, event_id, stream_id, version, tenant, aggregate_type, event_type, schema_version,"    \
  " actor, correlation_id, causation_id, occurred_at, recorded_at, previous_hash, hash, data,"     \
  " metadata"

/* Takes every column of a row, as whoever reads an event has to; returns the amount in its data. */
int64_t baseline_take(sqlite3_stmt *row);

/* The cases of one file. */
typedef struct baseline_entry {
  const char *name;
  bench_function run;
} baseline_entry;
extern const baseline_entry baseline_writes[], baseline_reads[],
    baseline_pages[]; /* ended by nulls */

#endif
