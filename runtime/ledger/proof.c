/* proof: reading, writing and checking proof files. Knows no store. */
#include "ledger/proof.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/error.h"

static const char inclusion_header[] = "c2sp.org/tlog-proof@v1";

void es__proof_free(es_proof *proof) {
  if (proof != NULL) es__buf_free(&proof->extra);
}

/* ---- Writing ----------------------------------------------------------------------------------------------- */

void es__proof_print(es_buf *out, const es_proof *proof) {
  if (proof->kind == ES_PROOF_CONSISTENCY) {
    es__buf_format(out, "old %lld\n", (long long)proof->old_size);
  } else {
    es__buf_format(out, "%s\n", inclusion_header);
    if (proof->extra.length > 0) {
      es__buf_text(out, "extra ");
      es__base64_add(out, proof->extra.data, proof->extra.length);
      es__buf_byte(out, '\n');
    }
    es__buf_format(out, "index %lld\n", (long long)proof->index);
  }
  for (size_t i = 0; i < proof->path.count; i++) {
    es__base64_add(out, proof->path.hashes[i].bytes, ES_HASH_SIZE);
    es__buf_byte(out, '\n');
  }
  es__buf_byte(out, '\n');
  es__buf_add(out, proof->note.data, proof->note.length);
}

/* ---- Reading ----------------------------------------------------------------------------------------------- */

typedef struct line_reader {
  const char *at, *end;
  const char *line;
  size_t length;
  size_t number;
} line_reader;

static bool next_line(line_reader *reader) {
  const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));

  reader->number++;
  if (newline == NULL) return false;
  reader->line = reader->at;
  reader->length = (size_t)(newline - reader->at);
  reader->at = newline + 1;
  return true;
}

static bool starts_with(const line_reader *reader, const char *word) {
  size_t length = strlen(word);
  return reader->length >= length && memcmp(reader->line, word, length) == 0;
}

static bool line_is(const line_reader *reader, const char *text) {
  return reader->length == strlen(text) && starts_with(reader, text);
}

static es_status malformed(es_error *err, const line_reader *reader, const char *why) {
  return es__fail(err, ES_ERR_INTEGRITY, "malformed_proof", "this is no proof: line %zu %s",
                  reader->number, why);
}

static es_status parse_extra(es_proof *out, const line_reader *reader, es_error *err) {
  static const size_t word = sizeof "extra " - 1;
  size_t text_length = reader->length - word, length, size = text_length / 4 * 3;
  uint8_t *room = (uint8_t *)es__buf_reserve(&out->extra, size);

  if (room == NULL) return es__no_memory(err);
  if (!es__base64_parse(room, size, &length, reader->line + word, text_length) || length == 0)
    return malformed(err, reader, "has extra data that is not base64");
  out->extra.length = length;
  return ES_OK;
}

static es_status parse_number(int64_t *out, const line_reader *reader, const char *word,
                              es_error *err) {
  size_t skip = strlen(word);

  if (starts_with(reader, word) &&
      es__size_parse(out, reader->line + skip, reader->length - skip)) {
    return ES_OK;
  }
  return es__fail(err, ES_ERR_INTEGRITY, "malformed_proof",
                  "this is no proof: line %zu is not '%sN' with a decimal number", reader->number,
                  word);
}

static es_status parse_path(es_proof *out, line_reader *reader, es_error *err) {
  while (next_line(reader)) {
    if (reader->length == 0) {
      out->note = (es_text){reader->at, (size_t)(reader->end - reader->at)};
      if (out->note.length > 0) return ES_OK;
      reader->number++;
      return malformed(err, reader, "is missing: the checkpoint is cut off");
    }
    if (out->path.count == ES_TREE_HEIGHT_MAX)
      return malformed(err, reader, "is one hash more than a tree can need");
    if (!es__hash_parse(&out->path.hashes[out->path.count++], reader->line, reader->length))
      return malformed(err, reader, "is not a hash in base64");
  }
  return malformed(err, reader, "is missing or cut off");
}

es_status es__proof_parse(es_proof *out, es_text file, es_error *err) {
  line_reader reader = {.at = file.data, .end = file.data + file.length};
  es_status status;

  memset(out, 0, sizeof *out);
  if (file.length > ES_PROOF_MAX) return malformed(err, &reader, "would be one of too many");
  if (file.length == 0 || !next_line(&reader))
    return malformed(err, &reader, "is missing or cut off");
  if (starts_with(&reader, "old ")) {
    out->kind = ES_PROOF_CONSISTENCY;
    status = parse_number(&out->old_size, &reader, "old ", err);
  } else if (line_is(&reader, inclusion_header)) {
    out->kind = ES_PROOF_INCLUSION;
    if (!next_line(&reader)) return malformed(err, &reader, "is missing or cut off");
    status = ES_OK;
    if (starts_with(&reader, "extra ")) {
      status = parse_extra(out, &reader, err);
      if (status == ES_OK && !next_line(&reader))
        status = malformed(err, &reader, "is missing or cut off");
    }
    if (status == ES_OK) status = parse_number(&out->index, &reader, "index ", err);
  } else {
    status = malformed(err, &reader, "is neither 'c2sp.org/tlog-proof@v1' nor 'old N'");
  }
  if (status == ES_OK) status = parse_path(out, &reader, err);
  if (status != ES_OK) es__proof_free(out);
  return status;
}

/* ---- Checking ---------------------------------------------------------------------------------------------- */

es_status es__proof_verify(es_proof_result *out, const es_proof *proof, const es_vkey *keys,
                           size_t key_count, const es_hash *leaf, const es_tree_head *older,
                           es_chain *chain, es_error *err) {
  es_status status;

  memset(out, 0, sizeof *out);
  status = es__note_open(&out->note, proof->note, keys, key_count, err);
  if (status == ES_OK) status = es__checkpoint_parse(&out->checkpoint, out->note.text, err);
  if (status != ES_OK) {
    es__wrap(err, "the proof's checkpoint");
    return status;
  }
  if (proof->kind == ES_PROOF_INCLUSION) {
    return es__inclusion_check(&proof->path, out->checkpoint.size, &out->checkpoint.root,
                               proof->index, leaf, chain, err);
  }
  if (older->size != proof->old_size) {
    return es__fail(err, ES_ERR_INTEGRITY, "bad_proof",
                    "the proof starts from a tree of %lld events, the older checkpoint is of %lld",
                    (long long)proof->old_size, (long long)older->size);
  }
  return es__checkpoint_continues(older, &out->checkpoint, &proof->path, chain, err);
}
