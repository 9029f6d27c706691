/* error: filling the caller's es_error. Knows nothing of SQL, JSON or Lua. Every function accepts err == NULL. */
#ifndef ES_BASE_ERROR_H
#define ES_BASE_ERROR_H

#include "esrun.h"

/* Sets *err and returns status, so that a failure is one statement: return es__fail(err, ES_ERR_USAGE, "code", ...). */
es_status es__fail(es_error *err, es_status status, const char *code, const char *format, ...)
    ES_PRINTF(4, 5);

/* Adds how to mend it. */
void es__hint(es_error *err, const char *format, ...) ES_PRINTF(2, 3);

/* Puts "what: " before the message, on the way up. */
void es__wrap(es_error *err, const char *format, ...) ES_PRINTF(2, 3);

/* Out of memory, told without allocating. */
es_status es__no_memory(es_error *err);

void es__error_clear(es_error *err);

#endif
