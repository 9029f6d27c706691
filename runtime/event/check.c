/* check: is an event's envelope fit to be stored? Looks at texts and ranges only: no SQL, no Lua, no hashes. */
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/utf8.h"
#include "event/event.h"

static const uint64_t ones = UINT64_C(0x0101010101010101);

/* Is one of the eight bytes below 0x20? */
static bool has_control(uint64_t word) { return ((word - ones * 0x20) & ~word & ones << 7) != 0; }

/* Is one of them DEL? */
static bool has_delete(uint64_t word) {
  word ^= ones * 0x7F;
  return ((word - ones) & ~word & ones << 7) != 0;
}

/* The offset of the first byte below 0x20, or of a DEL if that counts; or `length`. Most text has none: eight bytes at a time. */
static size_t control_at(const char *text, size_t length, bool with_delete) {
  uint64_t word;
  size_t i = 0;

  for (; length - i >= sizeof word; i += sizeof word) {
    memcpy(&word, text + i, sizeof word);
    if (has_control(word) || (with_delete && has_delete(word))) break;
  }
  while (i < length && (unsigned char)text[i] >= 0x20 && !(with_delete && text[i] == 0x7F))
    i++;
  return i;
}

es_status es__name_check(es_text name, const char *what, size_t max, es_error *err) {
  if (name.data == NULL) {
    return es__fail(err, ES_ERR_USAGE, "malformed_name", "%s is missing", what);
  }
  if (name.length == 0) {
    return es__fail(err, ES_ERR_USAGE, "malformed_name", "%s is empty", what);
  }
  if (name.length > max) {
    return es__fail(err, ES_ERR_USAGE, "malformed_name", "%s is %zu bytes long, at most %zu fit",
                    what, name.length, max);
  }
  size_t bad = es__utf8_bad(name.data, name.length);
  if (bad != name.length) {
    return es__fail(err, ES_ERR_USAGE, "malformed_name", "%s is not valid UTF-8 at byte %zu", what,
                    bad + 1);
  }
  bad = control_at(name.data, name.length, true);
  if (bad != name.length) {
    return es__fail(err, ES_ERR_USAGE, "malformed_name", "%s holds a control character at byte %zu",
                    what, bad + 1);
  }
  return ES_OK;
}

/* Canonical JSON holds no raw control characters, so that an event is one line wherever it is written. Whether the text
 * between the braces is JSON is the business of whoever wrote it. */
static es_status check_object(es_text text, const char *what, size_t max, es_error *err) {
  if (text.data == NULL || text.length < 2 || text.data[0] != '{' ||
      text.data[text.length - 1] != '}') {
    return es__fail(err, ES_ERR_USAGE, "malformed_event", "%s is not a JSON object", what);
  }
  if (text.length > max) {
    return es__fail(err, ES_ERR_USAGE, "event_too_large", "%s is %zu bytes long, at most %zu fit",
                    what, text.length, max);
  }
  size_t bad = es__utf8_bad(text.data, text.length);
  if (bad != text.length) {
    return es__fail(err, ES_ERR_USAGE, "malformed_event", "%s is not valid UTF-8 at byte %zu", what,
                    bad + 1);
  }
  bad = control_at(text.data, text.length, false);
  if (bad != text.length) {
    return es__fail(err, ES_ERR_USAGE, "malformed_event",
                    "%s is not canonical JSON: a control character at byte %zu", what, bad + 1);
  }
  return ES_OK;
}

es_status es__event_check(const es_event *event, es_error *err) {
  es_status status;

  status = es__name_check(event->aggregate_type, "aggregate type", ES_TYPE_MAX, err);
  if (status != ES_OK) return status;
  status = es__name_check(event->aggregate_id, "aggregate id", ES_ID_MAX, err);
  if (status != ES_OK) return status;
  status = es__name_check(event->event_type, "event type", ES_TYPE_MAX, err);
  if (status != ES_OK) return status;
  if (event->tenant_id.data != NULL) {
    status = es__name_check(event->tenant_id, "tenant id", ES_ID_MAX, err);
    if (status != ES_OK) return status;
  }
  if (event->actor_id.data != NULL) {
    status = es__name_check(event->actor_id, "actor id", ES_ID_MAX, err);
    if (status != ES_OK) return status;
  }
  if (event->schema_version < 1) {
    return es__fail(err, ES_ERR_USAGE, "malformed_event", "schema version %lld is below 1",
                    (long long)event->schema_version);
  }
  if (event->occurred_at < ES__TIME_MIN || event->occurred_at > ES__TIME_MAX) {
    return es__fail(err, ES_ERR_USAGE, "malformed_event",
                    "occurred_at is outside the years 0000 to 9999");
  }
  status = check_object(event->data, "data", ES_DATA_MAX, err);
  if (status != ES_OK) return status;
  return check_object(event->metadata, "metadata", ES_METADATA_MAX, err);
}
