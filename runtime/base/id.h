/* id: UUIDs as 16 bytes. New ones are version 7 (RFC 9562): ordered by time, so that indexes stay local. */
#ifndef ES_BASE_ID_H
#define ES_BASE_ID_H

#include "esrun.h"

/* Makes ids that increase strictly within one generator, also when the clock stands still or steps back. */
typedef struct es_id_source {
  int64_t (*clock)(void *clock_data); /* microseconds */
  void *clock_data;
  void (*random)(void *random_data, uint8_t *out, size_t length); /* NULL: libuuid's */
  void *random_data;
  uint64_t last_stamp; /* 60 bits: milliseconds and a 12-bit fraction */
} es_id_source;

void es__id_new(es_id_source *source, uint8_t out[ES_ID_SIZE]);

/* True for 36 characters of canonical hexadecimal form (either case). */
bool es__id_is_text(const char *text, size_t length);
bool es__id_parse_counted(uint8_t out[ES_ID_SIZE], const char *text, size_t length);

void es__hex(char *out, const uint8_t *bytes, size_t length); /* writes 2 * length + 1 bytes */
bool es__hex_parse(uint8_t *out, size_t length, const char *text, size_t text_length);

#endif
