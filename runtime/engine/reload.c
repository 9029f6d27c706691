/* reload: puts changed modules in force without closing the runtime: all of them in a new state, or none. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/runtime.h"

/* Order counts: modules are read sorted by path. */
static bool same_modules(const es_modules *a, const es_modules *b) {
  if (a->count != b->count) return false;
  for (size_t i = 0; i < a->count; i++) {
    const es_module *one = &a->items[i], *other = &b->items[i];
    if (strcmp(one->chunk_name, other->chunk_name) != 0 || one->length != other->length ||
        memcmp(one->text, other->text, one->length) != 0)
      return false;
  }
  return true;
}

/* The parts of a runtime that modules are loaded into. */
typedef struct loaded {
  es_modules modules;
  es_domain *domain;
  es_projections *projections;
} loaded;

static loaded take(es_runtime *rt) {
  loaded was = {rt->modules, rt->domain, rt->projections};
  rt->domain = NULL;
  rt->projections = NULL;
  return was;
}

static void put(es_runtime *rt, const loaded *parts) {
  rt->modules = parts->modules;
  rt->domain = parts->domain;
  rt->projections = parts->projections;
}

/* Handlers may have kept what belongs to their projection, so that one goes before its state. */
static void drop(loaded *parts) {
  es__projections_close(parts->projections);
  es__domain_free(parts->domain);
  es__modules_free(&parts->modules);
}

/* The modules that came as texts at opening: they come again. Their texts stay the old modules'. */
static es_status given_again(es_module_source **out, size_t *count, const es_modules *modules,
                             es_error *err) {
  *count = 0;
  *out = calloc(modules->count, sizeof **out); /* never 0: some modules are shipped */
  if (*out == NULL) return es__no_memory(err);
  for (size_t i = 0; i < modules->count; i++) {
    const es_module *module = &modules->items[i];
    if (module->given)
      (*out)[(*count)++] = (es_module_source){module->chunk_name, module->text, module->length};
  }
  return ES_OK;
}

es_status es_reload(bool *changed, es_runtime *rt, es_error *err) {
  es_modules modules = {0};
  es_module_source *sources = NULL;
  size_t source_count = 0;
  es_status status;
  bool same;

  if (changed != NULL) *changed = false;
  if (es__wrong_thread(rt, err)) return ES_ERR_USAGE;
  if (rt->execution != NULL || rt->in_transaction) {
    return es__fail(err, ES_ERR_USAGE, "in_transaction",
                    "modules cannot be reloaded inside a command or a transaction");
  }
  if (rt->import_count > 0) {
    es__fail(err, ES_ERR_USAGE, "import_open",
             "modules cannot be reloaded while an import is under way");
    es__hint(err, "finish the import or close it, then reload");
    return ES_ERR_USAGE;
  }
  status = given_again(&sources, &source_count, &rt->modules, err);
  if (status == ES_OK)
    status = es__modules_read(&modules, &rt->settings, sources, source_count, rt->chain, err);
  free(sources);
  if (status != ES_OK) return status;
  same = same_modules(&modules, &rt->modules);
  if (same) {
    es__modules_free(&modules);
    return ES_OK;
  }
  /* A domain looks for library modules in rt->modules, so that is where the new ones must be while they load. */
  loaded was = take(rt);
  rt->modules = modules;
  status = es__modules_load(&rt->domain, &rt->modules, &rt->limits, err);
  if (status == ES_OK) status = es__projections_ready(rt, err);
  if (status == ES_OK) status = es__projections_try(rt->projections, err);
  if (status != ES_OK) {
    loaded failed = take(rt);
    put(rt, &was);
    drop(&failed);
    return status;
  }
  drop(&was);
  if (changed != NULL) *changed = true;
  return ES_OK;
}
