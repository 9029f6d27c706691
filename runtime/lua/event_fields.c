/* event_fields: the members of an event as Lua values. */
#include "lua/event_fields.h"

#include <string.h>

#include "base/id.h"
#include "json/reader.h"

static const char *const field_names[] = {"",
#define ES_FIELD_NAME(name) #name,
                                          ES_EVENT_FIELDS(ES_FIELD_NAME)
#undef ES_FIELD_NAME
};

const char *es__event_field_name(es_event_field field) { return field_names[field]; }

static void push_text(lua_State *L, es_text text) {
  if (text.data == NULL)
    lua_pushnil(L);
  else
    lua_pushlstring(L, text.data, text.length);
}

static void push_id(lua_State *L, const uint8_t *id) {
  char text[ES_ID_TEXT_SIZE];
  es_id_text(text, id);
  lua_pushstring(L, text);
}

static void push_time(lua_State *L, int64_t time_us) {
  char text[ES_TIME_TEXT_SIZE];
  es_time_text(text, time_us);
  lua_pushstring(L, text);
}

static void push_hash(lua_State *L, const uint8_t *hash) {
  char text[2 * ES_HASH_SIZE + 1];
  es__hex(text, hash, ES_HASH_SIZE);
  lua_pushlstring(L, text, 2 * ES_HASH_SIZE);
}

void es__event_push_json(lua_State *L, es_text json) {
  if (json.data == NULL || json.length == 0)
    lua_newtable(L);
  else
    es__lua_push_json(L, json.data, json.length);
}

/* Everything but data and metadata. An event that is not stored yet has position 0 and neither time of storing nor hashes. */
void es__event_push_field(lua_State *L, const es_event *event, es_event_field field) {
  static const uint8_t genesis[ES_HASH_SIZE];
  bool stored = event->position > 0;

  switch (field) {
  case ES_FIELD_event_id:
    push_id(L, event->event_id);
    return;
  case ES_FIELD_aggregate_type:
    push_text(L, event->aggregate_type);
    return;
  case ES_FIELD_aggregate_id:
    push_text(L, event->aggregate_id);
    return;
  case ES_FIELD_version:
    lua_pushinteger(L, event->version);
    return;
  case ES_FIELD_event_type:
    push_text(L, event->event_type);
    return;
  case ES_FIELD_schema_version:
    lua_pushinteger(L, event->schema_version);
    return;
  case ES_FIELD_tenant_id:
    push_text(L, event->tenant_id);
    return;
  case ES_FIELD_actor_id:
    push_text(L, event->actor_id);
    return;
  case ES_FIELD_correlation_id:
    push_id(L, event->correlation_id);
    return;
  case ES_FIELD_occurred_at:
    push_time(L, event->occurred_at);
    return;
  case ES_FIELD_causation_id:
    if (!event->has_causation) break;
    push_id(L, event->causation_id);
    return;
  case ES_FIELD_position:
    if (!stored) break;
    lua_pushinteger(L, event->position);
    return;
  case ES_FIELD_recorded_at:
    if (!stored) break;
    push_time(L, event->recorded_at);
    return;
  case ES_FIELD_hash:
    if (!stored) break;
    push_hash(L, event->hash);
    return;
  case ES_FIELD_previous_hash:
    if (!stored) break;
    if (memcmp(event->previous_hash, genesis, sizeof genesis) == 0)
      lua_pushliteral(L, "GENESIS");
    else
      push_hash(L, event->previous_hash);
    return;
  default:
    break;
  }
  lua_pushnil(L);
}

/* A plain copy of the table at the top, which may come from an upcaster and be as deep as JSON. */
void es__event_copy_deep(lua_State *L, int depth) {
  if (lua_type(L, -1) != LUA_TTABLE) return;
  if (depth > ES_JSON_MAX_DEPTH)
    luaL_error(L, "e.data is nested deeper than %d levels", ES_JSON_MAX_DEPTH);
  luaL_checkstack(L, 6, NULL);
  lua_newtable(L);
  if (lua_getmetatable(L, -2)) lua_setmetatable(L, -2);
  lua_pushnil(L);
  while (lua_next(L, -3)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    es__event_copy_deep(L, depth + 1);
    lua_rawset(L, -4);
  }
  lua_remove(L, -2);
}

void es__event_push_envelope(lua_State *L, const es_event *event) {
  luaL_checkstack(L, 6, NULL);
  lua_createtable(L, 0, ES_FIELD_COUNT);
  for (int field = ES_FIELD_NONE + 1; field < ES_FIELD_COUNT; field++) {
    es__event_push_field(L, event, (es_event_field)field);
    lua_setfield(L, -2, field_names[field]);
  }
  es__event_push_json(L, event->metadata);
  lua_setfield(L, -2, "metadata");
}

void es__lua_push_event_copy(lua_State *L, const es_event *event) {
  es__event_push_envelope(L, event);
  es__event_push_json(L, event->data);
  lua_setfield(L, -2, "data");
}
