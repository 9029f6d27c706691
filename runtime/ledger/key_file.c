/* key_file: signing keys as text, in the clear or under a passphrase. Opens no files. */
#include "ledger/key_file.h"

#include <string.h>

#include "base/error.h"
#include "ledger/libcrypto.h"

enum { PASSPHRASE_MAX = 1024 }; /* PEM_BUFSIZE, what libcrypto asks for when it opens a key */

void es__key_file_wipe(es_buf *text) {
  if (text->data != NULL) explicit_bzero(text->data, text->capacity);
  es__buf_free(text);
}

static es_status libcrypto_failed(es_error *err, const char *what) {
  return es__fail(err, ES_ERR_OTHER, "libcrypto", "libcrypto could not %s", what);
}

es_status es__key_file_print(es_buf *out, const es_skey *key, const char *passphrase,
                             es_error *err) {
  const struct es_libcrypto *crypto;
  char text[ES_KEY_TEXT_SIZE];
  EVP_PKEY *pair;
  BIO *pem;

  if (passphrase == NULL || passphrase[0] == '\0') {
    es__skey_text(text, key);
    es__buf_format(out, "%s\n", text);
    explicit_bzero(text, sizeof text);
    return out->failed ? es__no_memory(err) : ES_OK;
  }
  if (strlen(passphrase) > PASSPHRASE_MAX) { /* libcrypto would write a key that it cannot open */
    es__fail(err, ES_ERR_USAGE, "long_passphrase",
             "the passphrase is of %zu bytes, a key takes at most %d", strlen(passphrase),
             PASSPHRASE_MAX);
    es__hint(err, "choose a shorter one: the key was not made");
    return ES_ERR_USAGE;
  }
  crypto = es__libcrypto(err);
  if (crypto == NULL) return ES_ERR_OTHER;
  pair = crypto->EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->seed, ES_KEY_SIZE);
  pem = crypto->BIO_new(crypto->BIO_s_mem());
  bool written =
      pair != NULL && pem != NULL &&
      crypto->PEM_write_bio_PKCS8PrivateKey(pem, pair, crypto->EVP_aes_256_cbc(), passphrase,
                                            (int)strlen(passphrase), NULL, NULL) == 1;
  if (written) {
    es__vkey_text(text, &key->vkey);
    es__buf_format(out, "%s\n", text);
    es__libcrypto_text(out, crypto, pem);
  }
  crypto->BIO_free(pem);
  crypto->EVP_PKEY_free(pair);
  if (!written) return libcrypto_failed(err, "encrypt the key");
  return out->failed ? es__no_memory(err) : ES_OK;
}

/* The callback of PEM_read_bio_PrivateKey; without it libcrypto would ask on the terminal. */
static int give_passphrase(char *out, int size, int writing, void *data) {
  const char *passphrase = data;
  size_t length = strlen(passphrase);

  (void)writing;
  if (length > (size_t)size) return -1;
  memcpy(out, passphrase, length);
  return (int)length;
}

static es_status parse_encrypted(es_skey *out, es_text text, const char *passphrase,
                                 es_error *err) {
  const char *newline = memchr(text.data, '\n', text.length);
  size_t first = (size_t)(newline - text.data), seed_length = ES_KEY_SIZE;
  const struct es_libcrypto *crypto;
  uint8_t seed[ES_KEY_SIZE];
  EVP_PKEY *pair = NULL;
  es_vkey vkey;
  BIO *pem;
  es_status status = es__vkey_parse(&vkey, text.data, first, err);

  if (status != ES_OK) return status;
  if (passphrase == NULL || passphrase[0] == '\0') {
    es__fail(err, ES_ERR_USAGE, "passphrase_needed", "the key %s is encrypted", vkey.name);
    es__hint(err, "put its passphrase into the environment variable ESRUN_KEY_PASSPHRASE");
    return ES_ERR_USAGE;
  }
  crypto = es__libcrypto(err);
  if (crypto == NULL) return ES_ERR_OTHER;
  pem = crypto->BIO_new_mem_buf(newline + 1, (int)(text.length - first - 1));
  if (pem != NULL)
    pair = crypto->PEM_read_bio_PrivateKey(pem, NULL, give_passphrase, (void *)passphrase);
  bool opened = pair != NULL &&
                crypto->EVP_PKEY_get_raw_private_key(pair, seed, &seed_length) == 1 &&
                seed_length == ES_KEY_SIZE;
  crypto->BIO_free(pem);
  crypto->EVP_PKEY_free(pair);
  if (!opened)
    return es__fail(err, ES_ERR_USAGE, "wrong_passphrase",
                    "the passphrase does not open the key %s", vkey.name);
  status = es__skey_of_seed(out, vkey.name, seed, err);
  explicit_bzero(seed, sizeof seed);
  if (status == ES_OK && memcmp(out->vkey.key, vkey.key, ES_KEY_SIZE) != 0) {
    es__skey_clear(out);
    status = es__fail(err, ES_ERR_USAGE, "malformed_key",
                      "the file's verifier key and its encrypted key do not belong together");
  }
  return status;
}

es_status es__key_file_parse(es_skey *out, es_text text, const char *passphrase, es_error *err) {
  static const char private_word[] = "PRIVATE+";

  memset(out, 0, sizeof *out);
  if (text.length > sizeof private_word && memchr(text.data, '\n', text.length) != NULL &&
      memcmp(text.data, private_word, sizeof private_word - 1) != 0)
    return parse_encrypted(out, text, passphrase, err);
  while (text.length > 0 &&
         (text.data[text.length - 1] == '\n' || text.data[text.length - 1] == '\r'))
    text.length--;
  return es__skey_parse(out, text.data == NULL ? "" : text.data, text.length, err);
}
