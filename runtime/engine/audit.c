/* audit: the runtime's own events, in a stream of the day. Those about commands that were refused or failed never hold values a
 * stranger sent: only who, what and which code. */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "engine/execution.h"
#include "store/reply.h"
#include "json/writer.h"

es_status es__audit_event(es_event *out, es_buf *text, es_execution *execution, const char *type,
                          const char *code, es_error *err) {
  const es_context *context = execution->context;
  char day[ES_TIME_TEXT_SIZE];
  size_t data_at, metadata_at;

  es__buf_clear(text);
  es_time_text(day, execution->now);
  es__buf_add(text, day, strlen("YYYY-MM-DD"));
  es__buf_byte(text, '\0');
  data_at = text->length;
  es__buf_byte(text, '{');
  es__json_write_key(text, "aggregate_id");
  es__json_write_text(text, execution->stream.aggregate_id);
  es__json_write_key(text, "aggregate_type");
  es__json_write_text(text, execution->stream.aggregate_type);
  es__json_write_key(text, "code");
  es__json_write_text(text, es__text(code));
  es__json_write_key(text, "command");
  es__json_write_text(text, es__text(execution->command->command));
  es__buf_byte(text, '}');
  size_t data_length = text->length - data_at;
  es__buf_byte(text, '\0');
  metadata_at = text->length;
  es__buf_text(text, context == NULL || context->metadata == NULL ? "{}" : context->metadata);
  size_t metadata_length = text->length - metadata_at;
  if (text->failed) return es__no_memory(err);

  *out = (es_event){.tenant_id = execution->stream.tenant_id,
                    .aggregate_type = es__text(ES_AUDIT_TYPE),
                    .aggregate_id = {text->data, strlen("YYYY-MM-DD")},
                    .event_type = es__text(type),
                    .schema_version = 1,
                    .actor_id = es__text(context == NULL ? NULL : context->actor_id),
                    .has_causation = execution->has_causation,
                    .occurred_at = execution->now,
                    .data = {text->data + data_at, data_length},
                    .metadata = {text->data + metadata_at, metadata_length}};
  es__id_new(&execution->rt->ids, out->event_id);
  memcpy(out->correlation_id, execution->correlation_id, ES_ID_SIZE);
  memcpy(out->causation_id, execution->causation_id, ES_ID_SIZE);
  return ES_OK;
}

es_status es__audit_append(es_runtime *rt, const char *type, const char *actor, const es_buf *data,
                           es_error *err) {
  if (data->failed) return es__no_memory(err);
  es_context *context = es__context_retain(rt->context); /* the clock may leave the frame */
  char day[ES_TIME_TEXT_SIZE];
  es_event event = {.tenant_id = es__tenant(rt),
                    .aggregate_type = es__text(ES_AUDIT_TYPE),
                    .event_type = es__text(type),
                    .schema_version = 1,
                    .actor_id = es__text(actor),
                    .occurred_at = es__now(rt),
                    .data = {data->data, data->length},
                    .metadata = es__text("{}")};
  es_commit commit = {.events = &event, .event_count = 1, .now = event.occurred_at};

  es_time_text(day, event.occurred_at);
  event.aggregate_id = (es_text){day, strlen("YYYY-MM-DD")};
  if (context != NULL && context->actor_id != NULL) event.actor_id = es__text(context->actor_id);
  es__id_new(&rt->ids, event.event_id);
  memcpy(event.correlation_id, event.event_id, ES_ID_SIZE);
  es_status status = es__store_append(rt->store, &commit, err);
  es__context_release(context);
  return status;
}
