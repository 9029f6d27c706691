/* key: Ed25519 keys of signed notes, their names, ids and text forms. Knows nothing of notes' texts. */
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/utf8.h"
#include "ledger/libcrypto.h"
#include "ledger/note.h"

enum { TYPE_ED25519 = 0x01, ENCODED_SIZE = 1 + ES_KEY_SIZE, ID_DIGITS = 8 };

static const char private_prefix[] = "PRIVATE+KEY+";

/* ---- Names ------------------------------------------------------------------------------------------------- */

/* Unicode's White_Space beyond ASCII, as UTF-8. */
static const char *const wide_spaces[] = {
    "\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81",
    "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86",
    "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8",
    "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};

static const char *name_fault(const char *name, size_t length) {
  if (length == 0) return "is empty";
  if (length > ES_KEY_NAME_MAX) return "is longer than 255 bytes";
  if (!es__utf8_valid(name, length)) return "is not valid UTF-8";
  for (size_t i = 0; i < length; i++) {
    if (name[i] == '+') return "contains '+'";
    if ((unsigned char)name[i] <= ' ' || name[i] == 0x7F)
      return "contains a space or control character";
    for (size_t j = 0; j < sizeof wide_spaces / sizeof wide_spaces[0]; j++) {
      size_t width = strlen(wide_spaces[j]);
      if (width <= length - i && memcmp(name + i, wide_spaces[j], width) == 0)
        return "contains a space";
    }
  }
  return NULL;
}

es_status es__key_name_check(const char *name, size_t length, es_error *err) {
  const char *fault = name_fault(name, length);

  if (fault == NULL) return ES_OK;
  es__fail(err, ES_ERR_USAGE, "malformed_key", "the key's name %s", fault);
  es__hint(err, "name it like a web address without a scheme: example.com/ledger");
  return ES_ERR_USAGE;
}

/* ---- Keys -------------------------------------------------------------------------------------------------- */

static es_status libcrypto_failed(es_error *err, const char *what) {
  return es__fail(err, ES_ERR_OTHER, "libcrypto", "libcrypto could not %s", what);
}

static es_status set_id(es_vkey *key, es_error *err) {
  uint8_t bytes[ES_KEY_NAME_MAX + 1 + ENCODED_SIZE], hash[ES_HASH_SIZE];
  size_t length = strlen(key->name);
  es_status status;

  memcpy(bytes, key->name, length);
  bytes[length++] = '\n';
  bytes[length++] = TYPE_ED25519;
  memcpy(bytes + length, key->key, ES_KEY_SIZE);
  length += ES_KEY_SIZE;
  status = es_sha256(hash, bytes, length, err);
  if (status != ES_OK) return status;
  key->id = (uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 | (uint32_t)hash[2] << 8 | hash[3];
  return ES_OK;
}

static es_status set_name(es_vkey *key, const char *name, size_t length, es_error *err) {
  es_status status = es__key_name_check(name, length, err);

  if (status != ES_OK) return status;
  memcpy(key->name, name, length);
  key->name[length] = '\0';
  return ES_OK;
}

/* Fills in what follows from the name and the seed. */
static es_status derive(es_skey *key, es_error *err) {
  const struct es_libcrypto *crypto = es__libcrypto(err);
  size_t length = ES_KEY_SIZE;
  EVP_PKEY *pair;
  bool derived;

  if (crypto == NULL) return ES_ERR_OTHER;
  pair = crypto->EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->seed, ES_KEY_SIZE);
  derived = pair != NULL && crypto->EVP_PKEY_get_raw_public_key(pair, key->vkey.key, &length) == 1;
  crypto->EVP_PKEY_free(pair);
  return derived ? set_id(&key->vkey, err) : libcrypto_failed(err, "derive an Ed25519 key");
}

es_status es__skey_of_seed(es_skey *out, const char *name, const uint8_t seed[ES_KEY_SIZE],
                           es_error *err) {
  es_status status;

  memset(out, 0, sizeof *out);
  status = set_name(&out->vkey, name, strlen(name), err);
  if (status != ES_OK) return status;
  memcpy(out->seed, seed, ES_KEY_SIZE);
  status = derive(out, err);
  if (status != ES_OK) es__skey_clear(out);
  return status;
}

es_status es__skey_make(es_skey *out, const char *name, es_error *err) {
  const struct es_libcrypto *crypto = es__libcrypto(err);
  uint8_t seed[ES_KEY_SIZE];
  es_status status;

  memset(out, 0, sizeof *out);
  if (crypto == NULL) return ES_ERR_OTHER;
  if (crypto->RAND_priv_bytes(seed, sizeof seed) != 1)
    return libcrypto_failed(err, "get random bytes from the system");
  status = es__skey_of_seed(out, name, seed, err);
  explicit_bzero(seed, sizeof seed);
  return status;
}

void es__skey_clear(es_skey *key) {
  if (key != NULL) explicit_bzero(key, sizeof *key);
}

es_status es__key_sign(uint8_t out[64], const es_skey *key, es_text text, es_error *err) {
  const struct es_libcrypto *crypto = es__libcrypto(err);
  size_t length = 64;
  EVP_MD_CTX *context;
  EVP_PKEY *pair;
  bool done;

  if (crypto == NULL) return ES_ERR_OTHER;
  pair = crypto->EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->seed, ES_KEY_SIZE);
  context = crypto->EVP_MD_CTX_new();
  done =
      pair != NULL && context != NULL &&
      crypto->EVP_DigestSignInit(context, NULL, NULL, NULL, pair) == 1 &&
      crypto->EVP_DigestSign(context, out, &length, (const uint8_t *)text.data, text.length) == 1;
  crypto->EVP_MD_CTX_free(context);
  crypto->EVP_PKEY_free(pair);
  return done ? ES_OK : libcrypto_failed(err, "make an Ed25519 signature");
}

es_status es__key_verify(const es_vkey *key, es_text text, const uint8_t signature[64],
                         es_error *err) {
  const struct es_libcrypto *crypto = es__libcrypto(err);
  EVP_MD_CTX *context;
  EVP_PKEY *public_key;
  bool holds;

  if (crypto == NULL) return ES_ERR_OTHER;
  public_key = crypto->EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->key, ES_KEY_SIZE);
  context = crypto->EVP_MD_CTX_new();
  holds = public_key != NULL && context != NULL &&
          crypto->EVP_DigestVerifyInit(context, NULL, NULL, NULL, public_key) == 1 &&
          crypto->EVP_DigestVerify(context, signature, 64, (const uint8_t *)text.data,
                                   text.length) == 1;
  crypto->EVP_MD_CTX_free(context);
  crypto->EVP_PKEY_free(public_key);
  if (holds) return ES_OK;
  es__fail(err, ES_ERR_INTEGRITY, "bad_signature", "the signature of %s (key %08x) does not hold",
           key->name, key->id);
  es__hint(err, "the text or the signature was changed after it was signed");
  return ES_ERR_INTEGRITY;
}

/* ---- Text forms -------------------------------------------------------------------------------------------- */

static void key_text(char out[ES_KEY_TEXT_SIZE], const char *prefix, const es_vkey *key,
                     const uint8_t bytes[ES_KEY_SIZE]) {
  char encoded[ES_BASE64_LENGTH(ENCODED_SIZE) + 1];
  uint8_t typed[ENCODED_SIZE] = {TYPE_ED25519};

  memcpy(typed + 1, bytes, ES_KEY_SIZE);
  es__base64(encoded, typed, sizeof typed);
  snprintf(out, ES_KEY_TEXT_SIZE, "%s%s+%08x+%s", prefix, key->name, key->id, encoded);
  explicit_bzero(typed, sizeof typed);
  explicit_bzero(encoded, sizeof encoded);
}

void es__vkey_text(char out[ES_KEY_TEXT_SIZE], const es_vkey *key) {
  key_text(out, "", key, key->key);
}

void es__skey_text(char out[ES_KEY_TEXT_SIZE], const es_skey *key) {
  key_text(out, private_prefix, &key->vkey, key->seed);
}

static es_status malformed_key(es_error *err, const char *why) {
  es__fail(err, ES_ERR_USAGE, "malformed_key", "this is no key: %s", why);
  es__hint(err, "a verifier key reads NAME+ID+BASE64, a signing key PRIVATE+KEY+NAME+ID+BASE64");
  return ES_ERR_USAGE;
}

/* Reads NAME+ID+BASE64 into the key's name and id and 32 bytes. */
static es_status parse_key(es_vkey *key, uint8_t bytes[ES_KEY_SIZE], const char *text,
                           size_t length, es_error *err) {
  const char *first = memchr(text, '+', length), *second;
  uint8_t encoded[256];
  size_t encoded_length;
  es_status status;

  if (first == NULL) return malformed_key(err, "it has no '+'");
  status = set_name(key, text, (size_t)(first - text), err);
  if (status != ES_OK) return status;
  first++;
  second = memchr(first, '+', length - (size_t)(first - text));
  if (second == NULL || second - first != ID_DIGITS)
    return malformed_key(err, "after the name there are not eight digits of an id");
  key->id = 0;
  for (const char *at = first; at < second; at++) {
    int digit = *at >= '0' && *at <= '9'   ? *at - '0'
                : *at >= 'a' && *at <= 'f' ? *at - 'a' + 10
                                           : -1;
    if (digit < 0) return malformed_key(err, "its id is not eight lower-case hexadecimal digits");
    key->id = key->id << 4 | (uint32_t)digit;
  }
  second++;
  if (!es__base64_parse(encoded, sizeof encoded, &encoded_length, second,
                        length - (size_t)(second - text)) ||
      encoded_length == 0)
    return malformed_key(err, "its last part is not base64");
  if (encoded[0] != TYPE_ED25519) {
    es__fail(err, ES_ERR_USAGE, "unknown_key_type", "the key %s is of type 0x%02x", key->name,
             encoded[0]);
    es__hint(err, "esrun signs and verifies with Ed25519 keys, type 0x01");
    status = ES_ERR_USAGE;
  } else if (encoded_length != ENCODED_SIZE) {
    status = malformed_key(err, "an Ed25519 key has 32 bytes");
  } else {
    memcpy(bytes, encoded + 1, ES_KEY_SIZE);
  }
  explicit_bzero(encoded, sizeof encoded);
  return status;
}

static es_status check_id(const es_vkey *key, uint32_t id, es_error *err) {
  if (key->id == id) return ES_OK;
  es__fail(err, ES_ERR_USAGE, "wrong_key_id", "the key %s says its id is %08x, but it is %08x",
           key->name, id, key->id);
  es__hint(err, "its name or its last part was changed or mistyped");
  return ES_ERR_USAGE;
}

es_status es__vkey_parse(es_vkey *out, const char *text, size_t length, es_error *err) {
  es_status status;
  uint32_t id;

  memset(out, 0, sizeof *out);
  if (length >= sizeof private_prefix - 1 &&
      memcmp(text, private_prefix, sizeof private_prefix - 1) == 0) {
    es__fail(err, ES_ERR_USAGE, "malformed_key", "this is a signing key, a secret");
    es__hint(err, "give the verifier key, which `esrun keygen` printed; keep this one to yourself");
    return ES_ERR_USAGE;
  }
  status = parse_key(out, out->key, text, length, err);
  if (status != ES_OK) return status;
  id = out->id;
  status = set_id(out, err);
  return status == ES_OK ? check_id(out, id, err) : status;
}

es_status es__skey_parse(es_skey *out, const char *text, size_t length, es_error *err) {
  size_t prefix = sizeof private_prefix - 1;
  es_status status;
  uint32_t id;

  memset(out, 0, sizeof *out);
  if (length < prefix || memcmp(text, private_prefix, prefix) != 0)
    return malformed_key(err, "a signing key begins with PRIVATE+KEY+");
  status = parse_key(&out->vkey, out->seed, text + prefix, length - prefix, err);
  id = out->vkey.id;
  if (status == ES_OK) status = derive(out, err);
  if (status == ES_OK) status = check_id(&out->vkey, id, err);
  if (status != ES_OK) es__skey_clear(out);
  return status;
}
