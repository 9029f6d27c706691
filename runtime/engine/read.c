/* read: events and states for whoever may see them: tenants fail closed, `view` rules are asked. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/execution.h"
#include "engine/fold.h"
#include "json/writer.h"

struct es_cursor {
  es_runtime *rt;
  es_store_cursor *cursor;
};

static es_status check_id(const char *what, const char *id, es_error *err) {
  uint8_t parsed[ES_ID_SIZE];

  if (id == NULL || id == ES_NONE || es_id_parse(parsed, id)) return ES_OK;
  es__fail(err, ES_ERR_USAGE, "bad_id", "%s: not a UUID", what);
  es__hint(err, "a UUID reads 0190a3c4-7f2e-7c11-8a53-0123456789ab");
  return ES_ERR_USAGE;
}

es_status es_read(es_cursor **out, es_runtime *rt, const es_filter *filter, es_error *err) {
  es_filter scoped = ES_FILTER_INIT;
  es_cursor *cursor;
  es_status status;

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = NULL;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  if (filter != NULL) {
    status = es__take_options(&scoped, filter, sizeof scoped, "ES_FILTER_INIT", err);
    if (status != ES_OK) return status;
  }
  if (!es__is_operator(rt)) {
    scoped.tenant_id =
        rt->context != NULL && rt->context->tenant_id != NULL ? rt->context->tenant_id : ES_NONE;
  }
  status = check_id("event id", scoped.event_id, err);
  if (status == ES_OK) status = check_id("correlation id", scoped.correlation_id, err);
  if (status == ES_OK) status = check_id("causation id", scoped.causation_id, err);
  if (status != ES_OK) return status;
  cursor = calloc(1, sizeof *cursor);
  if (cursor == NULL) return es__no_memory(err);
  cursor->rt = rt;
  status = es__store_read(&cursor->cursor, rt->store, &scoped, err);
  if (status != ES_OK) {
    free(cursor);
    return status;
  }
  *out = cursor;
  return ES_OK;
}

void es__cursor_as_stored(es_cursor *cursor) { cursor->cursor->as_stored = true; }

es_status es_cursor_next(const es_event **event, es_cursor *cursor, es_error *err) {
  if (es__is_missing(event, "event", err)) return ES_ERR_USAGE;
  *event = NULL;
  if (es__wrong_thread(cursor->rt, err)) return ES_ERR_USAGE;
  return es__store_next(event, cursor->cursor, err);
}

void es_cursor_close(es_cursor *cursor) {
  if (cursor == NULL || es__refuse_thread(cursor->rt, "es_cursor_close")) return;
  es__store_cursor_close(cursor->cursor);
  free(cursor);
}

static es_status write_load(char **out, es_runtime *rt, const es_fold *fold, es_error *err) {
  es_buf state = {0}, buf = {0};
  uint8_t hash[ES_HASH_SIZE];
  char hex[2 * ES_HASH_SIZE + 1], time[ES_TIME_TEXT_SIZE];
  es_status status = es__fold_write_state(&state, rt->domain, err);

  if (status != ES_OK) {
    es__wrap(err, "%s/%.*s", fold->stream.aggregate_type.data,
             (int)fold->stream.aggregate_id.length, fold->stream.aggregate_id.data);
    goto done;
  }
  status = es__sha256(rt->chain, hash, state.data, state.length, NULL, 0, err);
  if (status != ES_OK) goto done;
  es__hex(hex, hash, sizeof hash);
  es_time_text(time, fold->last_recorded_at);
  es__buf_byte(&buf, '{');
  es__json_write_key(&buf, "aggregate_type");
  es__json_write_text(&buf, fold->stream.aggregate_type);
  es__json_write_key(&buf, "aggregate_id");
  es__json_write_text(&buf, fold->stream.aggregate_id);
  es__json_write_key(&buf, "tenant_id");
  es__json_write_text(&buf, fold->stream.tenant_id);
  es__json_write_key(&buf, "version");
  es__json_write_integer(&buf, fold->version);
  es__json_write_key(&buf, "exists");
  es__buf_text(&buf, "true");
  es__json_write_key(&buf, "state");
  es__buf_add(&buf, state.data, state.length);
  es__json_write_key(&buf, "state_hash");
  es__json_write_text(&buf, es__text(hex));
  es__json_write_key(&buf, "last_event_at");
  es__json_write_text(&buf, es__text(time));
  es__buf_byte(&buf, '}');
  *out = es__buf_take(&buf, NULL);
  if (*out == NULL) status = es__no_memory(err);
done:
  es__buf_free(&state);
  es__buf_free(&buf);
  return status;
}

static int not_found(lua_State *L) {
  const es_stream_name *stream = lua_touserdata(L, 1);
  es_error err = ES_ERROR_INIT;

  es__kernel_push_function(L, "aggregate");
  lua_pushstring(L, stream->aggregate_type.data);
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "not_found");
  es__fail(&err, ES_ERR_NOT_FOUND, "not_found", "%s", lua_tostring(L, -1));
  es__domain_raise(L, &err);
}

es_status es__missing(es_runtime *rt, const es_stream_name *stream, es_error *err) {
  return es__domain_run(rt->domain, not_found, (void *)stream, err);
}

static es_status load(char **out, es_runtime *rt, const char *aggregate_type,
                      const char *aggregate_id, const es_load_options *given, es_error *err) {
  es_load_options options = ES_LOAD_INIT;
  es_fold fold = {.stream = {es__tenant(rt), es__text(aggregate_type), es__text(aggregate_id)}};
  es_status status;

  if (aggregate_type == NULL || aggregate_id == NULL) {
    return es__fail(err, ES_ERR_USAGE, "bad_target",
                    "an aggregate is named by its type and id: TYPE/ID");
  }
  if (given != NULL) {
    status = es__take_options(&options, given, sizeof options, "ES_LOAD_INIT", err);
    if (status != ES_OK) return status;
  }
  if (options.at_version < 0) {
    return es__fail(err, ES_ERR_USAGE, "bad_version", "version %lld: versions start at 1",
                    (long long)options.at_version);
  }
  fold.to_version = options.at_version;
  fold.to_time = options.at_time;
  fold.module_hash = es__module_hash(rt, fold.stream.aggregate_type);
  status = es__fold(&fold, rt->domain, rt->store, err);
  if (status != ES_OK) return status;
  if (fold.version == 0) return es__missing(rt, &fold.stream, err);
  if (fold.to_version > fold.version && fold.to_time == 0) {
    return es__fail(err, ES_ERR_NOT_FOUND, "no_such_version",
                    "%s/%s is at version %lld and has no version %lld", aggregate_type,
                    aggregate_id, (long long)fold.version, (long long)fold.to_version);
  }
  if (!es__is_operator(rt)) {
    status = es__view_authorize(rt, &fold.stream, fold.version, err);
    if (status != ES_OK) return status;
  }
  return write_load(out, rt, &fold, err);
}

es_status es_load(char **out, es_runtime *rt, const char *aggregate_type, const char *aggregate_id,
                  const es_load_options *options, es_error *err) {
  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = NULL;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  es_context *context = es__context_retain(rt->context); /* the clock may leave the frame */
  es_status status = load(out, rt, aggregate_type, aggregate_id, options, err);

  es__context_release(context);
  return status;
}
