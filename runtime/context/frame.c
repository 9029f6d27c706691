/* frame: checks a frame and resolves it above the frame below. Inheritance has one exception: what was proved about an actor
 * (roles, permissions, authentication facts) ends where another actor is named. */
#include "context/frame.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "event/event.h"
#include "json/value.h"
#include "json/writer.h"

/* X(name, longest text in bytes, belongs to the authentication of the actor, is a boolean) */
#define OWNED_KEYS(X)                                                                              \
  X("request_id", ES_REQUEST_ID_MAX, false, false)                                                 \
  X("ip_address", ES_IP_ADDRESS_MAX, false, false)                                                 \
  X("user_agent", ES_USER_AGENT_MAX, false, false)                                                 \
  X("trace_id", 64, false, false)                                                                  \
  X("span_id", 64, false, false)                                                                   \
  X("trace_flags", 16, false, false)                                                               \
  X("auth_method", 64, true, false)                                                                \
  X("token_id", 255, true, false)                                                                  \
  X("session_id", 255, true, false)                                                                \
  X("mfa_verified", 0, true, true)                                                                 \
  X("os_user", 64, true, false)

static const struct owned_key {
  const char *name;
  size_t max;
  bool is_auth;
  bool is_boolean;
} owned_keys[] = {
#define OWNED_KEY(name, max, is_auth, is_boolean) {name, max, is_auth, is_boolean},
    OWNED_KEYS(OWNED_KEY)
#undef OWNED_KEY
};

static const struct owned_key *owned_key(es_text key) {
  for (size_t i = 0; i < sizeof owned_keys / sizeof owned_keys[0]; i++) {
    if (es__text_equal(es__text(owned_keys[i].name), key)) return &owned_keys[i];
  }
  return NULL;
}

bool es__context_owns(const char *key, size_t length) {
  return owned_key((es_text){key, length}) != NULL;
}

/* ---- Checking ---- */

static es_status check_metadata_member(es_text key, const es_json_value *value, es_error *err) {
  const struct owned_key *owned = owned_key(key);
  es_status status = es__name_check(key, "metadata name", ES_TYPE_MAX, err);

  if (status != ES_OK) return status;
  if (key.data[0] == '$') {
    return es__fail(err, ES_ERR_USAGE, "reserved_name",
                    "metadata.%.*s: names beginning with '$' belong to the runtime",
                    (int)key.length, key.data);
  }
  if (value->kind == ES_JSON_ARRAY_BEGIN || value->kind == ES_JSON_OBJECT_BEGIN) {
    return es__fail(err, ES_ERR_USAGE, "malformed_metadata",
                    "metadata.%.*s: expected a string, number, boolean or null", (int)key.length,
                    key.data);
  }
  if (owned == NULL || value->kind == ES_JSON_NULL) return ES_OK;
  if (owned->is_boolean) {
    if (value->kind == ES_JSON_TRUE || value->kind == ES_JSON_FALSE) return ES_OK;
    return es__fail(err, ES_ERR_USAGE, "malformed_metadata", "metadata.%s: expected a boolean",
                    owned->name);
  }
  if (value->kind != ES_JSON_STRING) {
    return es__fail(err, ES_ERR_USAGE, "malformed_metadata", "metadata.%s: expected a string",
                    owned->name);
  }
  if (value->text.length > owned->max) {
    return es__fail(err, ES_ERR_USAGE, "malformed_metadata",
                    "metadata.%s: %zu bytes; at most %zu are allowed", owned->name,
                    value->text.length, owned->max);
  }
  return ES_OK;
}

static es_status check_metadata(const es_json_value *metadata, es_error *err) {
  if (metadata->kind != ES_JSON_OBJECT_BEGIN) {
    return es__fail(err, ES_ERR_USAGE, "malformed_metadata", "metadata: expected an object");
  }
  for (size_t i = 0; i < metadata->count; i++) {
    es_status status = check_metadata_member(metadata->keys[i], &metadata->items[i], err);
    if (status != ES_OK) return status;
  }
  return ES_OK;
}

static es_status check_names(const char *const *names, size_t count, const char *what,
                             es_error *err) {
  if (count > ES_CONTEXT_NAMES_MAX) {
    return es__fail(err, ES_ERR_USAGE, "too_many", "%zu %ss; at most %d are allowed", count, what,
                    ES_CONTEXT_NAMES_MAX);
  }
  for (size_t i = 0; i < count; i++) {
    es_status status = es__name_check(es__text(names[i]), what, ES_ID_MAX, err);
    if (status != ES_OK) return status;
  }
  return ES_OK;
}

/* ---- Resolving ---- */

/* What a frame's text comes to: unset inherits, ES_NONE is none. */
static const char *inherit(const char *given, const char *inherited) {
  if (given == NULL) return inherited;
  return given == ES_NONE ? NULL : given;
}

static es_status resolve_id(const char **out, char text[ES_ID_TEXT_SIZE], const char *given,
                            const char *inherited, const char *what, es_error *err) {
  uint8_t id[ES_ID_SIZE];

  *out = inherit(given, inherited);
  if (*out == NULL || *out == inherited) return ES_OK;
  if (!es_id_parse(id, given)) {
    return es__fail(err, ES_ERR_USAGE, "malformed_id", "the context's %s is not a UUID", what);
  }
  es_id_text(text, id); /* one spelling, so that ids compare as text */
  *out = text;
  return ES_OK;
}

static es_status resolve_actor(es__resolved *out, const es_context *parent, const es_frame *frame,
                               const es_actor_policy *policy, es_error *err) {
  bool fresh = frame->actor_id != NULL;
  es_status status;

  out->actor_id = inherit(frame->actor_id, parent == NULL ? NULL : parent->actor_id);
  if (fresh && out->actor_id != NULL) {
    status = es_actor_parse(NULL, out->actor_id, policy, err);
    if (status != ES_OK) return status;
  }
  status = check_names(frame->roles, frame->roles == NULL ? 0 : frame->role_count, "role", err);
  if (status != ES_OK) return status;
  status = check_names(frame->permissions, frame->permissions == NULL ? 0 : frame->permission_count,
                       "permission", err);
  if (status != ES_OK) return status;
  if (frame->roles != NULL) {
    out->roles = frame->roles;
    out->role_count = frame->role_count;
  } else if (!fresh && parent != NULL) {
    out->roles = (const char *const *)parent->roles;
    out->role_count = parent->role_count;
  }
  if (frame->permissions != NULL) {
    out->permissions = frame->permissions;
    out->permission_count = frame->permission_count;
  } else if (!fresh && parent != NULL) {
    out->permissions = (const char *const *)parent->permissions;
    out->permission_count = parent->permission_count;
  }
  return ES_OK;
}

/* The request id comes as a member of the frame or in its metadata; the outermost frame makes one. */
static es_status resolve_request_id(es__resolved *out, const es_context *parent,
                                    const es_frame *frame, const es_json_value *given_metadata,
                                    es_id_source *ids, es_error *err) {
  const es_json_value *member =
      given_metadata == NULL ? NULL : es__json_member(given_metadata, "request_id");
  const char *given = frame->request_id;
  uint8_t id[ES_ID_SIZE];

  if (member != NULL && given != NULL) {
    return es__fail(err, ES_ERR_USAGE, "malformed_metadata",
                    "metadata.request_id: the frame gives a request_id beside it");
  }
  if (member != NULL && member->kind == ES_JSON_NULL) given = ES_NONE;
  if (member != NULL && member->kind == ES_JSON_STRING) {
    es_status status = es__name_check(member->text, "request id", ES_REQUEST_ID_MAX, err);
    if (status != ES_OK) return status;
    given = out->given_request_id = es__text_copy(member->text);
    if (given == NULL) return es__no_memory(err);
  } else if (given != NULL && given != ES_NONE) {
    es_status status = es__name_check(es__text(given), "request id", ES_REQUEST_ID_MAX, err);
    if (status != ES_OK) return status;
  }
  out->request_id = inherit(given, parent == NULL ? NULL : parent->request_id);
  if (out->request_id == NULL && given == NULL && parent == NULL) {
    es__id_new(ids, id);
    es_id_text(out->made_request_id, id);
    out->request_id = out->made_request_id;
  }
  return ES_OK;
}

static int compare_keys(es_text a, es_text b) {
  size_t shorter = a.length < b.length ? a.length : b.length;
  int order = memcmp(a.data, b.data, shorter);
  return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

/* A key after es__json_write_key()'s manner, counted. */
static void write_key(es_buf *out, es_text key) {
  if (out->length > 0 && out->data[out->length - 1] != '{') es__buf_byte(out, ',');
  es__json_write_string(out, key.data, key.length);
  es__buf_byte(out, ':');
}

/* Members of both objects in key order, the frame's winning, the request id at its place. */
static void write_metadata(es__resolved *resolved, const es_json_value *base,
                           const es_json_value *over, bool fresh_actor) {
  static const es_text request_key = {"request_id", sizeof "request_id" - 1};
  es_buf *out = &resolved->metadata_buffer;
  size_t i = 0, j = 0, base_count = base == NULL ? 0 : base->count;
  size_t over_count = over == NULL ? 0 : over->count;
  bool request_written = resolved->request_id == NULL;

  es__buf_byte(out, '{');
  while (i < base_count || j < over_count || !request_written) {
    int order = i == base_count   ? 1
                : j == over_count ? -1
                                  : compare_keys(base->keys[i], over->keys[j]);
    bool is_last = i == base_count && j == over_count;
    es_text key = is_last ? request_key : order <= 0 ? base->keys[i] : over->keys[j];
    if (!request_written && compare_keys(request_key, key) <= 0) {
      write_key(out, request_key);
      es__json_write_text(out, es__text(resolved->request_id));
      request_written = true;
      continue;
    }
    const es_json_value *value = order < 0 ? &base->items[i] : &over->items[j];
    const struct owned_key *owned = owned_key(key);
    bool inherited = order < 0;
    i += order <= 0;
    j += order >= 0;
    if (value->kind == ES_JSON_NULL || es__text_equal(key, request_key)) continue;
    if (inherited && fresh_actor && owned != NULL && owned->is_auth) continue;
    write_key(out, key);
    es__json_write_value(out, value);
  }
  es__buf_byte(out, '}');
}

static es_status resolve_metadata(es__resolved *out, const es_context *parent,
                                  const es_frame *frame, es_id_source *ids, es_error *err) {
  es_json_document *base = NULL, *over = NULL;
  const char *given = inherit(frame->metadata_json, NULL);
  es_status status = ES_OK;

  if (given != NULL) {
    status = es__json_parse(&over, given, strlen(given), err);
    if (status == ES_OK) status = check_metadata(es__json_root(over), err);
    if (status != ES_OK) goto done;
  }
  if (parent != NULL && frame->metadata_json != ES_NONE) {
    status = es__json_parse(&base, parent->metadata, strlen(parent->metadata), err);
    if (status != ES_OK) goto done;
  }
  status =
      resolve_request_id(out, parent, frame, over == NULL ? NULL : es__json_root(over), ids, err);
  if (status != ES_OK) goto done;
  write_metadata(out, base == NULL ? NULL : es__json_root(base),
                 over == NULL ? NULL : es__json_root(over), frame->actor_id != NULL);
  if (out->metadata_buffer.failed) {
    status = es__no_memory(err);
  } else if (out->metadata_buffer.length > ES_CONTEXT_METADATA_MAX) {
    status = es__fail(err, ES_ERR_USAGE, "malformed_metadata",
                      "metadata: %zu bytes of JSON; at most %d are allowed",
                      out->metadata_buffer.length, ES_CONTEXT_METADATA_MAX);
  }
  out->metadata = out->metadata_buffer.data;
done:
  es__json_document_free(base);
  es__json_document_free(over);
  return status;
}

es_status es__frame_resolve(es__resolved *out, const es_context *parent, const es_frame *frame,
                            const es_actor_policy *policy, es_id_source *ids, es_error *err) {
  es_status status;

  out->operator_scope = frame->operator_scope;
  out->tenant_id = inherit(frame->tenant_id, parent == NULL ? NULL : parent->tenant_id);
  if (frame->tenant_id != NULL && out->tenant_id != NULL) {
    status = es__name_check(es__text(out->tenant_id), "tenant id", ES_ID_MAX, err);
    if (status != ES_OK) return status;
  }
  status = resolve_actor(out, parent, frame, policy, err);
  if (status != ES_OK) return status;
  status = resolve_id(&out->correlation_id, out->correlation_text, frame->correlation_id,
                      parent == NULL ? NULL : parent->correlation_id, "correlation_id", err);
  if (status != ES_OK) return status;
  status = resolve_id(&out->causation_id, out->causation_text, frame->causation_id,
                      parent == NULL ? NULL : parent->causation_id, "causation_id", err);
  if (status != ES_OK) return status;
  return resolve_metadata(out, parent, frame, ids, err);
}

void es__resolved_free(es__resolved *resolved) {
  free(resolved->given_request_id);
  es__buf_free(&resolved->metadata_buffer);
}
