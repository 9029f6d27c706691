/* file: whole small files. */
#ifndef ES_BASE_FILE_H
#define ES_BASE_FILE_H

#include "base/buf.h"

/* Reads at most `limit` bytes of a regular file; a longer one is an error. ES_ERR_NOT_FOUND when there is none. */
es_status es__read_file(es_buf *out, const char *path, size_t limit, es_error *err);

/* Writes all of it to a descriptor and syncs it; false: errno says why not. */
bool es__write_synced(int file, const char *bytes, size_t length);

/* Is this errno that of a disk without room, or of a limit on how much one may write? */
bool es__no_room(int error);

#endif
