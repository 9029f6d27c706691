/* baseline_page: each filter as one SQL statement over the runtime's own file, names looked up in the same statement. */
#include <stdio.h>

#include "baseline.h"
#include "filters.h"

static int64_t ask(void *side, filter_kind kind, const filter_value *value, int64_t limit) {
  sqlite3_stmt *row = side;
  int64_t count = 0;

  if (kind == FILTER_time) {
    sqlite3_bind_int64(row, 1, value->from_position);
    sqlite3_bind_int64(row, 3, value->to_position);
  } else if (value->is_id) {
    sqlite3_bind_blob(row, 1, value->id, ES_ID_SIZE, SQLITE_STATIC);
  } else {
    sqlite3_bind_text(row, 1, value->text, -1, SQLITE_STATIC);
  }
  sqlite3_bind_int64(row, 2, limit);
  while (sqlite3_step(row) == SQLITE_ROW) {
    baseline_take(row);
    count++;
  }
  sqlite3_reset(row);
  return count;
}

static void run(bench_case *self, const char *name) {
  sqlite3 *db = baseline_open(self->store);
  filter_kind kind;
  char sql[1024];
  bool page;

  filter_find(&kind, &page, name);
  snprintf(sql, sizeof sql, "SELECT " BASELINE_COLUMNS " FROM events %s", filters[kind].sql);
  sqlite3_stmt *row = baseline_prepare(db, sql);
  filter_measure(self, kind, page, ask, row);
  sqlite3_finalize(row);
  sqlite3_close(db);
}

#define FILTER_CASES(name, scan, scans, sql)                                                       \
  static void page_##name(bench_case *self) { run(self, "page_" #name); }                          \
  static void scan_##name(bench_case *self) { run(self, "scan_" #name); }
BENCH_FILTERS(FILTER_CASES)

const baseline_entry baseline_pages[] = {
#define FILTER_ENTRIES(name, scan, scans, sql)                                                     \
  {"page_" #name, page_##name}, {"scan_" #name, scan_##name},
    BENCH_FILTERS(FILTER_ENTRIES)
#undef FILTER_ENTRIES
        {NULL, NULL},
};
