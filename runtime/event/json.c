/* json: an event as one line of JSON, nested for reading or exact for export. Knows no SQL, no Lua; computes no hash. */
#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "event/event.h"
#include "json/writer.h"

static void write_plain(es_buf *out, const char *key, const char *text) {
  es__json_write_key(out, key);
  es__json_write_text(out, es__text(text));
}

static void write_id(es_buf *out, const char *key, const uint8_t id[ES_ID_SIZE]) {
  char text[ES_ID_TEXT_SIZE];
  es_id_text(text, id);
  write_plain(out, key, text);
}

static void write_text(es_buf *out, const char *key, es_text text) {
  es__json_write_key(out, key);
  es__json_write_text(out, text);
}

/* What the store has not stamped yet (a dry run's events) is absent: null. */
static void write_stamped(es_buf *out, const char *key, int64_t value) {
  es__json_write_key(out, key);
  if (value > 0) {
    es__json_write_integer(out, value);
  } else {
    es__buf_text(out, "null");
  }
}

static void write_time(es_buf *out, const char *key, int64_t time_us) {
  char text[ES_TIME_TEXT_SIZE];
  es_time_text(text, time_us);
  write_plain(out, key, text);
}

static void write_hashes(es_buf *out, const es_event *event) {
  static const uint8_t zero[ES_HASH_SIZE];
  char hex[2 * ES_HASH_SIZE + 1];

  es__hex(hex, event->previous_hash, ES_HASH_SIZE);
  bool first = event->position == 1 && memcmp(event->previous_hash, zero, ES_HASH_SIZE) == 0;
  write_plain(out, "previous_hash", event->position < 1 ? NULL : first ? "GENESIS" : hex);
  es__hex(hex, event->hash, ES_HASH_SIZE);
  write_plain(out, "hash", event->position < 1 ? NULL : hex);
}

static void write_payload(es_buf *out, const char *key, es_text text, es_event_form form) {
  es__json_write_key(out, key);
  if (form == ES_FORM_EXPORT || text.data == NULL) {
    es__json_write_text(out, text);
  } else {
    es__buf_add(out, text.data, text.length);
  }
}

es_status es_event_json(char **out, size_t *length, const es_event *event, es_event_form form,
                        es_error *err) {
  es_buf line = {0};

  *out = NULL;
  if (length != NULL) *length = 0;
  es__buf_byte(&line, '{');
  write_stamped(&line, "position", event->position);
  write_id(&line, "event_id", event->event_id);
  write_text(&line, "event_type", event->event_type);
  write_text(&line, "aggregate_type", event->aggregate_type);
  write_text(&line, "aggregate_id", event->aggregate_id);
  write_stamped(&line, "version", event->version);
  write_stamped(&line, "schema_version", event->schema_version);
  write_text(&line, "tenant_id", event->tenant_id);
  write_text(&line, "actor_id", event->actor_id);
  write_id(&line, "correlation_id", event->correlation_id);
  if (event->has_causation) {
    write_id(&line, "causation_id", event->causation_id);
  } else {
    write_plain(&line, "causation_id", NULL);
  }
  write_time(&line, "occurred_at", event->occurred_at);
  if (event->position > 0) {
    write_time(&line, "recorded_at", event->recorded_at);
  } else {
    write_plain(&line, "recorded_at", NULL);
  }
  write_payload(&line, "data", event->data, form);
  write_payload(&line, "metadata", event->metadata, form);
  write_hashes(&line, event);
  es__buf_byte(&line, '}');
  *out = es__buf_take(&line, length);
  return *out == NULL ? es__no_memory(err) : ES_OK;
}
