/* reply: what a command led to, for the caller and, under an idempotency key, for the store. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/execution.h"
#include "store/reply.h"
#include "json/writer.h"

void es_reply_free(es_reply *reply) {
  if (reply == NULL) return;
  free(reply->aggregate_type);
  free(reply->aggregate_id);
  free(reply->events);
  free(reply->text);
  free(reply);
}

int64_t es_reply_version(const es_reply *reply) { return reply->version; }
size_t es_reply_count(const es_reply *reply) { return reply->event_count; }
bool es_reply_replayed(const es_reply *reply) { return reply->replayed; }

const es_event *es_reply_event(const es_reply *reply, size_t index) {
  return index < reply->event_count ? &reply->events[index] : NULL;
}

/* ---- copying events ---- */

static es_text *const *event_texts(es_event *event, es_text *out[7]) {
  out[0] = &event->tenant_id;
  out[1] = &event->aggregate_type;
  out[2] = &event->aggregate_id;
  out[3] = &event->event_type;
  out[4] = &event->actor_id;
  out[5] = &event->data;
  out[6] = &event->metadata;
  return out;
}

/* Adds a copy of the event; its texts hold offsets into `text` until settle_texts(), since the buffer moves. */
static es_status add_event(es_reply *reply, es_buf *text, const es_event *event, es_error *err) {
  es_event *events = realloc(reply->events, (reply->event_count + 1) * sizeof *events);
  es_text *texts[7];

  if (events == NULL) return es__no_memory(err);
  reply->events = events;
  events[reply->event_count] = *event;
  event_texts(&events[reply->event_count++], texts);
  for (int i = 0; i < 7; i++) {
    if (texts[i]->data == NULL) continue;
    size_t offset = text->length + 1; /* none is offset 0 */
    es__buf_byte(text, '\0');
    es__buf_add(text, texts[i]->data, texts[i]->length);
    texts[i]->data = (const char *)offset;
  }
  return text->failed ? es__no_memory(err) : ES_OK;
}

static void settle_texts(es_reply *reply, es_buf *text) {
  es_text *texts[7];

  reply->text = es__buf_take(text, NULL);
  for (size_t i = 0; i < reply->event_count; i++) {
    event_texts(&reply->events[i], texts);
    for (int j = 0; j < 7; j++) {
      if (texts[j]->data != NULL) texts[j]->data = reply->text + (size_t)texts[j]->data;
    }
  }
}

static es_reply *new_reply(const es_execution *execution, int64_t version) {
  es_reply *reply = calloc(1, sizeof *reply);

  if (reply == NULL) return NULL;
  reply->aggregate_type = strdup(execution->command->aggregate_type);
  reply->aggregate_id = strdup(execution->command->aggregate_id);
  reply->version = version;
  memcpy(reply->correlation_id, execution->correlation_id, ES_ID_SIZE);
  if (reply->aggregate_type == NULL || reply->aggregate_id == NULL) {
    es_reply_free(reply);
    return NULL;
  }
  return reply;
}

es_status es__reply_new(es_reply **out, const es_execution *execution, const es_event *events,
                        size_t count, int64_t version, es_error *err) {
  es_buf text = {0};
  es_status status = ES_OK;
  es_reply *reply = new_reply(execution, version);

  *out = NULL;
  if (reply == NULL) return es__no_memory(err);
  for (size_t i = 0; i < count && status == ES_OK; i++)
    status = add_event(reply, &text, &events[i], err);
  if (status == ES_OK) {
    settle_texts(reply, &text);
    if (reply->text == NULL) status = es__no_memory(err);
  }
  es__buf_free(&text);
  if (status != ES_OK) {
    es_reply_free(reply);
    return status;
  }
  *out = reply;
  return ES_OK;
}

es_status es_reply_json(char **out, const es_reply *reply, es_error *err) {
  es_buf buf = {0};
  char id[ES_ID_TEXT_SIZE];
  es_status status = ES_OK;

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = NULL;
  es__buf_byte(&buf, '{');
  es__json_write_key(&buf, "aggregate_type");
  es__json_write_text(&buf, es__text(reply->aggregate_type));
  es__json_write_key(&buf, "aggregate_id");
  es__json_write_text(&buf, es__text(reply->aggregate_id));
  es__json_write_key(&buf, "version");
  es__json_write_integer(&buf, reply->version);
  es__json_write_key(&buf, "positions");
  es__buf_byte(&buf, '[');
  for (size_t i = 0; i < reply->event_count; i++) {
    if (reply->events[i].position == 0) break; /* a dry run's events have none */
    if (i > 0) es__buf_byte(&buf, ',');
    es__json_write_integer(&buf, reply->events[i].position);
  }
  es__buf_byte(&buf, ']');
  es__json_write_key(&buf, "events");
  es__buf_byte(&buf, '[');
  for (size_t i = 0; i < reply->event_count && status == ES_OK; i++) {
    char *event = NULL;
    size_t length = 0;
    if (i > 0) es__buf_byte(&buf, ',');
    status = es_event_json(&event, &length, &reply->events[i], ES_FORM_LOG, err);
    if (status == ES_OK) es__buf_add(&buf, event, length);
    es_free(event);
  }
  es__buf_byte(&buf, ']');
  es__json_write_key(&buf, "correlation_id");
  es_id_text(id, reply->correlation_id);
  es__json_write_text(&buf, es__text(id));
  es__json_write_key(&buf, "replayed");
  es__buf_text(&buf, reply->replayed ? "true" : "false");
  es__buf_byte(&buf, '}');
  if (status == ES_OK) {
    *out = es__buf_take(&buf, NULL);
    if (*out == NULL) status = es__no_memory(err);
  }
  es__buf_free(&buf);
  return status;
}

/* ---- idempotency ---- */

static void add_part(es_buf *out, const char *text) {
  if (text == NULL) {
    es__buf_byte(out, '-');
  } else {
    es__buf_format(out, "%zu:%s", strlen(text), text);
  }
}

es_status es__reply_record(es_reply_record *out, es_buf *body, es_execution *execution,
                           es_error *err) {
  const es_command *command = execution->command;
  const es_context *context = execution->context;
  es_reply_body said = {.rejected = execution->rejected,
                        .code = es__text(execution->code),
                        .message = es__text(execution->message),
                        .version = execution->version + (int64_t)execution->decided_count};
  es_buf scope = {0};
  es_status status;

  *out = (es_reply_record){.event_count = (int64_t)execution->decided_count,
                           .created_at = execution->now};
  add_part(&scope, context == NULL ? NULL : context->tenant_id);
  add_part(&scope, context == NULL ? NULL : context->actor_id);
  add_part(&scope, command->aggregate_type);
  add_part(&scope, command->aggregate_id);
  add_part(&scope, command->command);
  add_part(&scope, command->idempotency_key);
  if (scope.failed) {
    status = es__no_memory(err);
    goto done;
  }
  status = es__sha256(execution->rt->chain, out->key, scope.data, scope.length, NULL, 0, err);
  if (status == ES_OK) {
    status = es__sha256(execution->rt->chain, out->params_hash, execution->params.data,
                        execution->params.length, NULL, 0, err);
  }
  if (status != ES_OK) goto done;
  es__buf_clear(body);
  memcpy(said.correlation_id, execution->correlation_id, ES_ID_SIZE);
  es__reply_body_write(body, &said);
  if (body->failed) status = es__no_memory(err);
  out->body = (es_text){body->data, body->length};
done:
  es__buf_free(&scope);
  return status;
}

static bool is_of_stream(const es_event *event, const es_stream_name *stream) {
  return es__text_equal(event->tenant_id, stream->tenant_id) &&
         es__text_equal(event->aggregate_type, stream->aggregate_type) &&
         es__text_equal(event->aggregate_id, stream->aggregate_id);
}

/* Only the stream's own, up to the version that the reply says. */
static es_status read_events(es_reply *reply, const es_execution *execution,
                             const es_reply_record *record, es_error *err) {
  es_filter filter = ES_FILTER_INIT;
  es_store_cursor *cursor = NULL;
  const es_event *event = NULL;
  es_buf text = {0};
  int64_t version = reply->version - record->event_count;
  es_status status;

  if (record->event_count == 0) return ES_OK;
  filter.after_position = record->first_position - 1;
  filter.limit = record->event_count;
  status = es__store_read(&cursor, execution->rt->store, &filter, err);
  while (status == ES_OK) {
    status = es__store_next(&event, cursor, err);
    if (status != ES_OK || event == NULL) break;
    if (event->version != ++version || !is_of_stream(event, &execution->stream)) break;
    status = add_event(reply, &text, event, err);
  }
  if (status == ES_OK && (int64_t)reply->event_count != record->event_count) {
    status = es__fail(err, ES_ERR_INTEGRITY, "reply",
                      "a stored reply names events that are not there, or another stream's");
    es__hint(err, "run esrun verify");
  }
  settle_texts(reply, &text);
  es__store_cursor_close(cursor);
  return status;
}

static es_status answer_again(es_reply **out, const es_execution *execution,
                              const es_reply_record *record, const es_reply_body *said,
                              es_error *err) {
  char code[ES_ERROR_CODE_MAX];

  if (said->rejected) {
    snprintf(code, sizeof code, "%.*s", (int)said->code.length, said->code.data);
    return es__fail(err, ES_ERR_REJECTED, code, "%.*s", (int)said->message.length,
                    said->message.data);
  }
  *out = new_reply(execution, said->version);
  if (*out == NULL) return es__no_memory(err);
  (*out)->replayed = true;
  memcpy((*out)->correlation_id, said->correlation_id, ES_ID_SIZE);
  return read_events(*out, execution, record, err);
}

es_status es__reply_again(es_reply **out, const es_execution *execution,
                          const es_reply_record *record, es_error *err) {
  es_reply_body said;
  uint8_t params_hash[ES_STORE_KEY_SIZE];
  es_status status = es__sha256(execution->rt->chain, params_hash, execution->params.data,
                                execution->params.length, NULL, 0, err);

  *out = NULL;
  if (status != ES_OK) return status;
  if (memcmp(params_hash, record->params_hash, sizeof params_hash) != 0) {
    es__fail(err, ES_ERR_USAGE, "idempotency_key_reused",
             "the idempotency key was used before with other parameters");
    es__hint(err, "use a new key for a new request; the same key only to repeat the same request");
    return ES_ERR_USAGE;
  }
  status = es__reply_body_read(&said, record->body, err);
  if (status == ES_OK) status = answer_again(out, execution, record, &said, err);
  es__reply_body_free(&said);
  if (status == ES_OK) return ES_OK;
  es_reply_free(*out);
  *out = NULL;
  return status;
}
