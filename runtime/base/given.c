/* given: what a caller of esrun.h hands in: pointers that must not be NULL, and structs of another version's size. */
#include "base/given.h"

#include <string.h>

#include "base/error.h"

bool es__is_missing(const void *given, const char *name, es_error *err) {
  if (given != NULL) return false;
  es__fail(err, ES_ERR_USAGE, "missing_argument", "%s is NULL", name);
  es__hint(err, "esrun.h says of each call what may be NULL; everything else must be given");
  return true;
}

es_status es__take_options(void *out, const void *given, size_t known_size, const char *init,
                           es_error *err) {
  size_t size;

  if (given == NULL) {
    es__fail(err, ES_ERR_USAGE, "no_options", "options are needed");
    es__hint(err, "begin with %s, then set what differs", init);
    return ES_ERR_USAGE;
  }
  memcpy(&size, given, sizeof size);
  if (size < sizeof size) {
    es__fail(err, ES_ERR_USAGE, "bad_size", "a struct of %zu bytes was not initialised", size);
    es__hint(err, "begin with %s, then set what differs", init);
    return ES_ERR_USAGE;
  }
  memcpy(out, given, size < known_size ? size : known_size);
  memcpy(out, &known_size, sizeof known_size);
  return ES_OK;
}
