/* test_projection_life: a projection through failures, crashes, several runners, rebuilds, restores and changes of its module. */
#include "projection_support.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Every test has a folder of its own for a store's file. */
typedef struct place {
  char folder[64];
  char store[96];
} place;

static int make_place(void **state) {
  place *p = calloc(1, sizeof *p);

  snprintf(p->folder, sizeof p->folder, "/tmp/esrun-projection-XXXXXX");
  if (p == NULL || mkdtemp(p->folder) == NULL) return -1;
  snprintf(p->store, sizeof p->store, "%s/store.db", p->folder);
  *state = p;
  return 0;
}

static void empty_folder(const char *path) {
  DIR *folder = opendir(path);
  char inner[512];

  for (struct dirent *one; folder != NULL && (one = readdir(folder)) != NULL;) {
    struct stat about;
    if (strcmp(one->d_name, ".") == 0 || strcmp(one->d_name, "..") == 0) continue;
    snprintf(inner, sizeof inner, "%s/%s", path, one->d_name);
    if (stat(inner, &about) == 0 && S_ISDIR(about.st_mode)) empty_folder(inner);
    remove(inner);
  }
  if (folder != NULL) closedir(folder);
}

static int remove_place(void **state) {
  place *p = *state;

  empty_folder(p->folder);
  remove(p->folder);
  free(p);
  return 0;
}

/* Counts events; `twice` would show as a sum that is too high, a lost one as a sum that is too low. */
static const char counter[] =
    "local es = require 'es'\nlocal C = es.projection 'counter'\n"
    "C.tables = { sums = { id = 'integer', n = 'integer', key = { 'id' } } }\n"
    "C.on = { Counted = function(t, e) t.sums:add({ id = 1 }, { n = e.data.n }) end }\n"
    "C.queries = { sum = { sql = 'SELECT n FROM sums' } }\nreturn C\n";

static void open_counter(world *w, const char *path) {
  world_open(w, path);
  must_declare(w, "projections/counter.lua", counter);
}

static void assert_sum(world *w, int expected) {
  char text[64];

  snprintf(text, sizeof text, "{\"n\":%d}", expected);
  assert_rows(w, "counter", "sum", NULL, NULL, text);
}

static int64_t generation_of(world *w, const char *name) {
  es_manifest_entry entry;

  assert_int_equal(es__manifest_read(&entry, w->projections, name, &w->err), ES_OK);
  return entry.generation;
}

/* ---- exactly once ---- */

static void run_in_child(const char *path) {
  world w;

  open_counter(&w, path);
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
    if (children[i] == 0) run_in_child(p->store);
  }
  for (int i = 0; i < 4; i++)
    wait_for(children[i]);
  open_counter(&w, p->store);
  assert_sum(&w, 9000);
  assert_status_contains(
      &w, "\"state\":\"running\",\"position\":9000,\"head\":9000,\"behind\":0,\"generation\":1");
  world_close(&w);
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
  assert_int_equal(es__projections_run(w.projections, NULL, stop_now, NULL, &w.err), ES_OK);
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

/* ---- rebuilds ---- */

/* Another reader while the new generation is being built. */
typedef struct onlooker {
  world *reader;
  int looks;
} onlooker;

static bool look(void *data, int64_t done, int64_t total) {
  onlooker *o = data;

  assert_true(done <= total);
  assert_sum(o->reader, 5000);
  o->looks++;
  return true;
}

static int count_files(const char *store, const char *prefix) {
  char path[256];
  DIR *folder;
  int count = 0;

  snprintf(path, sizeof path, "%s-projections", store);
  folder = opendir(path);
  for (struct dirent *one; folder != NULL && (one = readdir(folder)) != NULL;)
    count += strncmp(one->d_name, prefix, strlen(prefix)) == 0;
  if (folder != NULL) closedir(folder);
  return count;
}

static void reads_go_on_while_a_rebuild_takes_over(void **state) {
  place *p = *state;
  world w, reader;
  onlooker o = {&reader, 0};

  open_counter(&w, p->store);
  happen_often(&w, 5000);
  must_run(&w, NULL);
  open_counter(&reader, p->store);
  assert_sum(&reader, 5000);
  assert_int_equal(es__projections_rebuild(w.projections, "counter", look, &o, &w.err), ES_OK);
  assert_int_equal(o.looks, 5);
  assert_int_equal(generation_of(&reader, "counter"), 2);
  assert_int_equal(count_files(p->store, "counter.1.db"), 0);
  assert_int_equal(count_files(p->store, "counter.2.db"), 1 + 2); /* with -wal and -shm */
  assert_sum(&reader, 5000);
  /* the reader's own runs go into the new generation too */
  happen_often(&w, 10);
  must_run(&reader, NULL);
  assert_sum(&w, 5010);
  world_close(&reader);
  world_close(&w);
}

static void a_rebuild_in_memory_takes_over_too(void **state) {
  world w;

  (void)state;
  open_counter(&w, NULL);
  happen_often(&w, 1500);
  must_run(&w, NULL);
  assert_int_equal(es__projections_rebuild(w.projections, "counter", NULL, NULL, &w.err), ES_OK);
  assert_sum(&w, 1500);
  assert_status_contains(&w, "\"generation\":2,\"building\":null");
  world_close(&w);
}

static void a_rebuild_that_fails_leaves_the_old_rows(void **state) {
  place *p = *state;
  world w;

  open_counter(&w, p->store);
  happen_often(&w, 800);
  must_run(&w, NULL);
  world_close(&w);
  world_open(&w, p->store);
  must_declare(&w, "projections/counter.lua",
               "local es = require 'es'\nlocal C = es.projection 'counter'\n"
               "C.tables = { sums = { id = 'integer', n = 'integer', key = { 'id' } } }\n"
               "C.on = { Counted = function(t, e) if e.position == 750 then error 'no' end end }\n"
               "C.queries = { sum = { sql = 'SELECT n FROM sums' } }\nreturn C\n");
  assert_int_equal(es__projections_rebuild(w.projections, "counter", NULL, NULL, &w.err),
                   ES_ERR_LUA);
  assert_contains(w.err.message, "stopped at event 750");
  assert_sum(&w, 800);
  assert_int_equal(count_files(p->store, "counter.2.db"), 0);
  assert_status_contains(&w, "\"generation\":1,\"building\":null");
  world_close(&w);
}

/* A second rebuild begins while the first is at work. */
static bool rebuild_too(void *data, int64_t done, int64_t total) {
  world *other = data;

  (void)done, (void)total;
  if (generation_of(other, "counter") == 1)
    assert_int_equal(
        es__projections_rebuild(other->projections, "counter", NULL, NULL, &other->err), ES_OK);
  return true;
}

static void the_later_of_two_rebuilds_wins(void **state) {
  place *p = *state;
  world w, other;

  open_counter(&w, p->store);
  happen_often(&w, 3000);
  must_run(&w, NULL);
  open_counter(&other, p->store);
  assert_int_equal(es__projections_rebuild(w.projections, "counter", rebuild_too, &other, &w.err),
                   ES_ERR_OTHER);
  assert_string_equal(w.err.code, "rebuild_superseded");
  assert_int_equal(generation_of(&w, "counter"), 3);
  assert_sum(&w, 3000);
  world_close(&other);
  world_close(&w);
}

/* ---- restores, forks, changes ---- */

static void copy_file(const char *to, const char *from) {
  FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
  char bytes[4096];
  size_t length;

  assert_non_null(in);
  assert_non_null(out);
  while ((length = fread(bytes, 1, sizeof bytes, in)) > 0)
    assert_int_equal(fwrite(bytes, 1, length, out), length);
  fclose(in);
  fclose(out);
}

static void assert_rebuild_needed(world *w, const char *why) {
  assert_int_equal(es__projections_run(w->projections, NULL, NULL, NULL, &w->err), ES_ERR_OTHER);
  assert_string_equal(w->err.code, "rebuild_needed");
  assert_contains(w->err.message, why);
  assert_contains(w->err.hint, "esrun project rebuild counter");
  assert_status_contains(w, "\"state\":\"rebuild\"");
  assert_status_contains(w, why);
}

/* A store's file as it was with `count` events, kept beside. Closed stores leave all in the one file. */
static void keep_a_copy(const place *p, char *copy, size_t size, int count) {
  world w;

  snprintf(copy, size, "%s/backup.db", p->folder);
  open_counter(&w, p->store);
  happen_often(&w, count);
  world_close(&w);
  copy_file(copy, p->store);
}

static void a_restored_store_asks_for_a_rebuild(void **state) {
  place *p = *state;
  char copy[128];
  world w;

  keep_a_copy(p, copy, sizeof copy, 3);
  open_counter(&w, p->store);
  happen_often(&w, 2);
  must_run(&w, NULL);
  world_close(&w);
  copy_file(p->store, copy);
  open_counter(&w, p->store);
  assert_rebuild_needed(&w, "it has counted 5 events, more than the store has");
  assert_int_equal(es__projections_rebuild(w.projections, "counter", NULL, NULL, &w.err), ES_OK);
  assert_sum(&w, 3);
  world_close(&w);
}

static void a_forked_store_asks_for_a_rebuild(void **state) {
  place *p = *state;
  char copy[128];
  world w;

  keep_a_copy(p, copy, sizeof copy, 3);
  open_counter(&w, p->store);
  happen_often(&w, 2);
  must_run(&w, NULL);
  world_close(&w);
  copy_file(p->store, copy);
  open_counter(&w, p->store);
  happen_often(&w, 9); /* other events at the same positions, and more of them */
  assert_rebuild_needed(&w, "event 5 of the store is not the one it counted");
  world_close(&w);
}

static void another_store_asks_for_a_rebuild(void **state) {
  place *p = *state;
  world w;

  open_counter(&w, p->store);
  happen_often(&w, 5);
  must_run(&w, NULL);
  world_close(&w);
  assert_int_equal(remove(p->store), 0);
  open_counter(&w, p->store);
  happen_often(&w, 5);
  assert_rebuild_needed(&w, "it was built from another store");
  world_close(&w);
}

static void a_changed_module_asks_for_a_rebuild(void **state) {
  place *p = *state;
  world w;

  open_counter(&w, p->store);
  happen_often(&w, 5);
  must_run(&w, NULL);
  world_close(&w);
  world_open(&w, p->store);
  assert_int_equal(declare(&w, "projections/counter.lua", counter, 2), ES_OK);
  assert_rebuild_needed(&w, "its module has changed since it was built");
  assert_sum(&w, 5); /* the old rows are still served */
  assert_int_equal(es__projections_rebuild(w.projections, "counter", NULL, NULL, &w.err), ES_OK);
  must_run(&w, NULL);
  assert_sum(&w, 5);
  world_close(&w);
}

static void other_tables_are_not_read_before_the_rebuild(void **state) {
  place *p = *state;
  world w;

  open_counter(&w, p->store);
  happen_often(&w, 5);
  must_run(&w, NULL);
  world_close(&w);
  world_open(&w, p->store);
  assert_int_equal(
      declare(&w, "projections/counter.lua",
              "local es = require 'es'\nlocal C = es.projection 'counter'\n"
              "C.tables = { sums = { id = 'integer', n = 'integer', more = 'integer', key = { 'id' "
              "} } }\n"
              "C.on = { Counted = function(t) t.sums:add({ id = 1 }, { n = 1, more = 2 }) end }\n"
              "C.queries = { sum = { sql = 'SELECT n, more FROM sums' } }\nreturn C\n",
              2),
      ES_OK);
  assert_null(rows_of(&w, "counter", "sum", NULL, NULL));
  assert_string_equal(w.err.code, "rebuild_needed");
  assert_int_equal(es__projections_rebuild(w.projections, "counter", NULL, NULL, &w.err), ES_OK);
  assert_rows(&w, "counter", "sum", NULL, NULL, "{\"n\":5,\"more\":10}");
  world_close(&w);
}

static void a_damaged_file_says_how_to_mend_it(void **state) {
  place *p = *state;
  char path[160];
  FILE *file;
  world w;

  open_counter(&w, p->store);
  happen_often(&w, 5);
  must_run(&w, NULL);
  world_close(&w);
  snprintf(path, sizeof path, "%s-projections/counter.1.db", p->store);
  file = fopen(path, "wb");
  assert_non_null(file);
  fputs("this was a database once, and it is long enough to be looked at as one would look at a "
        "database, is it not so?",
        file);
  fclose(file);
  open_counter(&w, p->store);
  assert_int_equal(es__projections_run(w.projections, NULL, NULL, NULL, &w.err), ES_ERR_STORE);
  assert_string_equal(w.err.code, "corrupt");
  assert_contains(w.err.hint, "esrun project rebuild");
  assert_status_contains(&w, "\"state\":\"rebuild\"");
  assert_int_equal(es__projections_rebuild(w.projections, "counter", NULL, NULL, &w.err), ES_OK);
  assert_sum(&w, 5);
  world_close(&w);
}

static void a_file_that_is_gone_is_made_again_or_asks_for_a_rebuild(void **state) {
  place *p = *state;
  char path[160];
  world w;

  open_counter(&w, p->store);
  happen_often(&w, 5);
  must_run(&w, NULL);
  world_close(&w);
  snprintf(path, sizeof path, "%s-projections/counter.1.db", p->store);
  assert_int_equal(remove(path), 0);
  open_counter(&w, p->store);
  must_run(&w, NULL);
  assert_sum(&w, 5);
  assert_int_equal(es__projections_rebuild(w.projections, "counter", NULL, NULL, &w.err), ES_OK);
  world_close(&w);
  snprintf(path, sizeof path, "%s-projections/counter.2.db", p->store);
  assert_int_equal(remove(path), 0);
  open_counter(&w, p->store);
  assert_rebuild_needed(&w, "its file is gone");
  assert_int_equal(es__projections_rebuild(w.projections, "counter", NULL, NULL, &w.err), ES_OK);
  assert_sum(&w, 5);
  world_close(&w);
}

/* ---- before the first run; read-only ---- */

static void a_projection_that_never_ran_says_so(void **state) {
  place *p = *state;
  char folder[128];
  world w;

  open_counter(&w, p->store);
  happen_often(&w, 2);
  assert_status_contains(
      &w, "\"state\":\"new\",\"position\":0,\"head\":2,\"behind\":2,\"generation\":0");
  assert_null(rows_of(&w, "counter", "sum", NULL, NULL));
  assert_string_equal(w.err.code, "not_built");
  assert_contains(w.err.hint, "esrun project run counter");
  /* asking makes nothing */
  snprintf(folder, sizeof folder, "%s-projections", p->store);
  assert_int_not_equal(access(folder, F_OK), 0);
  world_close(&w);
}

static void a_read_only_runtime_reads_and_does_not_run(void **state) {
  place *p = *state;
  world_options options = {.path = p->store, .read_only = true};
  world w;

  open_counter(&w, p->store);
  happen_often(&w, 5);
  must_run(&w, NULL);
  world_close(&w);
  world_open_with(&w, &options);
  must_declare(&w, "projections/counter.lua", counter);
  assert_sum(&w, 5);
  assert_status_contains(&w, "\"state\":\"running\"");
  assert_int_equal(es__projections_run(w.projections, NULL, NULL, NULL, &w.err), ES_ERR_STORE);
  assert_string_equal(w.err.code, "read_only");
  assert_int_equal(es__projections_rebuild(w.projections, "counter", NULL, NULL, &w.err),
                   ES_ERR_STORE);
  world_close(&w);
}

static void appending_does_not_wait_for_a_projection(void **state) {
  place *p = *state;
  es_projection *found;
  world w, other;

  open_counter(&w, p->store);
  happen_often(&w, 5);
  must_run(&w, NULL);
  assert_int_equal(es__projections_find(&found, w.projections, "counter", &w.err), ES_OK);
  assert_int_equal(es__projection_file_exec(found->file, "BEGIN IMMEDIATE", &w.err), ES_OK);
  open_counter(&other, p->store);
  happen_often(&other, 5);
  es__projection_file_rollback(found->file);
  must_run(&other, NULL);
  assert_sum(&w, 10);
  world_close(&other);
  world_close(&w);
}

#define PLACED(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void) {
  const struct CMUnitTest tests[] = {
      PLACED(several_runners_at_once_count_each_event_once),
      PLACED(a_killed_runner_loses_and_doubles_nothing),
      PLACED(rows_and_cursor_become_durable_together),
      PLACED(a_full_disk_is_not_the_handlers_fault),
      PLACED(a_rebuild_that_was_killed_leaves_the_old_rows_and_can_be_repeated),
      PLACED(a_run_stops_cleanly_between_transactions),
      PLACED(a_failing_handler_stops_only_its_projection_and_names_the_event),
      PLACED(a_handler_that_never_ends_stops_its_projection),
      PLACED(a_statement_that_never_ends_stops_its_projection_too),
      PLACED(honest_handlers_that_are_slow_together_go_on),
      PLACED(reads_go_on_while_a_rebuild_takes_over),
      PLACED(a_rebuild_in_memory_takes_over_too),
      PLACED(a_rebuild_that_fails_leaves_the_old_rows),
      PLACED(the_later_of_two_rebuilds_wins),
      PLACED(a_restored_store_asks_for_a_rebuild),
      PLACED(a_forked_store_asks_for_a_rebuild),
      PLACED(another_store_asks_for_a_rebuild),
      PLACED(a_changed_module_asks_for_a_rebuild),
      PLACED(other_tables_are_not_read_before_the_rebuild),
      PLACED(a_damaged_file_says_how_to_mend_it),
      PLACED(a_file_that_is_gone_is_made_again_or_asks_for_a_rebuild),
      PLACED(a_projection_that_never_ran_says_so),
      PLACED(a_read_only_runtime_reads_and_does_not_run),
      PLACED(appending_does_not_wait_for_a_projection),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
