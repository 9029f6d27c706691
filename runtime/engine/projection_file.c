/* projection_file: one generation of a projection: its SQLite file with the tables and the cursor. Knows no Lua, no events and
 * no manifest.
 *
 * synchronous=NORMAL is right here, although the store needs FULL: a power cut may take the last transactions, but rows and
 * cursor go together, so the events are counted again from where the cursor then stands. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/projection_parts.h"

enum {
  FORMAT = 1,
  APPLICATION_ID = 0x65737270 /* "esrp" */,
  BUSY_LIMIT_MS = 30000,
  VALUE_MAX = 16 * 1024 * 1024
};

static const char cursor_schema[] = "CREATE TABLE es_cursor (one INTEGER PRIMARY KEY CHECK (one = "
                                    "1), store_id BLOB NOT NULL, position INTEGER NOT NULL,"
                                    " leaf_hash BLOB NOT NULL, module_hash BLOB NOT NULL, schema "
                                    "TEXT NOT NULL, failed_position INTEGER NOT NULL,"
                                    " failure TEXT NOT NULL) STRICT;";

es_status es__projection_sqlite_error(sqlite3 *db, int code, const char *what, es_error *err) {
  const char *text = db != NULL ? sqlite3_errmsg(db) : sqlite3_errstr(code);

  switch (code & 0xff) {
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    es__fail(err, ES_ERR_STORE, "busy", "%s: another process held it for %d s", what,
             BUSY_LIMIT_MS / 1000);
    es__hint(err, "try again; the other process carries it forward meanwhile");
    return ES_ERR_STORE;
  case SQLITE_FULL:
    return es__fail(err, ES_ERR_STORE, "disk_full", "%s: no space left: %s", what, text);
  case SQLITE_READONLY:
    return es__fail(err, ES_ERR_STORE, "read_only", "%s: %s", what, text);
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    es__fail(err, ES_ERR_STORE, "corrupt", "%s: %s", what, text);
    es__hint(err, "a projection can always be built again: esrun project rebuild");
    return ES_ERR_STORE;
  case SQLITE_NOMEM:
    return es__no_memory(err);
  default:
    return es__fail(err, ES_ERR_STORE, "sqlite", "%s: %s", what, text);
  }
}

/* SQLite's own handler backs off to 100 ms and lets a quicker process win again and again; asking each millisecond keeps
 * runners nearly even. What one of them does, the other need not do, so that strict fairness has no use here. */
static int wait_a_little(void *unused, int tries) {
  (void)unused;
  if (tries >= BUSY_LIMIT_MS) return 0;
  sqlite3_sleep(1);
  return 1;
}

es_status es__projection_connect(sqlite3 **out, const char *path, int flags, const char *what,
                                 es_error *err) {
  sqlite3 *db = NULL;
  int code =
      sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
  es_status status = ES_OK;

  *out = NULL;
  if (code != SQLITE_OK) {
    status = (code & 0xff) == SQLITE_CANTOPEN && db != NULL && sqlite3_system_errno(db) == ENOENT
                 ? es__fail(err, ES_ERR_NOT_FOUND, "no_file", "%s: there is no %s", what, path)
                 : es__projection_sqlite_error(db, code, what, err);
    sqlite3_close(db);
    return status;
  }
  sqlite3_extended_result_codes(db, 1);
  sqlite3_busy_handler(db, wait_a_little, NULL);
  sqlite3_limit(db, SQLITE_LIMIT_LENGTH, VALUE_MAX);
  sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL); /* "misspelled" is no string */
  sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
  *out = db;
  return ES_OK;
}

static es_status fail(es_projection_file *file, int code, es_error *err) {
  char what[ES_ERROR_CODE_MAX * 2];

  snprintf(what, sizeof what, "projection %s", file->projection->name);
  return es__projection_sqlite_error(file->db, code, what, err);
}

es_status es__projection_file_exec(es_projection_file *file, const char *sql, es_error *err) {
  int code;

  es__projection_sql_arm(file, ES_SQL_TRUSTED);
  code = sqlite3_exec(file->db, sql, NULL, NULL, NULL);
  return code == SQLITE_OK ? ES_OK : fail(file, code, err);
}

void es__projection_file_rollback(es_projection_file *file) {
  /* Reading statements that an error left open would keep the snapshot. */
  for (sqlite3_stmt *one = sqlite3_next_stmt(file->db, NULL); one != NULL;
       one = sqlite3_next_stmt(file->db, one))
    sqlite3_reset(one);
  if (!sqlite3_get_autocommit(file->db)) sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
}

/* The first integer that a statement answers. */
static es_status ask(int64_t *out, es_projection_file *file, const char *sql, es_error *err) {
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2(file->db, sql, -1, &statement, NULL);

  *out = 0;
  if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    *out = sqlite3_column_int64(statement, 0);
    code = SQLITE_OK;
  }
  sqlite3_finalize(statement);
  return code == SQLITE_OK || code == SQLITE_DONE ? ES_OK : fail(file, code, err);
}

/* ---- the cursor ---- */

es_status es__projection_file_load(es_projection_cursor *out, es_projection_file *file,
                                   es_error *err) {
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2(
      file->db,
      "SELECT store_id, position, leaf_hash, module_hash, failed_position, failure, schema FROM"
      " main.es_cursor WHERE length(store_id) = 16 AND length(leaf_hash) = 32 AND"
      " length(module_hash) = 32",
      -1, &statement, NULL);
  es_status status = ES_OK;

  *out = (es_projection_cursor){0};
  if (code == SQLITE_OK) code = sqlite3_step(statement);
  if (code == SQLITE_ROW) {
    memcpy(out->store_id, sqlite3_column_blob(statement, 0), ES_ID_SIZE);
    out->position = sqlite3_column_int64(statement, 1);
    memcpy(out->leaf_hash, sqlite3_column_blob(statement, 2), ES_HASH_SIZE);
    memcpy(out->module_hash, sqlite3_column_blob(statement, 3), ES_HASH_SIZE);
    out->failed_position = sqlite3_column_int64(statement, 4);
    snprintf(out->failure, sizeof out->failure, "%s",
             (const char *)sqlite3_column_text(statement, 5));
    file->schema_matches =
        strcmp((const char *)sqlite3_column_text(statement, 6), file->projection->schema_sql) == 0;
  } else {
    status = fail(file, code == SQLITE_DONE ? SQLITE_CORRUPT : code, err);
  }
  sqlite3_finalize(statement);
  return status;
}

es_status es__projection_file_save(es_projection_file *file, const es_projection_cursor *cursor,
                                   es_error *err) {
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2(
      file->db, "INSERT OR REPLACE INTO main.es_cursor VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)", -1,
      &statement, NULL);

  if (code == SQLITE_OK) {
    sqlite3_bind_blob(statement, 1, cursor->store_id, ES_ID_SIZE, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, cursor->position);
    sqlite3_bind_blob(statement, 3, cursor->leaf_hash, ES_HASH_SIZE, SQLITE_STATIC);
    sqlite3_bind_blob(statement, 4, cursor->module_hash, ES_HASH_SIZE, SQLITE_STATIC);
    sqlite3_bind_text(statement, 5, file->projection->schema_sql, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 6, cursor->failed_position);
    sqlite3_bind_text(statement, 7, cursor->failure, -1, SQLITE_STATIC);
    code = sqlite3_step(statement);
  }
  sqlite3_finalize(statement);
  return code == SQLITE_DONE ? ES_OK : fail(file, code, err);
}

/* ---- opening ---- */

/* In one transaction, so that of two creators the second finds a finished file. */
static es_status create_schema(es_projection_file *file, es_error *err) {
  const es_projection *projection = file->projection;
  es_projection_cursor cursor = {0};
  char pragmas[96];
  int64_t format;
  es_status status = es__projection_file_exec(file, "BEGIN IMMEDIATE", err);

  if (status == ES_OK) status = ask(&format, file, "PRAGMA user_version", err);
  if (status == ES_OK && format == 0) {
    memcpy(cursor.store_id, projection->owner->store->store_id, ES_ID_SIZE);
    memcpy(cursor.module_hash, projection->module_hash, ES_HASH_SIZE);
    snprintf(pragmas, sizeof pragmas, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             APPLICATION_ID, FORMAT);
    status = es__projection_file_exec(file, cursor_schema, err);
    if (status == ES_OK) status = es__projection_file_exec(file, projection->schema_sql, err);
    if (status == ES_OK) status = es__projection_file_save(file, &cursor, err);
    if (status == ES_OK) status = es__projection_file_exec(file, pragmas, err);
  }
  if (status == ES_OK) status = es__projection_file_exec(file, "COMMIT", err);
  if (status != ES_OK) es__projection_file_rollback(file);
  return status;
}

/* In one transaction too: another process may be making the file. */
static es_status check_format(es_projection_file *file, es_error *err) {
  int64_t format = 0, application = 0;
  es_status status = es__projection_file_exec(file, "BEGIN", err);

  if (status == ES_OK) status = ask(&format, file, "PRAGMA user_version", err);
  if (status == ES_OK) status = ask(&application, file, "PRAGMA application_id", err);
  if (status == ES_OK) status = es__projection_file_exec(file, "COMMIT", err);
  if (status != ES_OK) {
    es__projection_file_rollback(file);
    return status;
  }
  /* A process that was killed while it made the file left an empty one. */
  if (format == 0 && application == 0)
    return es__fail(err, ES_ERR_NOT_FOUND, "no_file", "projection %s: its file is empty",
                    file->projection->name);
  if (format == FORMAT && application == APPLICATION_ID) return ES_OK;
  es__fail(err, ES_ERR_STORE, "unknown_format",
           "projection %s: its file has format %lld, this esrun knows %d", file->projection->name,
           (long long)format, FORMAT);
  es__hint(err, "build it again: esrun project rebuild %s", file->projection->name);
  return ES_ERR_STORE;
}

/* Of several processes that turn a new file to WAL at once, SQLite tells all but one "busy" without asking the busy handler,
 * since both hold a lock that the other waits for. */
static es_status use_wal(es_projection_file *file, es_error *err) {
  static const char sql[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL";
  int code, tries = 0;

  es__projection_sql_arm(file, ES_SQL_TRUSTED);
  do
    code = sqlite3_exec(file->db, sql, NULL, NULL, NULL);
  while ((code & 0xff) == SQLITE_BUSY && wait_a_little(NULL, tries++));
  return code == SQLITE_OK ? ES_OK : fail(file, code, err);
}

static es_status prepare_connection(es_projection_file *file, bool create, es_error *err) {
  bool writable = !file->projection->owner->read_only;
  es_projection_cursor cursor;
  es_status status = ES_OK;
  int code = es__projection_sql_install(file);

  if (code != SQLITE_OK) return fail(file, code, err);
  if (writable) status = use_wal(file, err);
  if (status == ES_OK) status = es__projection_file_exec(file, "PRAGMA temp_store = MEMORY", err);
  if (status == ES_OK && create) status = create_schema(file, err);
  if (status == ES_OK) status = check_format(file, err);
  if (status == ES_OK) status = es__projection_file_load(&cursor, file, err);
  if (status == ES_OK && file->schema_matches)
    status = es__projection_file_exec(file, file->projection->session_sql, err);
  /* Using these once makes them known to the connection, which SQL of modules could not do. */
  if (status == ES_OK)
    status = es__projection_file_exec(file, "SELECT 1 FROM json_each('[]'), json_tree('[]')", err);
  return status;
}

static es_status open_path(es_projection_file **out, const es_projection *projection,
                           const char *path, int64_t generation, bool create, es_error *err) {
  int flags = create                         ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
              : projection->owner->read_only ? SQLITE_OPEN_READONLY
                                             : SQLITE_OPEN_READWRITE;
  size_t calls = projection->table_count * ES_TABLE_CALLS + projection->statement_count;
  es_projection_file *file = calloc(1, sizeof *file);
  char what[ES_ERROR_CODE_MAX * 2];
  es_status status;

  *out = NULL;
  if (file == NULL) return es__no_memory(err);
  file->projection = projection;
  file->generation = generation;
  file->calls = calloc(calls + 1, sizeof *file->calls);
  snprintf(what, sizeof what, "projection %s", projection->name);
  status = file->calls == NULL ? es__no_memory(err)
                               : es__projection_connect(&file->db, path, flags, what, err);
  if (status == ES_OK) status = prepare_connection(file, create, err);
  if (status != ES_OK) {
    es__projection_file_close(file);
    return status;
  }
  *out = file;
  return ES_OK;
}

es_status es__projection_file_open_memory(es_projection_file **out, const es_projection *projection,
                                          int64_t generation, es_error *err) {
  return open_path(out, projection, ":memory:", generation, true, err);
}

es_status es__projection_file_open(es_projection_file **out, const es_projection *projection,
                                   int64_t generation, bool create, es_error *err) {
  es_buf path = {0};
  es_status status;

  *out = NULL;
  if (projection->owner->folder == NULL) {
    return create ? es__projection_file_open_memory(out, projection, generation, err)
                  : es__fail(err, ES_ERR_NOT_FOUND, "no_file", "projection %s is not in memory",
                             projection->name);
  }
  es__buf_format(&path, "%s/%s.%lld.db", projection->owner->folder, projection->name,
                 (long long)generation);
  status = path.failed ? es__no_memory(err)
                       : open_path(out, projection, path.data, generation, create, err);
  es__buf_free(&path);
  return status;
}

void es__projection_file_close(es_projection_file *file) {
  if (file == NULL) return;
  for (sqlite3_stmt *one; file->db != NULL && (one = sqlite3_next_stmt(file->db, NULL)) != NULL;)
    sqlite3_finalize(one);
  sqlite3_close(file->db);
  free(file->calls);
  es__buf_free(&file->scratch);
  free(file);
}

/* ---- SQL of modules ---- */

/* "es_rows_" anywhere, in any case: see projection_sql.c. */
static bool names_hidden_tables(const char *sql) {
  return sqlite3_strlike("%es\\_rows\\_%", sql, '\\') == 0;
}

es_status es__projection_file_prepare(sqlite3_stmt **out, es_projection_file *file, const char *sql,
                                      es_sql_mode mode, es_error *err) {
  const char *rest = "";
  int code;

  *out = NULL;
  if (mode != ES_SQL_TRUSTED && names_hidden_tables(sql))
    return es__fail(err, ES_ERR_LUA, "bad_sql", "SQL of a projection may not contain es_rows_");
  file->mode = mode;
  file->refusal[0] = '\0';
  code = sqlite3_prepare_v3(file->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, &rest);
  file->mode = ES_SQL_TRUSTED;
  if (code != SQLITE_OK) {
    if ((code & 0xff) != SQLITE_ERROR && (code & 0xff) != SQLITE_AUTH) return fail(file, code, err);
    return es__fail(err, ES_ERR_LUA, "bad_sql", "%s",
                    file->refusal[0] != '\0' ? file->refusal : sqlite3_errmsg(file->db));
  }
  if (*out == NULL || rest[strspn(rest, " \t\r\n;")] != '\0') {
    sqlite3_finalize(*out);
    *out = NULL;
    return es__fail(err, ES_ERR_LUA, "bad_sql", "it must be one SQL statement");
  }
  return ES_OK;
}
