/* actor: what an actor id may look like. Knows no context and no store. */
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/utf8.h"
#include "context/context.h"
#include "event/event.h"

static const char *const built_in_kinds[] = {
#define ES_ACTOR_KIND(kind, meaning) kind,
    ES_ACTOR_TABLE(ES_ACTOR_KIND)
#undef ES_ACTOR_KIND
};
enum { BUILT_IN_KINDS = sizeof built_in_kinds / sizeof built_in_kinds[0] };

static bool listed(const char *const *names, size_t count, es_text name) {
  for (size_t i = 0; i < count && names[i] != NULL; i++) {
    if (es__text_equal(es__text(names[i]), name)) return true;
  }
  return false;
}

static bool kind_allowed(es_text kind, const es_actor_policy *policy) {
  if (listed(built_in_kinds, BUILT_IN_KINDS, kind)) return true;
  return policy != NULL && policy->prefixes != NULL && listed(policy->prefixes, SIZE_MAX, kind);
}

static bool has_blank(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c <= ' ' || c == 0x7F) return true;
  }
  return false;
}

es_status es_actor_parse(es_text *kind, const char *actor_id, const es_actor_policy *policy,
                         es_error *err) {
  es_text found = {actor_id, 0};
  size_t length = actor_id == NULL ? 0 : strlen(actor_id);
  const char *colon;

  if (kind != NULL) *kind = (es_text){NULL, 0};
  if (length == 0) return es__fail(err, ES_ERR_USAGE, "malformed_actor", "the actor id is empty");
  if (length > ES_ID_MAX) {
    return es__fail(err, ES_ERR_USAGE, "malformed_actor",
                    "the actor id has %zu bytes; at most %d are allowed", length, ES_ID_MAX);
  }
  /* Checked before the id is quoted anywhere: hostile bytes must not reach a terminal. */
  if (!es__utf8_valid(actor_id, length) || has_blank(actor_id, length)) {
    return es__fail(err, ES_ERR_USAGE, "malformed_actor",
                    "the actor id has spaces, control characters or invalid UTF-8");
  }
  if (memchr(actor_id, '@', length) != NULL && (policy == NULL || !policy->allow_at_sign)) {
    es__fail(err, ES_ERR_USAGE, "personal_actor",
             "an actor id must not hold personal data: it has an '@'");
    es__hint(err, "use an opaque id such as user:4711, or set actors = { allow_at_sign = true } in "
                  "esrun.lua");
    return ES_ERR_USAGE;
  }
  colon = strchr(actor_id, ':');
  if (colon == NULL && strcmp(actor_id, "anonymous") == 0) {
    found.length = length;
  } else if (colon == NULL || colon == actor_id || colon[1] == '\0') {
    es__fail(err, ES_ERR_USAGE, "malformed_actor", "actor id \"%s\" is not KIND:NAME", actor_id);
    es__hint(err, "write for example user:%s, or anonymous", colon == NULL ? actor_id : "jane");
    return ES_ERR_USAGE;
  } else {
    found.length = (size_t)(colon - actor_id);
    if (!kind_allowed(found, policy)) {
      es__fail(err, ES_ERR_USAGE, "unknown_actor_kind",
               "actor id \"%s\" has an unknown kind \"%.*s\"", actor_id, (int)found.length,
               actor_id);
      es__hint(err,
               "the kinds are user, service, api, system, cron, webhook, import; a project "
               "allows others in esrun.lua: actors = { prefixes = { \"%.*s\" } }",
               (int)found.length, actor_id);
      return ES_ERR_USAGE;
    }
  }
  if (kind != NULL) *kind = found;
  return ES_OK;
}
