/* domain: making, running and freeing one Lua state for domain code, and turning what it raises into an es_error. Knows
 * nothing of the library functions (environment.c and its neighbours) nor of what the code is for. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lualib.h>

#include "base/error.h"
#include "base/utf8.h"
#include "lua/internal.h"

lua_State *es__domain_state(es_domain *domain) { return domain->L; }

es_domain *es__domain_of(lua_State *L) { return *(es_domain **)lua_getextraspace(L); }

/* ---- errors that C code raises ---- */

static int error_index(lua_State *L) {
  const es_error *err = lua_touserdata(L, 1);
  const char *name = lua_tostring(L, 2);

  if (name == NULL) return 0;
  if (strcmp(name, "code") == 0)
    lua_pushstring(L, err->code);
  else if (strcmp(name, "message") == 0)
    lua_pushstring(L, err->message);
  else if (strcmp(name, "hint") == 0)
    lua_pushstring(L, err->hint);
  else if (strcmp(name, "status") == 0)
    lua_pushstring(L, es_status_name(err->status));
  else
    lua_pushnil(L);
  return 1;
}

static int error_text(lua_State *L) {
  const es_error *err = lua_touserdata(L, 1);
  lua_pushstring(L, err->message);
  return 1;
}

static void open_errors(lua_State *L, es_domain *domain) {
  luaL_newmetatable(L, "es.error");
  lua_pushcfunction(L, error_index);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, error_text);
  lua_setfield(L, -2, "__tostring");
  domain->error_metatable = lua_topointer(L, -1);
  lua_pop(L, 1);
}

bool es__is_error(lua_State *L, int index) {
  bool is = false;
  if (lua_type(L, index) == LUA_TUSERDATA && lua_getmetatable(L, index)) {
    is = lua_topointer(L, -1) == es__domain_of(L)->error_metatable;
    lua_pop(L, 1);
  }
  return is;
}

void es__domain_raise(lua_State *L, const es_error *err) {
  luaL_checkstack(L, 2, NULL);
  *(es_error *)lua_newuserdatauv(L, sizeof(es_error), 0) = *err;
  luaL_setmetatable(L, "es.error");
  lua_error(L);
  abort(); /* not reached: lua_error does not return */
}

/* ---- making and freeing ---- */

static int open_state(lua_State *L) {
  es_domain *domain = es__domain_of(L);
  open_errors(L, domain);
  es__environment_open(L);
  return 0;
}

es_status es__domain_new(es_domain **out, const es_domain_options *options, es_error *err) {
  es_domain *domain = NULL;
  es_status status;

  *out = NULL;
  domain = calloc(1, sizeof *domain);
  if (domain == NULL) return es__no_memory(err);
  domain->options = *options;
  status = es__limits_install(domain, err);
  if (status != ES_OK) goto done;
  domain->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  domain->L = lua_newstate(es__limits_allocate, domain);
  if (domain->L == NULL || domain->c_locale == (locale_t)0) {
    status = es__no_memory(err);
    goto done;
  }
  *(es_domain **)lua_getextraspace(domain->L) = domain;
  status = es__domain_run(domain, open_state, NULL, err);
  if (status != ES_OK) goto done;
  *out = domain;
  domain = NULL; /* the caller owns it now */
done:
  es__domain_free(domain);
  return status;
}

void es__domain_free(es_domain *domain) {
  if (domain == NULL) return;
  if (domain->L != NULL) lua_close(domain->L);
  es__pool_free(&domain->pool);
  es__event_object_free(domain);
  es__limits_free(domain);
  if (domain->c_locale != (locale_t)0) freelocale(domain->c_locale);
  free(domain);
}

/* ---- running ---- */

static es_status limit_error(es_domain *domain, es_error *err) {
  const es_limits *limits = &domain->limits;
  const char *at = limits->where, *colon = at[0] == '\0' ? "" : ": ";

  if (limits->hit == ES_LIMIT_TIME) {
    es__fail(err, ES_ERR_LUA, "time_limit",
             "%s%sstopped after %.10g ms of processor time, the limit", at, colon,
             (double)domain->options.time_limit_us / 1000.0);
    es__hint(err, "look for a loop that does not end, or for work that grows with the data");
  } else {
    bool in_mib = limits->memory_limit >= 1024 * 1024;
    es__fail(err, ES_ERR_LUA, "memory_limit", "%s%sout of memory: the limit is %.10g %s", at, colon,
             (double)limits->memory_limit / (in_mib ? 1024.0 * 1024.0 : 1.0),
             in_mib ? "MiB" : "bytes");
    es__hint(err, "look for a table or text that grows without end");
  }
  return ES_ERR_LUA;
}

/* Domain code may raise any bytes; messages are UTF-8. */
static void replace_bad_bytes(char *text) {
  size_t length = strlen(text), at = 0;
  while ((at += es__utf8_bad(text + at, length - at)) < length)
    text[at] = '?';
}

/* Leaves a string that describes the error value at index 1; may run its __tostring. */
static int describe(lua_State *L) {
  if (lua_type(L, 1) == LUA_TSTRING) return 1;
  if (lua_type(L, 1) == LUA_TNIL) {
    lua_pushliteral(L, "an error without a message was raised: error(nil)");
    return 1;
  }
  if (lua_type(L, 1) == LUA_TTABLE && !luaL_getmetafield(L, 1, "__tostring")) {
    lua_pushliteral(L, "message");
    lua_rawget(L, 1);
    if (lua_type(L, -1) == LUA_TSTRING) return 1;
    lua_pushliteral(L, "a table without __tostring and without `message` was raised as an error");
    return 1;
  }
  es__lua_text(L, 1, NULL);
  return 1;
}

/* Turns the error value at the top (popped) into *err. */
static es_status catch_error(es_domain *domain, int lua_status, es_error *err) {
  lua_State *L = domain->L;
  es_limits *limits = &domain->limits;

  if (lua_status == LUA_ERRMEM && limits->hit == ES_LIMIT_NONE) limits->hit = ES_LIMIT_MEMORY;
  if (limits->hit != ES_LIMIT_NONE) return limit_error(domain, err);
  if (es__is_error(L, -1)) {
    const es_error *raised = lua_touserdata(L, -1);
    if (err != NULL) *err = *raised;
    return raised->status;
  }
  lua_pushcfunction(L, describe);
  lua_insert(L, -2);
  lua_status = lua_pcall(L, 1, 1, 0);
  if (lua_status == LUA_ERRMEM && limits->hit == ES_LIMIT_NONE) limits->hit = ES_LIMIT_MEMORY;
  if (limits->hit != ES_LIMIT_NONE) return limit_error(domain, err);
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  es__fail(err, ES_ERR_LUA, "runtime_error", "%s",
           text != NULL ? text : "an error whose __tostring failed");
  if (err != NULL) replace_bad_bytes(err->message);
  return ES_ERR_LUA;
}

es_status es__domain_run(es_domain *domain, lua_CFunction body, void *argument, es_error *err) {
  lua_State *L = domain->L;
  bool outermost = domain->depth == 0, out_of_memory;
  int top = lua_gettop(L), lua_status;
  es_status status = ES_OK;
  locale_t before = (locale_t)0;

  if (!lua_checkstack(L, LUA_MINSTACK)) return es__no_memory(err);
  if (outermost) {
    /* Comparing and formatting must not depend on the embedder's locale. */
    before = uselocale(domain->c_locale);
    status = es__limits_begin(domain, err);
    if (status != ES_OK) goto done;
  }
  domain->depth++;
  lua_pushcfunction(L, body);
  lua_pushlightuserdata(L, argument);
  lua_status = lua_pcall(L, 1, 0, 0);
  if (lua_status != LUA_OK) status = catch_error(domain, lua_status, err);
  lua_settop(L, top);
  domain->depth--;

  out_of_memory = domain->limits.hit == ES_LIMIT_MEMORY;
  if (outermost) {
    es__limits_end(domain);
    es__event_object_unbind(domain);
  }
  if (out_of_memory) {
    domain->limits.hit = ES_LIMIT_NONE; /* an outer run may go on without what this one held */
    lua_gc(L, LUA_GCCOLLECT);
  }
done:
  if (outermost) uselocale(before);
  return status;
}

/* ---- loading ---- */

void es__domain_compile(lua_State *L, const char *source, size_t length, const char *chunk_name) {
  char name[256];

  luaL_checkstack(L, 4, NULL);
  if (length > 0 && source[0] == LUA_SIGNATURE[0]) /* Lua's own message names no chunk */
    luaL_error(L, "%s: bytecode is refused: a module is Lua source", chunk_name);
  snprintf(name, sizeof name, "@%s", chunk_name);
  int status = luaL_loadbufferx(L, source, length, name, "t");
  if (status != LUA_OK) es__rethrow(L, status);
}

void es__domain_load(lua_State *L, const char *source, size_t length, const char *chunk_name) {
  es__domain_compile(L, source, length, chunk_name);
  es__environment_push(L);
  lua_setupvalue(L, -2, 1); /* _ENV, the only upvalue of a chunk */
  lua_call(L, 0, 1);
}
