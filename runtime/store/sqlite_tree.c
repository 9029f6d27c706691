/* sqlite_tree: the tree's tiles and the kept checkpoints as rows. What they mean is store/tree.h's and the ledger's to know. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "store/sqlite.h"

/* tiles.tile is level * 2^48 + index. */
static int64_t tile_key(int level, int64_t index) { return (int64_t)level << 48 | index; }

es_status es__sqlite_hashes(es_hash *out, size_t *count, es_store *base, int64_t after,
                            size_t capacity, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  sqlite3_stmt *statement;
  es_status status = es__sqlite_statement(&statement, store, ES_SQL_HASHES, err);
  int rc;

  if (status != ES_OK) return status;
  sqlite3_bind_int64(statement, 1, after);
  sqlite3_bind_int64(statement, 2, (int64_t)capacity);
  while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
    int64_t expected = after + (int64_t)*count + 1;
    if (sqlite3_column_int64(statement, 0) != expected) {
      if (*count == 0)
        status = es__sqlite_damage(store, expected, "position_gap", err, "it is missing");
      rc = SQLITE_DONE; /* those before the gap are good */
    } else if (es__sqlite_blob(out[*count].bytes, statement, 1, ES_HASH_SIZE)) {
      (*count)++;
      continue;
    } else {
      status = es__sqlite_damage(store, expected, "hash", err, "the hash is malformed");
    }
    break;
  }
  if (status == ES_OK && rc != SQLITE_DONE)
    status = es__sqlite_fail(store, rc, "reading hashes", err);
  sqlite3_reset(statement);
  return status;
}

es_status es__sqlite_tree_size(int64_t *out, es_store *base, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  sqlite3_stmt *statement;
  es_status status = es__sqlite_statement(&statement, store, ES_SQL_TREE_SIZE, err);

  if (status != ES_OK) return status;
  int rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW) {
    int64_t index = sqlite3_column_int64(statement, 0);
    *out = index * ES_TILE_WIDTH + sqlite3_column_int64(statement, 1) / ES_HASH_SIZE;
    if (index < 0) *out = 0;
  } else if (rc != SQLITE_DONE) {
    status = es__sqlite_fail(store, rc, "reading the tree's size", err);
  }
  sqlite3_reset(statement);
  return status;
}

es_status es__sqlite_tile(es_hash out[ES_TILE_WIDTH], int *width, es_store *base, int level,
                          int64_t index, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  sqlite3_stmt *statement;
  es_status status = es__sqlite_statement(&statement, store, ES_SQL_TILE_GET, err);

  *width = 0;
  if (status != ES_OK) return status;
  sqlite3_bind_int64(statement, 1, tile_key(level, index));
  int rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW && sqlite3_column_type(statement, 0) == SQLITE_BLOB) {
    int length = sqlite3_column_bytes(statement, 0);
    *width = length / ES_HASH_SIZE < ES_TILE_WIDTH ? length / ES_HASH_SIZE : ES_TILE_WIDTH;
    if (*width > 0) memcpy(out, sqlite3_column_blob(statement, 0), (size_t)*width * sizeof *out);
  } else if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
    status = es__sqlite_fail(store, rc, "reading the tree", err);
  }
  sqlite3_reset(statement);
  return status;
}

static es_status write_tile(int64_t *changed, es_sqlite *store, es_statement which, int64_t key,
                            int width, const es_hash *hashes, es_error *err) {
  sqlite3_stmt *statement;
  es_status status = es__sqlite_statement(&statement, store, which, err);

  if (status != ES_OK) return status;
  sqlite3_bind_int64(statement, 1, key);
  sqlite3_bind_blob(statement, 2, hashes, width * ES_HASH_SIZE, SQLITE_STATIC);
  int rc = sqlite3_step(statement);
  *changed = sqlite3_changes64(store->db);
  if (rc != SQLITE_DONE) status = es__sqlite_fail(store, rc, "storing the tree", err);
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return status;
}

es_status es__sqlite_put_tile(es_store *base, int level, int64_t index, int width,
                              const es_hash *hashes, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  int64_t key = tile_key(level, index), changed = 0;
  es_status status = write_tile(&changed, store, ES_SQL_TILE_GROW, key, width, hashes, err);

  if (status != ES_OK || changed > 0) return status;
  status = write_tile(&changed, store, ES_SQL_TILE_ADD, key, width, hashes, err);
  return status == ES_OK ? es__sqlite_inserted(store, SQLITE_DONE, 1, "storing the tree", err)
                         : status;
}

/* Tiles that the tree of this size does not have are damage; those it has are compared by es__tree_check. */
es_status es__sqlite_check_tile_count(es_sqlite *store, es_store_finding finding, void *data,
                                      es_error *err) {
  int64_t size = 0, expected = 0;
  char message[96];
  es_status status = es__sqlite_tree_size(&size, &store->base, err);

  if (status != ES_OK) return status;
  for (int level = 0; level < ES_TILE_LEVELS; level++) {
    int64_t count = size >> (ES_TILE_HEIGHT * level);
    expected += count / ES_TILE_WIDTH + (count % ES_TILE_WIDTH > 0);
  }
  int64_t stored = es__sqlite_ask_integer(store->db, "SELECT count(*) FROM tiles", -1);
  if (stored == expected) return ES_OK;
  snprintf(message, sizeof message, "the tree of %lld events has %lld tiles, %lld are stored",
           (long long)size, (long long)expected, (long long)stored);
  finding(data, "tree", 0, message);
  return ES_OK;
}

/* ---- Checkpoints ------------------------------------------------------------------------------------------- */

es_status es__sqlite_checkpoint(es_store_checkpoint *out, es_store *base, int64_t up_to, int64_t id,
                                es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  sqlite3_stmt *statement;
  es_status status = es__sqlite_statement(&statement, store, ES_SQL_CHECKPOINT_GET, err);

  if (status != ES_OK) return status;
  sqlite3_bind_int64(statement, 1, up_to);
  sqlite3_bind_int64(statement, 2, id);
  int rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW) {
    es_text note = es__sqlite_text(statement, 1);
    out->size = sqlite3_column_int64(statement, 0);
    out->id = sqlite3_column_int64(statement, 2);
    es__buf_add(&out->note, note.data, note.length);
    if (out->note.failed) status = es__no_memory(err);
  } else if (rc != SQLITE_DONE) {
    status = es__sqlite_fail(store, rc, "reading a checkpoint", err);
  }
  sqlite3_reset(statement);
  return status;
}

/* Over everything in the row, so that one flipped bit shows also where no key is known. */
static es_status checksum_of(uint8_t out[ES_HASH_SIZE], es_sqlite *store, int64_t id, int64_t size,
                             es_text note, es_error *err) {
  char head[64];
  int length = snprintf(head, sizeof head, "%lld\n%lld\n", (long long)id, (long long)size);
  return es__sha256(store->base.chain, out, head, (size_t)length, note.data, note.length, err);
}

es_status es__sqlite_add_checkpoint(es_store *base, int64_t size, es_text note, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  uint8_t checksum[ES_HASH_SIZE];
  sqlite3_stmt *last, *add;
  es_status status = es__sqlite_statement(&last, store, ES_SQL_CHECKPOINT_LAST, err);

  if (status == ES_OK) status = es__sqlite_statement(&add, store, ES_SQL_CHECKPOINT_ADD, err);
  if (status != ES_OK) return status;
  int rc = sqlite3_step(last);
  int64_t id = rc == SQLITE_ROW ? sqlite3_column_int64(last, 0) + 1 : 0;
  if (rc != SQLITE_ROW) status = es__sqlite_fail(store, rc, "storing a checkpoint", err);
  sqlite3_reset(last);
  if (status == ES_OK) status = checksum_of(checksum, store, id, size, note, err);
  if (status != ES_OK) return status;
  sqlite3_bind_int64(add, 1, id);
  sqlite3_bind_int64(add, 2, size);
  sqlite3_bind_text64(add, 3, note.data, note.length, SQLITE_STATIC, SQLITE_UTF8);
  sqlite3_bind_blob(add, 4, checksum, ES_HASH_SIZE, SQLITE_STATIC);
  status = es__sqlite_inserted(store, sqlite3_step(add), 1, "storing a checkpoint", err);
  sqlite3_reset(add);
  sqlite3_clear_bindings(add);
  return status;
}

es_status es__sqlite_check_checkpoints(es_sqlite *store, es_store_finding finding, void *data,
                                       es_error *err) {
  uint8_t stored[ES_HASH_SIZE], computed[ES_HASH_SIZE];
  sqlite3_stmt *statement = NULL;
  int64_t expected_id = 1, last_size = 0;
  char message[96];
  es_status status = ES_OK;

  int rc = sqlite3_prepare_v2(store->db,
                              "SELECT checkpoint_id, size, note, checksum FROM checkpoints"
                              " ORDER BY checkpoint_id",
                              -1, &statement, NULL);
  while (rc == SQLITE_OK && status == ES_OK && sqlite3_step(statement) == SQLITE_ROW) {
    int64_t id = sqlite3_column_int64(statement, 0), size = sqlite3_column_int64(statement, 1);
    status = checksum_of(computed, store, id, size, es__sqlite_text(statement, 2), err);
    const char *why = !es__sqlite_blob(stored, statement, 3, ES_HASH_SIZE) ||
                              memcmp(stored, computed, ES_HASH_SIZE) != 0
                          ? "does not agree with its checksum"
                      : id != expected_id ? "follows a gap"
                      : size < last_size  ? "is smaller than the one before it"
                                          : NULL;
    expected_id = id + 1;
    last_size = size;
    if (status != ES_OK || why == NULL) continue;
    snprintf(message, sizeof message, "checkpoint %lld %s", (long long)id, why);
    finding(data, "checkpoint", 0, message);
  }
  sqlite3_finalize(statement);
  return status;
}
