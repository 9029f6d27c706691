/* host: what the files of the Lua host module share. The module is bound on esrun.h alone; the one exception is the codec
 * of lua/domain.h (es__lua_push_json, es__lua_write_json, null, the array metatable), so that trusted scripts and domain
 * code mean the same by a value. Nothing here may hold memory over a Lua call that can raise: use the boxes. */
#ifndef ES_HOST_HOST_H
#define ES_HOST_HOST_H

#include <lauxlib.h>
#include <lua.h>

#include "base/buf.h"
#include "esrun.h"

typedef struct host_cursor host_cursor;
typedef struct host_import host_import;

/* What a verification looks at beside the store; it must outlive the call. */
typedef struct host_evidence {
  const char *keys[32];
  es_anchor anchors[32];
} host_evidence;

/* One open runtime, a full userdata. The list of those open in a Lua state is for coroutine.c. */
typedef struct host_runtime {
  es_runtime *rt; /* NULL: closed */
  lua_State *L;   /* the thread whose call is running, for callbacks */
  struct host_runtime *next;
  struct host_runtime **link; /* what points here; NULL: not in the list */
  uint64_t serial;            /* unique in a Lua state */
  int busy;             /* inside a call that calls back: nothing else may be asked meanwhile */
  host_cursor *cursors; /* open ones: they end before the runtime does */
  host_import *import;  /* under way, or NULL: the same */
  int clock_ref;
  int log_ref;
  int deliver_ref;        /* gets checkpoints that are made by themselves */
  int consult_ref;        /* tells what the anchors remember before one is signed */
  host_evidence evidence; /* what it told */
} host_runtime;

/* ---- runtime.c ---- */

/* The runtimes open in a Lua state. */
typedef struct host_list {
  host_runtime *first;
  uint64_t last_serial;
} host_list;

host_runtime *host_check(lua_State *L); /* argument 1, open and not busy; raises otherwise */
void host_refuse_callback(lua_State *L, const host_runtime *host); /* raises while it is busy */
host_list *host_open_runtimes(lua_State *L);
int host_open(lua_State *L);
extern const luaL_Reg host_runtime_methods[];

/* ---- the topics: methods of a runtime ---- */

extern const luaL_Reg host_command_methods[];
extern const luaL_Reg host_append_methods[];
extern const luaL_Reg host_context_methods[];
extern const luaL_Reg host_read_methods[];
extern const luaL_Reg host_project_methods[];
extern const luaL_Reg host_check_methods[];
extern const luaL_Reg host_ledger_methods[];
extern const luaL_Reg host_snapshot_methods[];
int host_keygen(lua_State *L);
int host_key_public(lua_State *L);
int host_verify_proof(lua_State *L);
int host_sign_detached(lua_State *L);

void host_verify_evidence(lua_State *L, es_verify_options *options, host_evidence *evidence);
extern const luaL_Reg host_data_methods[];
extern const luaL_Reg host_archive_methods[];
void host_read_close_all(host_runtime *host);
void host_data_close(host_runtime *host);
void host_data_open(lua_State *L);
int host_restore(lua_State *L);
int host_layout(lua_State *L);
int host_settings(lua_State *L);
/* 64 hexadecimal digits: pushed, or as a member of the table at the top. */
void host_push_hash(lua_State *L, const uint8_t hash[ES_HASH_SIZE]);
void host_set_hash(lua_State *L, const char *name, const uint8_t hash[ES_HASH_SIZE]);
void host_context_open(lua_State *L); /* make the metatables of scopes, cursors, snapshots */
void host_read_open(lua_State *L);
void host_coroutine_open(lua_State *L);
int host_coroutine_capture(lua_State *L);
int host_coroutine_exchange(lua_State *L);

/* ---- support.c ---- */

/* Raises like luaL_error(), which knows %s, %d, %I; blames the first function that is not of this module's own Lua (the
 * command line's is a user of it). */
int host_error(lua_State *L, const char *format, ...);

/* Raises when the argument at an index is of another type. */
void host_check_type(lua_State *L, int index, int type);

void host_support_open(lua_State *L);
/* Pushes nil, message, code, details and returns 4. */
int host_fail(lua_State *L, const es_error *err);
/* Boxes: memory that the collector frees, pushed on the stack. */
es_buf *host_push_buffer(lua_State *L);
char **host_push_text(lua_State *L);
/* A JSON result: pushes its value (or, with as_text, the text) or the failure; returns the number of results. */
int host_push_result(lua_State *L, es_status status, char *const *box, bool as_text,
                     const es_error *err);
/* Removes members that are null from the table at the top: absent reads as nil. */
void host_drop_nulls(lua_State *L);
/* The value at index as JSON; protected, so that what cannot be JSON is an error value. */
es_status host_write_json(lua_State *L, int index, es_buf *out, const char *root, es_error *err);
es_status host_read_json(lua_State *L, const char *text, size_t length, es_error *err);
/* The same for what the runtime wrote, which may nest deeper and be longer than what is given to it. */
es_status host_read_own_json(lua_State *L, const char *text, size_t length, es_error *err);
/* Members of the table at index; raise on a wrong type. Texts stay on the stack, so that they live. none gives ES_NONE,
 * absent NULL. */
const char *host_text(lua_State *L, int index, const char *name);
int64_t host_integer(lua_State *L, int index, const char *name, int64_t absent);
int host_int(lua_State *L, int index, const char *name, int absent);
bool host_flag(lua_State *L, int index, const char *name);
/* A time: RFC 3339, or an integer of microseconds; absent 0. */
int64_t host_time(lua_State *L, int index, const char *name);
const char *host_check_text(lua_State *L, int index); /* an argument without NUL bytes */

/* A Lua function that C calls back: never raises over C frames; the error waits until host_callback_end(). */
typedef struct host_callback {
  lua_State *L;
  int function; /* stack index; 0: none */
  int error;    /* stack index of the slot that keeps the error */
  bool failed;
} host_callback;

/* Prepares the function that is member `name` of the table at index (which may be absent). */
void host_callback_begin(host_callback *callback, lua_State *L, int index, const char *name);
/* Calls it with what prepare(L) pushed from `data`; false when it raised, or returned false. */
bool host_callback_call(host_callback *callback, lua_CFunction prepare, void *data);
void host_callback_end(host_callback *callback);                 /* raises what it raised */
bool host_progress(void *callback, int64_t done, int64_t total); /* an es_progress */

#endif
