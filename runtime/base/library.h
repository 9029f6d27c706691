/* library: a shared library that is loaded when the first of its functions is wanted, and never let go. */
#ifndef ES_BASE_LIBRARY_H
#define ES_BASE_LIBRARY_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "esrun.h"

/* One a library and process, shared by all threads. `functions` is a struct of nothing but function pointers, in the order of
 * `names`. */
typedef struct es_library {
  const char *file;  /* the name that the header which was compiled against belongs to */
  const char *title; /* for messages: "OpenSSL" */
  const char *code;  /* of the error */
  const char *hint;  /* what needs it, and which package has it */
  const char *const *names;
  size_t count;
  void *functions;
  bool there;
  pthread_mutex_t lock;
} es_library;

/* The library's functions, the same for all threads until the process ends; NULL: it is not there, and err says so. What failed
 * once, for want of memory or descriptors perhaps, is tried again. */
const void *es__library(es_library *library, es_error *err);

#endif
