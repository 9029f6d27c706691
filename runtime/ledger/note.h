/* note: C2SP signed notes (c2sp.org/signed-note): text that one or more Ed25519 keys have signed, and the text forms of the
 * keys. Knows nothing of what the text says. */
#ifndef ES_LEDGER_NOTE_H
#define ES_LEDGER_NOTE_H

#include "base/buf.h"

enum {
  ES_KEY_SIZE = 32,
  ES_KEY_NAME_MAX = 255,
  ES_KEY_TEXT_SIZE = 340, /* both text forms of the longest name, with the NUL */
  ES_NOTE_MAX = 1024 * 1024,
  ES_NOTE_SIGNATURES_MAX = 100,
  ES_NOTE_KEYS_MAX = 32
};

/* A public key. `id` is the first four bytes of SHA-256(name, newline, type, key), big-endian. */
typedef struct es_vkey {
  char name[ES_KEY_NAME_MAX + 1];
  uint32_t id;
  uint8_t key[ES_KEY_SIZE];
} es_vkey;

/* A key that signs. es__skey_clear() before it goes out of sight. */
typedef struct es_skey {
  es_vkey vkey;
  uint8_t seed[ES_KEY_SIZE];
} es_skey;

/* Non-empty valid UTF-8 of at most ES_KEY_NAME_MAX bytes without spaces (Unicode's), control characters and '+'. */
es_status es__key_name_check(const char *name, size_t length, es_error *err);

/* A new key from the system's randomness, or the key of a seed. */
es_status es__skey_make(es_skey *out, const char *name, es_error *err);
es_status es__skey_of_seed(es_skey *out, const char *name, const uint8_t seed[ES_KEY_SIZE],
                           es_error *err);
void es__skey_clear(es_skey *key);

/* NAME+ID+BASE64 and PRIVATE+KEY+NAME+ID+BASE64, as golang.org/x/mod/sumdb/note has them. Parsing takes no white space
 * around; everything wrong is ES_ERR_USAGE: "malformed_key", "unknown_key_type", "wrong_key_id". */
void es__vkey_text(char out[ES_KEY_TEXT_SIZE], const es_vkey *key);
void es__skey_text(char out[ES_KEY_TEXT_SIZE], const es_skey *key);
es_status es__vkey_parse(es_vkey *out, const char *text, size_t length, es_error *err);
es_status es__skey_parse(es_skey *out, const char *text, size_t length, es_error *err);

/* Ed25519 (RFC 8032) over bytes. A signature that this key did not make is ES_ERR_INTEGRITY "bad_signature". */
es_status es__key_sign(uint8_t out[64], const es_skey *key, es_text text, es_error *err);
es_status es__key_verify(const es_vkey *key, es_text text, const uint8_t signature[64],
                         es_error *err);

/* Appends the note of `text` signed by the keys. The text must be one that es__note_open would accept. */
es_status es__note_sign(es_buf *out, es_text text, const es_skey *keys, size_t key_count,
                        es_error *err);

/* A note whose signatures were checked: `text` and `signatures` (the lines) point into it. */
typedef struct es_note {
  es_text text; /* with its last newline, without the empty line */
  es_text signatures;
  size_t signature_count; /* of any key */
  uint32_t signed_by;     /* bit i: keys[i] has signed it */
} es_note;

/* Splits a note into text and signatures and checks its form only: trust nothing yet. */
es_status es__note_split(es_note *out, es_text note, es_error *err);

/* The key that made a signature line, as the line says: trust nothing. `name` points into the note. */
typedef struct es_note_signer {
  es_text name;
  uint32_t id;
} es_note_signer;

/* Who signed a note that was split: the next line from *at (at first 0) on; false when there is no further or it is
 * malformed. */
bool es__note_signer(es_note_signer *out, size_t *at, const es_note *note);

/* Opens a note that at least one of the keys must have signed. Signatures of other keys are passed over, as the
 * specification asks; a signature of one of the keys that does not hold condemns the note. ES_ERR_INTEGRITY
 * "malformed_note", "bad_signature", "unknown_signer" (which names who did sign). */
es_status es__note_open(es_note *out, es_text note, const es_vkey *keys, size_t key_count,
                        es_error *err);

#endif
