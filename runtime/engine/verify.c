/* verify: recomputes every hash and link, has the store check what it derives from the events, and compares all of it with
 * the checkpoints that are known. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/ledger.h"
#include "engine/scan_jobs.h"
#include "store/tree.h"

typedef struct verification {
  es_runtime *rt;
  const es_verify_options *options;
  es_verify_report *report;
  es_error first;    /* the first finding */
  int64_t first_bad; /* the lowest position found faulty; INT64_MAX: none */
  int64_t total;     /* events when it began */
  char origin[ES_ORIGIN_TEXT_SIZE];
  es_heads heads;
  int64_t re_signed_to; /* the largest trusted checkpoint in the store that agrees with it */
} verification;

/* ---- Findings ---------------------------------------------------------------------------------------------- */

static void found(void *data, const char *kind, int64_t position, const char *fault,
                  const char *message) {
  verification *self = data;
  es_finding finding = {kind, position, message, fault};

  if (self->report->finding_count++ == 0) {
    es__fail(&self->first, ES_ERR_INTEGRITY, kind, "%s", message);
    self->first.position = position;
  }
  if (position < self->first_bad) self->first_bad = position;
  if (self->options->finding != NULL) self->options->finding(self->options->finding_data, &finding);
}

/* What the store's own check found. */
static void found_in_store(void *data, const char *kind, int64_t position, const char *message) {
  static const char *const faults[][2] = {{"tree", "forked"},
                                          {"truncated", "truncated"},
                                          {"inserted", "inserted"},
                                          {"position_gap", "missing"},
                                          {"version_gap", "missing"}};
  const char *fault = "damaged";

  for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
    if (strcmp(kind, faults[i][0]) == 0) fault = faults[i][1];
  }
  found(data, kind, position, fault, message);
}

/* ---- Checkpoints ------------------------------------------------------------------------------------------- */

static es_status check_lists(const es_verify_options *options, es_error *err) {
  bool missing = (options->key_count > 0 && es__is_missing(options->keys, "keys", err)) ||
                 (options->anchor_count > 0 && es__is_missing(options->anchors, "anchors", err));

  for (size_t i = 0; !missing && i < options->key_count; i++)
    missing = es__is_missing(options->keys[i], "one of the keys", err);
  for (size_t i = 0; !missing && i < options->anchor_count; i++)
    missing = es__is_missing(options->anchors[i].name, "an anchor's name", err) ||
              es__is_missing(options->anchors[i].note, "an anchor's note", err);
  return missing ? ES_ERR_USAGE : ES_OK;
}

static es_status take_keys(verification *self, es_error *err) {
  es_status status = ES_OK;
  es_vkey key;

  for (size_t i = 0; status == ES_OK && i < self->options->key_count; i++) {
    const char *text = self->options->keys[i];
    status = es__vkey_parse(&key, text, strlen(text), err);
    if (status == ES_OK) status = es__heads_add_key(&self->heads, &key, err);
  }
  return status;
}

/* Adds a checkpoint; one that is damaged is a finding, not a failure. */
static es_status take_head(verification *self, es_head_source source, const char *name,
                           es_text note, es_error *err) {
  es_error problem = ES_ERROR_INIT;
  char message[ES_ERROR_MESSAGE_MAX + 192];
  es_status status = es__heads_add(&self->heads, source, name, note, &problem);

  if (status == ES_ERR_INTEGRITY) {
    snprintf(message, sizeof message, "%s: %s", name, problem.message);
    found(self, "checkpoint", 0, "damaged", message);
    return ES_OK;
  }
  if (status != ES_OK && err != NULL) *err = problem;
  return status;
}

static es_status take_memory(verification *self, es_error *err) {
  es_runtime *rt = self->rt;
  es_signer_memory memory;
  es_error problem = ES_ERROR_INIT;
  char *other = NULL, message[512];
  es_status status = es__memory_open(&memory, self->options->memory_path, rt->store, &problem);

  if (status == ES_ERR_USAGE && self->options->memory_path == NULL) return ES_OK; /* no home */
  if (status == ES_OK) status = es__memory_heads(&self->heads, &memory, &problem);
  if (status == ES_OK) status = es__memory_other_store(&other, &memory, rt->store_path, &problem);
  if (status == ES_OK && other != NULL) {
    snprintf(message, sizeof message,
             "the signer's memory: another store (%s) was signed for at this place", other);
    found(self, "anchor", 0, "foreign", message);
  }
  if (status == ES_ERR_INTEGRITY) {
    found(self, "anchor", 0, "damaged", problem.message);
    status = ES_OK;
  }
  if (status != ES_OK && err != NULL) *err = problem;
  free(other);
  es__memory_close(&memory);
  return status;
}

/* Rows are found by their size, so one that says another than its note hides what it holds. */
static void check_size(verification *self, int64_t size, const es_head *head, const char *name) {
  char message[256];

  if (head->checkpoint.size == size) return;
  snprintf(message, sizeof message, "%s: its note is of %lld events", name,
           (long long)head->checkpoint.size);
  found(self, "checkpoint", 0, "damaged", message);
}

static es_status take_stored(verification *self, es_error *err) {
  es_store_checkpoint stored = {0};
  es_status status = es__store_checkpoint(&stored, self->rt->store, INT64_MAX, err);

  while (status == ES_OK && stored.size >= 0) {
    char name[64];
    size_t before = self->heads.count;
    snprintf(name, sizeof name, "the store's checkpoint of %lld events", (long long)stored.size);
    status =
        take_head(self, ES_HEAD_STORED, name, (es_text){stored.note.data, stored.note.length}, err);
    if (self->heads.count > before) check_size(self, stored.size, &self->heads.items[before], name);
    if (status == ES_OK) status = es__store_checkpoint_before(&stored, self->rt->store, err);
  }
  es__buf_free(&stored.note);
  return status;
}

static es_status take_heads(verification *self, es_error *err) {
  const es_verify_options *options = self->options;
  es_status status = take_keys(self, err);

  if (status == ES_OK) status = take_memory(self, err);
  for (size_t i = 0; status == ES_OK && i < options->anchor_count; i++) {
    char name[160];
    snprintf(name, sizeof name, "anchor %s", options->anchors[i].name);
    status = take_head(self, ES_HEAD_ANCHOR, name, es__text(options->anchors[i].note), err);
  }
  return status == ES_OK ? take_stored(self, err) : status;
}

/* The same checkpoint must be in the store too: deleting them hides what was promised. */
static es_status check_kept(verification *self, const es_head *head, es_error *err) {
  es_store_checkpoint stored = {0};
  char message[320];
  es_status status = es__store_checkpoint(&stored, self->rt->store, head->checkpoint.size, err);

  if (status == ES_OK && stored.size != head->checkpoint.size) {
    snprintf(message, sizeof message,
             "the checkpoint of %lld events is missing from the store: %s has it",
             (long long)head->checkpoint.size, head->name);
    found(self, "checkpoint", 0, "missing", message);
  }
  es__buf_free(&stored.note);
  return status;
}

static void judge_head(verification *self, const es_head *head, const es_error *why) {
  bool stored = head->source == ES_HEAD_STORED;
  const char *fault = strcmp(why->code, "foreign") == 0    ? "foreign"
                      : strcmp(why->code, "rollback") == 0 ? (stored ? "truncated" : "rolled_back")
                      : !stored && head->checkpoint.size <= self->re_signed_to ? "re_signed"
                                                                               : "forked";
  char message[ES_ERROR_MESSAGE_MAX + 256];

  snprintf(message, sizeof message, "against %s: %s%s", head->name, why->message,
           strcmp(fault, "re_signed") == 0 ? "; what stands there now was signed again" : "");
  found(self, stored ? "checkpoint" : "anchor", 0, fault, message);
}

/* Compares one head with the events; an agreeing one extends its range. */
static es_status check_head(verification *self, const es_head *head, int64_t *anchored,
                            int64_t *signed_to, es_error *err) {
  es_error why = ES_ERROR_INIT;
  es_status status = es__ledger_continues(head, self->origin, self->total, self->rt->store, &why);

  if (status == ES_ERR_INTEGRITY) {
    judge_head(self, head, &why);
    if (head->source != ES_HEAD_STORED) *anchored = -1;
    if (head->source == ES_HEAD_STORED && head->trusted) *signed_to = -1;
    return ES_OK;
  }
  if (status != ES_OK) {
    if (err != NULL) *err = why;
    return status;
  }
  if (head->source == ES_HEAD_STORED) {
    if (head->trusted && head->checkpoint.size > self->re_signed_to)
      self->re_signed_to = head->checkpoint.size;
    if (head->trusted && *signed_to >= 0 && head->checkpoint.size > *signed_to)
      *signed_to = head->checkpoint.size;
    return ES_OK;
  }
  if (*anchored >= 0 && head->checkpoint.size > *anchored) *anchored = head->checkpoint.size;
  return check_kept(self, head, err);
}

/* Where an assurance ends: before the first fault; and nothing is assured of events whose content was not looked at. */
static int64_t reach(int64_t agreed_to, int64_t sound, int64_t not_looked_at) {
  int64_t to = agreed_to < sound ? agreed_to : sound;
  return to > not_looked_at ? to : 0;
}

/* The store's own checkpoints first: how far they agree tells a rewrite that was signed again from one that was not. */
static es_status check_heads(verification *self, es_error *err) {
  es_verify_report *out = self->report;
  int64_t anchored = 0, signed_to = 0, sound;
  es_status status = ES_OK;

  for (int stored = 1; stored >= 0; stored--) {
    for (size_t i = 0; status == ES_OK && i < self->heads.count; i++) {
      const es_head *head = &self->heads.items[i];
      if ((head->source == ES_HEAD_STORED) == (stored == 1))
        status = check_head(self, head, &anchored, &signed_to, err);
    }
  }
  sound = self->first_bad == INT64_MAX ? self->total
          : self->first_bad > 0        ? self->first_bad - 1
                                       : 0;
  if (self->first_bad == 0) sound = 0; /* no place can be named, so no range can be vouched for */
  int64_t not_looked_at = out->verified_from - 1;
  out->hashes_only_to = not_looked_at < sound ? not_looked_at : sound;
  out->anchored_to = reach(anchored, sound, not_looked_at);
  out->signed_to = reach(signed_to, sound, not_looked_at);
  if (out->signed_to < out->anchored_to) out->signed_to = out->anchored_to;
  return status;
}

static bool share_a_signer(const es_head *a, const es_head *b) {
  es_note notes[2];
  es_note_signer one, other;

  if (es__note_split(&notes[0], (es_text){a->note.data, a->note.length}, NULL) != ES_OK ||
      es__note_split(&notes[1], (es_text){b->note.data, b->note.length}, NULL) != ES_OK)
    return false;
  for (size_t i = 0; es__note_signer(&one, &i, &notes[0]);) {
    for (size_t j = 0; es__note_signer(&other, &j, &notes[1]);) {
      if (one.id == other.id && es__text_equal(one.name, other.name)) return true;
    }
  }
  return false;
}

/* Where a checkpoint in the store and the one before it have no key in common; the heads come newest first. */
static void find_unlinked(verification *self) {
  const es_head *newer = NULL;

  for (size_t i = 0; i < self->heads.count; i++) {
    const es_head *head = &self->heads.items[i];
    if (head->source != ES_HEAD_STORED) continue;
    if (newer != NULL && !share_a_signer(newer, head)) {
      self->report->unlinked_to = head->checkpoint.size;
      return;
    }
    newer = head;
  }
}

/* "NAME (key ID)" of who signed the head, if keys are known and it is none of them; else "". */
static void name_unknown_signer(char *out, size_t size, const verification *self,
                                const es_head *head) {
  es_note note;
  es_note_signer signer;
  size_t at = 0;

  if (head == NULL || head->trusted || self->heads.key_count == 0) return;
  if (es__note_split(&note, (es_text){head->note.data, head->note.length}, NULL) == ES_OK &&
      es__note_signer(&signer, &at, &note))
    snprintf(out, size, "%.*s (key %08x)", (int)signer.name.length, signer.name.data, signer.id);
}

/* Of the newest checkpoint in the store, as the heads come newest first, and of the anchors. */
static void find_unknown_signers(verification *self) {
  es_verify_report *out = self->report;
  const es_head *newest = NULL;

  for (size_t i = 0; i < self->heads.count; i++) {
    const es_head *head = &self->heads.items[i];
    char signer[sizeof out->unknown_signer] = "";
    if (newest == NULL && head->source == ES_HEAD_STORED) newest = head;
    if (head->source != ES_HEAD_ANCHOR || out->unknown_anchor[0] != '\0') continue;
    name_unknown_signer(signer, sizeof signer, self, head);
    if (signer[0] != '\0')
      snprintf(out->unknown_anchor, sizeof out->unknown_anchor, "%s, signed by %s",
               head->name + strlen("anchor "), signer);
  }
  name_unknown_signer(out->unknown_signer, sizeof out->unknown_signer, self, newest);
}

/* The newest head that holds, so that only what came after it is hashed again. */
static es_status find_start(int64_t *after, verification *self, es_error *err) {
  es_status status = ES_OK;

  *after = 0;
  for (size_t i = 0; status == ES_OK && i < self->heads.count; i++) {
    const es_head *head = &self->heads.items[i];
    es_error why = ES_ERROR_INIT;
    if (head->checkpoint.size <= *after || (head->source == ES_HEAD_STORED && !head->trusted))
      continue;
    status = es__ledger_continues(head, self->origin, self->total, self->rt->store, &why);
    if (status == ES_OK) *after = head->checkpoint.size;
    if (status == ES_ERR_INTEGRITY) status = ES_OK; /* told later */
    if (status != ES_OK && err != NULL) *err = why;
  }
  return status;
}

/* ---- All of it --------------------------------------------------------------------------------------------- */

static bool keep_going(void *data, int64_t done) {
  const verification *self = data;
  const es_verify_options *options = self->options;

  return options->progress == NULL || options->progress(options->progress_data, done, self->total);
}

static es_status scan(verification *self, int64_t after, es_error *err) {
  es_runtime *rt = self->rt;
  es_scan scan = {.store = rt->store,
                  .hash_after = after,
                  .to = self->total,
                  .finding = found,
                  .finding_data = self,
                  .keep_going = keep_going,
                  .keep_going_data = self};
  int jobs = rt->in_transaction ? 1 : self->options->jobs;
  char message[128];
  es_status status = es__scan_in_jobs(&scan, jobs, jobs > 1 ? rt->store_path : NULL, &rt->ids,
                                      found_in_store, self, err);

  if (scan.untold_count > 0 && scan.untold_lowest < self->first_bad)
    self->first_bad = scan.untold_lowest;
  self->report->finding_count += scan.untold_count;
  if (status == ES_OK && self->report->finding_count == 0 && scan.event_count != self->total) {
    snprintf(message, sizeof message, "%lld events were looked at, and the last has position %lld",
             (long long)scan.event_count, (long long)self->total);
    found(self, "position_gap", 0, "missing", message);
  }
  self->report->event_count = scan.event_count;
  self->report->archived_count = scan.archived_count;
  self->report->unseen_count = scan.unseen_count;
  self->report->unseen_from = scan.unseen_from;
  self->report->unseen_to = scan.unseen_to;
  self->report->verified_from = after + 1;
  memcpy(self->report->head_hash, scan.last_hash, ES_HASH_SIZE);
  return status;
}

es_status es_verify(es_verify_report *out, es_runtime *rt, const es_verify_options *options,
                    es_error *err) {
  es_verify_options known = ES_VERIFY_INIT;
  verification self = {
      .rt = rt, .options = &known, .report = out, .first = ES_ERROR_INIT, .first_bad = INT64_MAX};
  es_store_head head;
  int64_t after = 0;
  es_status status;

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = (es_verify_report){0};
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  status = options == NULL ? ES_OK
                           : es__take_options(&known, options, sizeof known, "ES_VERIFY_INIT", err);
  if (status == ES_OK) status = check_lists(&known, err);
  if (status != ES_OK) return status;
  es__ledger_origin(self.origin, rt->store);
  /* The checkpoints before the number of events: what others append and sign meanwhile comes after both. */
  status = take_heads(&self, err);
  if (status == ES_OK) status = es__store_head_of(&head, rt->store, err);
  if (status == ES_OK) self.total = head.position;
  if (status == ES_OK && self.options->since_checkpoint) status = find_start(&after, &self, err);
  if (status == ES_OK) status = scan(&self, after, err);
  if (status == ES_OK) status = check_heads(&self, err);
  find_unlinked(&self);
  find_unknown_signers(&self);
  es__heads_free(&self.heads);
  if (status == ES_ERR_INTEGRITY || (status == ES_OK && out->finding_count > 0)) {
    if (out->finding_count == 0 && err != NULL)
      found(&self, err->code, err->position, "damaged", err->message);
    if (err != NULL) *err = self.first;
    es__wrap(err, "%lld problem%s, the first", (long long)out->finding_count,
             out->finding_count == 1 ? "" : "s");
    es__hint(err, "keep %s as evidence; restore from a backup that verifies",
             rt->store_path == NULL ? "what the store holds" : rt->store_path);
    return ES_ERR_INTEGRITY;
  }
  return status;
}
