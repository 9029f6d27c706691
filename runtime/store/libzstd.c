/* libzstd: finds the functions of store/libzstd.h in the system's Zstandard. */
#include "store/libzstd.h"

#include "base/library.h"

#define NAME_OF(name) #name,

const struct es_libzstd *es__libzstd(es_error *err) {
  static const char *const names[] = {ES_LIBZSTD_FUNCTIONS(NAME_OF)};
  static struct es_libzstd functions;
  static es_library library = {.file = "libzstd.so.1",
                               .title = "Zstandard",
                               .code = "libzstd",
                               .hint = "archived events need it: install Debian's package libzstd1",
                               .names = names,
                               .count = sizeof names / sizeof names[0],
                               .functions = &functions,
                               .lock = PTHREAD_MUTEX_INITIALIZER};

  return es__library(&library, err);
}
