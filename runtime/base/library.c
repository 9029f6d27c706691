/* library: shared libraries that are loaded when they are wanted. */
#include "base/library.h"

#include <dlfcn.h>
#include <string.h>

#include "base/error.h"

static es_status fail(const es_library *library, const char *reason, es_error *err) {
  es__fail(err, ES_ERR_OTHER, library->code, "%s could not be loaded: %s", library->title, reason);
  es__hint(err, "%s", library->hint);
  return ES_ERR_OTHER;
}

/* POSIX lets a function's address pass through void *; ISO C does not, so it is copied. */
static es_status load(es_library *library, es_error *err) {
  void *handle = dlopen(library->file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  char *at = library->functions;

  for (size_t i = 0; i < library->count && handle != NULL; i++) {
    void *address = dlsym(handle, library->names[i]);
    if (address == NULL) break;
    memcpy(at + i * sizeof address, &address, sizeof address);
    if (i + 1 == library->count) return ES_OK;
  }
  const char *reason = dlerror();
  return fail(library, reason == NULL ? library->file : reason, err);
}

const void *es__library(es_library *library, es_error *err) {
  pthread_mutex_lock(&library->lock);
  if (!library->there) library->there = load(library, err) == ES_OK;
  bool there = library->there;
  pthread_mutex_unlock(&library->lock);
  return there ? library->functions : NULL;
}
