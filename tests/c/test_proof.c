/* Checkpoints and proof files: the specifications' examples, round trips, refusals, files cut anywhere. */
#include "ledger/proof.h"
#include "ledger_support.h"

#define DASH "\xE2\x80\x94 "
#define ROOT "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="

/* The example request of c2sp.org/tlog-witness. */
#define WITNESS_EXAMPLE                                                                            \
  "old 20852014\n"                                                                                 \
  "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"                                                 \
  "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"                                                 \
  "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n"                                                 \
  "/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n"                                                 \
  "\n"                                                                                             \
  "example.com/behind-the-sofa\n20852163\n" ROOT "\n"                                              \
  "\n" DASH "example.com/behind-the-sofa "                                                         \
  "Az3grlgtzPICa5OS8npVmf1Myq/"                                                                    \
  "5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"

/* The example of c2sp.org/tlog-proof, with whole base64 where the page has it shortened. */
#define PROOF_EXAMPLE                                                                              \
  "c2sp.org/tlog-proof@v1\n"                                                                       \
  "extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6\n"                                               \
  "index 73894\n"                                                                                  \
  "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n"                                                 \
  "B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n"                                                 \
  "\n"                                                                                             \
  "example.com/fancylog\n109482\nsFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n"                   \
  "\n" DASH "example.com/fancylog hI2DJ1roloI=\n"

enum { LEAVES = 300 };

/* A signed tree of LEAVES leaves. */
typedef struct fixture {
  shelf *shelf;
  es_chain *chain;
  es_skey key;
  es_buf note;  /* the signed checkpoint of all leaves */
  es_buf older; /* the one of the first 100 */
  es_error err;
} fixture;

static void sign_tree(fixture *s, es_buf *out, const char *origin, int64_t size) {
  es_tree_head checkpoint = {.origin = es__text(origin), .size = size};
  es_buf text = {0};
  checkpoint.root = root_at(s->shelf, size);
  es__checkpoint_print(&text, &checkpoint);
  must(es__note_sign(out, (es_text){text.data, text.length}, &s->key, 1, &s->err));
  es__buf_free(&text);
}

static int set_up(void **state) {
  fixture *s = calloc(1, sizeof *s);
  s->shelf = shelf_new();
  s->chain = s->shelf->chain;
  grow(s->shelf, LEAVES);
  must(es__skey_make(&s->key, "example.com/log", &s->err));
  sign_tree(s, &s->note, "example.com/log", LEAVES);
  sign_tree(s, &s->older, "example.com/log", 100);
  *state = s;
  return 0;
}

static int tear_down(void **state) {
  fixture *s = *state;
  es__buf_free(&s->note);
  es__buf_free(&s->older);
  shelf_free(s->shelf);
  free(s);
  return 0;
}

static es_text text_of(const es_buf *buf) { return (es_text){buf->data, buf->length}; }

static es_tree_head checkpoint_of(fixture *s, const es_buf *note) {
  es_note opened;
  es_tree_head checkpoint;
  must(es__note_open(&opened, text_of(note), &s->key.vkey, 1, &s->err));
  must(es__checkpoint_parse(&checkpoint, opened.text, &s->err));
  return checkpoint;
}

/* The proof file for leaf `index`. */
static es_buf inclusion_file(fixture *s, int64_t index, const char *extra) {
  es_proof proof = {.kind = ES_PROOF_INCLUSION, .index = index, .note = text_of(&s->note)};
  es_buf out = {0};
  es__buf_text(&proof.extra, extra);
  must(es__tile_inclusion(&proof.path, index, LEAVES, &s->shelf->reader, &s->err));
  es__proof_print(&out, &proof);
  es__proof_free(&proof);
  return out;
}

static es_buf consistency_file(fixture *s, int64_t old_size) {
  es_proof proof = {.kind = ES_PROOF_CONSISTENCY, .old_size = old_size, .note = text_of(&s->note)};
  es_buf out = {0};
  must(es__tile_consistency(&proof.path, old_size, LEAVES, &s->shelf->reader, &s->err));
  es__proof_print(&out, &proof);
  return out;
}

static es_status check_file(fixture *s, es_text file, const es_hash *leaf,
                            const es_tree_head *older) {
  es_proof proof;
  es_proof_result result;
  es_status status = es__proof_parse(&proof, file, &s->err);
  if (status != ES_OK) return status;
  status = es__proof_verify(&result, &proof, &s->key.vkey, 1, leaf, older, s->chain, &s->err);
  es__proof_free(&proof);
  return status;
}

/* ---- Checkpoints ------------------------------------------------------------------------------------------- */

static void parses_and_prints_checkpoints(void **state) {
  fixture *s = *state;
  static const char *const texts[] = {
      "example.com/behind-the-sofa\n20852163\n" ROOT "\n",
      "o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
      "o\n9223372036854775807\n" ROOT "\nextension one\ntwo\n",
  };
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    es_tree_head checkpoint;
    es_buf out = {0};
    must(es__checkpoint_parse(&checkpoint, es__text(texts[i]), &s->err));
    es__checkpoint_print(&out, &checkpoint);
    assert_string_equal(out.data, texts[i]);
    es__buf_free(&out);
  }
}

static void refuses_malformed_checkpoints(void **state) {
  fixture *s = *state;
  static const char *const texts[] = {
      "",
      "o",
      "o\n",
      "\n1\n" ROOT "\n",
      "o\n1\n",
      "o\n\n" ROOT "\n",
      "o\n01\n" ROOT "\n",
      "o\n+1\n" ROOT "\n",
      "o\n-1\n" ROOT "\n",
      "o\n1 \n" ROOT "\n",
      "o\n0x1\n" ROOT "\n",
      "o\n9223372036854775808\n" ROOT "\n",
      "o\n99999999999999999999\n" ROOT "\n",
      "o\n1\n" ROOT,
      "o\n1\n\n",
      "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n", /* bits that stand for nothing */
      "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n", /* 31 bytes */
      "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2JB\n", /* 33 bytes */
      "o\n1\n" ROOT "\n\n",
      "o\n1\n" ROOT "\nextension\n\nmore\n",
      "o\n1\n" ROOT "\nextension",
  };
  for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
    es_tree_head checkpoint;
    refuses(es__checkpoint_parse(&checkpoint, es__text(texts[i]), &s->err), ES_ERR_INTEGRITY,
            "malformed_checkpoint");
  }
}

static void tells_rollback_fork_and_foreign_apart(void **state) {
  fixture *s = *state;
  es_tree_head older = checkpoint_of(s, &s->older), newer = checkpoint_of(s, &s->note), other;
  es_path path, none = {0};
  must(es__tile_consistency(&path, 100, LEAVES, &s->shelf->reader, &s->err));
  must(es__checkpoint_continues(&older, &newer, &path, s->chain, &s->err));
  must(es__checkpoint_continues(&older, &older, &none, s->chain, &s->err));
  refuses(es__checkpoint_continues(&newer, &older, &none, s->chain, &s->err), ES_ERR_INTEGRITY,
          "rollback");
  other = older;
  other.origin = es__text("example.com/another");
  refuses(es__checkpoint_continues(&other, &newer, &path, s->chain, &s->err), ES_ERR_INTEGRITY,
          "foreign");
  other = older;
  other.root.bytes[0] ^= 1;
  refuses(es__checkpoint_continues(&other, &newer, &path, s->chain, &s->err), ES_ERR_INTEGRITY,
          "fork");
  refuses(es__checkpoint_continues(&older, &other, &none, s->chain, &s->err), ES_ERR_INTEGRITY,
          "fork");
}

/* ---- Proof files ------------------------------------------------------------------------------------------- */

static void parses_the_examples_of_the_specifications(void **state) {
  fixture *s = *state;
  es_proof proof;
  es_buf out = {0};
  must(es__proof_parse(&proof, es__text(WITNESS_EXAMPLE), &s->err));
  assert_int_equal(proof.kind, ES_PROOF_CONSISTENCY);
  assert_int_equal(proof.old_size, 20852014);
  assert_int_equal(proof.path.count, 4);
  es__proof_print(&out, &proof);
  assert_string_equal(out.data, WITNESS_EXAMPLE);
  es__proof_free(&proof);
  es__buf_clear(&out);
  must(es__proof_parse(&proof, es__text(PROOF_EXAMPLE), &s->err));
  assert_int_equal(proof.kind, ES_PROOF_INCLUSION);
  assert_int_equal(proof.index, 73894);
  assert_int_equal(proof.path.count, 2);
  assert_int_equal(proof.extra.length, strlen("age-v1.2.1-darwin-arm64.tar.gz"));
  assert_memory_equal(proof.extra.data, "age-v1.2.1-darwin-arm64.tar.gz", proof.extra.length);
  es__proof_print(&out, &proof);
  assert_string_equal(out.data, PROOF_EXAMPLE);
  es__proof_free(&proof);
  es__buf_free(&out);
}

static void proves_a_leaf_without_any_store(void **state) {
  fixture *s = *state;
  for (int64_t index = 0; index < LEAVES; index += 23) {
    es_buf file = inclusion_file(s, index, index % 2 == 0 ? "leaf record" : "");
    es_hash leaf = leaf_number(s->shelf, index), other = leaf_number(s->shelf, index + 1);
    must(check_file(s, text_of(&file), &leaf, NULL));
    refuses(check_file(s, text_of(&file), &other, NULL), ES_ERR_INTEGRITY, "bad_proof");
    es__buf_free(&file);
  }
}

static void proves_that_a_tree_continues_an_older_one(void **state) {
  fixture *s = *state;
  es_buf file = consistency_file(s, 100), elsewhere = consistency_file(s, 99), foreign = {0};
  es_tree_head older = checkpoint_of(s, &s->older), other = older;
  must(check_file(s, text_of(&file), NULL, &older));
  refuses(check_file(s, text_of(&elsewhere), NULL, &older), ES_ERR_INTEGRITY, "bad_proof");
  other.root.bytes[31] ^= 1;
  refuses(check_file(s, text_of(&file), NULL, &other), ES_ERR_INTEGRITY, "fork");
  sign_tree(s, &foreign, "example.com/another", 100);
  other = checkpoint_of(s, &foreign);
  refuses(check_file(s, text_of(&file), NULL, &other), ES_ERR_INTEGRITY, "foreign");
  es__buf_free(&file);
  es__buf_free(&elsewhere);
  es__buf_free(&foreign);
}

static void needs_a_trusted_key(void **state) {
  fixture *s = *state;
  es_buf file = inclusion_file(s, 7, "");
  es_hash leaf = leaf_number(s->shelf, 7);
  must(es__skey_make(&s->key, "example.com/log", &s->err));
  refuses(check_file(s, text_of(&file), &leaf, NULL), ES_ERR_INTEGRITY, "unknown_signer");
  es__buf_free(&file);
}

/* Cutting a file anywhere, and changing any byte of it, leaves no proof. (The extra data are authenticated by the leaf hash
 * that the caller computes from them, so this file has none.) */
static void refuses_files_cut_or_changed_anywhere(void **state) {
  fixture *s = *state;
  es_buf file = inclusion_file(s, 42, ""), older = consistency_file(s, 100);
  es_hash leaf = leaf_number(s->shelf, 42);
  es_tree_head start = checkpoint_of(s, &s->older);
  for (size_t length = 0; length < file.length; length++)
    assert_int_equal(check_file(s, (es_text){file.data, length}, &leaf, NULL), ES_ERR_INTEGRITY);
  for (size_t length = 0; length < older.length; length++)
    assert_int_equal(check_file(s, (es_text){older.data, length}, NULL, &start), ES_ERR_INTEGRITY);
  for (size_t i = 0; i < file.length; i++) {
    file.data[i] ^= 1;
    assert_int_equal(check_file(s, text_of(&file), &leaf, NULL), ES_ERR_INTEGRITY);
    assert_true(s->err.message[0] != '\0');
    file.data[i] ^= 1;
  }
  for (size_t i = 0; i < older.length; i++) {
    older.data[i] ^= 1;
    assert_int_equal(check_file(s, text_of(&older), NULL, &start), ES_ERR_INTEGRITY);
    older.data[i] ^= 1;
  }
  es__buf_free(&file);
  es__buf_free(&older);
}

static void refuses_malformed_proof_files(void **state) {
  fixture *s = *state;
#define HASH "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n"
  static const char *const files[] = {
      "c2sp.org/tlog-proof@v2\nindex 0\n\ncheckpoint\n",
      "c2sp.org/tlog-proof@v1 \nindex 0\n\ncheckpoint\n",
      "c2sp.org/tlog-proof@v1\n\n\ncheckpoint\n",
      "c2sp.org/tlog-proof@v1\nindex notanumber\n\ncheckpoint\n",
      "c2sp.org/tlog-proof@v1\nindex -5\n\ncheckpoint\n",
      "c2sp.org/tlog-proof@v1\nindex 05\n\ncheckpoint\n",
      "c2sp.org/tlog-proof@v1\nindex  5\n\ncheckpoint\n",
      "c2sp.org/tlog-proof@v1\nextra !!notbase64!!\nindex 0\n\ncheckpoint\n",
      "c2sp.org/tlog-proof@v1\nextra \nindex 0\n\ncheckpoint\n",
      "c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA\n\ncheckpoint\n",
      "c2sp.org/tlog-proof@v1\nindex 0\n!!notbase64!!\n\ncheckpoint\n",
      "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\ncheckpoint\n",
      "c2sp.org/tlog-proof@v1\nindex 0\n" HASH "\n",
      "old\n\ncheckpoint\n",
      "old x\n\ncheckpoint\n",
      "old 1\nextra AAAA\n\ncheckpoint\n",
  };
  es_buf many = {0};
  es_proof proof;
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    refuses(es__proof_parse(&proof, es__text(files[i]), &s->err), ES_ERR_INTEGRITY,
            "malformed_proof");
    assert_non_null(strstr(s->err.message, "line "));
  }
  es__buf_text(&many, "old 1\n");
  for (int i = 0; i <= ES_TREE_HEIGHT_MAX; i++)
    es__buf_text(&many, HASH);
  es__buf_text(&many, "\ncheckpoint\n");
  refuses(es__proof_parse(&proof, text_of(&many), &s->err), ES_ERR_INTEGRITY, "malformed_proof");
  es__buf_free(&many);
}

static void proves_trees_of_size_one_and_nothing_of_size_zero(void **state) {
  fixture *s = *state;
  es_buf one = {0}, zero = {0}, file = {0};
  es_proof proof = {.kind = ES_PROOF_INCLUSION};
  es_hash leaf = leaf_number(s->shelf, 0);
  sign_tree(s, &one, "example.com/log", 1);
  sign_tree(s, &zero, "example.com/log", 0);
  proof.note = text_of(&one);
  es__proof_print(&file, &proof);
  must(check_file(s, text_of(&file), &leaf, NULL));
  es__buf_clear(&file);
  proof.note = text_of(&zero);
  es__proof_print(&file, &proof);
  refuses(check_file(s, text_of(&file), &leaf, NULL), ES_ERR_INTEGRITY, "bad_proof");
  es__buf_clear(&file);
  es_tree_head empty = checkpoint_of(s, &zero);
  proof = (es_proof){.kind = ES_PROOF_CONSISTENCY, .note = text_of(&one)};
  es__proof_print(&file, &proof);
  must(check_file(s, text_of(&file), NULL, &empty));
  es__buf_free(&one);
  es__buf_free(&zero);
  es__buf_free(&file);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(parses_and_prints_checkpoints),
      T(refuses_malformed_checkpoints),
      T(tells_rollback_fork_and_foreign_apart),
      T(parses_the_examples_of_the_specifications),
      T(proves_a_leaf_without_any_store),
      T(proves_that_a_tree_continues_an_older_one),
      T(needs_a_trusted_key),
      T(refuses_files_cut_or_changed_anywhere),
      T(refuses_malformed_proof_files),
      T(proves_trees_of_size_one_and_nothing_of_size_zero),
  };
  return cmocka_run_group_tests_name("proof", tests, NULL, NULL);
}
