/* engine_support: a project in a temporary folder and short calls, for the engine's tests. */
#ifndef ES_TESTS_ENGINE_SUPPORT_H
#define ES_TESTS_ENGINE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "esrun.h"

typedef struct engine {
  char folder[64];
  es_runtime *rt;
  es_error err;
  int64_t now;
} engine;

static inline int64_t test_clock(void *data) {
  int64_t *now = data;
  *now += 1000;
  return *now;
}

static inline void write_file(const engine *self, const char *name, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", self->folder, name);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
}

static inline void new_project(engine *self) {
  char path[128];
  *self =
      (engine){.err = ES_ERROR_INIT, .now = INT64_C(1705314600000000)}; /* 2024-01-15T10:30:00Z */
  strcpy(self->folder, "/tmp/esrun-test-XXXXXX");
  assert_non_null(mkdtemp(self->folder));
  snprintf(path, sizeof path, "%s/aggregates", self->folder);
  assert_int_equal(mkdir(path, 0700), 0);
  snprintf(path, sizeof path, "%s/projections", self->folder);
  assert_int_equal(mkdir(path, 0700), 0);
  snprintf(path, sizeof path, "%s/lib", self->folder);
  assert_int_equal(mkdir(path, 0700), 0);
  write_file(self, "esrun.lua", "return {}");
}

static inline es_status try_open(engine *self, const char *store) {
  es_options options = ES_OPTIONS_INIT;
  options.project_path = self->folder;
  options.store_path = store;
  options.clock = test_clock;
  options.clock_data = &self->now;
  return es_open(&self->rt, &options, &self->err);
}

static inline void open_engine(engine *self, const char *store) {
  if (try_open(self, store) != ES_OK)
    fail_msg("es_open: %s (%s)", self->err.message, self->err.hint);
}

static inline void remove_project(engine *self) {
  char command[128];
  es_close(self->rt);
  self->rt = NULL;
  snprintf(command, sizeof command, "rm -rf %s", self->folder);
  assert_int_equal(system(command), 0);
}

static inline es_token enter(engine *self, const char *actor, const char *role) {
  es_frame frame = ES_FRAME_INIT;
  es_token token;
  frame.actor_id = actor;
  frame.roles = &role;
  frame.role_count = role == NULL ? 0 : 1;
  assert_int_equal(es_context_enter(&token, self->rt, &frame, &self->err), ES_OK);
  return token;
}

static inline void leave(engine *self, es_token token) {
  assert_int_equal(es_context_leave(self->rt, token, &self->err), ES_OK);
}

/* Executes TYPE/ID COMMAND PARAMS; the version afterwards goes to *version. */
static inline es_status run_command(engine *self, es_command *command, int64_t *version) {
  es_reply *reply = NULL;
  es_status status = es_execute(&reply, self->rt, command, &self->err);
  if (version != NULL) *version = status == ES_OK ? es_reply_version(reply) : -1;
  es_reply_free(reply);
  return status;
}

static inline es_status execute(engine *self, const char *type, const char *id, const char *name,
                                const char *params) {
  es_command command = ES_COMMAND_INIT;
  command.aggregate_type = type;
  command.aggregate_id = id;
  command.command = name;
  command.params_json = params;
  return run_command(self, &command, NULL);
}

static inline void succeeds(engine *self, const char *type, const char *id, const char *name,
                            const char *params) {
  if (execute(self, type, id, name, params) != ES_OK)
    fail_msg("%s: %s (%s)", name, self->err.message, self->err.hint);
}

/* The number of events that an operator sees, of one type or all. */
static inline int count_events(engine *self, const char *event_type) {
  es_filter filter = ES_FILTER_INIT;
  es_frame frame = ES_FRAME_INIT;
  es_cursor *cursor = NULL;
  const es_event *event = NULL;
  es_token token;
  int count = 0;
  filter.event_type = event_type;
  frame.operator_scope = true;
  assert_int_equal(es_context_enter(&token, self->rt, &frame, &self->err), ES_OK);
  assert_int_equal(es_read(&cursor, self->rt, &filter, &self->err), ES_OK);
  while (es_cursor_next(&event, cursor, &self->err) == ES_OK && event != NULL)
    count++;
  es_cursor_close(cursor);
  leave(self, token);
  return count;
}

#endif
