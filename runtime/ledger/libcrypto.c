/* libcrypto: finds the functions of ledger/libcrypto.h in the system's OpenSSL. Loads it once in a process and never lets it go. */
#include "ledger/libcrypto.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define TEXT_OF(token) TEXT_OF_EXPANDED(token)
#define TEXT_OF_EXPANDED(token) #token
#define FILE_NAME "libcrypto.so." TEXT_OF(OPENSSL_SHLIB_VERSION) /* what the header belongs to */

static struct {
  struct es_libcrypto functions;
  char reason[256]; /* why they are not there; empty: they are */
} loaded;

/* POSIX lets a function's address pass through void *; ISO C does not, so it is copied. */
static void *find(void *library, const char *name) {
  void *address = dlsym(library, name);

  if (address == NULL && loaded.reason[0] == '\0')
    snprintf(loaded.reason, sizeof loaded.reason, "%s has no %s", FILE_NAME, name);
  return address;
}

static void load(void) {
  void *library = dlopen(FILE_NAME, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  void *address;

  if (library == NULL) {
    const char *reason = dlerror();
    snprintf(loaded.reason, sizeof loaded.reason, "%s", reason == NULL ? FILE_NAME : reason);
    return;
  }
#define FIND(name)                                                                                 \
  address = find(library, #name);                                                                  \
  memcpy(&loaded.functions.name, &address, sizeof address);
  ES_LIBCRYPTO_FUNCTIONS(FIND)
#undef FIND
}

const struct es_libcrypto *es__libcrypto(es_error *err) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  pthread_once(&once, load);
  if (loaded.reason[0] == '\0') return &loaded.functions;
  es__fail(err, ES_ERR_OTHER, "libcrypto", "OpenSSL could not be loaded: %s", loaded.reason);
  es__hint(err, "keys and signatures need it: install Debian's package libssl3");
  return NULL;
}

void es__libcrypto_text(es_buf *out, const struct es_libcrypto *crypto, BIO *memory) {
  char *bytes = NULL;
  long length = crypto->BIO_ctrl(memory, BIO_CTRL_INFO, 0, &bytes);

  if (length > 0) es__buf_add(out, bytes, (size_t)length);
}
