/* test_projection_life: each event exactly once, through crashes, several runners and failing handlers. */
#include "projection_place.h"

#include <signal.h>
#include <sys/wait.h>

/* ---- exactly once ---- */

/* Runs when `gate`, a pipe's reading end, says that the other end is closed; -1: at once. */
static void run_in_child(const char *path, int gate) {
  char byte;
  world w;

  open_counter(&w, path);
  if (gate >= 0 && read(gate, &byte, 1) != 0) _exit(2);
  es_status status = es__projections_run(w.projections, NULL, NULL, NULL, &w.err);
  if (status != ES_OK) fprintf(stderr, "%s\n", w.err.message);
  world_close(&w);
  _exit(status == ES_OK ? 0 : 1);
}

static void wait_for(pid_t child) {
  int status;

  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void several_runners_at_once_count_each_event_once(void **state) {
  place *p = *state;
  pid_t children[4];
  world w;

  open_counter(&w, p->store);
  happen_often(&w, 9000);
  world_close(&w);
  for (int i = 0; i < 4; i++) {
    children[i] = fork();
    if (children[i] == 0) run_in_child(p->store, -1);
  }
  for (int i = 0; i < 4; i++)
    wait_for(children[i]);
  open_counter(&w, p->store);
  assert_sum(&w, 9000);
  assert_status_contains(
      &w, "\"state\":\"running\",\"position\":9000,\"head\":9000,\"behind\":0,\"generation\":1");
  world_close(&w);
}

/* Turning a new file to WAL is the moment at which SQLite answers "busy" without waiting. */
static void several_runners_may_make_the_file_at_once(void **state) {
  place *p = *state;
  pid_t children[6];

  for (int round = 0; round < 100; round++) {
    char path[sizeof p->store + 16];
    int gate[2];
    world w;

    snprintf(path, sizeof path, "%s-%d", p->store, round);
    open_counter(&w, path);
    happen_often(&w, 2);
    world_close(&w);
    assert_int_equal(pipe(gate), 0);
    for (int i = 0; i < 6; i++) {
      children[i] = fork();
      if (children[i] != 0) continue;
      close(gate[1]);
      run_in_child(path, gate[0]);
    }
    close(gate[0]);
    close(gate[1]);
    for (int i = 0; i < 6; i++)
      wait_for(children[i]);
  }
}

/* Kills the process in the middle of a transaction, before event `*data`. */
static void push_and_die(lua_State *L, const es_event *event, void *data) {
  if (event->position == *(int64_t *)data) raise(SIGKILL);
  es__lua_push_event(L, event, 0);
}

static void a_killed_runner_loses_and_doubles_nothing(void **state) {
  place *p = *state;
  world w;

  open_counter(&w, p->store);
  happen_often(&w, 5000);
  world_close(&w);
  for (int64_t at = 1; at <= 5000; at += 617) {
    pid_t child = fork();
    int status;
    if (child == 0) {
      world_options options = {
          .path = p->store, .push_event = push_and_die, .push_event_data = &at};
      world_open_with(&w, &options);
      must_declare(&w, "projections/counter.lua", counter);
      es__projections_run(w.projections, NULL, NULL, NULL, NULL);
      _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  }
  open_counter(&w, p->store);
  must_run(&w, NULL);
  assert_sum(&w, 5000);
  world_close(&w);
}

/* Kills the process when a transaction has just become durable, before anything else is done. */
static int die_when_committed(void *data, sqlite3 *db, const char *name, int pages) {
  (void)data, (void)db, (void)name, (void)pages;
  raise(SIGKILL);
  return SQLITE_OK;
}

static void rows_and_cursor_become_durable_together(void **state) {
  place *p = *state;
  world w;

  open_counter(&w, p->store);
  happen_often(&w, 3500);
  world_close(&w);
  for (int i = 0; i < 3; i++) {
    pid_t child = fork();
    int status;
    if (child == 0) {
      es_projection *found = NULL;
      open_counter(&w, p->store);
      es__projections_find(&found, w.projections, "counter", NULL);
      es__projection_use_current(found, true, NULL);
      sqlite3_wal_hook(found->file->db, die_when_committed, NULL);
      es__projections_run(w.projections, NULL, NULL, NULL, NULL);
      _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
  }
  open_counter(&w, p->store);
  assert_sum(&w, 3000); /* each of the three finished one transaction */
  must_run(&w, NULL);
  assert_sum(&w, 3500);
  world_close(&w);
}

static bool die_after(void *data, int64_t done, int64_t total) {
  (void)done, (void)total;
  if (--*(int *)data == 0) raise(SIGKILL);
  return true;
}

static void a_rebuild_that_was_killed_leaves_the_old_rows_and_can_be_repeated(void **state) {
  place *p = *state;
  int batches = 2, status;
  pid_t child;
  world w;

  open_counter(&w, p->store);
  happen_often(&w, 5000);
  must_run(&w, NULL);
  world_close(&w);
  child = fork();
  if (child == 0) {
    open_counter(&w, p->store);
    es__projections_rebuild(w.projections, "counter", die_after, &batches, NULL);
    _exit(0);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  open_counter(&w, p->store);
  assert_status_contains(&w, "\"generation\":1,\"building\":2");
  assert_sum(&w, 5000);
  assert_int_equal(es__projections_rebuild(w.projections, "counter", NULL, NULL, &w.err), ES_OK);
  assert_int_equal(generation_of(&w, "counter"), 3);
  assert_sum(&w, 5000);
  world_close(&w);
}

static bool stop_now(void *data, int64_t done, int64_t total) {
  (void)data, (void)done, (void)total;
  return false;
}

static void a_run_stops_cleanly_between_transactions(void **state) {
  world w;

  (void)state;
  open_counter(&w, NULL);
  happen_often(&w, 3000);
  assert_int_equal(es__projections_run(w.projections, NULL, stop_now, NULL, &w.err), ES_ERR_OTHER);
  assert_string_equal(w.err.code, "stopped");
  assert_contains(w.err.message, "stopped after 1000 events");
  assert_sum(&w, 1000);
  must_run(&w, NULL);
  assert_sum(&w, 3000);
  world_close(&w);
}

/* ---- failing handlers ---- */

static const char picky[] =
    "local es = require 'es'\nlocal P = es.projection 'picky'\n"
    "P.tables = { sums = { id = 'integer', n = 'integer', key = { 'id' } } }\n"
    "P.on = { Counted = function(t, e)\n"
    "  t.sums:add({ id = 1 }, { n = 1 })\n"
    "  if e.position == 700 then error('cannot count ' .. e.position) end\n"
    "end }\n"
    "P.queries = { sum = { sql = 'SELECT n FROM sums' } }\nreturn P\n";

static void a_failing_handler_stops_only_its_projection_and_names_the_event(void **state) {
  place *p = *state;
  world w;

  open_counter(&w, p->store);
  must_declare(&w, "projections/picky.lua", picky);
  happen_often(&w, 2500);
  assert_int_equal(es__projections_run(w.projections, NULL, NULL, NULL, &w.err), ES_ERR_LUA);
  assert_contains(w.err.message, "projection picky stopped at event 700 (Counted ");
  assert_contains(w.err.message, "projections/picky.lua:6: cannot count 700");
  assert_int_equal(w.err.position, 700);
  assert_sum(&w, 2500);
  /* everything before it is counted, nothing of it */
  assert_rows(&w, "picky", "sum", NULL, NULL, "{\"n\":699}");
  assert_status_contains(&w, "\"name\":\"counter\",\"state\":\"running\"");
  assert_status_contains(&w, "\"name\":\"picky\",\"state\":\"stopped\",\"position\":699");
  assert_status_contains(
      &w, "\"failed_position\":700,\"error\":\"projection picky stopped at event 700");
  /* the same event again, as long as the module is the same */
  assert_int_equal(es__projections_run(w.projections, "picky", NULL, NULL, &w.err), ES_ERR_LUA);
  assert_rows(&w, "picky", "sum", NULL, NULL, "{\"n\":699}");
  world_close(&w);
}

static void a_handler_that_never_ends_stops_its_projection(void **state) {
  world_options options = {.time_limit_us = 50000};
  world w;

  (void)state;
  world_open_with(&w, &options);
  must_declare(&w, "projections/slow.lua",
               "local es = require 'es'\nlocal P = es.projection 'slow'\n"
               "P.on = { Counted = function(t, e) if e.position == 3 then while true do end end "
               "end }\nreturn P\n");
  happen_often(&w, 10);
  assert_int_equal(es__projections_run(w.projections, NULL, NULL, NULL, &w.err), ES_ERR_LUA);
  assert_string_equal(w.err.code, "time_limit");
  assert_int_equal(w.err.position, 3);
  assert_status_contains(&w, "\"state\":\"stopped\",\"position\":2");
  world_close(&w);
}

/* SQLite gives up the whole transaction when it interrupts a statement that writes. */
static void fills_at_700(const char *filling, const char *part) {
  es_buf text = {0};
  world w;

  world_open(&w, NULL);
  es__buf_format(&text,
                 "local es = require 'es'\nlocal C = es.projection 'counter'\n"
                 "C.tables = { sums = { id = 'integer', n = 'integer', key = { 'id' } } }\n"
                 "C.statements = { fill = { sql = [[INSERT INTO sums\n"
                 "  SELECT n, 1 FROM (WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM "
                 "c) SELECT n FROM c)]] } }\n"
                 "C.on = { Counted = function(t, e)\n"
                 "  t.sums:add({ id = 1 }, { n = 1 })\n"
                 "  if e.position == 700 then %s end\n"
                 "end }\n"
                 "C.queries = { sum = { sql = 'SELECT n FROM sums' } }\nreturn C\n",
                 filling);
  must_declare(&w, "projections/counter.lua", text.data);
  happen_often(&w, 1500);
  assert_int_equal(es__projections_run(w.projections, NULL, NULL, NULL, &w.err), ES_ERR_LUA);
  assert_contains(w.err.message, part);
  assert_int_equal(w.err.position, 700);
  assert_sum(&w, 699);
  assert_status_contains(&w, "\"state\":\"stopped\",\"position\":699");
  assert_int_equal(es__projections_run(w.projections, NULL, NULL, NULL, &w.err), ES_ERR_LUA);
  assert_sum(&w, 699);
  world_close(&w);
  es__buf_free(&text);
}

static void a_statement_that_never_ends_stops_its_projection_too(void **state) {
  (void)state;
  fills_at_700("t:fill()", "the statement takes too long");
  /* however hard the handler looks away */
  fills_at_700("pcall(t.fill, t)", "a statement that takes too long undid what was written");
  fills_at_700("pcall(t.fill, t) t.sums:add({ id = 1 }, { n = 1 })",
               "an earlier error undid what was written");
  fills_at_700("pcall(t.fill, t) pcall(t.sums.add, t.sums, { id = 1 }, { n = 1 })",
               "a statement that takes too long undid what was written");
}

static void honest_handlers_that_are_slow_together_go_on(void **state) {
  world_options options = {.time_limit_us = 20000};
  world w;

  (void)state;
  world_open_with(&w, &options);
  must_declare(&w, "projections/counter.lua",
               "local es = require 'es'\nlocal C = es.projection 'counter'\n"
               "C.tables = { sums = { id = 'integer', n = 'integer', key = { 'id' } } }\n"
               "C.on = { Counted = function(t, e) t.sums:add({ id = 1 }, { n = 1 })\n"
               "  local x = 0 for i = 1, 20000 do x = x + i end end }\n"
               "C.queries = { sum = { sql = 'SELECT n FROM sums' } }\nreturn C\n");
  happen_often(&w, 600);
  must_run(&w, NULL);
  assert_sum(&w, 600);
  world_close(&w);
}

static void a_full_disk_is_not_the_handlers_fault(void **state) {
  place *p = *state;
  es_projection *found;
  world w;

  world_open(&w, p->store);
  must_declare(
      &w, "projections/counter.lua",
      "local es = require 'es'\nlocal C = es.projection 'counter'\n"
      "C.tables = { rows = { id = 'integer', text = 'string', key = { 'id' } } }\n"
      "C.on = { Counted = function(t, e)\n"
      "  pcall(function() t.rows:put { id = e.position, text = ('x'):rep(1000) } end)\n" /* even so */
      "end }\n"
      "C.queries = { sum = { sql = 'SELECT count(*) AS n FROM rows' } }\nreturn C\n");
  happen_often(&w, 10);
  must_run(&w, NULL);
  happen_often(&w, 2000);
  assert_int_equal(es__projections_find(&found, w.projections, "counter", &w.err), ES_OK);
  assert_int_equal(es__projection_file_exec(found->file, "PRAGMA max_page_count = 100", &w.err),
                   ES_OK);
  assert_int_equal(es__projections_run(w.projections, NULL, NULL, NULL, &w.err), ES_ERR_STORE);
  assert_string_equal(w.err.code, "disk_full");
  assert_status_contains(&w, "\"state\":\"running\",\"position\":10,");
  assert_int_equal(es__projection_file_exec(found->file, "PRAGMA max_page_count = 100000", &w.err),
                   ES_OK);
  must_run(&w, NULL);
  assert_sum(&w, 2010);
  world_close(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      PLACED(several_runners_at_once_count_each_event_once),
      PLACED(several_runners_may_make_the_file_at_once),
      PLACED(a_killed_runner_loses_and_doubles_nothing),
      PLACED(rows_and_cursor_become_durable_together),
      PLACED(a_rebuild_that_was_killed_leaves_the_old_rows_and_can_be_repeated),
      PLACED(a_run_stops_cleanly_between_transactions),
      PLACED(a_failing_handler_stops_only_its_projection_and_names_the_event),
      PLACED(a_handler_that_never_ends_stops_its_projection),
      PLACED(a_statement_that_never_ends_stops_its_projection_too),
      PLACED(honest_handlers_that_are_slow_together_go_on),
      PLACED(a_full_disk_is_not_the_handlers_fault),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
