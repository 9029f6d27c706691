/* filter: es_filter in the form stores work with. Knows no SQL. */
#include "store/filter.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static es_status copy_text(es_filter_text *out, const char *text, es_error *err) {
  if (text == NULL) return ES_OK;
  out->set = true;
  if (text == ES_NONE) return ES_OK;
  out->text.data = es__text_copy(es__text(text));
  if (out->text.data == NULL) return es__no_memory(err);
  out->text.length = strlen(text);
  return ES_OK;
}

static es_status parse_id(es_filter_id *out, const char *text, const char *what, es_error *err) {
  if (text == NULL) return ES_OK;
  out->set = true;
  if (text == ES_NONE) {
    out->none = true;
    return ES_OK;
  }
  if (es_id_parse(out->id, text)) return ES_OK;
  es__fail(err, ES_ERR_USAGE, "malformed_id", "%s \"%s\" is not a UUID", what, text);
  es__hint(err, "a UUID looks like 018f4e2a-7c3b-7def-8123-456789abcdef");
  return ES_ERR_USAGE;
}

es_status es__filter_init(es_filter_terms *out, const es_filter *filter, es_error *err) {
  static const es_filter everything = ES_FILTER_INIT;
  es_status status;

  if (filter == NULL) filter = &everything;
  *out = (es_filter_terms){
      .from_time = filter->from_time == 0 ? INT64_MIN : filter->from_time,
      .to_time = filter->to_time == 0 ? INT64_MAX : filter->to_time,
      .after_position = filter->after_position,
      .from_version = filter->from_version,
      .to_version = filter->to_version == 0 ? INT64_MAX : filter->to_version,
      .limit = filter->limit == 0 ? INT64_MAX : filter->limit,
      .reverse = filter->reverse,
  };
  if (filter->limit < 0 || filter->after_position < 0 || filter->from_version < 0 ||
      filter->to_version < 0) {
    return es__fail(err, ES_ERR_USAGE, "malformed_filter",
                    "limit, after_position, from_version and to_version cannot be negative");
  }
  status = copy_text(&out->tenant_id, filter->tenant_id, err);
  if (status == ES_OK) status = copy_text(&out->actor_id, filter->actor_id, err);
  if (status == ES_OK) status = copy_text(&out->event_type, filter->event_type, err);
  if (status == ES_OK) status = copy_text(&out->aggregate_type, filter->aggregate_type, err);
  if (status == ES_OK) status = copy_text(&out->aggregate_id, filter->aggregate_id, err);
  if (status == ES_OK) status = parse_id(&out->event_id, filter->event_id, "event_id", err);
  if (status == ES_OK)
    status = parse_id(&out->correlation_id, filter->correlation_id, "correlation_id", err);
  if (status == ES_OK)
    status = parse_id(&out->causation_id, filter->causation_id, "causation_id", err);
  return status;
}

void es__filter_free(es_filter_terms *terms) {
  es_filter_text *const texts[] = {&terms->tenant_id, &terms->actor_id, &terms->event_type,
                                   &terms->aggregate_type, &terms->aggregate_id};
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    free((char *)texts[i]->text.data);
    texts[i]->text = (es_text){0};
  }
}

static bool text_matches(const es_filter_text *term, es_text text) {
  return !term->set || es__text_equal(term->text, text);
}

static bool id_matches(const es_filter_id *term, bool present, const uint8_t id[ES_ID_SIZE]) {
  if (!term->set) return true;
  if (term->none || !present) return term->none && !present;
  return memcmp(term->id, id, ES_ID_SIZE) == 0;
}

bool es__filter_matches(const es_filter_terms *terms, const es_event *event) {
  return event->version >= terms->from_version && event->version <= terms->to_version &&
         event->recorded_at >= terms->from_time && event->recorded_at < terms->to_time &&
         text_matches(&terms->aggregate_id, event->aggregate_id) &&
         text_matches(&terms->aggregate_type, event->aggregate_type) &&
         text_matches(&terms->tenant_id, event->tenant_id) &&
         text_matches(&terms->event_type, event->event_type) &&
         text_matches(&terms->actor_id, event->actor_id) &&
         id_matches(&terms->event_id, true, event->event_id) &&
         id_matches(&terms->correlation_id, true, event->correlation_id) &&
         id_matches(&terms->causation_id, event->has_causation, event->causation_id);
}
