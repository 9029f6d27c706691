/* scan: hashes a run of events again, links them, and says of what does not fit what was done to it. Looks at one store
 * through one connection; several scans of one store may run in threads of their own. */
#ifndef ES_ENGINE_SCAN_H
#define ES_ENGINE_SCAN_H

#include "store/tree.h"

/* Told each problem. `fault` as in esrun.h's es_finding. */
typedef void (*es_scan_finding)(void *data, const char *kind, int64_t position, const char *fault,
                                const char *message);

typedef struct es_scan {
  es_store *store;
  int64_t after, to;   /* positions after + 1 … to; after is a multiple of ES_TILE_WIDTH */
  int64_t hash_after;  /* those up to here are believed to be what their hashes say */
  const es_sums *sums; /* whose keys are taken */
  es_scan_finding finding;
  void *finding_data;
  bool (*keep_going)(void *data, int64_t done); /* now and then; may be NULL */
  void *keep_going_data;
  /* Out */
  int64_t event_count;
  int64_t archived_count, unseen_count; /* whose texts are in segments; and of them, not at hand */
  int64_t unseen_from, unseen_to;       /* the first and last of the latter; 0: none */
  int64_t untold_count, untold_lowest;  /* findings beyond those that were told */
  uint8_t last_hash[ES_HASH_SIZE];      /* as stored */
  es_sums part;                         /* of the run */
  /* Own */
  int64_t last_position, last_recorded_at;
  bool
      knows_last; /* else the event before is not there or cannot be read: no link to it can be judged */
  int64_t shift; /* events from here on were hashed at this distance from where they stand */
  int64_t told_segment_at; /* where the damage of a segment begins that was told last */
  int searches;            /* costly looks around that are left */
  es_tree_check *tree;     /* NULL once positions have a gap */
} es_scan;

es_status es__scan(es_scan *scan, es_error *err);

#endif
