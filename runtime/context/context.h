/* context: the stack of frames that says who acts, for which tenant, in which request. Frames are immutable and counted;
 * a stack is a pointer to its innermost frame, so that a copy is one increment. Knows no Lua and no store. */
#ifndef ES_CONTEXT_CONTEXT_H
#define ES_CONTEXT_CONTEXT_H

#include "base/buf.h"
#include "base/id.h"

/* es_context (esrun.h) is one frame, fully resolved: everything inherited is already in it. */
struct es_context {
  int references;
  struct es_context *parent; /* NULL: the outermost frame */
  uint64_t serial;           /* the token, from 1, unique in a runtime; 0: a captured frame */
  size_t depth;              /* from 1 */
  char *tenant_id;           /* NULL: none, for this and the other texts */
  char *actor_id;
  char *request_id;
  char *correlation_id;
  char *causation_id;
  char *
      metadata; /* canonical JSON object of scalars, never NULL; has the request, trace and auth keys */
  char **roles;
  size_t role_count;
  char **permissions;
  size_t permission_count;
  bool operator_scope;
};

enum {
  ES_CONTEXT_DEPTH_MAX = 1000,         /* frames; a runaway recursion is told, not swallowed */
  ES_CONTEXT_METADATA_MAX = 16 * 1024, /* bytes of a frame's metadata as JSON */
  ES_CONTEXT_NAMES_MAX = 256,          /* roles, and permissions, of a frame */
  ES_REQUEST_ID_MAX = 255,             /* bytes, as the next two */
  ES_IP_ADDRESS_MAX = 45,              /* an IPv6 address with an embedded IPv4 one */
  ES_USER_AGENT_MAX = 500
};

/* The metadata names that only the context may set: domain code may not. */
bool es__context_owns(const char *key, size_t length);

/* Pushes a frame on *top (NULL: empty stack). ids makes the request id. Nothing changes on failure. */
es_status es__context_push(es_context **top, uint64_t serial, const es_frame *frame,
                           const es_actor_policy *policy, es_id_source *ids, es_error *err);

/* Pops the innermost frame if its serial is `serial`. */
es_status es__context_pop(es_context **top, uint64_t serial, es_error *err);

/* Captures what is in force for another stack: a copy that no token of the first stack can leave, so that "a frame entered
 * in one stack cannot be left in another". NULL for an empty stack, and when out of memory (nobody acts: fails closed). */
es_context *es__context_capture(const es_context *top);

es_context *es__context_retain(es_context *context); /* NULL is fine */
void es__context_release(es_context *context);       /* NULL is fine */

/* Appends the JSON object that es_context_json() hands out; context may be NULL. */
void es__context_write(es_buf *out, const es_context *context);

#endif
