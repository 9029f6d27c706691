/* sqlite: what the files of the SQLite store share. Private to runtime/store/sqlite*.c; no Lua, no JSON but info's and replies'.
 *
 *   sqlite.c         opening, pragmas, closing, the failures' texts     sqlite_schema.c  tables, migrations
 *   sqlite_names.c   interned names and streams, both ways, cached      sqlite_append.c  turns, transactions, appending
 *   sqlite_read.c    cursors                                            sqlite_select.c  the SQL of a filter
 *   sqlite_visit.c   every event of a run, without copies
 *   sqlite_reply.c   replies to idempotency keys                        sqlite_streams.c listing streams
 *   sqlite_check.c   looking for damage                                 sqlite_index.c   the events' indexes among it
 *   sqlite_tree.c    tiles and checkpoints                              sqlite_backup.c  copies, and a file's layout
 *   sqlite_snapshots.c  kept states
 *   sqlite_segments.c  segments, and archived events' texts from them
 */
#ifndef ES_STORE_SQLITE_H
#define ES_STORE_SQLITE_H

#include <sqlite3.h>
#include <sys/stat.h>

#include "store/archive.h"
#include "store/filter.h"
#include "store/writers_queue.h"

enum {
  ES__SQLITE_APPLICATION_ID = 0x6573726e, /* "esrn" */
  ES__SQLITE_NONE = 0,           /* names.name_id of "no tenant" and "no actor": no name has it */
  ES__SQLITE_CACHE_SLOTS = 4096, /* more names than this in turn, and reading is slow */
  ES__SQLITE_READ_SHAPES = 8,
  ES__SQLITE_EVENT_INDEXES = 8,
  ES__SQLITE_CHECK_PARTS = 4 + ES__SQLITE_EVENT_INDEXES,
  ES__SQLITE_ROW_COUNT = 20 /* of EVENTS_ADD */
};

/* Every column of an event, in the order in which rows are read. */
#define ES__EVENT_COLUMNS                                                                          \
  "position, event_id, stream_id, version, tenant, aggregate_type, event_type, schema_version,"    \
  " actor, correlation_id, causation_id, occurred_at, recorded_at, previous_hash, hash, data,"     \
  " metadata"

#define ES__SNAPSHOT_COLUMNS                                                                       \
  "stream_id, version, snapshot_id, position, event_hash, module_hash, created_at, state, lists,"  \
  " checksum"

/* How an event is inserted, and how several are. */
#define ES__SQLITE_INSERT "INSERT OR FAIL INTO events (" ES__EVENT_COLUMNS ") VALUES "
#define ES__SQLITE_ROW "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define ES__SQLITE_ROWS_5                                                                          \
  ES__SQLITE_ROW "," ES__SQLITE_ROW "," ES__SQLITE_ROW "," ES__SQLITE_ROW "," ES__SQLITE_ROW
#define ES__SQLITE_ROWS                                                                            \
  ES__SQLITE_ROWS_5 "," ES__SQLITE_ROWS_5 "," ES__SQLITE_ROWS_5 "," ES__SQLITE_ROWS_5

/* names.kind */
typedef enum es_name_kind {
  ES_NAME_TENANT = 1,
  ES_NAME_AGGREGATE_TYPE = 2,
  ES_NAME_EVENT_TYPE = 3,
  ES_NAME_ACTOR = 4
} es_name_kind;

/* X(constant, SQL): every statement used more than once, prepared when first used. */
#define ES_SQLITE_STATEMENTS(X)                                                                    \
  X(BEGIN, "BEGIN IMMEDIATE")                                                                      \
  X(COMMIT, "COMMIT")                                                                              \
  X(SAVEPOINT, "SAVEPOINT one_append")                                                             \
  X(RELEASE, "RELEASE one_append")                                                                 \
  X(ROLLBACK_TO, "ROLLBACK TO one_append")                                                         \
  X(HEAD, "SELECT position, recorded_at, hash FROM events ORDER BY position DESC LIMIT 1")         \
  X(POSITION_AFTER, "SELECT coalesce(min(position), 0) FROM events WHERE position > ?1")           \
  X(TIME_AT, "SELECT recorded_at FROM events WHERE position = ?1")                                 \
  X(NAME_FIND, "SELECT name_id FROM names WHERE kind = ?1 AND name = ?2")                          \
  X(NAME_ADD, "INSERT INTO names (name_id, kind, name)"                                            \
              " VALUES ((SELECT coalesce(max(name_id), 0) + 1 FROM names), ?1, ?2)")               \
  X(NAME_GET, "SELECT kind, name FROM names WHERE name_id = ?1")                                   \
  X(STREAM_FIND, "SELECT stream_id, (SELECT coalesce(max(version), 0) FROM events e"               \
                 " WHERE e.stream_id = s.stream_id) FROM streams s"                                \
                 " WHERE tenant = ?1 AND type = ?2 AND aggregate_id = ?3")                         \
  X(STREAM_TO_READ, "SELECT stream_id, (SELECT coalesce(max(version), 0) FROM events e"            \
                    " WHERE e.stream_id = s.stream_id), EXISTS (SELECT 1 FROM snapshots n"         \
                    " WHERE n.stream_id = s.stream_id) FROM streams s"                             \
                    " WHERE tenant = ?1 AND type = ?2 AND aggregate_id = ?3")                      \
  X(STREAM_ADD, "INSERT INTO streams (stream_id, tenant, type, aggregate_id)"                      \
                " VALUES ((SELECT coalesce(max(stream_id), 0) + 1 FROM streams), ?1, ?2, ?3)")     \
  X(STREAM_GET, "SELECT tenant, type, aggregate_id FROM streams WHERE stream_id = ?1")             \
  X(EVENT_ADD, ES__SQLITE_INSERT ES__SQLITE_ROW)                                                   \
  X(EVENTS_ADD, ES__SQLITE_INSERT ES__SQLITE_ROWS)                                                 \
  X(EVENT_FIND, "SELECT position FROM events WHERE event_id = ?1")                                 \
  X(REPLY_FIND,                                                                                    \
    "SELECT reply_id, key, params_hash, first_position, event_count, created_at, body,"            \
    " checksum FROM replies WHERE key = ?1")                                                       \
  X(REPLY_LAST, "SELECT coalesce(max(reply_id), 0) FROM replies")                                  \
  X(REPLY_ADD, "INSERT INTO replies (reply_id, key, params_hash, first_position, event_count,"     \
               " created_at, body, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")             \
  X(HASHES, "SELECT position, hash FROM events WHERE position > ?1"                                \
            " ORDER BY position LIMIT ?2")                                                         \
  X(TILE_GET, "SELECT hashes FROM tiles WHERE tile = ?1")                                          \
  X(TILE_GROW, "UPDATE tiles SET hashes = ?2 WHERE tile = ?1")                                     \
  X(TILE_ADD, "INSERT INTO tiles (tile, hashes) VALUES (?1, ?2)")                                  \
  X(TREE_SIZE, "SELECT tile, length(hashes) FROM tiles WHERE tile < (1 << 48)"                     \
               " ORDER BY tile DESC LIMIT 1")                                                      \
  X(CHECKPOINT_GET, "SELECT size, note, checkpoint_id FROM checkpoints"                            \
                    " INDEXED BY checkpoints_by_size WHERE (size, checkpoint_id) <= (?1, ?2)"      \
                    " ORDER BY size DESC, checkpoint_id DESC LIMIT 1")                             \
  X(CHECKPOINT_LAST, "SELECT coalesce(max(checkpoint_id), 0) FROM checkpoints")                    \
  X(CHECKPOINT_ADD, "INSERT INTO checkpoints (checkpoint_id, size, note, checksum)"                \
                    " VALUES (?1, ?2, ?3, ?4)")                                                    \
  X(SNAPSHOT_FIND, "SELECT " ES__SNAPSHOT_COLUMNS " FROM snapshots"                                \
                   " WHERE stream_id = ?1 AND version <= ?2 ORDER BY version DESC")                \
  X(SNAPSHOT_NEXT, "SELECT " ES__SNAPSHOT_COLUMNS " FROM snapshots"                                \
                   " WHERE (stream_id, version) > (?1, ?2) AND stream_id <= ?3"                    \
                   " ORDER BY stream_id, version LIMIT 1")                                         \
  X(SNAPSHOT_EVENT, "SELECT position, hash, event_id, recorded_at FROM events"                     \
                    " WHERE stream_id = ?1 AND version = ?2")                                      \
  X(SNAPSHOT_ADD, "INSERT OR REPLACE INTO snapshots (" ES__SNAPSHOT_COLUMNS ")"                    \
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")                             \
  X(SNAPSHOT_PRUNE,                                                                                \
    "DELETE FROM snapshots WHERE stream_id = ?1 AND (version > ?2 OR version <"                    \
    " coalesce((SELECT version FROM snapshots WHERE stream_id = ?1 AND version <= ?2"              \
    " ORDER BY version DESC LIMIT 1 OFFSET ?3), 0))")                                              \
  X(SNAPSHOT_DROP, "DELETE FROM snapshots WHERE stream_id = ?1")                                   \
  X(SNAPSHOT_DROP_ALL, "DELETE FROM snapshots")                                                    \
  X(SEGMENT_FIND, "SELECT first, last, file, folder, sha256, file_bytes, text_bytes, created_at,"  \
                  " frames, checksum FROM segments WHERE first <= ?1 ORDER BY first DESC LIMIT 1") \
  X(SEGMENT_NEXT, "SELECT first, last, file, folder, sha256, file_bytes, text_bytes, created_at,"  \
                  " frames, checksum FROM segments WHERE first > ?1 ORDER BY first LIMIT 1")       \
  X(SEGMENT_ADD,                                                                                   \
    "INSERT INTO segments (first, last, file, folder, sha256, file_bytes, text_bytes,"             \
    " created_at, frames, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")             \
  X(TEXTS_REPLACE, "UPDATE events SET data = ?2, metadata = ?3 WHERE position = ?1")               \
  X(TEXTS_NEXT, "SELECT position FROM events NOT INDEXED WHERE position > ?1 AND position <= ?2"   \
                " AND length(CAST(data AS BLOB)) + length(CAST(metadata AS BLOB)) > 88"            \
                " ORDER BY position LIMIT 1")

typedef enum es_statement {
#define ES_STATEMENT_ENUM(constant, sql) ES_SQL_##constant,
  ES_SQLITE_STATEMENTS(ES_STATEMENT_ENUM)
#undef ES_STATEMENT_ENUM
      ES_STATEMENT_COUNT
} es_statement;

/* Names and streams never change once committed, so a slot holds until a rollback or a check clears all. */
typedef struct es_name_slot {
  int64_t name_id; /* 0: empty */
  int kind;
  size_t length;
  char name[ES_ID_MAX];
} es_name_slot;

typedef struct es_stream_slot {
  int64_t stream_id; /* 0: empty */
  int64_t tenant;
  int64_t type;
  size_t length;
  char aggregate_id[ES_ID_MAX];
} es_stream_slot;

typedef struct es_sqlite_page es_sqlite_page;
typedef struct es_sqlite_archive es_sqlite_archive;

typedef struct es_sqlite {
  es_store base;
  sqlite3 *db;
  char *path;
  bool read_only;
  int64_t lock_timeout_ms;
  es_queue *queue;    /* NULL when read only */
  bool in_group;      /* between begin and commit */
  bool group_lost;    /* a failure made SQLite roll the whole group back */
  es_store_head head; /* of the transaction at hand */
  bool names_written; /* in this transaction: undoing it empties the caches */
  sqlite3_stmt *statements[ES_STATEMENT_COUNT];
  struct {
    uint32_t shape; /* sqlite_read.c's; 0: empty */
    sqlite3_stmt *statement;
  } reads[ES__SQLITE_READ_SHAPES];
  size_t next_read;
  es_name_slot *names_by_id;   /* ES__SQLITE_CACHE_SLOTS, direct-mapped */
  es_name_slot *names_by_text; /* the same */
  es_stream_slot *streams;     /* the same */
  es_sqlite_page *spare_page;  /* of a closed cursor, for the next */
  es_sqlite_archive *archive;  /* NULL until a segment is looked for */
} es_sqlite;

/* sqlite_fail.c. The failure of a call that returned `rc`: path, what was being done, SQLite's words, and how to mend it. */
es_status es__sqlite_fail(es_sqlite *store, int rc, const char *doing, es_error *err);
/* Damage met while working: ES_ERR_INTEGRITY at a position (0: none). */
es_status es__sqlite_damage(es_sqlite *store, int64_t position, const char *code, es_error *err,
                            const char *format, ...) ES_PRINTF(5, 6);
/* What became of an insert of `rows` rows whose step gave `rc`; to be asked right after it. A trigger that is not esrun's can
 * swallow rows without an error: ES_ERR_INTEGRITY. */
es_status es__sqlite_inserted(es_sqlite *store, int rc, size_t rows, const char *doing,
                              es_error *err);
/* sqlite.c. */
es_status es__sqlite_statement(sqlite3_stmt **out, es_sqlite *store, es_statement which,
                               es_error *err);
/* Refuses what is no regular file: SQLite would wait for a FIFO. */
es_status es__sqlite_check_kind(const char *path, const struct stat *found, es_error *err);
/* Steps a statement that gives no rows, and resets it. */
es_status es__sqlite_run(es_sqlite *store, es_statement which, const char *doing, es_error *err);
/* Runs SQL that gives at most one row with one value; *text (may be NULL) is that value, "" for no row. */
int es__sqlite_ask(sqlite3 *db, const char *sql, char *text, size_t size);
int64_t es__sqlite_ask_integer(sqlite3 *db, const char *sql, int64_t fallback);
/* For reading that meets each page once: a large cache would keep nothing that is asked for again, and a small one stays in the
 * processor's. */
void es__sqlite_small_cache(es_sqlite *store, bool small);
bool es__sqlite_blob(uint8_t *out, sqlite3_stmt *statement, int column, size_t length);
es_text es__sqlite_text(sqlite3_stmt *statement, int column);

/* sqlite_schema.c */
es_status es__sqlite_migrate(es_sqlite *store, es_id_source *ids, es_error *err);
int es__sqlite_schema_version(void);
/* Lets an older file be read as it is, once its pragmas are set. */
es_status es__sqlite_stand_in(es_sqlite *store, es_error *err);
es_status es__sqlite_load_identity(es_sqlite *store, es_error *err);
es_status es__sqlite_check_identity(es_sqlite *store, es_store_finding finding, void *data,
                                    es_error *err);
es_status es__sqlite_check_schema(es_sqlite *store, es_store_finding finding, void *data,
                                  es_error *err);

/* sqlite_names.c. A name that is not there has id -1; none has ES__SQLITE_NONE. */
es_status es__sqlite_name_find(int64_t *out, es_sqlite *store, es_name_kind kind, es_text name,
                               es_error *err);
es_status es__sqlite_name_intern(int64_t *out, es_sqlite *store, es_name_kind kind, es_text name,
                                 es_error *err);
/* The text of a name id, valid until the next call; ES_ERR_INTEGRITY names `position` when there is none. */
es_status es__sqlite_name_get(es_text *out, es_sqlite *store, es_name_kind kind, int64_t name_id,
                              int64_t position, es_error *err);
/* The name will be asked for in a moment: lets the processor fetch it meanwhile. */
static inline void es__sqlite_expect_name(const es_sqlite *store, int64_t name_id) {
  const es_name_slot *slot = &store->names_by_id[(uint64_t)name_id % ES__SQLITE_CACHE_SLOTS];
  __builtin_prefetch(slot);
  __builtin_prefetch(slot->name + 16);
}
es_status es__sqlite_stream_get(const es_stream_slot **out, es_sqlite *store, int64_t stream_id,
                                int64_t position, es_error *err);
/* stream_id 0 and version 0 when there is none. */
es_status es__sqlite_stream_find(int64_t *stream_id, int64_t *version, es_sqlite *store,
                                 const es_stream_name *name, es_error *err);
/* The same, and in the same look whether it has snapshots, which who folds it would else have to ask for. */
es_status es__sqlite_stream_to_read(int64_t *stream_id, int64_t *version, bool *has_snapshots,
                                    es_sqlite *store, const es_stream_name *name, es_error *err);
void es__sqlite_forget_names(es_sqlite *store);

/* sqlite_streams.c */
es_status es__sqlite_streams(es_store *base, const char *aggregate_type,
                             es_status (*each)(void *data, const es_stream_name *, int64_t version,
                                               es_error *err),
                             void *data, es_error *err);

/* sqlite_append.c */
es_status es__sqlite_append(es_store *base, es_commit *commit, es_error *err);
es_status es__sqlite_begin(es_store *base, es_error *err);
es_status es__sqlite_commit(es_store *base, es_error *err);
void es__sqlite_rollback(es_store *base);
es_status es__sqlite_head(es_store_head *out, es_store *base, es_error *err);
es_status es__sqlite_stream_version(int64_t *out, es_store *base, const es_stream_name *stream,
                                    es_error *err);

/* sqlite_reply.c */
es_status es__sqlite_find_reply(bool *found, es_reply_record *out, es_store *base,
                                const uint8_t key[ES_STORE_KEY_SIZE], es_error *err);
es_status es__sqlite_add_reply(es_sqlite *store, const es_commit *commit, es_error *err);
es_status es__sqlite_check_replies(es_sqlite *store, es_store_finding finding, void *data,
                                   es_error *err);

/* sqlite_select.c: which index a filter is answered by, and the statement that reads one page of it. Names and the stream
 * are resolved once; a selection of something that is not stored is `nothing`. */
typedef struct es_selection {
  es_filter_terms terms;
  bool nothing;
  int64_t tenant, actor, event_type, aggregate_type,
      stream_id;           /* ids of the names in terms, where set */
  int64_t lowest, highest; /* positions still to read, both inclusive */
  int64_t last_version;    /* of one stream: read up to here */
  bool has_snapshots;      /* that stream */
} es_selection;

es_status es__sqlite_select(es_selection *out, es_sqlite *store, const es_filter *filter,
                            es_error *err);
/* The statement, bound, for at most `rows` events; reset by whoever stepped it. */
es_status es__sqlite_select_page(sqlite3_stmt **out, es_sqlite *store,
                                 const es_selection *selection, int64_t rows, es_error *err);

/* sqlite_read.c */
es_status es__sqlite_read(es_store_cursor **out, es_store *base, const es_filter *filter,
                          es_error *err);
es_status es__sqlite_next(const es_event **event, es_store_cursor *cursor, es_error *err);
void es__sqlite_cursor_close(es_store_cursor *cursor);
void es__sqlite_page_free(es_sqlite_page *page);

/* sqlite_backup.c */
es_status es__sqlite_backup(es_store *base, const char *path, es_progress progress,
                            void *progress_data, es_error *err);

/* sqlite_tree.c */
es_status es__sqlite_hashes(es_hash *out, size_t *count, es_store *base, int64_t after,
                            size_t capacity, es_error *err);
es_status es__sqlite_tree_size(int64_t *out, es_store *base, es_error *err);
es_status es__sqlite_tile(es_hash out[ES_TILE_WIDTH], int *width, es_store *base, int level,
                          int64_t index, es_error *err);
es_status es__sqlite_put_tile(es_store *base, int level, int64_t index, int width,
                              const es_hash *hashes, es_error *err);
es_status es__sqlite_checkpoint(es_store_checkpoint *out, es_store *base, int64_t up_to, int64_t id,
                                es_error *err);
es_status es__sqlite_add_checkpoint(es_store *base, int64_t size, es_text note, es_error *err);
es_status es__sqlite_check_checkpoints(es_sqlite *store, es_store_finding finding, void *data,
                                       es_error *err);
es_status es__sqlite_check_tile_count(es_sqlite *store, es_store_finding finding, void *data,
                                      es_error *err);

/* sqlite_snapshots.c */
es_status es__sqlite_add_snapshot(es_store *base, es_snapshot_record *record, es_error *err);
es_status es__sqlite_find_snapshot(bool *found, es_snapshot_record *out, es_store *base,
                                   const es_stream_name *stream, const es_snapshot_wish *wish,
                                   es_error *err);
es_status es__sqlite_next_snapshot(bool *found, es_snapshot_record *at, es_store *base,
                                   const es_stream_name *stream, es_error *err);
es_status es__sqlite_drop_snapshots(int64_t *count, es_store *base, const es_stream_name *stream,
                                    es_error *err);
es_status es__sqlite_check_snapshots(es_sqlite *store, es_store_finding finding, void *data,
                                     es_error *err);

/* sqlite_segments.c */
es_status es__sqlite_segments(es_store *base, es_segment_visitor visitor, void *data,
                              es_error *err);
es_status es__sqlite_add_segment(es_store *base, const es_segment *segment, es_error *err);
es_status es__sqlite_fetch(es_event *event, es_store *base, es_error *err);
es_status es__sqlite_replace_texts(es_store *base, int64_t position, es_text data, es_text metadata,
                                   es_error *err);
es_status es__sqlite_next_to_move(int64_t *out, es_store *base, int64_t after, int64_t to,
                                  es_error *err);
es_status es__sqlite_archive_folder(char **out, es_store *base, es_error *err);
es_status es__sqlite_look_in(es_store *base, const char *folder, es_error *err);
es_status es__sqlite_compact(es_store *base, es_error *err);
es_status es__sqlite_check_segments(es_sqlite *store, es_store_finding finding, void *data,
                                    es_error *err);
void es__sqlite_archive_forget(es_sqlite *store);
void es__sqlite_archive_free(es_sqlite *store);

/* What a row of events has in the place of names. */
typedef struct es_event_names {
  int64_t stream, tenant, type, event_type, actor;
} es_event_names;

/* Writes the names to *room, of at least 5 * ES_ID_MAX bytes, which moves on, and points the event to them. */
es_status es__sqlite_place_names(es_event *event, char **room, es_sqlite *store,
                                 const es_event_names *names, es_error *err);

/* sqlite_visit.c */
es_status es__sqlite_next_position(int64_t *out, es_store *base, int64_t after, es_error *err);
es_status es__sqlite_visit(es_store *base, int64_t after, int64_t to, es_sums *sums,
                           es_store_visitor visitor, void *data, es_error *err);

/* sqlite_index.c */
/* Adds an event's entries in the indexes. */
void es__sqlite_sum_event(es_sums *sums, const es_event *event, const es_event_names *names);
/* Takes the entries of one index; 0 … ES__SQLITE_EVENT_INDEXES - 1. Within a transaction. */
void es__sqlite_check_index(es_sqlite *store, int index, es_sums *sums, es_store_finding finding,
                            void *data);
es_status es__sqlite_compare_sums(es_store *base, const es_sums *sums, es_store_finding finding,
                                  void *data, es_error *err);

/* sqlite_check.c */
es_status es__sqlite_check(es_store *base, int part, es_sums *sums, es_store_finding finding,
                           void *data, es_error *err);
/* Runs one of SQLite's own checks and tells what it says. */
void es__sqlite_integrity_check(es_sqlite *store, const char *pragma, es_store_finding finding,
                                void *data);

#endif
