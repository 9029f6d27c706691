/* sqlite: the event store in a SQLite file: opening, pragmas, closing. Never includes Lua. */
#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "json/writer.h"

enum { DEFAULT_LOCK_TIMEOUT_MS = 30000 };

/* ---- Statements and columns ---- */

static const char *const statement_texts[] = {
#define ES_STATEMENT_TEXT(constant, sql) sql,
    ES_SQLITE_STATEMENTS(ES_STATEMENT_TEXT)
#undef ES_STATEMENT_TEXT
};

es_status es__sqlite_statement(sqlite3_stmt **out, es_sqlite *store, es_statement which,
                               es_error *err) {
  if (store->statements[which] == NULL) {
    int rc = sqlite3_prepare_v3(store->db, statement_texts[which], -1, SQLITE_PREPARE_PERSISTENT,
                                &store->statements[which], NULL);
    if (rc != SQLITE_OK) return es__sqlite_fail(store, rc, "preparing a statement", err);
  }
  *out = store->statements[which];
  return ES_OK;
}

es_status es__sqlite_run(es_sqlite *store, es_statement which, const char *doing, es_error *err) {
  sqlite3_stmt *statement = NULL;
  es_status status = es__sqlite_statement(&statement, store, which, err);

  if (status != ES_OK) return status;
  int rc = sqlite3_step(statement);
  if (rc != SQLITE_DONE) status = es__sqlite_fail(store, rc, doing, err);
  sqlite3_reset(statement);
  return status;
}

int es__sqlite_ask(sqlite3 *db, const char *sql, char *text, size_t size) {
  sqlite3_stmt *statement = NULL;
  int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

  if (text != NULL) text[0] = '\0';
  if (rc == SQLITE_OK) rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW && text != NULL) {
    const unsigned char *value = sqlite3_column_text(statement, 0);
    snprintf(text, size, "%s", value == NULL ? "" : (const char *)value);
  }
  sqlite3_finalize(statement);
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int64_t es__sqlite_ask_integer(sqlite3 *db, const char *sql, int64_t fallback) {
  char text[32];
  if (es__sqlite_ask(db, sql, text, sizeof text) != SQLITE_OK || text[0] == '\0') return fallback;
  return strtoll(text, NULL, 10);
}

bool es__sqlite_blob(uint8_t *out, sqlite3_stmt *statement, int column, size_t length) {
  if (sqlite3_column_type(statement, column) != SQLITE_BLOB) return false;
  const void *bytes = sqlite3_column_blob(statement, column);
  if ((size_t)sqlite3_column_bytes(statement, column) != length || bytes == NULL) return false;
  memcpy(out, bytes, length);
  return true;
}

es_text es__sqlite_text(sqlite3_stmt *statement, int column) {
  es_text text = {(const char *)sqlite3_column_text(statement, column), 0};
  if (text.data != NULL) text.length = (size_t)sqlite3_column_bytes(statement, column);
  return text;
}

/* ---- Pragmas ---- */

typedef struct es_pragma {
  const char *name;
  const char *set;      /* NULL: only read back */
  const char *expected; /* what reading it back must give; NULL: anything */
} es_pragma;

/* FULL: in WAL mode NORMAL loses acknowledged commits in a power cut. */
static const es_pragma pragmas[] = {
    {"journal_mode", "wal", "wal"},
    {"synchronous", "full", "2"},
    {"trusted_schema", "off", "0"},
    {"cell_size_check", "on", "1"},
    {"foreign_keys", "on", "1"},
    {"cache_size", "-16384", "-16384"},
    /* The guards make SQLite journal every page of an insert: in a file that would halve the rate. */
    {"temp_store", "memory", "2"},
    {"wal_autocheckpoint", "2000", "2000"},
    {"page_size", NULL, NULL},
    {"encoding", NULL, "UTF-8"},
    {"busy_timeout", NULL, NULL},
    {"application_id", NULL, NULL},
    {"user_version", NULL, NULL},
};

static es_status set_pragmas(es_sqlite *store, es_error *err) {
  char sql[96], value[64];

  for (size_t i = 0; i < sizeof pragmas / sizeof pragmas[0]; i++) {
    const es_pragma *pragma = &pragmas[i];
    bool writes_file = strcmp(pragma->name, "journal_mode") == 0;
    int rc = SQLITE_OK;
    if (pragma->set == NULL && pragma->expected == NULL) continue; /* for sqlite_info() */
    if (pragma->set != NULL && !(writes_file && store->read_only)) {
      snprintf(sql, sizeof sql, "PRAGMA %s = %s", pragma->name, pragma->set);
      rc = es__sqlite_ask(store->db, sql, NULL, 0);
    }
    snprintf(sql, sizeof sql, "PRAGMA %s", pragma->name);
    if (rc == SQLITE_OK) rc = es__sqlite_ask(store->db, sql, value, sizeof value);
    if (rc != SQLITE_OK) return es__sqlite_fail(store, rc, "opening", err);
    if (writes_file && store->read_only) continue; /* a copy is in no WAL before it is written */
    if (pragma->expected != NULL && strcmp(value, pragma->expected) != 0) {
      es__fail(err, ES_ERR_STORE, "pragma", "%s: SQLite answers %s = %s where %s is needed",
               store->path, pragma->name, value, pragma->expected);
      es__hint(err, "this file system or SQLite build cannot keep what a store promises");
      return ES_ERR_STORE;
    }
  }
  return ES_OK;
}

void es__sqlite_small_cache(es_sqlite *store, bool small) {
  const char *sql =
      small ? "PRAGMA cache_size = -256" : "PRAGMA cache_size = -16384"; /* as above */
  sqlite3_exec(store->db, sql, NULL, NULL, NULL);
}

static es_status configure(es_sqlite *store, const es_sqlite_options *options, es_error *err) {
  char sql[64];
  int on = 0, rc;

  sqlite3_extended_result_codes(store->db, 1);
  /* A backstop behind the queue: checkpoints, recovery, and programs that know nothing of the queue. */
  rc = sqlite3_busy_timeout(
      store->db, (int)(store->lock_timeout_ms < INT32_MAX ? store->lock_timeout_ms : INT32_MAX));
  if (rc == SQLITE_OK) rc = sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, &on);
  if (rc != SQLITE_OK || !on) return es__sqlite_fail(store, rc, "opening defensively", err);
  sqlite3_db_config(store->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
  sqlite3_db_config(store->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
  if (options->max_page_count > 0) {
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %lld", (long long)options->max_page_count);
    rc = es__sqlite_ask(store->db, sql, NULL, 0);
    if (rc != SQLITE_OK) return es__sqlite_fail(store, rc, "limiting the size", err);
  }
  return ES_OK;
}

/* ---- Opening ---- */

/* What the file is, before anything is written to it or laid beside it. *fresh: empty, to be filled. One transaction: another
 * process may be filling it. */
static es_status classify(bool *fresh, es_sqlite *store, es_error *err) {
  int64_t application_id, version, objects;
  char text[32];
  int rc = sqlite3_exec(store->db, "BEGIN", NULL, NULL, NULL);

  if (rc == SQLITE_OK)
    rc = es__sqlite_ask(store->db, "SELECT count(*) FROM sqlite_schema", text, sizeof text);
  if (rc != SQLITE_OK) {
    es_status status = es__sqlite_fail(store, rc, "opening", err);
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
  }
  objects = strtoll(text, NULL, 10);
  application_id = es__sqlite_ask_integer(store->db, "PRAGMA application_id", 0);
  version = es__sqlite_ask_integer(store->db, "PRAGMA user_version", 0);
  sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
  *fresh = objects == 0 && application_id == 0 && version == 0;
  if (*fresh) return ES_OK;
  if (application_id != ES__SQLITE_APPLICATION_ID) {
    es__fail(err, ES_ERR_STORE, "foreign_store",
             "%s: this SQLite database belongs to another application (application_id %lld)",
             store->path, (long long)application_id);
    es__hint(err, "check the path; esrun keeps its events in a file of its own");
    return ES_ERR_STORE;
  }
  if (version > es__sqlite_schema_version()) {
    es__fail(err, ES_ERR_STORE, "future_store",
             "%s: a store from the future: its schema version is %lld, this esrun knows %d",
             store->path, (long long)version, es__sqlite_schema_version());
    es__hint(err, "use the esrun that wrote it, or a newer one");
    return ES_ERR_STORE;
  }
  if (version < 1 || objects == 0) {
    es__fail(err, ES_ERR_STORE, "corrupt", "%s: the store's header or schema is damaged",
             store->path);
    es__hint(err, "restore a backup");
    return ES_ERR_STORE;
  }
  return ES_OK;
}

es_status es__sqlite_check_kind(const char *path, const struct stat *found, es_error *err) {
  if (S_ISREG(found->st_mode)) return ES_OK;
  return es__fail(err, ES_ERR_STORE, "not_a_store", "%s: this is %s, not a store", path,
                  S_ISDIR(found->st_mode) ? "a folder" : "no file");
}

/* The file must be looked at by name only: closing a descriptor of it would drop SQLite's locks in this process. */
static es_status look_at_file(const es_sqlite *store, bool must_exist, es_error *err) {
  struct stat found;

  if (stat(store->path, &found) == 0) {
    es_status status = es__sqlite_check_kind(store->path, &found, err);
    if (status != ES_OK) return status;
    if (must_exist && found.st_size == 0) {
      return es__fail(err, ES_ERR_STORE, "not_a_store", "%s: this file is empty, not a store",
                      store->path);
    }
    if (access(store->path, store->read_only ? R_OK : R_OK | W_OK) != 0) {
      es__fail(err, ES_ERR_STORE, "permission", "%s: no permission to %s it", store->path,
               store->read_only ? "read" : "write");
      es__hint(err, "check the owner and the mode of the file");
      return ES_ERR_STORE;
    }
    return ES_OK;
  }
  if (errno == ENOENT && !must_exist) return ES_OK;
  es__fail(err, ES_ERR_STORE, errno == ENOENT ? "no_store" : "permission", "%s: %s", store->path,
           errno == ENOENT ? "there is no such store" : strerror(errno));
  es__hint(err, "check the path; a store is created by the first command that writes");
  return ES_ERR_STORE;
}

/* Why SQLite could not make or open the file: its own words do not tell a missing folder from a closed one. */
static es_status check_folder(const es_sqlite *store, es_error *err) {
  char *folder = strdup(store->path);
  es_status status = ES_OK;

  if (folder == NULL) return es__no_memory(err);
  char *slash = strrchr(folder, '/');
  const char *name = slash == NULL ? "." : slash == folder ? "/" : folder;
  if (slash != NULL) *slash = '\0';
  if (access(name, F_OK) != 0) {
    status =
        es__fail(err, ES_ERR_STORE, "no_folder", "%s: there is no folder %s", store->path, name);
    es__hint(err, "create the folder first");
  } else if (!store->read_only && access(name, W_OK | X_OK) != 0) {
    status = es__fail(err, ES_ERR_STORE, "permission",
                      "%s: no permission to write in the folder %s", store->path, name);
    es__hint(err, "a store needs files beside it (-wal, -shm, -queue): make its folder writable");
  }
  free(folder);
  return status;
}

static es_status open_file(es_sqlite *store, const es_sqlite_options *options, es_error *err) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;

  flags |= store->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  if (!store->read_only && !options->must_exist) flags |= SQLITE_OPEN_CREATE;
  es_status status = look_at_file(store, options->must_exist || options->read_only, err);
  if (status == ES_OK) status = check_folder(store, err);
  if (status != ES_OK) return status;
  int rc = sqlite3_open_v2(store->path, &store->db, flags, NULL);
  if (rc != SQLITE_OK) return es__sqlite_fail(store, rc, "opening", err);
  return configure(store, options, err);
}

static es_status prepare_writing(es_sqlite *store, es_id_source *ids, es_error *err) {
  bool fresh;
  es_status status;
  char *real = realpath(store->path, NULL); /* one queue a file, whatever name it is opened by */

  status = real == NULL ? es__no_memory(err) : es__queue_open(&store->queue, real, err);
  free(real);
  if (status == ES_OK) status = es__queue_take(store->queue, store->lock_timeout_ms, err);
  if (status != ES_OK) return status;
  status = classify(&fresh, store, err); /* again: another process may have created it meanwhile */
  if (status == ES_OK) status = set_pragmas(store, err);
  if (status == ES_OK) status = es__sqlite_migrate(store, ids, err);
  es__queue_release(store->queue);
  return status;
}

static es_status prepare_reading(es_sqlite *store, bool fresh, es_error *err) {
  if (fresh)
    return es__fail(err, ES_ERR_STORE, "not_a_store", "%s: this database is empty", store->path);
  es_status status = set_pragmas(store, err);
  return status == ES_OK ? es__sqlite_stand_in(store, err) : status;
}

static es_status allocate(es_sqlite **out, const char *path, const es_sqlite_options *options,
                          es_error *err) {
  es_sqlite *store = calloc(1, sizeof *store);

  *out = store;
  if (store == NULL) return es__no_memory(err);
  store->read_only = options->read_only;
  store->lock_timeout_ms =
      options->lock_timeout_ms > 0 ? options->lock_timeout_ms : DEFAULT_LOCK_TIMEOUT_MS;
  store->names_by_id = calloc(ES__SQLITE_CACHE_SLOTS, sizeof(es_name_slot));
  store->names_by_text = calloc(ES__SQLITE_CACHE_SLOTS, sizeof(es_name_slot));
  store->streams = calloc(ES__SQLITE_CACHE_SLOTS, sizeof(es_stream_slot));
  /* "./" keeps SQLite from reading ":memory:", "file:…" and "" as anything but file names. */
  size_t size = strlen(path) + 3;
  store->path = malloc(size);
  if (store->names_by_id == NULL || store->names_by_text == NULL || store->streams == NULL ||
      store->path == NULL)
    return es__no_memory(err);
  bool special = path[0] == ':' || path[0] == '\0' || strncmp(path, "file:", 5) == 0;
  snprintf(store->path, size, "%s%s", special ? "./" : "", path);
  return es__chain_new(&store->base.chain, err);
}

static void sqlite_close(es_store *base) {
  es_sqlite *store = (es_sqlite *)base;

  es__sqlite_rollback(base);
  for (size_t i = 0; i < ES_STATEMENT_COUNT; i++)
    sqlite3_finalize(store->statements[i]);
  for (size_t i = 0; i < ES__SQLITE_READ_SHAPES; i++)
    sqlite3_finalize(store->reads[i].statement);
  sqlite3_close(store->db);
  es__queue_close(store->queue);
  es__sqlite_page_free(store->spare_page);
  es__sqlite_archive_free(store);
  es__chain_free(base->chain);
  free(store->names_by_id);
  free(store->names_by_text);
  free(store->streams);
  free(store->path);
  free(store);
}

static es_status sqlite_info(es_buf *json, es_store *base, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  char id[ES_ID_TEXT_SIZE], sql[64], value[64];
  es_store_head head = {0};
  struct stat wal;

  es_status status = es__sqlite_head(&head, base, err);
  if (status != ES_OK) return status;
  es_id_text(id, base->store_id);
  es__buf_byte(json, '{');
  es__json_write_key(json, "kind");
  es__json_write_text(json, es__text(base->kind->name));
  es__json_write_key(json, "path");
  es__json_write_text(json, es__text(store->path));
  es__json_write_key(json, "store_id");
  es__json_write_text(json, es__text(id));
  es__json_write_key(json, "events");
  es__json_write_integer(json, head.position);
  es__json_write_key(json, "snapshots");
  es__json_write_integer(json,
                         es__sqlite_ask_integer(store->db, "SELECT count(*) FROM snapshots", 0));
  es__json_write_key(json, "schema_version");
  es__json_write_integer(json, es__sqlite_ask_integer(store->db, "PRAGMA user_version", 0));
  es__json_write_key(json, "sqlite_version");
  es__json_write_text(json, es__text(sqlite3_libversion()));
  es__json_write_key(json, "pages");
  es__json_write_integer(json, es__sqlite_ask_integer(store->db, "PRAGMA page_count", 0));
  char *wal_path = sqlite3_mprintf("%s-wal", store->path);
  int64_t wal_size = wal_path != NULL && stat(wal_path, &wal) == 0 ? (int64_t)wal.st_size : 0;
  sqlite3_free(wal_path);
  es__json_write_key(json, "wal_bytes");
  es__json_write_integer(json, wal_size);
  es__json_write_key(json, "pragmas");
  es__buf_byte(json, '{');
  for (size_t i = 0; i < sizeof pragmas / sizeof pragmas[0]; i++) {
    snprintf(sql, sizeof sql, "PRAGMA %s", pragmas[i].name);
    if (es__sqlite_ask(store->db, sql, value, sizeof value) != SQLITE_OK) continue;
    es__json_write_key(json, pragmas[i].name);
    es__json_write_text(json, es__text(value));
  }
  es__buf_text(json, "}}");
  return json->failed ? es__no_memory(err) : ES_OK;
}

static void sqlite_forget(es_store *base) {
  es__sqlite_forget_names((es_sqlite *)base);
  es__sqlite_archive_forget((es_sqlite *)base);
}

static const es_archive_kind sqlite_archive = {
    .segments = es__sqlite_segments,
    .add_segment = es__sqlite_add_segment,
    .replace_texts = es__sqlite_replace_texts,
    .next_to_move = es__sqlite_next_to_move,
    .fetch = es__sqlite_fetch,
    .folder = es__sqlite_archive_folder,
    .look_in = es__sqlite_look_in,
    .compact = es__sqlite_compact,
};

static const es_store_kind sqlite_kind = {
    .name = "sqlite",
    .append = es__sqlite_append,
    .begin = es__sqlite_begin,
    .commit = es__sqlite_commit,
    .rollback = es__sqlite_rollback,
    .read = es__sqlite_read,
    .next = es__sqlite_next,
    .cursor_close = es__sqlite_cursor_close,
    .stream_version = es__sqlite_stream_version,
    .head = es__sqlite_head,
    .find_reply = es__sqlite_find_reply,
    .streams = es__sqlite_streams,
    .hashes = es__sqlite_hashes,
    .tree_size = es__sqlite_tree_size,
    .tile = es__sqlite_tile,
    .put_tile = es__sqlite_put_tile,
    .checkpoint = es__sqlite_checkpoint,
    .add_checkpoint = es__sqlite_add_checkpoint,
    .add_snapshot = es__sqlite_add_snapshot,
    .find_snapshot = es__sqlite_find_snapshot,
    .next_snapshot = es__sqlite_next_snapshot,
    .drop_snapshots = es__sqlite_drop_snapshots,
    .visit = es__sqlite_visit,
    .next_position = es__sqlite_next_position,
    .forget = sqlite_forget,
    .check_parts = ES__SQLITE_CHECK_PARTS,
    .check = es__sqlite_check,
    .compare_sums = es__sqlite_compare_sums,
    .info = sqlite_info,
    .archive = &sqlite_archive,
    .backup = es__sqlite_backup,
    .close = sqlite_close,
};

es_status es__store_open_sqlite(es_store **out, const char *path, const es_sqlite_options *options,
                                es_id_source *ids, es_error *err) {
  static const es_sqlite_options defaults;
  es_sqlite *store = NULL;
  bool fresh = false;
  es_status status;

  *out = NULL;
  if (options == NULL) options = &defaults;
  status = allocate(&store, path, options, err);
  if (store != NULL) store->base.kind = &sqlite_kind;
  if (status == ES_OK) status = open_file(store, options, err);
  if (status == ES_OK) status = classify(&fresh, store, err);
  if (status == ES_OK)
    status =
        store->read_only ? prepare_reading(store, fresh, err) : prepare_writing(store, ids, err);
  if (status == ES_OK) status = es__sqlite_load_identity(store, err);
  if (status == ES_OK) {
    *out = &store->base;
  } else if (store != NULL) {
    sqlite_close(&store->base);
  }
  return status;
}
