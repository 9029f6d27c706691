/* test_projection_rebuild: rebuilds, restores and changes of a module; before the first run; read-only. */
#include "projection_place.h"

/* A store whose projection has counted so many events. */
static void open_counted(world *w, const char *store, int count) {
  open_counter(w, store);
  happen_often(w, count);
  must_run(w, NULL);
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

/* covers E41: rows of before are gone, else the sum would be doubled */
static void reads_go_on_while_a_rebuild_takes_over(void **state) {
  place *p = *state;
  world w, reader;
  onlooker o = {&reader, 0};

  open_counted(&w, p->store, 5000);
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
  open_counted(&w, NULL, 1500);
  assert_int_equal(es__projections_rebuild(w.projections, "counter", NULL, NULL, &w.err), ES_OK);
  assert_sum(&w, 1500);
  assert_status_contains(&w, "\"generation\":2,\"building\":null");
  world_close(&w);
}

static void a_rebuild_that_fails_leaves_the_old_rows(void **state) {
  place *p = *state;
  world w;

  open_counted(&w, p->store, 800);
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

static bool give_up(void *data, int64_t done, int64_t total) {
  (void)data, (void)done, (void)total;
  return false;
}

static void a_first_build_that_is_given_up_leaves_a_projection_that_has_never_run(void **state) {
  place *p = *state;
  world w;

  open_counter(&w, p->store);
  happen_often(&w, 3000);
  assert_int_equal(es__projections_rebuild(w.projections, "counter", give_up, NULL, &w.err),
                   ES_ERR_OTHER);
  assert_string_equal(w.err.code, "rebuild_stopped");
  assert_status_contains(&w, "\"state\":\"new\"");
  must_run(&w, NULL);
  assert_sum(&w, 3000);
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

  open_counted(&w, p->store, 3000);
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
  open_counted(&w, p->store, 2);
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
  open_counted(&w, p->store, 2);
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

  open_counted(&w, p->store, 5);
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

  open_counted(&w, p->store, 5);
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

  open_counted(&w, p->store, 5);
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

  open_counted(&w, p->store, 5);
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

  open_counted(&w, p->store, 5);
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

  open_counted(&w, p->store, 5);
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

  open_counted(&w, p->store, 5);
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

int main(void) {
  const struct CMUnitTest tests[] = {
      PLACED(reads_go_on_while_a_rebuild_takes_over),
      PLACED(a_rebuild_in_memory_takes_over_too),
      PLACED(a_rebuild_that_fails_leaves_the_old_rows),
      PLACED(a_first_build_that_is_given_up_leaves_a_projection_that_has_never_run),
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
