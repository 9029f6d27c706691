/* sqlite_fail: what SQLite's failures are called and how each is mended, damage met while working, and inserts that stored
 * less than they were given. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "store/sqlite.h"

static const struct {
  int rc; /* primary result code */
  const char *code;
  const char *what; /* NULL: SQLite's own words */
  const char *hint;
} failures[] = {
    {SQLITE_FULL, "disk_full", "the disk is full",
     "make room, then try again: nothing is half done"},
    {SQLITE_NOTADB, "not_a_store", "this is not an esrun store, nor any SQLite database",
     "check the path; esrun never overwrites a file that it did not make"},
    {SQLITE_CORRUPT, "corrupt", "the file is damaged or was cut short",
     "restore a backup; `sqlite3 FILE .recover` may save events from the damaged file"},
    {SQLITE_BUSY, "busy", "another program kept the store locked for too long",
     "programs other than esrun should keep their transactions short; try again"},
    {SQLITE_LOCKED, "busy", "the store is in use by another statement", NULL},
    {SQLITE_READONLY, "read_only", "the store cannot be written",
     "check the permissions of the file and its folder, or open it read-only"},
    {SQLITE_PERM, "permission", "permission denied", "check the permissions of the file"},
    {SQLITE_CANTOPEN, "cannot_open", "the file or one beside it (-wal, -shm) cannot be opened",
     "check that the folder exists and that you may write in it"},
    {SQLITE_IOERR, "io", "the disk failed", "look at the system's log; check the disk"},
};

/* Names the file that may not be opened or written, where that is why. */
static void name_forbidden(const es_sqlite *store, int mode, es_error *err) {
  static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
  const char *verb = mode == W_OK ? "write" : "read", *right = mode == W_OK ? "w" : "r";
  char path[PATH_MAX];
  struct stat facts;

  for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
    snprintf(path, sizeof path, "%s%s", store->path, endings[i]);
    if (stat(path, &facts) == 0 && !S_ISREG(facts.st_mode)) {
      es__hint(err, "%s is no file: move it away", path);
      return;
    }
    if (faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0 || errno != EACCES) continue;
    es__hint(err, "you may not %s %s: run as its owner, or: chmod u+%s %s", verb, path, right,
             path);
    return;
  }
}

/* A store is in WAL mode from its first moments on: only another program leaves such a journal, or a copy that took it along. */
static es_status fail_unfinished(const es_sqlite *store, const char *doing, es_error *err) {
  es__fail(err, ES_ERR_STORE, "unfinished",
           "%s: %s: %s-journal holds what another program's unfinished transaction overwrote, and "
           "reading does not change the store",
           store->path, doing, store->path);
  es__hint(err,
           "keep a copy of both files; the next command that writes puts the journal's pages back, "
           "as SQLite does: then run esrun verify. A journal that does not belong to this store "
           "must be moved away before");
  return ES_ERR_STORE;
}

/* A disk without room is a failing one where SQLite lays the -shm file. */
static int kind_of(const es_sqlite *store, int rc) {
  int kind = rc & 0xFF;

  if (kind != SQLITE_IOERR || store->db == NULL) return kind;
  return es__no_room(sqlite3_system_errno(store->db)) ? SQLITE_FULL : kind;
}

es_status es__sqlite_fail(es_sqlite *store, int rc, const char *doing, es_error *err) {
  const char *words = store->db == NULL ? sqlite3_errstr(rc) : sqlite3_errmsg(store->db);

  int kind = kind_of(store, rc);

  if (kind == SQLITE_NOMEM) return es__no_memory(err);
  if (rc == SQLITE_READONLY_ROLLBACK) return fail_unfinished(store, doing, err);
  for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
    if (failures[i].rc != kind) continue;
    es__fail(err, ES_ERR_STORE, failures[i].code, "%s: %s: %s", store->path, doing,
             failures[i].what);
    if (failures[i].hint != NULL) es__hint(err, "%s", failures[i].hint);
    if (failures[i].rc == SQLITE_READONLY) name_forbidden(store, W_OK, err);
    if (failures[i].rc == SQLITE_CANTOPEN) name_forbidden(store, R_OK, err);
    return ES_ERR_STORE;
  }
  return es__fail(err, ES_ERR_STORE, "sqlite", "%s: %s: %s", store->path, doing, words);
}

es_status es__sqlite_damage(es_sqlite *store, int64_t position, const char *code, es_error *err,
                            const char *format, ...) {
  char text[256];
  va_list args;

  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  es__fail(err, ES_ERR_INTEGRITY, code, "%s: event %lld: %s", store->path, (long long)position,
           text);
  es__hint(err, "run `esrun verify` to see all that is damaged, then restore a backup");
  if (err != NULL) err->position = position;
  return ES_ERR_INTEGRITY;
}

es_status es__sqlite_inserted(es_sqlite *store, int rc, size_t rows, const char *doing,
                              es_error *err) {
  if (rc != SQLITE_DONE) return es__sqlite_fail(store, rc, doing, err);
  int64_t stored = sqlite3_changes64(store->db);
  if (stored == (int64_t)rows) return ES_OK;
  es__fail(err, ES_ERR_INTEGRITY, "not_stored",
           "%s: %s: %lld of %zu rows were stored: the file's schema was tampered with", store->path,
           doing, (long long)stored, rows);
  es__hint(err, "run `esrun verify` to see what in the schema differs, then restore a backup");
  return ES_ERR_INTEGRITY;
}
