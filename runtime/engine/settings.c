/* settings: the settings of an esrun project, read from its esrun.lua. */
#include "engine/settings.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/given.h"
#include "json/writer.h"

enum { CONFIG_BYTES_MAX = 65536, CONFIG_STEPS_MAX = 100000 };

es_status es_project_find(char **out, const char *start, es_error *err) {
  char folder[PATH_MAX], file[PATH_MAX + 16];

  if (es__is_missing(out, "out", err)) return ES_ERR_USAGE;
  *out = NULL;
  if (realpath(start == NULL ? "." : start, folder) == NULL) {
    return es__fail(err, ES_ERR_NOT_FOUND, "no_project", "cannot look for a project in %s: %s",
                    start, strerror(errno));
  }
  for (;;) {
    snprintf(file, sizeof file, "%s/esrun.lua", strcmp(folder, "/") == 0 ? "" : folder);
    if (access(file, F_OK) == 0) {
      *out = strdup(folder);
      return *out == NULL ? es__no_memory(err) : ES_OK;
    }
    char *slash = strrchr(folder, '/');
    if (slash == NULL || strcmp(folder, "/") == 0) break;
    if (slash == folder) slash++; /* keep the root's own slash */
    *slash = '\0';
  }
  es__fail(err, ES_ERR_NOT_FOUND, "no_project", "no esrun.lua in %s or any folder above it",
           start == NULL || strcmp(start, ".") == 0 ? "this folder" : start);
  es__hint(err, "go to a project's folder, or name it with --project DIR");
  return ES_ERR_NOT_FOUND;
}

void es__settings_free(es_settings *settings) {
  free(settings->folder);
  free(settings->store);
  es__buf_free(&settings->given);
  for (int i = 0; i < ES_PROJECT_LIST_MAX; i++) {
    free(settings->aggregates[i]);
    free(settings->projections[i]);
    free(settings->library[i]);
    free(settings->actor_prefixes[i]);
  }
  *settings = (es_settings){0};
}

static char *joined(const char *folder, const char *path) {
  es_buf buf = {0};

  if (folder == NULL || path[0] == '/') return strdup(path);
  es__buf_format(&buf, "%s/%s", folder, path);
  return es__buf_take(&buf, NULL);
}

static es_status wrong(const char *key, const char *want, es_error *err) {
  return es__fail(err, ES_ERR_USAGE, "bad_config", "esrun.lua: %s must be %s", key, want);
}

/* The text at the top of the stack, or NULL; a NUL byte would hide what is behind it. */
static const char *plain_text(lua_State *L) {
  size_t length;
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
  return text != NULL && strlen(text) == length ? text : NULL;
}

/* A list has the keys 1 to `count` and no others. */
static bool is_list(lua_State *L, lua_Unsigned count) {
  lua_Unsigned members = 0;

  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1))
    members++;
  return members == count;
}

/* Takes the list of texts at the top of the stack into out; the caller pops it. */
static es_status take_list(lua_State *L, char *out[], const char *key, const char *folder,
                           es_error *err) {
  if (!lua_istable(L, -1)) return wrong(key, "a list of strings", err);
  lua_Unsigned count = lua_rawlen(L, -1);
  if (!is_list(L, count)) return wrong(key, "a list of strings", err);
  if (count > ES_PROJECT_LIST_MAX) return wrong(key, "a list of at most 32 strings", err);
  for (int i = 0; i < ES_PROJECT_LIST_MAX; i++) { /* what the file says replaces the default */
    free(out[i]);
    out[i] = NULL;
  }
  for (lua_Unsigned i = 0; i < count; i++) {
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    const char *text = plain_text(L);
    if (text == NULL) return wrong(key, "a list of strings without NUL bytes", err);
    out[i] = joined(folder, text);
    lua_pop(L, 1);
    if (out[i] == NULL) return es__no_memory(err);
  }
  return ES_OK;
}

static es_status take_count(lua_State *L, int64_t *out, const char *key, es_error *err) {
  if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) < 1 || lua_tointeger(L, -1) > INT32_MAX)
    return wrong(key, "an integer above 0 and below 2^31", err);
  *out = lua_tointeger(L, -1);
  return ES_OK;
}

static es_status take_flag(lua_State *L, bool *out, const char *key, es_error *err) {
  if (!lua_isboolean(L, -1)) return wrong(key, "true or false", err);
  *out = lua_toboolean(L, -1);
  return ES_OK;
}

static const char top[] = "settings"; /* as an error calls the whole */

/* Remembers that the file has it: for `esrun config`. */
static void note_given(es_settings *settings, const char *where, const char *key) {
  if (where != top) es__buf_format(&settings->given, "%s.", where);
  es__buf_format(&settings->given, "%s\n", key);
}

typedef es_status (*take_setting)(lua_State *L, es_settings *settings, const char *key,
                                  es_error *err);

static es_status each_setting(lua_State *L, es_settings *settings, take_setting take,
                              const char *where, es_error *err) {
  if (!lua_istable(L, -1)) return wrong(where, "a table with names", err);
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    if (lua_type(L, -2) != LUA_TSTRING || strlen(lua_tostring(L, -2)) != lua_rawlen(L, -2))
      return wrong(where, "a table with names", err);
    const char *key = lua_tostring(L, -2);
    es_status status = take(L, settings, key, err);
    if (status != ES_OK) return status;
    note_given(settings, where, key);
    lua_pop(L, 1);
  }
  return ES_OK;
}

static es_status unknown(const char *where, const char *key, const char *known, es_error *err) {
  es__fail(err, ES_ERR_USAGE, "bad_config", "esrun.lua: unknown setting %s%s", where, key);
  es__hint(err, "known: %s", known);
  return ES_ERR_USAGE;
}

static es_status take_limit(lua_State *L, es_settings *settings, const char *key, es_error *err) {
  if (strcmp(key, "time_ms") == 0) return take_count(L, &settings->time_ms, "limits.time_ms", err);
  if (strcmp(key, "memory_mb") == 0)
    return take_count(L, &settings->memory_mb, "limits.memory_mb", err);
  return unknown("limits.", key, "time_ms, memory_mb", err);
}

static es_status take_actor_setting(lua_State *L, es_settings *settings, const char *key,
                                    es_error *err) {
  if (strcmp(key, "prefixes") == 0)
    return take_list(L, settings->actor_prefixes, "actors.prefixes", NULL, err);
  if (strcmp(key, "allow_at_sign") == 0)
    return take_flag(L, &settings->allow_at_sign, "actors.allow_at_sign", err);
  if (strcmp(key, "required") == 0)
    return take_flag(L, &settings->require_actor, "actors.required", err);
  return unknown("actors.", key, "prefixes, allow_at_sign, required", err);
}

static es_status take_top(lua_State *L, es_settings *settings, const char *key, es_error *err) {
  if (strcmp(key, "store") == 0) {
    const char *path = plain_text(L);
    if (path == NULL || path[0] == '\0')
      return wrong("store", "a path, a string without NUL bytes", err);
    free(settings->store);
    settings->store = strcmp(path, ":memory:") == 0 ? strdup(path) : joined(settings->folder, path);
    return settings->store == NULL ? es__no_memory(err) : ES_OK;
  }
  if (strcmp(key, "aggregates") == 0)
    return take_list(L, settings->aggregates, key, settings->folder, err);
  if (strcmp(key, "projections") == 0)
    return take_list(L, settings->projections, key, settings->folder, err);
  if (strcmp(key, "library") == 0)
    return take_list(L, settings->library, key, settings->folder, err);
  if (strcmp(key, "limits") == 0) return each_setting(L, settings, take_limit, "limits", err);
  if (strcmp(key, "actors") == 0)
    return each_setting(L, settings, take_actor_setting, "actors", err);
  return unknown("", key, "store, aggregates, projections, library, limits, actors", err);
}

/* The file is data: a chunk that runs long is not. */
static void too_long(lua_State *L, lua_Debug *where) {
  (void)where;
  luaL_error(L, "esrun.lua is data, and this runs too long");
}

static es_status evaluate(es_settings *settings, const es_buf *text, es_error *err) {
  es_status status;
  lua_State *L = luaL_newstate();

  if (L == NULL) return es__no_memory(err);
  if (luaL_loadbufferx(L, text->data == NULL ? "" : text->data, text->length, "@esrun.lua", "t") !=
      LUA_OK) {
    const char *why = lua_tostring(L, -1);
    bool named = strncmp(why, "esrun.lua:", 10) == 0;
    status = es__fail(err, ES_ERR_USAGE, "bad_config", "%s%s", named ? "" : "esrun.lua: ", why);
    goto done;
  }
  lua_newtable(L);
  lua_setupvalue(L, -2, 1); /* an empty _ENV */
  lua_sethook(L, too_long, LUA_MASKCOUNT, CONFIG_STEPS_MAX);
  if (lua_pcall(L, 0, LUA_MULTRET, 0) != LUA_OK) {
    const char *why = lua_tostring(L, -1);
    status =
        es__fail(err, ES_ERR_USAGE, "bad_config", "%s", why == NULL ? "esrun.lua failed" : why);
    es__hint(err, "esrun.lua holds data only: return { store = \"…\", … }");
    goto done;
  }
  lua_sethook(L, NULL, 0, 0);
  if (lua_gettop(L) != 1 || !lua_istable(L, 1)) {
    status = es__fail(err, ES_ERR_USAGE, "bad_config", "esrun.lua must return a table, not %s",
                      lua_gettop(L) > 1 ? "several values" : luaL_typename(L, 1));
    es__hint(err, "return { store = \"esrun.db\" }");
    goto done;
  }
  status = each_setting(L, settings, take_top, top, err);
done:
  lua_close(L);
  return status;
}

/* Settings steer what runs: another user's file could point at another user's code. */
static es_status check_owner(const char *path, es_error *err) {
  struct stat facts;

  if (stat(path, &facts) != 0) return ES_OK; /* reading it says why */
  if (facts.st_uid == geteuid() || facts.st_uid == 0) return ES_OK;
  es__fail(err, ES_ERR_USAGE, "foreign_config", "%s belongs to another user (uid %ld)", path,
           (long)facts.st_uid);
  es__hint(err, "run as that user, or make the file yours: chown %ld %s", (long)geteuid(), path);
  return ES_ERR_USAGE;
}

static es_status set_defaults(es_settings *out, const char *folder, es_error *err) {
  if (folder == NULL) return ES_OK;
  out->folder = realpath(folder, NULL);
  if (out->folder == NULL) {
    return es__fail(err, ES_ERR_NOT_FOUND, "no_project", "cannot open the project %s: %s", folder,
                    strerror(errno));
  }
  out->store = joined(out->folder, "esrun.db");
  out->aggregates[0] = joined(out->folder, "aggregates");
  out->projections[0] = joined(out->folder, "projections");
  out->library[0] = joined(out->folder, "lib");
  if (out->store == NULL || out->aggregates[0] == NULL || out->projections[0] == NULL ||
      out->library[0] == NULL) {
    return es__no_memory(err);
  }
  return ES_OK;
}

es_status es__settings_read(es_settings *out, const char *folder, es_error *err) {
  es_buf text = {0};
  char *path = NULL;
  es_status status;

  *out = (es_settings){0};
  status = set_defaults(out, folder, err);
  if (status != ES_OK || folder == NULL) goto done;
  path = joined(out->folder, "esrun.lua");
  if (path == NULL) {
    status = es__no_memory(err);
    goto done;
  }
  status = check_owner(path, err);
  if (status == ES_OK) status = es__read_file(&text, path, CONFIG_BYTES_MAX, err);
  if (status == ES_OK) status = evaluate(out, &text, err);
done:
  if (status != ES_OK) es__settings_free(out);
  es__buf_free(&text);
  free(path);
  return status;
}

bool es__settings_given(const es_settings *settings, const char *name) {
  size_t length = strlen(name);

  for (const char *at = settings->given.data; at != NULL && *at != '\0';
       at = strchr(at, '\n') + 1) {
    if (strncmp(at, name, length) == 0 && at[length] == '\n') return true;
  }
  return false;
}

/* Opens a row up to its value; end_row() closes it. */
static void start_row(es_buf *out, const char *name) {
  if (out->length > 0 && out->data[out->length - 1] == '}') es__buf_byte(out, ',');
  es__buf_byte(out, '{');
  es__json_write_key(out, "setting");
  es__json_write_text(out, es__text(name));
  es__json_write_key(out, "value");
}

static void end_row(es_buf *out, const char *origin) {
  es__json_write_key(out, "origin");
  es__json_write_text(out, es__text(origin));
  es__buf_byte(out, '}');
}

static void write_list(es_buf *out, const es_settings *settings, const char *name,
                       char *const *items) {
  start_row(out, name);
  es__buf_byte(out, '[');
  for (int i = 0; items[i] != NULL; i++) {
    if (i > 0) es__buf_byte(out, ',');
    es__json_write_text(out, es__text(items[i]));
  }
  es__buf_byte(out, ']');
  end_row(out, es__settings_given(settings, name) ? "esrun.lua" : "default");
}

static void write_flag(es_buf *out, const es_settings *settings, const char *name, bool value) {
  start_row(out, name);
  es__buf_text(out, value ? "true" : "false");
  end_row(out, es__settings_given(settings, name) ? "esrun.lua" : "default");
}

static void write_count(es_buf *out, const es_settings *settings, const char *name, int64_t value) {
  start_row(out, name);
  es__json_write_integer(out, value);
  end_row(out, es__settings_given(settings, name) ? "esrun.lua" : "default");
}

void es__settings_write(es_buf *out, const es_settings *settings, const char *store_path,
                        const char *store_origin, int64_t time_ms, int64_t memory_mb) {
  es__buf_byte(out, '[');
  start_row(out, "project");
  es__json_write_text(out, es__text(settings->folder));
  end_row(out, settings->folder == NULL ? "none" : "found");
  start_row(out, "store");
  es__json_write_text(out, es__text(store_path));
  end_row(out, store_origin != NULL                    ? store_origin
               : es__settings_given(settings, "store") ? "esrun.lua"
                                                       : "default");
  write_list(out, settings, "aggregates", settings->aggregates);
  write_list(out, settings, "projections", settings->projections);
  write_list(out, settings, "library", settings->library);
  write_count(out, settings, "limits.time_ms", time_ms);
  write_count(out, settings, "limits.memory_mb", memory_mb);
  write_list(out, settings, "actors.prefixes", settings->actor_prefixes);
  write_flag(out, settings, "actors.allow_at_sign", settings->allow_at_sign);
  write_flag(out, settings, "actors.required", settings->require_actor);
  es__buf_byte(out, ']');
}
