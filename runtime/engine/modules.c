/* modules: the texts of a project's Lua modules and their hashes. Loading them is modules_load.c's. */
#include "engine/modules.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/embedded.h"
#include "base/error.h"
#include "base/file.h"

enum { MODULE_BYTES_MAX = 4 * 1024 * 1024, FOLDER_DEPTH_MAX = 8 };

/* ---- reading ---- */

static es_module *add_module(es_modules *modules) {
  es_module *items = realloc(modules->items, (modules->count + 1) * sizeof *items);

  if (items == NULL) return NULL;
  modules->items = items;
  items[modules->count] = (es_module){0};
  return &items[modules->count++];
}

/* "shared/money.lua" is required as "shared.money". */
static char *require_name(const char *relative) {
  char *name = strdup(relative);

  if (name == NULL) return NULL;
  name[strlen(name) - 4] = '\0';
  for (char *at = name; *at != '\0'; at++) {
    if (*at == '/') *at = '.';
  }
  return name;
}

typedef struct walk {
  es_modules *modules;
  const char *root;  /* the folder as configured */
  const char *label; /* its last component, for chunk names */
  bool library;
  const char
      *named; /* the setting of esrun.lua that has this folder; NULL: it needs not be there */
  es_error *err;
} walk;

static es_status read_module(const walk *at, const char *relative) {
  char path[PATH_MAX];
  es_buf text = {0}, chunk = {0};
  es_status status;

  if (snprintf(path, sizeof path, "%s/%s", at->root, relative) >= (int)sizeof path) {
    return es__fail(at->err, ES_ERR_USAGE, "path_too_long", "%s/%s: the path is too long", at->root,
                    relative);
  }
  status = es__read_file(&text, path, MODULE_BYTES_MAX, at->err);
  if (status != ES_OK) goto done;
  es__buf_format(&chunk, "%s/%s", at->label, relative);
  es_module *module = add_module(at->modules);
  if (module == NULL) {
    status = es__no_memory(at->err);
    goto done;
  }
  module->length = text.length;
  module->text = es__buf_take(&text, NULL);
  module->chunk_name = es__buf_take(&chunk, NULL);
  if (at->library) module->require_name = require_name(relative);
  if (module->text == NULL || module->chunk_name == NULL ||
      (at->library && module->require_name == NULL)) {
    status = es__no_memory(at->err);
  }
done:
  es__buf_free(&text);
  es__buf_free(&chunk);
  return status;
}

static bool is_lua_file(const char *name) {
  size_t length = strlen(name);
  return length > 4 && strcmp(name + length - 4, ".lua") == 0;
}

static es_status missing_folder(const walk *at) {
  if (at->named == NULL) return ES_OK;
  es__fail(at->err, ES_ERR_USAGE, "no_folder",
           "esrun.lua: %s names the folder %s, which is not there", at->named, at->root);
  es__hint(at->err, "correct its name in esrun.lua, or make the folder");
  return es__modules_told(at->modules, "esrun.lua", ES_ERR_USAGE, at->err);
}

static es_status closed_folder(const walk *at, const char *path) {
  int why = errno;

  es__fail(at->err, ES_ERR_OTHER, "cannot_read", "cannot read the folder %s: %s", path,
           strerror(why));
  if (why == EACCES) es__hint(at->err, "run as its owner, or: chmod u+rx %s", path);
  return es__modules_told(at->modules, at->label, ES_ERR_OTHER, at->err);
}

static es_status found_module(const walk *at, const char *relative) {
  char shown[2 * PATH_MAX];
  es_status status = read_module(at, relative);

  snprintf(shown, sizeof shown, "%s/%s", at->label, relative);
  return es__modules_told(at->modules, shown, status, at->err);
}

/* A link to a folder above would go on for ever. */
static es_status too_deep(const walk *at, const char *path) {
  es__fail(at->err, ES_ERR_USAGE, "path_too_deep",
           "%s: there are more than %d folders below another", path, FOLDER_DEPTH_MAX);
  es__hint(at->err, "move it up, or remove a link that leads back");
  return es__modules_told(at->modules, at->label, ES_ERR_USAGE, at->err);
}

static es_status walk_folder(const walk *at, const char *relative, int depth) {
  char path[PATH_MAX], below[PATH_MAX];
  struct dirent **entries = NULL;
  es_status status = ES_OK;

  snprintf(path, sizeof path, "%s%s%s", at->root, relative[0] == '\0' ? "" : "/", relative);
  int count = scandir(path, &entries, NULL, alphasort);
  if (count < 0) {
    if (errno == ENOENT && relative[0] == '\0') return missing_folder(at);
    return closed_folder(at, path);
  }
  for (int i = 0; i < count; i++) {
    const char *name = entries[i]->d_name;
    struct stat facts;
    if (status == ES_OK && name[0] != '.') {
      int wanted =
          snprintf(below, sizeof below, "%s%s%s", relative, relative[0] == '\0' ? "" : "/", name);
      int full = snprintf(path, sizeof path, "%s/%s", at->root, below);
      if (wanted >= (int)sizeof below || full >= (int)sizeof path) {
        status =
            es__fail(at->err, ES_ERR_USAGE, "path_too_long", "%s: the path is too long", below);
      } else if (stat(path, &facts) == 0 && S_ISDIR(facts.st_mode)) {
        status = depth < FOLDER_DEPTH_MAX ? walk_folder(at, below, depth + 1) : too_deep(at, path);
      } else if (is_lua_file(name)) {
        status = found_module(at, below);
      }
    }
    free(entries[i]);
  }
  free(entries);
  return status;
}

/* One that every project may have and need not: git keeps no empty folder. */
static bool is_usual(const es_settings *settings, const char *name, const char *folder) {
  size_t length = strlen(settings->folder);

  return strncmp(folder, settings->folder, length) == 0 && folder[length] == '/' &&
         strcmp(folder + length + 1, strcmp(name, "library") == 0 ? "lib" : name) == 0;
}

static es_status read_folders(es_modules *modules, const es_settings *settings, const char *name,
                              char *const folders[], es_error *err) {
  bool library = folders == settings->library;
  bool given = es__settings_given(settings, name);
  es_status status = ES_OK;

  for (int i = 0; folders[i] != NULL && status == ES_OK; i++) {
    const char *slash = strrchr(folders[i], '/');
    const char *named = given && !is_usual(settings, name, folders[i]) ? name : NULL;
    walk at = {modules, folders[i], slash == NULL ? folders[i] : slash + 1, library, named, err};
    status = walk_folder(&at, "", 0);
  }
  return status;
}

/* ---- modules given as texts ---- */

static es_status bad_source(es_error *err, const char *path, const char *code, const char *what) {
  es__fail(err, ES_ERR_USAGE, code, "the module '%s' given as text: %s", path, what);
  es__hint(err,
           "name it as a file of a project would be: aggregates/NAME.lua, projections/NAME.lua or "
           "lib/NAME.lua");
  return ES_ERR_USAGE;
}

static bool in_folder(const char *path, const char *folder) {
  size_t length = strlen(folder);
  return strncmp(path, folder, length) == 0 && path[length] != '.';
}

static es_status take_source(es_modules *modules, const es_module_source *source, es_error *err) {
  const char *path = source->path;
  size_t length = source->length;

  if (path == NULL || source->text == NULL)
    return bad_source(err, path == NULL ? "" : path, "bad_module", "it needs a path and a text");
  bool library = in_folder(path, "lib/");
  if (!is_lua_file(path) || strlen(path) > ES__MODULE_PATH_MAX ||
      !(library || in_folder(path, "aggregates/") || in_folder(path, "projections/")))
    return bad_source(err, path, "bad_module", "the path is not of the right form");
  if (length == 0) length = strlen(source->text);
  if (length > MODULE_BYTES_MAX)
    return bad_source(err, path, "bad_module", "it is longer than 4 MiB");
  for (size_t i = 0; i < modules->count; i++) {
    if (strcmp(modules->items[i].chunk_name, path) == 0)
      return bad_source(err, path, "duplicate_module", "there is a module of this name already");
  }
  es_module *module = add_module(modules);
  if (module == NULL) return es__no_memory(err);
  module->given = true;
  module->length = length;
  module->text = es__text_copy((es_text){source->text, length});
  module->chunk_name = strdup(path);
  if (library) module->require_name = require_name(path + strlen("lib/"));
  if (module->text == NULL || module->chunk_name == NULL ||
      (library && module->require_name == NULL))
    return es__no_memory(err);
  return ES_OK;
}

static es_status read_shipped(es_modules *modules, bool with_aggregates, es_error *err) {
  for (const struct es_embedded *from = es_shipped_modules; from->path != NULL; from++) {
    if (!with_aggregates && strncmp(from->path, "projections/", 12) != 0) continue;
    es_module *module = add_module(modules);
    if (module == NULL) return es__no_memory(err);
    module->shipped = true;
    module->length = from->length;
    module->text = es__text_copy((es_text){from->text, from->length});
    module->chunk_name = strdup(from->path);
    if (module->text == NULL || module->chunk_name == NULL) return es__no_memory(err);
  }
  return ES_OK;
}

static void add_part(es_buf *out, const es_module *module) {
  es__buf_format(out, "%s\n%zu\n", module->chunk_name, module->length);
  es__buf_add(out, module->text, module->length);
}

/* A library module can be required from anywhere, also by a computed name: all of them count. */
static es_status hash_modules(es_modules *modules, es_chain *chain, es_error *err) {
  es_buf library = {0}, own = {0};
  es_status status = ES_OK;

  for (size_t i = 0; i < modules->count; i++) {
    if (modules->items[i].require_name != NULL) add_part(&library, &modules->items[i]);
  }
  for (size_t i = 0; i < modules->count && status == ES_OK; i++) {
    es_module *module = &modules->items[i];
    es__buf_clear(&own);
    es__buf_text(&own, "esrun module 1\n" ES_VERSION_STRING "\n");
    add_part(&own, module);
    if (own.failed || library.failed) {
      status = es__no_memory(err);
    } else {
      status = es__sha256(chain, module->hash, own.data, own.length,
                          module->shipped ? NULL : library.data,
                          module->shipped ? 0 : library.length, err);
    }
  }
  es__buf_free(&library);
  es__buf_free(&own);
  return status;
}

es_status es__modules_read(es_modules *out, const es_settings *settings,
                           const es_module_source *sources, size_t source_count, es_chain *chain,
                           es_error *err) {
  es_status status;

  *out = (es_modules){.watch = out->watch};
  status = read_folders(out, settings, "library", settings->library, err);
  if (status == ES_OK)
    status = read_folders(out, settings, "aggregates", settings->aggregates, err);
  if (status == ES_OK)
    status = read_folders(out, settings, "projections", settings->projections, err);
  for (size_t i = 0; i < source_count && status == ES_OK; i++)
    status = take_source(out, &sources[i], err);
  if (status == ES_OK)
    status = read_shipped(out, settings->folder == NULL && source_count == 0, err);
  if (status == ES_OK) status = hash_modules(out, chain, err);
  if (status != ES_OK) es__modules_free(out);
  return status;
}

void es__modules_free(es_modules *modules) {
  for (size_t i = 0; i < modules->count; i++) {
    free(modules->items[i].chunk_name);
    free(modules->items[i].require_name);
    free(modules->items[i].text);
    free(modules->items[i].name);
  }
  free(modules->items);
  *modules = (es_modules){0};
}
