/* Single bits flipped anywhere in a store's file: none changes an event unnoticed. ESRUN_TAMPER_FLIPS makes it longer. */
#include "tamper_world.h"

/* All events of the file as one hash; false when they cannot be read. */
static bool hash_of_events(uint8_t out[ES_HASH_SIZE], const char *path) {
  es_options options = ES_OPTIONS_INIT;
  es_error err = ES_ERROR_INIT;
  es_runtime *rt = NULL;
  es_store_cursor *cursor = NULL;
  const es_event *event = NULL;
  es_buf all = {0};
  options.store_path = path;
  options.read_only = options.must_exist = true;
  es_status status = es_open(&rt, &options, &err);
  if (status == ES_OK) status = es__store_read(&cursor, rt->store, NULL, &err);
  while (status == ES_OK) {
    char *line = NULL;
    size_t length;
    status = es__store_next(&event, cursor, &err);
    if (status != ES_OK || event == NULL) break;
    status = es_event_json(&line, &length, event, ES_FORM_EXPORT, &err);
    if (status == ES_OK) es__buf_add(&all, line, length);
    es_free(line);
  }
  if (status == ES_OK) status = es__sha256(rt->chain, out, all.data, all.length, NULL, 0, &err);
  es__store_cursor_close(cursor);
  es_close(rt);
  es__buf_free(&all);
  return status == ES_OK;
}

static void flip(const char *path, long offset, int bit) {
  FILE *file = fopen(path, "r+b");
  assert_non_null(file);
  assert_int_equal(fseek(file, offset, SEEK_SET), 0);
  int byte = fgetc(file);
  assert_int_equal(fseek(file, offset, SEEK_SET), 0);
  fputc(byte ^ (1 << bit), file);
  fclose(file);
}

static void no_flipped_bit_changes_an_event_silently(void **state) {
  int flips = wanted_rounds("ESRUN_TAMPER_FLIPS", 150), found = 0, harmless = 0;
  uint8_t before[ES_HASH_SIZE], after[ES_HASH_SIZE];
  struct stat facts;
  world w;
  (void)state;
  make_world(&w, 11);
  assert_true(hash_of_events(before, w.base));
  assert_int_equal(stat(w.base, &facts), 0);
  for (int i = 0; i < flips; i++) {
    faults seen = {.wanted = ""};
    es_verify_report report;
    long offset = (long)next_random(&w, (uint32_t)facts.st_size);
    int bit = (int)next_random(&w, 8);
    copy_file(w.base, w.file);
    flip(w.file, offset, bit);
    if (detects(&w, HELP_ANCHOR, &seen, &report)) {
      found++;
    } else if (!hash_of_events(after, w.file) || memcmp(before, after, ES_HASH_SIZE) != 0) {
      fail_msg("bit %d of byte %ld changed an event and nobody noticed", bit, offset);
    } else {
      harmless++;
    }
  }
  printf("%d bits flipped: %d found, %d changed no event\n", flips, found, harmless);
  remove_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_flipped_bit_changes_an_event_silently),
  };
  return cmocka_run_group_tests_name("bit_flips", tests, NULL, NULL);
}
