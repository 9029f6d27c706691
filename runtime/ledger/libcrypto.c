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
  pthread_mutex_t lock;
  struct es_libcrypto functions;
  bool there;
  char reason[256]; /* why they are not there */
} loaded = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* POSIX lets a function's address pass through void *; ISO C does not, so it is copied. */
static void *find(void *library, const char *name) {
  void *address = dlsym(library, name);

  if (address == NULL && loaded.reason[0] == '\0')
    snprintf(loaded.reason, sizeof loaded.reason, "%s has no %s", FILE_NAME, name);
  return address;
}

static bool load(void) {
  void *library = dlopen(FILE_NAME, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  void *address;

  loaded.reason[0] = '\0';
  if (library == NULL) {
    const char *reason = dlerror();
    snprintf(loaded.reason, sizeof loaded.reason, "%s", reason == NULL ? FILE_NAME : reason);
    return false;
  }
#define FIND(name)                                                                                 \
  address = find(library, #name);                                                                  \
  memcpy(&loaded.functions.name, &address, sizeof address);
  ES_LIBCRYPTO_FUNCTIONS(FIND)
#undef FIND
  return loaded.reason[0] == '\0';
}

/* What failed once, for want of memory or descriptors perhaps, is tried again. */
const struct es_libcrypto *es__libcrypto(es_error *err) {
  pthread_mutex_lock(&loaded.lock);
  if (!loaded.there) loaded.there = load();
  bool there = loaded.there;
  if (!there)
    es__fail(err, ES_ERR_OTHER, "libcrypto", "OpenSSL could not be loaded: %s", loaded.reason);
  pthread_mutex_unlock(&loaded.lock);
  if (there) return &loaded.functions;
  es__hint(err, "keys and signatures need it: install Debian's package libssl3");
  return NULL;
}

void es__libcrypto_text(es_buf *out, const struct es_libcrypto *crypto, BIO *memory) {
  char *bytes = NULL;
  long length = crypto->BIO_ctrl(memory, BIO_CTRL_INFO, 0, &bytes);

  if (length > 0) es__buf_add(out, bytes, (size_t)length);
}
