/* Signed notes and their keys: the vectors of golang.org/x/mod/sumdb/note and RFC 8032, key text forms, rotation, refusals. */
#include "ledger/checkpoint.h"
#include "ledger/note.h"
#include "ledger_support.h"

#define DASH "\xE2\x80\x94 "
#define PETER "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define PETER_SECRET                                                                               \
  "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
#define PETER_LINE                                                                                 \
  DASH "PeterNeumann "                                                                             \
       "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJ"  \
       "nAM=\n"
#define WITNESS "EnochRoot+af0cfe78+BDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
#define ENOCH_LINE                                                                                 \
  DASH "EnochRoot "                                                                                \
       "rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc"  \
       "+QQ=\n"
#define TEXT                                                                                       \
  "If you think cryptography is the answer to your problem,\n"                                     \
  "then you don't know what your problem is.\n"

typedef struct fixture {
  es_error err;
  es_vkey keys[2];
  es_note note;
} fixture;

static int set_up(void **state) {
  fixture *s = calloc(1, sizeof *s);
  must(es__vkey_parse(&s->keys[0], PETER, strlen(PETER), &s->err));
  *state = s;
  return 0;
}

static int tear_down(void **state) {
  free(*state);
  return 0;
}

static es_status open_note(fixture *s, const char *note, size_t key_count) {
  return es__note_open(&s->note, es__text(note), s->keys, key_count, &s->err);
}

#define malformed(s, note) refuses(open_note(s, note, 1), ES_ERR_INTEGRITY, "malformed_note")

/* ---- Vectors ----------------------------------------------------------------------------------------------- */

static void opens_a_note_that_go_signed(void **state) {
  fixture *s = *state;
  must(open_note(s, TEXT "\n" PETER_LINE, 1));
  assert_int_equal(s->note.text.length, strlen(TEXT));
  assert_memory_equal(s->note.text.data, TEXT, strlen(TEXT));
  assert_int_equal(s->note.signature_count, 1);
  assert_int_equal(s->note.signed_by, 1);
}

static void signs_as_go_signs(void **state) {
  fixture *s = *state;
  es_buf out = {0};
  es_skey key;
  must(es__skey_parse(&key, PETER_SECRET, strlen(PETER_SECRET), &s->err));
  must(es__note_sign(&out, es__text(TEXT), &key, 1, &s->err));
  assert_string_equal(out.data, TEXT "\n" PETER_LINE);
  es__buf_free(&out);
}

static void writes_keys_as_go_writes_them(void **state) {
  fixture *s = *state;
  char text[ES_KEY_TEXT_SIZE];
  es_skey key;
  must(es__skey_parse(&key, PETER_SECRET, strlen(PETER_SECRET), &s->err));
  es__skey_text(text, &key);
  assert_string_equal(text, PETER_SECRET);
  es__vkey_text(text, &key.vkey);
  assert_string_equal(text, PETER);
  es__skey_clear(&key);
  assert_int_equal(key.seed[0] | key.seed[31] | key.vkey.name[0], 0);
}

/* RFC 8032, 7.1, tests 1 and 2. */
static void signs_as_rfc_8032_says(void **state) {
  fixture *s = *state;
  static const struct {
    const char *seed, *public_key, *message, *signature;
  } vectors[] = {{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                  "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                  "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
                  "c61e39701cf9"
                  "b46bd25bf5f0595bbe24655141438e7a100b"},
                 {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                  "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "r",
                  "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e"
                  "458f3613d0f1"
                  "1d8c387b2eaeb4302aeeb00d291612bb0c00"}};
  for (size_t i = 0; i < 2; i++) {
    uint8_t seed[ES_KEY_SIZE], signature[64];
    char hex[129];
    es_skey key;
    assert_true(es__hex_parse(seed, sizeof seed, vectors[i].seed, 64));
    must(es__skey_of_seed(&key, "example.com/log", seed, &s->err));
    es__hex(hex, key.vkey.key, ES_KEY_SIZE);
    assert_string_equal(hex, vectors[i].public_key);
    must(es__key_sign(signature, &key, es__text(vectors[i].message), &s->err));
    es__hex(hex, signature, sizeof signature);
    assert_string_equal(hex, vectors[i].signature);
    must(es__key_verify(&key.vkey, es__text(vectors[i].message), signature, &s->err));
    assert_int_equal(es__key_verify(&key.vkey, es__text("other"), signature, &s->err),
                     ES_ERR_INTEGRITY);
    assert_string_equal(s->err.code, "bad_signature");
  }
}

/* The example of c2sp.org/tlog-checkpoint: its key is not published, its form is. */
static void splits_the_example_of_the_checkpoint_specification(void **state) {
  fixture *s = *state;
  es_tree_head checkpoint;
  must(es__note_split(
      &s->note,
      es__text("example.com/behind-the-sofa\n20852163\n"
               "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n" DASH
               "example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/"
               "5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"),
      &s->err));
  must(es__checkpoint_parse(&checkpoint, s->note.text, &s->err));
  assert_int_equal(checkpoint.size, 20852163);
}

/* ---- Several keys ------------------------------------------------------------------------------------------ */

static void passes_over_signatures_of_other_keys(void **state) {
  fixture *s = *state;
  must(open_note(s, TEXT "\n" ENOCH_LINE PETER_LINE, 1));
  assert_int_equal(s->note.signature_count, 2);
  /* the same name with another id is another key, and so is the same id with another name */
  must(
      open_note(s, TEXT "\n" DASH "PeterNeumann x08gpAAA\n" DASH "Peter x08gowAA\n" PETER_LINE, 1));
}

static void tells_which_of_several_keys_signed(void **state) {
  fixture *s = *state;
  es_skey keys[2];
  es_buf out = {0};
  must(es__skey_make(&keys[0], "example.com/old", &s->err));
  must(es__skey_make(&keys[1], "example.com/new", &s->err));
  s->keys[0] = keys[0].vkey;
  s->keys[1] = keys[1].vkey;
  must(es__note_sign(&out, es__text("overlap\n"), keys, 2, &s->err));
  must(open_note(s, out.data, 2));
  assert_int_equal(s->note.signed_by, 3);
  es__buf_clear(&out);
  must(es__note_sign(&out, es__text("after\n"), &keys[1], 1, &s->err));
  must(open_note(s, out.data, 2));
  assert_int_equal(s->note.signed_by, 2);
  refuses(open_note(s, out.data, 1), ES_ERR_INTEGRITY, "unknown_signer");
  assert_non_null(strstr(s->err.message, "example.com/new"));
  es__buf_free(&out);
}

static void refuses_a_note_that_no_known_key_signed(void **state) {
  fixture *s = *state;
  refuses(open_note(s, TEXT "\n" ENOCH_LINE, 1), ES_ERR_INTEGRITY, "unknown_signer");
  assert_non_null(strstr(s->err.message, "EnochRoot (key af0cfe78)"));
  refuses(open_note(s, TEXT "\n" PETER_LINE, 0), ES_ERR_INTEGRITY, "unknown_signer");
}

static void refuses_a_known_key_with_a_signature_that_does_not_hold(void **state) {
  fixture *s = *state;
  char note[] = TEXT "\n" PETER_LINE PETER_LINE;
  note[0] = 'i';
  refuses(open_note(s, note, 1), ES_ERR_INTEGRITY, "bad_signature");
  note[0] = 'I';
  must(open_note(s, note, 1));
  /* one good signature does not excuse a bad one of the same key */
  note[strlen(note) - 4] = note[strlen(note) - 4] == 'A' ? 'B' : 'A';
  refuses(open_note(s, note, 1), ES_ERR_INTEGRITY, "bad_signature");
  refuses(open_note(s, TEXT "\n" DASH "PeterNeumann x08gowAA\n", 1), ES_ERR_INTEGRITY,
          "bad_signature");
}

/* ---- Malformed notes --------------------------------------------------------------------------------------- */

static void refuses_what_is_no_note(void **state) {
  fixture *s = *state;
  malformed(s, "");
  malformed(s, "\n");
  malformed(s, TEXT);
  malformed(s, TEXT "\n");
  malformed(s, TEXT PETER_LINE);
  malformed(s, "\x01" TEXT "\n" PETER_LINE);
  malformed(s, "\xff" TEXT "\n" PETER_LINE);
  malformed(s, "text\r\n\n" PETER_LINE);
}

static void refuses_every_bad_signature_line(void **state) {
  fixture *s = *state;
  static const char *const lines[] = {
      "Unexpected line.\n",
      "- PeterNeumann x08go/ZJ\n",            /* a hyphen, no dash */
      DASH "\n",                              /* nothing */
      DASH "PeterNeumann\n",                  /* no signature */
      DASH " x08go/ZJ\n",                     /* no name */
      DASH "Peter Neumann x08go/ZJ\n",        /* a space in the name */
      DASH "Peter+Neumann x08go/ZJ\n",        /* a plus in the name */
      DASH "Peter\xC2\xA0Neumann x08go/ZJ\n", /* a wide space in the name */
      DASH "PeterNeumann x08go/ZJ \n",        /* a space after it */
      DASH "PeterNeumann x08go_ZJ\n",         /* another alphabet */
      DASH "PeterNeumann x08go/Z\n",          /* cut base64 */
      DASH "PeterNeumann x08goB==\n",         /* bits that stand for nothing */
      DASH "PeterNeumann x08gow==\n",         /* an id alone */
  };
  char note[1024];
  for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
    snprintf(note, sizeof note, TEXT "\n%s" PETER_LINE, lines[i]);
    malformed(s, note);
    snprintf(note, sizeof note, TEXT "\n" PETER_LINE "%s", lines[i]);
    malformed(s, note);
    assert_non_null(strstr(s->err.message, "line 2"));
  }
}

static void refuses_a_note_cut_anywhere(void **state) {
  fixture *s = *state;
  static const char whole[] = TEXT "\n" PETER_LINE;
  char note[sizeof whole];
  for (size_t length = 0; length < sizeof whole - 1; length++) {
    memcpy(note, whole, length);
    note[length] = '\0';
    malformed(s, note);
  }
}

static void holds_the_limits_of_size_and_number(void **state) {
  fixture *s = *state;
  es_buf note = {0};
  es__buf_text(&note, TEXT "\n");
  for (int i = 0; i < ES_NOTE_SIGNATURES_MAX; i++)
    es__buf_text(&note, PETER_LINE);
  must(open_note(s, note.data, 1));
  es__buf_text(&note, PETER_LINE);
  malformed(s, note.data);
  es__buf_clear(&note);
  while (note.length <= ES_NOTE_MAX)
    es__buf_text(&note, "line\n");
  es__buf_text(&note, "\n" PETER_LINE);
  malformed(s, note.data);
  assert_int_equal(es__note_open(&s->note, es__text(TEXT "\n" PETER_LINE), s->keys,
                                 ES_NOTE_KEYS_MAX + 1, &s->err),
                   ES_ERR_USAGE);
  es__buf_free(&note);
}

static void signs_only_what_it_would_open(void **state) {
  fixture *s = *state;
  es_buf out = {0};
  es_skey key;
  must(es__skey_make(&key, "example.com/log", &s->err));
  refuses(es__note_sign(&out, es__text(""), &key, 1, &s->err), ES_ERR_USAGE, "malformed_note");
  refuses(es__note_sign(&out, es__text("cut"), &key, 1, &s->err), ES_ERR_USAGE, "malformed_note");
  refuses(es__note_sign(&out, es__text("\xff\n"), &key, 1, &s->err), ES_ERR_USAGE,
          "malformed_note");
  refuses(es__note_sign(&out, es__text("\r\n"), &key, 1, &s->err), ES_ERR_USAGE, "malformed_note");
  assert_int_equal(out.length, 0);
  /* a text with empty lines in it is told from the signatures by the last one */
  must(es__note_sign(&out, es__text("one\n\ntwo\n\n\n"), &key, 1, &s->err));
  s->keys[0] = key.vkey;
  must(open_note(s, out.data, 1));
  assert_int_equal(s->note.text.length, strlen("one\n\ntwo\n\n\n"));
  es__buf_free(&out);
}

/* ---- Keys -------------------------------------------------------------------------------------------------- */

static void refuses_keys_of_other_types_by_name(void **state) {
  fixture *s = *state;
  es_vkey key;
  refuses(es__vkey_parse(&key, WITNESS, strlen(WITNESS), &s->err), ES_ERR_USAGE,
          "unknown_key_type");
  assert_non_null(strstr(s->err.message, "0x04"));
}

static void refuses_malformed_keys(void **state) {
  fixture *s = *state;
  es_vkey key;
  es_skey secret;
  char longest[ES_KEY_NAME_MAX + 2];
  static const char *const vkeys[] = {
      "",
      "PeterNeumann",
      "PeterNeumann+c74f20a3",
      "PeterNeumann+c74f20a3+",
      "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
      "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
      "PeterNeumann+c74f20a+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
      "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
      "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
      "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n",
      "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy",
      PETER_SECRET,
  };
  for (size_t i = 0; i < sizeof vkeys / sizeof vkeys[0]; i++) {
    refuses(es__vkey_parse(&key, vkeys[i], strlen(vkeys[i]), &s->err), ES_ERR_USAGE,
            "malformed_key");
  }
  refuses(es__skey_parse(&secret, PETER, strlen(PETER), &s->err), ES_ERR_USAGE, "malformed_key");
  memset(longest, 'n', sizeof longest);
  longest[sizeof longest - 1] = '\0';
  refuses(es__skey_make(&secret, longest, &s->err), ES_ERR_USAGE, "malformed_key");
  longest[sizeof longest - 2] = '\0';
  must(es__skey_make(&secret, longest, &s->err));
  refuses(es__key_name_check("a\xE3\x80\x80z", 5, &s->err), ES_ERR_USAGE, "malformed_key");
}

static void refuses_a_key_whose_id_is_not_its_own(void **state) {
  fixture *s = *state;
  es_vkey key;
  es_skey secret;
  char text[] = PETER, secret_text[] = PETER_SECRET;
  text[0] = 'p';
  refuses(es__vkey_parse(&key, text, strlen(text), &s->err), ES_ERR_USAGE, "wrong_key_id");
  text[0] = 'P';
  text[strlen(text) - 1] = 'X';
  refuses(es__vkey_parse(&key, text, strlen(text), &s->err), ES_ERR_USAGE, "wrong_key_id");
  secret_text[strlen(secret_text) - 1] = 'y';
  refuses(es__skey_parse(&secret, secret_text, strlen(secret_text), &s->err), ES_ERR_USAGE,
          "wrong_key_id");
  assert_int_equal(secret.seed[0] | secret.seed[31], 0); /* nothing of it stays */
}

static void makes_a_different_key_each_time(void **state) {
  fixture *s = *state;
  es_skey first, second, read;
  char text[ES_KEY_TEXT_SIZE];
  must(es__skey_make(&first, "example.com/log", &s->err));
  must(es__skey_make(&second, "example.com/log", &s->err));
  assert_memory_not_equal(first.seed, second.seed, ES_KEY_SIZE);
  es__skey_text(text, &first);
  must(es__skey_parse(&read, text, strlen(text), &s->err));
  assert_memory_equal(&read, &first, sizeof read);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      T(opens_a_note_that_go_signed),
      T(signs_as_go_signs),
      T(writes_keys_as_go_writes_them),
      T(signs_as_rfc_8032_says),
      T(splits_the_example_of_the_checkpoint_specification),
      T(passes_over_signatures_of_other_keys),
      T(tells_which_of_several_keys_signed),
      T(refuses_a_note_that_no_known_key_signed),
      T(refuses_a_known_key_with_a_signature_that_does_not_hold),
      T(refuses_what_is_no_note),
      T(refuses_every_bad_signature_line),
      T(refuses_a_note_cut_anywhere),
      T(holds_the_limits_of_size_and_number),
      T(signs_only_what_it_would_open),
      T(refuses_keys_of_other_types_by_name),
      T(refuses_malformed_keys),
      T(refuses_a_key_whose_id_is_not_its_own),
      T(makes_a_different_key_each_time),
  };
  return cmocka_run_group_tests_name("note", tests, NULL, NULL);
}
