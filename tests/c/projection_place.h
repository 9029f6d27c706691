/* projection_place: a folder for a store's file, and a projection that counts, for tests across processes and restarts. */
#ifndef ES_TESTS_PROJECTION_PLACE_H
#define ES_TESTS_PROJECTION_PLACE_H

#include "projection_support.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every test has a folder of its own for a store's file. */
typedef struct place {
  char folder[64];
  char store[96];
} place;

static inline int make_place(void **state) {
  place *p = calloc(1, sizeof *p);

  snprintf(p->folder, sizeof p->folder, "/tmp/esrun-projection-XXXXXX");
  if (p == NULL || mkdtemp(p->folder) == NULL) return -1;
  snprintf(p->store, sizeof p->store, "%s/store.db", p->folder);
  *state = p;
  return 0;
}

static inline void empty_folder(const char *path) {
  DIR *folder = opendir(path);
  char inner[1024];

  for (struct dirent *one; folder != NULL && (one = readdir(folder)) != NULL;) {
    struct stat about;
    if (strcmp(one->d_name, ".") == 0 || strcmp(one->d_name, "..") == 0) continue;
    snprintf(inner, sizeof inner, "%.500s/%s", path, one->d_name);
    if (stat(inner, &about) == 0 && S_ISDIR(about.st_mode)) empty_folder(inner);
    remove(inner);
  }
  if (folder != NULL) closedir(folder);
}

static inline int remove_place(void **state) {
  place *p = *state;

  empty_folder(p->folder);
  remove(p->folder);
  free(p);
  return 0;
}

/* Counts events; `twice` would show as a sum that is too high, a lost one as a sum that is too low. */
__attribute__((unused)) static const char counter[] =
    "local es = require 'es'\nlocal C = es.projection 'counter'\n"
    "C.tables = { sums = { id = 'integer', n = 'integer', key = { 'id' } } }\n"
    "C.on = { Counted = function(t, e) t.sums:add({ id = 1 }, { n = e.data.n }) end }\n"
    "C.queries = { sum = { sql = 'SELECT n FROM sums' } }\nreturn C\n";

static inline void open_counter(world *w, const char *path) {
  world_open(w, path);
  must_declare(w, "projections/counter.lua", counter);
}

static inline void assert_sum(world *w, int expected) {
  char text[64];

  snprintf(text, sizeof text, "{\"n\":%d}", expected);
  assert_rows(w, "counter", "sum", NULL, NULL, text);
}

static inline int64_t generation_of(world *w, const char *name) {
  es_manifest_entry entry;

  assert_int_equal(es__manifest_read(&entry, w->projections, name, &w->err), ES_OK);
  return entry.generation;
}

#define PLACED(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

#endif
