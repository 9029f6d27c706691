/* esrun.h: embed the esrun event sourcing runtime in a C program. This header is the manual.
 *
 * A program opens a runtime on a project (a folder with esrun.lua, aggregates/ and projections/), enters a
 * context that says who acts, executes commands, reads events and queries projections, and closes it:
 *
 *   es_error err = ES_ERROR_INIT;
 *   es_options options = ES_OPTIONS_INIT;
 *   es_runtime *rt = NULL;
 *   options.project_path = "examples/document";
 *   if (es_open(&rt, &options, &err) != ES_OK) { fprintf(stderr, "%s\n", err.message); return 1; }
 *
 * Conventions
 *   Status    Every call that can fail returns es_status; ES_OK is 0. Out parameters come first and are set to NULL or
 *             0 on failure. es_status_name() names a status; its number is also the exit status of the command line.
 *   Errors    es_error is owned by the caller and holds no pointers: copy it, reuse it, drop it. It may be NULL.
 *   Strings   are UTF-8, NUL-terminated where typed `const char *`, counted where typed es_text. An es_text with
 *             data == NULL is "none", which differs from the empty string.
 *   Memory    What a call hands out is freed by the named function; passing NULL to it is fine. Text handed out as
 *             `char *` is freed by es_free(). Views (es_event, es_text) say how long they live.
 *   Times     are int64_t microseconds since 1970-01-01T00:00:00Z; JSON and Lua see RFC 3339 UTC with six digits.
 *   Structs   of options, that callers fill, start with `size`; initialise them with their _INIT macro. Later versions can
 *             add members: those that lie behind `size` keep their defaults. A size of 0 is ES_ERR_USAGE "bad_size".
 *   NULL      is fine for options, for where a result goes and for any other pointer only where the call says so; else it is
 *             ES_ERR_USAGE, "no_options" or "missing_argument". Runtimes, cursors, replies and imports must be open ones.
 *   Threads   One runtime belongs to one thread at a time, at first the one that opened it; es_adopt() hands it over. A
 *             process may hold any number of runtimes; they share no state. Many processes and runtimes may open one
 *             store file.
 */
#ifndef ESRUN_H
#define ESRUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ES_VERSION_STRING "0.1.0"

#if defined(__GNUC__)
#define ES_API __attribute__((visibility("default")))
#define ES_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#else
#define ES_API
#define ES_PRINTF(format_at, first_at)
#endif

/* ---- Status and errors ------------------------------------------------------------------------------------- */

/* X(constant, number, name, meaning). The number is the command line's exit status too. */
#define ES_STATUS_TABLE(X)                                                                         \
  X(ES_OK, 0, "ok", "done")                                                                        \
  X(ES_ERR_OTHER, 1, "error", "something else went wrong")                                         \
  X(ES_ERR_USAGE, 2, "usage", "an unknown name, or a malformed parameter, option or setting")      \
  X(ES_ERR_CONFLICT, 3, "conflict", "the stream is not at the expected version")                   \
  X(ES_ERR_REJECTED, 4, "rejected", "the domain refused the command")                              \
  X(ES_ERR_NOT_FOUND, 5, "not_found", "there is no such aggregate, event, projection or project")  \
  X(ES_ERR_INTEGRITY, 6, "integrity", "stored data is not what was stored")                        \
  X(ES_ERR_STORE, 7, "store", "the store cannot be opened, read or written")                       \
  X(ES_ERR_LUA, 8, "lua", "domain code failed, or ran out of time or memory")                      \
  X(ES_ERR_DENIED, 9, "denied", "no rule allows the actor to do this")

typedef enum es_status {
#define ES_STATUS_ENUM(constant, number, name, meaning) constant = number,
  ES_STATUS_TABLE(ES_STATUS_ENUM)
#undef ES_STATUS_ENUM
} es_status;

/* The short name of a status ("conflict"), never NULL. */
ES_API const char *es_status_name(es_status status);

enum { ES_ERROR_CODE_MAX = 64, ES_ERROR_MESSAGE_MAX = 1024, ES_ERROR_HINT_MAX = 512 };

/* What went wrong. `code` is a stable word for programs ("unknown_command", or a rejection's own code), `message` says
 * what, where and why, `hint` how to mend it (may be empty). The versions are set with ES_ERR_CONFLICT, else -1;
 * `position` is the event at hand, or 0. */
typedef struct es_error {
  es_status status;
  char code[ES_ERROR_CODE_MAX];
  char message[ES_ERROR_MESSAGE_MAX];
  char hint[ES_ERROR_HINT_MAX];
  int64_t expected_version;
  int64_t actual_version;
  int64_t position;
} es_error;

#define ES_ERROR_INIT                                                                              \
  { ES_OK, "", "", "", -1, -1, 0 }

/* Frees text handed out by this library as `char *`. */
ES_API void es_free(void *text);

/* ---- Events ------------------------------------------------------------------------------------------------ */

/* A counted piece of UTF-8 that somebody else owns. data == NULL is "none". */
typedef struct es_text {
  const char *data;
  size_t length;
} es_text;

enum { ES_ID_SIZE = 16, ES_ID_TEXT_SIZE = 37, ES_HASH_SIZE = 32, ES_TIME_TEXT_SIZE = 28 };

/* One event as stored. A view: its pointers live until the cursor or reply that handed it out moves on or is freed.
 * `data` and `metadata` are the exact canonical JSON that was hashed. */
typedef struct es_event {
  int64_t position; /* place in the store, from 1, no gaps */
  uint8_t event_id[ES_ID_SIZE];
  es_text tenant_id; /* none: belongs to no tenant */
  es_text aggregate_type;
  es_text aggregate_id;
  int64_t version; /* place in the stream, from 1, no gaps */
  es_text event_type;
  int64_t schema_version; /* of `data`, from 1 */
  es_text actor_id;       /* none differs from "anonymous" */
  uint8_t correlation_id[ES_ID_SIZE];
  bool has_causation;
  uint8_t causation_id[ES_ID_SIZE]; /* meaningful if has_causation */
  int64_t occurred_at;              /* microseconds: when it was decided */
  int64_t recorded_at; /* microseconds: when it was stored; never decreases with position */
  es_text data;        /* canonical JSON object */
  es_text metadata;    /* canonical JSON object */
  uint8_t previous_hash[ES_HASH_SIZE]; /* all zero for position 1, written GENESIS outside */
  uint8_t hash[ES_HASH_SIZE];
} es_event;

typedef enum es_event_form {
  ES_FORM_LOG, /* data and metadata nested: for people and programs that read */
  ES_FORM_EXPORT /* data and metadata as JSON strings of the exact bytes: the chain can be recomputed from it */
} es_event_form;

/* The event as one line of JSON without newline; the caller frees it with es_free(). length may be NULL. */
ES_API es_status es_event_json(char **out, size_t *length, const es_event *event,
                               es_event_form form, es_error *err);

/* Text forms. `out` holds ES_ID_TEXT_SIZE or ES_TIME_TEXT_SIZE bytes; parsing returns false on anything malformed.
 * es_time_parse takes RFC 3339 with `Z` or an offset and up to six digits of fraction, or a date alone (its midnight UTC). */
ES_API void es_id_text(char out[ES_ID_TEXT_SIZE], const uint8_t id[ES_ID_SIZE]);
ES_API bool es_id_parse(uint8_t out[ES_ID_SIZE], const char *text);
/* A new UUIDv7 by the system's clock, for aggregates' ids: ordered by time, which keeps indexes local. */
ES_API void es_id_make(uint8_t out[ES_ID_SIZE]);
ES_API void es_time_text(char out[ES_TIME_TEXT_SIZE], int64_t time_us);
ES_API bool es_time_parse(int64_t *out_us, const char *text);

/* ---- Actors ------------------------------------------------------------------------------------------------ */

/* Kinds of actor id: the word before the colon. Other prefixes are refused unless the project allows them. */
#define ES_ACTOR_TABLE(X)                                                                          \
  X("user", "a person: user:{uuid} or user:{username}")                                            \
  X("service", "a service account: service:{name}")                                                \
  X("api", "an API key: api:{key_id}")                                                             \
  X("system", "a background process: system:{process}")                                            \
  X("cron", "a scheduled job: cron:{job}")                                                         \
  X("webhook", "an external system calling in: webhook:{source}")                                  \
  X("import", "a data import: import:{source}")

/* What an actor id may be. `prefixes` is a NULL-terminated list beside the built-in kinds, or NULL. */
typedef struct es_actor_policy {
  const char *const *prefixes;
  bool allow_at_sign; /* ids with '@' are refused as personal data unless set */
} es_actor_policy;

/* Checks an actor id: "anonymous", or PREFIX:NAME of at most 255 bytes without spaces or control characters. On
 * success *kind (may be NULL) is the prefix, counted, inside `actor_id`. policy may be NULL for the default. */
ES_API es_status es_actor_parse(es_text *kind, const char *actor_id, const es_actor_policy *policy,
                                es_error *err);

/* ---- Opening and closing ----------------------------------------------------------------------------------- */

typedef struct es_runtime es_runtime;

typedef enum es_log_level { ES_LOG_DEBUG, ES_LOG_INFO, ES_LOG_WARNING, ES_LOG_ERROR } es_log_level;

/* A domain module as text: `path` is the name of the file that it stands for, aggregates/NAME.lua, projections/NAME.lua or
 * lib/NAME.lua (which the others can require), and appears in messages. */
typedef struct es_module_source {
  const char *path;
  const char *text; /* Lua source; bytecode is refused */
  size_t length;    /* 0: up to the NUL */
} es_module_source;

typedef struct es_options {
  size_t size;
  const char
      *project_path; /* folder that holds esrun.lua; NULL: no project, only the shipped modules */
  const char *
      store_path; /* SQLite file, or ":memory:"; NULL: as esrun.lua says, else esrun.db in the project */
  bool read_only;                     /* refuse to write; the file must exist */
  bool must_exist;                    /* do not create the store file */
  int64_t (*clock)(void *clock_data); /* microseconds since the epoch; NULL: the system's clock */
  void *clock_data;
  void (*random)(void *random_data, uint8_t *out, size_t length); /* for ids; NULL: the system's */
  void *random_data;
  /* One structured record: `json` is an object that carries the message and the context (actor, tenant, request,
   * correlation). Valid during the call. NULL: no log. */
  void (*log)(void *log_data, es_log_level level, const char *json, size_t length);
  void *log_data;
  int64_t
      time_limit_ms; /* for one load, decision or batch of handlers; 0: as esrun.lua says, else 1000 */
  int64_t memory_limit_bytes; /* of one domain state; 0: as esrun.lua says, else 256 MiB */
  int limit_signal; /* signal that carries the time limit; 0: SIGRTMIN+3; -1: a count hook instead */
  int conflict_retries; /* how often a command without expected version is decided again, the last time with nobody else writing; 0: 10; -1: never */
  bool
      allow_nondeterminism; /* test door: gives domain code es.test_random() so that replay checks can be tested */
  /* Modules beside the project's, or instead of one; copied. With them and without a project there is no shipped
   * aggregate. One that does not compile is ES_ERR_LUA: the message begins with its path and line. */
  const es_module_source *modules;
  size_t module_count;
  /* The memory of domain states, which is most of what a runtime uses and what memory_limit_bytes counts. As in Lua: block
   * is NULL for a new one, new_size 0 frees (and returns NULL), NULL otherwise means that there is no memory. Called by the
   * thread that uses the runtime, never at the same time for one runtime; it may not call the runtime. NULL: the C library's.
   * What else the library allocates (settings, buffers, replies, read by es_free) is the C library's always; SQLite's and
   * OpenSSL's memory is set for the whole process: sqlite3_config(SQLITE_CONFIG_MALLOC), CRYPTO_set_mem_functions(). */
  void *(*allocate)(void *allocate_data, void *block, size_t old_size, size_t new_size);
  void *allocate_data;
  /* For tools that look at a whole project. Each module that cannot be read, does not compile or declares nothing right is told
   * here and left out, where es_open would fail with the first; a declaration is told of once for each entry that is wrong
   * (err->code "bad_declaration"). Modules of the library folders are compiled too, though nothing may require them, and the
   * SQL of projections is tried: each text that does not hold is told of ("bad_sql"), and the projection stays. `path` is "aggregates/x.lua", a folder that cannot be read, or "esrun.lua" for one that is not there. */
  void (*failed_module)(void *failed_module_data, const char *path, const es_error *err);
  void *failed_module_data;
} es_options;

#define ES_OPTIONS_INIT                                                                            \
  { .size = sizeof(es_options) }

/* Opens the project's modules and its store (created when missing). *out is closed with es_close(). `options` that are NULL,
 * a limit below 0 and modules without texts are ES_ERR_USAGE. */
ES_API es_status es_open(es_runtime **out, const es_options *options, es_error *err);

/* Reads the modules anew, loads and checks them in a new domain state, and puts them in force only if all of that
 * succeeds: after an error the old ones are. *changed (may be NULL) says whether any text differs. A projection whose
 * module changed then asks to be rebuilt; in an in-memory store projections start anew. esrun.lua is not read again. Not
 * inside a transaction, a command or a callback, nor while an import is open. */
ES_API es_status es_reload(bool *changed, es_runtime *rt, es_error *err);

/* Closes a runtime and everything it opened. NULL is fine. Cursors must be closed before. */
ES_API void es_close(es_runtime *rt);

/* Makes the calling thread the one that the runtime, its cursors and imports belong to. The thread before must have finished
 * with it, in a way that the program synchronises (a queue, a mutex, joining): nothing is locked here. A debug build of the
 * library answers other threads' calls with ES_ERR_USAGE "wrong_thread"; where a function has no status it does nothing, so that
 * es_close() leaves the runtime open, and hands a record with that code to `log`, from the calling thread. Other builds do not
 * look. */
ES_API void es_adopt(es_runtime *rt);

/* The nearest folder from `start` (NULL: the current one) upward that holds esrun.lua; *out is freed with es_free(). */
ES_API es_status es_project_find(char **out, const char *start, es_error *err);

/* Facts as one JSON object, freed with es_free():
 *   es_describe  the modules: aggregates (commands, params, events), projections (tables, queries), with hashes
 *   es_config    the effective settings and where each comes from
 *   es_info      the store: id, path, events, head hash, signed_position (how many events the newest checkpoint covers),
 *                versions of libraries, pragmas read back */
ES_API es_status es_describe(char **out, es_runtime *rt, es_error *err);
ES_API es_status es_config(char **out, es_runtime *rt, es_error *err);
ES_API es_status es_info(char **out, es_runtime *rt, es_error *err);

/* What es_config would tell of a runtime opened with `options`, without opening its store or loading its modules: neither
 * needs to be there. The store is null when none is named. */
ES_API es_status es_project_settings(char **out, const es_options *options, es_error *err);

/* ---- Context: who is acting -------------------------------------------------------------------------------- */

/* Set a frame's text to ES_NONE to have none, to NULL to inherit. Only its address counts. */
ES_API extern const char es_none[];
#define ES_NONE es_none

/* One frame. Unset members inherit from the frame below, with one exception: roles, permissions and the
 * authentication facts (auth_method, token_id, session_id, mfa_verified, os_user in metadata) belong to the actor, so a frame
 * that names an actor, or ES_NONE, starts without them. `operator_scope` is never inherited. The runtime copies
 * everything. */
typedef struct es_frame {
  size_t size;
  const char *actor_id;
  const char *tenant_id;
  const char *request_id;     /* made when the outermost frame has none */
  const char *correlation_id; /* a UUID; made when the outermost command starts, if none */
  const char *causation_id;   /* a UUID */
  const char
      *metadata_json; /* a JSON object whose members replace inherited ones; null removes one */
  const char *const *roles; /* NULL inherits (or starts empty, see above) */
  size_t role_count;
  const char *const *permissions;
  size_t permission_count;
  bool operator_scope; /* may read across tenants and past `view` rules */
} es_frame;

#define ES_FRAME_INIT                                                                              \
  { .size = sizeof(es_frame) }

typedef struct es_token {
  uint64_t serial;
} es_token;

/* Enters a frame; *out is needed to leave it. Refuses malformed ids, unknown actor kinds, metadata that is not an
 * object of scalars and names beginning with '$'. Frames are entered and left outside of commands: a callback (the clock,
 * the log) is refused with "nested_command", and a command keeps the context that it began with. */
ES_API es_status es_context_enter(es_token *out, es_runtime *rt, const es_frame *frame,
                                  es_error *err);

/* Leaves the innermost frame. A token of any other frame is an error and changes nothing. */
ES_API es_status es_context_leave(es_runtime *rt, es_token token, es_error *err);

/* Number of frames now; 0 at the start. A host checks it after each piece of work: a leak is an error. */
ES_API size_t es_context_depth(const es_runtime *rt);

/* The context in force as a JSON object (actor_id, tenant_id, request_id, correlation_id, causation_id, roles,
 * permissions, metadata, depth); free with es_free(). */
ES_API es_status es_context_json(char **out, const es_runtime *rt, es_error *err);

/* Snapshots, for schedulers: capture what is in force, and later make it (or NULL: an empty stack) the whole stack of
 * this runtime. es_context_swap returns in *out what was in force before (NULL out drops it). Snapshots are immutable and
 * counted; each is released once. A frame entered in one stack cannot be left in another. */
typedef struct es_context es_context;
ES_API es_context *es_context_capture(es_runtime *rt);
ES_API void es_context_swap(es_context **out, es_runtime *rt, const es_context *context);
ES_API void es_context_release(es_context *context);

/* ---- Commands ---------------------------------------------------------------------------------------------- */

enum { ES_ANY_VERSION = -1 };

typedef struct es_command {
  size_t size;
  const char *aggregate_type;
  const char *aggregate_id;
  const char *command;
  const char *params_json; /* a JSON object; NULL: {} */
  size_t params_length;    /* 0: up to the NUL */
  int64_t
      expected_version; /* ES_ANY_VERSION, or the version the stream must have (0: must not exist) */
  const char *idempotency_key; /* NULL: none. At most 255 bytes */
  bool dry_run;                /* decide and report, store nothing */
} es_command;

#define ES_COMMAND_INIT                                                                            \
  { .size = sizeof(es_command), .expected_version = ES_ANY_VERSION }

/* Holds copies: it belongs to no thread, and outlives its runtime. */
typedef struct es_reply es_reply;

/* Executes a command under the context in force, all or nothing, durable on ES_OK.
 *   ES_ERR_USAGE     unknown aggregate or command, malformed or mistyped parameters, key reused for something else
 *   ES_ERR_NOT_FOUND the aggregate must exist and does not   ES_ERR_DENIED    no rule allows it (recorded in $audit)
 *   ES_ERR_REJECTED  the domain refused (recorded in $audit) ES_ERR_CONFLICT  another writer was first
 *   ES_ERR_LUA       domain code failed: no event of it is stored (that it failed is, in $audit)   ES_ERR_STORE     the store failed: nothing is stored */
ES_API es_status es_execute(es_reply **out, es_runtime *rt, const es_command *command,
                            es_error *err);

ES_API int64_t es_reply_version(const es_reply *reply); /* the stream's version afterwards */
ES_API size_t es_reply_count(const es_reply *reply);    /* events appended */
ES_API const es_event *es_reply_event(const es_reply *reply,
                                      size_t index); /* lives as long as the reply */
ES_API bool
es_reply_replayed(const es_reply *reply); /* an earlier reply, found by its idempotency key */
/* aggregate_type, aggregate_id, version, positions, events, correlation_id, replayed; free with es_free(). */
ES_API es_status es_reply_json(char **out, const es_reply *reply, es_error *err);
ES_API void es_reply_free(es_reply *reply);

/* Several commands in one transaction: nothing between begin and commit is durable or seen by others until
 * es_transaction_commit() returns ES_OK; a command that fails leaves the others in place, unless the store failed: then the
 * commit says "transaction_lost". */
ES_API es_status es_transaction_begin(es_runtime *rt, es_error *err);
ES_API es_status es_transaction_commit(es_runtime *rt, es_error *err);
ES_API void es_transaction_rollback(es_runtime *rt);

/* ---- Appending without a command: the door of trusted code ----------------------------------------------------- */

typedef enum es_append_flags {
  ES_APPEND_KEEP =
      1, /* everything is taken as it comes, also recorded_at, and none means none: imports of an export */
  ES_APPEND_UNCHECKED = 2 /* no module is asked; data and metadata must be canonical JSON already */
} es_append_flags;

/* Appends events that no command decided: an import, or what a test is given. No rule is asked and nothing is decided, so
 * only code that may be trusted with that should call it. All or nothing, durable on ES_OK (inside a transaction: with
 * it). At most 10,000 events, of any streams, in order.
 *
 * In: aggregate_type, aggregate_id, event_type, data. What is zero or none is filled in: event_id, occurred_at, and from
 * the context tenant_id, actor_id, correlation_id and causation (unless ES_APPEND_KEEP); schema_version is the declared
 * one, metadata {}. A version that is given must be the stream's next. recorded_at is the time of the call, with
 * ES_APPEND_KEEP the event's; it may not go back. Events of another tenant than the context's need operator scope.
 *
 * Unless ES_APPEND_UNCHECKED, a module must declare the event and its data must fit: data of an older schema version is
 * brought up to date for the check and stored as it is. Data and metadata become canonical JSON.
 *
 * Out: what was stored, in the same structs, unchanged on failure; their texts live until the next call on this runtime.
 *   ES_ERR_USAGE     malformed or undeclared: *err names the event by its number   ES_ERR_DENIED   another tenant's
 *   ES_ERR_CONFLICT  "version_conflict", "duplicate_event_id"                      ES_ERR_STORE    nothing is stored */
ES_API es_status es_append(es_runtime *rt, es_event *events, size_t count, unsigned flags,
                           es_error *err);

/* ---- Reading ----------------------------------------------------------------------------------------------- */

/* An aggregate's state begins with the newest snapshot that fits (see below), if there is one, and folds the events behind it: for
 * es_load() and for commands. */
typedef struct es_load_options {
  size_t size;
  int64_t at_version; /* 0: the newest */
  int64_t at_time;    /* microseconds of recorded_at; 0: now */
} es_load_options;

#define ES_LOAD_INIT                                                                               \
  { .size = sizeof(es_load_options) }

/* An aggregate's state, folded from its events, as one JSON object, freed with es_free():
 * aggregate_type, aggregate_id, tenant_id, version, exists, state, state_hash, last_event_at. A missing stream is
 * ES_ERR_NOT_FOUND; a `view` rule of the aggregate that refuses is ES_ERR_DENIED. options may be NULL. */
ES_API es_status es_load(char **out, es_runtime *rt, const char *aggregate_type,
                         const char *aggregate_id, const es_load_options *options, es_error *err);

/* Which events to read. Unset members do not filter. All strings are copied. Without operator scope only the
 * context's tenant is seen, whatever `tenant_id` says; with it, NULL means every tenant and ES_NONE those without. */
typedef struct es_filter {
  size_t size;
  const char *tenant_id;
  const char *actor_id; /* ES_NONE: events without actor */
  const char *event_type;
  const char *aggregate_type;
  const char *aggregate_id;
  const char *event_id;       /* a UUID */
  const char *correlation_id; /* a UUID */
  const char *causation_id;   /* a UUID; ES_NONE: events without cause */
  int64_t from_time;          /* recorded_at >= */
  int64_t to_time;            /* recorded_at <  ; 0: no bound */
  int64_t after_position;     /* exclusive; in reverse: only below it, 0: from the end */
  int64_t from_version;       /* version >= */
  int64_t to_version;         /* version <= ; 0: no bound */
  int64_t limit;              /* 0: no limit */
  bool reverse;
} es_filter;

#define ES_FILTER_INIT                                                                             \
  { .size = sizeof(es_filter) }

typedef struct es_cursor es_cursor;

/* Reads events in order of position, in constant memory, however many there are. filter may be NULL. */
ES_API es_status es_read(es_cursor **out, es_runtime *rt, const es_filter *filter, es_error *err);
/* *event is the next one, or NULL at the end; it lives until the next call on this cursor. */
ES_API es_status es_cursor_next(const es_event **event, es_cursor *cursor, es_error *err);
ES_API void es_cursor_close(es_cursor *cursor);

/* ---- Projections ------------------------------------------------------------------------------------------- */

/* Called now and then during long work; returning false stops it cleanly between transactions. */
typedef bool (*es_progress)(void *data, int64_t done, int64_t total);

/* Runs one projection (NULL: all) up to the store's head. A handler that fails stops its projection: the event is named in
 * *err (the others still run, the first error is returned). What `progress` stopped is ES_ERR_OTHER "stopped". */
ES_API es_status es_project(es_runtime *rt, const char *name, es_progress progress,
                            void *progress_data, es_error *err);

/* Builds a new generation of a projection from the first event; it takes over once it has caught up. */
ES_API es_status es_project_rebuild(es_runtime *rt, const char *name, es_progress progress,
                                    void *progress_data, es_error *err);

/* A JSON array of objects: name, state (running, stopped, rebuild, new), position, head, behind, generation, error.
 * Free with es_free(). */
ES_API es_status es_project_status(char **out, es_runtime *rt, es_error *err);

/* Receives one row as a JSON object; returning false ends the query early. `row` is valid during the call. */
typedef bool (*es_row)(void *data, const char *row, size_t length);

/* Runs a projection's named query for the context's tenant. params_json is an object, NULL: {}. */
ES_API es_status es_query(es_runtime *rt, const char *projection, const char *query,
                          const char *params_json, es_row row, void *row_data, es_error *err);

/* ---- Snapshots --------------------------------------------------------------------------------------------- */

/* A snapshot is a state that was folded, kept beside the events so that loading a long stream begins there. It is derived: any may
 * be dropped, and only time is lost. It fits when it agrees with its checksum, the event that it ends with is in the stream with
 * the hash that it had, and it was folded by the module as it is now (its text, the library modules and this library's version);
 * others are passed over. Of a stream the newest three are kept. An aggregate that declares `snapshot` has them taken by
 * es_execute(), after the commit: what fails then is logged ("snapshot_failed"). Not inside a transaction or a command. */
typedef struct es_snapshot_report {
  uint8_t snapshot_id[ES_ID_SIZE]; /* UUIDv7 */
  int64_t version;                 /* of the stream, which it ends with */
  int64_t position;                /* of that event */
  uint8_t event_id[ES_ID_SIZE];    /* of that event: the snapshot is as of it */
  int64_t byte_count;              /* of the state's JSON */
} es_snapshot_report;

/* Takes one of the context's tenant's aggregate as it is now; one of the same version is replaced. A missing stream is
 * ES_ERR_NOT_FOUND; a state that would not come back as it is, ES_ERR_LUA with the path: "not_json", or "shared_table" for a table
 * that stands in it twice. */
ES_API es_status es_snapshot(es_snapshot_report *out, es_runtime *rt, const char *aggregate_type,
                             const char *aggregate_id, es_error *err);

typedef struct es_snapshot_options {
  size_t size;
  const char *aggregate_type; /* NULL: all */
  int64_t min_events; /* how many events a stream must have behind its newest that fits; 0: 1 */
  /* Told of each stream whose snapshot could not be taken, tenant_id NULL for none; the others are. May be NULL; may not call the
   * runtime. */
  void (*failed)(void *failed_data, const char *tenant_id, const char *aggregate_type,
                 const char *aggregate_id, const es_error *err);
  void *failed_data;
  es_progress progress; /* counts events; may be NULL */
  void *progress_data;
} es_snapshot_options;

#define ES_SNAPSHOT_INIT                                                                           \
  { .size = sizeof(es_snapshot_options) }

typedef struct es_snapshots_report {
  int64_t stream_count; /* looked at */
  int64_t taken_count;
  int64_t failed_count;
} es_snapshots_report;

/* Takes one of each stream of the context's tenant, or with operator scope of every tenant, that has enough events. Failures of
 * the domain's code are told and counted, and the first is returned at the end. options may be NULL. */
ES_API es_status es_snapshot_all(es_snapshots_report *out, es_runtime *rt,
                                 const es_snapshot_options *options, es_error *err);

/* Hands over each snapshot of one aggregate, or (type and id NULL) of the context's tenant, or with operator scope of every tenant,
 * as a JSON object: snapshot_id, tenant_id, aggregate_type, aggregate_id, version, position, event_id, created_at, bytes, `unfit`,
 * null or why nobody uses it, and `damaged`: whether the reason is more than another module. Returning false ends it. */
ES_API es_status es_snapshots(es_runtime *rt, const char *aggregate_type, const char *aggregate_id,
                              es_row row, void *row_data, es_error *err);

/* Takes away those of one aggregate, or (type and id NULL) all of the store, for which operator scope is needed: else
 * ES_ERR_DENIED. *count (may be NULL) says how many there were. */
ES_API es_status es_snapshots_drop(int64_t *count, es_runtime *rt, const char *aggregate_type,
                                   const char *aggregate_id, es_error *err);

/* ---- Checking ---------------------------------------------------------------------------------------------- */

/* One thing that is wrong. `kind` is a stable word: hash, previous_hash, position_gap, version_gap, time_order, stream,
 * name, index, reply, schema, page …; `position` is 0 where no single event is concerned. Valid during the call. */
typedef struct es_finding {
  const char *kind;
  int64_t position;
  const char *message;
  const char *
      fault; /* what was done to it: edited, missing, inserted, reordered, truncated, forked, rolled_back, foreign,
                        re_signed; damaged where it cannot be told */
} es_finding;

/* A signed checkpoint that somebody keeps where the store's file cannot be reached. */
typedef struct es_anchor {
  const char *name; /* for messages */
  const char *note;
} es_anchor;

typedef struct es_verify_options {
  size_t size;
  void (*finding)(void *data, const es_finding *finding); /* may be NULL */
  void *finding_data;
  es_progress progress; /* may be NULL */
  void *progress_data;
  const char *const *keys; /* verifier keys to trust, besides those that the signer's memory has */
  size_t key_count;
  const es_anchor *anchors;
  size_t anchor_count;
  const char *memory_path; /* the signer's memory: NULL: the user's own; "": do not look */
  int jobs;                /* threads that share the work; 0: 1 */
  bool since_checkpoint;   /* hash only the events after the newest checkpoint that holds */
} es_verify_options;

#define ES_VERIFY_INIT                                                                             \
  { .size = sizeof(es_verify_options) }

typedef struct es_verify_report {
  int64_t event_count;
  int64_t finding_count;
  uint8_t head_hash[ES_HASH_SIZE]; /* all zero for an empty store */
  int64_t verified_from; /* the first position that was hashed again; 1 unless since_checkpoint */
  int64_t
      anchored_to; /* up to here the signer's memory or an anchor agrees: nobody who writes the file alone can change it */
  int64_t
      signed_to; /* up to here a trusted key's signature in the store agrees: nobody without the key can; never less
                          than anchored_to. What comes after is only consistent in itself */
  int64_t
      unlinked_to; /* the newest checkpoint in the store of which no key signed the next one too. Up to
                            here only the later keys vouch that the events are those of then. 0: there is none */
  int64_t
      hashes_only_to; /* since_checkpoint: up to here a checkpoint agrees with the hashes as they are stored, and the
                            events' content was not looked at, so neither range above counts them; else 0 */
  char unknown_signer
      [280]; /* "NAME (key ID)" of who signed the store's newest checkpoint, when keys are known and this is none
                            of them; else "" */
  char unknown_anchor
      [440]; /* "ANCHOR, signed by NAME (key ID)" of the first anchor of which the same holds; else "". It
                            counts all the same: who keeps an anchor vouches for where it comes from */
  int64_t archived_count; /* events whose data and metadata are in segments (es_archive) */
  int64_t unseen_count;   /* of them: whose segment is not at hand. Their hashes hold, made of the
                             texts' hashes; the texts themselves were not looked at, so that both
                             ranges above vouch for no more than their hashes */
  int64_t unseen_from, unseen_to; /* the first and last position of these; 0: there are none */
} es_verify_report;

/* Recomputes every hash, link, version sequence and derived structure, compares the chain with the tree, and both with every
 * checkpoint known: those in the store, the signer's memory, the anchors. ES_ERR_INTEGRITY when anything was found. Both
 * ranges end before the first event that was found faulty. Segments that are at hand are read and compared with the hashes;
 * one that is damaged is a finding, one that is not at hand is counted. options may be NULL. */
ES_API es_status es_verify(es_verify_report *out, es_runtime *rt, const es_verify_options *options,
                           es_error *err);

typedef struct es_replay_options {
  size_t size;
  const char *aggregate_type; /* NULL: all */
  const char *aggregate_id;   /* NULL: all */
  bool check;                 /* fold twice in fresh states and compare */
  es_progress progress;
  void *progress_data;
} es_replay_options;

#define ES_REPLAY_INIT                                                                             \
  { .size = sizeof(es_replay_options) }

typedef struct es_replay_report {
  int64_t stream_count;
  int64_t event_count;
} es_replay_report;

/* Folds every stream of aggregates that a module declares, from its first event. With `check`, ES_ERR_INTEGRITY names the first
 * stream, version and path that differ between two replays, or between a snapshot that loading would use and what the events
 * say. options may be NULL. */
ES_API es_status es_replay(es_replay_report *out, es_runtime *rt, const es_replay_options *options,
                           es_error *err);

/* ---- The ledger as evidence -------------------------------------------------------------------------------- */

/* A key that signs: a file that es_keygen wrote, or its text. */
typedef struct es_signing_key {
  const char *path;       /* refused when others can read it */
  const char *text;       /* PRIVATE+KEY+…; used instead of path when set */
  const char *passphrase; /* of an encrypted key; else NULL */
} es_signing_key;

typedef struct es_keygen_options {
  size_t size;
  const char *name;       /* like a web address without scheme: example.com/ledger */
  const char *path;       /* made with mode 0600; an existing file is never overwritten */
  const char *passphrase; /* NULL: the key is written in the clear */
} es_keygen_options;

#define ES_KEYGEN_INIT                                                                             \
  { .size = sizeof(es_keygen_options) }

/* Makes an Ed25519 key. *vkey, freed with es_free(), is its public part in the form of C2SP's signed notes (NAME+ID+BASE64):
 * give it to everybody who shall check. */
ES_API es_status es_keygen(char **vkey, const es_keygen_options *options, es_error *err);
/* The public part of a key. */
ES_API es_status es_key_public(char **vkey, const es_signing_key *key, es_error *err);

typedef struct es_checkpoint_options {
  size_t size;
  const es_signing_key *keys; /* more than one while a key is being replaced: all sign */
  size_t key_count;
  const char
      *memory_path; /* folder of the signer's memory; NULL: the user's own; "": remember nothing */
  bool
      replace_lost_key; /* the key that signed last is gone, so that it cannot sign beside the new one */
  bool
      accept_rollback; /* what the signer and the anchors remember and the store lacks is gone for good: an older backup was
                          restored */
  /* Fills in the anchors that are known of the store with this id; false: nothing is signed ("no_evidence"). May be NULL; may
   * not call the runtime. What it fills in must last until the call returns. */
  bool (*consult)(void *consult_data, const char *store_id, es_verify_options *evidence);
  void *consult_data;
} es_checkpoint_options;

#define ES_CHECKPOINT_INIT                                                                         \
  { .size = sizeof(es_checkpoint_options) }

/* Signs the store's head: *note, freed with es_free(), is a C2SP checkpoint; a copy is kept in the store. The signer remembers
 * size and root outside the database and refuses (ES_ERR_INTEGRITY) what contradicts them or an anchor: "rollback", "fork", "foreign";
 * events that do not continue the chain, "damaged", are not signed either. Two signers take turns.
 *
 * A key that did not sign the last checkpoint signs only beside one that did, ES_ERR_USAGE "lost_key" otherwise, unless
 * replace_lost_key says that there is none; with accept_rollback a rollback or fork against the signer's memory or an anchor (not
 * against the store's own checkpoints) is let pass, and what was remembered is set aside. Each is an event in $audit that the checkpoint
 * covers: $KeyRotated, $KeyReplaced, $RollbackAccepted. */
ES_API es_status es_checkpoint(char **note, es_runtime *rt, const es_checkpoint_options *options,
                               es_error *err);

/* When a runtime signs checkpoints by itself. Both limits count from the newest checkpoint in the store, whichever process made
 * it; with both 0 only the end is signed. */
typedef struct es_checkpoint_policy {
  size_t size;
  int64_t events;             /* when so many events came after it; 0: not by number */
  int64_t seconds;            /* when the first event after it is so old; 0: not by time */
  const es_signing_key *keys; /* copied; read again for each checkpoint */
  size_t key_count;
  const char *memory_path; /* as in es_checkpoint_options */
  bool (*consult)(void *consult_data, const char *store_id,
                  es_verify_options *evidence); /* as there */
  void *consult_data;
  /* Gets each checkpoint to hand it on; may be NULL. It may not call the runtime. false: it could not, which is logged; the next
   * checkpoint, or the same one when the runtime is closed, is given again. */
  bool (*deliver)(void *deliver_data, const char *note);
  void *deliver_data;
} es_checkpoint_policy;

#define ES_CHECKPOINT_POLICY_INIT                                                                  \
  { .size = sizeof(es_checkpoint_policy) }

/* From now on this runtime signs a checkpoint after a commit when one is due, and in es_close() when it appended anything that
 * is not signed yet. Time is looked at with each commit: a runtime that only waits signs nothing. A checkpoint that fails or
 * is refused never touches what was appended: it is logged ("checkpoint_failed", with level error when refused for integrity)
 * and tried again when one would be due next. While another process signs nobody waits, but in es_close(). A change of keys
 * is never made by itself. policy NULL: no longer. ES_ERR_USAGE when a key cannot be read now. */
ES_API es_status es_checkpoint_every(es_runtime *rt, const es_checkpoint_policy *policy,
                                     es_error *err);

/* A detached RSA-PSS signature (SHA-256, MGF1 with SHA-256, the longest salt) over bytes, as `openssl dgst` checks it. The key
 * is a PEM, from a file that nobody else can read or as text. *signature and *public_key, a PEM, are freed with es_free(). */
ES_API es_status es_sign_detached(char **signature, size_t *signature_length, char **public_key,
                                  const es_signing_key *key, const void *bytes, size_t length,
                                  es_error *err);

typedef struct es_prove_options {
  size_t size;
  const char *event_id; /* prove that this event is in the tree, or … */
  int64_t from;         /* … that the tree continues the one of so many events */
  int64_t to;           /* the signed tree, by its size; 0: the newest */
} es_prove_options;

#define ES_PROVE_INIT                                                                              \
  { .size = sizeof(es_prove_options) }

/* *proof, freed with es_free(), is a file's text: c2sp.org/tlog-proof for an event, and for a tree the form in which
 * c2sp.org/tlog-witness takes checkpoints. */
ES_API es_status es_prove(char **proof, es_runtime *rt, const es_prove_options *options,
                          es_error *err);

typedef struct es_proof_check {
  size_t size;
  const char *proof;
  size_t proof_length;
  const char *const *keys; /* verifier keys, one of which must have signed */
  size_t key_count;
  const char *
      event_json; /* the event, as a line of an export; NULL: only what the proof says of it is checked */
  const char *older; /* for a proof between trees: the older signed checkpoint */
} es_proof_check;

#define ES_PROOF_CHECK_INIT                                                                        \
  { .size = sizeof(es_proof_check) }

/* Checks a proof without any store. *result, freed with es_free(), is a JSON object that says what was proved. Whatever does
 * not hold is ES_ERR_INTEGRITY; a key or event that is no such thing ES_ERR_USAGE. */
ES_API es_status es_verify_proof(char **result, const es_proof_check *check, es_error *err);

/* ---- Data in and out --------------------------------------------------------------------------------------- */

typedef enum es_import_form {
  ES_IMPORT_EXPORT, /* lines of ES_FORM_EXPORT: events as they were */
  ES_IMPORT_JSONL,  /* one JSON value a line, made into events by a mapping */
  ES_IMPORT_CSV /* RFC 4180 with a heading, one row an object of strings, made into events by a mapping */
} es_import_form;

/* How to import. All strings are copied.
 *
 * Without `append` lines of an export continue the chain: into an empty store they give the same ids, times, order, hashes
 * and head. Lines whose positions the store has already are compared by hash and skipped, so that a second run goes on
 * where the first one ended. With `append` events get new positions, recorded_at and hashes and keep everything else; the
 * old position, recorded_at and hash, and `name`, stand in their metadata as `$.import`. Versions go on with those of the
 * stream: a stream that has other content is a conflict. An event that is there already with this content is skipped.
 *
 * A mapping is the text of a Lua module that returns function map(row, ctx), run as domain code; ctx has name, row and
 * line. It returns nil for a row that is no event, one table, or a list of tables: aggregate_type, aggregate_id,
 * event_type, data, and if wanted actor_id (default import:NAME), occurred_at (default: now) and id, the row's key in its
 * source (default: its number). The event id is made from name and key, which makes importing again skip what is there.
 * Events belong to the context's tenant, must be declared and fit their schema. */
typedef struct es_import_options {
  size_t size;
  es_import_form form;
  bool append; /* lines of an export into a store that has other events; a mapping always appends */
  const char *name;         /* of the source; needed by a mapping */
  const char *mapping;      /* the module's text */
  const char *mapping_path; /* named in messages */
  int64_t group;            /* events a transaction, 1 to 10,000; 0: 4,000 */
} es_import_options;

#define ES_IMPORT_INIT                                                                             \
  { .size = sizeof(es_import_options) }

typedef struct es_import_report {
  int64_t line_count;     /* read so far */
  int64_t imported_count; /* events stored and durable */
  int64_t skipped_count;  /* events that were there already */
  int64_t ignored_count;  /* rows that the mapping made no event of */
} es_import_report;

typedef struct es_import es_import;

/* The door of trusted code: no rule is asked and actors are taken as they come. Closed before its runtime. */
ES_API es_status es_import_open(es_import **out, es_runtime *rt, const es_import_options *options,
                                es_error *err);

/* Takes the next bytes of the input, cut anywhere. Whenever a group is full it is stored in one transaction, by a thread of the
 * import's own while this one reads on; it has ended when the call returns, so that pieces of some MiB keep two processors
 * busy. The first thing wrong ends the import: *err names line, position and reason, nothing of that group is stored, what
 * was stored before stays, and every later call fails the same way. */
ES_API es_status es_import_feed(es_import *import, const char *bytes, size_t length, es_error *err);

/* The input ended: stores the last group. */
ES_API es_status es_import_finish(es_import *import, es_error *err);

ES_API void es_import_report_get(es_import_report *out, const es_import *import);
ES_API void es_import_close(es_import *import); /* NULL is fine; stores nothing */

/* A copy of the whole store, taken while others go on writing: made beside `path`, verified, and only then given that name.
 * Refuses a path that exists. Recorded in $audit as $BackupCreated under the context's actor, else system:backup. *out (may
 * be NULL) is what was verified. */
ES_API es_status es_backup(es_verify_report *out, es_runtime *rt, const char *path,
                           es_progress progress, void *progress_data, es_error *err);

/* ---- Archives: old data and metadata outside the store's file ---------------------------------------------------- */

typedef struct es_archive_options {
  size_t size;
  /* Exactly one says what moves: always the oldest events, without a gap */
  int64_t before_position; /* those before this position; 0: not by position */
  int64_t before_time;     /* those recorded before this, in microseconds; 0: not by time */
  int64_t keep_events;     /* all but the newest so many; -1: not by number */
  int64_t
      keep_bytes; /* all but the newest whose data and metadata are at most so many bytes together; -1: not by size */
  const char *folder;     /* where segments are written; NULL: STORE-archive, beside the store */
  int64_t segment_events; /* in a segment, at most; 0: 100,000 */
  bool dry_run;           /* only say what would move */
  es_progress progress;   /* counts events; may be NULL */
  void *progress_data;
} es_archive_options;

#define ES_ARCHIVE_INIT                                                                            \
  { .size = sizeof(es_archive_options), .keep_events = -1, .keep_bytes = -1 }

typedef struct es_archive_report {
  int64_t event_count;   /* events whose data and metadata moved, or would */
  int64_t first, last;   /* the lowest and highest of their positions; 0: none */
  int64_t text_bytes;    /* of their data and metadata */
  int64_t segment_count; /* segments written */
  int64_t file_bytes;    /* of them */
} es_archive_report;

/* Moves the data and metadata of old events into segments: files of the lines that an export has, compressed, which are written,
 * synced and read back before anything leaves the store. Everything else of the events stays, so that hashes, chain, tree and proofs hold
 * without a segment; reading an event fetches its data and metadata from its segment, and fails without it (ES_ERR_STORE
 * "segment_missing"). Nothing is ever deleted. An event whose hash does not fit ends it (ES_ERR_INTEGRITY "hash"). A segment and
 * what leaves the store for it are one transaction, in which $audit has $Archived, under the context's actor, else
 * system:archive; what `progress` stopped is ES_ERR_OTHER "stopped", and the segments before it stay. *out (may be NULL) is what
 * was done. The store's file does not shrink: es_compact. */
ES_API es_status es_archive(es_archive_report *out, es_runtime *rt,
                            const es_archive_options *options, es_error *err);

typedef struct es_unarchive_options {
  size_t size;
  int64_t from;         /* the first position; 0: 1 */
  int64_t to;           /* the last; 0: all */
  es_progress progress; /* counts events; may be NULL */
  void *progress_data;
} es_unarchive_options;

#define ES_UNARCHIVE_INIT                                                                          \
  { .size = sizeof(es_unarchive_options) }

/* Puts data and metadata of archived events back into the store, each compared with its hash. Their segments stay, and serve again
 * when the events are archived once more. In transactions of at most 10,000 events, each with $Unarchived in $audit. options and
 * out may be NULL. */
ES_API es_status es_unarchive(es_archive_report *out, es_runtime *rt,
                              const es_unarchive_options *options, es_error *err);

/* A JSON array of objects, in order of position: from, to, file, path (null: not at hand), folder (where it was written, when not
 * beside the store), sha256, file_bytes, text_bytes, created_at. Free with es_free(). */
ES_API es_status es_segments(char **out, es_runtime *rt, es_error *err);

/* Rewrites the store's file without the room that archived events left, which needs as much free disk again as the file then
 * has. ES_ERR_STORE "busy" while others use it; writers wait meanwhile. */
ES_API es_status es_compact(es_runtime *rt, es_error *err);

/* ---- Backups ------------------------------------------------------------------------------------------------ */

typedef struct es_restore_options {
  size_t size;
  const char *memory_path; /* the signer's memory: NULL: the user's own; "": do not look */
  bool accept_rollback;    /* restore a backup that is older than what was signed */
  /* Fills in the keys and anchors that are known of the store with this id; false fails the restore ("no_evidence"). May be
   * NULL. */
  bool (*consult)(void *data, const char *store_id, es_verify_options *evidence);
  void (*finding)(void *data, const es_finding *finding); /* what was found; may be NULL */
  void *data;
  bool accept_foreign; /* restore it where another store was signed for */
} es_restore_options;

#define ES_RESTORE_INIT                                                                            \
  { .size = sizeof(es_restore_options) }

/* Makes a verified copy of the backup `path` the store that es_open would open with `options`. A store that is there is never
 * overwritten. `restoring` and `out` may be NULL. A backup that is older than what the signer's memory or an anchor has is
 * ES_ERR_INTEGRITY "rollback", unless it is accepted; signing goes on refusing the store until es_checkpoint is told too. One of
 * another store than the signer's memory knows at this place is ES_ERR_INTEGRITY "foreign", unless that is accepted. */
ES_API es_status es_restore(es_verify_report *out, const char *path, const es_options *options,
                            const es_restore_options *restoring, es_error *err);

/* SHA-256 of some bytes. */
ES_API es_status es_sha256(uint8_t out[ES_HASH_SIZE], const void *bytes, size_t length,
                           es_error *err);

/* The layout of a store's file: its version, and the newest this library knows. */
typedef struct es_layout {
  int64_t version; /* 0: there is no store yet */
  int64_t known;
} es_layout;

/* Looks at the store that es_open would open, changing nothing. Opening it for writing brings it up to date. */
ES_API es_status es_store_layout(es_layout *out, const es_options *options, es_error *err);

#ifdef __cplusplus
}
#endif
#endif
