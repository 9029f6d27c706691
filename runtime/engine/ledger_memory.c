/* ledger_memory: what a signer remembers outside the database, so that a file put back or exchanged cannot make it sign what
 * contradicts what it signed before. Knows files; the heads' meaning is ledger_heads.c's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "engine/ledger.h"

enum { PATH_SIZE = 4096, REMEMBERED_MAX = 64 * 1024 };

static es_status failed(es_error *err, const char *what, const char *path) {
  return es__fail(err, ES_ERR_OTHER, "signer_memory", "the signer's memory: cannot %s %s: %s", what,
                  path, strerror(errno));
}

static es_status join(char out[PATH_SIZE], const char *folder, const char *name, es_error *err) {
  if (snprintf(out, PATH_SIZE, "%s/%s", folder, name) < PATH_SIZE) return ES_OK;
  return es__fail(err, ES_ERR_USAGE, "signer_memory", "the path %s/%s is too long", folder, name);
}

/* The user's folder for state (XDG base directories). */
static es_status default_root(char out[PATH_SIZE], es_error *err) {
  const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

  if (state != NULL && state[0] == '/') return join(out, state, "esrun/signer", err);
  if (home == NULL || home[0] != '/') {
    const struct passwd *user = getpwuid(geteuid());
    home = user == NULL ? NULL : user->pw_dir;
  }
  if (home == NULL) {
    return es__fail(err, ES_ERR_USAGE, "signer_memory",
                    "the signer's memory has no place: neither XDG_STATE_HOME nor HOME is set");
  }
  return join(out, home, ".local/state/esrun/signer", err);
}

es_status es__memory_open(es_signer_memory *out, const char *path, const es_store *store,
                          es_error *err) {
  char root[PATH_SIZE], folder[PATH_SIZE], id[ES_ID_TEXT_SIZE];
  es_status status = ES_OK;

  *out = (es_signer_memory){.lock = -1};
  if (path != NULL && path[0] == '\0') return ES_OK;
  if (path == NULL) {
    status = default_root(root, err);
  } else if (snprintf(root, sizeof root, "%s", path) >= PATH_SIZE) {
    status = es__fail(err, ES_ERR_USAGE, "signer_memory", "the path %s is too long", path);
  }
  es_id_text(id, store->store_id);
  if (status == ES_OK) status = join(folder, root, id, err);
  if (status != ES_OK) return status;
  out->root = strdup(root);
  out->folder = strdup(folder);
  if (out->root != NULL && out->folder != NULL) return ES_OK;
  es__memory_close(out);
  return es__no_memory(err);
}

void es__memory_close(es_signer_memory *memory) {
  if (memory->lock >= 0) close(memory->lock);
  free(memory->folder);
  free(memory->root);
  *memory = (es_signer_memory){.lock = -1};
}

static es_status make_folders(const char *path, es_error *err) {
  char part[PATH_SIZE];

  for (size_t i = 1; i == 1 || path[i - 1] != '\0'; i++) {
    if (path[i] != '/' && path[i] != '\0') continue;
    memcpy(part, path, i);
    part[i] = '\0';
    if (mkdir(part, 0700) != 0 && errno != EEXIST) return failed(err, "create", part);
  }
  return ES_OK;
}

es_status es__memory_lock(bool *taken, es_signer_memory *memory, bool wait, es_error *err) {
  char path[PATH_SIZE];
  es_status status;

  *taken = true;
  if (memory->folder == NULL) return ES_OK;
  status = make_folders(memory->folder, err);
  if (status == ES_OK) status = join(path, memory->folder, "lock", err);
  if (status != ES_OK) return status;
  memory->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (memory->lock < 0) return failed(err, "open", path);
  while (flock(memory->lock, wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
    *taken = errno != EWOULDBLOCK;
    if (!*taken) return ES_OK;
    if (errno != EINTR) return failed(err, "lock", path);
  }
  return ES_OK;
}

/* ---- Reading ----------------------------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *ending) {
  size_t length = strlen(name), tail = strlen(ending);
  return length > tail && strcmp(name + length - tail, ending) == 0;
}

static es_status damaged(es_error *err, const char *path) {
  if (err != NULL) {
    err->status = ES_ERR_INTEGRITY;
    es__wrap(err, "the signer's memory %s", path);
    es__hint(err,
             "put the file back from a copy; else compare esrun verify with an anchor, then move "
             "the file away: the next esrun checkpoint writes it anew");
  }
  return ES_ERR_INTEGRITY;
}

static es_status take_key(es_heads *heads, es_text text, es_error *err) {
  es_vkey key;
  es_status status;

  while (text.length > 0 && text.data[text.length - 1] == '\n')
    text.length--;
  status = es__vkey_parse(&key, text.data == NULL ? "" : text.data, text.length, err);
  return status == ES_OK ? es__heads_add_key(heads, &key, err) : status;
}

es_status es__memory_set_aside(const es_signer_memory *memory, es_error *err) {
  DIR *folder = opendir(memory->folder);
  const struct dirent *entry;
  es_status status = ES_OK;

  if (folder == NULL) return failed(err, "read", memory->folder);
  while (status == ES_OK && (entry = readdir(folder)) != NULL) {
    char from[PATH_SIZE], to[PATH_SIZE], name[64];
    if (!ends_with(entry->d_name, ".checkpoint")) continue;
    status = join(from, memory->folder, entry->d_name, err);
    snprintf(name, sizeof name, "%.8s.rolled_back", entry->d_name);
    if (status == ES_OK) status = join(to, memory->folder, name, err);
    /* an earlier one's evidence stays; who holds the lock is alone here */
    for (int number = 2; status == ES_OK && access(to, F_OK) == 0; number++) {
      snprintf(name, sizeof name, "%.8s.rolled_back.%d", entry->d_name, number);
      status = join(to, memory->folder, name, err);
    }
    if (status == ES_OK && rename(from, to) != 0) status = failed(err, "rename", from);
  }
  closedir(folder);
  return status;
}

static es_status take_files(es_heads *heads, const es_signer_memory *memory, const char *ending,
                            es_error *err) {
  DIR *folder = opendir(memory->folder);
  const struct dirent *entry;
  es_status status = ES_OK;

  if (folder == NULL) return errno == ENOENT ? ES_OK : failed(err, "read", memory->folder);
  while (status == ES_OK && (entry = readdir(folder)) != NULL) {
    char path[PATH_SIZE];
    es_buf text = {0};
    if (!ends_with(entry->d_name, ending)) continue;
    status = join(path, memory->folder, entry->d_name, err);
    if (status == ES_OK) status = es__read_file(&text, path, REMEMBERED_MAX, err);
    if (status == ES_OK) {
      es_text found = {text.data, text.length};
      status = strcmp(ending, ".vkey") == 0
                   ? take_key(heads, found, err)
                   : es__heads_add(heads, ES_HEAD_MEMORY, "the signer's memory", found, err);
      if (status == ES_ERR_USAGE || status == ES_ERR_INTEGRITY) status = damaged(err, path);
    }
    es__buf_free(&text);
  }
  closedir(folder);
  return status;
}

es_status es__memory_heads(es_heads *heads, const es_signer_memory *memory, es_error *err) {
  es_status status;

  if (memory->folder == NULL) return ES_OK;
  status = take_files(heads, memory, ".vkey", err);
  return status == ES_OK ? take_files(heads, memory, ".checkpoint", err) : status;
}

/* The `path` file of one folder holds the place of the store it signed for. */
static bool signed_for(const char *folder, const char *store_path) {
  char path[PATH_SIZE];
  es_buf text = {0};
  bool same = join(path, folder, "path", NULL) == ES_OK &&
              es__read_file(&text, path, PATH_SIZE, NULL) == ES_OK && text.data != NULL &&
              strcmp(text.data, store_path) == 0;

  es__buf_free(&text);
  return same;
}

/* The path without links; of a file that is not there yet, its folder's and its name. Freed by the caller. */
static char *real_place(const char *path) {
  char *real = realpath(path, NULL), *folder = real == NULL ? strdup(path) : NULL, *out;

  if (folder == NULL) return real;
  char *slash = strrchr(folder, '/');
  const char *name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
  if (slash != NULL) slash[slash == folder ? 1 : 0] = '\0';
  real = realpath(slash == NULL ? "." : folder, NULL);
  out = real == NULL ? NULL : malloc(strlen(real) + strlen(name) + 2);
  if (out != NULL) sprintf(out, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
  free(real);
  free(folder);
  return out;
}

es_status es__memory_other_store(char **other, const es_signer_memory *memory,
                                 const char *store_path, es_error *err) {
  const char *own = memory->folder == NULL ? NULL : strrchr(memory->folder, '/') + 1;
  char *real = store_path == NULL ? NULL : real_place(store_path);
  DIR *root = real == NULL || own == NULL ? NULL : opendir(memory->root);
  const struct dirent *entry;
  char folder[PATH_SIZE];

  *other = NULL;
  while (root != NULL && *other == NULL && (entry = readdir(root)) != NULL) {
    if (entry->d_name[0] == '.' || strcmp(entry->d_name, own) == 0) continue;
    if (join(folder, memory->root, entry->d_name, NULL) == ES_OK && signed_for(folder, real))
      *other = strdup(entry->d_name);
  }
  if (root != NULL) closedir(root);
  free(real);
  (void)err;
  return ES_OK;
}

/* ---- Writing ----------------------------------------------------------------------------------------------- */

/* Either the old content or the new one, also after a crash. */
static es_status replace_file(const char *folder, const char *name, const char *bytes,
                              size_t length, es_error *err) {
  char path[PATH_SIZE], part[PATH_SIZE];
  es_status status = join(path, folder, name, err);
  int file, directory;

  if (status == ES_OK && snprintf(part, sizeof part, "%s.part", path) >= PATH_SIZE)
    status = es__fail(err, ES_ERR_USAGE, "signer_memory", "the path %s is too long", path);
  if (status != ES_OK) return status;
  file = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) return failed(err, "create", part);
  if (!es__write_synced(file, bytes, length)) status = failed(err, "write", part);
  if (close(file) != 0 && status == ES_OK) status = failed(err, "write", part);
  if (status == ES_OK && rename(part, path) != 0) status = failed(err, "rename", part);
  if (status != ES_OK) {
    unlink(part);
    return status;
  }
  directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0 || fsync(directory) != 0) status = failed(err, "sync", folder);
  if (directory >= 0) close(directory);
  return status;
}

es_status es__memory_keep(const es_signer_memory *memory, const es_vkey *key, es_text note,
                          const char *store_path, es_error *err) {
  char text[ES_KEY_TEXT_SIZE + 1], name[64], *real;
  es_status status = ES_OK;

  if (memory->folder == NULL) return ES_OK;
  real = store_path == NULL ? NULL : realpath(store_path, NULL);
  if (real != NULL) status = replace_file(memory->folder, "path", real, strlen(real), err);
  free(real);
  es__vkey_text(text, key);
  strcat(text, "\n");
  snprintf(name, sizeof name, "%08x.vkey", key->id);
  if (status == ES_OK) status = replace_file(memory->folder, name, text, strlen(text), err);
  snprintf(name, sizeof name, "%08x.checkpoint", key->id);
  if (status == ES_OK) status = replace_file(memory->folder, name, note.data, note.length, err);
  return status;
}
