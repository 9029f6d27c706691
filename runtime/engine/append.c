/* append: events that no command decided, for trusted code: checked against the modules, stamped, stored. Asks no rule. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/execution.h"

/* ---- checking against the modules ---- */

typedef struct checking {
  es_event *event;
  es_buf *text;       /* gets the canonical data, then the metadata */
  size_t data_length; /* out */
} checking;

static void push_object(lua_State *L, es_text text, const char *what) {
  es_error err = ES_ERROR_INIT;

  if (text.data == NULL) text = es__text("{}");
  es__lua_push_json(L, text.data, text.length);
  if (lua_istable(L, -1) && !lua_getmetatable(L, -1)) return; /* only arrays have a metatable */
  es__fail(&err, ES_ERR_USAGE, "bad_event", "%s: expected a JSON object", what);
  es__domain_raise(L, &err);
}

static int check_event(lua_State *L) {
  checking *job = lua_touserdata(L, 1);
  es_event *event = job->event;
  size_t start = job->text->length;

  push_object(L, event->data, "data"); /* at 2 */
  es__kernel_push_function(L, "given");
  lua_pushlstring(L, event->aggregate_type.data, event->aggregate_type.length);
  lua_pushlstring(L, event->event_type.data, event->event_type.length);
  lua_pushinteger(L, event->schema_version);
  lua_pushvalue(L, 2);
  lua_call(L, 4, 2);
  event->schema_version = lua_tointeger(L, -2);
  if (!lua_toboolean(L, -1)) { /* an upcaster may have changed its argument */
    push_object(L, event->data, "data");
    lua_replace(L, 2);
  }
  es__lua_write_json(L, 2, job->text,
                     "data"); /* with what the check put right in it: empty lists */
  job->data_length = job->text->length - start;
  push_object(L, event->metadata, "metadata");
  es__lua_write_json(L, -1, job->text, "metadata");
  return 0;
}

/* ---- filling in ---- */

typedef struct appending {
  es_runtime *rt;
  es_context *context; /* held: a callback may leave the frame */
  unsigned flags;
  int64_t now;
  bool has_correlation; /* one for all events of a call that name none */
  uint8_t correlation_id[ES_ID_SIZE];
} appending;

static bool is_zero(const uint8_t id[ES_ID_SIZE]) {
  static const uint8_t zero[ES_ID_SIZE];
  return memcmp(id, zero, ES_ID_SIZE) == 0;
}

static es_text tenant_of(const appending *self) { return es__context_tenant(self->context); }

static void fill_correlation(es_event *event, appending *self) {
  const es_context *context = self->context;

  if (!is_zero(event->correlation_id)) return;
  if (!self->has_correlation) {
    self->has_correlation = true;
    if (context == NULL || context->correlation_id == NULL ||
        !es_id_parse(self->correlation_id, context->correlation_id))
      es__id_new(&self->rt->ids, self->correlation_id);
  }
  memcpy(event->correlation_id, self->correlation_id, ES_ID_SIZE);
}

static es_status fill_actor(es_event *event, const appending *self, es_error *err) {
  const es_context *context = self->context;
  char actor_id[ES_ID_MAX + 1];

  if (event->actor_id.data == NULL) {
    event->actor_id = es__text(context == NULL ? NULL : context->actor_id);
    return ES_OK;
  }
  es_status status = es__name_check(event->actor_id, "actor id", ES_ID_MAX, err);
  if (status != ES_OK) return status;
  memcpy(actor_id, event->actor_id.data, event->actor_id.length);
  actor_id[event->actor_id.length] = '\0';
  return es_actor_parse(NULL, actor_id, &self->rt->actor_policy, err);
}

static es_status fill(es_event *event, appending *self, es_error *err) {
  const es_context *context = self->context;

  if (is_zero(event->event_id)) es__id_new(&self->rt->ids, event->event_id);
  if (event->metadata.data == NULL) event->metadata = es__text("{}");
  fill_correlation(event, self);
  if ((self->flags & ES_APPEND_KEEP) != 0) return ES_OK;
  if (event->occurred_at == 0) event->occurred_at = self->now;
  if (event->tenant_id.data == NULL) event->tenant_id = tenant_of(self);
  if (!event->has_causation && context != NULL && context->causation_id != NULL)
    event->has_causation = es_id_parse(event->causation_id, context->causation_id);
  return fill_actor(event, self, err);
}

static es_status check_tenant(const es_event *event, const appending *self, es_error *err) {
  if (es__text_equal(event->tenant_id, tenant_of(self))) return ES_OK;
  if (self->context != NULL && self->context->operator_scope) return ES_OK;
  es__fail(err, ES_ERR_DENIED, "other_tenant", "it belongs to another tenant than the context's");
  es__hint(err, "enter a frame with that tenant, or with operator scope");
  return ES_ERR_DENIED;
}

/* ---- all of them ---- */

/* Where an event's canonical texts lie in the runtime's buffer, which moves while it grows. */
typedef struct place {
  size_t offset, data_length, metadata_length;
} place;

static es_status prepare(es_event *event, place *at, appending *self, es_error *err) {
  es_buf *text = &self->rt->append_text;
  checking job = {event, text, 0};
  es_status status = fill(event, self, err);

  if (status == ES_OK) status = check_tenant(event, self, err);
  at->offset = text->length;
  if (status != ES_OK) return status;
  if ((self->flags & ES_APPEND_UNCHECKED) != 0) {
    if (event->schema_version == 0) event->schema_version = 1;
    return es__event_check(event, err);
  }
  status = es__domain_run(self->rt->domain, check_event, &job, err);
  if (status == ES_OK && text->failed) status = es__no_memory(err);
  at->data_length = job.data_length;
  at->metadata_length = text->length - at->offset - job.data_length;
  return status;
}

static void name_event(es_error *err, const es_event *event, size_t number) {
  es__wrap(err, "event %zu (%.*s of %.*s/%.*s)", number, (int)event->event_type.length,
           event->event_type.data, (int)event->aggregate_type.length, event->aggregate_type.data,
           (int)event->aggregate_id.length, event->aggregate_id.data);
}

static es_status prepare_all(es_event *events, size_t count, appending *self, es_error *err) {
  es_runtime *rt = self->rt;
  place *places = malloc((count + 1) * sizeof *places);
  es_status status = places == NULL ? es__no_memory(err) : ES_OK;

  es__buf_clear(&rt->append_text);
  for (size_t i = 0; i < count && status == ES_OK; i++) {
    status = prepare(&events[i], &places[i], self, err);
    if (status != ES_OK) name_event(err, &events[i], i + 1);
  }
  if (status == ES_OK && (self->flags & ES_APPEND_UNCHECKED) == 0) {
    for (size_t i = 0; i < count; i++) {
      const char *text = rt->append_text.data + places[i].offset;
      events[i].data = (es_text){text, places[i].data_length};
      events[i].metadata = (es_text){text + places[i].data_length, places[i].metadata_length};
    }
  }
  free(places);
  return status;
}

es_status es_append(es_runtime *rt, es_event *events, size_t count, unsigned flags, es_error *err) {
  appending self = {.rt = rt, .flags = flags};
  es_commit commit = {.event_count = count,
                      .keep_recorded_at = (flags & ES_APPEND_KEEP) != 0,
                      .check_versions = true};
  es_status status;

  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  if (rt->execution != NULL)
    return es__fail(err, ES_ERR_USAGE, "nested_command", "a command is running");
  if (rt->read_only) {
    es__fail(err, ES_ERR_STORE, "read_only", "the store was opened read-only");
    es__hint(err, "open it for writing");
    return ES_ERR_STORE;
  }
  if (count == 0) return ES_OK;
  if (es__is_missing(events, "events", err)) return ES_ERR_USAGE;
  commit.events = malloc(count * sizeof *events); /* the caller's stay as they are on failure */
  if (commit.events == NULL) return es__no_memory(err);
  memcpy(commit.events, events, count * sizeof *events);
  self.context = es__context_retain(rt->context);
  self.now = commit.now = es__now(rt);
  status = prepare_all(commit.events, count, &self, err);
  if (status == ES_OK) status = es__store_append(rt->store, &commit, err);
  if (status == ES_OK) memcpy(events, commit.events, count * sizeof *events);
  free(commit.events);
  es__context_release(self.context);
  if (status == ES_OK) es__checkpoint_if_due(rt);
  return status;
}
