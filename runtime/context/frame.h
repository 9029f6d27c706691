/* frame: what an es_frame may say, and what it comes to above the frame below it. For context.c alone. */
#ifndef ES_CONTEXT_FRAME_H
#define ES_CONTEXT_FRAME_H

#include "context/context.h"

/* A frame with everything inherited in place. Views into the parent, the es_frame or the buffers at the end. */
typedef struct es__resolved {
  const char *tenant_id;
  const char *actor_id;
  const char *request_id;
  const char *correlation_id;
  const char *causation_id;
  const char *metadata;
  const char *const *roles;
  size_t role_count;
  const char *const *permissions;
  size_t permission_count;
  bool operator_scope;
  char made_request_id[ES_ID_TEXT_SIZE];
  char correlation_text[ES_ID_TEXT_SIZE];
  char causation_text[ES_ID_TEXT_SIZE];
  char *given_request_id; /* from the frame's metadata */
  es_buf metadata_buffer;
} es__resolved;

/* parent may be NULL. *out is freed with es__resolved_free() whatever the status. */
es_status es__frame_resolve(es__resolved *out, const es_context *parent, const es_frame *frame,
                            const es_actor_policy *policy, es_id_source *ids, es_error *err);
void es__resolved_free(es__resolved *resolved);

#endif
