/* filters: the filters that are measured, named once for both sides. A page is the first hundred events, asked for many times
 * with other values; a scan takes all that a filter leaves. */
#ifndef ES_BENCH_FILTERS_H
#define ES_BENCH_FILTERS_H

#include "bench.h"

enum { PAGE_EVENTS = 100, PAGES = 200, SCANS_OF_FEW = 50, TIME_SPAN_PARTS = 100 };

/* X(name, scan, scans, the baseline's SQL behind "FROM events"): `scan` is false for filters that leave a handful of events. In
 * the SQL ?1 is the value (for time the first position, ?3 the last), ?2 the limit. */
#define BENCH_FILTERS(X)                                                                           \
  X(all, true, 1, "ORDER BY position LIMIT ?2")                                                    \
  X(reverse, true, 1, "ORDER BY position DESC LIMIT ?2")                                           \
  X(tenant, true, 1,                                                                               \
    "INDEXED BY events_by_tenant WHERE tenant = (SELECT name_id FROM names WHERE kind = 1 AND"     \
    " name = ?1) AND tenant <> 0 ORDER BY position LIMIT ?2")                                      \
  X(no_tenant, true, 1, "WHERE tenant = 0 ORDER BY position LIMIT ?2")                             \
  X(aggregate_type, true, 1,                                                                       \
    "INDEXED BY events_by_aggregate_type WHERE aggregate_type = (SELECT name_id FROM names WHERE"  \
    " kind = 2 AND name = ?1) ORDER BY position LIMIT ?2")                                         \
  X(event_type, true, 1,                                                                           \
    "INDEXED BY events_by_event_type WHERE event_type = (SELECT name_id FROM names WHERE"          \
    " kind = 3 AND name = ?1) ORDER BY position LIMIT ?2")                                         \
  X(actor, true, SCANS_OF_FEW,                                                                     \
    "INDEXED BY events_by_actor WHERE actor = (SELECT name_id FROM names WHERE kind = 4 AND"       \
    " name = ?1) ORDER BY position LIMIT ?2")                                                      \
  X(time, true, SCANS_OF_FEW, "WHERE position BETWEEN ?1 AND ?3 ORDER BY position LIMIT ?2")       \
  X(stream, false, 0,                                                                              \
    "INDEXED BY events_by_stream WHERE stream_id = (SELECT stream_id FROM streams WHERE"           \
    " tenant = 0 AND type = (SELECT name_id FROM names WHERE kind = 2 AND name = 'Account') AND"   \
    " aggregate_id = ?1) ORDER BY version LIMIT ?2")                                               \
  X(aggregate_id, false, 0,                                                                        \
    "INDEXED BY events_by_stream WHERE stream_id IN (SELECT stream_id FROM streams WHERE"          \
    " aggregate_id = ?1) ORDER BY position LIMIT ?2")                                              \
  X(correlation, false, 0,                                                                         \
    "INDEXED BY events_by_correlation WHERE correlation_id = ?1 ORDER BY position LIMIT ?2")       \
  X(causation, false, 0,                                                                           \
    "INDEXED BY events_by_causation WHERE causation_id = ?1 ORDER BY position LIMIT ?2")           \
  X(event_id, false, 0, "INDEXED BY events_by_id WHERE event_id = ?1 ORDER BY position LIMIT ?2")

typedef enum filter_kind {
#define FILTER_ENUM(name, scan, scans, sql) FILTER_##name,
  BENCH_FILTERS(FILTER_ENUM)
#undef FILTER_ENUM
      FILTER_COUNT
} filter_kind;

typedef struct filter_about {
  const char *name;
  bool scan;
  int scans;
  const char *sql;
} filter_about;
extern const filter_about filters[FILTER_COUNT];

/* What is asked for the k-th time. */
typedef struct filter_value {
  int64_t number; /* of the event from which the value is taken */
  char text[64];  /* a name */
  uint8_t id[ES_ID_SIZE];
  bool is_id;
  int64_t from_position, to_position, from_time, to_time; /* of FILTER_time */
} filter_value;
void filter_value_make(filter_value *out, filter_kind kind, int64_t repetition, int64_t events);

/* "page_actor" -> FILTER_actor, page. */
bool filter_find(filter_kind *kind, bool *page, const char *case_name);

/* Asks for one page or scan and returns how many events came. */
typedef int64_t (*filter_ask)(void *side, filter_kind kind, const filter_value *value,
                              int64_t limit);
void filter_measure(bench_case *self, filter_kind kind, bool page, filter_ask ask, void *side);

#endif
