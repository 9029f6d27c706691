/* ledger_key: making signing keys and reading them from files that nobody else can read. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "engine/ledger.h"
#include "ledger/detached.h"
#include "ledger/key_file.h"

enum { KEY_FILE_MAX = 8192 };

static es_status cannot(es_error *err, const char *what, const char *path) {
  return es__fail(err, ES_ERR_OTHER, "key_file", "cannot %s %s: %s", what, path, strerror(errno));
}

static es_status write_new_file(const char *path, const es_buf *text, es_error *err) {
  int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  es_status status = ES_OK;

  if (file < 0 && errno == EEXIST) {
    es__fail(err, ES_ERR_USAGE, "key_exists", "%s exists already", path);
    es__hint(err, "a key is never overwritten: choose another file, or move that one away");
    return ES_ERR_USAGE;
  }
  if (file < 0) return cannot(err, "create", path);
  if (!es__write_synced(file, text->data, text->length)) status = cannot(err, "write", path);
  if (close(file) != 0 && status == ES_OK) status = cannot(err, "write", path);
  if (status != ES_OK) unlink(path);
  return status;
}

static es_status hand_out_vkey(char **out, const es_vkey *key, es_error *err) {
  char text[ES_KEY_TEXT_SIZE];

  es__vkey_text(text, key);
  *out = strdup(text);
  return *out == NULL ? es__no_memory(err) : ES_OK;
}

es_status es_keygen(char **vkey, const es_keygen_options *given, es_error *err) {
  es_keygen_options options = ES_KEYGEN_INIT;
  es_skey key;
  es_buf text = {0};
  es_status status;

  if (es__is_missing(vkey, "vkey", err)) return ES_ERR_USAGE;
  *vkey = NULL;
  status = es__take_options(&options, given, sizeof options, "ES_KEYGEN_INIT", err);
  if (status != ES_OK) return status;
  if (options.name == NULL || options.path == NULL) {
    return es__fail(err, ES_ERR_USAGE, "malformed_key", "a key needs a name and a file");
  }
  status = es__skey_make(&key, options.name, err);
  if (status == ES_OK) status = es__key_file_print(&text, &key, options.passphrase, err);
  if (status == ES_OK) status = write_new_file(options.path, &text, err);
  if (status == ES_OK) status = hand_out_vkey(vkey, &key.vkey, err);
  es__key_file_wipe(&text);
  es__skey_clear(&key);
  return status;
}

/* Reads a file that only its owner, who must be this user, can read. */
static es_status read_secret(es_buf *out, const char *path, es_error *err) {
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO is refused, not waited for */
  es_status status = ES_OK;
  struct stat facts;
  char *room;
  ssize_t got;

  if (file < 0) {
    es_status kind = errno == ENOENT ? ES_ERR_USAGE : ES_ERR_OTHER;
    es__fail(err, kind, "key_file", "cannot read the key %s: %s", path, strerror(errno));
    es__hint(err, "make a key with: esrun keygen");
    return kind;
  }
  if (fstat(file, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    status = es__fail(err, ES_ERR_USAGE, "key_file", "the key %s is not a regular file", path);
  } else if (facts.st_uid != geteuid()) {
    status =
        es__fail(err, ES_ERR_USAGE, "key_of_another", "the key %s belongs to another user", path);
  } else if ((facts.st_mode & 077) != 0) {
    status = es__fail(err, ES_ERR_USAGE, "key_readable",
                      "the key %s can be read or written by others (mode %03o)", path,
                      (unsigned)(facts.st_mode & 0777));
    es__hint(err, "run: chmod 600 %s", path);
  } else if ((room = es__buf_reserve(out, KEY_FILE_MAX)) == NULL) {
    status = es__no_memory(err);
  } else if ((got = read(file, room, KEY_FILE_MAX)) < 0) {
    status = cannot(err, "read", path);
  } else {
    out->length = (size_t)got;
  }
  close(file);
  return status;
}

es_status es__signing_key_read(es_skey *out, const es_signing_key *key, es_error *err) {
  es_buf text = {0};
  es_status status = ES_OK;

  memset(out, 0, sizeof *out);
  if (key->text != NULL) return es__key_file_parse(out, es__text(key->text), key->passphrase, err);
  if (key->path == NULL) {
    es__fail(err, ES_ERR_USAGE, "no_key", "no signing key is given");
    es__hint(err, "make one with: esrun keygen");
    return ES_ERR_USAGE;
  }
  status = read_secret(&text, key->path, err);
  if (status == ES_OK) {
    status = es__key_file_parse(out, (es_text){text.data, text.length}, key->passphrase, err);
    if (status != ES_OK) es__wrap(err, "the key %s", key->path);
  }
  es__key_file_wipe(&text);
  return status;
}

es_status es_key_public(char **vkey, const es_signing_key *key, es_error *err) {
  es_skey secret;

  if (es__is_missing(vkey, "vkey", err)) return ES_ERR_USAGE;
  *vkey = NULL;
  if (es__is_missing(key, "key", err)) return ES_ERR_USAGE;
  es_status status = es__signing_key_read(&secret, key, err);

  if (status == ES_OK) status = hand_out_vkey(vkey, &secret.vkey, err);
  es__skey_clear(&secret);
  return status;
}

es_status es_sign_detached(char **signature, size_t *signature_length, char **public_key,
                           const es_signing_key *key, const void *bytes, size_t length,
                           es_error *err) {
  es_buf pem = {0}, made = {0}, public_pem = {0};
  es_status status = ES_OK;

  if (es__is_missing(signature, "signature", err) ||
      es__is_missing(signature_length, "signature_length", err) ||
      es__is_missing(public_key, "public_key", err))
    return ES_ERR_USAGE;
  *signature = *public_key = NULL;
  *signature_length = 0;
  if (es__is_missing(key, "key", err) || (length > 0 && es__is_missing(bytes, "bytes", err)))
    return ES_ERR_USAGE;
  if (key->text != NULL) {
    es__buf_text(&pem, key->text);
  } else if (key->path != NULL) {
    status = read_secret(&pem, key->path, err);
  }
  if (status == ES_OK)
    status = es__detached_sign(&made, &public_pem, (es_text){pem.data, pem.length}, key->passphrase,
                               (es_text){bytes, length}, err);
  if (status == ES_OK) {
    *signature = es__buf_take(&made, signature_length);
    *public_key = es__buf_take(&public_pem, NULL);
    if (*signature == NULL || *public_key == NULL) status = es__no_memory(err);
  }
  es__key_file_wipe(&pem);
  es__buf_free(&made);
  es__buf_free(&public_pem);
  return status;
}
