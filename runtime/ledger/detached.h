/* detached: RSA-PSS signatures (SHA-256, MGF1 with SHA-256, the longest salt) beside a file, as `openssl dgst` checks them.
 * Opens no files. */
#ifndef ES_LEDGER_DETACHED_H
#define ES_LEDGER_DETACHED_H

#include "base/buf.h"

/* Signs `bytes` with the RSA key of a PEM, at least 2048 bits. Appends the raw signature, and the public key as a PEM.
 * ES_ERR_USAGE "malformed_key" when the PEM is no such key or the passphrase does not open it. */
es_status es__detached_sign(es_buf *signature, es_buf *public_key, es_text pem,
                            const char *passphrase, es_text bytes, es_error *err);

#endif
