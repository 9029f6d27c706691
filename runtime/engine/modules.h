/* modules: the texts of a project's Lua modules, their hashes, and loading them into a domain state. Texts are read once, so
 * that every state of a runtime runs the same code whatever happens to the files. */
#ifndef ES_ENGINE_MODULES_H
#define ES_ENGINE_MODULES_H

#include "engine/settings.h"
#include "ledger/chain.h"
#include "lua/domain.h"

enum { ES__MODULE_PATH_MAX = 200 };

/* When a snapshot of an aggregate is taken by itself; all zero: never. */
typedef struct es_snapshot_policy {
  int64_t every; /* with each version that is a multiple of this, or the commit that passes it */
  int64_t bytes; /* when so many bytes of events' data were folded since the last */
  bool daily;    /* with the first commit of a day, by recorded_at in UTC */
} es_snapshot_policy;

/* One file that declares an aggregate or a projection. */
typedef struct es_module {
  char *chunk_name;   /* "aggregates/document.lua" */
  char *require_name; /* of a library module: "shared.money"; NULL for a declaring one */
  char *text;
  size_t length;
  bool shipped; /* part of the runtime, not of the project */
  bool given;   /* by the program that opened the runtime */
  char *
      name; /* of what it declares; NULL until loaded, or when a project's own declaration replaced it */
  bool is_projection;
  es_snapshot_policy snapshot; /* of the aggregate */
  bool failed;                 /* and was told of: it is left out */
  uint8_t hash[ES_HASH_SIZE];  /* over its text, the library modules' and the runtime's version */
} es_module;

/* Who is told of modules that fail, as es_options says; then they are left out. All zero: the first one ends it. */
typedef struct es_module_watch {
  void (*failed)(void *data, const char *path, const es_error *err);
  void *data;
} es_module_watch;

typedef struct es_modules {
  es_module *items;
  size_t count;
  es_module_watch watch;
} es_modules;

/* Reads every .lua of the settings' folders, sorted by path, then those given as texts (copied), then the shipped modules: all
 * of them without a project and texts, else the shipped projections that no project module replaces. out->watch is set. */
es_status es__modules_read(es_modules *out, const es_settings *settings,
                           const es_module_source *sources, size_t source_count, es_chain *chain,
                           es_error *err);
void es__modules_free(es_modules *modules);
/* Tells of a module that failed, if somebody wants to hear it: then what goes on does so without it, ES_OK. */
es_status es__modules_told(es_modules *modules, const char *path, es_status status, es_error *err);

/* modules_load.c */

/* A new domain state with every module loaded and checked but the shipped projections: modules->items[].name is filled in. */
es_status es__modules_load(es_domain **out, es_modules *modules, const es_domain_options *limits,
                           es_error *err);

/* The shipped projections too, for who asks for projections. Again is fine. */
es_status es__modules_load_rest(es_domain *domain, es_modules *modules, es_error *err);

/* Pushes es.kernel, or the declaration of a module. Only inside es__domain_run(). */
void es__kernel_push(lua_State *L);
void es__kernel_push_function(lua_State *L, const char *name);
void es__declaration_push(lua_State *L, const es_module *module);

/* The module that declares an aggregate, or a projection; NULL: none. */
const es_module *es__modules_aggregate(const es_modules *modules, es_text aggregate_type);
const es_module *es__modules_projection(const es_modules *modules, const char *name);

#endif
