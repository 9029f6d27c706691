/* settings: the settings of an esrun project, read from its esrun.lua: data only, in an empty environment. */
#ifndef ES_ENGINE_SETTINGS_H
#define ES_ENGINE_SETTINGS_H

#include "base/buf.h"

enum { ES_PROJECT_LIST_MAX = 32 };

typedef struct es_settings {
  char *folder; /* NULL: no project */
  char *store;  /* path as opened */
  char *aggregates[ES_PROJECT_LIST_MAX +
                   1]; /* folders, absolute, NULL-terminated; the same for the next */
  char *projections[ES_PROJECT_LIST_MAX + 1];
  char *library[ES_PROJECT_LIST_MAX + 1];
  char *actor_prefixes[ES_PROJECT_LIST_MAX + 1];
  bool allow_at_sign;
  bool require_actor; /* commands without an actor are denied */
  int64_t time_ms;    /* 0: default */
  es_buf given;       /* names of the settings that esrun.lua has, each followed by a newline */
  int64_t memory_mb;  /* 0: default */
} es_settings;

/* Reads FOLDER/esrun.lua. Refuses a file that another user owns, bytecode, functions, unknown keys, wrong types. With
 * folder NULL everything is at its default. */
es_status es__settings_read(es_settings *out, const char *folder, es_error *err);
void es__settings_free(es_settings *settings);

/* True when esrun.lua itself has this setting, such as "aggregates" or "limits.time_ms". */
bool es__settings_given(const es_settings *settings, const char *name);

/* Appends the effective settings as a JSON array of {setting, value, origin}; origin is "esrun.lua", "default" or, for the
 * store, what the caller passes in when it was given at opening. */
void es__settings_write(es_buf *out, const es_settings *settings, const char *store_path,
                        const char *store_origin, int64_t time_ms, int64_t memory_mb);

#endif
