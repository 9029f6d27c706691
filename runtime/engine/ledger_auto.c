/* ledger_auto: checkpoints that come by themselves: after so many events, after so long a time, and at the end. How one is
 * signed is ledger_sign.c's; here is when, and that no failure of it touches what was appended. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/ledger.h"

typedef struct es_signer {
  es_runtime *rt;
  int64_t events;      /* 0: not by number */
  int64_t interval_us; /* 0: not by time */
  es_signing_key keys[ES_SIGNING_KEYS_MAX];
  es_checkpoint_options how; /* points to `keys`; its texts are this struct's */
  bool (*deliver)(void *data, const char *note);
  void *deliver_data;
  int64_t seen;      /* the last position looked at */
  int64_t signed_to; /* of the store's newest checkpoint when last looked, or of the last attempt */
  int64_t since;     /* when the oldest event after that was stored; 0: there is none */
  bool undelivered;
  bool ending;
} es_signer;

void es__signer_free(es_signer *signer) {
  if (signer == NULL) return;
  for (size_t i = 0; i < ES_SIGNING_KEYS_MAX; i++) {
    char *const texts[] = {(char *)signer->keys[i].path, (char *)signer->keys[i].text,
                           (char *)signer->keys[i].passphrase};
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
      if (texts[k] != NULL) explicit_bzero(texts[k], strlen(texts[k]));
      free(texts[k]);
    }
  }
  free((char *)signer->how.memory_path);
  free(signer);
}

/* ---- When -------------------------------------------------------------------------------------------------- */

/* Whatever process signed it: the newest checkpoint, and what has come after it. */
static es_status look(es_signer *self, es_error *err) {
  es_store *store = self->rt->store;
  es_store_checkpoint newest = {0};
  es_filter filter = ES_FILTER_INIT;
  es_store_cursor *cursor = NULL;
  const es_event *event = NULL;
  es_status status = es__store_checkpoint(&newest, store, INT64_MAX, err);

  es__buf_free(&newest.note);
  if (status != ES_OK) return status;
  self->signed_to = newest.size < 0 ? 0 : newest.size;
  filter.after_position = self->signed_to;
  filter.limit = 1;
  status = es__store_read(&cursor, store, &filter, err);
  if (status == ES_OK) {
    cursor->as_stored = true;
    status = es__store_next(&event, cursor, err);
  }
  if (status == ES_OK) self->since = event == NULL ? 0 : event->recorded_at;
  es__store_cursor_close(cursor);
  return status;
}

/* What was stored in what is now the future has an age that nobody knows: the clock went back. */
static bool is_old(const es_signer *self) {
  int64_t now = es__now(self->rt);
  return now < self->since || now - self->since >= self->interval_us;
}

static bool is_due(const es_signer *self) {
  if (self->since == 0) return false;
  return (self->events > 0 && self->seen - self->signed_to >= self->events) ||
         (self->interval_us > 0 && is_old(self));
}

/* Asked when it is this signer's turn: another one may have done it meanwhile. */
static es_status ask(bool *wanted, void *data, es_error *err) {
  es_signer *self = data;
  es_status status = look(self, err);

  *wanted = self->ending ? self->since != 0 || self->undelivered : is_due(self);
  return status;
}

/* ---- Doing it ---------------------------------------------------------------------------------------------- */

static void attempt(es_signer *self) {
  es_signing_turn turn = {.wait = self->ending, .ask = ask, .data = self};
  es_error err = ES_ERROR_INIT;
  char *note = NULL;
  es_status status = es__checkpoint_in_turn(&note, self->rt, &self->how, &turn, &err);

  if (status != ES_OK) {
    self->signed_to =
        self->seen; /* not with every commit again, but as long after as after a success */
    self->since = 0;
    es__log(self->rt, status == ES_ERR_INTEGRITY ? ES_LOG_ERROR : ES_LOG_WARNING,
            "checkpoint_failed", "no checkpoint was signed: %s%s%s", err.message,
            err.hint[0] == '\0' ? "" : "; ", err.hint);
  } else if (note != NULL) {
    self->signed_to = self->seen;
    self->since = 0;
    self->undelivered = self->deliver != NULL && !self->deliver(self->deliver_data, note);
    if (self->undelivered)
      es__log(self->rt, ES_LOG_WARNING, "checkpoint_undelivered",
              "a checkpoint was signed, but could not be handed on; the next one will be");
  }
  es_free(note);
}

void es__checkpoint_if_due(es_runtime *rt) {
  es_signer *self = rt->signer;

  if (self == NULL || rt->in_transaction || rt->store->appended_to <= self->seen) return;
  self->seen = rt->store->appended_to;
  if (self->since == 0) self->since = es__now(rt);
  if (is_due(self)) attempt(self);
}

void es__checkpoint_at_end(es_runtime *rt) {
  es_signer *self = rt->signer;

  if (self == NULL || (rt->store->appended_to == 0 && !self->undelivered)) return;
  if (look(self, NULL) == ES_OK && self->since == 0 && !self->undelivered) return;
  self->ending = true;
  attempt(self);
}

/* ---- The policy -------------------------------------------------------------------------------------------- */

static es_status copy(const char **out, const char *text, es_error *err) {
  *out = text == NULL ? NULL : strdup(text);
  return text != NULL && *out == NULL ? es__no_memory(err) : ES_OK;
}

static es_status take_key(es_signing_key *out, const es_signing_key *key, es_error *err) {
  es_skey secret;
  es_status status = es__signing_key_read(&secret, key, err); /* now, while somebody listens */

  es__skey_clear(&secret);
  if (status == ES_OK) status = copy(&out->path, key->path, err);
  if (status == ES_OK) status = copy(&out->text, key->text, err);
  if (status == ES_OK) status = copy(&out->passphrase, key->passphrase, err);
  return status;
}

static es_status check_policy(const es_checkpoint_policy *policy, const es_runtime *rt,
                              es_error *err) {
  if (rt->read_only) {
    es__fail(err, ES_ERR_STORE, "read_only", "the store was opened read-only");
    es__hint(err, "open it for writing");
    return ES_ERR_STORE;
  }
  if (policy->events < 0 || policy->seconds < 0 || policy->seconds > INT64_MAX / 1000000) {
    return es__fail(err, ES_ERR_USAGE, "bad_policy",
                    "a checkpoint every %lld events or %lld seconds: numbers of 0 or more are "
                    "expected",
                    (long long)policy->events, (long long)policy->seconds);
  }
  if (policy->key_count == 0 || policy->key_count > ES_SIGNING_KEYS_MAX) {
    es__fail(err, ES_ERR_USAGE, "no_key", "a checkpoint is signed with 1 to %d keys, %zu are given",
             ES_SIGNING_KEYS_MAX, policy->key_count);
    es__hint(err, "make a key with: esrun keygen");
    return ES_ERR_USAGE;
  }
  return es__is_missing(policy->keys, "keys", err) ? ES_ERR_USAGE : ES_OK;
}

es_status es_checkpoint_every(es_runtime *rt, const es_checkpoint_policy *given, es_error *err) {
  es_checkpoint_policy policy = ES_CHECKPOINT_POLICY_INIT;
  es_signer *self;
  es_status status;

  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  if (given == NULL) {
    es__signer_free(rt->signer);
    rt->signer = NULL;
    return ES_OK;
  }
  status = es__take_options(&policy, given, sizeof policy, "ES_CHECKPOINT_POLICY_INIT", err);
  if (status == ES_OK) status = check_policy(&policy, rt, err);
  if (status != ES_OK) return status;
  self = calloc(1, sizeof *self);
  if (self == NULL) return es__no_memory(err);
  *self = (es_signer){.rt = rt,
                      .events = policy.events,
                      .interval_us = policy.seconds * 1000000,
                      .how = ES_CHECKPOINT_INIT,
                      .deliver = policy.deliver,
                      .deliver_data = policy.deliver_data,
                      .seen = rt->store->appended_to};
  self->how.keys = self->keys;
  self->how.key_count = policy.key_count;
  self->how.consult = policy.consult;
  self->how.consult_data = policy.consult_data;
  for (size_t i = 0; status == ES_OK && i < policy.key_count; i++)
    status = take_key(&self->keys[i], &policy.keys[i], err);
  if (status == ES_OK) status = copy(&self->how.memory_path, policy.memory_path, err);
  if (status == ES_OK) status = look(self, err);
  if (status == ES_OK) {
    es__signer_free(rt->signer);
    rt->signer = self;
  } else {
    es__signer_free(self);
  }
  return status;
}
