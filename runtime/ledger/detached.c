/* detached: RSA-PSS signatures beside a file. */
#include "ledger/detached.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/error.h"

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

static es_status read_key(EVP_PKEY **out, es_text pem, const char *passphrase, es_error *err) {
  BIO *text = BIO_new_mem_buf(pem.data == NULL ? "" : pem.data, (int)pem.length);

  if (text == NULL) return es__no_memory(err);
  *out = PEM_read_bio_PrivateKey(text, NULL, give_passphrase, (void *)passphrase);
  BIO_free(text);
  if (*out != NULL && EVP_PKEY_is_a(*out, "RSA") && EVP_PKEY_get_bits(*out) >= BITS_MIN)
    return ES_OK;
  es__fail(err, ES_ERR_USAGE, "malformed_key",
           *out == NULL ? "this is no private key in PEM, or another passphrase opens it"
                        : "an RSA key of at least 2048 bits is needed");
  es__hint(err, "make one with: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072");
  EVP_PKEY_free(*out);
  *out = NULL;
  return ES_ERR_USAGE;
}

static bool sign(es_buf *out, EVP_PKEY *key, es_text bytes) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  EVP_PKEY_CTX *padding = NULL; /* belongs to context */
  size_t length = (size_t)EVP_PKEY_get_size(key);
  char *room = es__buf_reserve(out, length);
  bool done = context != NULL && room != NULL &&
              EVP_DigestSignInit(context, &padding, EVP_sha256(), NULL, key) == 1 &&
              EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_mgf1_md(padding, EVP_sha256()) == 1 &&
              EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, RSA_PSS_SALTLEN_MAX) == 1 &&
              EVP_DigestSign(context, (uint8_t *)room, &length, (const uint8_t *)bytes.data,
                             bytes.length) == 1;

  EVP_MD_CTX_free(context);
  if (done) out->length += length;
  return done;
}

static bool print_public(es_buf *out, EVP_PKEY *key) {
  BIO *pem = BIO_new(BIO_s_mem());
  char *bytes;
  bool done = pem != NULL && PEM_write_bio_PUBKEY(pem, key) == 1;

  if (done) {
    long length = BIO_get_mem_data(pem, &bytes);
    es__buf_add(out, bytes, (size_t)length);
  }
  BIO_free(pem);
  return done;
}

es_status es__detached_sign(es_buf *signature, es_buf *public_key, es_text pem,
                            const char *passphrase, es_text bytes, es_error *err) {
  EVP_PKEY *key = NULL;
  es_status status = read_key(&key, pem, passphrase, err);

  if (status == ES_OK && (!sign(signature, key, bytes) || !print_public(public_key, key)))
    status = es__fail(err, ES_ERR_OTHER, "libcrypto", "libcrypto could not make an RSA signature");
  EVP_PKEY_free(key);
  return status;
}
