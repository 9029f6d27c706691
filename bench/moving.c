/* moving: the runtime's side of exports and imports, on esrun.h. What is read and written lies in files beside the store. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime.h"

static FILE *open_file(const char *folder, size_t length, const char *name, const char *mode) {
  char path[1024];

  snprintf(path, sizeof path, "%.*s%s", (int)length, folder, name);
  FILE *file = fopen(path, mode);
  if (file == NULL) bench_die("%s cannot be opened", path);
  return file;
}

static FILE *open_beside(const bench_case *self, const char *name, const char *mode) {
  const char *slash = strrchr(self->store, '/');
  return open_file(self->store, slash == NULL ? 0 : (size_t)(slash - self->store + 1), name, mode);
}

static void close_written(FILE *file) {
  if (fclose(file) != 0) bench_die("the lines cannot be written");
}

/* ---- what is imported ---- */

static void export(bench_case *self) {
  es_filter filter = ES_FILTER_INIT;
  es_runtime *rt = open_runtime(self);
  FILE *file = open_beside(self, "events.jsonl", "w");
  const es_event *event = NULL;
  es_cursor *cursor = NULL;
  char *line = NULL;
  size_t length;

  filter.limit = self->events;
  bench_begin(self);
  check(es_read(&cursor, rt, &filter, &err), "es_read");
  for (;;) {
    check(es_cursor_next(&event, cursor, &err), "es_cursor_next");
    if (event == NULL) break;
    check(es_event_json(&line, &length, event, ES_FORM_EXPORT, &err), "es_event_json");
    if (fwrite(line, 1, length, file) != length || putc('\n', file) == EOF)
      bench_die("the lines cannot be written");
    es_free(line);
    bench_progress(self, ++self->operations, self->events);
  }
  bench_end(self);
  es_cursor_close(cursor);
  close_written(file);
  es_close(rt);
}

/* A member of the event's data, a text that `before` leads to. */
static es_text member(const workload_row *row, const char *before) {
  const char *start = strstr(row->data, before) + strlen(before);
  return (es_text){start, strcspn(start, "\"")};
}

/* The rows of another system, as JSON lines and as CSV, for project/mapping.lua. */
static void write_rows(bench_case *self) {
  FILE *lines = open_beside(self, "rows.jsonl", "w"), *csv = open_beside(self, "rows.csv", "w");
  workload_row row;

  bench_begin(self);
  fputs("id,kind,account,at,clerk,amount,currency,sender,receiver,text\n", csv);
  for (int64_t i = 0; i < self->events; i++) {
    char at[ES_TIME_TEXT_SIZE];
    workload_row_imported(&row, i);
    es_time_text(at, row.event.occurred_at);
    es_text from = member(&row, "\"from\":\""), to = member(&row, "\"to\":\"");
    es_text note = member(&row, "\"note\":\"");
    fprintf(lines,
            "{\"id\":\"%lld\",\"kind\":\"%s\",\"account\":\"%s\",\"at\":\"%s\",\"clerk\":\"%s\","
            "\"amount\":%lld,\"currency\":\"EUR\",\"sender\":\"%.*s\",\"receiver\":\"%.*s\","
            "\"text\":\"%.*s\"}\n",
            (long long)i, row.event.event_type.data, row.aggregate_id, at, row.actor_id + 5,
            (long long)row.amount, (int)from.length, from.data, (int)to.length, to.data,
            (int)note.length, note.data);
    fprintf(csv, "%lld,%s,%s,%s,%s,%lld,EUR,%.*s,%.*s,\"%.*s\"\n", (long long)i,
            row.event.event_type.data, row.aggregate_id, at, row.actor_id + 5,
            (long long)row.amount, (int)from.length, from.data, (int)to.length, to.data,
            (int)note.length, note.data);
  }
  bench_end(self);
  close_written(lines);
  close_written(csv);
}

/* ---- importing ---- */

static void import_file(bench_case *self, es_runtime *rt, const char *name,
                        const es_import_options *options) {
  static char bytes[16 * 1024 * 1024];
  es_import_report report = {0};
  FILE *file = open_beside(self, name, "r");
  es_import *import = NULL;
  size_t length;

  bench_begin(self);
  check(es_import_open(&import, rt, options, &err), "es_import_open");
  while ((length = fread(bytes, 1, sizeof bytes, file)) > 0) {
    check(es_import_feed(import, bytes, length, &err), "es_import_feed");
    es_import_report_get(&report, import);
    bench_progress(self, report.imported_count, self->events);
  }
  check(es_import_finish(import, &err), "es_import_finish");
  bench_end(self);
  es_import_report_get(&report, import);
  self->operations = report.imported_count;
  es_import_close(import);
  fclose(file);
}

static void import(bench_case *self) {
  es_import_options options = ES_IMPORT_INIT;
  es_runtime *rt = open_runtime(self);
  es_verify_report verified;

  import_file(self, rt, "events.jsonl", &options);
  check(es_verify(&verified, rt, NULL, &err), "es_verify");
  memcpy(self->head, verified.head_hash, ES_HASH_SIZE);
  self->has_head = true;
  es_close(rt);
}

static void import_mapped(bench_case *self, const char *name, es_import_form form) {
  static char mapping[8192];
  es_import_options options = ES_IMPORT_INIT;
  es_runtime *rt = open_runtime(self);
  FILE *file = open_file(self->project, strlen(self->project), "/mapping.lua", "r");

  mapping[fread(mapping, 1, sizeof mapping - 1, file)] = '\0';
  fclose(file);
  options.form = form;
  options.name = "bench";
  options.mapping = mapping;
  options.mapping_path = "mapping.lua";
  import_file(self, rt, name, &options);
  es_close(rt);
}

static void import_rows(bench_case *self) { import_mapped(self, "rows.jsonl", ES_IMPORT_JSONL); }
static void import_csv(bench_case *self) { import_mapped(self, "rows.csv", ES_IMPORT_CSV); }

bench_function moving_find(const char *name) {
  static const struct {
    const char *name;
    bench_function run;
  } cases[] = {{"export", export},
               {"write_rows", write_rows},
               {"import", import},
               {"import_rows", import_rows},
               {"import_csv", import_csv}};

  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    if (strcmp(cases[i].name, name) == 0) return cases[i].run;
  }
  return NULL;
}
