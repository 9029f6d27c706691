/* note: signing texts and opening signed notes. Knows nothing of what a text says. */
#include "ledger/note.h"

#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/utf8.h"

enum { ID_SIZE = 4, ED25519_SIGNATURE_SIZE = 64 };

static const char signature_prefix[] = "\xE2\x80\x94 "; /* em dash, space */

static es_status malformed(es_error *err, const char *why) {
  return es__fail(err, ES_ERR_INTEGRITY, "malformed_note", "this is no signed note: %s", why);
}

/* ---- Signing ----------------------------------------------------------------------------------------------- */

static const char *character_fault(es_text text) {
  if (!es__utf8_valid(text.data, text.length)) return "it is not valid UTF-8";
  for (size_t i = 0; i < text.length; i++) {
    if ((unsigned char)text.data[i] < ' ' && text.data[i] != '\n')
      return "it contains a control character";
  }
  return NULL;
}

es_status es__note_sign(es_buf *out, es_text text, const es_skey *keys, size_t key_count,
                        es_error *err) {
  if (text.length == 0 || text.data[text.length - 1] != '\n' || character_fault(text) != NULL) {
    return es__fail(err, ES_ERR_USAGE, "malformed_note",
                    "only UTF-8 text without control characters that ends in a newline is signed");
  }
  es__buf_add(out, text.data, text.length);
  es__buf_byte(out, '\n');
  for (size_t i = 0; i < key_count; i++) {
    const es_vkey *key = &keys[i].vkey;
    uint8_t bytes[ID_SIZE + ED25519_SIGNATURE_SIZE] = {(uint8_t)(key->id >> 24),
                                                       (uint8_t)(key->id >> 16),
                                                       (uint8_t)(key->id >> 8), (uint8_t)key->id};
    es_status status = es__key_sign(bytes + ID_SIZE, &keys[i], text, err);
    if (status != ES_OK) return status;
    es__buf_text(out, signature_prefix);
    es__buf_text(out, key->name);
    es__buf_byte(out, ' ');
    es__base64_add(out, bytes, sizeof bytes);
    es__buf_byte(out, '\n');
  }
  return out->failed ? es__no_memory(err) : ES_OK;
}

/* ---- Opening ----------------------------------------------------------------------------------------------- */

es_status es__note_split(es_note *out, es_text note, es_error *err) {
  const char *fault;
  size_t split;

  memset(out, 0, sizeof *out);
  if (note.length > ES_NOTE_MAX) return malformed(err, "it is longer than 1 MiB");
  fault = character_fault(note);
  if (fault != NULL) return malformed(err, fault);
  if (note.length == 0 || note.data[note.length - 1] != '\n')
    return malformed(err, "it does not end in a newline, so it was cut off");
  for (split = note.length - 1; split > 0; split--) {
    if (note.data[split] == '\n' && note.data[split - 1] == '\n') break;
  }
  if (split == 0) return malformed(err, "no empty line comes before its signatures");
  out->text = (es_text){note.data, split};
  out->signatures = (es_text){note.data + split + 1, note.length - split - 1};
  if (out->signatures.length == 0) return malformed(err, "it has no signatures");
  return ES_OK;
}

/* One line: who signed, and the bytes after the key's id. */
typedef struct signature {
  es_text name;
  uint32_t id;
  size_t length;
  uint8_t bytes[8192]; /* the longest that other signers' algorithms make take about 5 kB */
} signature;

static es_status malformed_line(es_error *err, size_t number, const char *why) {
  return es__fail(err, ES_ERR_INTEGRITY, "malformed_note",
                  "this is no signed note: signature line %zu %s", number, why);
}

static es_status parse_line(signature *out, const char *line, size_t length, size_t number,
                            es_error *err) {
  size_t prefix = sizeof signature_prefix - 1, decoded;
  const char *space;
  uint8_t bytes[ID_SIZE + sizeof out->bytes];

  if (length < prefix || memcmp(line, signature_prefix, prefix) != 0)
    return malformed_line(err, number, "does not begin with an em dash and a space");
  line += prefix;
  length -= prefix;
  space = memchr(line, ' ', length);
  if (space == NULL) return malformed_line(err, number, "has no space between name and signature");
  out->name = (es_text){line, (size_t)(space - line)};
  if (es__key_name_check(line, out->name.length, NULL) != ES_OK)
    return malformed_line(err, number, "has no valid key name");
  if (!es__base64_parse(bytes, sizeof bytes, &decoded, space + 1, length - out->name.length - 1))
    return malformed_line(err, number, "has a signature that is not base64, or is too long");
  if (decoded <= ID_SIZE) return malformed_line(err, number, "has a signature that is too short");
  out->id =
      (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
  out->length = decoded - ID_SIZE;
  memcpy(out->bytes, bytes + ID_SIZE, out->length);
  return ES_OK;
}

bool es__note_signer(es_note_signer *out, size_t *at, const es_note *note) {
  const char *line = note->signatures.data + *at;
  size_t left = note->signatures.length - *at, length;
  signature parsed;

  if (left == 0) return false;
  length = (size_t)((const char *)memchr(line, '\n', left) - line);
  *at += length + 1;
  if (parse_line(&parsed, line, length, 0, NULL) != ES_OK) return false;
  *out = (es_note_signer){parsed.name, parsed.id};
  return true;
}

/* Tells the keys apart by name and id; both together name a key. */
static bool is_by(const signature *line, const es_vkey *key) {
  return line->id == key->id && es__text_equal(line->name, es__text(key->name));
}

static es_status check_line(es_note *note, const signature *line, const es_vkey *keys,
                            size_t key_count, es_error *err) {
  es_status status;

  for (size_t i = 0; i < key_count; i++) {
    if (!is_by(line, &keys[i])) continue;
    if (line->length != ED25519_SIGNATURE_SIZE) {
      return es__fail(err, ES_ERR_INTEGRITY, "bad_signature",
                      "the signature of %s (key %08x) is not of %d bytes", keys[i].name, keys[i].id,
                      ED25519_SIGNATURE_SIZE);
    }
    status = es__key_verify(&keys[i], note->text, line->bytes, err);
    if (status != ES_OK) return status;
    note->signed_by |= (uint32_t)1 << i;
  }
  return ES_OK;
}

es_status es__note_open(es_note *out, es_text note, const es_vkey *keys, size_t key_count,
                        es_error *err) {
  const char *line, *end;
  signature parsed;
  es_status status = es__note_split(out, note, err);

  if (status != ES_OK) return status;
  if (key_count > ES_NOTE_KEYS_MAX) {
    return es__fail(err, ES_ERR_USAGE, "too_many_keys", "a note is checked against %d keys at most",
                    ES_NOTE_KEYS_MAX);
  }
  end = out->signatures.data + out->signatures.length;
  for (line = out->signatures.data; line < end;) {
    size_t length = (size_t)((const char *)memchr(line, '\n', (size_t)(end - line)) - line);
    if (++out->signature_count > ES_NOTE_SIGNATURES_MAX)
      return malformed(err, "it has more than 100 signatures");
    status = parse_line(&parsed, line, length, out->signature_count, err);
    if (status == ES_OK) status = check_line(out, &parsed, keys, key_count, err);
    if (status != ES_OK) return status;
    line += length + 1;
  }
  if (out->signed_by != 0) return ES_OK;
  es__fail(err, ES_ERR_INTEGRITY, "unknown_signer",
           "none of the given keys signed this: the last signature is by %.*s (key %08x)",
           (int)parsed.name.length, parsed.name.data, parsed.id);
  es__hint(err, "give the verifier key of that signer, if you trust it");
  return ES_ERR_INTEGRITY;
}
