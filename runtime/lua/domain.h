/* domain: one Lua state for domain code: a frozen allow-list environment, a memory cap, a time limit, deterministic
 * library functions. Never includes the store; knows nothing of commands or projections (the engine does).
 *
 * Every entry into Lua goes through es__domain_run(), which holds the limits. Lua errors travel inside as any value; to
 * carry an es_error across Lua frames without loss, C code raises it with es__domain_raise(). */
#ifndef ES_LUA_DOMAIN_H
#define ES_LUA_DOMAIN_H

#include <lua.h>

#include "base/buf.h"

typedef struct es_domain es_domain;

/* Finds the source of a module that domain code requires: "shared.money". Returns ES_ERR_NOT_FOUND when there is none. On
 * success *source (malloc'd bytes, the domain frees them) and chunk_name ("aggregates/money.lua") are set. */
typedef es_status (*es_module_finder)(void *data, const char *name, char **source, size_t *length,
                                      char *chunk_name, size_t chunk_name_size, es_error *err);

typedef struct es_domain_options {
  int64_t time_limit_us;      /* one es__domain_run(); 0: 1 s */
  int64_t memory_limit_bytes; /* whole state; 0: 256 MiB */
  int limit_signal;           /* as es_options.limit_signal */
  void *(*allocate)(void *data, void *block, size_t old_size, size_t new_size); /* NULL: realloc */
  void *allocate_data;
  es_module_finder find_module;
  void *find_module_data;
  bool allow_nondeterminism; /* gives `es.test_random()`; only for tests of the determinism check */
} es_domain_options;

es_status es__domain_new(es_domain **out, const es_domain_options *options, es_error *err);
void es__domain_free(es_domain *domain);

/* The Lua state, for the engine's body functions and for building values. Touch it only inside es__domain_run(). */
lua_State *es__domain_state(es_domain *domain);
es_domain *es__domain_of(lua_State *L);

/* Runs body(L) protected, under the limits, with `argument` as its only argument (a light userdata). The body returns no
 * values. What it raises becomes *err:
 *   - an es_error raised by es__domain_raise() is copied as it is;
 *   - a string or a table with __tostring or `message`: ES_ERR_LUA "runtime_error", message as raised
 *     ("aggregates/document.lua:12: attempt to …");
 *   - time: ES_ERR_LUA "time_limit", naming the limit and the line where it ran out; memory: ES_ERR_LUA "memory_limit".
 * After a time or memory error the state remains usable. Nested calls share the outermost one's limits. */
es_status es__domain_run(es_domain *domain, lua_CFunction body, void *argument, es_error *err);

/* Between `on` and off the timer of the time limit goes on from one run to the next, which saves two system calls a run. For
 * several runs within one call of the library, in one thread; never while something is awaited or made durable: signals come. */
void es__domain_watch(es_domain *domain, bool on);

/* Raises *err as a Lua error that es__domain_run() hands back unchanged. Does not return. Hold no malloc'd memory, no
 * statement and no lock when calling it or any lua_* function that can raise. */
_Noreturn void es__domain_raise(lua_State *L, const es_error *err);

/* Runs a domain module's text once and pushes what it returned (for use in a body). Raises on syntax errors, with file
 * and line; bytecode is refused. The environment is the frozen domain environment; assigning a global raises. */
void es__domain_load(lua_State *L, const char *source, size_t length, const char *chunk_name);

/* The same without running it: pushes the chunk, which has no environment yet. */
void es__domain_compile(lua_State *L, const char *source, size_t length, const char *chunk_name);

/* Pushes the table of a built-in Lua module (lua/es/NAME.lua, compiled into the library): "es", "es.rule", "es.schema",
 * "es.kernel" … Built-in modules run with the stock libraries, except that patterns are bounded, pairs is ordered and limits
 * pass through pcall; they may require each other and "es.support" (support.c). Domain code can require those that
 * require.c lists as public, and gets read-only views. Raises when there is none. */
void es__domain_push_builtin(lua_State *L, const char *name);

/* Loads an embedded file as lua_load would, named "=PATH", for any state of trusted code: its bytecode if this Lua compiled
 * it, else its text. Returns Lua's status. */
struct es_embedded;
int es__embedded_load(lua_State *L, const struct es_embedded *file);

/* Pushes a read-only view of the table at `index`: reads and iterates like the table (nested tables come out as views
 * too), assigning raises "… is read-only here". Scalars are pushed as they are. */
void es__domain_push_read_only(lua_State *L, int index);
/* If the value at index is a read-only view, replaces it by the table behind it. */
void es__domain_unwrap(lua_State *L, int index);

/* ---- values <-> JSON (codec.c) ---- */

/* Pushes the value of a JSON text. Arrays carry the array metatable (es.array), null is es.null, an empty object is a plain
 * empty table. Raises an es_error ("malformed_json", "json_duplicate_key" …) naming line, column and path. */
void es__lua_push_json(lua_State *L, const char *text, size_t length);
/* The same for a document that this library wrote around values that are within the limits. */
void es__lua_push_own_json(lua_State *L, const char *text, size_t length);

/* Appends the canonical JSON of the value at index. A table with the array metatable or keys 1..n is an array, an empty
 * plain table is an object. Raises an es_error ES_ERR_USAGE ("not_json") whose message starts with the path under `root`,
 * e.g. "data.lines[2].price: NaN cannot be stored", for: functions, userdata (an event says: keep e:copy() instead), holes,
 * mixed or other keys, a metatable of its own, NaN, infinities, invalid UTF-8, cycles, more than 128 levels. `out` is owned by the caller, outside
 * the protected call. */
void es__lua_write_json(lua_State *L, int index, es_buf *out, const char *root);

/* The same pair for a state that is kept, which must come back as it was: canonical JSON does not tell whether a list that is not
 * empty carries the array metatable, which shows once it is emptied. *lists, appended to by the writer, tells it of each list of
 * the text in order, '0' for one without, and is empty when all carry it. */
void es__lua_write_exact_json(lua_State *L, int index, es_buf *out, es_buf *lists,
                              const char *root);
void es__lua_push_exact_json(lua_State *L, es_text text, es_text lists);

void es__lua_push_null(lua_State *L); /* es.null */
bool es__lua_is_null(lua_State *L, int index);
void es__lua_push_array_metatable(lua_State *L);

/* Does the value fit the plan that es.schema made of a declaration? False also means: ask es.schema.check. */
bool es__schema_fits(lua_State *L, int plan, int value);
/* The same, and appends the value's canonical JSON. False, appending nothing, also for what es__lua_write_json() has to write:
 * tables inside the table, and what cannot be stored. */
bool es__schema_write(lua_State *L, int plan, int value, es_buf *out);
/* Has the table that many entries? */
bool es__lua_has_entries(lua_State *L, int table, lua_Integer count);

/* ---- event objects (event_object.c) ---- */

/* Pushes the domain's one reusable event object bound to `event`, which must stay valid until es__lua_release_event(). With
 * data_index != 0 the table there stands for the data (already upcast), else event->data is parsed as it is read.
 *   e.event_id e.event_type e.aggregate_type e.aggregate_id e.version e.schema_version e.position e.tenant_id e.actor_id
 *   e.correlation_id e.causation_id e.occurred_at e.recorded_at (RFC 3339) e.data e.metadata e.hash e.previous_hash, e:copy()
 * Absent ones are nil. Assigning raises; reading after release raises "e.data was kept …; keep e:copy() instead". */
void es__lua_push_event(lua_State *L, const es_event *event, int data_index);
void es__lua_release_event(lua_State *L);
/* e:copy() for C: pushes a plain table of all fields (E12), JSON-safe. */
void es__lua_push_event_copy(lua_State *L, const es_event *event);

#endif
