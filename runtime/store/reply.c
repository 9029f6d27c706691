/* reply: writing and reading the bodies of replies. */
#include "store/reply.h"

#include <string.h>

#include "base/error.h"
#include "json/writer.h"

void es__reply_body_write(es_buf *out, const es_reply_body *body) {
  char id[ES_ID_TEXT_SIZE];

  es_id_text(id, body->correlation_id);
  es__buf_byte(out, '{');
  if (body->rejected) {
    es__json_write_key(out, "code");
    es__json_write_text(out, body->code);
  }
  es__json_write_key(out, "correlation_id");
  es__json_write_text(out, es__text(id));
  if (body->rejected) {
    es__json_write_key(out, "message");
    es__json_write_text(out, body->message);
  }
  es__json_write_key(out, "outcome");
  es__json_write_text(out, es__text(body->rejected ? "rejected" : "ok"));
  es__json_write_key(out, "version");
  es__json_write_integer(out, body->version);
  es__buf_byte(out, '}');
}

static es_text text_of(const es_json_value *object, const char *key) {
  const es_json_value *value = es__json_member(object, key);
  return value != NULL && value->kind == ES_JSON_STRING ? value->text : (es_text){0};
}

/* Whether nothing is left out, added or written in another way shows when it is written again. */
es_status es__reply_body_read(es_reply_body *out, es_text text, es_error *err) {
  es_buf again = {0};

  *out = (es_reply_body){0};
  es_status status = es__json_parse(&out->document, text.data, text.length, err);
  if (status == ES_OK) {
    const es_json_value *root = es__json_root(out->document);
    const es_json_value *version = es__json_member(root, "version");
    es_text id = text_of(root, "correlation_id");
    out->rejected = es__text_equal(text_of(root, "outcome"), es__text("rejected"));
    out->code = text_of(root, "code");
    out->message = text_of(root, "message");
    out->version = version == NULL ? 0 : version->integer;
    es__id_parse_counted(out->correlation_id, id.data, id.length);
    es__reply_body_write(&again, out);
    if (again.failed) {
      status = es__no_memory(err);
    } else if (!es__text_equal(text, (es_text){again.data, again.length}) ||
               (out->rejected && (out->code.data == NULL || out->message.data == NULL))) {
      status = ES_ERR_USAGE;
    }
    es__buf_free(&again);
  }
  return status == ES_ERR_USAGE
             ? es__fail(err, ES_ERR_INTEGRITY, "reply", "a stored reply is damaged")
             : status;
}

void es__reply_body_free(es_reply_body *body) {
  es__json_document_free(body->document);
  *body = (es_reply_body){0};
}
