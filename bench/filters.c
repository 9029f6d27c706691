/* filters: the values that the measured filters ask for, and the loop around them. Knows no store. */
#include "filters.h"

#include <stdio.h>
#include <string.h>

const filter_about filters[FILTER_COUNT] = {
#define FILTER_ROW(name, scan, scans, sql) {#name, scan, scans, sql},
    BENCH_FILTERS(FILTER_ROW)
#undef FILTER_ROW
};

/* Tenant 0 is none and aggregate type 2 has a quarter: filters by one value ask for these. */
enum { ASKED_TENANT = 7, ASKED_AGGREGATE_TYPE = 2, ASKED_EVENT_TYPE = 5, STREAMS_A_ROUND = 20 };

/* A stream of an Account without tenant: numbers that are multiples of 10 and not of 4. */
static int64_t stream_of(int64_t number) {
  int64_t block = number / EVENTS_PER_BLOCK;
  return block * ACTIVE_STREAMS + 10 +
         number % (ACTIVE_STREAMS / STREAMS_A_ROUND) * STREAMS_A_ROUND;
}

void filter_value_make(filter_value *out, filter_kind kind, int64_t repetition, int64_t events) {
  int64_t span = events / TIME_SPAN_PARTS;
  workload_row row;

  *out = (filter_value){.number = repetition * 104729 % (events - span)};
  workload_row_make(&row, out->number);
  switch (kind) {
  case FILTER_tenant:
    workload_tenant_id(out->text, ASKED_TENANT);
    break;
  case FILTER_aggregate_type:
    strcpy(out->text, workload_aggregate_type(ASKED_AGGREGATE_TYPE));
    break;
  case FILTER_event_type:
    strcpy(out->text, workload_event_type(ASKED_EVENT_TYPE));
    break;
  case FILTER_actor:
    strcpy(out->text, row.actor_id);
    break;
  case FILTER_stream:
    workload_stream_id(out->text, stream_of(out->number));
    break;
  case FILTER_aggregate_id:
    strcpy(out->text, row.aggregate_id);
    break;
  case FILTER_correlation:
    workload_correlation_id(out->id, out->number);
    out->is_id = true;
    break;
  case FILTER_causation: /* the first of four is the cause of the second */
    workload_event_id(out->id, out->number / EVENTS_PER_CORRELATION * EVENTS_PER_CORRELATION);
    out->is_id = true;
    break;
  case FILTER_event_id:
    workload_event_id(out->id, out->number);
    out->is_id = true;
    break;
  default:
    break;
  }
  out->from_position = out->number + 1;
  out->to_position = out->number + span;
  out->from_time = workload_time(out->number);
  out->to_time = workload_time(out->number + span);
}

bool filter_find(filter_kind *kind, bool *page, const char *case_name) {
  *page = strncmp(case_name, "page_", 5) == 0;
  if (!*page && strncmp(case_name, "scan_", 5) != 0) return false;
  for (int i = 0; i < FILTER_COUNT; i++) {
    *kind = (filter_kind)i;
    if (strcmp(filters[i].name, case_name + 5) == 0) return *page || filters[i].scan;
  }
  return false;
}

void filter_measure(bench_case *self, filter_kind kind, bool page, filter_ask ask, void *side) {
  int64_t repetitions = page ? PAGES : filters[kind].scans, events = 0;
  filter_value value;

  bench_begin(self);
  for (int64_t i = 0; i < repetitions; i++) {
    filter_value_make(&value, kind, i, self->events);
    int64_t count = ask(side, kind, &value, page ? PAGE_EVENTS : -1);
    if (count == 0) bench_die("%s: no events", filters[kind].name);
    events += count;
    bench_progress(self, i + 1, repetitions);
  }
  bench_end(self);
  self->operations = page ? repetitions : events;
}
