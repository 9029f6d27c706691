/* projection_support: a store, a domain and projections for tests of projections, opened and closed together. */
#ifndef ES_TESTS_PROJECTION_SUPPORT_H
#define ES_TESTS_PROJECTION_SUPPORT_H

#include <lauxlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/embedded.h"
#include "engine/projection_parts.h"

/* Everything a test works with; `path` NULL: in memory. */
typedef struct world {
  const char *path;
  es_id_source ids;
  es_store *store;
  es_domain *domain;
  es_projections *projections;
  es_error err;
} world;

typedef struct world_options {
  const char *path;
  bool read_only;
  int64_t time_limit_us;
  es_projection_push_event push_event;
  void *push_event_data;
} world_options;

static inline void world_open_with(world *w, const world_options *options) {
  es_domain_options limits = {.time_limit_us = options->time_limit_us};
  es_projections_options projections = {.store_path = options->path,
                                        .read_only = options->read_only,
                                        .push_event = options->push_event,
                                        .push_event_data = options->push_event_data};
  es_sqlite_options sqlite = {.read_only = options->read_only};

  *w = (world){.path = options->path, .ids = {.clock = es__clock_system}};
  if (options->path == NULL)
    assert_int_equal(es__store_open_memory(&w->store, &w->ids, &w->err), ES_OK);
  else if (es__store_open_sqlite(&w->store, options->path, &sqlite, &w->ids, &w->err) != ES_OK)
    fail_msg("%s", w->err.message);
  assert_int_equal(es__domain_new(&w->domain, &limits, &w->err), ES_OK);
  assert_int_equal(
      es__projections_open(&w->projections, w->store, w->domain, &projections, &w->err), ES_OK);
}

static inline void world_open(world *w, const char *path) {
  world_options options = {.path = path};
  world_open_with(w, &options);
}

static inline void world_close(world *w) {
  es__projections_close(w->projections);
  es__domain_free(w->domain);
  es__store_close(w->store);
}

/* ---- modules ---- */

typedef struct loading {
  const char *text;
  const char *chunk_name;
  int reference;
} loading;

static inline int load_body(lua_State *L) {
  loading *work = lua_touserdata(L, 1);
  es__domain_load(L, work->text, strlen(work->text), work->chunk_name);
  work->reference = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

/* Declares the projection of a module's text; its hash is `version` repeated. */
static inline es_status declare(world *w, const char *chunk_name, const char *text,
                                uint8_t version) {
  loading work = {text, chunk_name, LUA_NOREF};
  uint8_t hash[ES_HASH_SIZE];
  es_status status = es__domain_run(w->domain, load_body, &work, &w->err);

  memset(hash, version, sizeof hash);
  if (status == ES_OK)
    status = es__projections_declare(w->projections, work.reference, hash, &w->err);
  return status;
}

static inline void must_declare(world *w, const char *chunk_name, const char *text) {
  if (declare(w, chunk_name, text, 1) != ES_OK) fail_msg("%s", w->err.message);
}

static inline void declare_shipped(world *w, const char *path) {
  for (const struct es_embedded *one = es_shipped_modules; one->path != NULL; one++) {
    if (strcmp(one->path, path) == 0) {
      must_declare(w, path, one->text);
      return;
    }
  }
  fail_msg("%s is not shipped", path);
}

/* ---- events ---- */

typedef struct happening {
  const char *tenant, *actor, *aggregate_type, *aggregate_id, *event_type, *data;
  int64_t occurred_at; /* 0: 2026-01-01T00:00:00Z */
} happening;

/* Appends one event, defaults for what is not given. */
static inline void happen(world *w, happening what) {
  es_event event = {.schema_version = 1,
                    .tenant_id = es__text(what.tenant),
                    .actor_id = es__text(what.actor),
                    .aggregate_type = es__text(what.aggregate_type ? what.aggregate_type : "Order"),
                    .aggregate_id = es__text(what.aggregate_id ? what.aggregate_id : "o1"),
                    .event_type = es__text(what.event_type ? what.event_type : "OrderCreated"),
                    .occurred_at = what.occurred_at ? what.occurred_at : INT64_C(1767225600000000),
                    .data = es__text(what.data ? what.data : "{}"),
                    .metadata = es__text("{\"channel\":\"web\"}")};
  es_stream_name stream = {event.tenant_id, event.aggregate_type, event.aggregate_id};
  es_commit commit = {.events = &event, .event_count = 1, .now = event.occurred_at};

  assert_int_equal(es__store_stream_version(&event.version, w->store, &stream, &w->err), ES_OK);
  event.version++;
  es__id_new(&w->ids, event.event_id);
  es__id_new(&w->ids, event.correlation_id);
  if (es__store_append(w->store, &commit, &w->err) != ES_OK) fail_msg("%s", w->err.message);
}

/* Appends `count` events of one stream in one commit, each {"n":1}. */
static inline void happen_often(world *w, int count) {
  es_event *events = calloc((size_t)count, sizeof *events);
  es_stream_name stream = {{NULL, 0}, {"Order", 5}, {"many", 4}};
  es_commit commit = {.events = events, .event_count = (size_t)count, .now = 1};
  int64_t version;

  assert_int_equal(es__store_stream_version(&version, w->store, &stream, &w->err), ES_OK);
  for (int i = 0; i < count; i++) {
    events[i] = (es_event){.schema_version = 1,
                           .aggregate_type = stream.aggregate_type,
                           .aggregate_id = stream.aggregate_id,
                           .event_type = {"Counted", 7},
                           .version = version + i + 1,
                           .occurred_at = 1,
                           .data = {"{\"n\":1}", 7},
                           .metadata = {"{}", 2}};
    es__id_new(&w->ids, events[i].event_id);
    es__id_new(&w->ids, events[i].correlation_id);
  }
  if (es__store_append(w->store, &commit, &w->err) != ES_OK) fail_msg("%s", w->err.message);
  free(events);
}

/* ---- reading ---- */

static inline bool collect_row(void *data, const char *row, size_t length) {
  es_buf *out = data;
  if (out->length > 0) es__buf_byte(out, '\n');
  es__buf_add(out, row, length);
  return true;
}

/* The rows of a query, one a line; the caller frees them. NULL on failure, told in w->err. */
static inline char *rows_of(world *w, const char *projection, const char *query, const char *tenant,
                            const char *params) {
  es_buf out = {0};

  if (es__projections_query(w->projections, projection, query, es__text(tenant), params,
                            collect_row, &out, &w->err) != ES_OK) {
    es__buf_free(&out);
    return NULL;
  }
  return es__buf_take(&out, NULL);
}

static inline void assert_rows(world *w, const char *projection, const char *query,
                               const char *tenant, const char *params, const char *expected) {
  char *rows = rows_of(w, projection, query, tenant, params);

  if (rows == NULL) fail_msg("%s", w->err.message);
  assert_string_equal(rows, expected);
  free(rows);
}

static inline void must_run(world *w, const char *name) {
  if (es__projections_run(w->projections, name, NULL, NULL, &w->err) != ES_OK)
    fail_msg("%s", w->err.message);
}

static inline void assert_contains(const char *text, const char *part) {
  if (text == NULL || strstr(text, part) == NULL)
    fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

/* The status of all projections as JSON contains `part`. */
static inline void assert_status_contains(world *w, const char *part) {
  es_buf json = {0};

  if (es__projections_status(w->projections, &json, &w->err) != ES_OK)
    fail_msg("%s", w->err.message);
  assert_contains(json.data, part);
  es__buf_free(&json);
}

/* ---- modules that several tests use ---- */

/* The documented example. */
__attribute__((unused)) static const char totals[] =
    "local es = require 'es'\n"
    "local Totals = es.projection 'customer_totals'\n"
    "Totals.tables = {\n"
    "  customer_totals = { customer_id = 'uuid', orders = 'integer', "
    "cents = 'integer', key = { 'customer_id' },\n"
    "    index = { { 'cents' } } },\n"
    "}\n"
    "Totals.on = {\n"
    "  OrderCreated = function(t, e)\n"
    "    t.customer_totals:add({ customer_id = e.data.customer_id }, { "
    "orders = 1, cents = e.data.total_cents })\n"
    "  end,\n"
    "}\n"
    "Totals.queries = {\n"
    "  top = { sql = 'SELECT customer_id, cents FROM customer_totals "
    "ORDER BY cents DESC LIMIT :limit',\n"
    "    params = { limit = 'integer?' } },\n"
    "}\n"
    "return Totals\n";

#define ANN "11111111-1111-7111-8111-111111111111"
#define BOB "22222222-2222-7222-8222-222222222222"

static inline void order(world *w, const char *tenant, const char *customer, int cents) {
  char data[128];
  snprintf(data, sizeof data, "{\"customer_id\":\"%s\",\"total_cents\":%d}", customer, cents);
  happen(w, (happening){.tenant = tenant, .data = data});
}

/* A projection of one table whose handler for `Did` is `body`, and one query over all its rows. */
static inline void declare_table(world *w, const char *columns, const char *body, const char *sql) {
  es_buf text = {0};

  es__buf_format(
      &text,
      "local es = require 'es'\nlocal P = es.projection 'p'\nP.tables = { rows = { %s } }\n"
      "P.on = { Did = function(t, e) %s end }\n"
      "P.queries = { all = { sql = [[%s]] } }\nreturn P\n",
      columns, body, sql);
  must_declare(w, "projections/p.lua", text.data);
  es__buf_free(&text);
}

static inline void did(world *w, const char *data) {
  happen(w, (happening){.event_type = "Did", .data = data});
}

#endif
