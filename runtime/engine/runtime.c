/* runtime: opening, closing and describing an es_runtime; joins settings, modules, store and projections. */
#include "engine/runtime.h"

#include <lauxlib.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/execution.h"
#include "engine/fold.h"
#include "ledger/libcrypto.h"
#include "json/writer.h"

enum { TIME_LIMIT_MS = 1000, MEMORY_LIMIT_MB = 256, CONFLICT_RETRIES = 10 };

/* ---- opening ---- */

static void take_options(es_runtime *rt, const es_options *options) {
  const es_settings *settings = &rt->settings;
  int64_t time_ms = settings->time_ms > 0 ? settings->time_ms : TIME_LIMIT_MS;
  int64_t memory_mb = settings->memory_mb > 0 ? settings->memory_mb : MEMORY_LIMIT_MB;

  rt->ids.clock = options->clock != NULL ? options->clock : es__clock_system;
  rt->ids.clock_data = options->clock_data;
  rt->ids.random = options->random;
  rt->ids.random_data = options->random_data;
  rt->log = options->log;
  rt->log_data = options->log_data;
  rt->read_only = options->read_only;
  rt->store_given = options->store_path != NULL;
  rt->conflict_retries = options->conflict_retries == 0  ? CONFLICT_RETRIES
                         : options->conflict_retries < 0 ? 0
                                                         : options->conflict_retries;
  rt->limits.time_limit_us = (options->time_limit_ms > 0 ? options->time_limit_ms : time_ms) * 1000;
  rt->limits.memory_limit_bytes =
      options->memory_limit_bytes > 0 ? options->memory_limit_bytes : memory_mb * 1024 * 1024;
  rt->limits.limit_signal = options->limit_signal;
  rt->limits.allocate = options->allocate;
  rt->limits.allocate_data = options->allocate_data;
  rt->limits.allow_nondeterminism = options->allow_nondeterminism;
  rt->actor_policy.prefixes = (const char *const *)settings->actor_prefixes;
  rt->actor_policy.allow_at_sign = settings->allow_at_sign;
}

static es_status open_store(es_runtime *rt, const es_options *options, es_error *err) {
  const char *path = options->store_path != NULL ? options->store_path : rt->settings.store;
  es_sqlite_options sqlite = {.read_only = options->read_only, .must_exist = options->must_exist};

  if (path == NULL) {
    es__fail(err, ES_ERR_USAGE, "no_store", "no store is named, and no project says which one");
    es__hint(err, "go to a project's folder, or name a file with --store FILE");
    return ES_ERR_USAGE;
  }
  if (strcmp(path, ":memory:") == 0) return es__store_open_memory(&rt->store, &rt->ids, err);
  rt->store_path = strdup(path);
  if (rt->store_path == NULL) return es__no_memory(err);
  return es__store_open_sqlite(&rt->store, path, &sqlite, &rt->ids, err);
}

typedef struct declaring {
  const es_module *module;
  int reference;
} declaring;

static int take_reference(lua_State *L) {
  declaring *job = lua_touserdata(L, 1);

  es__declaration_push(L, job->module);
  job->reference = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

/* On first use: a command or a read needs none of their SQL prepared. */
es_status es__projections_ready(es_runtime *rt, es_error *err) {
  es_projections_options options = {.store_path = rt->store_path,
                                    .read_only = rt->read_only,
                                    .push_event = es__fold_push_event,
                                    .modules = &rt->modules};
  es_projections *projections = NULL;
  es_status status;

  if (rt->projections != NULL) return ES_OK;
  status = es__modules_load_rest(rt->domain, &rt->modules, err);
  if (status == ES_OK)
    status = es__projections_open(&projections, rt->store, rt->domain, &options, err);
  for (size_t i = 0; i < rt->modules.count && status == ES_OK; i++) {
    declaring job = {&rt->modules.items[i], LUA_NOREF};
    if (job.module->name == NULL || !job.module->is_projection) continue;
    status = es__domain_run(rt->domain, take_reference, &job, err);
    if (status == ES_OK)
      status = es__projections_declare(projections, job.reference, job.module->hash, err);
  }
  if (status == ES_OK) {
    rt->projections = projections;
  } else {
    es__projections_close(projections);
  }
  return status;
}

static es_status check_limit(const char *name, int64_t value, int64_t most, es_error *err) {
  if (value >= 0 && value <= most) return ES_OK;
  es__fail(err, ES_ERR_USAGE, "bad_option", "%s: %lld is no limit", name, (long long)value);
  es__hint(err, "give a number above 0, or 0 for the default");
  return ES_ERR_USAGE;
}

static es_status check_options(const es_options *options, es_error *err) {
  es_status status = check_limit("time_limit_ms", options->time_limit_ms, INT64_MAX / 1000, err);

  if (status == ES_OK)
    status = check_limit("memory_limit_bytes", options->memory_limit_bytes, INT64_MAX, err);
  if (status == ES_OK && options->modules == NULL && options->module_count > 0)
    status = es__fail(err, ES_ERR_USAGE, "bad_module", "module_count is %zu, and modules is NULL",
                      options->module_count);
  return status;
}

es_status es__open_options(es_options *out, const es_options *given, es_error *err) {
  *out = (es_options)ES_OPTIONS_INIT;
  if (es__take_options(out, given, sizeof *out, "ES_OPTIONS_INIT", err) != ES_OK)
    return ES_ERR_USAGE;
  if (out->store_path == NULL || out->store_path[0] != '\0') return ES_OK;
  es__fail(err, ES_ERR_USAGE, "no_store", "the name of the store is empty");
  es__hint(err, "name a file, or leave it out: then the project says which one");
  return ES_ERR_USAGE;
}

/* Who watches modules hears of their SQL now. */
static es_status look_at_projections(es_runtime *rt, es_error *err) {
  es_status status = es__projections_ready(rt, err);

  return status == ES_OK ? es__projections_try(rt->projections, err) : status;
}

es_status es_open(es_runtime **out, const es_options *given, es_error *err) {
  es_options known, *options = &known;
  es_error own = ES_ERROR_INIT;
  es_runtime *rt;
  es_status status;

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = NULL;
  status = es__open_options(options, given, err);
  if (status == ES_OK) status = check_options(options, err);
  if (status != ES_OK) return status;
  rt = calloc(1, sizeof *rt);
  if (rt == NULL) return es__no_memory(err);
  es_adopt(rt);
  if (err == NULL) err = &own; /* who watches modules is told of errors in any case */
  rt->modules.watch = (es_module_watch){options->failed_module, options->failed_module_data};
  status = es__settings_read(&rt->settings, options->project_path, err);
  if (status != ES_OK) goto done;
  take_options(rt, options);
  status = es__chain_new(&rt->chain, err);
  if (status == ES_OK)
    status = es__modules_read(&rt->modules, &rt->settings, options->modules, options->module_count,
                              rt->chain, err);
  if (status == ES_OK) status = es__modules_load(&rt->domain, &rt->modules, &rt->limits, err);
  if (status == ES_OK) status = open_store(rt, options, err);
  if (status == ES_OK && options->failed_module != NULL) status = look_at_projections(rt, err);
  rt->modules.watch = (es_module_watch){0};
  if (status != ES_OK) goto done;
  *out = rt;
  rt = NULL;
done:
  es_close(rt);
  return status;
}

void es_close(es_runtime *rt) {
  if (rt == NULL || es__refuse_thread(rt, "es_close")) return;
  if (rt->in_transaction) es_transaction_rollback(rt);
  es__checkpoint_at_end(rt);
  es__signer_free(rt->signer);
  es__projections_close(rt->projections);
  es__store_close(rt->store);
  es__domain_free(rt->domain);
  es__modules_free(&rt->modules);
  es__chain_free(rt->chain);
  es__context_release(rt->context);
  es__settings_free(&rt->settings);
  es__buf_free(&rt->snapshots_due);
  es__buf_free(&rt->append_text);
  free(rt->store_path);
  free(rt);
}

/* ---- facts ---- */

typedef struct describing {
  es_runtime *rt;
  es_buf *out;
} describing;

static int describe(lua_State *L) {
  describing *job = lua_touserdata(L, 1);
  const es_modules *modules = &job->rt->modules;
  char hex[2 * ES_HASH_SIZE + 1];

  es__kernel_push_function(L, "describe");
  lua_newtable(L);
  for (size_t i = 0; i < modules->count; i++) {
    es__hex(hex, modules->items[i].hash, ES_HASH_SIZE);
    lua_pushstring(L, hex);
    lua_setfield(L, -2, modules->items[i].chunk_name);
  }
  lua_call(L, 1, 1);
  es__lua_write_json(L, -1, job->out, "description");
  return 0;
}

static es_status hand_out(char **out, es_buf *buf, es_status status, es_error *err) {
  *out = NULL;
  if (status == ES_OK) {
    *out = es__buf_take(buf, NULL);
    if (*out == NULL) status = es__no_memory(err);
  }
  es__buf_free(buf);
  return status;
}

es_status es_describe(char **out, es_runtime *rt, es_error *err) {
  es_buf buf = {0};
  describing job = {rt, &buf};
  es_status status;

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = NULL;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  status = es__modules_load_rest(rt->domain, &rt->modules, err);
  if (status == ES_OK) status = es__domain_run(rt->domain, describe, &job, err);
  return hand_out(out, &buf, status, err);
}

static void write_settings(es_buf *out, const es_runtime *rt, const char *store_path) {
  es__settings_write(out, &rt->settings, store_path, rt->store_given ? "option" : NULL,
                     rt->limits.time_limit_us / 1000,
                     rt->limits.memory_limit_bytes / (1024 * 1024));
}

es_status es_config(char **out, es_runtime *rt, es_error *err) {
  es_buf buf = {0};

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = NULL;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  write_settings(&buf, rt, rt->store_path == NULL ? ":memory:" : rt->store_path);
  return hand_out(out, &buf, ES_OK, err);
}

es_status es_project_settings(char **out, const es_options *given, es_error *err) {
  es_options options;
  es_runtime unopened = {0};
  es_buf buf = {0};

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = NULL;
  es_status status = es__open_options(&options, given, err);
  if (status == ES_OK) status = es__settings_read(&unopened.settings, options.project_path, err);
  if (status != ES_OK) return status;
  take_options(&unopened, &options);
  write_settings(&buf, &unopened,
                 unopened.store_given ? options.store_path : unopened.settings.store);
  es__settings_free(&unopened.settings);
  return hand_out(out, &buf, ES_OK, err);
}

es_status es_info(char **out, es_runtime *rt, es_error *err) {
  es_buf buf = {0};
  es_store_head head;
  es_store_checkpoint signed_head = {0};
  const struct es_libcrypto *crypto = es__libcrypto(NULL);
  char hex[2 * ES_HASH_SIZE + 1];
  es_status status;

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = NULL;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  status = es__store_head_of(&head, rt->store, err);
  if (status == ES_OK) status = es__store_checkpoint(&signed_head, rt->store, INT64_MAX, err);
  es__buf_free(&signed_head.note);
  es__buf_byte(&buf, '{');
  es__json_write_key(&buf, "esrun");
  es__json_write_text(&buf, es__text(ES_VERSION_STRING));
  es__json_write_key(&buf, "lua");
  es__json_write_text(&buf, es__text(LUA_RELEASE));
  es__json_write_key(&buf, "sqlite");
  es__json_write_text(&buf, es__text(sqlite3_libversion()));
  es__json_write_key(&buf, "openssl");
  es__json_write_text(
      &buf, es__text(crypto == NULL ? NULL : crypto->OpenSSL_version(OPENSSL_VERSION_STRING)));
  es__json_write_key(&buf, "head_position");
  es__json_write_integer(&buf, head.position);
  es__json_write_key(&buf, "head_hash");
  es__hex(hex, head.hash, ES_HASH_SIZE);
  es__json_write_text(&buf, es__text(head.position == 0 ? NULL : hex));
  es__json_write_key(&buf, "signed_position");
  es__json_write_integer(&buf, signed_head.size > 0 ? signed_head.size : 0);
  es__json_write_key(&buf, "store");
  if (status == ES_OK) status = es__store_info(&buf, rt->store, err);
  es__buf_byte(&buf, '}');
  return hand_out(out, &buf, status, err);
}

/* ---- log ---- */

static void add_member(es_buf *out, const char *key, const char *value) {
  if (value == NULL) return;
  es__json_write_key(out, key);
  es__json_write_text(out, es__text(value));
}

void es__log(es_runtime *rt, es_log_level level, const char *code, const char *format, ...) {
  static const char *const levels[] = {"debug", "info", "warning", "error"};
  char message[ES_ERROR_MESSAGE_MAX], time[ES_TIME_TEXT_SIZE], correlation[ES_ID_TEXT_SIZE];
  es_buf buf = {0};
  va_list args;

  if (rt->log == NULL) return;
  bool foreign = es__wrong_thread(rt, NULL); /* what the runtime holds is its own thread's */
  va_start(args, format);
  vsnprintf(message, sizeof message, format, args);
  va_end(args);
  es_time_text(time, foreign ? es__clock_system(NULL) : es__now(rt));
  const es_execution *execution = foreign ? NULL : rt->execution;
  const es_context *context = foreign ? NULL : execution != NULL ? execution->context : rt->context;
  es__buf_byte(&buf, '{');
  add_member(&buf, "time", time);
  add_member(&buf, "level", levels[level]);
  add_member(&buf, "code", code);
  add_member(&buf, "message", message);
  if (context != NULL) {
    add_member(&buf, "actor_id", context->actor_id);
    add_member(&buf, "tenant_id", context->tenant_id);
    add_member(&buf, "request_id", context->request_id);
  }
  if (execution != NULL) { /* one that no frame names may have begun with the command */
    es_id_text(correlation, execution->correlation_id);
    add_member(&buf, "correlation_id", correlation);
  } else if (context != NULL) {
    add_member(&buf, "correlation_id", context->correlation_id);
  }
  es__buf_byte(&buf, '}');
  if (!buf.failed) rt->log(rt->log_data, level, buf.data, buf.length);
  es__buf_free(&buf);
}

/* ---- context ---- */

/* A command keeps the context that it began with: a callback must not take it away, nor leave a frame of its own behind. */
static es_status refuse_in_command(const es_runtime *rt, es_error *err) {
  if (rt->execution == NULL) return ES_OK;
  return es__fail(err, ES_ERR_USAGE, "nested_command",
                  "a command is running: context frames are entered and left outside of it");
}

es_status es_context_enter(es_token *out, es_runtime *rt, const es_frame *given, es_error *err) {
  es_frame frame = ES_FRAME_INIT;
  es_status status;

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  out->serial = 0;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  status = refuse_in_command(rt, err);
  if (status == ES_OK) status = es__take_options(&frame, given, sizeof frame, "ES_FRAME_INIT", err);
  if (status != ES_OK) return status;
  status =
      es__context_push(&rt->context, rt->last_serial + 1, &frame, &rt->actor_policy, &rt->ids, err);
  if (status == ES_OK) out->serial = ++rt->last_serial;
  return status;
}

es_status es_context_leave(es_runtime *rt, es_token token, es_error *err) {
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  es_status status = refuse_in_command(rt, err);
  return status == ES_OK ? es__context_pop(&rt->context, token.serial, err) : status;
}

size_t es_context_depth(const es_runtime *rt) {
  if (es__refuse_thread(rt, "es_context_depth")) return 0;
  return rt->context == NULL ? 0 : rt->context->depth;
}

es_status es_context_json(char **out, const es_runtime *rt, es_error *err) {
  es_buf buf = {0};

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = NULL;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  es__context_write(&buf, rt->context);
  return hand_out(out, &buf, ES_OK, err);
}

es_context *es_context_capture(es_runtime *rt) {
  return es__refuse_thread(rt, "es_context_capture") ? NULL : es__context_capture(rt->context);
}

void es_context_swap(es_context **out, es_runtime *rt, const es_context *context) {
  if (out != NULL) *out = NULL;
  if (es__refuse_thread(rt, "es_context_swap")) return;
  es_context *was = rt->context;
  rt->context = es__context_retain((es_context *)context); /* counted, never changed */
  if (out == NULL) {
    es__context_release(was);
  } else {
    *out = was;
  }
}

void es_context_release(es_context *context) { es__context_release(context); }

/* ---- projections ---- */

/* Events of an open transaction may yet be rolled back: they must not be counted. */
static es_status ready_to_project(es_runtime *rt, es_error *err) {
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  if (!rt->in_transaction) return es__projections_ready(rt, err);
  return es__fail(err, ES_ERR_USAGE, "in_transaction",
                  "projections cannot run inside a transaction: commit it first");
}

es_status es_project(es_runtime *rt, const char *name, es_progress progress, void *progress_data,
                     es_error *err) {
  es_status status = ready_to_project(rt, err);

  if (status != ES_OK) return status;
  return es__projections_run(rt->projections, name, progress, progress_data, err);
}

es_status es_project_rebuild(es_runtime *rt, const char *name, es_progress progress,
                             void *progress_data, es_error *err) {
  if (es__is_missing(name, "the projection's name", err)) return ES_ERR_USAGE;
  es_status status = ready_to_project(rt, err);

  if (status != ES_OK) return status;
  return es__projections_rebuild(rt->projections, name, progress, progress_data, err);
}

es_status es_project_status(char **out, es_runtime *rt, es_error *err) {
  es_buf buf = {0};
  es_status status;

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = NULL;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  status = es__projections_ready(rt, err);
  if (status == ES_OK) status = es__projections_status(rt->projections, &buf, err);
  return hand_out(out, &buf, status, err);
}

es_status es_query(es_runtime *rt, const char *projection, const char *query,
                   const char *params_json, es_row row, void *row_data, es_error *err) {
  es_status status;

  if (es__is_missing(projection, "the projection's name", err) ||
      es__is_missing(query, "the query's name", err) ||
      es__is_missing((const void *)row, "row", err))
    return ES_ERR_USAGE;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  status = es__projections_ready(rt, err);
  if (status != ES_OK) return status;
  es_context *context = es__context_retain(rt->context); /* a row's callback may leave the frame */
  status = es__projections_query(rt->projections, projection, query, es__tenant(rt), params_json,
                                 row, row_data, err);
  es__context_release(context);
  return status;
}
