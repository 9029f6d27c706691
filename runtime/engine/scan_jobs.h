/* scan_jobs: scans a store's events in several threads, each on a connection of its own, while one of them lets the store
 * check what it derives. Findings are handed over in order of position, in the caller's thread. */
#ifndef ES_ENGINE_SCAN_JOBS_H
#define ES_ENGINE_SCAN_JOBS_H

#include "engine/scan.h"

/* The scan's keep_going is asked in the caller's thread. `path` is the store's file; store_finding takes what the store's own
 * check finds. */
es_status es__scan_in_jobs(es_scan *scan, int jobs, const char *path, es_id_source *ids,
                           es_store_finding store_finding, void *store_finding_data, es_error *err);

#endif
