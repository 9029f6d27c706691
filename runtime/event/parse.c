/* parse: a line of an export back into an event, strictly: every field once, of its type, and nothing else. Knows no SQL
 * and no Lua; whether the hashes are right is the ledger's to say. */
#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "event/event.h"
#include "json/reader.h"
#include "json/value.h"

typedef struct line_parser {
  es_json_reader reader;
  es_json_token token;
  es_event *out;
  char *texts; /* where the next text goes */
  es_error *err;
} line_parser;

static es_status wrong(line_parser *parser, const char *what) {
  return es__json_fail(&parser->reader, parser->token.offset, "malformed_event", parser->err, "%s",
                       what);
}

static bool is(const line_parser *parser, es_json_kind kind) { return parser->token.kind == kind; }

/* Texts are copied one behind the other; decoded they are never longer than the line they come from. */
static es_status take_text(line_parser *parser, es_text *out, bool optional) {
  if (optional && is(parser, ES_JSON_NULL)) {
    *out = (es_text){NULL, 0};
    return ES_OK;
  }
  if (!is(parser, ES_JSON_STRING)) return wrong(parser, "a string is expected");
  *out = (es_text){parser->texts, parser->token.text.length};
  if (out->length > 0) memcpy(parser->texts, parser->token.text.data, out->length);
  parser->texts[out->length] = '\0';
  parser->texts += out->length + 1;
  return ES_OK;
}

static es_status take_count(line_parser *parser, int64_t *out) {
  if (!is(parser, ES_JSON_INTEGER) || parser->token.integer < 1)
    return wrong(parser, "a whole number of at least 1 is expected");
  *out = parser->token.integer;
  return ES_OK;
}

static es_status take_id(line_parser *parser, uint8_t out[ES_ID_SIZE]) {
  es_text text = parser->token.text;

  if (!is(parser, ES_JSON_STRING) || !es__id_parse_counted(out, text.data, text.length))
    return wrong(parser, "a UUID is expected");
  return ES_OK;
}

/* Only the form that is written: RFC 3339 in UTC with six digits. */
static es_status take_time(line_parser *parser, int64_t *out) {
  char text[ES_TIME_TEXT_SIZE];

  if (is(parser, ES_JSON_STRING) && parser->token.text.length == sizeof text - 1) {
    memcpy(text, parser->token.text.data, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    if (text[10] == 'T' && text[19] == '.' && text[sizeof text - 2] == 'Z' &&
        es_time_parse(out, text))
      return ES_OK;
  }
  return wrong(parser, "a time such as 2024-01-15T10:30:00.000000Z is expected");
}

static es_status take_hash(line_parser *parser, uint8_t out[ES_HASH_SIZE], bool is_previous) {
  es_text text = parser->token.text;

  if (is(parser, ES_JSON_STRING)) {
    if (is_previous && es__text_equal(text, es__text("GENESIS"))) {
      memset(out, 0, ES_HASH_SIZE);
      return ES_OK;
    }
    if (es__hex_parse(out, ES_HASH_SIZE, text.data, text.length)) return ES_OK;
  }
  return wrong(parser, "64 hexadecimal digits are expected");
}

static es_status take_causation(line_parser *parser) {
  parser->out->has_causation = !is(parser, ES_JSON_NULL);
  return parser->out->has_causation ? take_id(parser, parser->out->causation_id) : ES_OK;
}

/* X(member, how its value is taken) */
#define EVENT_MEMBERS(X)                                                                           \
  X(position, take_count(parser, &out->position))                                                  \
  X(event_id, take_id(parser, out->event_id))                                                      \
  X(event_type, take_text(parser, &out->event_type, false))                                        \
  X(aggregate_type, take_text(parser, &out->aggregate_type, false))                                \
  X(aggregate_id, take_text(parser, &out->aggregate_id, false))                                    \
  X(version, take_count(parser, &out->version))                                                    \
  X(schema_version, take_count(parser, &out->schema_version))                                      \
  X(tenant_id, take_text(parser, &out->tenant_id, true))                                           \
  X(actor_id, take_text(parser, &out->actor_id, true))                                             \
  X(correlation_id, take_id(parser, out->correlation_id))                                          \
  X(causation_id, take_causation(parser))                                                          \
  X(occurred_at, take_time(parser, &out->occurred_at))                                             \
  X(recorded_at, take_time(parser, &out->recorded_at))                                             \
  X(data, take_text(parser, &out->data, false))                                                    \
  X(metadata, take_text(parser, &out->metadata, false))                                            \
  X(previous_hash, take_hash(parser, out->previous_hash, true))                                    \
  X(hash, take_hash(parser, out->hash, false))

enum {
#define MEMBER_NUMBER(member, take) MEMBER_##member,
  EVENT_MEMBERS(MEMBER_NUMBER)
#undef MEMBER_NUMBER
      MEMBER_COUNT
};

static const char *const member_names[] = {
#define MEMBER_NAME(member, take) #member,
    EVENT_MEMBERS(MEMBER_NAME)
#undef MEMBER_NAME
};

static es_status take_member(line_parser *parser, int member) {
  es_event *out = parser->out;

  switch (member) {
#define MEMBER_CASE(member, take)                                                                  \
  case MEMBER_##member:                                                                            \
    return take;
    EVENT_MEMBERS(MEMBER_CASE)
#undef MEMBER_CASE
  default:
    return wrong(parser, "an event has no such member");
  }
}

/* The member of this name, looked for first where an export has it. */
static int find_member(es_text name, int first) {
  for (int i = 0; i < MEMBER_COUNT; i++) {
    int member = (first + i) % MEMBER_COUNT;
    if (es__text_equal(name, es__text(member_names[member]))) return member;
  }
  return MEMBER_COUNT;
}

static es_status next_token(line_parser *parser) {
  return es__json_next(&parser->reader, &parser->token, parser->err);
}

static es_status read_members(line_parser *parser) {
  bool seen[MEMBER_COUNT] = {false};
  int next = 0;
  es_status status = next_token(parser);

  if (status == ES_OK && !is(parser, ES_JSON_OBJECT_BEGIN))
    return wrong(parser, is(parser, ES_JSON_ARRAY_BEGIN)
                             ? "an event is a JSON object, one a line, and this is a list: was it "
                               "exported with --output json? Leave that out"
                             : "an event is a JSON object");
  while (status == ES_OK && (status = next_token(parser)) == ES_OK && is(parser, ES_JSON_KEY)) {
    int member = find_member(parser->token.text, next);
    if (member == MEMBER_COUNT) return take_member(parser, member);
    if (seen[member]) return wrong(parser, "this member was given before");
    seen[member] = true;
    next = member + 1;
    status = next_token(parser);
    if (status == ES_OK) status = take_member(parser, member);
  }
  for (int i = 0; i < MEMBER_COUNT && status == ES_OK; i++) {
    if (!seen[i])
      return es__fail(parser->err, ES_ERR_USAGE, "malformed_event", "the member %s is missing",
                      member_names[i]);
  }
  return status == ES_OK ? next_token(parser) : status; /* nothing may follow */
}

static es_status check_canonical(es_text text, const char *what, es_buf *scratch, es_error *err) {
  bool canonical;
  es_status status = es__json_check_canonical(&canonical, scratch, text.data, text.length, err);

  if (status != ES_OK) {
    es__wrap(err, "%s", what);
    return status;
  }
  if (canonical) return ES_OK;
  return es__fail(err, ES_ERR_USAGE, "malformed_event", "%s is not canonical JSON", what);
}

es_status es__event_parse(es_event *out, char *texts, es_buf *scratch, const char *line,
                          size_t length, es_error *err) {
  line_parser parser = {.out = out, .texts = texts, .err = err};
  es_status status;

  *out = (es_event){0};
  es__json_reader_init(&parser.reader, line, length, 0);
  status = read_members(&parser);
  es__json_reader_free(&parser.reader);
  if (status == ES_OK) status = es__event_check(out, err);
  if (status == ES_OK) status = check_canonical(out->data, "data", scratch, err);
  if (status == ES_OK) status = check_canonical(out->metadata, "metadata", scratch, err);
  return status;
}
