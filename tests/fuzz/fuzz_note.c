/* fuzz_note: any bytes given to the parsers of signed notes and keys are refused with a reason; what is accepted as a key is
 * written back as the same text, and no note opens without one of the known keys having signed its text. */
#include "base/error.h"
#include "ledger/note.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void refused_with_a_reason(const es_error *err) {
  if (err->status == ES_OK || err->code[0] == '\0' || err->message[0] == '\0') abort();
}

static void check_keys(const char *text, size_t length) {
  char written[ES_KEY_TEXT_SIZE];
  es_error err = ES_ERROR_INIT;
  es_vkey key;
  es_skey secret;

  if (es__vkey_parse(&key, text, length, &err) == ES_OK) {
    es__vkey_text(written, &key);
    if (strlen(written) != length || memcmp(written, text, length) != 0) abort();
  } else {
    refused_with_a_reason(&err);
  }
  if (es__skey_parse(&secret, text, length, &err) == ES_OK) {
    es__skey_text(written, &secret);
    if (strlen(written) != length || memcmp(written, text, length) != 0) abort();
  } else {
    refused_with_a_reason(&err);
  }
}

/* The key whose signed note is in the seed corpus; nobody here can sign another. */
static const char peter[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

static void check_note(es_text note) {
  es_error err = ES_ERROR_INIT;
  es_note split, opened;
  es_vkey key;

  if (es__vkey_parse(&key, peter, strlen(peter), &err) != ES_OK) abort();
  if (es__note_open(&opened, note, &key, 1, &err) != ES_OK) {
    refused_with_a_reason(&err);
    return;
  }
  if (es__note_split(&split, note, &err) != ES_OK || opened.signed_by != 1) abort();
  if (!es__text_equal(split.text, opened.text)) abort();
  if (opened.text.length == 0 || opened.text.data[opened.text.length - 1] != '\n') abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  check_keys((const char *)bytes, length);
  check_note((es_text){(const char *)bytes, length});
  return 0;
}
