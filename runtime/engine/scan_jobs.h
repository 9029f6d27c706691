/* scan_jobs: scans a store's events and checks what it derives, in pieces: one after the other on the store at hand, or in
 * several threads, each on a connection of its own. Findings are handed over in the caller's thread, those of events in order of
 * position, then the store's own. */
#ifndef ES_ENGINE_SCAN_JOBS_H
#define ES_ENGINE_SCAN_JOBS_H

#include "engine/scan.h"

/* The scan goes from the first event to scan->to, whatever hash_after is; its keep_going is asked in the caller's thread. `path`
 * is the store's file, opened by each of `jobs` threads; NULL: none, work on scan->store. store_finding takes what the
 * store's own check finds. */
es_status es__scan_in_jobs(es_scan *scan, int jobs, const char *path, es_id_source *ids,
                           es_store_finding store_finding, void *store_finding_data, es_error *err);

#endif
