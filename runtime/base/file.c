/* file: whole small files, and making files and their names durable. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

es_status es__read_file(es_buf *out, const char *path, size_t limit, es_error *err) {
  char chunk[16384];
  struct stat facts;
  es_status status = ES_OK;
  size_t got;
  int descriptor =
      open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO is refused, not waited for */
  FILE *file = descriptor < 0 ? NULL : fdopen(descriptor, "rb");

  if (file == NULL) {
    bool denied = errno == EACCES;
    es_status why = errno == ENOENT || errno == ENOTDIR ? ES_ERR_NOT_FOUND : ES_ERR_OTHER;
    es__fail(err, why, "cannot_read", "cannot read %s: %s", path, strerror(errno));
    if (denied) es__hint(err, "run as its owner, or: chmod u+r %s", path);
    return why;
  }
  if (fstat(fileno(file), &facts) != 0 || !S_ISREG(facts.st_mode)) {
    status = es__fail(err, ES_ERR_OTHER, "cannot_read", "cannot read %s: not a regular file", path);
    goto done;
  }
  while ((got = fread(chunk, 1, sizeof chunk, file)) > 0) {
    if (out->length + got > limit) {
      status = es__fail(err, ES_ERR_OTHER, "too_large", "cannot read %s: larger than %zu bytes",
                        path, limit);
      goto done;
    }
    es__buf_add(out, chunk, got);
  }
  if (ferror(file)) {
    status =
        es__fail(err, ES_ERR_OTHER, "cannot_read", "cannot read %s: %s", path, strerror(errno));
  } else if (out->failed) {
    status = es__no_memory(err);
  }
done:
  fclose(file);
  return status;
}

bool es__write_synced(int file, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t written = write(file, bytes, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes += written; /* fewer than asked for: the next one says why */
    length -= (size_t)written;
  }
  return fsync(file) == 0;
}

es_status es__sync_path(const char *path, int flags, es_error *err) {
  int descriptor = open(path, flags | O_CLOEXEC);
  bool synced = descriptor >= 0 && fsync(descriptor) == 0;
  int why = errno;

  if (descriptor >= 0) close(descriptor);
  if (synced) return ES_OK;
  return es__fail(err, ES_ERR_STORE, "io", "%s: cannot be made durable: %s", path, strerror(why));
}

es_status es__sync_folder_of(const char *path, es_error *err) {
  char *folder = strdup(path);
  es_status status;

  if (folder == NULL) return es__no_memory(err);
  char *slash = strrchr(folder, '/');
  if (slash != NULL) slash[slash == folder ? 1 : 0] = '\0';
  status = es__sync_path(slash == NULL ? "." : folder, O_RDONLY | O_DIRECTORY, err);
  free(folder);
  return status;
}

mode_t es__mode_of(const char *from) {
  struct stat found;
  return from != NULL && stat(from, &found) == 0 ? (found.st_mode & 0666) | 0600 : 0644;
}

bool es__no_room(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }
