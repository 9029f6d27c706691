/* internal: what the files of this layer share and nobody else sees: the domain's struct and the small functions that
 * keep its limits. Includes no other layer than base. */
#ifndef ES_LUA_INTERNAL_H
#define ES_LUA_INTERNAL_H

#include <locale.h>
#include <signal.h>
#include <sys/types.h>
#include <time.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/pool.h"
#include "lua/domain.h"

typedef enum es_limit { ES_LIMIT_NONE, ES_LIMIT_TIME, ES_LIMIT_MEMORY } es_limit;

/* Set by the signal handler and the allocator, read by the hook and by every loop written in C. */
typedef struct es_limits {
  volatile sig_atomic_t attention; /* something below wants to be looked at */
  volatile sig_atomic_t expired;   /* the time is up */
  volatile sig_atomic_t running;   /* domain code may be: signals count */
  volatile sig_atomic_t starting;  /* no signal has come since the run began: no deadline yet */
  size_t memory_used;
  size_t memory_limit;
  es_limit hit;        /* what stopped the run, until it ends */
  char where[256];     /* "aggregates/x.lua:12", or "" */
  int64_t deadline_us; /* of the thread's processor time */
  unsigned ticks;      /* since the clock was last read; with a count hook */
  bool has_timer;
  bool armed;
  bool watched; /* the timer stays armed between runs */
  timer_t timer;
  pid_t timer_thread;
  pid_t timer_process;
} es_limits;

struct es_domain {
  lua_State *L;
  es_domain_options options;
  es_limits limits;
  es_pool pool; /* its memory, unless the program gave an allocator */
  int depth;    /* of nested es__domain_run() */
  locale_t c_locale;
  struct es_event_object *event_object; /* event_object.c */
  const void *read_only_metatable;      /* addresses, to recognise metatables quickly */
  const void *event_metatable;
  const void *event_data_metatable;
  const void *error_metatable;
  const void *schema_plan_metatable;
};

/* ---- limits.c ---- */

void *es__limits_allocate(void *domain, void *block, size_t old_size, size_t new_size);
es_status es__limits_install(es_domain *domain, es_error *err); /* once, when the domain is made */
es_status es__limits_begin(es_domain *domain, es_error *err);
void es__limits_end(es_domain *domain);
void es__limits_free(es_domain *domain);
/* Looks at time and memory; raises when one has run out. */
void es__limits_attend(lua_State *L, es_domain *domain);
void es__limits_tick(lua_State *L, es_domain *domain); /* the same, from a loop in C */
/* Raises the error of a limit that was hit; guarded pcalls use it to pass one on. */
_Noreturn void es__limits_raise(lua_State *L);

/* Every loop in C that domain code can make long calls this once a round. */
static inline void es__tick(lua_State *L, es_domain *domain) {
  if (domain->limits.attention) es__limits_tick(L, domain);
}

/* Raises the error at the top, which lua_pcall or lua_load returned with `status`, again: running out of memory stays that. */
_Noreturn void es__rethrow(lua_State *L, int status);

/* Writes "file.lua:LINE" of the first frame of project code at `level` or above, or of any Lua code if there is none. */
bool es__lua_where(char *out, size_t size, lua_State *L, int level);

/* ---- environment.c ---- */

void es__environment_open(
    lua_State *L); /* makes the frozen environment and the built-in modules' one */
void es__environment_push(lua_State *L);         /* the one of domain code */
void es__environment_push_trusted(lua_State *L); /* the one of built-in modules */
/* Replaces the table at the top by a proxy that reads from it and refuses assignment. */
void es__freeze(lua_State *L, const char *name);
/* The table that a frozen proxy reads from, pushed; false and nothing when the value is not one. */
bool es__push_frozen(lua_State *L, int index);

/* ---- the library's other files: each adds or replaces functions in the table at the top ---- */

void es__deterministic_open(lua_State *L);   /* pairs, next, tostring, type */
void es__metatables_open(lua_State *L);      /* getmetatable, setmetatable */
void es__string_open(lua_State *L);          /* the string library */
void es__patterns_open(lua_State *L);        /* find, match, gmatch, gsub */
void es__table_open(lua_State *L);           /* the table library */
void es__sort_open(lua_State *L);            /* table.sort */
void es__protected_open(lua_State *L);       /* pcall, xpcall */
void es__require_open(lua_State *L);         /* require, for domain code */
void es__require_open_trusted(lua_State *L); /* require, for built-in modules */
void es__read_only_open(lua_State *L);       /* makes its metatable */
void es__event_object_open(lua_State *L);    /* makes its metatables */
void es__event_object_free(es_domain *domain);
void es__event_object_unbind(es_domain *domain); /* from the event at hand, also after an error */
/* Pushes a plain table of what the event or event data at `index` holds; false, pushing nothing, for other values. */
bool es__push_event_table(lua_State *L, int index);

void es__support_push(
    lua_State *L); /* support.c: what built-in modules get by require "es.support" */

void es__schema_fit_open(lua_State *L); /* makes its metatable */
int es__schema_plan(lua_State *L);      /* support.fit_plan */
int es__schema_fit(lua_State *L);       /* support.fits */

/* Pushes the table that C code of this library named by address keeps in the registry, made when missing. */
bool es__registry_table(lua_State *L, const void *key);

bool es__is_error(lua_State *L, int index); /* an es_error raised by es__domain_raise() */
bool es__is_event(lua_State *L, int index);
int es__event_copy(lua_State *L); /* e:copy() */
bool es__is_event_data(lua_State *L, int index);
bool es__is_read_only(lua_State *L, int index);
/* The table that iterating the value at `index` visits, pushed: behind a view (then *view is true) or a frozen proxy, or the
 * table itself. False, pushing nothing, when it is none of these. */
bool es__push_iterated(lua_State *L, int index, bool *view);
/* Like tostring without addresses; a `__tostring` is called. Pushes a string. */
const char *es__lua_text(lua_State *L, int index, size_t *length);

#endif
