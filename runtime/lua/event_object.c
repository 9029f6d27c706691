/* event_object: the one event a state shows to handlers, and its data. Both are userdata bound to an es_event while a handler
 * runs; nothing is decoded before it is read. What lies below e.data are plain tables, made once an event. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "lua/event_fields.h"
#include "lua/event_index.h"
#include "lua/internal.h"

enum {
  SLOT_TABLE = 1,
  SLOT_MADE = 2
}; /* user values of the data: the given table; tables made so far, by name */
enum { SLOT_METADATA = 1 }; /* user value of the event */

struct es_event_object {
  const es_event *event; /* NULL: no handler runs */
  bool indexed;
  bool has_table;
  bool has_made;
  bool has_metadata;
  es_event_index index;
};

static const char event_key, data_key; /* registry: the two objects */

static bool has_metatable(lua_State *L, int index, const void *metatable) {
  bool has = false;
  if (lua_type(L, index) == LUA_TUSERDATA && lua_getmetatable(L, index)) {
    has = lua_topointer(L, -1) == metatable;
    lua_pop(L, 1);
  }
  return has;
}

bool es__is_event(lua_State *L, int index) {
  return has_metatable(L, index, es__domain_of(L)->event_metatable);
}

bool es__is_event_data(lua_State *L, int index) {
  return has_metatable(L, index, es__domain_of(L)->event_data_metatable);
}

/* The bound object, or an error that names what was read. */
static struct es_event_object *bound(lua_State *L, const char *what, const char *name) {
  struct es_event_object *object = es__domain_of(L)->event_object;

  if (object->event == NULL) {
    luaL_error(L,
               "%s%s was read after its handler had ended: an event is valid only while its "
               "handler runs; keep e:copy() instead",
               what, name);
  }
  return object;
}

static const char *name_of(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : luaL_typename(L, index);
}

/* ---- data ---- */

static void build_index(lua_State *L, struct es_event_object *object) {
  es_text data = object->event->data;
  es_error err = ES_ERROR_INIT;

  if (object->indexed) return;
  if (data.data == NULL || data.length == 0) data = es__text("{}");
  if (es__event_index_build(&object->index, data.data, data.length, &err) != ES_OK)
    es__domain_raise(L, &err);
  object->indexed = true;
}

/* Pushes the table of tables made from this event so far; `data` is the data object's index. */
static void push_made(lua_State *L, struct es_event_object *object, int data) {
  if (!object->has_made) {
    lua_newtable(L);
    lua_setiuservalue(L, data, SLOT_MADE);
    object->has_made = true;
  }
  lua_getiuservalue(L, data, SLOT_MADE);
}

static void push_member(lua_State *L, struct es_event_object *object, int data,
                        const es_event_member *member) {
  es_text key;

  if (member->decoded) {
    switch (member->kind) {
    case ES_JSON_STRING:
      lua_pushlstring(L, member->text.data, member->text.length);
      return;
    case ES_JSON_INTEGER:
      lua_pushinteger(L, member->integer);
      return;
    case ES_JSON_DOUBLE:
      lua_pushnumber(L, member->number);
      return;
    case ES_JSON_TRUE:
    case ES_JSON_FALSE:
      lua_pushboolean(L, member->kind == ES_JSON_TRUE);
      return;
    default:
      es__lua_push_null(L);
      return;
    }
  }
  data = lua_absindex(L, data);
  push_made(L, object, data);
  key = es__event_index_key(&object->index, member);
  lua_pushlstring(L, key.data, key.length);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, -3) == LUA_TNIL) {
    lua_pop(L, 1);
    es__lua_push_json(L, object->index.text + member->offset, member->length);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, -5);
  }
  lua_replace(L, -3);
  lua_pop(L, 1);
}

static int data_index(lua_State *L) {
  size_t length;
  struct es_event_object *object = bound(L, "e.data.", name_of(L, 2));

  if (object->has_table) {
    lua_getiuservalue(L, 1, SLOT_TABLE);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return 1;
  }
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  build_index(L, object);
  const char *key = lua_tolstring(L, 2, &length);
  const es_event_member *member = es__event_index_find(&object->index, key, length);
  if (member == NULL) return 0;
  push_member(L, object, 1, member);
  return 1;
}

static int data_refuse(lua_State *L) {
  return luaL_error(L, "e.data.%s cannot be assigned: an event is a fact", name_of(L, 2));
}

/* Pushes a plain table of the members of the data object at `data`. */
static void push_data_table(lua_State *L, int data) {
  struct es_event_object *object = bound(L, "e.data", "");

  data = lua_absindex(L, data);
  luaL_checkstack(L, 10, NULL);
  if (object->has_table) {
    lua_getiuservalue(L, data, SLOT_TABLE);
    return;
  }
  build_index(L, object);
  lua_createtable(L, 0, (int)object->index.count);
  for (size_t i = 0; i < object->index.count; i++) {
    const es_event_member *member = &object->index.members[i];
    es_text key = es__event_index_key(&object->index, member);
    lua_pushlstring(L, key.data, key.length);
    push_member(L, object, data, member);
    lua_rawset(L, -3);
  }
}

/* ---- the event ---- */

int es__event_copy(lua_State *L) {
  if (!es__is_event(L, 1)) return luaL_typeerror(L, 1, "event");
  struct es_event_object *object = bound(L, "e:copy()", "");

  if (!object->has_table) {
    es__lua_push_event_copy(L, object->event);
    return 1;
  }
  es__event_push_envelope(L, object->event);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &data_key);
  lua_getiuservalue(L, -1, SLOT_TABLE);
  es__event_copy_deep(L, 1);
  lua_setfield(L, -3, "data");
  lua_pop(L, 1);
  return 1;
}

static void push_metadata(lua_State *L, struct es_event_object *object) {
  if (!object->has_metadata) {
    es__event_push_json(L, object->event->metadata);
    lua_setiuservalue(L, 1, SLOT_METADATA);
    object->has_metadata = true;
  }
  lua_getiuservalue(L, 1, SLOT_METADATA);
}

/* Upvalue: field names to es_field. */
static int event_index(lua_State *L) {
  struct es_event_object *object;
  es_event_field field;

  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  field = (es_event_field)lua_tointeger(L, 3);
  if (field == ES_FIELD_NONE) {
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "copy") == 0) {
      lua_pushcfunction(L, es__event_copy);
      return 1;
    }
    return luaL_error(
        L, "an event has no field '%s'; what the domain stored is in e.data and e.metadata",
        name_of(L, 2));
  }
  object = bound(L, "e.", lua_tostring(L, 2));
  if (field == ES_FIELD_data)
    lua_rawgetp(L, LUA_REGISTRYINDEX, &data_key);
  else if (field == ES_FIELD_metadata)
    push_metadata(L, object);
  else
    es__event_push_field(L, object->event, field);
  return 1;
}

static int event_refuse(lua_State *L) {
  return luaL_error(L, "e.%s cannot be assigned: an event is a fact", name_of(L, 2));
}

static int event_text(lua_State *L) {
  const es_event *event = bound(L, "the event", "")->event;

  lua_pushliteral(L, "event ");
  es__event_push_field(L, event, ES_FIELD_event_type);
  lua_pushliteral(L, " of ");
  es__event_push_field(L, event, ES_FIELD_aggregate_type);
  lua_pushliteral(L, "/");
  es__event_push_field(L, event, ES_FIELD_aggregate_id);
  lua_pushfstring(L, " at version %I", (LUAI_UACINT)event->version);
  lua_concat(L, 7);
  return 1;
}

bool es__push_event_table(lua_State *L, int index) {
  if (es__is_event_data(L, index)) {
    push_data_table(L, index);
    return true;
  }
  if (!es__is_event(L, index)) return false;
  index = lua_absindex(L, index);
  lua_pushcfunction(L, es__event_copy);
  lua_pushvalue(L, index);
  lua_call(L, 1, 1);
  return true;
}

/* ---- binding ---- */

/* Touches no Lua, so that a failed run can do it too. */
void es__event_object_unbind(es_domain *domain) {
  struct es_event_object *object = domain->event_object;
  if (object != NULL && object->event != NULL) {
    object->event = NULL;
    object->indexed = false;
    es__event_index_clear(&object->index);
  }
}

/* Drops what the last event left in the objects' user values. */
static void forget_values(lua_State *L, struct es_event_object *object) {
  if (object->has_table || object->has_made) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &data_key);
    for (int slot = SLOT_TABLE; slot <= SLOT_MADE; slot++) {
      lua_pushnil(L);
      lua_setiuservalue(L, -2, slot);
    }
    lua_pop(L, 1);
  }
  if (object->has_metadata) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &event_key);
    lua_pushnil(L);
    lua_setiuservalue(L, -2, SLOT_METADATA);
    lua_pop(L, 1);
  }
  object->has_table = object->has_made = object->has_metadata = false;
}

void es__lua_push_event(lua_State *L, const es_event *event, int data) {
  es_domain *domain = es__domain_of(L);
  struct es_event_object *object = domain->event_object;

  if (data != 0) data = lua_absindex(L, data);
  luaL_checkstack(L, 6, NULL);
  es__event_object_unbind(domain);
  forget_values(L, object);
  object->event = event;
  if (data != 0) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &data_key);
    lua_pushvalue(L, data);
    lua_setiuservalue(L, -2, SLOT_TABLE);
    lua_pop(L, 1);
    object->has_table = true;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &event_key);
}

void es__lua_release_event(lua_State *L) {
  es_domain *domain = es__domain_of(L);

  luaL_checkstack(L, 3, NULL);
  es__event_object_unbind(domain);
  forget_values(L, domain->event_object);
}

static void push_field_numbers(lua_State *L) {
  lua_createtable(L, 0, ES_FIELD_COUNT);
  for (int field = ES_FIELD_NONE + 1; field < ES_FIELD_COUNT; field++) {
    lua_pushinteger(L, field);
    lua_setfield(L, -2, es__event_field_name((es_event_field)field));
  }
}

void es__event_object_open(lua_State *L) {
  es_domain *domain = es__domain_of(L);

  domain->event_object = calloc(1, sizeof *domain->event_object);
  if (domain->event_object == NULL) luaL_error(L, "out of memory");
  lua_newuserdatauv(L, 0, SLOT_METADATA);
  luaL_newmetatable(L, "es.event");
  lua_pushliteral(L, "event");
  lua_setfield(L, -2, "__name");
  push_field_numbers(L);
  lua_pushcclosure(L, event_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, event_refuse);
  lua_setfield(L, -2, "__newindex");
  lua_pushcfunction(L, event_text);
  lua_setfield(L, -2, "__tostring");
  domain->event_metatable = lua_topointer(L, -1);
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &event_key);

  lua_newuserdatauv(L, 0, SLOT_MADE);
  luaL_newmetatable(L, "es.event_data");
  lua_pushliteral(L, "event data");
  lua_setfield(L, -2, "__name");
  lua_pushcfunction(L, data_index);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, data_refuse);
  lua_setfield(L, -2, "__newindex");
  domain->event_data_metatable = lua_topointer(L, -1);
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &data_key);
}

void es__event_object_free(es_domain *domain) {
  if (domain->event_object == NULL) return;
  es__event_index_free(&domain->event_object->index);
  free(domain->event_object);
}
