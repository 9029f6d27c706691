/* context: frames are resolved when they are pushed, so that reading who acts is reading one struct. Knows no Lua and no
 * store. What a frame may say is in frame.c. */
#include "context/context.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "context/frame.h"
#include "json/writer.h"

const char es_none[] = "";

es_context *es__context_retain(es_context *context) {
  if (context != NULL) context->references++;
  return context;
}

static void free_names(char **names, size_t count) {
  for (size_t i = 0; names != NULL && i < count; i++)
    free(names[i]);
  free(names);
}

/* A frame holds its parent, so releasing walks outward; a loop, since stacks may be deep. */
void es__context_release(es_context *context) {
  while (context != NULL && --context->references == 0) {
    es_context *parent = context->parent;
    free(context->tenant_id);
    free(context->actor_id);
    free(context->request_id);
    free(context->correlation_id);
    free(context->causation_id);
    free(context->metadata);
    free_names(context->roles, context->role_count);
    free_names(context->permissions, context->permission_count);
    free(context);
    context = parent;
  }
}

static bool copy_text(char **out, const char *text) {
  *out = es__text_copy(es__text(text));
  return text == NULL || *out != NULL;
}

static bool copy_names(char ***out, size_t *out_count, const char *const *names, size_t count) {
  char **copy = calloc(count + 1, sizeof *copy);

  if (copy == NULL) return false;
  *out = copy;
  *out_count = count;
  for (size_t i = 0; i < count; i++) {
    if (!copy_text(&copy[i], names[i])) return false;
  }
  return true;
}

/* *out is the frame that `resolved` describes, holding `parent`. */
static es_status new_frame(es_context **out, es_context *parent, const es__resolved *resolved,
                           uint64_t serial, size_t depth, es_error *err) {
  es_context *context = calloc(1, sizeof *context);

  *out = NULL;
  if (context == NULL) return es__no_memory(err);
  context->references = 1;
  context->serial = serial;
  context->depth = depth;
  context->operator_scope = resolved->operator_scope;
  if (!copy_text(&context->tenant_id, resolved->tenant_id) ||
      !copy_text(&context->actor_id, resolved->actor_id) ||
      !copy_text(&context->request_id, resolved->request_id) ||
      !copy_text(&context->correlation_id, resolved->correlation_id) ||
      !copy_text(&context->causation_id, resolved->causation_id) ||
      !copy_text(&context->metadata, resolved->metadata) ||
      !copy_names(&context->roles, &context->role_count, resolved->roles, resolved->role_count) ||
      !copy_names(&context->permissions, &context->permission_count, resolved->permissions,
                  resolved->permission_count)) {
    es__context_release(context);
    return es__no_memory(err);
  }
  context->parent = es__context_retain(parent);
  *out = context;
  return ES_OK;
}

es_status es__context_push(es_context **top, uint64_t serial, const es_frame *frame,
                           const es_actor_policy *policy, es_id_source *ids, es_error *err) {
  es__resolved resolved = {0};
  es_context *pushed = NULL;
  size_t depth = *top == NULL ? 1 : (*top)->depth + 1;
  es_status status;

  if (depth > ES_CONTEXT_DEPTH_MAX) {
    return es__fail(err, ES_ERR_USAGE, "context_too_deep", "more than %d context frames",
                    ES_CONTEXT_DEPTH_MAX);
  }
  status = es__frame_resolve(&resolved, *top, frame, policy, ids, err);
  if (status == ES_OK) status = new_frame(&pushed, *top, &resolved, serial, depth, err);
  es__resolved_free(&resolved);
  if (status != ES_OK) return status;
  es__context_release(*top); /* the new frame holds it now */
  *top = pushed;
  return ES_OK;
}

static bool on_stack(const es_context *context, uint64_t serial) {
  while (context != NULL && context->serial != serial)
    context = context->parent;
  return context != NULL;
}

es_status es__context_pop(es_context **top, uint64_t serial, es_error *err) {
  es_context *leaving = *top;

  if (leaving != NULL && leaving->serial == serial && serial != 0) {
    *top = es__context_retain(leaving->parent);
    es__context_release(leaving);
    return ES_OK;
  }
  if (serial != 0 && on_stack(leaving, serial)) {
    es__fail(err, ES_ERR_USAGE, "context_order",
             "this context frame is not the innermost one; frames are left in reverse order");
  } else {
    es__fail(err, ES_ERR_USAGE, "context_order",
             "this context frame is not on the stack: it was left already, or entered in another "
             "coroutine or runtime");
  }
  es__hint(err, "leave each frame once, where it was entered; es.context.run does so by itself");
  return ES_ERR_USAGE;
}

es_context *es__context_capture(const es_context *top) {
  es__resolved resolved;
  es_context *copy = NULL;

  if (top == NULL) return NULL;
  resolved = (es__resolved){
      .tenant_id = top->tenant_id,
      .actor_id = top->actor_id,
      .request_id = top->request_id,
      .correlation_id = top->correlation_id,
      .causation_id = top->causation_id,
      .metadata = top->metadata,
      .roles = (const char *const *)top->roles,
      .role_count = top->role_count,
      .permissions = (const char *const *)top->permissions,
      .permission_count = top->permission_count,
      .operator_scope = top->operator_scope,
  };
  new_frame(&copy, NULL, &resolved, 0, top->depth, NULL);
  return copy;
}

static void write_names(es_buf *out, const char *key, char *const *names, size_t count) {
  es__json_write_key(out, key);
  es__buf_byte(out, '[');
  for (size_t i = 0; i < count; i++) {
    if (i > 0) es__buf_byte(out, ',');
    es__json_write_text(out, es__text(names[i]));
  }
  es__buf_byte(out, ']');
}

static void write_member(es_buf *out, const char *key, const char *text) {
  es__json_write_key(out, key);
  es__json_write_text(out, es__text(text));
}

/* Keys in order of their bytes: canonical. */
void es__context_write(es_buf *out, const es_context *context) {
  static const es_context nobody = {.metadata = NULL};
  const es_context *c = context == NULL ? &nobody : context;

  es__buf_byte(out, '{');
  write_member(out, "actor_id", c->actor_id);
  write_member(out, "causation_id", c->causation_id);
  write_member(out, "correlation_id", c->correlation_id);
  es__json_write_key(out, "depth");
  es__json_write_integer(out, (int64_t)c->depth);
  es__json_write_key(out, "metadata");
  es__buf_text(out, c->metadata == NULL ? "{}" : c->metadata);
  es__json_write_key(out, "operator_scope");
  es__buf_text(out, c->operator_scope ? "true" : "false");
  write_names(out, "permissions", c->permissions, c->permission_count);
  write_member(out, "request_id", c->request_id);
  write_names(out, "roles", c->roles, c->role_count);
  write_member(out, "tenant_id", c->tenant_id);
  es__buf_byte(out, '}');
}
