/* backup: a store's copy under a name that appears only when the copy is verified; restoring one; a file's layout. Files are
 * named and linked here; copying and reading them is the store's. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "engine/archive.h"
#include "engine/ledger.h"
#include "json/writer.h"

enum { PARTS_MAX = 1000 }; /* names tried for an unfinished copy */

/* ---- files ---- */

static char *joined(const char *path, const char *ending) {
  size_t size = strlen(path) + strlen(ending) + 1;
  char *out = malloc(size);

  if (out != NULL) snprintf(out, size, "%s%s", path, ending);
  return out;
}

static bool exists(const char *path) {
  struct stat found;
  return lstat(path, &found) == 0;
}

static bool has_log(const char *path) {
  char *wal = joined(path, "-wal");
  bool found = wal == NULL || exists(wal);
  free(wal);
  return found;
}

static void remove_with(const char *path, const char *ending) {
  char *beside = joined(path, ending);

  if (beside != NULL) unlink(beside);
  free(beside);
}

/* What reading a store leaves beside it: SQLite keeps these for the next reader, but a copy has none. */
static void remove_beside(const char *path) {
  remove_with(path, "-wal");
  remove_with(path, "-shm");
}

/* A copy that is not published, and what SQLite made beside it. */
static void remove_part(const char *part) {
  unlink(part);
  remove_with(part, "-journal");
  remove_beside(part);
}

static bool try_part(const char *part, mode_t mode, int *why) {
  char *journal = joined(part, "-journal");
  bool free_name = journal != NULL && !exists(journal) && !has_log(part);
  int descriptor = free_name ? open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode) : -1;

  *why = free_name ? errno : EEXIST; /* a journal of a copy that was cut short would be applied */
  free(journal);
  if (descriptor >= 0) close(descriptor);
  return descriptor >= 0;
}

/* Makes an empty PATH.PROCESS.NUMBER.part that is this copy's alone; freed by the caller. */
static es_status make_part(char **out, const char *path, mode_t mode, es_error *err) {
  int why = EEXIST;

  *out = NULL;
  for (int number = 1; number <= PARTS_MAX && why == EEXIST; number++) {
    es_buf name = {0};
    es__buf_format(&name, "%s.%ld.%d.part", path, (long)getpid(), number);
    char *part = es__buf_take(&name, NULL);
    if (part == NULL) return es__no_memory(err);
    if (try_part(part, mode, &why)) {
      *out = part;
      return ES_OK;
    }
    free(part);
  }
  es__fail(err, ES_ERR_STORE, "io", "%s: no file can be made beside it: %s", path, strerror(why));
  es__hint(err, "the folder must exist, and you must be allowed to write it");
  return ES_ERR_STORE;
}

static es_status refuse_taken(const char *path, es_error *err) {
  es__fail(err, ES_ERR_USAGE, "file_exists", "%s: there is a file of this name", path);
  es__hint(err, "name a new file: a copy never replaces another");
  return ES_ERR_USAGE;
}

/* Gives the finished copy its name; unlike rename, linking never replaces a file that appeared meanwhile. */
static es_status publish(const char *part, const char *path, es_error *err) {
  es_status status = es__sync_path(part, O_RDONLY, err);

  if (status != ES_OK) return status;
  if (link(part, path) != 0) {
    if (errno == EEXIST) return refuse_taken(path, err);
    return es__fail(err, ES_ERR_STORE, "io", "%s: %s", path, strerror(errno));
  }
  unlink(part);
  return es__sync_folder_of(path, err);
}

/* ---- copies ---- */

static es_status open_file(es_runtime **out, const char *path, es_error *err) {
  es_options options = ES_OPTIONS_INIT;

  options.store_path = path;
  options.read_only = true;
  return es_open(out, &options, err);
}

/* In itself: others may sign the store while it is copied. `folder` has its segments. */
static es_status verify_copy(es_verify_report *out, const char *path, const char *folder,
                             es_error *err) {
  es_verify_options options = ES_VERIFY_INIT;
  es_runtime *rt = NULL;
  es_status status = open_file(&rt, path, err);

  options.memory_path = "";
  if (status == ES_OK) status = es__archive_look_in(rt->store, folder, err);
  if (status == ES_OK) status = es_verify(out, rt, &options, err);
  es_close(rt);
  return status;
}

/* Copies `store`, whose file is `from` (NULL: none), to `path` by way of a file beside it, and the segments that are at hand to
 * `path`-archive. */
static es_status copy_store(es_verify_report *out, es_store *store, const char *from,
                            const char *path, es_progress progress, void *progress_data,
                            es_error *err) {
  char *part, *folder = joined(path, "-archive");
  bool made = false;
  es_status status = make_part(&part, path, es__mode_of(from), err);

  if (status == ES_OK && folder == NULL) status = es__no_memory(err);
  if (status == ES_OK) status = es__store_backup(store, part, progress, progress_data, err);
  if (status == ES_OK)
    status = es__archive_copy_segments(&made, store, folder, es__mode_of(from), err);
  if (status == ES_OK) {
    status = verify_copy(out, part, folder, err);
    if (status == ES_ERR_INTEGRITY) {
      es__hint(err,
               "the copy was not kept: verify %s; if it is damaged, keep it as evidence, and "
               "restore a backup that verifies",
               from == NULL ? "the store" : from);
    }
    if (status != ES_OK) es__wrap(err, "the copy does not verify");
  }
  if (status == ES_OK) status = publish(part, path, err);
  /* Another copy that got the name meanwhile needs them. */
  if (status != ES_OK && made && !exists(path)) es__archive_remove_segments(store, folder);
  if (part != NULL) remove_part(part);
  free(part);
  free(folder);
  return status;
}

/* ---- backup ---- */

static void write_facts(es_buf *out, const es_verify_report *report, const char *path) {
  struct stat facts = {0};

  if (stat(path, &facts) != 0) facts.st_size = 0;
  es__buf_byte(out, '{');
  es__json_write_key(out, "backup_location");
  es__json_write_text(out, es__text(path));
  es__json_write_key(out, "backup_size");
  es__json_write_integer(out, (int64_t)facts.st_size);
  es__json_write_key(out, "backup_type");
  es__json_write_text(out, es__text("full"));
  es__json_write_key(out, "event_count");
  es__json_write_integer(out, report->event_count);
  es__buf_byte(out, '}');
}

/* In the store that was copied, so the copy itself does not hold it. */
static es_status record(es_runtime *rt, const es_verify_report *report, const char *path,
                        es_error *err) {
  es_buf data = {0};
  es_status status;

  write_facts(&data, report, path);
  status = es__audit_append(rt, "$BackupCreated", "system:backup", &data, err);
  es__buf_free(&data);
  if (status != ES_OK) es__wrap(err, "the backup is made, but this could not be recorded");
  return status;
}

es_status es_backup(es_verify_report *out, es_runtime *rt, const char *path, es_progress progress,
                    void *progress_data, es_error *err) {
  es_verify_report report = {0};
  es_status status;

  if (out != NULL) *out = report;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  if (rt->in_transaction)
    return es__fail(err, ES_ERR_USAGE, "in_transaction", "commit the open transaction first");
  if (es__is_missing(path, "path", err)) return ES_ERR_USAGE;
  if (path[0] == '\0')
    return es__fail(err, ES_ERR_USAGE, "no_name", "the name of the new file is empty");
  if (exists(path)) return refuse_taken(path, err);
  status = copy_store(&report, rt->store, rt->store_path, path, progress, progress_data, err);
  if (status == ES_OK && out != NULL) *out = report;
  if (status == ES_OK && !rt->read_only) status = record(rt, &report, path, err);
  return status;
}

/* ---- restore ---- */

/* The path of the store that these options open; freed by the caller. */
static es_status find_store(char **out, const es_options *given, es_error *err) {
  es_options options;
  es_settings settings = {0};

  *out = NULL;
  es_status status = es__open_options(&options, given, err);
  if (status == ES_OK) status = es__settings_read(&settings, options.project_path, err);
  const char *path = options.store_path != NULL ? options.store_path : settings.store;

  if (status != ES_OK) return status;
  if (path == NULL || strcmp(path, ":memory:") == 0) {
    status = es__fail(err, ES_ERR_USAGE, "no_store", "no store's file is named");
    es__hint(err, "go to a project's folder, or name a file with --store FILE");
  } else {
    *out = strdup(path);
    if (*out == NULL) status = es__no_memory(err);
  }
  es__settings_free(&settings);
  return status;
}

/* A log that a removed store left behind would be applied to whatever gets its name. */
static es_status check_free(const char *path, es_error *err) {
  if (!exists(path) && !has_log(path)) return ES_OK;
  es__fail(err, ES_ERR_USAGE, "store_exists", "%s%s: there is a store already", path,
           exists(path) ? "" : "-wal");
  es__hint(err, "restoring never overwrites: move the old store and its -wal and -shm away first");
  return ES_ERR_USAGE;
}

typedef struct judging {
  es_restore_options options;
  int64_t lost_count, other_count; /* findings: signed and not in the backup; anything else */
  char first[ES_ERROR_MESSAGE_MAX];
} judging;

static void judge(void *data, const es_finding *finding) {
  judging *self = data;
  bool lost = strcmp(finding->fault, "rolled_back") == 0 ||
              (strcmp(finding->fault, "missing") == 0 && strcmp(finding->kind, "checkpoint") == 0);

  if (self->first[0] == '\0') snprintf(self->first, sizeof self->first, "%s", finding->message);
  *(lost ? &self->lost_count : &self->other_count) += 1;
  if (self->options.finding != NULL) self->options.finding(self->options.data, finding);
}

/* Whether the signer's memory knows another store at the place where this one is to be. */
static es_status check_place(judging *self, const es_store *store, const char *target,
                             es_error *err) {
  const char *memory_path = self->options.memory_path;
  char message[1024], *other = NULL;
  es_finding finding = {"anchor", 0, message, "foreign"};
  es_error problem = ES_ERROR_INIT;
  es_signer_memory memory;
  es_status status = es__memory_open(&memory, memory_path, store, &problem);

  if (status == ES_ERR_USAGE && memory_path == NULL) return ES_OK; /* no home */
  if (status == ES_OK) status = es__memory_other_store(&other, &memory, target, &problem);
  if (status != ES_OK) {
    if (err != NULL) *err = problem;
  } else if (other != NULL) {
    snprintf(message, sizeof message,
             "another store was signed for at %s: the signer remembers it in %s/%s", target,
             memory.root, other);
    if (self->options.finding != NULL) self->options.finding(self->options.data, &finding);
    if (!self->options.accept_foreign) {
      status = es__fail(err, ES_ERR_INTEGRITY, "foreign", "%s", message);
      es__hint(err, "restore a backup of that store, or restore this one to another place; if it "
                    "shall be replaced: --accept-foreign");
    }
  }
  free(other);
  es__memory_close(&memory);
  return status;
}

/* Verifies a backup and compares it with what was signed since: it must be whole, and may be older only if that is accepted. */
static es_status judge_backup(es_verify_report *out, judging *self, const char *path,
                              const char *target, es_error *err) {
  es_verify_options evidence = ES_VERIFY_INIT;
  char store_id[ES_ID_TEXT_SIZE];
  es_runtime *rt = NULL;
  es_status status = open_file(&rt, path, err);

  if (status != ES_OK) return status;
  es_id_text(store_id, rt->store->store_id);
  if (self->options.consult != NULL &&
      !self->options.consult(self->options.data, store_id, &evidence)) {
    status = es__fail(err, ES_ERR_OTHER, "no_evidence",
                      "%s: what else is known of this store could not be asked", path);
  }
  evidence.memory_path = self->options.memory_path;
  evidence.finding = judge;
  evidence.finding_data = self;
  if (status == ES_OK) status = es_verify(out, rt, &evidence, err);
  bool only_lost = status == ES_ERR_INTEGRITY && self->other_count == 0 && self->lost_count > 0;
  if (only_lost) {
    es__error_clear(err);
    status = ES_OK;
  }
  if (status == ES_OK) status = check_place(self, rt->store, target, err);
  es_close(rt);
  if (status != ES_OK || !only_lost || self->options.accept_rollback) return status;
  es__fail(err, ES_ERR_INTEGRITY, "rollback",
           "%s is older than what was signed, and what it lacks would be lost: %s", path,
           self->first);
  es__hint(err, "restore a newer backup; if there is none, accept the loss: --accept-rollback");
  return ES_ERR_INTEGRITY;
}

es_status es_restore(es_verify_report *out, const char *path, const es_options *options,
                     const es_restore_options *restoring, es_error *err) {
  static const es_sqlite_options reading = {.read_only = true, .must_exist = true};
  judging judged = {.options = ES_RESTORE_INIT};
  es_id_source ids = {0};
  es_verify_report report = {0}, copied = {0};
  es_store *backup = NULL;
  char *target = NULL;

  if (out != NULL) *out = report;
  if (es__is_missing(path, "path", err)) return ES_ERR_USAGE;
  es_status status = find_store(&target, options, err);
  if (status == ES_OK) status = check_free(target, err);
  if (status == ES_OK && restoring != NULL)
    status =
        es__take_options(&judged.options, restoring, sizeof judged.options, "ES_RESTORE_INIT", err);
  if (status == ES_OK) status = judge_backup(&report, &judged, path, target, err);
  if (status == ES_OK) status = es__store_open_sqlite(&backup, path, &reading, &ids, err);
  if (status == ES_OK) status = copy_store(&copied, backup, path, target, NULL, NULL, err);
  es__store_close(backup);
  if (status == ES_OK && memcmp(report.head_hash, copied.head_hash, ES_HASH_SIZE) != 0)
    status = es__fail(err, ES_ERR_INTEGRITY, "hash", "%s changed while it was restored", path);
  if (status == ES_OK && out != NULL) *out = copied;
  free(target);
  return status;
}

es_status es_store_layout(es_layout *out, const es_options *options, es_error *err) {
  char *path = NULL;
  es_status status;

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = (es_layout){0};
  status = find_store(&path, options, err);
  if (status == ES_OK) status = es__sqlite_layout(out, path, err);
  free(path);
  return status;
}
