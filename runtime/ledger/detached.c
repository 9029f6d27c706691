/* detached: RSA-PSS signatures beside a file. */
#include "ledger/detached.h"

#include <string.h>

#include "base/error.h"
#include "ledger/libcrypto.h"

enum { BITS_MIN = 2048 };

/* The callback that keeps libcrypto from asking on the terminal. */
static int give_passphrase(char *out, int size, int writing, void *data) {
  const char *passphrase = data == NULL ? "" : data;
  size_t length = strlen(passphrase);

  (void)writing;
  if (length > (size_t)size) return -1;
  memcpy(out, passphrase, length);
  return (int)length;
}

static es_status read_key(EVP_PKEY **out, const struct es_libcrypto *crypto, es_text pem,
                          const char *passphrase, es_error *err) {
  BIO *text = crypto->BIO_new_mem_buf(pem.data == NULL ? "" : pem.data, (int)pem.length);

  if (text == NULL) return es__no_memory(err);
  *out = crypto->PEM_read_bio_PrivateKey(text, NULL, give_passphrase, (void *)passphrase);
  crypto->BIO_free(text);
  if (*out != NULL && crypto->EVP_PKEY_is_a(*out, "RSA") &&
      crypto->EVP_PKEY_get_bits(*out) >= BITS_MIN)
    return ES_OK;
  es__fail(err, ES_ERR_USAGE, "malformed_key",
           *out == NULL ? "this is no private key in PEM, or another passphrase opens it"
                        : "an RSA key of at least 2048 bits is needed");
  es__hint(err, "make one with: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072");
  crypto->EVP_PKEY_free(*out);
  *out = NULL;
  return ES_ERR_USAGE;
}

static bool sign(es_buf *out, const struct es_libcrypto *crypto, EVP_PKEY *key, es_text bytes) {
  const EVP_MD *sha256 = crypto->EVP_sha256();
  EVP_MD_CTX *context = crypto->EVP_MD_CTX_new();
  EVP_PKEY_CTX *padding = NULL; /* belongs to context */
  size_t length = (size_t)crypto->EVP_PKEY_get_size(key);
  char *room = es__buf_reserve(out, length);
  bool done = context != NULL && room != NULL &&
              crypto->EVP_DigestSignInit(context, &padding, sha256, NULL, key) == 1 &&
              crypto->EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) == 1 &&
              crypto->EVP_PKEY_CTX_set_rsa_mgf1_md(padding, sha256) == 1 &&
              crypto->EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, RSA_PSS_SALTLEN_MAX) == 1 &&
              crypto->EVP_DigestSign(context, (uint8_t *)room, &length, (const uint8_t *)bytes.data,
                                     bytes.length) == 1;

  crypto->EVP_MD_CTX_free(context);
  if (done) out->length += length;
  return done;
}

static bool print_public(es_buf *out, const struct es_libcrypto *crypto, EVP_PKEY *key) {
  BIO *pem = crypto->BIO_new(crypto->BIO_s_mem());
  bool done = pem != NULL && crypto->PEM_write_bio_PUBKEY(pem, key) == 1;

  if (done) es__libcrypto_text(out, crypto, pem);
  crypto->BIO_free(pem);
  return done;
}

es_status es__detached_sign(es_buf *signature, es_buf *public_key, es_text pem,
                            const char *passphrase, es_text bytes, es_error *err) {
  const struct es_libcrypto *crypto = es__libcrypto(err);
  EVP_PKEY *key = NULL;
  es_status status;

  if (crypto == NULL) return ES_ERR_OTHER;
  status = read_key(&key, crypto, pem, passphrase, err);
  if (status == ES_OK &&
      (!sign(signature, crypto, key, bytes) || !print_public(public_key, crypto, key)))
    status = es__fail(err, ES_ERR_OTHER, "libcrypto", "libcrypto could not make an RSA signature");
  crypto->EVP_PKEY_free(key);
  return status;
}
