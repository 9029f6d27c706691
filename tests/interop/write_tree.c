/* write_tree: fills a folder with what the ledger layer writes (a key, leaves, signed checkpoints of many sizes, proofs), for
 * main.go to check with Go's own implementation. Usage: write_tree FOLDER LEAVES */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "ledger/proof.h"
#include "ledger/tile.h"

/* Stops the program with the error's message; this is a tool of the tests. */
static void must(es_status status, const es_error *err) {
  if (status == ES_OK) return;
  fprintf(stderr, "write_tree: %s\n", err->message);
  exit(1);
}

static void write_file(const char *folder, const char *name, es_text text) {
  char path[4096];
  FILE *file;

  snprintf(path, sizeof path, "%s/%s", folder, name);
  file = fopen(path, "wb");
  if (file == NULL || fwrite(text.data, 1, text.length, file) != text.length || fclose(file) != 0) {
    fprintf(stderr, "write_tree: cannot write %s\n", path);
    exit(1);
  }
}

/* ---- A tree in memory -------------------------------------------------------------------------------------- */

enum { LEVELS = 3, TILES = 256 };

typedef struct forest {
  es_hash tiles[LEVELS][TILES][ES_TILE_WIDTH];
  es_tile_writer writer;
  es_tile_reader reader;
  es_skey key;
  es_error err;
} forest;

static es_status read_tile(const es_hash **hashes, void *data, int level, int64_t index, int width,
                           es_error *err) {
  forest *f = data;
  (void)width;
  (void)err;
  *hashes = f->tiles[level][index];
  return ES_OK;
}

static es_status write_tile(void *data, int level, int64_t index, int width, const es_hash *hashes,
                            es_error *err) {
  forest *f = data;
  if (level >= LEVELS || index >= TILES)
    return es__fail(err, ES_ERR_OTHER, "full", "too many leaves");
  memcpy(f->tiles[level][index], hashes, (size_t)width * sizeof *hashes);
  return ES_OK;
}

/* ---- What is written --------------------------------------------------------------------------------------- */

static void write_leaves(forest *f, const char *folder, int64_t count) {
  static const uint8_t prefix = 0;
  char hex[2 * ES_HASH_SIZE + 1];
  es_buf lines = {0};

  for (int64_t i = 0; i < count; i++) {
    es_hash leaf;
    must(es__sha256(f->reader.chain, leaf.bytes, &prefix, 1, &i, sizeof i, &f->err), &f->err);
    must(es__tile_append(&f->writer, &leaf, &f->err), &f->err);
    es__hex(hex, leaf.bytes, ES_HASH_SIZE);
    es__buf_format(&lines, "%s\n", hex);
  }
  must(es__tile_flush(&f->writer, &f->err), &f->err);
  write_file(folder, "leaves", (es_text){lines.data, lines.length});
  es__buf_free(&lines);
}

static es_buf sign(forest *f, int64_t size) {
  es_tree_head checkpoint = {.origin = es__text("example.com/interop"), .size = size};
  es_buf text = {0}, note = {0};

  must(es__tile_root(&checkpoint.root, size, &f->reader, &f->err), &f->err);
  es__checkpoint_print(&text, &checkpoint);
  must(es__note_sign(&note, (es_text){text.data, text.length}, &f->key, 1, &f->err), &f->err);
  es__buf_free(&text);
  return note;
}

static void write_proof(const char *folder, es_proof *proof, const es_buf *note, int64_t size) {
  char name[128];
  es_buf file = {0};

  proof->note = (es_text){note->data, note->length};
  if (proof->kind == ES_PROOF_INCLUSION) {
    snprintf(name, sizeof name, "%lld-of-%lld.tlog-proof", (long long)proof->index,
             (long long)size);
  } else {
    snprintf(name, sizeof name, "%lld-to-%lld.consistency", (long long)proof->old_size,
             (long long)size);
  }
  es__proof_print(&file, proof);
  write_file(folder, name, (es_text){file.data, file.length});
  es__buf_free(&file);
}

/* A checkpoint of this size, the proofs of some leaves in it, and that it continues some smaller trees. */
static void write_size(forest *f, const char *folder, int64_t size) {
  int64_t step = size / 7 + 1;
  es_buf note = sign(f, size);
  es_proof proof;
  char name[64];

  snprintf(name, sizeof name, "%lld.checkpoint", (long long)size);
  write_file(folder, name, (es_text){note.data, note.length});
  for (int64_t index = 0; index < size; index += step) {
    proof = (es_proof){.kind = ES_PROOF_INCLUSION, .index = index};
    must(es__tile_inclusion(&proof.path, index, size, &f->reader, &f->err), &f->err);
    write_proof(folder, &proof, &note, size);
  }
  for (int64_t old_size = 1; old_size <= size; old_size += step) {
    proof = (es_proof){.kind = ES_PROOF_CONSISTENCY, .old_size = old_size};
    must(es__tile_consistency(&proof.path, old_size, size, &f->reader, &f->err), &f->err);
    write_proof(folder, &proof, &note, size);
  }
  es__buf_free(&note);
}

int main(int argc, char **argv) {
  forest *f = calloc(1, sizeof *f);
  int64_t leaves = argc == 3 ? atoll(argv[2]) : 0;
  char key[ES_KEY_TEXT_SIZE];
  es_chain *chain;

  if (leaves < 1 || f == NULL) {
    fprintf(stderr, "usage: write_tree FOLDER LEAVES\n");
    return 2;
  }
  must(es__chain_new(&chain, &f->err), &f->err);
  f->reader = (es_tile_reader){read_tile, f, chain};
  must(es__tile_open(&f->writer, 0, &f->reader, write_tile, f, &f->err), &f->err);
  must(es__skey_make(&f->key, "example.com/interop", &f->err), &f->err);
  es__vkey_text(key, &f->key.vkey);
  write_file(argv[1], "vkey", es__text(key));
  write_leaves(f, argv[1], leaves);
  for (int64_t size = 1; size <= leaves; size += size < 20 ? 1 : size / 3)
    write_size(f, argv[1], size);
  write_size(f, argv[1], leaves);
  es__chain_free(chain);
  free(f);
  return 0;
}
