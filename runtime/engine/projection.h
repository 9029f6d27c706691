/* projection: read models kept from the store's events, each in a SQLite file of its own. What the runtime (runtime.c) needs
 * of them. Knows the store's contract and domain states; nothing of commands, contexts or the command line.
 *
 * A projection's rows and its cursor commit in one transaction of its own file, so each event counts exactly once, through
 * crashes and with several runners. Files stand in STOREFILE-projections/: NAME.GENERATION.db, and manifest.db, which says
 * which generation is read. A rebuild fills a new generation and then changes the manifest; no file is renamed.
 *
 * None of these may be called between es__store_begin() and es__store_commit(): events that may yet be rolled back must
 * not be counted. The runtime refuses it. */
#ifndef ES_ENGINE_PROJECTION_H
#define ES_ENGINE_PROJECTION_H

#include "engine/modules.h"
#include "lua/domain.h"
#include "store/store.h"

typedef struct es_projections es_projections;

/* Pushes the event object for handlers; here old schema versions are upcast. Runs inside es__domain_run() and may raise. */
typedef void (*es_projection_push_event)(lua_State *L, const es_event *event, void *data);

typedef struct es_projections_options {
  const char *store_path; /* the store's file; NULL or ":memory:" keeps everything in memory */
  bool read_only;         /* status and queries only */
  es_projection_push_event push_event; /* NULL: es__lua_push_event(L, event, 0) */
  void *push_event_data;
  es_modules *modules; /* borrowed; who watches them is told of SQL that does not hold; or NULL */
} es_projections_options;

/* Touches no file yet. The store and the domain are borrowed and must outlive it; no domain code may run after closing,
 * because handlers may have kept their `t`. */
es_status es__projections_open(es_projections **out, es_store *store, es_domain *domain,
                               const es_projections_options *options, es_error *err);
void es__projections_close(es_projections *projections); /* NULL is fine */

/* Adds a projection. `reference` is luaL_ref()'s in the registry, of the table that es.projection returned (the caller may
 * release it afterwards). Checks the declaration: ES_ERR_LUA "bad_declaration", ES_ERR_USAGE "duplicate_projection". Its SQL
 * is tried when the projection is first used; "bad_sql" then shows in status too, and does not keep commands from running. */
es_status es__projections_declare(es_projections *projections, int reference,
                                  const uint8_t module_hash[ES_HASH_SIZE], es_error *err);

/* Tries the SQL of all of them, for those who want to know before first use. The first that does not hold ends it, unless
 * somebody watches the modules: then that one is told of each, and it is ES_OK. */
es_status es__projections_try(es_projections *projections, es_error *err);

/* As es_project, es_project_rebuild, es_project_status and es_query in esrun.h. Errors of their own:
 *   ES_ERR_NOT_FOUND "unknown_projection", "unknown_query" (the hint names the known ones)
 *   ES_ERR_LUA       a handler failed: err->position is the event's; the code is the domain's
 *   ES_ERR_LUA       "bad_sql" a query or statement that SQLite cannot read or that reaches too far
 *   ES_ERR_OTHER     "rebuild_needed" the store or the module is not the one it was built from; "not_built" never run;
 *                    "rebuild_superseded" another rebuild of it began
 *   ES_ERR_USAGE     "bad_parameter", "missing_parameter", "unknown_parameter"
 *   ES_ERR_STORE     "busy", "read_only", and what SQLite says of its files */
es_status es__projections_run(es_projections *projections, const char *name, es_progress progress,
                              void *progress_data, es_error *err);
es_status es__projections_rebuild(es_projections *projections, const char *name,
                                  es_progress progress, void *progress_data, es_error *err);
es_status es__projections_status(es_projections *projections, es_buf *json, es_error *err);
es_status es__projections_query(es_projections *projections, const char *projection,
                                const char *query, es_text tenant_id, const char *params_json,
                                es_row row, void *row_data, es_error *err);

#endif
