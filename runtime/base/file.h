/* file: whole small files, and making files and their names durable. */
#ifndef ES_BASE_FILE_H
#define ES_BASE_FILE_H

#include <sys/types.h>

#include "base/buf.h"

/* Reads at most `limit` bytes of a regular file; a longer one is an error. ES_ERR_NOT_FOUND when there is none. */
es_status es__read_file(es_buf *out, const char *path, size_t limit, es_error *err);

/* Writes all of it to a descriptor and syncs it; false: errno says why not. */
bool es__write_synced(int file, const char *bytes, size_t length);

/* Makes what was written to a file, or with O_DIRECTORY the names in a folder, durable. */
es_status es__sync_path(const char *path, int flags, es_error *err);
es_status es__sync_folder_of(const char *path, es_error *err);

/* The mode of a copy of `from` (NULL: of nothing): who may not read the one shall not read the other. */
mode_t es__mode_of(const char *from);

/* Is this errno that of a disk without room, or of a limit on how much one may write? */
bool es__no_room(int error);

#endif
