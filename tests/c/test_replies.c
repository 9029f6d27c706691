/* test_replies: replies to idempotency keys are compared with the events: by verification, and when they are given again. The
 * attacker writes what he likes and puts the row's checksum right. */
#include "engine_support.h"

#include <sqlite3.h>

#include "base/error.h"
#include "ledger/chain.h"

static const char module[] =
    "local es = require 'es'\n"
    "local rule = require 'es.rule'\n"
    "local Note = es.aggregate 'Note'\n"
    "Note.events = { Written = { n = 'integer' } }\n"
    "Note.commands = {\n"
    "  write = { params = { count = 'integer', event_id = 'string?', correlation_id = 'string?' "
    "},\n"
    "    allow = rule.anyone,\n"
    "    decide = function(_, cmd)\n"
    "      if cmd.count < 0 then return es.reject('below_zero', 'Less than \"nothing\"') end\n"
    "      local out = {}\n"
    "      for i = 1, cmd.count do\n"
    "        out[i] = es.event('Written', { n = i })\n"
    "        if cmd.event_id then out[i] = out[i]:with_causation(cmd) end\n"
    "      end\n"
    "      return out\n"
    "    end },\n"
    "}\n"
    "return Note\n";

typedef struct world {
  engine e;
  char path[128];
} world;

static void close_store(world *w) {
  es_close(w->e.rt);
  w->e.rt = NULL;
}

static es_status ask(world *w, const char *id, const char *key, const char *params) {
  es_command command = ES_COMMAND_INIT;
  command.aggregate_type = "Note";
  command.aggregate_id = id;
  command.command = "write";
  command.params_json = params;
  command.idempotency_key = key;
  return run_command(&w->e, &command, NULL);
}

/* Positions: 1 without a key, 2 of reply 1, 3 and 4 of 2, none of 3, 5 of the rejection 4, 6 of 5, 7 without a key, 8 of 6. */
static int set_up(void **state) {
  static world w;
  new_project(&w.e);
  snprintf(w.path, sizeof w.path, "%s/store.db", w.e.folder);
  write_file(&w.e, "aggregates/note.lua", module);
  open_engine(&w.e, w.path);
  assert_int_equal(ask(&w, "a", NULL, "{\"count\":1}"), ES_OK);
  assert_int_equal(ask(&w, "a", "one", "{\"count\":1}"), ES_OK);
  assert_int_equal(ask(&w, "b", "two", "{\"count\":2}"), ES_OK);
  assert_int_equal(ask(&w, "b", "none", "{\"count\":0}"), ES_OK);
  assert_int_equal(ask(&w, "b", "rejected", "{\"count\":-1}"), ES_ERR_REJECTED);
  assert_int_equal(ask(&w, "b", "caused",
                       "{\"count\":1,\"event_id\":\"01890a5d-ac96-774b-bcce-b302099a8057\","
                       "\"correlation_id\":\"01890a5d-ac96-774b-bcce-b302099a8058\"}"),
                   ES_OK);
  assert_int_equal(ask(&w, "b", NULL, "{\"count\":1}"), ES_OK);
  assert_int_equal(ask(&w, "b", "last", "{\"count\":1}"), ES_OK);
  close_store(&w);
  *state = &w;
  return 0;
}

static int tear_down(void **state) {
  remove_project(&((world *)*state)->e);
  return 0;
}

/* ---- The attacker ------------------------------------------------------------------------------------------ */

static void run(sqlite3 *db, const char *sql) {
  char *why = NULL;
  if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s in: %s", why, sql);
}

/* SHA-256 of its arguments, as texts and blobs are. */
static void digest(sqlite3_context *context, int count, sqlite3_value **values) {
  es_chain *chain = sqlite3_user_data(context);
  uint8_t bytes[4096], hash[ES_HASH_SIZE];
  size_t length = 0;
  for (int i = 0; i < count; i++) {
    size_t part = (size_t)sqlite3_value_bytes(values[i]);
    assert_true(length + part <= sizeof bytes);
    memcpy(bytes + length, sqlite3_value_blob(values[i]), part);
    length += part;
  }
  assert_int_equal(es__sha256(chain, hash, bytes, length, NULL, 0, NULL), ES_OK);
  sqlite3_result_blob(context, hash, ES_HASH_SIZE, SQLITE_TRANSIENT);
}

/* Runs SQL that changes replies, then computes all checksums anew. */
static void attack(const world *w, const char *sql) {
  sqlite3 *db;
  sqlite3_stmt *get;
  es_chain *chain;
  assert_int_equal(es__chain_new(&chain, NULL), ES_OK);
  assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
  sqlite3_create_function(db, "digest", -1, SQLITE_UTF8, chain, digest, NULL, NULL);
  assert_int_equal(sqlite3_prepare_v2(db,
                                      "SELECT group_concat(sql, ';') FROM sqlite_schema"
                                      " WHERE type = 'trigger' AND tbl_name = 'replies'",
                                      -1, &get, NULL),
                   SQLITE_OK);
  assert_int_equal(sqlite3_step(get), SQLITE_ROW);
  char *triggers = strdup((const char *)sqlite3_column_text(get, 0));
  sqlite3_finalize(get);
  run(db, "DROP TRIGGER replies_no_update; DROP TRIGGER replies_no_delete;"
          "DROP TRIGGER replies_guard");
  run(db, sql);
  run(db, "UPDATE replies SET checksum = digest(reply_id || ' ' || first_position || ' '"
          " || event_count || ' ' || created_at || ' ', key, params_hash, body)");
  run(db, triggers);
  free(triggers);
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
  es__chain_free(chain);
}

/* ---- Verification ------------------------------------------------------------------------------------------ */

typedef struct notes {
  char all[2048];
  int replies, others;
} notes;

static void note(void *data, const es_finding *finding) {
  notes *said = data;
  size_t length = strlen(said->all);
  *(strcmp(finding->kind, "reply") == 0 ? &said->replies : &said->others) += 1;
  snprintf(said->all + length, sizeof said->all - length, "%s at %lld: %s; ", finding->kind,
           (long long)finding->position, finding->message);
}

static void verify(notes *said, world *w, int jobs) {
  es_verify_options options = ES_VERIFY_INIT;
  es_verify_report report;
  memset(said, 0, sizeof *said);
  options.finding = note;
  options.finding_data = said;
  options.memory_path = "";
  options.jobs = jobs;
  open_engine(&w->e, w->path);
  es_status status = es_verify(&report, w->e.rt, &options, &w->e.err);
  if (status != ES_OK && status != ES_ERR_INTEGRITY) fail_msg("%s", w->e.err.message);
  close_store(w);
}

#define SET(change, reply) "UPDATE replies SET " change " WHERE reply_id = " #reply
#define BODY(from, to, reply) SET("body = replace(body, '" from "', '" to "')", reply)

/* covers C5, C17 */
static void a_reply_that_does_not_follow_from_the_events_is_named(void **state) {
  world *w = *state;
  static const struct {
    const char *attack, *words;
  } attacks[] = {
      {BODY("\"version\":2", "\"version\":3", 1), "at 2: reply 1 has another version"},
      {SET("first_position = 1", 1) ";" BODY("\"version\":2", "\"version\":1", 1),
       "at 1: reply 1 was given at another time"},
      {SET("created_at = created_at + 1", 1), "at 2: reply 1 was given at another time"},
      {"UPDATE replies SET body = replace(body, substr(body, 20, 36), substr("
       "(SELECT body FROM replies WHERE reply_id = 2), 20, 36)) WHERE reply_id = 1",
       "at 2: reply 1 has another correlation id"},
      {SET("event_count = 1", 2), "at 3: reply 2 has another version"},
      {SET("event_count = 3", 2) ";" BODY("\"version\":2", "\"version\":3", 2),
       "reply 2 names events of several streams"},
      {SET("event_count = 0", 2), "at 3: reply 2 says ok without events, and names one"},
      {SET("event_count = 9", 6), "at 8: reply 6 names events that are not there"},
      {SET("event_count = 9223372036854775807", 6), "reply 6 names events that are not there"},
      {SET("first_position = 99", 6), "at 99: reply 6 names events that are not there"},
      {SET("first_position = -1", 6), "at 0: reply 6 names no event"},
      {SET("event_count = -1", 6), "reply 6 has a wrong number of events"},
      {SET("first_position = 3", 5), "at 3: reply 5 names what belongs to a reply before it"},
      {SET("body = '{\"correlation_id\":\"' || substr(body, instr(body, 'id\":\"') + 5, 36)"
           " || '\",\"outcome\":\"ok\",\"version\":3}'",
           4),
       "at 5: reply 4 says ok without events, and names one"},
      {SET("event_count = 1, body = '{\"correlation_id\":\"' || substr(body, instr(body, 'id\":\"')"
           " + 5, 36) || '\",\"outcome\":\"ok\",\"version\":1}'",
           4),
       "at 5: reply 4 says ok of what the runtime recorded"},
      {BODY("below_zero", "too_small", 4), "at 5: reply 4 says rejected, and no such"},
      {SET("body = '{\"code\":\"no\",' || replace(substr(body, 2), '\"outcome\":\"ok\"',"
           " '\"message\":\"No\",\"outcome\":\"rejected\"')",
           1),
       "reply 1 has a wrong number of events"},
      {SET("event_count = 0, body = '{\"code\":\"no\",' || replace(substr(body, 2),"
           " '\"outcome\":\"ok\"', '\"message\":\"No\",\"outcome\":\"rejected\"')",
           1),
       "at 2: reply 1 says rejected, and no such"},
      {SET("first_position = 0", 4), "at 0: reply 4 names no event"},
      {BODY("rejected", "ok", 4), "reply 4 says nothing that was ever written"},
      {BODY("\"ok\"", "\"okay\"", 1), "reply 1 says nothing that was ever written"},
      {SET("body = body || ' '", 1), "reply 1 says nothing that was ever written"},
      {SET("body = '{}'", 1), "reply 1 says nothing that was ever written"},
      {SET("body = '{'", 1), "reply 1 says nothing that was ever written"},
      {"UPDATE replies SET body = replace(body, '\"Less than \\\"nothing\\\"\"', 'null')"
       " WHERE reply_id = 4",
       "reply 4 says nothing that was ever written"},
      {"DELETE FROM replies WHERE reply_id = 3", "reply 4 follows a gap"},
  };
  char copy[160], command[400];
  notes said;

  snprintf(copy, sizeof copy, "%s-kept", w->path);
  snprintf(command, sizeof command, "cp %s %s", w->path, copy);
  assert_int_equal(system(command), 0);
  snprintf(command, sizeof command, "cp %s %s", copy, w->path);
  for (int jobs = 1; jobs <= 2; jobs++) {
    verify(&said, w, jobs);
    if (said.all[0] != '\0') fail_msg("untouched: %s", said.all);
  }
  for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
    assert_int_equal(system(command), 0);
    attack(w, attacks[i].attack);
    for (int jobs = 1; jobs <= 2; jobs++) {
      verify(&said, w, jobs);
      if (strstr(said.all, attacks[i].words) == NULL || said.others > 0)
        fail_msg("%s: wanted: %s, got: %s", attacks[i].attack, attacks[i].words, said.all);
    }
  }
}

/* What the guide says that no check can tell. */
static void what_no_event_tells_goes_unseen(void **state) {
  world *w = *state;
  notes said;
  attack(w, SET("params_hash = zeroblob(32), key = randomblob(32)", 1) ";" /* who asked for what */
         BODY("Less than", "More than", 4) ";"                             /* a rejection's text */
         BODY("\"version\":2", "\"version\":7",
              3) ";"                                        /* of a command that did nothing */
                 "DELETE FROM replies WHERE reply_id = 6"); /* the last */
  verify(&said, w, 1);
  if (said.all[0] != '\0') fail_msg("%s", said.all);
}

static void a_reply_with_another_streams_events_is_not_given(void **state) {
  world *w = *state;
  attack(w, SET("first_position = 7", 1) ";" BODY("\"version\":2", "\"version\":4", 1));
  open_engine(&w->e, w->path);
  assert_int_equal(ask(w, "a", "one", "{\"count\":1}"), ES_ERR_INTEGRITY);
  assert_non_null(strstr(w->e.err.message, "another stream's"));
  close_store(w);
  attack(w, SET("first_position = 1", 1));
  open_engine(&w->e, w->path);
  assert_int_equal(ask(w, "a", "one", "{\"count\":1}"), ES_ERR_INTEGRITY);
  close_store(w);
  attack(w, SET("first_position = 2", 1) ";" SET("body = '[1]'", 2));
  open_engine(&w->e, w->path);
  assert_int_equal(ask(w, "a", "one", "{\"count\":1}"), ES_ERR_INTEGRITY);
  assert_int_equal(ask(w, "b", "two", "{\"count\":2}"), ES_ERR_INTEGRITY);
  assert_string_equal(w->e.err.code, "reply");
}

#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      FRESH(a_reply_that_does_not_follow_from_the_events_is_named),
      FRESH(what_no_event_tells_goes_unseen),
      FRESH(a_reply_with_another_streams_events_is_not_given),
  };
  return cmocka_run_group_tests_name("replies", tests, NULL, NULL);
}
