/* projection_manifest: which generation of each projection is read, and which is being built. One small SQLite file, so that
 * taking over is one atomic change. Knows files' names; nothing of what is in them.
 *
 * A generation's number is written here before its file is made, and its file is removed only after its number is gone:
 * whatever stands in the folder and not here is rubbish of a process that died. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/projection_parts.h"

/* synchronous stays FULL here: the old file may only go once the change is on the disk. */
static const char schema[] = "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL;"
                             "CREATE TABLE IF NOT EXISTS projections (name TEXT PRIMARY KEY, "
                             "generation INTEGER NOT NULL, building INTEGER NOT NULL,"
                             " newest INTEGER NOT NULL) STRICT, WITHOUT ROWID";

static es_status fail(es_projections *projections, int code, es_error *err) {
  return es__projection_sqlite_error(projections->manifest, code, "the projections' manifest", err);
}

static es_status exec(es_projections *projections, const char *sql, es_error *err) {
  int code = sqlite3_exec(projections->manifest, sql, NULL, NULL, NULL);
  return code == SQLITE_OK ? ES_OK : fail(projections, code, err);
}

static es_status make_folder(const char *path, es_error *err) {
  if (mkdir(path, 0777) == 0 || errno == EEXIST) return ES_OK;
  return es__fail(err, ES_ERR_STORE, "no_folder", "cannot make the folder %s: %s", path,
                  strerror(errno));
}

/* Opens the manifest if it is not open. Without `create` a missing one is ES_ERR_NOT_FOUND. */
static es_status open_manifest(es_projections *projections, bool create, es_error *err) {
  int flags = create                   ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
              : projections->read_only ? SQLITE_OPEN_READONLY
                                       : SQLITE_OPEN_READWRITE;
  es_buf path = {0};
  es_status status = ES_OK;

  if (projections->manifest != NULL) return ES_OK;
  if (projections->folder == NULL) {
    if (!create) return ES_ERR_NOT_FOUND;
    es__buf_text(&path, ":memory:");
  } else {
    es__buf_format(&path, "%s/manifest.db", projections->folder);
    if (create) status = make_folder(projections->folder, err);
  }
  if (status == ES_OK && path.failed) status = es__no_memory(err);
  if (status == ES_OK)
    status = es__projection_connect(&projections->manifest, path.data, flags,
                                    "the projections' manifest", err);
  if (status == ES_OK && create) status = exec(projections, schema, err);
  es__buf_free(&path);
  if (status != ES_OK) {
    sqlite3_close(projections->manifest);
    projections->manifest = NULL;
  }
  return status;
}

static es_status read_entry(es_manifest_entry *out, es_projections *projections, const char *name,
                            es_error *err) {
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2(projections->manifest,
                                "SELECT generation, building FROM projections WHERE name = ?1", -1,
                                &statement, NULL);

  *out = (es_manifest_entry){0, 0};
  if (code == SQLITE_OK) code = sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
  if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    out->generation = sqlite3_column_int64(statement, 0);
    out->building = sqlite3_column_int64(statement, 1);
    code = SQLITE_DONE;
  }
  sqlite3_finalize(statement);
  return code == SQLITE_DONE ? ES_OK : fail(projections, code, err);
}

es_status es__manifest_read(es_manifest_entry *out, es_projections *projections, const char *name,
                            es_error *err) {
  es_status status = open_manifest(projections, false, err);

  *out = (es_manifest_entry){0, 0};
  if (status == ES_OK) {
    status = read_entry(out, projections, name, err);
    if (status == ES_OK || projections->folder == NULL) return status;
    /* A process that was killed while it made the manifest left one without a table. */
    if (strstr(sqlite3_errmsg(projections->manifest), "no such table") == NULL) return status;
    status = ES_ERR_NOT_FOUND;
  }
  if (status != ES_ERR_NOT_FOUND) return status;
  es__error_clear(err);
  return ES_OK;
}

/* One change of one entry: `sql` has the name as ?1 and may have a generation as ?2. *changed counts rows. */
static es_status change(int *changed, es_projections *projections, const char *sql,
                        const char *name, int64_t generation, es_error *err) {
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2(projections->manifest, sql, -1, &statement, NULL);

  if (code == SQLITE_OK) {
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, generation);
    code = sqlite3_step(statement);
  }
  sqlite3_finalize(statement);
  if (changed != NULL) *changed = sqlite3_changes(projections->manifest);
  return code == SQLITE_DONE ? ES_OK : fail(projections, code, err);
}

es_status es__manifest_ensure(es_manifest_entry *out, es_projections *projections, const char *name,
                              es_error *err) {
  es_status status = open_manifest(projections, true, err);

  *out = (es_manifest_entry){0, 0};
  if (status == ES_OK) status = read_entry(out, projections, name, err);
  if (status != ES_OK || out->generation != 0) return status;
  status = change(
      NULL, projections,
      "INSERT INTO projections VALUES (?1, 1, 0, 1) ON CONFLICT DO UPDATE SET newest = newest + 1,"
      " generation = newest + 1 WHERE generation = 0",
      name, 0, err);
  if (status == ES_OK) status = read_entry(out, projections, name, err);
  return status;
}

es_status es__manifest_build(int64_t *generation, es_projections *projections, const char *name,
                             es_error *err) {
  es_manifest_entry entry = {0, 0};
  es_status status = open_manifest(projections, true, err);

  if (status == ES_OK) status = exec(projections, "BEGIN IMMEDIATE", err);
  if (status != ES_OK) return status;
  status = change(
      NULL, projections,
      "INSERT INTO projections VALUES (?1, 0, 1, 1) ON CONFLICT DO UPDATE SET newest = newest + 1,"
      " building = newest + 1",
      name, 0, err);
  if (status == ES_OK) status = read_entry(&entry, projections, name, err);
  if (status == ES_OK) status = exec(projections, "COMMIT", err);
  if (status != ES_OK) sqlite3_exec(projections->manifest, "ROLLBACK", NULL, NULL, NULL);
  *generation = entry.building;
  return status;
}

/* ---- removing what nobody reads ---- */

/* "NAME.7.db", "NAME.7.db-wal" …: 7, else 0. */
static int64_t generation_of(const char *file, const char *name) {
  size_t length = strlen(name);
  char *end;
  long long number;

  if (strncmp(file, name, length) != 0 || file[length] != '.' ||
      !isdigit((unsigned char)file[length + 1]))
    return 0;
  number = strtoll(file + length + 1, &end, 10);
  return strncmp(end, ".db", 3) == 0 ? number : 0;
}

/* Inside the manifest's write transaction, so that no generation is being added meanwhile. A file that cannot be removed now
 * is removed next time. */
static void sweep(es_projections *projections, const char *name, const es_manifest_entry *keep) {
  DIR *folder = opendir(projections->folder);
  es_buf path = {0};

  if (folder == NULL) return;
  for (struct dirent *one; (one = readdir(folder)) != NULL;) {
    int64_t generation = generation_of(one->d_name, name);
    if (generation == 0 || generation == keep->generation || generation == keep->building) continue;
    es__buf_clear(&path);
    es__buf_format(&path, "%s/%s", projections->folder, one->d_name);
    if (!path.failed) unlink(path.data);
  }
  es__buf_free(&path);
  closedir(folder);
}

es_status es__manifest_finish(es_projections *projections, const char *name, int64_t generation,
                              bool keep, es_error *err) {
  es_manifest_entry entry;
  int changed = 0;
  es_status status = exec(projections, "BEGIN IMMEDIATE", err);

  if (status != ES_OK) return status;
  status = change(&changed, projections,
                  keep ? "UPDATE projections SET generation = building, building = 0 WHERE name = "
                         "?1 AND building = ?2"
                       : "UPDATE projections SET building = 0 WHERE name = ?1 AND building = ?2",
                  name, generation, err);
  if (status == ES_OK && changed == 0) {
    status = es__fail(err, ES_ERR_OTHER, "rebuild_superseded",
                      "projection %s: another rebuild of it began", name);
    es__hint(err, "the other one goes on; see esrun project status");
  }
  if (status == ES_OK &&
      !keep) { /* a first build that was given up: the projection has never run again */
    status = change(NULL, projections,
                    "DELETE FROM projections WHERE name = ?1 AND generation = 0 AND building = 0",
                    name, 0, err);
  }
  if (status == ES_OK) status = exec(projections, "COMMIT", err);
  if (status != ES_OK) {
    sqlite3_exec(projections->manifest, "ROLLBACK", NULL, NULL, NULL);
    return status;
  }
  if (projections->folder == NULL) return ES_OK;
  /* The change is on the disk; now what it left behind can go. Failing here loses only tidiness. */
  if (exec(projections, "BEGIN IMMEDIATE", NULL) != ES_OK) return ES_OK;
  if (read_entry(&entry, projections, name, NULL) == ES_OK) sweep(projections, name, &entry);
  sqlite3_exec(projections->manifest, "ROLLBACK", NULL, NULL, NULL);
  return ES_OK;
}
