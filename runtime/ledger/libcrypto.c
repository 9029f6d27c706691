/* libcrypto: finds the functions of ledger/libcrypto.h in the system's OpenSSL. */
#include "ledger/libcrypto.h"

#include "base/library.h"

#define TEXT_OF(token) TEXT_OF_EXPANDED(token)
#define TEXT_OF_EXPANDED(token) #token
#define NAME_OF(name) #name,

const struct es_libcrypto *es__libcrypto(es_error *err) {
  static const char *const names[] = {ES_LIBCRYPTO_FUNCTIONS(NAME_OF)};
  static struct es_libcrypto functions;
  static es_library library = {
      .file = "libcrypto.so." TEXT_OF(OPENSSL_SHLIB_VERSION), /* what the header belongs to */
      .title = "OpenSSL",
      .code = "libcrypto",
      .hint = "keys and signatures need it: install Debian's package libssl3",
      .names = names,
      .count = sizeof names / sizeof names[0],
      .functions = &functions,
      .lock = PTHREAD_MUTEX_INITIALIZER};

  return es__library(&library, err);
}

void es__libcrypto_text(es_buf *out, const struct es_libcrypto *crypto, BIO *memory) {
  char *bytes = NULL;
  long length = crypto->BIO_ctrl(memory, BIO_CTRL_INFO, 0, &bytes);

  if (length > 0) es__buf_add(out, bytes, (size_t)length);
}
