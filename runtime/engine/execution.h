/* execution: one command on its way: its checked parameters, the state it met, what was decided. */
#ifndef ES_ENGINE_EXECUTION_H
#define ES_ENGINE_EXECUTION_H

#include "engine/runtime.h"

/* A run of bytes inside es_execution.text, which may move while it grows. */
typedef struct es_span {
  size_t offset;
  size_t length;
} es_span;

typedef struct es_decided {
  es_span event_type; /* NUL-terminated */
  es_span data;
  es_span metadata;
  int64_t schema_version;
  bool has_causation;
  uint8_t causation_id[ES_ID_SIZE];
  uint8_t correlation_id[ES_ID_SIZE];
} es_decided;

enum { ES_EVENTS_PER_COMMAND_MAX = 1000 };

typedef struct es_execution {
  es_runtime *rt;
  const es_command *command;
  const es_module *module;
  es_context *context; /* in force when it began; held, whatever a callback leaves since */
  es_stream_name stream;
  int64_t now; /* occurred_at of everything this command leads to; the same on retry */
  uint8_t correlation_id[ES_ID_SIZE];
  bool has_causation;
  uint8_t causation_id[ES_ID_SIZE];
  es_buf params;       /* canonical */
  es_buf new_ids;      /* what ctx.new_id() gave, so that a retry gets the same */
  size_t new_id_count; /* taken in this attempt */
  int64_t version;     /* the stream met, with … */
  int64_t met_at;      /* … its last event's recorded_at, 0 without one */
  int64_t met_bytes;   /* … and es_fold.data_bytes */
  es_buf text;         /* bytes of what was decided */
  es_decided *decided;
  size_t decided_count;
  bool allowed; /* the rule's answer */
  bool rejected;
  char code[ES_ERROR_CODE_MAX]; /* of the denial or rejection */
  char message[ES_ERROR_MESSAGE_MAX];
} es_execution;

/* decide.c: the Lua side. Each is one protected call in the domain. */
es_status es__execution_params(es_execution *execution,
                               es_error *err); /* parse, check, canonicalise */
es_status es__execution_start(es_execution *execution,
                              es_error *err); /* ctx and params as Lua values */
es_status es__execution_missing(es_execution *execution,
                                es_error *err); /* ES_ERR_NOT_FOUND if it must exist */
es_status es__execution_authorize(es_execution *execution, es_error *err); /* sets allowed */
es_status es__execution_decide(es_execution *execution,
                               es_error *err); /* sets rejected, or decided */

/* Asks an aggregate's `view` rule about the state last folded. ES_ERR_DENIED when it refuses. */
es_status es__view_authorize(es_runtime *rt, const es_stream_name *stream, int64_t version,
                             es_error *err);

/* read.c. ES_ERR_NOT_FOUND in the aggregate's own words; its type is NUL-terminated. */
es_status es__missing(es_runtime *rt, const es_stream_name *stream, es_error *err);

/* reply.c */
struct es_reply {
  char *aggregate_type;
  char *aggregate_id;
  int64_t version;
  uint8_t correlation_id[ES_ID_SIZE];
  bool replayed;
  es_event *events;
  size_t event_count;
  char *text; /* what the events point into */
};

es_status es__reply_new(es_reply **out, const es_execution *execution, const es_event *events,
                        size_t count, int64_t version, es_error *err);
/* The record to store with a commit: its key, hashes and body (in `body`, which it points into). */
es_status es__reply_record(es_reply_record *out, es_buf *body, es_execution *execution,
                           es_error *err);
/* An earlier reply with the same key: *out for a success, or the same rejection again. Refuses other parameters. */
es_status es__reply_again(es_reply **out, const es_execution *execution,
                          const es_reply_record *record, es_error *err);

/* audit.c: the runtime's own event about a command's outcome, for the $audit stream of the day. `event` points into `text` and
 * into the execution. type is "$CommandRejected", "$CommandDenied" or "$CommandFailed". */
es_status es__audit_event(es_event *out, es_buf *text, es_execution *execution, const char *type,
                          const char *code, es_error *err);

#endif
