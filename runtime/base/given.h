/* given: what a caller of esrun.h hands in: pointers that must not be NULL, and structs of another version's size. */
#ifndef ES_BASE_GIVEN_H
#define ES_BASE_GIVEN_H

#include "esrun.h"

/* Whether something that must be given is NULL; *err then names it, ES_ERR_USAGE. */
bool es__is_missing(const void *given, const char *name, es_error *err);

/* Copies a struct that begins with its size over *out, which holds the defaults: members that the caller's header did not have
 * keep them. `init` is the struct's _INIT macro, for the message when it is NULL or was not initialised (ES_ERR_USAGE). */
es_status es__take_options(void *out, const void *given, size_t known_size, const char *init,
                           es_error *err);

#endif
