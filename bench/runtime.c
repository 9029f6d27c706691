/* runtime: the runtime's side of every case, written on esrun.h as an embedder would. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters.h"
#include "runtime.h"

es_error err = ES_ERROR_INIT;

void check(es_status status, const char *doing) {
  if (status != ES_OK)
    bench_die("%s: %s: %s (%s)", doing, es_status_name(status), err.message, err.hint);
}

es_runtime *open_runtime(const bench_case *self) {
  es_options options = ES_OPTIONS_INIT;
  es_frame frame = ES_FRAME_INIT;
  es_runtime *rt = NULL;
  es_token token;

  options.project_path = self->project;
  options.store_path = self->store;
  check(es_open(&rt, &options, &err), "es_open");
  frame.operator_scope = true; /* the events belong to ten tenants */
  check(es_context_enter(&token, rt, &frame, &err), "es_context_enter");
  return rt;
}

/* ---- appending ---- */

static void take_head(bench_case *self, const es_event *event) {
  memcpy(self->head, event->hash, ES_HASH_SIZE);
  self->has_head = true;
}

void append_batches(bench_case *self, es_runtime *rt, int64_t batch, unsigned flags) {
  static workload_row rows[BATCH_MAX];
  static es_event events[BATCH_MAX];

  for (int64_t done = 0; done < self->events;) {
    int64_t count = self->events - done < batch ? self->events - done : batch;
    for (int64_t i = 0; i < count; i++) {
      workload_row_make(&rows[i], done + i);
      events[i] = rows[i].event;
    }
    check(es_append(rt, events, (size_t)count, flags, &err), "es_append");
    done += count;
    take_head(self, &events[count - 1]);
    bench_progress(self, done, self->events);
  }
  self->operations = self->events;
}

static void append(bench_case *self, int64_t batch, unsigned flags) {
  es_runtime *rt = open_runtime(self);

  bench_begin(self);
  append_batches(self, rt, batch, flags);
  bench_end(self);
  es_close(rt);
}

static void append_1(bench_case *self) { append(self, 1, ES_APPEND_KEEP | ES_APPEND_UNCHECKED); }
static void append_1000(bench_case *self) {
  append(self, BATCH_MAX, ES_APPEND_KEEP | ES_APPEND_UNCHECKED);
}
static void append_checked(bench_case *self) { append(self, BATCH_MAX, ES_APPEND_KEEP); }

/* Makes the store that the reading cases share: every event, then the long stream. Measured as append_1000 is. */
static void fill(bench_case *self) {
  workload_row row;
  es_event *events;
  int64_t events_before = self->events;

  append_1000(self);
  events = calloc((size_t)self->long_events, sizeof *events);
  workload_row *rows = calloc((size_t)self->long_events, sizeof *rows);
  if (events == NULL || rows == NULL) bench_die("out of memory");
  es_runtime *rt = open_runtime(self);
  for (int64_t i = 0; i < self->long_events; i++) {
    workload_long_row(&row, events_before, i);
    workload_row_copy(&rows[i], &row);
    events[i] = rows[i].event;
  }
  check(
      es_append(rt, events, (size_t)self->long_events, ES_APPEND_KEEP | ES_APPEND_UNCHECKED, &err),
      "es_append");
  es_close(rt);
  free(events);
  free(rows);
}

/* ---- commands ---- */

/* Each command in a frame of its own, as a server would run it. */
static void execute(es_runtime *rt, const workload_row *row, int64_t number, bool with_key) {
  static const char *const names[] = {"open", "debit", "credit"};
  es_command command = ES_COMMAND_INIT;
  es_frame frame = ES_FRAME_INIT;
  es_reply *reply = NULL;
  char correlation[ES_ID_TEXT_SIZE], key[32];
  es_token token;

  es_id_text(correlation, row->event.correlation_id);
  frame.actor_id = row->actor_id;
  frame.tenant_id = row->tenant == 0 ? ES_NONE : row->tenant_id;
  frame.correlation_id = correlation;
  frame.metadata_json = row->metadata;
  command.aggregate_type = workload_aggregate_type(row->aggregate_type);
  command.aggregate_id = row->aggregate_id;
  command.command = names[(row->event_type - 1) % 3];
  command.params_json = row->data;
  snprintf(key, sizeof key, "key-%lld", (long long)number);
  if (with_key) command.idempotency_key = key;
  check(es_context_enter(&token, rt, &frame, &err), "es_context_enter");
  check(es_execute(&reply, rt, &command, &err), "es_execute");
  if (es_reply_version(reply) != row->event.version) bench_die("a command met another version");
  es_reply_free(reply);
  check(es_context_leave(rt, token, &err), "es_context_leave");
}

static void decide(bench_case *self, int64_t batch, bool with_key) {
  es_runtime *rt = open_runtime(self);
  workload_row row;

  bench_begin(self);
  for (int64_t i = 0; i < self->events; i++) {
    workload_row_make(&row, i);
    if (batch > 1 && i % batch == 0) check(es_transaction_begin(rt, &err), "es_transaction_begin");
    execute(rt, &row, i, with_key);
    if (batch > 1 && (i % batch == batch - 1 || i == self->events - 1))
      check(es_transaction_commit(rt, &err), "es_transaction_commit");
    bench_progress(self, i + 1, self->events);
  }
  bench_end(self);
  self->operations = self->events;
  es_close(rt);
}

static void command_1(bench_case *self) { decide(self, 1, false); }
static void command_1_key(bench_case *self) { decide(self, 1, true); }
static void command_100(bench_case *self) { decide(self, 100, false); }

/* ---- folding ---- */

static void load(bench_case *self) {
  es_load_options options = ES_LOAD_INIT;
  es_runtime *rt = open_runtime(self);
  char *state = NULL;

  options.at_version =
      self->long_events; /* a state of the past is never kept: every event is folded */
  bench_begin(self);
  check(es_load(&state, rt, "Account", LONG_STREAM, &options, &err), "es_load");
  bench_end(self);
  self->operations = self->long_events;
  es_free(state);
  es_close(rt);
}

/* The same with a snapshot of the stream's end, which the other cases must not find. */
static void load_snapshot(bench_case *self) {
  es_snapshot_report report;
  es_runtime *rt = open_runtime(self);

  check(es_snapshot(&report, rt, "Account", LONG_STREAM, &err), "es_snapshot");
  es_close(rt);
  load(self);
  rt = open_runtime(self);
  check(es_snapshots_drop(NULL, rt, "Account", LONG_STREAM, &err), "es_snapshots_drop");
  es_close(rt);
}

static bool progress(void *data, int64_t done, int64_t total) {
  bench_progress(data, done, total);
  return true;
}

static void replay(bench_case *self) {
  es_replay_options options = ES_REPLAY_INIT;
  es_replay_report report;
  es_runtime *rt = open_runtime(self);

  options.progress = progress;
  options.progress_data = self;
  bench_begin(self);
  check(es_replay(&report, rt, &options, &err), "es_replay");
  bench_end(self);
  self->operations = report.event_count;
  if (report.event_count != self->events + self->long_events) bench_die("events are missing");
  es_close(rt);
}

static void project(bench_case *self) {
  es_runtime *rt = open_runtime(self);

  bench_begin(self);
  check(es_project_rebuild(rt, "turnover", progress, self, &err), "es_project_rebuild");
  bench_end(self);
  self->operations = self->events + self->long_events;
  es_close(rt);
}

/* ---- filters ---- */

static int64_t ask(void *side, filter_kind kind, const filter_value *value, int64_t limit) {
  es_filter filter = ES_FILTER_INIT;
  const es_event *event = NULL;
  es_cursor *cursor = NULL;
  char id[ES_ID_TEXT_SIZE];
  int64_t count = 0;

  es_id_text(id, value->id);
  filter.limit = limit < 0 ? 0 : limit;
  filter.reverse = kind == FILTER_reverse;
  if (kind == FILTER_tenant) filter.tenant_id = value->text;
  if (kind == FILTER_no_tenant || kind == FILTER_stream) filter.tenant_id = ES_NONE;
  if (kind == FILTER_aggregate_type) filter.aggregate_type = value->text;
  if (kind == FILTER_event_type) filter.event_type = value->text;
  if (kind == FILTER_actor) filter.actor_id = value->text;
  if (kind == FILTER_stream) filter.aggregate_type = "Account";
  if (kind == FILTER_stream || kind == FILTER_aggregate_id) filter.aggregate_id = value->text;
  if (kind == FILTER_correlation) filter.correlation_id = id;
  if (kind == FILTER_causation) filter.causation_id = id;
  if (kind == FILTER_event_id) filter.event_id = id;
  if (kind == FILTER_time) filter.from_time = value->from_time;
  if (kind == FILTER_time) filter.to_time = value->to_time;
  check(es_read(&cursor, side, &filter, &err), "es_read");
  for (;;) {
    check(es_cursor_next(&event, cursor, &err), "es_cursor_next");
    if (event == NULL) break;
    count++;
  }
  es_cursor_close(cursor);
  return count;
}

static void run_filter(bench_case *self, const char *name) {
  es_runtime *rt = open_runtime(self);
  filter_kind kind;
  bool page;

  filter_find(&kind, &page, name);
  filter_measure(self, kind, page, ask, rt);
  es_close(rt);
}

#define FILTER_CASES(name, scan, scans, sql)                                                       \
  static void page_##name(bench_case *self) { run_filter(self, "page_" #name); }                   \
  static void scan_##name(bench_case *self) { run_filter(self, "scan_" #name); }
BENCH_FILTERS(FILTER_CASES)

bench_function runtime_find(const char *name) {
  static const struct {
    const char *name;
    bench_function run;
  } cases[] = {{"append_1", append_1},
               {"append_1000", append_1000},
               {"append_checked", append_checked},
               {"fill", fill},
               {"command_1", command_1},
               {"command_1_key", command_1_key},
               {"command_100", command_100},
               {"load", load},
               {"load_snapshot", load_snapshot},
               {"replay", replay},
               {"project", project},
#define FILTER_ENTRIES(filter, scan, scans, sql)                                                   \
  {"page_" #filter, page_##filter}, {"scan_" #filter, scan_##filter},
               BENCH_FILTERS(FILTER_ENTRIES)
#undef FILTER_ENTRIES
  };

  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    if (strcmp(cases[i].name, name) == 0) return cases[i].run;
  }
  return moving_find(name) != NULL ? moving_find(name) : ledger_find(name);
}
