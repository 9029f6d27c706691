/* archive_files: folders of segments: making them, names that appear when a file is whole, copies for a backup. */
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

static char *in_folder(const char *folder, const char *name, const char *ending) {
  es_buf path = {0};

  es__buf_format(&path, "%s/%s%s", folder, name, ending);
  return es__buf_take(&path, NULL);
}

es_status es__archive_make_folder(bool *made, const char *folder, mode_t mode, es_error *err) {
  mode_t enter = mode | ((mode & 0444) >> 2); /* who may read may search */
  struct stat facts;

  if (made != NULL) *made = false;
  if (mkdir(folder, enter) == 0) {
    if (made != NULL) *made = true;
    return es__sync_folder_of(folder, err);
  }
  if (errno == EEXIST && stat(folder, &facts) == 0 && S_ISDIR(facts.st_mode)) return ES_OK;
  es__fail(err, ES_ERR_STORE, es__no_room(errno) ? "disk_full" : "io",
           "%s: the folder for segments cannot be made: %s", folder, strerror(errno));
  es__hint(err, "the folder above it must exist, and you must be allowed to write it");
  return ES_ERR_STORE;
}

/* Who did not write a file himself cannot know that the disk has it, and its name. */
es_status es__archive_sync(const char *path, es_error *err) {
  es_status status = es__sync_path(path, O_RDONLY, err);
  return status == ES_OK ? es__sync_folder_of(path, err) : status;
}

/* Whether the file of this name is the segment already: left by a run that was cut short, or by a copy of this store. */
static es_status check_same(const char *path, const es_segment *segment, es_error *err) {
  es_segment_reader *reader = NULL;
  es_status status = es__segment_open(&reader, segment, path, NULL);

  if (status == ES_OK) status = es__segment_check_file(reader, NULL);
  es__segment_reader_free(reader);
  if (status == ES_OK) return es__archive_sync(path, err);
  es__fail(err, ES_ERR_STORE, "file_exists",
           "%s: there is another file of this name, and segments never replace one", path);
  es__hint(err, "move it away, or name another folder");
  return ES_ERR_STORE;
}

es_status es__archive_publish(const char *part, const char *folder, const es_segment *segment,
                              es_error *err) {
  char *path = in_folder(folder, segment->name, "");
  es_status status = ES_OK;

  if (path == NULL) return es__no_memory(err);
  if (link(part, path) != 0) {
    status = errno == EEXIST ? check_same(path, segment, err)
                             : es__fail(err, ES_ERR_STORE, es__no_room(errno) ? "disk_full" : "io",
                                        "%s: %s", path, strerror(errno));
  }
  if (status == ES_OK && unlink(part) != 0)
    status = es__fail(err, ES_ERR_STORE, "io", "%s: %s", part, strerror(errno));
  if (status == ES_OK) status = es__sync_path(folder, O_RDONLY | O_DIRECTORY, err);
  free(path);
  return status;
}

/* ---- Copies ---- */

typedef struct copying {
  const char *folder;
  mode_t mode;
  bool *made;
} copying;

static es_status copy_bytes(int to, int from, const char *path, es_error *err) {
  static const size_t piece = 65536;
  char *chunk = malloc(piece);
  ssize_t got = 1;
  bool written = true;

  if (chunk == NULL) return es__no_memory(err);
  while (written && (got = read(from, chunk, piece)) != 0) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    for (ssize_t at = 0; written && at < got;) {
      ssize_t put = write(to, chunk + at, (size_t)(got - at));
      if (put < 0 && errno != EINTR) written = false;
      if (put > 0) at += put;
    }
  }
  if (written && got == 0) written = fsync(to) == 0;
  free(chunk);
  if (written && got == 0) return ES_OK;
  return es__fail(err, ES_ERR_STORE, es__no_room(errno) ? "disk_full" : "io",
                  "%s: copying a segment: %s", path, strerror(errno));
}

static es_status copy_file(const char *from, const char *part, mode_t mode, es_error *err) {
  int source = open(from, O_RDONLY | O_CLOEXEC);
  int target = -1;
  es_status status = ES_OK;

  unlink(part); /* left by a process of this number that was cut short */
  if (source >= 0) target = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (source < 0 || target < 0) {
    status = es__fail(err, ES_ERR_STORE, "io", "%s: %s", source < 0 ? from : part, strerror(errno));
  } else {
    status = copy_bytes(target, source, part, err);
  }
  if (source >= 0) close(source);
  if (target >= 0) close(target);
  return status;
}

static es_status copy_segment(void *data, const es_segment *segment, const char *path,
                              es_error *err) {
  copying *self = data;
  char ending[32];
  bool made;

  if (path == NULL) return ES_OK; /* in cold storage: verifying the copy counts its events */
  es_status status = es__archive_make_folder(&made, self->folder, self->mode, err);
  if (status != ES_OK) return status;
  if (made) *self->made = true;
  snprintf(ending, sizeof ending, ".%ld.part", (long)getpid()); /* others may copy to here too */
  char *part = in_folder(self->folder, segment->name, ending);
  if (part == NULL) return es__no_memory(err);
  status = copy_file(path, part, self->mode, err);
  if (status == ES_OK) status = es__archive_publish(part, self->folder, segment, err);
  if (status != ES_OK) unlink(part);
  free(part);
  return status;
}

es_status es__archive_copy_segments(bool *made, es_store *store, const char *folder, mode_t mode,
                                    es_error *err) {
  copying self = {.folder = folder, .mode = mode, .made = made};

  *made = false;
  return es__archive_segments(store, copy_segment, &self, err);
}

static es_status remove_segment(void *data, const es_segment *segment, const char *path,
                                es_error *err) {
  char *copy = in_folder(data, segment->name, "");

  (void)path, (void)err;
  if (copy != NULL) unlink(copy);
  free(copy);
  return ES_OK;
}

void es__archive_remove_segments(es_store *store, const char *folder) {
  es__archive_segments(store, remove_segment, (void *)folder, NULL);
  rmdir(folder);
}
