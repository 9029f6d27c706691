/* domain_help: what the domain tests share: running a piece of Lua text in a domain and looking at what came out. */
#ifndef ES_TESTS_DOMAIN_HELP_H
#define ES_TESTS_DOMAIN_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <lauxlib.h>

#include "lua/domain.h"

typedef struct script {
  const char *text;
  const char *chunk_name;
  char *result; /* malloc'd text of the value returned */
} script;

static int run_script_body(lua_State *L) {
  script *job = lua_touserdata(L, 1);
  es__domain_load(L, job->text, strlen(job->text), job->chunk_name);
  const char *text = luaL_tolstring(L, -1, NULL);
  job->result = strdup(text);
  return 0;
}

/* Runs the text as aggregates/x.lua; *result (may be NULL) is what it returned, as text, freed by the caller. */
static inline es_status run_text(es_domain *domain, const char *text, char **result,
                                 es_error *err) {
  script job = {text, "aggregates/x.lua", NULL};
  es_status status;

  *err = (es_error)ES_ERROR_INIT;
  status = es__domain_run(domain, run_script_body, &job, err);
  if (result != NULL)
    *result = job.result;
  else
    free(job.result);
  return status;
}

static inline es_domain *new_domain(int64_t time_limit_ms, int64_t memory_limit, int limit_signal) {
  es_domain_options options = {0};
  es_error err = ES_ERROR_INIT;
  es_domain *domain = NULL;

  options.time_limit_us = time_limit_ms * 1000;
  options.memory_limit_bytes = memory_limit;
  options.limit_signal = limit_signal;
  if (es__domain_new(&domain, &options, &err) != ES_OK) fail_msg("no domain: %s", err.message);
  return domain;
}

/* The text must return a value whose text is `expected`. */
static inline void expect(es_domain *domain, const char *text, const char *expected) {
  es_error err;
  char *result = NULL;

  if (run_text(domain, text, &result, &err) != ES_OK)
    fail_msg("%s\n  raised: %s", text, err.message);
  if (strcmp(result, expected) != 0) fail_msg("%s\n  gave: %s\n  not:  %s", text, result, expected);
  free(result);
}

/* The text must raise a message that contains `part`. */
static inline void expect_error(es_domain *domain, const char *text, const char *part) {
  es_error err;

  if (run_text(domain, text, NULL, &err) == ES_OK) fail_msg("%s\n  did not raise", text);
  if (strstr(err.message, part) == NULL)
    fail_msg("%s\n  raised: %s\n  not: %s", text, err.message, part);
}

static inline double processor_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

#endif
