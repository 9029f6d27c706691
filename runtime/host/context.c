/* context: frames from Lua. A scope leaves its frame when it is closed, and a guarded one also puts back what was before
 * when the code in it left frames behind. Who may enter: whoever has the runtime, which domain code never does. */
#include <string.h>

#include "host/host.h"
#include "lua/domain.h"

#define SCOPE "esrun.scope"

typedef struct host_scope {
  host_runtime *host; /* kept alive by the user value */
  es_token token;
  es_context *before; /* of a guarded scope: the whole stack under the frame */
  size_t depth;       /* with the frame */
  bool guarded;
  bool entered;
} host_scope;

/* The strings of member `name`, a list, as an array inside a userdata that stays on the stack; NULL when absent. */
static const char **string_list(lua_State *L, int index, const char *name, size_t *count) {
  const char **list;
  size_t length;

  *count = 0;
  if (lua_getfield(L, index, name) == LUA_TNIL) return NULL;
  if (!lua_istable(L, -1)) host_error(L, "%s: list of strings expected", name);
  *count = (size_t)lua_rawlen(L, -1);
  list = lua_newuserdatauv(L, (*count + 1) * sizeof *list, 1);
  lua_createtable(L, (int)*count,
                  0); /* keeps the strings: the frame's own table may change while it is read */
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, -3, 1);
  for (size_t i = 0; i < *count; i++) {
    if (lua_rawgeti(L, -3, (lua_Integer)i + 1) != LUA_TSTRING) {
      host_error(L, "%s[%d]: string expected, got %s", name, (int)i + 1, luaL_typename(L, -1));
    }
    list[i] = lua_tolstring(L, -1, &length);
    if (strlen(list[i]) != length)
      host_error(L, "%s[%d]: the text has a NUL byte", name, (int)i + 1);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  list[*count] = NULL;
  return list;
}

static es_status read_frame(lua_State *L, int index, es_frame *frame, es_error *err) {
  es_buf *metadata = host_push_buffer(L);

  frame->actor_id = host_text(L, index, "actor_id");
  frame->tenant_id = host_text(L, index, "tenant_id");
  frame->request_id = host_text(L, index, "request_id");
  frame->correlation_id = host_text(L, index, "correlation_id");
  frame->causation_id = host_text(L, index, "causation_id");
  frame->roles = string_list(L, index, "roles", &frame->role_count);
  frame->permissions = string_list(L, index, "permissions", &frame->permission_count);
  frame->operator_scope = host_flag(L, index, "operator_scope");
  switch (lua_getfield(L, index, "metadata")) {
  case LUA_TNIL:
    return ES_OK;
  case LUA_TLIGHTUSERDATA:
    if (lua_touserdata(L, -1) == (const void *)es_none) {
      frame->metadata_json = ES_NONE;
      return ES_OK;
    }
    break;
  default:
    break;
  }
  es_status status = host_write_json(L, -1, metadata, "metadata", err);
  if (status == ES_OK) frame->metadata_json = metadata->data;
  return status;
}

/* enter(runtime, frame, guarded) -> scope, or nil, message, code, details */
static int enter(lua_State *L) {
  host_runtime *host = host_check(L);
  bool guarded = lua_toboolean(L, 3);
  es_frame frame = ES_FRAME_INIT;
  es_error err = ES_ERROR_INIT;
  host_scope *scope;

  host_check_type(L, 2, LUA_TTABLE);
  lua_settop(L, 3);
  scope = lua_newuserdatauv(L, sizeof *scope, 1);
  *scope = (host_scope){.host = host, .guarded = guarded};
  luaL_setmetatable(L, SCOPE);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_replace(L, 3);
  if (read_frame(L, 2, &frame, &err) != ES_OK) return host_fail(L, &err);
  if (guarded) {
    es_context_swap(&scope->before, host->rt, NULL);
    es_context_swap(NULL, host->rt, scope->before);
  }
  if (es_context_enter(&scope->token, host->rt, &frame, &err) != ES_OK) return host_fail(L, &err);
  scope->entered = true;
  scope->depth = es_context_depth(host->rt);
  lua_settop(L, 3);
  return 1;
}

static int leave_guarded(lua_State *L, host_scope *scope) {
  size_t left_behind = es_context_depth(scope->host->rt) - scope->depth;

  es_context_swap(NULL, scope->host->rt, scope->before);
  es_context_release(scope->before);
  scope->before = NULL;
  if (left_behind == 0) return 0;
  return host_error(L, "context leak: %d frame(s) entered inside were not left", (int)left_behind);
}

/* Leaves the frame. The frames of a closed runtime are gone already. */
static int leave(lua_State *L) {
  host_scope *scope = luaL_checkudata(L, 1, SCOPE);
  es_error err = ES_ERROR_INIT;

  if (scope->host->rt == NULL) return host_error(L, "this runtime is closed");
  host_refuse_callback(L, scope->host);
  if (!scope->entered) return host_error(L, "this context frame was left already");
  if (scope->guarded) {
    scope->entered = false;
    return leave_guarded(L, scope);
  }
  if (es_context_leave(scope->host->rt, scope->token, &err) != ES_OK) {
    return host_error(L, "%s", err.message);
  }
  scope->entered = false;
  return 0;
}

static int close_scope(lua_State *L) {
  host_scope *scope = luaL_checkudata(L, 1, SCOPE);
  return scope->entered && scope->host->rt != NULL ? leave(L) : 0;
}

static int free_scope(lua_State *L) {
  host_scope *scope = luaL_checkudata(L, 1, SCOPE);
  es_context_release(scope->before);
  scope->before = NULL;
  return 0;
}

static int current(lua_State *L) {
  host_runtime *host = host_check(L);
  es_error err = ES_ERROR_INIT;
  char **box = host_push_text(L);
  es_status status = es_context_json(box, host->rt, &err);
  int results = host_push_result(L, status, box, false, &err);
  if (results == 1) host_drop_nulls(L);
  return results;
}

static int depth(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)es_context_depth(host_check(L)->rt));
  return 1;
}

void host_context_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"leave", leave}, {NULL, NULL}};

  luaL_newmetatable(L, SCOPE);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, close_scope);
  lua_setfield(L, -2, "__close");
  lua_pushcfunction(L, free_scope);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

const luaL_Reg host_context_methods[] = {
    {"enter", enter},
    {"context", current},
    {"context_depth", depth},
    {NULL, NULL},
};
