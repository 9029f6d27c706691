/* event_fields: the members of an event as Lua values. Knows nothing of the reusable object (event_object.c). */
#ifndef ES_LUA_EVENT_FIELDS_H
#define ES_LUA_EVENT_FIELDS_H

#include "lua/internal.h"

/* X(field): in the order of e:copy()'s documentation. */
/* clang-format off */
#define ES_EVENT_FIELDS(X) \
  X(position) X(event_id) X(aggregate_type) X(aggregate_id) X(version) X(event_type) X(schema_version) \
  X(tenant_id) X(actor_id) X(correlation_id) X(causation_id) X(occurred_at) X(recorded_at) \
  X(data) X(metadata) X(previous_hash) X(hash)
/* clang-format on */

#define ES_FIELD_CONSTANT(name) ES_FIELD_##name,
typedef enum es_event_field {
  ES_FIELD_NONE,
  ES_EVENT_FIELDS(ES_FIELD_CONSTANT) /* in order */
  ES_FIELD_COUNT
} es_event_field;
#undef ES_FIELD_CONSTANT

const char *es__event_field_name(es_event_field field);
/* Pushes a member, nil when there is none; not data and metadata. */
void es__event_push_field(lua_State *L, const es_event *event, es_event_field field);
/* Pushes the value of a JSON text, an empty table for none. */
void es__event_push_json(lua_State *L, es_text json);
/* Pushes a table of everything but data. */
void es__event_push_envelope(lua_State *L, const es_event *event);
/* Replaces the table at the top by a copy; it may come from an upcaster. `depth` starts at 1. */
void es__event_copy_deep(lua_State *L, int depth);

#endif
