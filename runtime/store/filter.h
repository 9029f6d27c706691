/* filter: es_filter in the form stores work with: owned copies, parsed ids, none apart from unset. Knows no SQL. */
#ifndef ES_STORE_FILTER_H
#define ES_STORE_FILTER_H

#include "store/store.h"

/* One text term: not set (any), set to none, or set to a text. */
typedef struct es_filter_text {
  bool set;
  es_text text; /* none when data == NULL; owned by the filter */
} es_filter_text;

typedef struct es_filter_id {
  bool set;
  bool none;
  uint8_t id[ES_ID_SIZE];
} es_filter_id;

typedef struct es_filter_terms {
  es_filter_text tenant_id;
  es_filter_text actor_id;
  es_filter_text event_type;
  es_filter_text aggregate_type;
  es_filter_text aggregate_id;
  es_filter_id event_id;
  es_filter_id correlation_id;
  es_filter_id causation_id;
  int64_t from_time;      /* INT64_MIN: no bound */
  int64_t to_time;        /* exclusive; INT64_MAX: no bound */
  int64_t after_position; /* exclusive; forward 0: from the start, reverse 0: from the end */
  int64_t from_version;   /* 0: no bound */
  int64_t to_version;     /* INT64_MAX: no bound */
  int64_t limit;          /* INT64_MAX: no limit */
  bool reverse;
} es_filter_terms;

/* Copies what `filter` (NULL: everything) says; ES_ERR_USAGE for a malformed UUID. es__filter_free() in any case. */
es_status es__filter_init(es_filter_terms *out, const es_filter *filter, es_error *err);
void es__filter_free(es_filter_terms *terms);

/* Does an event meet all terms but position bounds and limit? */
bool es__filter_matches(const es_filter_terms *terms, const es_event *event);

#endif
