/* coroutine: what is in force for a coroutine, for every open runtime. lua/esrun/coroutine.lua exchanges it with the
 * outside around each resume, so that a coroutine starts with a copy and changes nothing outside itself. */
#include <stdlib.h>

#include "host/host.h"

#define STACKS "esrun.stacks"

typedef struct stack_entry {
  uint64_t serial; /* of the runtime */
  es_context *context;
} stack_entry;

/* The contexts of one coroutine, a runtime each, while it is not running; those of the outside while it is. */
typedef struct host_stacks {
  stack_entry *entries;
  size_t count;
  size_t capacity;
} host_stacks;

static stack_entry *find(host_stacks *stacks, uint64_t serial) {
  for (size_t i = 0; i < stacks->count; i++) {
    if (stacks->entries[i].serial == serial) return &stacks->entries[i];
  }
  return NULL;
}

/* Room for `more` entries, so that an exchange cannot fail half way. */
static void reserve(lua_State *L, host_stacks *stacks, size_t more) {
  size_t wanted = stacks->count + more;
  stack_entry *entries;

  if (wanted <= stacks->capacity) return;
  entries = realloc(stacks->entries, wanted * sizeof *entries);
  if (entries == NULL) host_error(L, "out of memory");
  stacks->entries = entries;
  stacks->capacity = wanted;
}

static size_t count_runtimes(const host_runtime *host) {
  size_t count = 0;
  for (; host != NULL; host = host->next)
    count++;
  return count;
}

static int free_stacks(lua_State *L) {
  host_stacks *stacks = luaL_checkudata(L, 1, STACKS);

  for (size_t i = 0; i < stacks->count; i++)
    es_context_release(stacks->entries[i].context);
  free(stacks->entries);
  *stacks = (host_stacks){0};
  return 0;
}

/* capture() -> stacks: a copy of what is in force now. */
int host_coroutine_capture(lua_State *L) {
  host_runtime *first = host_open_runtimes(L)->first;
  host_stacks *stacks = lua_newuserdatauv(L, sizeof *stacks, 0);

  *stacks = (host_stacks){0};
  luaL_setmetatable(L, STACKS);
  reserve(L, stacks, count_runtimes(first));
  for (host_runtime *host = first; host != NULL; host = host->next) {
    stacks->entries[stacks->count++] = (stack_entry){host->serial, es_context_capture(host->rt)};
  }
  return 1;
}

/* exchange(stacks): what is in force goes in, what was in comes into force. A runtime opened meanwhile has an empty stack
 * on the side that does not know it. */
int host_coroutine_exchange(lua_State *L) {
  host_stacks *stacks = luaL_checkudata(L, 1, STACKS);
  host_runtime *first = host_open_runtimes(L)->first;

  reserve(L, stacks, count_runtimes(first));
  for (host_runtime *host = first; host != NULL; host = host->next) {
    stack_entry *entry = find(stacks, host->serial);
    es_context *in;
    if (entry == NULL) {
      entry = &stacks->entries[stacks->count++];
      *entry = (stack_entry){host->serial, NULL};
    }
    in = entry->context;
    es_context_swap(&entry->context, host->rt, in);
    es_context_release(in);
  }
  return 0;
}

void host_coroutine_open(lua_State *L) {
  luaL_newmetatable(L, STACKS);
  lua_pushcfunction(L, free_stacks);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}
