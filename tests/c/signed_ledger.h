/* signed_ledger: a project with a key and a folder for the signer's memory, for the tests of checkpoints and proofs. */
#ifndef ES_TESTS_SIGNED_LEDGER_H
#define ES_TESTS_SIGNED_LEDGER_H

#include "engine_support.h"

typedef struct ledger {
  engine e;
  char store[128], key[128], memory[128];
  char *vkey;
} ledger;

static const char module_text[] =
    "local es = require 'es'\n"
    "local A = es.aggregate 'Account'\n"
    "A.events = { Paid = { cents = 'integer' } }\n"
    "function A.initial() return { cents = 0 } end\n"
    "A.apply = { Paid = function(a, e) a.cents = a.cents + e.data.cents end }\n"
    "A.commands = { pay = { params = { cents = 'integer' }, allow = function() return true end,\n"
    "  decide = function(_, cmd) return es.event('Paid', { cents = cmd.cents }) end } }\n"
    "return A\n";

static inline void place(char out[128], const ledger *self, const char *name) {
  snprintf(out, 128, "%s/%s", self->e.folder, name);
}

static inline int set_up(void **state) {
  ledger *self = calloc(1, sizeof *self);
  es_keygen_options options = ES_KEYGEN_INIT;
  new_project(&self->e);
  write_file(&self->e, "aggregates/account.lua", module_text);
  place(self->store, self, "store.db");
  place(self->key, self, "key");
  place(self->memory, self, "memory");
  open_engine(&self->e, self->store);
  options.name = "example.com/ledger";
  options.path = self->key;
  if (es_keygen(&self->vkey, &options, &self->e.err) != ES_OK) fail_msg("%s", self->e.err.message);
  *state = self;
  return 0;
}

static inline int tear_down(void **state) {
  ledger *self = *state;
  es_free(self->vkey);
  remove_project(&self->e);
  free(self);
  return 0;
}

static inline void pay(ledger *self, int times) {
  for (int i = 0; i < times; i++)
    succeeds(&self->e, "Account", i % 2 == 0 ? "a" : "b", "pay", "{\"cents\":5}");
}

static inline void shell(const char *format, ...) {
  char command[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(command, sizeof command, format, args);
  va_end(args);
  assert_int_equal(system(command), 0);
}

/* Keeps the store's file as it is now, and puts it back in place of what it has become. */
static inline void keep_copy(ledger *self) {
  es_close(self->e.rt);
  shell("cp %s %s.old", self->store, self->store);
  open_engine(&self->e, self->store);
}

static inline void put_copy_back(ledger *self) {
  es_close(self->e.rt);
  shell("cp %s.old %s && rm -f %s-wal %s-shm", self->store, self->store, self->store, self->store);
  open_engine(&self->e, self->store);
}

static inline void reopen(ledger *self) {
  es_close(self->e.rt);
  self->e.rt = NULL;
  open_engine(&self->e, self->store);
}

static inline es_status try_sign_with(ledger *self, char **note, const char *key,
                                      bool accept_rollback) {
  es_checkpoint_options options = ES_CHECKPOINT_INIT;
  es_signing_key keys[] = {{.path = key}};
  options.keys = keys;
  options.key_count = 1;
  options.memory_path = self->memory;
  options.accept_rollback = accept_rollback;
  return es_checkpoint(note, self->e.rt, &options, &self->e.err);
}

static inline es_status try_sign(ledger *self, char **note, const char *key) {
  return try_sign_with(self, note, key, false);
}

static inline es_status try_accepting(ledger *self, char **note) {
  return try_sign_with(self, note, self->key, true);
}

static inline char *sign(ledger *self) {
  char *note;
  if (try_sign(self, &note, self->key) != ES_OK) fail_msg("%s", self->e.err.message);
  return note;
}

static inline void refuses_to_sign(ledger *self, es_status status, const char *code) {
  char *note;
  assert_int_equal(try_sign(self, &note, self->key), status);
  assert_null(note);
  assert_string_equal(self->e.err.code, code);
}

static inline es_status verify(ledger *self, es_verify_report *report, const char *anchor,
                               int jobs) {
  es_verify_options options = ES_VERIFY_INIT;
  es_anchor anchors[] = {{"the auditor's", anchor}};
  options.memory_path = self->memory;
  options.anchors = anchors;
  options.anchor_count = anchor == NULL ? 0 : 1;
  options.jobs = jobs;
  return es_verify(report, self->e.rt, &options, &self->e.err);
}

#endif
