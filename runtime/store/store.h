/* store: the contract every event store keeps. One conformance suite (tests/c/test_store.c) runs against all of them.
 * Knows events and hashes; never Lua, rules or projections.
 *
 * Promises
 *   - append is all or nothing, durable when it returns ES_OK outside es__store_begin/commit, and conditional;
 *   - positions have no gaps, in commit order; versions have no gaps in a stream; recorded_at never decreases;
 *   - the store stamps position, version, recorded_at, previous_hash and hash; everything else comes with the event;
 *   - stored events never change;
 *   - reads stream in constant memory and hold no snapshot for long: a cursor reads pages by position.
 */
#ifndef ES_STORE_STORE_H
#define ES_STORE_STORE_H

#include "base/id.h"
#include "ledger/tile.h"
#include "store/sums.h"

typedef struct es_store es_store;

typedef struct es_stream_name {
  es_text tenant_id; /* none is a tenant of its own */
  es_text aggregate_type;
  es_text aggregate_id;
} es_stream_name;

/* "This stream is at this version" (0: does not exist). Later conditions (types and tags after a position) get members
 * of their own and a kind. */
typedef struct es_condition {
  es_stream_name stream;
  int64_t expected_version;
} es_condition;

enum { ES_STORE_KEY_SIZE = 32 };

/* What an idempotency key led to. On append the caller gives all but first_position, that of the commit's first event, 0 when it
 * has none. The commit's first `event_count` events are the reply's; a rejection has none, and one that records it. Texts in a record handed out belong to the record: es__reply_record_free(). */
typedef struct es_reply_record {
  uint8_t key[ES_STORE_KEY_SIZE]; /* hash of tenant, actor, target, command and key: the engine's */
  uint8_t params_hash[ES_STORE_KEY_SIZE]; /* of the canonical parameters */
  int64_t first_position;
  int64_t event_count;
  int64_t created_at;
  es_text body; /* store/reply.h */
} es_reply_record;

void es__reply_record_free(es_reply_record *record);

/* A state that was folded from a stream, kept so that the next load begins behind it. Derived: it may be missing, and nothing
 * but time is lost. Texts in a record handed out belong to it: es__snapshot_record_free(). */
typedef struct es_snapshot_record {
  uint8_t snapshot_id[ES_ID_SIZE];
  es_stream_name stream;
  int64_t version;                   /* of the last event that was folded */
  uint8_t module_hash[ES_HASH_SIZE]; /* of what folded it */
  int64_t created_at;
  es_text state; /* canonical JSON */
  es_text lists; /* what its JSON does not tell: es__lua_write_exact_json() */
  /* Out: that event, to which the snapshot is bound */
  int64_t position;
  uint8_t event_hash[ES_HASH_SIZE];
  uint8_t event_id[ES_ID_SIZE];
  int64_t recorded_at;
  const char *fault; /* why it cannot be used, in es__store_next_snapshot() only; NULL: it holds */
  int64_t key;       /* the store's own */
  char *text;        /* what the texts point into, or NULL */
} es_snapshot_record;

/* Of a stream the newest are kept: one to load from; one for when that is damaged or newer than what is asked for; and one that a
 * module before the present one left, for when that comes back. */
enum { ES_SNAPSHOTS_KEPT = 3 };

void es__snapshot_record_free(es_snapshot_record *record);
/* Copies the texts, so that the record owns them. */
es_status es__snapshot_record_own(es_snapshot_record *record, es_error *err);

/* Which snapshot: 0 or NULL where it does not matter. */
typedef struct es_snapshot_wish {
  int64_t to_version;
  int64_t to_time; /* its event's recorded_at, inclusive */
  const uint8_t *module_hash;
} es_snapshot_wish;

typedef struct es_commit {
  /* In: everything but position, version, recorded_at, previous_hash, hash. Out: those. Events of one stream follow each
   * other in version; different streams may be mixed. */
  es_event *events;
  size_t event_count;
  const es_condition *conditions;
  size_t condition_count;
  const es_reply_record *reply; /* NULL: none */
  int64_t now;                  /* recorded_at is this or the store's last, whichever is later */
  bool keep_recorded_at; /* import: take recorded_at from the events; going backwards is an error */
  /* Import: the hash an event comes with was computed from its other members. Where none of them changes it is kept. */
  bool hashed;
  bool
      check_versions; /* a version that an event comes with (not 0) must be the next of its stream */
  bool checked;       /* every event passed es__event_check() as it is */
  /* Inside begin/commit a failure ends the whole group. Undoing one append of a group alone has a cost that grows with the
   * square of its events: SQLite walks its journal for each. */
  bool whole_group;
  /* The events' ids were made for them: behind the first row that is written only the store itself can fail, which then ends
   * the whole group. What fails before that leaves the group as it is, as ever. */
  bool fresh_ids;
  /* Out: true when reply->key was there already: nothing was appended, *existing is the record (caller frees). */
  bool duplicate;
  es_reply_record existing;
} es_commit;

/* Damage found by es__store_check; as es_finding in esrun.h. */
typedef void (*es_store_finding)(void *data, const char *kind, int64_t position,
                                 const char *message);

/* Gets one event, whose texts are valid during the call, or for a row that cannot be read, with event NULL, why and in
 * why->position where. It may read from the store. A status other than ES_OK ends the visit and is returned. */
typedef es_status (*es_store_visitor)(void *data, const es_event *event, const es_error *why,
                                      es_error *err);

typedef struct es_store_head {
  int64_t position; /* 0: empty */
  int64_t recorded_at;
  uint8_t hash[ES_HASH_SIZE]; /* zero when empty */
} es_store_head;

typedef struct es_store_cursor es_store_cursor;

/* A signed tree head kept beside the events. `size` is -1 when there is none; the note is the caller's to free. Several may share
 * a size: the later one has the larger id. */
typedef struct es_store_checkpoint {
  int64_t size;
  int64_t id;
  es_buf note;
} es_store_checkpoint;

typedef struct es_archive_kind es_archive_kind; /* store/archive.h */

/* One store kind. Implementations embed es_store as their first member. All functions may set *err. */
typedef struct es_store_kind {
  const char *name;
  es_status (*append)(es_store *store, es_commit *commit, es_error *err);
  es_status (*begin)(es_store *store, es_error *err);
  es_status (*commit)(es_store *store, es_error *err);
  void (*rollback)(es_store *store);
  es_status (*read)(es_store_cursor **out, es_store *store, const es_filter *filter, es_error *err);
  es_status (*next)(const es_event **event, es_store_cursor *cursor, es_error *err);
  void (*cursor_close)(es_store_cursor *cursor);
  es_status (*stream_version)(int64_t *out, es_store *store, const es_stream_name *stream,
                              es_error *err);
  es_status (*head)(es_store_head *out, es_store *store, es_error *err);
  es_status (*find_reply)(bool *found, es_reply_record *out, es_store *store,
                          const uint8_t key[ES_STORE_KEY_SIZE], es_error *err);
  es_status (*streams)(es_store *store, const char *aggregate_type,
                       es_status (*each)(void *data, const es_stream_name *, int64_t version,
                                         es_error *err),
                       void *data, es_error *err);
  es_status (*hashes)(es_hash *out, size_t *count, es_store *store, int64_t after, size_t capacity,
                      es_error *err);
  es_status (*tree_size)(int64_t *out, es_store *store, es_error *err);
  es_status (*tile)(es_hash out[ES_TILE_WIDTH], int *width, es_store *store, int level,
                    int64_t index, es_error *err);
  es_status (*put_tile)(es_store *store, int level, int64_t index, int width, const es_hash *hashes,
                        es_error *err);
  /* The last of size `up_to` with an id up to `id`, or else the last that is smaller */
  es_status (*checkpoint)(es_store_checkpoint *out, es_store *store, int64_t up_to, int64_t id,
                          es_error *err);
  es_status (*add_checkpoint)(es_store *store, int64_t size, es_text note, es_error *err);
  es_status (*add_snapshot)(es_store *store, es_snapshot_record *record, es_error *err);
  es_status (*find_snapshot)(bool *found, es_snapshot_record *out, es_store *store,
                             const es_stream_name *stream, const es_snapshot_wish *wish,
                             es_error *err);
  es_status (*next_snapshot)(bool *found, es_snapshot_record *at, es_store *store,
                             const es_stream_name *stream, es_error *err);
  es_status (*drop_snapshots)(int64_t *count, es_store *store, const es_stream_name *stream,
                              es_error *err);
  es_status (*visit)(es_store *store, int64_t after, int64_t to, es_sums *sums,
                     es_store_visitor visitor, void *data, es_error *err);
  es_status (*next_position)(int64_t *out, es_store *store, int64_t after, es_error *err);
  void (*forget)(es_store *store); /* NULL: nothing is cached */
  int check_parts;
  es_status (*check)(es_store *store, int part, es_sums *sums, es_store_finding finding, void *data,
                     es_error *err);
  /* Whoever sums differ: says where; NULL: there is nothing to sum */
  es_status (*compare_sums)(es_store *store, const es_sums *sums, es_store_finding finding,
                            void *data, es_error *err);
  es_status (*info)(es_buf *json, es_store *store, es_error *err);
  const es_archive_kind *archive; /* NULL: texts stay where they are */
  /* NULL: there is no file to copy */
  es_status (*backup)(es_store *store, const char *path, es_progress progress, void *progress_data,
                      es_error *err);
  void (*close)(es_store *store);
} es_store_kind;

struct es_store {
  const es_store_kind *kind;
  es_chain *chain;
  uint8_t store_id[ES_ID_SIZE];
  int64_t appended_to; /* the last position appended through here, even if undone since; 0: none */
};

/* Opening. An in-memory store lives until closed. */
es_status es__store_open_memory(es_store **out, es_id_source *ids, es_error *err);

typedef struct es_sqlite_options {
  bool read_only;
  bool must_exist;
  int64_t max_page_count;  /* test door: 0: no limit */
  int64_t lock_timeout_ms; /* how long a writer waits for its turn; 0: 30,000 */
} es_sqlite_options;

es_status es__store_open_sqlite(es_store **out, const char *path, const es_sqlite_options *options,
                                es_id_source *ids, es_error *err);

/* The layout of the file at `path` (0: there is no file), and the newest that is known here. Changes nothing. */
es_status es__sqlite_layout(es_layout *out, const char *path, es_error *err);

/* The calls. Each checks its arguments and goes to the kind.
 *
 * append: ES_ERR_CONFLICT "version_conflict" with expected and actual version in *err; ES_ERR_CONFLICT
 * "duplicate_event_id"; ES_ERR_STORE "disk_full", "read_only", "busy" (no turn within lock_timeout_ms), "corrupt" …
 * Inside begin/commit an append that fails leaves the earlier ones in place.
 *
 * read: `filter` as in esrun.h except that the store does no tenancy of its own: tenant_id NULL means every tenant, ES_NONE
 * those without. Events with from_time/to_time are found by position, since recorded_at never decreases.
 *
 * streams: calls `each` for every stream of a type (NULL: all) in order of tenant (none first), type, id, in constant
 * memory; a status other than ES_OK from `each` stops and is returned.
 *
 * hashes: the events' stored hashes from position after + 1 on, at most `capacity`; fewer only at the end. The tree over them
 * is kept apart, in tiles (store/tree.h); put_tile and add_checkpoint belong inside begin/commit.
 *
 * checkpoint: the newest kept signed tree head of at most `up_to` events.
 *
 * check: derived structures only (streams, interned names, indexes, replies, the tree, checkpoints, schema, pages); the engine
 * checks hashes and links through read. Returns ES_OK when it could look, whatever it found. It comes in parts, which
 * may be taken in any order and on several connections while others append: es__store_check_part of 0 … check_parts - 1,
 * beside them every event up to sums->to once by es__store_visit and es__tree_check_leaf (store/tree.h), and at last
 * es__store_compare_sums. es__store_check does all of it on one connection.
 *
 * visit: hands over each event of the positions after + 1 … to, in order, adding its entries to `sums`; archived ones as their
 * rows are (event/event.h).
 *
 * forget: from here on reads see what the file says, not what was read of it before. */
es_status es__store_append(es_store *store, es_commit *commit, es_error *err);
es_status es__store_begin(es_store *store, es_error *err);
es_status es__store_commit(es_store *store, es_error *err);
void es__store_rollback(es_store *store);
es_status es__store_read(es_store_cursor **out, es_store *store, const es_filter *filter,
                         es_error *err);
es_status es__store_next(const es_event **event, es_store_cursor *cursor, es_error *err);
void es__store_cursor_close(es_store_cursor *cursor);
es_status es__store_stream_version(int64_t *out, es_store *store, const es_stream_name *stream,
                                   es_error *err);
es_status es__store_head_of(es_store_head *out, es_store *store, es_error *err);
es_status es__store_find_reply(bool *found, es_reply_record *out, es_store *store,
                               const uint8_t key[ES_STORE_KEY_SIZE], es_error *err);
es_status es__store_streams(es_store *store, const char *aggregate_type,
                            es_status (*each)(void *data, const es_stream_name *, int64_t version,
                                              es_error *err),
                            void *data, es_error *err);
/* Of the events that follow `after` without a gap. *count is 0 where nothing follows; where a gap does, ES_ERR_INTEGRITY. */
es_status es__store_hashes(es_hash *out, size_t *count, es_store *store, int64_t after,
                           size_t capacity, es_error *err);
es_status es__store_checkpoint(es_store_checkpoint *out, es_store *store, int64_t up_to,
                               es_error *err);
/* Replaces a checkpoint by the one before it, so that from the last on all are seen. */
es_status es__store_checkpoint_before(es_store_checkpoint *at, es_store *store, es_error *err);
es_status es__store_add_checkpoint(es_store *store, int64_t size, es_text note, es_error *err);
/* Snapshots (store/snapshots.c). Adding replaces one of the same version and drops those of the stream that are too many; a version
 * that the stream does not have is ES_ERR_CONFLICT. Finding gives the newest that fulfils the wish, agrees with its checksum and
 * is bound to an event that is there: others are passed over without a word. Neither adds inside begin/commit. */
es_status es__store_add_snapshot(es_store *store, es_snapshot_record *record, es_error *err);
es_status es__store_find_snapshot(bool *found, es_snapshot_record *out, es_store *store,
                                  const es_stream_name *stream, const es_snapshot_wish *wish,
                                  es_error *err);
/* Replaces a record, all zero at first, by the one that follows it, of one stream or (NULL) of all, by version within a stream.
 * A row that cannot be used comes too, with its fault; if nobody can tell its stream, without a name. */
es_status es__store_next_snapshot(bool *found, es_snapshot_record *at, es_store *store,
                                  const es_stream_name *stream, es_error *err);
/* Of one stream, or (NULL) all. */
es_status es__store_drop_snapshots(int64_t *count, es_store *store, const es_stream_name *stream,
                                   es_error *err);
es_status es__store_check(es_store *store, es_store_finding finding, void *data, es_error *err);
void es__store_forget(es_store *store);
/* The position of the first event behind `after`, whatever is between them; 0: there is none. */
es_status es__store_next_position(int64_t *out, es_store *store, int64_t after, es_error *err);
es_status es__store_visit(es_store *store, int64_t after, int64_t to, es_sums *sums,
                          es_store_visitor visitor, void *data, es_error *err);
es_status es__store_check_part(es_store *store, int part, es_sums *sums, es_store_finding finding,
                               void *data, es_error *err);
es_status es__store_compare_sums(es_store *store, const es_sums *sums, es_store_finding finding,
                                 void *data, es_error *err);
es_status es__store_info(es_buf *json, es_store *store, es_error *err); /* a JSON object */
/* A consistent copy in a new file at `path`, while others write; progress counts pages. ES_ERR_USAGE "in_memory". */
es_status es__store_backup(es_store *store, const char *path, es_progress progress,
                           void *progress_data, es_error *err);
void es__store_close(es_store *store); /* NULL is fine */

/* For kinds: the typed refusals they share. */
es_status es__version_conflict(const es_condition *condition, int64_t actual_version,
                               es_error *err);
/* ES_OK when es_commit.check_versions asks nothing of this event, or its version follows the stream's. */
es_status es__next_version(const es_commit *commit, const es_event *event, int64_t actual_version,
                           es_error *err);
es_status es__duplicate_event(const es_event *event, es_error *err);
/* SHA-256 of all that a snapshot says, for kinds whose rows can be damaged. */
es_status es__snapshot_checksum(uint8_t out[ES_HASH_SIZE], es_store *store,
                                const es_snapshot_record *record, es_error *err);
es_status es__time_conflict(const es_event *event, es_error *err);

/* The cursor base: kinds embed it first so that es__store_next finds the kind. Who needs no texts sets as_stored before the first
 * event: archived ones then come as their rows are, and no segment is opened. */
struct es_store_cursor {
  es_store *store;
  bool has_snapshots; /* false: the one stream that is read has none */
  bool as_stored;
};

#endif
