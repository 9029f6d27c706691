/* fuzz_params: any bytes given as a command's parameters are decided upon, or refused with a reason that is not the module's
 * fault; the same bytes get the same answer again. */
#include "esrun.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);
const char *__asan_default_options(void);

/* A domain lives from one input to the next: looking for leaks after each input would take nearly all of the time. */
const char *__asan_default_options(void) { return "detect_leaks=0"; }

static const char module[] =
    "local es = require 'es'\n"
    "local T = es.aggregate 'Thing'\n"
    "local fields = { a = 'string?', b = 'integer?', c = 'number?', d = 'boolean?', e = 'uuid?', f "
    "= 'timestamp?',\n"
    "  g = 'list?', h = 'table?', i = 'any?' }\n"
    "T.events = { ThingChanged = fields }\n"
    "T.commands = { change = { params = fields, allow = function() return true end,\n"
    "  decide = function(_, cmd) return es.event('ThingChanged', cmd) end } }\n"
    "return T\n";

static void write_file(const char *folder, const char *name, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "w");
  if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) abort();
}

/* The files are read while opening; nothing of them is left. */
static es_runtime *open_runtime(void) {
  char folder[] = "/tmp/esrun-fuzz-XXXXXX", path[256], command[300];
  es_options options = ES_OPTIONS_INIT;
  es_error err = ES_ERROR_INIT;
  es_runtime *rt = NULL;

  if (mkdtemp(folder) == NULL) abort();
  snprintf(path, sizeof path, "%s/aggregates", folder);
  if (mkdir(path, 0700) != 0) abort();
  write_file(folder, "esrun.lua", "return {}\n");
  write_file(folder, "aggregates/thing.lua", module);
  options.project_path = folder;
  options.store_path = ":memory:";
  options.limit_signal = -1;
  if (es_open(&rt, &options, &err) != ES_OK) {
    fprintf(stderr, "%s\n", err.message);
    abort();
  }
  snprintf(command, sizeof command, "rm -rf %s", folder);
  if (system(command) != 0) abort();
  return rt;
}

static es_status execute(es_runtime *rt, const char *params, size_t length, es_error *err) {
  es_command command = ES_COMMAND_INIT;
  es_reply *reply = NULL;
  char *text = NULL;
  es_status status;

  command.aggregate_type = "Thing";
  command.aggregate_id = "1";
  command.command = "change";
  command.params_json = params;
  command.params_length = length;
  command.dry_run = true; /* nothing adds up */
  status = es_execute(&reply, rt, &command, err);
  if (status == ES_OK && (es_reply_count(reply) != 1 || es_reply_json(&text, reply, err) != ES_OK))
    abort();
  es_free(text);
  es_reply_free(reply);
  return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  static es_runtime *rt = NULL;
  es_error first = ES_ERROR_INIT, second = ES_ERROR_INIT;
  char *params;
  es_status status;

  if (length == 0) return 0; /* no length: up to the NUL */
  if (rt == NULL) rt = open_runtime();
  params = malloc(length); /* of exactly this size, so that reading behind it shows */
  if (params == NULL) abort();
  memcpy(params, bytes, length);
  status = execute(rt, params, length, &first);
  if (status != ES_OK && status != ES_ERR_USAGE) {
    fprintf(stderr, "%s: %s\n", first.code, first.message);
    abort();
  }
  if (status != ES_OK && (first.code[0] == '\0' || first.message[0] == '\0')) abort();
  if (execute(rt, params, length, &second) != status) abort();
  if (strcmp(first.message, second.message) != 0) abort();
  free(params);
  return 0;
}
