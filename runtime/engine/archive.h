/* archive: what archiving and backups share: folders of segments. */
#ifndef ES_ENGINE_ARCHIVE_H
#define ES_ENGINE_ARCHIVE_H

#include <sys/types.h>

#include "store/archive.h"

/* Makes a folder that who may read files of this mode may enter; *made: it was not there (may be NULL). */
es_status es__archive_make_folder(bool *made, const char *folder, mode_t mode, es_error *err);

/* Gives a segment's file, written and synced, its name in the folder, and removes the old name. A file of that name is never
 * replaced: when it is the same bit by bit it serves, else ES_ERR_STORE "file_exists". */
es_status es__archive_publish(const char *part, const char *folder, const es_segment *segment,
                              es_error *err);

/* Makes sure that the disk has a segment's file and its name, before texts leave the store because it is there. */
es_status es__archive_sync(const char *path, es_error *err);

/* Copies the segments that are at hand into `folder`, which is made when there are any. */
es_status es__archive_copy_segments(bool *made, es_store *store, const char *folder, mode_t mode,
                                    es_error *err);
/* Removes them and the folder that was made for them. */
void es__archive_remove_segments(es_store *store, const char *folder);

#endif
