/* projection_parts: what the projection_*.c files share; nobody else includes it. */
#ifndef ES_ENGINE_PROJECTION_PARTS_H
#define ES_ENGINE_PROJECTION_PARTS_H

#include <sqlite3.h>

#include "base/error.h"
#include "engine/projection.h"
#include "json/value.h"

/* Declared types: X(constant, name). How they are kept is lua/es/projection_sql.lua's. */
#define ES_COLUMN_TABLE(X)                                                                         \
  X(ES_COLUMN_STRING, "string")                                                                    \
  X(ES_COLUMN_INTEGER, "integer")                                                                  \
  X(ES_COLUMN_NUMBER, "number")                                                                    \
  X(ES_COLUMN_BOOLEAN, "boolean")                                                                  \
  X(ES_COLUMN_UUID, "uuid")                                                                        \
  X(ES_COLUMN_TIMESTAMP, "timestamp")                                                              \
  X(ES_COLUMN_LIST, "list")                                                                        \
  X(ES_COLUMN_TABLE_VALUE, "table")                                                                \
  X(ES_COLUMN_ANY, "any")

typedef enum es_column_type {
#define ES_COLUMN_ENUM(constant, name) constant,
  ES_COLUMN_TABLE(ES_COLUMN_ENUM)
#undef ES_COLUMN_ENUM
      ES_COLUMN_TYPES
} es_column_type;

/* A column of a table, or a parameter of a query or statement. */
typedef struct es_projection_column {
  char *name;
  es_column_type type;
  bool optional;
  bool has_absent; /* a parameter of LIMIT or OFFSET: what its absence means */
  int64_t absent;
} es_projection_column;

typedef struct es_projection_table {
  char *name;
  es_projection_column *columns; /* the key's first */
  size_t column_count;
  size_t key_count;
  char *get_sql;
  char *put_sql;
  char *add_sql;   /* NULL: no numbers to add to */
  char *add_needs; /* the column without which add cannot make a row, or NULL */
  char *delete_sql;
} es_projection_table;

/* A query or a statement. */
typedef struct es_projection_sql {
  char *name;
  char *sql;
  es_projection_column *params;
  size_t param_count;
} es_projection_sql;

typedef struct es_projection_file es_projection_file;

typedef struct es_projection {
  es_projections *owner;
  char *name;
  uint8_t module_hash[ES_HASH_SIZE];
  bool runtime_events;
  bool sql_tried;    /* every query and statement was prepared once */
  char *schema_sql;  /* tables and indexes of a new file */
  char *session_sql; /* views and triggers of each connection */
  es_projection_table *tables;
  size_t table_count;
  es_projection_sql *statements;
  size_t statement_count;
  es_projection_sql *queries;
  size_t query_count;
  int plan_reference;          /* registry: the plan, which holds the handlers */
  int handle_reference;        /* registry: `t` */
  es_projection_file *file;    /* the generation last used, or NULL */
  es_projection_file *running; /* where `t` writes while handlers run, else NULL */
} es_projection;

struct es_projections {
  es_store *store;     /* borrowed */
  es_domain *domain;   /* borrowed */
  char *folder;        /* NULL: in memory */
  sqlite3 *manifest;   /* NULL until needed */
  es_projection **all; /* in order of name */
  size_t count;
  bool read_only;
  es_projection_push_event push_event;
  void *push_event_data;
  es_modules *modules; /* borrowed; NULL: nobody watches */
};

/* ---- projection_plan.c: the checked declaration, from Lua into these structs ---- */

/* Reads the plan at the top of the stack into *projection. May raise: what was read is freed with the projection. */
void es__projection_read_plan(lua_State *L, es_projection *projection);
void es__projection_free(
    es_projection *projection); /* closes its file; leaves the registry alone */

/* ---- projection_manifest.c: which generation of a projection is read, and which is being built ---- */

typedef struct es_manifest_entry {
  int64_t generation; /* 0: none yet */
  int64_t building;   /* 0: none */
} es_manifest_entry;

/* What stands there; zeros when there is no manifest or no such projection. */
es_status es__manifest_read(es_manifest_entry *out, es_projections *projections, const char *name,
                            es_error *err);
/* The same, after giving a projection that has no generation its first one. */
es_status es__manifest_ensure(es_manifest_entry *out, es_projections *projections, const char *name,
                              es_error *err);
/* A new number for a generation to build; it replaces an unfinished one. */
es_status es__manifest_build(int64_t *generation, es_projections *projections, const char *name,
                             es_error *err);
/* Makes the built generation (keep), or none (not keep), of it, if it is still the one being built, else
 * "rebuild_superseded". Then removes the files of generations that the manifest no longer names. */
es_status es__manifest_finish(es_projections *projections, const char *name, int64_t generation,
                              bool keep, es_error *err);

/* ---- projection_file.c: one generation's SQLite file ---- */

typedef enum es_sql_mode { ES_SQL_TRUSTED, ES_SQL_QUERY, ES_SQL_STATEMENT } es_sql_mode;

/* Where a generation stands. */
typedef struct es_projection_cursor {
  uint8_t store_id[ES_ID_SIZE];
  int64_t position;                /* of the last event counted */
  uint8_t leaf_hash[ES_HASH_SIZE]; /* that event's hash; zero at 0 */
  uint8_t module_hash[ES_HASH_SIZE];
  int64_t failed_position; /* of the event whose handler failed; 0: none */
  char failure[ES_ERROR_MESSAGE_MAX];
} es_projection_cursor;

enum { ES_TABLE_GET, ES_TABLE_PUT, ES_TABLE_ADD, ES_TABLE_DELETE, ES_TABLE_CALLS };

struct es_projection_file {
  const es_projection *projection;
  sqlite3 *db;
  int64_t generation;
  bool schema_matches; /* its tables are those declared now; else it has no views */
  es_sql_mode mode;    /* of what is being prepared */
  char refusal[256];   /* why the authorizer said no */
  int64_t budget;      /* calls of the progress handler left */
  es_text tenant_id;   /* of the event or query at hand; borrowed */
  sqlite3_stmt *
      *calls;     /* table_count * ES_TABLE_CALLS, then the statements; prepared when first used */
  es_buf scratch; /* JSON on its way into a column: not on the C stack, because Lua may raise */
  bool failed;    /* the file, not the handler, is at fault: `error` says how */
  es_error error;
};

/* Opens a generation. With `create`, a new file gets tables and a cursor at position 0. ES_ERR_NOT_FOUND when there is
 * none (it may have been removed by a rebuild: look into the manifest again). */
es_status es__projection_file_open(es_projection_file **out, const es_projection *projection,
                                   int64_t generation, bool create, es_error *err);
/* The same in memory, for trying out the declaration's SQL. */
es_status es__projection_file_open_memory(es_projection_file **out, const es_projection *projection,
                                          int64_t generation, es_error *err);
void es__projection_file_close(es_projection_file *file);

/* Prepares SQL under a mode; "bad_sql" says what is wrong, or what the authorizer refused. */
es_status es__projection_file_prepare(sqlite3_stmt **out, es_projection_file *file, const char *sql,
                                      es_sql_mode mode, es_error *err);
es_status es__projection_file_exec(es_projection_file *file, const char *sql, es_error *err);
void es__projection_file_rollback(es_projection_file *file);
es_status es__projection_file_load(es_projection_cursor *out, es_projection_file *file,
                                   es_error *err);
es_status es__projection_file_save(es_projection_file *file, const es_projection_cursor *cursor,
                                   es_error *err);

/* "busy", "disk_full", "corrupt", … from SQLite's code; what: "projection totals" */
es_status es__projection_sqlite_error(sqlite3 *db, int code, const char *what, es_error *err);
/* A connection with what every one needs: waiting, limits, defensive mode. *out is NULL on failure. */
es_status es__projection_connect(sqlite3 **out, const char *path, int flags, const char *what,
                                 es_error *err);

/* ---- projection_sql.c: what SQL of a module may do ---- */

/* Functions es_tenant and es_add, the authorizer and the budget of one connection. */
int es__projection_sql_install(es_projection_file *file);
/* Restarts the budget of work for one statement or query; the engine's own SQL has none. */
void es__projection_sql_arm(es_projection_file *file, es_sql_mode mode);
/* Prepares every query and statement once, in a file of its own, in memory: before anything is done with a projection, but
 * not when it is declared, because that would cost each command of the command line a millisecond a projection. */
es_status es__projection_sql_try(es_projection *projection, es_error *err);
/* The declared column that a result column comes from, or NULL for an expression. */
const es_projection_column *es__projection_result_column(const es_projection *projection,
                                                         sqlite3_stmt *statement, int index);

/* ---- projection_values.c: values of columns ---- */

const char *es__column_type_name(es_column_type type);
/* Binds the Lua value at `index` (nil: absent). Raises "WHAT.NAME expects TYPE, got …". */
void es__column_bind_lua(lua_State *L, int index, es_projection_file *file, sqlite3_stmt *statement,
                         int parameter, const es_projection_column *column, const char *what);
/* Binds a parameter of a query (value NULL: absent). ES_ERR_USAGE. */
es_status es__column_bind_json(sqlite3_stmt *statement, int parameter,
                               const es_projection_column *column, const es_json_value *value,
                               es_error *err);
/* Pushes a column of the current row; column may be NULL. */
void es__column_push_lua(lua_State *L, sqlite3_stmt *statement, int index,
                         const es_projection_column *column);
/* Appends a column of the current row as JSON; false for what JSON cannot hold. */
bool es__column_write_json(es_buf *out, sqlite3_stmt *statement, int index,
                           const es_projection_column *column);

/* ---- projection_handlers.c: `t` ---- */

/* Pushes a new `t` for the projection. */
void es__projection_push_handle(lua_State *L, es_projection *projection);

/* ---- projection_run.c: events into a file ---- */

/* Why the generation cannot go on from its cursor: written to reason ("" when it can). */
es_status es__projection_check_cursor(char *reason, size_t size, const es_projection *projection,
                                      const es_projection_cursor *cursor, es_error *err);

typedef struct es_projection_batch {
  int64_t counted; /* events in this transaction */
  bool at_end;     /* no more events */
  bool stale;      /* the file is no longer the manifest's: nothing was done */
} es_projection_batch;

/* One transaction: some events after the cursor. A failing handler is recorded in the file and returned. */
es_status es__projection_run_batch(es_projection_batch *out, es_projection *projection,
                                   es_projection_file *file, es_error *err);

/* ---- projections.c ---- */

/* By name; an unknown one is ES_ERR_NOT_FOUND and names the known ones. */
es_status es__projections_find(es_projection **out, es_projections *projections, const char *name,
                               es_error *err);
/* projection->file is the generation the manifest names now. ES_ERR_OTHER "not_built" when there is none and not create. */
es_status es__projection_use_current(es_projection *projection, bool create, es_error *err);

#endif
