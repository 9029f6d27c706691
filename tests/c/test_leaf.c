/* test_leaf: the bytes that are hashed: docs/reference/ledger-format.md's vectors, both directions, malformed leaves, and a
 * stranger (tests/ledger_check.py) who recomputes the chain from exported lines. */
#include "store_fixture.h"

#include <sys/wait.h>

/* The two events of the test vectors: one with everything absent that may be, one with everything present. */
static es_event first_vector(void) {
  es_event event = {0};
  event.position = 1;
  assert_true(es_id_parse(event.event_id, "01900000-0000-7000-8000-000000000001"));
  event.aggregate_type = es__text("Document");
  event.aggregate_id = es__text("doc-1");
  event.version = 1;
  event.event_type = es__text("DocumentCreated");
  event.schema_version = 1;
  assert_true(es_id_parse(event.correlation_id, "01900000-0000-7000-8000-0000000000c1"));
  event.occurred_at = event.recorded_at = T0;
  event.data = es__text("{\"title\":\"Hello\"}");
  event.metadata = es__text("{}");
  return event;
}

static es_event second_vector(void) {
  es_event event = first_vector();
  event.position = 2;
  event.event_id[15] = 2;
  event.version = 2;
  event.event_type = es__text("DocumentEdited");
  event.schema_version = 3;
  event.tenant_id = es__text("acme");
  event.actor_id = es__text("user:Zo\xc3\xab");
  event.has_causation = true;
  memcpy(event.causation_id, first_vector().event_id, ES_ID_SIZE);
  event.occurred_at = T0 + 1;
  event.recorded_at = T0 + 1500000;
  event.data = es__text("{\"new_content\":\"\xe2\x82\xac\"}");
  event.metadata = es__text("{\"request_id\":\"r-1\"}");
  return event;
}

static const char vector_hash_1[] =
    "b40d075787c89bd9e235356c7d6e58eea5e8c03778f0a7684f59d46e26b86117";
static const char vector_hash_2[] =
    "6ad0562e18c85c73a7a22b71453e0488201fe896dcc41037c5a5bd11edf6ffca";

static es_chain *chain;

static int make_chain(void **state) {
  (void)state;
  return es__chain_new(&chain, NULL) == ES_OK ? 0 : -1;
}

static int free_chain(void **state) {
  (void)state;
  es__chain_free(chain);
  return 0;
}

static const char *hash_text(const es_event *event) {
  static char text[2 * ES_HASH_SIZE + 1];
  uint8_t hash[ES_HASH_SIZE];
  assert_int_equal(es__chain_hash(chain, hash, event, NULL), ES_OK);
  es__hex(text, hash, ES_HASH_SIZE);
  return text;
}

static void make_leaf(es_buf *out, const es_event *event) {
  uint8_t data_hash[ES_HASH_SIZE], metadata_hash[ES_HASH_SIZE];
  es__sha256(chain, data_hash, event->data.data, event->data.length, NULL, 0, NULL);
  es__sha256(chain, metadata_hash, event->metadata.data, event->metadata.length, NULL, 0, NULL);
  es__leaf_encode(out, event, data_hash, metadata_hash);
  assert_false(out->failed);
}

/* covers C9 */
static void the_documented_vectors_hold(void **state) {
  (void)state;
  es_event first = first_vector(), second = second_vector();

  assert_string_equal(hash_text(&first), vector_hash_1);
  es__hex_parse(second.previous_hash, ES_HASH_SIZE, vector_hash_1, 64);
  assert_string_equal(hash_text(&second), vector_hash_2);
}

static void sha256_knows_its_standard_answers(void **state) {
  (void)state;
  uint8_t hash[ES_HASH_SIZE];
  char text[2 * ES_HASH_SIZE + 1];

  assert_int_equal(es__sha256(chain, hash, "a", 1, "bc", 2, NULL), ES_OK);
  es__hex(text, hash, ES_HASH_SIZE);
  assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert_int_equal(es__sha256(chain, hash, NULL, 0, NULL, 0, NULL), ES_OK);
  es__hex(text, hash, ES_HASH_SIZE);
  assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void a_leaf_gives_its_fields_back(void **state) {
  (void)state;
  es_event events[2] = {first_vector(), second_vector()}, back;
  uint8_t data_hash[ES_HASH_SIZE], metadata_hash[ES_HASH_SIZE];

  for (int i = 0; i < 2; i++) {
    es_buf leaf = {0}, again = {0};
    make_leaf(&leaf, &events[i]);
    assert_int_equal(
        es__leaf_decode(&back, data_hash, metadata_hash, (uint8_t *)leaf.data, leaf.length, NULL),
        ES_OK);
    assert_true(es__text_equal(back.tenant_id, events[i].tenant_id));
    assert_true(es__text_equal(back.actor_id, events[i].actor_id));
    assert_true(es__text_equal(back.aggregate_id, events[i].aggregate_id));
    assert_int_equal(back.has_causation, events[i].has_causation);
    assert_true(back.recorded_at == events[i].recorded_at);
    es__leaf_encode(&again, &back, data_hash, metadata_hash);
    assert_int_equal(again.length, leaf.length);
    assert_memory_equal(again.data, leaf.data, leaf.length);
    es__buf_free(&leaf);
    es__buf_free(&again);
  }
}

static void every_field_changes_the_hash(void **state) {
  (void)state;
  const es_event base = second_vector();
  char plain[2 * ES_HASH_SIZE + 1];
  es_event e[24];
  size_t n = 0;

  snprintf(plain, sizeof plain, "%s", hash_text(&base));
#define CHANGED(change) (e[n] = base, e[n].change, n++)
  CHANGED(position++);
  CHANGED(event_id[0] ^= 1);
  CHANGED(aggregate_type = es__text("Documen"));
  CHANGED(aggregate_id = es__text("doc-2"));
  CHANGED(version++);
  CHANGED(event_type = es__text("DocumentEditeD"));
  CHANGED(schema_version++);
  CHANGED(tenant_id = es__text("acma"));
  CHANGED(tenant_id = es__text(NULL));
  CHANGED(tenant_id = es__text(""));
  CHANGED(actor_id = es__text(NULL));
  CHANGED(actor_id = es__text(""));
  CHANGED(actor_id = es__text("anonymous"));
  CHANGED(correlation_id[15] ^= 1);
  CHANGED(causation_id[15] ^= 1);
  CHANGED(has_causation = false);
  CHANGED(occurred_at++);
  CHANGED(recorded_at++);
  CHANGED(data = es__text("{}"));
  CHANGED(metadata = es__text("{\"request_id\":\"r-2\"}"));
  CHANGED(previous_hash[31] ^= 1);
#undef CHANGED
  for (size_t i = 0; i < n; i++) {
    char one[2 * ES_HASH_SIZE + 1];
    snprintf(one, sizeof one, "%s", hash_text(&e[i]));
    assert_string_not_equal(one, plain);
    for (size_t j = 0; j < i; j++) /* none, empty and anything else are three things */
      assert_string_not_equal(hash_text(&e[j]), one);
  }
}

/* Moving a byte from one text to its neighbour must not give the same leaf. */
static void neighbouring_texts_do_not_run_together(void **state) {
  (void)state;
  es_event a = first_vector(), b = first_vector();
  char kept[2 * ES_HASH_SIZE + 1];

  a.aggregate_type = es__text("ab"), a.aggregate_id = es__text("c");
  b.aggregate_type = es__text("a"), b.aggregate_id = es__text("bc");
  snprintf(kept, sizeof kept, "%s", hash_text(&a));
  assert_string_not_equal(hash_text(&b), kept);
}

static void a_leaf_cut_anywhere_is_refused(void **state) {
  (void)state;
  es_event event = second_vector(), back;
  uint8_t data_hash[ES_HASH_SIZE], metadata_hash[ES_HASH_SIZE];
  es_error err = ES_ERROR_INIT;
  es_buf leaf = {0};

  make_leaf(&leaf, &event);
  for (size_t length = 0; length < leaf.length; length++) {
    uint8_t *cut = malloc(length + 1); /* so that a sanitizer sees a read past the cut */
    memcpy(cut, leaf.data, length);
    assert_int_equal(es__leaf_decode(&back, data_hash, metadata_hash, cut, length, &err),
                     ES_ERR_INTEGRITY);
    assert_string_equal(err.code, "malformed_leaf");
    free(cut);
  }
  es__buf_byte(&leaf, 'x');
  assert_int_equal(
      es__leaf_decode(&back, data_hash, metadata_hash, (uint8_t *)leaf.data, leaf.length, &err),
      ES_ERR_INTEGRITY);
  assert_non_null(strstr(err.message, "goes on"));
  es__buf_free(&leaf);
}

static void a_malformed_leaf_is_refused_with_its_offset(void **state) {
  (void)state;
  es_event event = first_vector(), back;
  uint8_t data_hash[ES_HASH_SIZE], metadata_hash[ES_HASH_SIZE];
  es_error err = ES_ERROR_INIT;
  es_buf leaf = {0};

  make_leaf(&leaf, &event);
  leaf.data[6] = '2';
  assert_int_equal(
      es__leaf_decode(&back, data_hash, metadata_hash, (uint8_t *)leaf.data, leaf.length, &err),
      ES_ERR_INTEGRITY);
  assert_non_null(strstr(err.message, "format tag"));
  leaf.data[6] = '1';
  leaf.data[32] = 0; /* the aggregate type: none, where a text is required */
  assert_int_equal(
      es__leaf_decode(&back, data_hash, metadata_hash, (uint8_t *)leaf.data, leaf.length, &err),
      ES_ERR_INTEGRITY);
  assert_non_null(strstr(err.message, "aggregate_type is absent at offset 32"));
  leaf.data[32] = 2;
  assert_int_equal(
      es__leaf_decode(&back, data_hash, metadata_hash, (uint8_t *)leaf.data, leaf.length, &err),
      ES_ERR_INTEGRITY);
  assert_non_null(strstr(err.message, "at offset 32"));
  es__buf_free(&leaf);
}

static void a_name_too_long_for_a_leaf_is_damage(void **state) {
  (void)state;
  es_event event = first_vector();
  es_error err = ES_ERROR_INIT;
  uint8_t hash[ES_HASH_SIZE];
  char *name = calloc(1, 70000);

  event.aggregate_id = (es_text){name, 70000};
  assert_int_equal(es__chain_hash(chain, hash, &event, &err), ES_ERR_INTEGRITY);
  assert_int_equal(err.position, 1);
  event.aggregate_id.length = 65535; /* fits its length prefix, but not the leaf */
  assert_int_equal(es__chain_hash(chain, hash, &event, &err), ES_ERR_INTEGRITY);
  event = first_vector();
  assert_string_equal(hash_text(&event), vector_hash_1); /* and the chain goes on working */
  free(name);
}

/* covers E12 */
static void events_are_written_as_json_in_both_forms(void **state) {
  (void)state;
  es_event first = first_vector(), second = second_vector();
  char *line;
  size_t length;

  es__hex_parse(first.hash, ES_HASH_SIZE, vector_hash_1, 64);
  assert_int_equal(es_event_json(&line, &length, &first, ES_FORM_LOG, NULL), ES_OK);
  assert_int_equal(strlen(line), length);
  char expected[1024];
  snprintf(expected, sizeof expected,
           "{\"position\":1,\"event_id\":\"01900000-0000-7000-8000-000000000001\",\"event_type\":"
           "\"DocumentCreated\","
           "\"aggregate_type\":\"Document\",\"aggregate_id\":\"doc-1\",\"version\":1,\"schema_"
           "version\":1,"
           "\"tenant_id\":null,\"actor_id\":null,\"correlation_id\":\"01900000-0000-7000-8000-"
           "0000000000c1\","
           "\"causation_id\":null,\"occurred_at\":\"2024-01-15T10:00:00.000000Z\","
           "\"recorded_at\":\"2024-01-15T10:00:00.000000Z\",\"data\":{\"title\":\"Hello\"},"
           "\"metadata\":{},"
           "\"previous_hash\":\"GENESIS\",\"hash\":\"%s\"}",
           vector_hash_1);
  assert_string_equal(line, expected);
  es_free(line);
  assert_int_equal(es_event_json(&line, NULL, &second, ES_FORM_EXPORT, NULL), ES_OK);
  assert_non_null(
      strstr(line, "\"data\":\"{\\\"new_content\\\":\\\"\xe2\x82\xac\\\"}\",\"metadata\":\"{"));
  assert_non_null(strstr(line, "\"causation_id\":\"01900000-0000-7000-8000-000000000001\""));
  assert_non_null(
      strstr(line, "\"previous_hash\":\"0000")); /* only the first event's reads GENESIS */
  es_free(line);
  first.position = first.version = 0; /* not stored yet */
  assert_int_equal(es_event_json(&line, NULL, &first, ES_FORM_LOG, NULL), ES_OK);
  assert_non_null(strstr(line, "{\"position\":null,"));
  assert_non_null(strstr(line, "\"previous_hash\":null,\"hash\":null}"));
  es_free(line);
}

/* ---- The stranger ---- */

static int run_checker(const char *path, char *output, size_t size) {
  int out[2];
  assert_int_equal(pipe(out), 0);
  pid_t child = fork();
  if (child == 0) {
    dup2(out[1], STDOUT_FILENO);
    dup2(out[1], STDERR_FILENO);
    close(out[0]);
    execlp("python3", "python3", ES_SOURCE_DIR "/tests/ledger_check.py", path, (char *)NULL);
    _exit(127);
  }
  close(out[1]);
  size_t length = 0;
  ssize_t got;
  while ((got = read(out[0], output + length, size - 1 - length)) > 0)
    length += (size_t)got;
  output[length] = '\0';
  close(out[0]);
  int result = 0;
  assert_int_equal(waitpid(child, &result, 0), child);
  return WEXITSTATUS(result);
}

static void export_to(const char *path, fixture *f) {
  FILE *file = fopen(path, "w");
  es_store_cursor *cursor;
  const es_event *event;
  char *line;

  assert_non_null(file);
  assert_int_equal(es__store_read(&cursor, f->store, NULL, &f->err), ES_OK);
  while (es__store_next(&event, cursor, &f->err) == ES_OK && event != NULL) {
    assert_int_equal(es_event_json(&line, NULL, event, ES_FORM_EXPORT, &f->err), ES_OK);
    fprintf(file, "%s\n", line);
    es_free(line);
  }
  es__store_cursor_close(cursor);
  fclose(file);
}

static void a_stranger_recomputes_the_chain_from_the_export(void **state) {
  (void)state;
  fixture f;
  char output[512], expected[256], path[160], hash[2 * ES_HASH_SIZE + 1];
  es_store_head head;

  fixture_make(&f);
  assert_int_equal(es__store_open_memory(&f.store, &f.ids, &f.err), ES_OK);
  for (int i = 0; i < 50; i++) {
    f.clock += 1234567;
    es_event event = i % 2 == 0 ? first_vector() : second_vector();
    es__id_new(&f.ids, event.event_id);
    event.occurred_at = f.clock - i;
    if (i == 7) event.data = es__text("{\"a\":\"\\u0001\\\"\\\\ \xf0\x9f\x98\x80\",\"n\":1e15}");
    must_append(&f, event);
  }
  snprintf(path, sizeof path, "%s/export.jsonl", f.folder);
  export_to(path, &f);
  assert_int_equal(es__store_head_of(&head, f.store, &f.err), ES_OK);
  es__hex(hash, head.hash, ES_HASH_SIZE);
  snprintf(expected, sizeof expected, "50 %s\n", hash);
  assert_int_equal(run_checker(path, output, sizeof output), 0);
  assert_string_equal(output, expected);
  /* One changed character of event 8's data. */
  FILE *file = fopen(path, "r+");
  char line[4096];
  for (int i = 0; i < 7; i++)
    assert_non_null(fgets(line, sizeof line, file));
  long start = ftell(file);
  assert_non_null(fgets(line, sizeof line, file));
  fseek(file, start + (long)(strstr(line, "1e15") - line), SEEK_SET);
  fputc('2', file);
  fclose(file);
  assert_int_equal(run_checker(path, output, sizeof output), 1);
  assert_string_equal(output, "position 8: wrong hash\n");
  fixture_remove(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_documented_vectors_hold),
      cmocka_unit_test(sha256_knows_its_standard_answers),
      cmocka_unit_test(a_leaf_gives_its_fields_back),
      cmocka_unit_test(every_field_changes_the_hash),
      cmocka_unit_test(neighbouring_texts_do_not_run_together),
      cmocka_unit_test(a_leaf_cut_anywhere_is_refused),
      cmocka_unit_test(a_malformed_leaf_is_refused_with_its_offset),
      cmocka_unit_test(a_name_too_long_for_a_leaf_is_damage),
      cmocka_unit_test(events_are_written_as_json_in_both_forms),
      cmocka_unit_test(a_stranger_recomputes_the_chain_from_the_export),
  };
  return cmocka_run_group_tests(tests, make_chain, free_chain);
}
