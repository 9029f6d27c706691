/* libcrypto: the functions of OpenSSL that keys and signatures need, from the library that is loaded when the first of them is
 * wanted (docs/adr/0010-libcrypto-when-wanted.md). */
#ifndef ES_LEDGER_LIBCRYPTO_H
#define ES_LEDGER_LIBCRYPTO_H

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "base/buf.h"
#include "esrun.h"

/* clang-format off */
#define ES_LIBCRYPTO_FUNCTIONS(F)                                                                                        \
  F(BIO_ctrl) F(BIO_free) F(BIO_new) F(BIO_new_mem_buf) F(BIO_s_mem) F(EVP_Digest) F(EVP_DigestSign)                     \
  F(EVP_DigestSignInit) F(EVP_DigestVerify) F(EVP_DigestVerifyInit) F(EVP_MD_CTX_free) F(EVP_MD_CTX_new)                 \
  F(EVP_PKEY_CTX_set_rsa_mgf1_md) F(EVP_PKEY_CTX_set_rsa_padding) F(EVP_PKEY_CTX_set_rsa_pss_saltlen) F(EVP_PKEY_free)   \
  F(EVP_PKEY_get_bits) F(EVP_PKEY_get_raw_private_key) F(EVP_PKEY_get_raw_public_key) F(EVP_PKEY_get_size)               \
  F(EVP_PKEY_is_a) F(EVP_PKEY_new_raw_private_key) F(EVP_PKEY_new_raw_public_key) F(EVP_aes_256_cbc) F(EVP_sha256)       \
  F(OpenSSL_version) F(PEM_read_bio_PrivateKey) F(PEM_write_bio_PKCS8PrivateKey) F(PEM_write_bio_PUBKEY)                 \
  F(RAND_priv_bytes)
/* clang-format on */

struct es_libcrypto {
#define ES_LIBCRYPTO_MEMBER(name) __typeof__(&(name)) name;
  ES_LIBCRYPTO_FUNCTIONS(ES_LIBCRYPTO_MEMBER)
#undef ES_LIBCRYPTO_MEMBER
};

/* The functions, the same for all threads until the process ends; NULL: the library is not there, and err says so. */
const struct es_libcrypto *es__libcrypto(es_error *err);

/* Appends what was written to a BIO in memory. */
void es__libcrypto_text(es_buf *out, const struct es_libcrypto *crypto, BIO *memory);

#endif
