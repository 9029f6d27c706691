/* clock: the system's time, and RFC 3339 text of microseconds (es_time_text, es_time_parse in esrun.h). */
#ifndef ES_BASE_CLOCK_H
#define ES_BASE_CLOCK_H

#include "esrun.h"

/* 0000-01-01T00:00:00.000000Z to 9999-12-31T23:59:59.999999Z: what four-digit years can say. */
#define ES__TIME_MIN INT64_C(-62167219200000000)
#define ES__TIME_MAX INT64_C(253402300799999999)

/* Microseconds since the epoch; the argument is unused, so that it fits es_options.clock. */
int64_t es__clock_system(void *unused);

#endif
