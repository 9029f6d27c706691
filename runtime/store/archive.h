/* archive: what a store can do whose events' texts may move to segments and back. Everything else of an event stays in its row:
 * filters, hashes, the chain and the tree need no segment. Reads (store.h) fetch what they hand out from its segment unless told
 * to leave it. */
#ifndef ES_STORE_ARCHIVE_H
#define ES_STORE_ARCHIVE_H

#include "store/segment.h"
#include "store/store.h"

/* Gets one segment and where its file was found (NULL: it is not at hand), valid during the call. */
typedef es_status (*es_segment_visitor)(void *data, const es_segment *segment, const char *path,
                                        es_error *err);

struct es_archive_kind {
  es_status (*segments)(es_store *store, es_segment_visitor visitor, void *data, es_error *err);
  es_status (*add_segment)(es_store *store, const es_segment *segment, es_error *err);
  es_status (*replace_texts)(es_store *store, int64_t position, es_text data, es_text metadata,
                             es_error *err);
  es_status (*next_to_move)(int64_t *out, es_store *store, int64_t after, int64_t to,
                            es_error *err);
  es_status (*fetch)(es_event *event, es_store *store, es_error *err);
  es_status (*folder)(char **out, es_store *store, es_error *err);
  es_status (*look_in)(es_store *store, const char *folder, es_error *err);
  es_status (*compact)(es_store *store, es_error *err);
};

/* Each is ES_ERR_USAGE "in_memory" for a store that has no file, but for the first and third, which find nothing there. */

/* All segments in order. They cover the positions from 1 on without gaps. */
es_status es__archive_segments(es_store *store, es_segment_visitor visitor, void *data,
                               es_error *err);
/* Within begin/commit: the next segment. ES_ERR_CONFLICT "archived" when it does not follow the last one. */
es_status es__archive_add(es_store *store, const es_segment *segment, es_error *err);
/* Replaces an archived event's marker by its texts, taken from the segment, valid until the next call. ES_ERR_STORE
 * "segment_missing" when the file is not at hand; ES_ERR_INTEGRITY "segment", with err->position the first event that cannot be
 * read for the same reason. */
es_status es__archive_fetch(es_event *event, es_store *store, es_error *err);
/* Within begin/commit: puts a marker in the place of an event's texts. Its texts must have its hash: ES_ERR_INTEGRITY "hash". */
es_status es__archive_mark(es_store *store, const es_event *event, es_error *err);
/* Within begin/commit: the inverse, with what es__archive_fetch gave. */
es_status es__archive_unmark(es_store *store, const es_event *event, es_error *err);
/* The first position behind `after` and up to `to` whose texts can move (es__event_can_shrink); 0: there is none. */
es_status es__archive_next(int64_t *out, es_store *store, int64_t after, int64_t to, es_error *err);
/* The folder beside the store, STORE-archive, whether it is there or not. Freed by the caller. */
es_status es__archive_folder(char **out, es_store *store, es_error *err);
/* From now on segments are looked for in `folder` first, and not beside the store. */
es_status es__archive_look_in(es_store *store, const char *folder, es_error *err);
/* Rewrites the file without the room that moved texts left. ES_ERR_STORE "busy" while another connection uses it. */
es_status es__archive_compact(es_store *store, es_error *err);

#endif
