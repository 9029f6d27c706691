/* sqlite_backup: a copy of the whole file through SQLite's backup API while others write, and what layout a file has. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "store/sqlite.h"

enum { PAGES_A_STEP = 1024 };

static es_status fail_copy(const char *path, sqlite3 *copy, int rc, es_error *err) {
  es_sqlite named = {.db = copy, .path = (char *)path};
  return es__sqlite_fail(&named, rc, "writing the copy", err);
}

/* Both ends are open. The source holds one snapshot all the time, so that other processes' commits neither restart the copy nor
 * get half into it. */
static es_status copy_pages(es_sqlite *store, sqlite3 *copy, const char *path, es_progress progress,
                            void *progress_data, es_error *err) {
  sqlite3_backup *backup = sqlite3_backup_init(copy, "main", store->db, "main");
  es_status status = ES_OK;
  int rc = SQLITE_OK;

  if (backup == NULL) return fail_copy(path, copy, sqlite3_errcode(copy), err);
  while (rc == SQLITE_OK && status == ES_OK) {
    rc = sqlite3_backup_step(backup, PAGES_A_STEP);
    int total = sqlite3_backup_pagecount(backup);
    if (progress != NULL &&
        !progress(progress_data, total - sqlite3_backup_remaining(backup), total))
      status = es__fail(err, ES_ERR_OTHER, "stopped", "the copy was stopped");
  }
  sqlite3_backup_finish(backup);
  if (status == ES_OK && rc != SQLITE_DONE) status = fail_copy(path, copy, rc, err);
  return status;
}

es_status es__sqlite_backup(es_store *base, const char *path, es_progress progress,
                            void *progress_data, es_error *err) {
  es_sqlite *store = (es_sqlite *)base;
  sqlite3 *copy = NULL;
  es_status status;
  int rc;

  if (store->in_group)
    return es__fail(err, ES_ERR_USAGE, "in_transaction", "commit the open transaction first");
  rc = sqlite3_open_v2(path, &copy,
                       SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                           SQLITE_OPEN_EXRESCODE,
                       NULL);
  if (rc != SQLITE_OK) {
    status = fail_copy(path, copy, rc, err);
    sqlite3_close(copy);
    return status;
  }
  rc = es__sqlite_ask(store->db, "BEGIN", NULL, 0);
  if (rc == SQLITE_OK) /* the snapshot begins with the first read */
    rc = es__sqlite_ask(store->db, "SELECT count(*) FROM sqlite_schema", NULL, 0);
  status = rc == SQLITE_OK ? copy_pages(store, copy, path, progress, progress_data, err)
                           : es__sqlite_fail(store, rc, "reading for a copy", err);
  es__sqlite_ask(store->db, "ROLLBACK", NULL, 0);
  if (status == ES_OK) { /* with WAL even who only reads it would have to write beside it */
    rc = es__sqlite_ask(copy, "PRAGMA journal_mode = DELETE", NULL, 0);
    if (rc != SQLITE_OK) status = fail_copy(path, copy, rc, err);
  }
  rc = sqlite3_close(copy);
  if (status == ES_OK && rc != SQLITE_OK)
    status = es__fail(err, ES_ERR_STORE, "io", "%s: closing the copy failed", path);
  return status;
}

es_status es__sqlite_layout(es_layout *out, const char *path, es_error *err) {
  es_sqlite named = {.path = (char *)path, .read_only = true};
  struct stat found;
  es_status status = ES_OK;

  *out = (es_layout){.known = es__sqlite_schema_version()};
  if (stat(path, &found) != 0) {
    if (errno == ENOENT) return ES_OK;
    return es__fail(err, ES_ERR_STORE, "permission", "%s: %s", path, strerror(errno));
  }
  status = es__sqlite_check_kind(path, &found, err);
  if (status != ES_OK) return status;
  int rc = sqlite3_open_v2(
      path, &named.db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
  if (rc == SQLITE_OK) rc = es__sqlite_ask(named.db, "SELECT count(*) FROM sqlite_schema", NULL, 0);
  if (rc != SQLITE_OK) {
    status = es__sqlite_fail(&named, rc, "reading its layout", err);
  } else if (es__sqlite_ask_integer(named.db, "PRAGMA application_id", 0) ==
             ES__SQLITE_APPLICATION_ID) {
    out->version = es__sqlite_ask_integer(named.db, "PRAGMA user_version", 0);
  } else if (found.st_size > 0) {
    status = es__fail(err, ES_ERR_STORE, "foreign_store",
                      "%s: this SQLite database belongs to another application", path);
  }
  sqlite3_close(named.db);
  return status;
}
