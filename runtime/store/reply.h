/* reply: what the body of a stored reply says, in the one form that is ever written. */
#ifndef ES_STORE_REPLY_H
#define ES_STORE_REPLY_H

#include "base/buf.h"
#include "base/id.h"
#include "json/value.h"

/* The stream type of the runtime's own records, and the event that records a rejection: the first of its commit. */
#define ES_AUDIT_TYPE "$audit"
#define ES_REJECTED_EVENT "$CommandRejected"

typedef struct es_reply_body {
  bool rejected;
  es_text code, message; /* of a rejection */
  int64_t version;       /* of the stream, after the command */
  uint8_t correlation_id[ES_ID_SIZE];
  es_json_document *document; /* of one that was read: what the texts point into */
} es_reply_body;

void es__reply_body_write(es_buf *out, const es_reply_body *body);

/* ES_ERR_INTEGRITY "reply" for anything but what was written by the above. Free what was read, also after a failure. */
es_status es__reply_body_read(es_reply_body *out, es_text text, es_error *err);
void es__reply_body_free(es_reply_body *body);

#endif
