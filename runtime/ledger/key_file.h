/* key_file: a signing key as the text of a file: the key itself, or its verifier key above a PEM that a passphrase opens
 * (PKCS #8, PBKDF2, AES-256), which `openssl pkey` reads too. Opens no files. */
#ifndef ES_LEDGER_KEY_FILE_H
#define ES_LEDGER_KEY_FILE_H

#include "ledger/note.h"

/* passphrase NULL or "": the key in the clear. The buffer holds a secret: es__key_file_wipe() it. */
es_status es__key_file_print(es_buf *out, const es_skey *key, const char *passphrase,
                             es_error *err);
/* ES_ERR_USAGE "passphrase_needed", "wrong_passphrase", or as es__skey_parse. */
es_status es__key_file_parse(es_skey *out, es_text text, const char *passphrase, es_error *err);
void es__key_file_wipe(es_buf *text);

#endif
