/* json: an event as one line of JSON, nested for reading or exact for export. Knows no SQL, no Lua; computes no hash. */
#include <string.h>

#include "base/error.h"
#include "base/given.h"
#include "base/id.h"
#include "event/event.h"
#include "json/writer.h"

enum { ENVELOPE_ROOM = 900 }; /* of most events: no more than a guess */

/* ,"key": in one piece. The first key's comma is taken back by es_event_json. */
#define WRITE_KEY(out, key) es__buf_add(out, ",\"" key "\":", sizeof(",\"" key "\":") - 1)
#define WRITE_NULL(out, key) es__buf_add(out, ",\"" key "\":null", sizeof(",\"" key "\":null") - 1)

static void write_id(es_buf *out, const uint8_t id[ES_ID_SIZE]) {
  char text[ES_ID_TEXT_SIZE];
  es_id_text(text, id);
  es__json_write_ascii(out, text, sizeof text - 1);
}

/* What the store has not stamped yet (a dry run's events) is absent: null. */
static void write_stamped(es_buf *out, int64_t value) {
  if (value > 0) {
    es__json_write_integer(out, value);
  } else {
    es__buf_text(out, "null");
  }
}

static void write_time(es_buf *out, int64_t time_us) {
  char text[ES_TIME_TEXT_SIZE];
  es_time_text(text, time_us);
  es__json_write_ascii(out, text, strlen(text));
}

static void write_hash(es_buf *out, const uint8_t hash[ES_HASH_SIZE]) {
  char hex[2 * ES_HASH_SIZE + 1];
  es__hex(hex, hash, ES_HASH_SIZE);
  es__json_write_ascii(out, hex, sizeof hex - 1);
}

static void write_hashes(es_buf *out, const es_event *event) {
  static const uint8_t zero[ES_HASH_SIZE];

  if (event->position < 1) {
    WRITE_NULL(out, "previous_hash");
    WRITE_NULL(out, "hash");
    return;
  }
  WRITE_KEY(out, "previous_hash");
  if (event->position == 1 && memcmp(event->previous_hash, zero, ES_HASH_SIZE) == 0)
    es__buf_text(out, "\"GENESIS\"");
  else
    write_hash(out, event->previous_hash);
  WRITE_KEY(out, "hash");
  write_hash(out, event->hash);
}

static void write_payload(es_buf *out, es_text text, es_event_form form) {
  if (form == ES_FORM_EXPORT || text.data == NULL) {
    es__json_write_text(out, text);
  } else {
    es__buf_add(out, text.data, text.length);
  }
}

es_status es_event_json(char **out, size_t *length, const es_event *event, es_event_form form,
                        es_error *err) {
  es_buf line = {0};

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = NULL;
  if (es__is_missing(event, "event", err)) return ES_ERR_USAGE;
  if (length != NULL) *length = 0;
  es__buf_reserve(&line, event->data.length + event->metadata.length + ENVELOPE_ROOM);
  WRITE_KEY(&line, "position");
  if (!line.failed) line.data[0] = '{';
  write_stamped(&line, event->position);
  WRITE_KEY(&line, "event_id");
  write_id(&line, event->event_id);
  WRITE_KEY(&line, "event_type");
  es__json_write_text(&line, event->event_type);
  WRITE_KEY(&line, "aggregate_type");
  es__json_write_text(&line, event->aggregate_type);
  WRITE_KEY(&line, "aggregate_id");
  es__json_write_text(&line, event->aggregate_id);
  WRITE_KEY(&line, "version");
  write_stamped(&line, event->version);
  WRITE_KEY(&line, "schema_version");
  write_stamped(&line, event->schema_version);
  WRITE_KEY(&line, "tenant_id");
  es__json_write_text(&line, event->tenant_id);
  WRITE_KEY(&line, "actor_id");
  es__json_write_text(&line, event->actor_id);
  WRITE_KEY(&line, "correlation_id");
  write_id(&line, event->correlation_id);
  if (event->has_causation) {
    WRITE_KEY(&line, "causation_id");
    write_id(&line, event->causation_id);
  } else {
    WRITE_NULL(&line, "causation_id");
  }
  WRITE_KEY(&line, "occurred_at");
  write_time(&line, event->occurred_at);
  if (event->position > 0) {
    WRITE_KEY(&line, "recorded_at");
    write_time(&line, event->recorded_at);
  } else {
    WRITE_NULL(&line, "recorded_at");
  }
  WRITE_KEY(&line, "data");
  write_payload(&line, event->data, form);
  WRITE_KEY(&line, "metadata");
  write_payload(&line, event->metadata, form);
  write_hashes(&line, event);
  es__buf_byte(&line, '}');
  *out = es__buf_take(&line, length);
  return *out == NULL ? es__no_memory(err) : ES_OK;
}
