/* What callers of esrun.h hand in: structs of an older program, structs that nobody initialised, and NULL. */
#include "signed_ledger.h"

static int set_up_paid(void **state) {
  set_up(state);
  ledger *self = *state;
  assert_int_equal(setenv("XDG_STATE_HOME", self->e.folder, 1), 0); /* the user's own memory */
  pay(self, 3);
  return 0;
}

/* ---- Options --------------------------------------------------------------------------------------------------- */

static es_status opens(ledger *self, const void *options, es_error *err) {
  es_runtime *rt = self->e.rt;
  es_status status = es_open(&rt, options, err);
  assert_null(rt);
  return status;
}

static es_status tells_settings(ledger *self, const void *options, es_error *err) {
  char *text;
  es_status status = es_project_settings(&text, options, err);
  (void)self;
  es_free(text);
  return status;
}

static es_status looks_at_layout(ledger *self, const void *options, es_error *err) {
  es_layout layout;
  (void)self;
  return es_store_layout(&layout, options, err);
}

static es_status restores_there(ledger *self, const void *options, es_error *err) {
  return es_restore(NULL, self->store, options, NULL, err);
}

static es_status restores_so(ledger *self, const void *restoring, es_error *err) {
  es_options options = ES_OPTIONS_INIT;
  char backup[128], target[128];
  place(backup, self, "backup.db");
  place(target, self, "restored.db");
  shell("rm -f %s %s*", backup, target);
  assert_int_equal(es_backup(NULL, self->e.rt, backup, NULL, NULL, &self->e.err), ES_OK);
  options.store_path = target;
  return es_restore(NULL, backup, &options, restoring, err);
}

static es_status enters(ledger *self, const void *frame, es_error *err) {
  es_token token;
  es_status status = es_context_enter(&token, self->e.rt, frame, err);
  if (status == ES_OK) leave(&self->e, token);
  return status;
}

static es_status takes_all(ledger *self, const void *options, es_error *err) {
  es_snapshots_report report;
  return es_snapshot_all(&report, self->e.rt, options, err);
}

static es_status executes(ledger *self, const void *command, es_error *err) {
  es_reply *reply;
  es_status status = es_execute(&reply, self->e.rt, command, err);
  es_reply_free(reply);
  return status;
}

static es_status loads(ledger *self, const void *options, es_error *err) {
  es_frame frame = ES_FRAME_INIT;
  es_token token;
  char *state;
  frame.operator_scope = true;
  assert_int_equal(es_context_enter(&token, self->e.rt, &frame, &self->e.err), ES_OK);
  es_status status = es_load(&state, self->e.rt, "Account", "a", options, err);
  leave(&self->e, token);
  es_free(state);
  return status;
}

static es_status reads(ledger *self, const void *filter, es_error *err) {
  es_cursor *cursor;
  es_status status = es_read(&cursor, self->e.rt, filter, err);
  es_cursor_close(cursor);
  return status;
}

static es_status replays(ledger *self, const void *options, es_error *err) {
  es_replay_report report;
  return es_replay(&report, self->e.rt, options, err);
}

static es_status verifies(ledger *self, const void *options, es_error *err) {
  es_verify_report report;
  return es_verify(&report, self->e.rt, options, err);
}

static es_status makes_key(ledger *self, const void *options, es_error *err) {
  char *vkey;
  (void)self;
  es_status status = es_keygen(&vkey, options, err);
  es_free(vkey);
  return status;
}

static es_status signs(ledger *self, const void *options, es_error *err) {
  char *note;
  es_status status = es_checkpoint(&note, self->e.rt, options, err);
  es_free(note);
  return status;
}

static es_status signs_by_itself(ledger *self, const void *policy, es_error *err) {
  return es_checkpoint_every(self->e.rt, policy, err);
}

static es_status proves(ledger *self, const void *options, es_error *err) {
  char *proof;
  es_status status = es_prove(&proof, self->e.rt, options, err);
  es_free(proof);
  return status;
}

static es_status checks_proof(ledger *self, const void *check, es_error *err) {
  char *result;
  (void)self;
  es_status status = es_verify_proof(&result, check, err);
  es_free(result);
  return status;
}

static es_status imports(ledger *self, const void *options, es_error *err) {
  es_import *import;
  es_status status = es_import_open(&import, self->e.rt, options, err);
  es_import_close(import);
  return status;
}

static es_status archives(ledger *self, const void *options, es_error *err) {
  return es_archive(NULL, self->e.rt, options, err);
}

static es_status unarchives(ledger *self, const void *options, es_error *err) {
  return es_unarchive(NULL, self->e.rt, options, err);
}

/* Every call that takes a struct with a size. `by_default` is the code of its answer when it knows the size alone ("": done),
 * `to_null` that to NULL. */
static const struct {
  const char *name;
  es_status (*call)(ledger *self, const void *options, es_error *err);
  size_t size;
  const char *by_default, *to_null, *init;
} calls[] = {
    {"es_open", opens, sizeof(es_options), "no_store", "no_options", "ES_OPTIONS_INIT"},
    {"es_project_settings", tells_settings, sizeof(es_options), "", "no_options",
     "ES_OPTIONS_INIT"},
    {"es_store_layout", looks_at_layout, sizeof(es_options), "no_store", "no_options",
     "ES_OPTIONS_INIT"},
    {"es_restore (options)", restores_there, sizeof(es_options), "no_store", "no_options",
     "ES_OPTIONS_INIT"},
    {"es_restore (restoring)", restores_so, sizeof(es_restore_options), "", "", "ES_RESTORE_INIT"},
    {"es_context_enter", enters, sizeof(es_frame), "", "no_options", "ES_FRAME_INIT"},
    {"es_execute", executes, sizeof(es_command), "bad_command", "no_options", "ES_COMMAND_INIT"},
    {"es_load", loads, sizeof(es_load_options), "", "", "ES_LOAD_INIT"},
    {"es_read", reads, sizeof(es_filter), "", "", "ES_FILTER_INIT"},
    {"es_replay", replays, sizeof(es_replay_options), "", "", "ES_REPLAY_INIT"},
    {"es_snapshot_all", takes_all, sizeof(es_snapshot_options), "", "", "ES_SNAPSHOT_INIT"},
    {"es_verify", verifies, sizeof(es_verify_options), "", "", "ES_VERIFY_INIT"},
    {"es_keygen", makes_key, sizeof(es_keygen_options), "malformed_key", "no_options",
     "ES_KEYGEN_INIT"},
    {"es_checkpoint", signs, sizeof(es_checkpoint_options), "no_key", "no_options",
     "ES_CHECKPOINT_INIT"},
    {"es_checkpoint_every", signs_by_itself, sizeof(es_checkpoint_policy), "no_key", "",
     "ES_CHECKPOINT_POLICY_INIT"},
    {"es_prove", proves, sizeof(es_prove_options), "bad_proof", "no_options", "ES_PROVE_INIT"},
    {"es_verify_proof", checks_proof, sizeof(es_proof_check), "missing_argument", "no_options",
     "ES_PROOF_CHECK_INIT"},
    {"es_import_open", imports, sizeof(es_import_options), "", "no_options", "ES_IMPORT_INIT"},
    {"es_archive", archives, sizeof(es_archive_options), "bad_choice", "no_options",
     "ES_ARCHIVE_INIT"},
    {"es_unarchive", unarchives, sizeof(es_unarchive_options), "", "", "ES_UNARCHIVE_INIT"},
};
enum { CALL_COUNT = sizeof calls / sizeof calls[0] };

static void answers(ledger *self, size_t i, const void *options, const char *code) {
  es_error err = ES_ERROR_INIT;
  es_status status = calls[i].call(self, options, &err);

  if (status != (code[0] == '\0' ? ES_OK : ES_ERR_USAGE) || strcmp(err.code, code) != 0)
    fail_msg("%s: %s, %s: %s", calls[i].name, es_status_name(status), err.code, err.message);
  if (strcmp(code, "no_options") == 0 || strcmp(code, "bad_size") == 0) {
    if (strstr(err.hint, calls[i].init) == NULL) fail_msg("%s: %s", calls[i].name, err.hint);
    assert_int_equal(calls[i].call(self, options, NULL), status);
  }
}

/* As a program would have that was built before the struct had any member: what lies behind is something else. */
static void only_the_members_that_a_program_knows_are_read(void **state) {
  ledger *self = *state;
  const size_t size = sizeof size;
  for (size_t i = 0; i < CALL_COUNT; i++) {
    unsigned char *options = malloc(calls[i].size);
    memset(options, 0xA5, calls[i].size);
    memcpy(options, &size, size);
    answers(self, i, options, calls[i].by_default);
    free(options);
  }
}

static void structs_that_nobody_initialised_are_refused(void **state) {
  ledger *self = *state;
  for (size_t i = 0; i < CALL_COUNT; i++) {
    void *options = calloc(1, calls[i].size);
    answers(self, i, options, "bad_size");
    free(options);
  }
}

static void options_may_be_null_where_the_header_says_so_only(void **state) {
  for (size_t i = 0; i < CALL_COUNT; i++)
    answers(*state, i, NULL, calls[i].to_null);
}

/* ---- Results and members --------------------------------------------------------------------------------------- */

#define MISSING(name, call)                                                                        \
  do {                                                                                             \
    es_error err = ES_ERROR_INIT;                                                                  \
    es_status status = (call);                                                                     \
    if (status != ES_ERR_USAGE || strcmp(err.code, "missing_argument") != 0 ||                     \
        strstr(err.message, name) == NULL)                                                         \
      fail_msg("%s: %s, %s: %s", #call, es_status_name(status), err.code, err.message);            \
  } while (0)

static void results_need_a_place_to_go_to(void **state) {
  ledger *self = *state;
  es_runtime *rt = self->e.rt;
  es_options options = ES_OPTIONS_INIT;
  es_frame frame = ES_FRAME_INIT;
  es_command command = ES_COMMAND_INIT;
  es_keygen_options keygen = ES_KEYGEN_INIT;
  es_checkpoint_options checkpoint = ES_CHECKPOINT_INIT;
  es_prove_options prove = ES_PROVE_INIT;
  es_proof_check proof = ES_PROOF_CHECK_INIT;
  es_import_options import = ES_IMPORT_INIT;
  es_signing_key key = {.path = self->key};
  es_cursor *cursor;
  es_reply *reply;
  es_event event = {0};
  char *text;
  size_t length;

  command.aggregate_type = "Account";
  command.aggregate_id = "a";
  command.command = "pay";
  command.params_json = "{\"cents\":1}";
  assert_int_equal(es_read(&cursor, rt, NULL, &self->e.err), ES_OK);
  assert_int_equal(es_execute(&reply, rt, &command, &self->e.err), ES_OK);
  MISSING("out", es_open(NULL, &options, &err));
  MISSING("out", es_project_find(NULL, ".", &err));
  MISSING("out", es_describe(NULL, rt, &err));
  MISSING("out", es_config(NULL, rt, &err));
  MISSING("out", es_info(NULL, rt, &err));
  MISSING("out", es_project_settings(NULL, &options, &err));
  MISSING("out", es_context_enter(NULL, rt, &frame, &err));
  MISSING("out", es_context_json(NULL, rt, &err));
  MISSING("out", es_execute(NULL, rt, &command, &err));
  MISSING("out", es_reply_json(NULL, reply, &err));
  MISSING("events", es_append(rt, NULL, 1, 0, &err));
  MISSING("out", es_load(NULL, rt, "Account", "a", NULL, &err));
  MISSING("out", es_read(NULL, rt, NULL, &err));
  MISSING("event", es_cursor_next(NULL, cursor, &err));
  MISSING("out", es_event_json(NULL, NULL, &event, ES_FORM_LOG, &err));
  MISSING("event", es_event_json(&text, NULL, NULL, ES_FORM_LOG, &err));
  MISSING("name", es_project_rebuild(rt, NULL, NULL, NULL, &err));
  MISSING("out", es_project_status(NULL, rt, &err));
  MISSING("projection", es_query(rt, NULL, "q", NULL, NULL, NULL, &err));
  MISSING("row", es_query(rt, "p", "q", NULL, NULL, NULL, &err));
  MISSING("out", es_verify(NULL, rt, NULL, &err));
  MISSING("out", es_replay(NULL, rt, NULL, &err));
  MISSING("out", es_snapshot(NULL, rt, "Account", "a", &err));
  MISSING("out", es_snapshot_all(NULL, rt, NULL, &err));
  MISSING("row", es_snapshots(rt, NULL, NULL, NULL, NULL, &err));
  MISSING("vkey", es_keygen(NULL, &keygen, &err));
  MISSING("vkey", es_key_public(NULL, &key, &err));
  MISSING("key", es_key_public(&text, NULL, &err));
  MISSING("note", es_checkpoint(NULL, rt, &checkpoint, &err));
  MISSING("signature", es_sign_detached(NULL, &length, &text, &key, "x", 1, &err));
  MISSING("signature_length", es_sign_detached(&text, NULL, &text, &key, "x", 1, &err));
  MISSING("public_key", es_sign_detached(&text, &length, NULL, &key, "x", 1, &err));
  MISSING("key", es_sign_detached(&text, &length, &text, NULL, "x", 1, &err));
  MISSING("proof", es_prove(NULL, rt, &prove, &err));
  MISSING("result", es_verify_proof(NULL, &proof, &err));
  MISSING("out", es_import_open(NULL, rt, &import, &err));
  MISSING("path", es_backup(NULL, rt, NULL, NULL, NULL, &err));
  MISSING("path", es_restore(NULL, NULL, &options, NULL, &err));
  MISSING("out", es_segments(NULL, rt, &err));
  MISSING("out", es_sha256(NULL, "x", 1, &err));
  MISSING("out", es_store_layout(NULL, &options, &err));
  es_reply_free(reply);
  es_cursor_close(cursor);
}

static void lists_must_hold_what_their_count_says(void **state) {
  ledger *self = *state;
  es_runtime *rt = self->e.rt;
  const char *const no_key[] = {NULL};
  es_anchor anchor = {"the auditor's", NULL};
  es_verify_options verify = ES_VERIFY_INIT;
  es_verify_report report;
  es_checkpoint_options checkpoint = ES_CHECKPOINT_INIT;
  es_checkpoint_policy policy = ES_CHECKPOINT_POLICY_INIT;
  es_proof_check proof = ES_PROOF_CHECK_INIT;
  uint8_t hash[ES_HASH_SIZE];
  char *text;

  verify.key_count = checkpoint.key_count = policy.key_count = proof.key_count = 1;
  MISSING("keys", es_verify(&report, rt, &verify, &err));
  MISSING("keys", es_checkpoint(&text, rt, &checkpoint, &err));
  MISSING("keys", es_checkpoint_every(rt, &policy, &err));
  MISSING("proof", es_verify_proof(&text, &proof, &err));
  proof.proof = "";
  MISSING("keys", es_verify_proof(&text, &proof, &err));
  verify.keys = proof.keys = no_key;
  MISSING("one of the keys", es_verify(&report, rt, &verify, &err));
  MISSING("one of the keys", es_verify_proof(&text, &proof, &err));
  verify.key_count = 0;
  verify.anchor_count = 1;
  MISSING("anchors", es_verify(&report, rt, &verify, &err));
  verify.anchors = &anchor;
  MISSING("an anchor's note", es_verify(&report, rt, &verify, &err));
  MISSING("bytes", es_sha256(hash, NULL, 1, &err));
  assert_int_equal(es_sha256(hash, NULL, 0, &self->e.err), ES_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_paid, tear_down)
      TEST(only_the_members_that_a_program_knows_are_read),
      TEST(structs_that_nobody_initialised_are_refused),
      TEST(options_may_be_null_where_the_header_says_so_only),
      TEST(results_need_a_place_to_go_to),
      TEST(lists_must_hold_what_their_count_says),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
